"""A received message, looked at where it lies in the receive buffer.

There is one `Msg` per client. It is valid inside the handler only: the next message takes its
place. `copy()` makes one that lasts.
"""

from micropython import const

try:
    from .scanner import dispatch, same

    same(bytearray(1), 0, "a", 0, 1)
except (SyntaxError, TypeError):  # see wire.py
    from .plain import load

    load("scanner", globals())
from .octets import octets
from .wire import copy

# The frame: see scanner.py.
_SID = const(8)
_HEAD = const(9)
_TOTAL = const(10)
_BODY = const(11)
_START = const(12)
_STOP = const(13)
_OFFSET = const(14)
_REPLY = const(15)
_REPLY_END = const(16)
_SUBJECT = const(17)
_SUBJECT_END = const(18)


class Msg:
    """The message that a handler is given.

    `buffer[start:end]` is the payload, or with `stream=True` the fragment of it at `offset`.
    Unless it says so, nothing here allocates. What does is in `comfort.py`, loaded when it is used:
    `subject`, `reply`, `data`, `text`, `headers`, `status`, `json()` and `copy()`.
    """

    def __init__(self, client, buffer, frame):
        self._client = client
        self._frame = frame
        self.buffer = buffer

    @property
    def start(self):
        """Where in `buffer` the payload starts."""
        return self._frame[_START]

    @property
    def end(self):
        """Where in `buffer` the payload ends."""
        return self._frame[_STOP]

    @property
    def size(self):
        """Bytes of payload in `buffer[start:end]`."""
        return self._frame[_STOP] - self._frame[_START]

    @property
    def offset(self):
        """Where in the whole payload this fragment starts (0, unless it is streamed)."""
        return self._frame[_OFFSET]

    @property
    def total(self):
        """Bytes of payload of the whole message."""
        return self._frame[_TOTAL] - self._frame[_HEAD]

    @property
    def last(self):
        """Whether this is the message's last fragment (always, unless it is streamed)."""
        return self._frame[_OFFSET] + self.size == self.total

    @property
    def sid(self):
        """The subscription's number."""
        return self._frame[_SID]

    def equals(self, other):
        """Whether the payload is `other` (bytes-like, or str; allocates if that is not ASCII)."""
        return self._is(self.start, self.end, other)

    def startswith(self, prefix):
        """Whether the payload begins with `prefix` (as in `equals`)."""
        prefix = octets(prefix)
        return self._is(self.start, min(self.start + len(prefix), self.end), prefix)

    def subject_equals(self, subject):
        """Whether the subject is this one (as in `equals`)."""
        return self._is(self._frame[_SUBJECT], self._frame[_SUBJECT_END], subject)

    def token_equals(self, i, token):
        """Whether the i-th token of the subject, from 0, is this one (as in `equals`)."""
        at = self._frame[_SUBJECT]
        end = self._frame[_SUBJECT_END]
        while True:
            dot = self.buffer.find(b".", at, end)
            if i == 0:
                return self._is(at, end if dot < 0 else dot, token)
            if dot < 0:
                return False
            at = dot + 1
            i -= 1

    def header_equals(self, name, value):
        """Whether there is such a header (as in `equals`; names count in the case as sent)."""
        name = octets(name)
        end = self._frame[_BODY] + self._frame[_HEAD]
        at = self.buffer.find(b"\r\n", self._frame[_BODY], end) + 2
        while 2 < at < end - 2:
            if self._header_is(at, name, value):
                return True
            at = self.buffer.find(b"\r\n", at, end) + 2
        return False

    def _header_is(self, at, name, value):
        end = self.buffer.find(b"\r\n", at)
        colon = self.buffer.find(b":", at, end)
        if not self._is(at, colon, name):
            return False
        at = colon + 1
        while at < end and self.buffer[at] == 32:
            at += 1
        while at < end and self.buffer[end - 1] == 32:
            end -= 1
        return self._is(at, end, value)

    def _is(self, start, end, other):
        other = octets(other)
        return len(other) == end - start and same(self.buffer, start, other, 0, len(other)) == 1

    def to_int(self):
        """The payload as a decimal number, `-12` or `34`; ValueError if it is none."""
        at = self.start
        negative = at < self.end and self.buffer[at] == 45
        if negative:
            at += 1
        if at == self.end:
            raise ValueError("payload is no decimal number")
        value = 0
        while at < self.end:
            c = self.buffer[at] - 48
            if not 0 <= c <= 9:
                raise ValueError("payload is no decimal number")
            value = value * 10 + c
            at += 1
        return -value if negative else value

    def copy_into(self, buf, start=0):
        """Copy the payload to `buf` from `start` on; return its size. ValueError: it is too long."""
        n = self.end - self.start
        if not 0 <= start <= len(buf) - n:
            raise ValueError("payload of %d bytes: no room for it in the buffer" % n)
        if n:
            buf[start] = self.buffer[self.start]  # TypeError, if it is not to be written to
        copy(buf, start, self.buffer, self.start, n)
        return n

    def respond(self, payload=b"", headers=None, n=-1):
        """Publish to the reply subject, as `Client.publish`; False also if there is none."""
        start = self._frame[_REPLY]
        if not start:
            return False
        self._client._out.take(payload, headers, n)
        self._client._out.reply = None
        self._client._out.raw = True
        return self._client._queue(self.buffer, start, self._frame[_REPLY_END] - start)

    def __getattr__(self, name):
        from . import comfort

        if name in comfort.ATTRIBUTES:
            return getattr(comfort, name)(self)
        if name in comfort.METHODS:
            return lambda: getattr(comfort, name)(self)
        raise AttributeError(name)
