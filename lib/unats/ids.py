"""Names that nobody else uses, and numbers in them that are written over in place."""

_DIGITS = b"0123456789abcdef"


def random_hex(n):
    """n random hexadecimal digits, from the system's random source where the port has one."""
    try:
        from os import urandom as source
    except ImportError:
        from random import getrandbits

        def source(n):
            return bytes([getrandbits(8) for _ in range(n)])

    return "".join(["%x" % (b & 15) for b in source(n)])


def checked_prefix(text):
    """An inbox prefix as str; ValueError if no subject can begin with it. Allocates."""
    from .subscription import check

    text = check("inbox_prefix", text, False)
    if "*" in text or ">" in text:
        raise ValueError("inbox_prefix: a wildcard is in %r" % text)
    return text


def write_hex(buf, at, value, n):
    """Write value in n hexadecimal digits. Does not allocate."""
    while n:
        n -= 1
        buf[at + n] = _DIGITS[value & 15]
        value >>= 4
