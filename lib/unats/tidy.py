"""Control lines in a form that nats-server does not send, but the protocol allows; and endless
ones.
"""

from .kernels import END, POS, skip


def tidy(rx, f):
    """Write the control line at f[POS] anew, in the usual form; whether that changed anything.
    Allocates.
    """
    at = f[POS]
    end = rx.find(b"\n", at, f[END]) + 1
    line = bytes(rx[at:end])
    words = line.split()
    words[0] = words[0].upper()
    usual = b" ".join(words) + b"\r\n"
    for c in line[:-2]:
        if c < 32 and c != 9:
            return False
    if (
        usual == line
        or line[-2:] != b"\r\n"
        or words[0] not in (b"MSG", b"HMSG")
        or len(usual) > len(line)
    ):
        return False
    rx[end - len(usual) : end] = usual
    f[POS] = end - len(usual)
    return True


def truncate(rx, f):
    """The buffer is full of one control line: cut its fields, for its message will be skipped.
    False: it is endless.
    """
    start, end = f[POS], f[END]
    line = bytes(rx[start:end])
    fields = b" ".join([field[:32] for field in line.split()])
    if line[-1] <= 32:
        fields += line[-1:]
    rx[start : start + len(fields)] = fields
    return len(fields) <= 256 and skip(f, start + len(fields))
