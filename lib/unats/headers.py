"""NATS headers (ADR-4): a block of `NATS/1.0 [status [text]]`, `Name: value` lines and an empty
one.

Names keep their case, and a name may come more than once. Everything here allocates.
"""

from .arguments import is_block

_VERSION = "NATS/1.0"


def encode(headers):
    """The block of a dict whose values are str (or bytes, or int), or lists of them.

    A ready block, bytes, passes as it is. ValueError for anything else, for a name that is not one
    token of printable ASCII without a colon, and for a value with a line end or another control
    character: a value can not become a header of its own.
    """
    if isinstance(headers, memoryview):
        headers = bytes(headers)
    if isinstance(headers, (bytes, bytearray)):
        if not is_block(headers):
            raise ValueError(
                "headers: a block begins with NATS/1.0, and ends with its only empty line"
            )
        return headers
    if not isinstance(headers, dict):
        raise ValueError("headers: give a dict, or a ready block as bytes")
    lines = [_VERSION]
    for name, values in headers.items():
        _check_name(name)
        for value in values if isinstance(values, (list, tuple)) else (values,):
            lines.append(name + ": " + _text(name, value))
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _check_name(name):
    if not name or not isinstance(name, str):
        raise ValueError("header name: give a str that is not empty")
    for c in name:
        if c <= " " or c == ":" or c > "~":
            raise ValueError("header name: no space, colon or control character in %r" % name)


def _text(name, value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value).decode()
    elif isinstance(value, (int, float)):
        value = str(value)
    elif not isinstance(value, str):
        raise ValueError("header %s: give str, or a list of them" % name)
    for c in value:
        if (c < " " and c != "\t") or c == "\x7f" or 0xD800 <= ord(c) <= 0xDFFF:
            raise ValueError("header %s: a control character is in its value" % name)
    return value
