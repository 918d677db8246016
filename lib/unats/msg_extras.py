"""What a `Msg` has beside the little that is always there: see `kernels.Msg`. Loaded when it is
first used.

Nothing here raises because bytes are not UTF-8: what is not is replaced by U+FFFD.
"""

from array import array
from json import loads

from . import kernels
from .arguments import is_longer
from .kernels import PARTS, Msg, shift
from .kernels import copy as copy_bytes
from .kernels import match as match_bytes

_SUBJECT, _REPLY, _HEAD, _START, _NAME, _VALUE, _SID = PARTS  # the end of each is behind it


def get(msg, name):
    """The attribute of a message. AttributeError: it has none of that name."""
    if name in _METHODS:
        return getattr(msg, name)  # the class has it by now
    if name == "data":
        return _part(msg, _START)
    if name == "text":
        return text(_part(msg, _START))
    if name == "subject":
        return text(_part(msg, _SUBJECT))
    if name == "reply":
        return text(_part(msg, _REPLY)) or None
    if name == "headers":
        return _headers(msg)
    if name == "status":
        number = _status(msg)[:3]
        return int(number) if number.isdigit() else None
    if name == "status_text":
        return text(_status(msg)[3:].strip())
    raise AttributeError(name)


# What does not allocate.


def token_equals(self, i, token):
    """Whether the i-th token of the subject, from 0, is this one."""
    at = self._f[_SUBJECT]
    end = self._f[_SUBJECT + 1]
    while i > 0:
        at = self.buffer.find(b".", at, end) + 1
        if at == 0:
            return False
        i -= 1
    dot = self.buffer.find(b".", at, end)
    dot = end if dot < 0 else dot
    return match(self.buffer, at, dot, token) == dot


def reply_int(self, i):
    """The i-th token of the reply subject, from 0, as a number; -1: there is none, or it is none.
    Allocates beyond 30 bits.
    """
    at = self._f[_REPLY]
    end = self._f[_REPLY + 1]
    while i > 0:
        at = self.buffer.find(b".", at, end) + 1
        if at == 0:
            return -1
        i -= 1
    value = -1
    while at < end:
        i = self.buffer[at] - 48
        if i == -2:
            break
        if not 0 <= i <= 9:
            return -1
        value = i if value < 0 else value * 10 + i
        at += 1
    return value


def header_equals(self, name, value):
    """Whether there is such a header (names count in the case as sent; blanks and tabs around
    values do not).
    """
    at = _next_header(self, 0)
    while at:
        if _is(self, _NAME, name) and _is(self, _VALUE, value):
            return True
        at = _next_header(self, at)
    return False


def to_int(self):
    """The payload as a decimal number, `-12` or `34`; ValueError if it is none. Allocates beyond
    30 bits.
    """
    at, end = self._f[_START], self._f[_START + 1]
    sign = 1
    if at < end and self.buffer[at] == 45:
        at += 1
        sign = -1
    value = 0
    begun = False
    while at < end:
        c = self.buffer[at] - 48
        if not 0 <= c <= 9:
            break
        begun = True
        value = value * 10 + c
        at += 1
    if at < end or not begun:
        raise ValueError("payload is no decimal number")
    return value * sign


def copy_into(self, buf, start=0):
    """Copy the payload to `buf` from `start` on; return its size. ValueError: it is too long."""
    n = self.size
    if not 0 <= start <= len(buf) - n:
        raise ValueError("payload: no room for its %d bytes" % n)
    if n:
        buf[start] = 0  # TypeError, if it is not to be written to
    copy_bytes(buf, start, self.buffer, self._f[_START], n)
    return n


def match(buf, at, end, other):
    """As `kernels.match`, with a str or a memoryview too."""
    n = len(other)
    if isinstance(other, str):
        if is_longer(other, n):
            return match_bytes(buf, at, end, other.encode())
    elif not isinstance(other, memoryview):
        return match_bytes(buf, at, end, other)
    return at + n if n <= end - at and _is_same(buf, at, other, n) else -1


