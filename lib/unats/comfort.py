"""What a `Msg` has for comfort; all of it allocates. See `msg.py`."""

from array import array
from json import loads

from .headers import decode, status_of
from .msg import Msg

ATTRIBUTES = ("subject", "reply", "data", "text", "headers", "status")
METHODS = ("json", "copy")

# The frame: see scanner.py.
_HEAD, _TOTAL, _BODY, _START, _STOP, _OFFSET, _REPLY, _REPLY_END, _SUBJECT, _SUBJECT_END = range(9, 19)


def subject(msg):
    """The subject, a str."""
    return _str(msg, _SUBJECT)


def reply(msg):
    """The reply subject, a str, or None."""
    return _str(msg, _REPLY) or None


def _str(msg, i):
    return bytes(memoryview(msg.buffer)[msg._frame[i] : msg._frame[i + 1]]).decode()


def data(msg):
    """The payload, or the fragment of it, bytes."""
    return bytes(memoryview(msg.buffer)[msg.start : msg.end])


def text(msg):
    """The payload as str; UnicodeError if it is not UTF-8."""
    return data(msg).decode()


def json(msg):
    """The payload read as JSON; ValueError if it is none."""
    return loads(data(msg))


def headers(msg):
    """The headers (ADR-4): a dict of str, for a repeated key a list of them; or None."""
    block = _block(msg)
    return decode(block) if block else None


def status(msg):
    """The number in the headers' first line, as 503 for no responders; or None."""
    return status_of(_block(msg))


def _block(msg):
    at = msg._frame[_BODY]
    return bytes(memoryview(msg.buffer)[at : at + msg._frame[_HEAD]])


def copy(msg):
    """A `Msg` with a buffer of its own, which stays valid."""
    frame = array("i", msg._frame)
    shift = frame[_SUBJECT]
    head = bytes(memoryview(msg.buffer)[shift : frame[_BODY] + frame[_HEAD]])
    for i in (_BODY, _SUBJECT, _SUBJECT_END) + ((_REPLY, _REPLY_END) if frame[_REPLY] else ()):
        frame[i] -= shift
    twin = Msg(msg._client, head + data(msg), frame)
    frame[_START] = len(head)
    frame[_STOP] = len(twin.buffer)
    return twin
