"""Text as bytes, without allocating where it can be helped."""

from .wire import ascii


def octets(text):
    """The argument, whose items are its bytes: a str that is not ASCII is encoded (allocates)."""
    if isinstance(text, str) and not ascii(text, len(text)):
        return text.encode()
    return text