def _is_same(buf, at, other, n):
    """Whether n characters of a str, or bytes of a memoryview, are those at buf[at]."""
    while n:
        n -= 1
        c = other[n]
        if buf[at + n] != (c if isinstance(c, int) else ord(c)):
            return False
    return True


def _is(msg, i, other):
    return match(msg.buffer, msg._f[i], msg._f[i + 1], other) == msg._f[i + 1]


def _next_header(msg, at):
    """Read the header line at `at` (0: the first): where the next one begins, or 0: there are no
    more. See ADR-4.
    """
    f = msg._f
    if at == 0:
        at = msg.buffer.find(b"\r\n", f[_HEAD], f[_HEAD + 1]) + 2
    while at > 1:
        end = msg.buffer.find(b"\r\n", at, f[_HEAD + 1])
        if end <= at:
            break
        if _is_header(msg, at, end):
            return end + 2
        at = end + 2
    return 0


def _is_header(msg, at, end):
    """Note where its name and value are; False: there is no colon."""
    buf, f = msg.buffer, msg._f
    f[_NAME] = at
    at = buf.find(b":", at, end)
    f[_NAME + 1] = at
    if at < 0:
        return False
    at += 1
    while at < end and (buf[at] == 32 or buf[at] == 9):
        at += 1
    while at < end and (buf[end - 1] == 32 or buf[end - 1] == 9):
        end -= 1
    f[_VALUE] = at
    f[_VALUE + 1] = end
    return True


# What does.


class _Copy(Msg):
    """A message with a buffer of its own."""

    def respond(self, payload=b"", headers=None, n=-1):
        return self.reply is not None and self.nc.publish(self.reply, payload, None, headers, n)


def copy(self):
    """A `Msg` with a buffer of its own, which stays valid."""
    f = array("i", self._f)
    twin = _Copy(
        self.nc, bytes(memoryview(self.buffer)[f[_SUBJECT] : f[_HEAD + 1]]) + self.data, f
    )
    shift(f, f[_SUBJECT])
    f[_START] = f[_HEAD + 1]
    f[_START + 1] = len(twin.buffer)
    return twin


def json(self):
    """The payload read as JSON. ValueError: it is none."""
    return loads(self.data)


def _status(msg):
    return _part(msg, _HEAD).split(b"\r\n", 1)[0][8:].strip()


def _part(msg, i):
    return bytes(memoryview(msg.buffer)[msg._f[i] : msg._f[i + 1]])


def text(raw):
    """Bytes as str; what is not UTF-8 is replaced, byte by byte."""
    try:
        return raw.decode()
    except ValueError:
        pass
    found, i = "", 0
    while i < len(raw):
        n = 1
        while n < 4 and i + n < len(raw) and raw[i + n] & 0xC0 == 0x80:
            n += 1
        try:
            found += raw[i : i + n].decode()
        except ValueError:
            found, n = found + "\ufffd", 1
        i += n
    return found


def _headers(msg):
    """The headers (ADR-4): a dict of str, for a repeated name a list of them; or None."""
    if not _part(msg, _HEAD):
        return None
    headers = {}
    at = _next_header(msg, 0)
    while at:
        name, value = text(_part(msg, _NAME)), text(_part(msg, _VALUE))
        if name not in headers:
            headers[name] = value
        elif isinstance(headers[name], list):
            headers[name].append(value)
        else:
            headers[name] = [headers[name], value]
        at = _next_header(msg, at)
    return headers


_METHODS = ("token_equals", "reply_int", "header_equals", "to_int", "copy_into", "copy", "json")
kernels.match = match
Msg.token_equals = token_equals
Msg.reply_int = reply_int
Msg.header_equals = header_equals
Msg.to_int = to_int
Msg.copy_into = copy_into
Msg.copy = copy
Msg.json = json
