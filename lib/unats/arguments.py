"""How the arguments of `publish` are read where they are not plain bytes and ASCII; and what a subject is."""

from uio import BytesIO

_BYTES = (bytes, bytearray)
_KINDS = (bytes, bytearray, memoryview)
_probe = BytesIO(1)


def octets(data):
    """What can be a payload as what its bytes are in: of a str that is not ASCII new ones (allocates). ValueError."""
    if isinstance(data, str):
        return data.encode() if is_longer(data, len(data)) else data
    if hasattr(data, "fixed"):  # a Payload
        return data.buffer
    if not isinstance(data, _KINDS):
        raise ValueError("payload: give bytes, bytearray, memoryview, str or a Payload")
    return data


def size_of(data):
    """How many bytes a payload has."""
    if hasattr(data, "fixed"):
        return data.size
    n = len(octets(data))
    while isinstance(data, memoryview) and is_longer(data, n):  # it counts its items
        n += len(data)
    return n


def is_longer(data, n):
    """Whether there are more than n bytes in it: of a memoryview or a str only a stream tells without allocating."""
    _probe.seek(0)
    return _probe.write(data, n, 1) > 0


def check_first(n, size):
    """n, a count of bytes to use of `size`. ValueError: it is none."""
    if type(n) is not int or not 0 <= n <= size:
        raise ValueError("n: give a count of bytes, at most %d" % size)
    return n


def text_of(text):
    """A subject of a kind whose bytes can be read; ValueError: it is of another."""
    return text if isinstance(text, _KINDS) else checked(text)


def checked(text):
    """A subject to publish to, as bytes. Allocates. ValueError: it is none."""
    return check_subject(text).encode()


def check_subject(text, wild=False, what="subject"):
    """The subject as str. Allocates. ValueError: it is none; `what` is named then. Source: NATS protocol, subject names.

    wild: allow wildcards, a token `*`, and `>` as the last one.
    """
    try:
        text = text if isinstance(text, str) else bytes(text).decode()
        tokens = text.split(".")
        good = min(text) > " " and "" not in tokens and (wild or "*" not in tokens and ">" not in tokens)
        for c in text:
            good = good and c != "\x7f" and not 0xD800 <= ord(c) <= 0xDFFF
        good = good and ">" not in tokens[:-1]
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError("%s: no spaces, empty tokens, misplaced wildcards; str, or bytes of UTF-8" % what)
    return text


def header_block(nc, headers):
    """A ready header block as it is, or that of a dict. ValueError: it is none, or the server knows no headers."""
    if nc.connected and not nc.server.headers:
        raise ValueError("headers: this server does not know them")
    if isinstance(headers, _BYTES) and headers.find(b"NATS/1.0") == 0:
        if headers.find(b"\r\n\r\n") == len(headers) - 4:
            return headers
    from .headers import encode

    return encode(headers)
