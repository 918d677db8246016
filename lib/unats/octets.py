"""Text as bytes, without allocating where it can be helped."""

from .wire import ascii


def octets(text):
    """The argument, whose items are its bytes: a str that is not ASCII is encoded (allocates)."""
    if isinstance(text, str) and not ascii(text, len(text)):
        return utf8(text)
    return text


def utf8(text):
    """A str as bytes. ValueError: it holds half of a surrogate pair, which some ports would encode."""
    for c in text:
        if "\ud800" <= c <= "\udfff":
            raise ValueError("text: half of a surrogate pair is in it")
    return text.encode()
