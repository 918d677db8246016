"""What a `Msg` has beside what does not allocate; all of it does. See `kernels.Msg`.

Nothing here raises because bytes are not UTF-8: what is not is replaced by U+FFFD.
"""

from json import loads


def get(msg, name):
    """The attribute of a message. AttributeError: it has none of that name."""
    if name == "data":
        return msg.part(3)
    if name == "text":
        return text_of(msg.part(3))
    if name == "subject":
        return text_of(msg.part(0))
    if name == "reply":
        return text_of(msg.part(1)) or None
    if name == "headers":
        return _headers(msg)
    if name == "status":
        number = msg.part(2).split(b"\r\n", 1)[0][8:].strip()[:3]
        return int(number) if number.isdigit() else None
    if name == "json":
        return lambda: loads(msg.part(3))
    raise AttributeError(name)


def text_of(raw):
    """Bytes as str; what is not UTF-8 is replaced, byte by byte."""
    try:
        return raw.decode()
    except ValueError:
        pass
    text, i = "", 0
    while i < len(raw):
        n = 1
        while n < 4 and i + n < len(raw) and raw[i + n] & 0xC0 == 0x80:
            n += 1
        try:
            text += raw[i : i + n].decode()
        except ValueError:
            text, n = text + "\ufffd", 1
        i += n
    return text


def _headers(msg):
    """The headers (ADR-4): a dict of str, for a repeated name a list of them; or None."""
    if not msg.part(2):
        return None
    headers = {}
    at = msg.next_header(0)
    while at:
        name, value = text_of(msg.part(4)), text_of(msg.part(5))
        if name not in headers:
            headers[name] = value
        elif isinstance(headers[name], list):
            headers[name].append(value)
        else:
            headers[name] = [headers[name], value]
        at = msg.next_header(at)
    return headers
