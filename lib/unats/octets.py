"""Text as bytes, without allocating where it can be helped."""

from .wire import _BUFFERS, ascii


def octets(text):
    """The argument, whose items are its bytes: a str that is not ASCII is encoded (allocates)."""
    if isinstance(text, str):
        return text if ascii(text, len(text)) else utf8(text)
    if not isinstance(text, _BUFFERS):
        raise ValueError("subject: give str or bytes")
    return text


def utf8(text):
    """A str as bytes. ValueError: it holds half of a surrogate pair, which some ports would encode."""
    for c in text:
        if "\ud800" <= c <= "\udfff":
            raise ValueError("text: half of a surrogate pair is in it")
    return text.encode()
