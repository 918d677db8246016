"""What arguments have to be."""


def check_subject(text, wild=False, what="subject"):
    """The subject as str. Allocates. ValueError: it is none; `what` is named then. Source: NATS
    protocol, subject names.

    wild: allow wildcards, a token `*`, and `>` as the last one.
    """
    try:
        text = text if isinstance(text, str) else bytes(text).decode()
        tokens = text.split(".")
        good = (
            min(text) > " "
            and "" not in tokens
            and (wild or ("*" not in tokens and ">" not in tokens))
        )
        for c in text:
            good = good and c != "\x7f" and not 0xD800 <= ord(c) <= 0xDFFF
        good = good and ">" not in tokens[:-1]
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            "%s: no spaces, empty tokens, misplaced wildcards; str, or bytes of UTF-8" % what
        )
    return text


def check(name, value, start, end=0x3FFFFFFF):
    """ValueError unless the argument is an int from start to end."""
    if type(value) is not int or not start <= value <= end:
        raise ValueError("%s: give an int, %d to %d" % (name, start, end))
