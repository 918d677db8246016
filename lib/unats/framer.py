"""The receiving side: the receive buffer, and the server's operations other than messages.

    view = framer.room()        where to receive into (may move what is not consumed)
    framer.received(n)          so many bytes are there now
    kind = framer.next()        one operation, or NEED: no more in these bytes

Reading into the middle of a buffer takes a view, and a view allocates. So views are made once, one
for every eighth of the buffer, and `room` moves what is left over to end where a view begins:

    | kept | gap | not yet consumed | room: views[i] ...
    0            ^ f[_POS]          ^ f[_END]

Messages are `subscription.py`'s: while there is none of it, they are an unknown operation.
"""

from array import array

from micropython import const

from .handshake import Info
from .wire import operation, room

# What `next` returns; below 0 the server broke the protocol: see `WRONG`.
NEED, OTHER, PING, PONG, ERR, INFO = 0, 3, 5, 6, 8, 9
WRONG = "", "unknown operation", "malformed line", "no CR LF", "bad length", "endless line", "no memory"

_POS = const(0)  # the frame: see kernels.py and scanner.py
_END = const(1)
_MODE = const(2)
_KEPT = const(3)
_LIMIT = const(4)
_LINE = const(32)
_LINE_END = const(33)
_STEP = const(34)
_MORE = const(36)
_PONGS = const(37)
_UNANSWERED = const(38)
_IN_INFO = const(1)  # a value of f[_MODE]

_VIEWS = const(8)
_MAX_TEXT = const(512)  # so much of an -ERR is kept
_MAX_LINE = const(8192)  # twice what a nats-server allows itself


class Framer:
    """The receive buffer and the place in the stream."""

    def __init__(self, rx_size):
        self.frame = array("i", [0] * 39)
        self.frame[_STEP] = step = (rx_size + 256 + _VIEWS - 1) // _VIEWS
        size = step * (_VIEWS + 1)
        self.buf = bytearray(size + 1)  # `scan` marks the end with one more byte
        self.views = [memoryview(self.buf)[i * step : size] for i in range(_VIEWS + 1)]
        self.info = Info(self.buf, self.frame)
        self._limit = rx_size + 1
        self.reset()

    def reset(self):
        """Start a new stream: nothing received, no message half read."""
        f = self.frame
        f[_POS] = f[_END] = f[_MODE] = f[_KEPT] = f[_MORE] = f[_PONGS] = f[_UNANSWERED] = 0
        self.line_done()

    def line_done(self):
        """A control line has been consumed."""
        self.frame[_LIMIT] = self._limit
        self._cut = 0  # bytes of the line at hand that are gone already

    def fits(self, n):
        """Whether an operation of n bytes fits the buffer."""
        return n <= self.frame[_STEP] * _VIEWS

    def room(self):
        """The view to receive into, never empty; None: the control line does not end."""
        i = room(self.buf, self.frame)
        if i > _VIEWS:
            i = room(self.buf, self.frame) if self.shorten() else i
        return self.views[i] if i <= _VIEWS else None

    def shorten(self):
        """The buffer is full of one line: keep what matters of it; whether there is room now."""
        f = self.frame
        if f[_MODE] == _IN_INFO:
            return self.info.shorten()
        start, end = f[_POS], f[_END]
        line = bytes(memoryview(self.buf)[start:end])
        fields = b" ".join([field[:32] for field in line.split()])
        if line[-1] <= 32:
            fields += line[-1:]
        f[_END] = start + len(fields)
        self.buf[start : f[_END]] = fields
        f[_LIMIT] = 0  # if it is a message its subject is not whole: it will be skipped
        self._cut += end - f[_END]
        return self._cut < _MAX_LINE and len(fields) <= 256

    def received(self, n):
        """The transport put n bytes into the view that `room` gave."""
        self.frame[_END] += n

    def next(self):
        """The next operation; it is consumed. Allocates for INFO only."""
        if self.frame[_MODE] == _IN_INFO:
            return self.read_info()
        kind = operation(self.buf, self.frame)
        if kind > 0:
            self.line_done()
        return self.read_info() if kind == INFO else kind

    def read_info(self):
        """Read on in INFO, whose verb is consumed: INFO, NEED, or what is wrong with it."""
        self.frame[_MODE] = _IN_INFO
        kind = self.info.read()
        if kind:
            self.frame[_MODE] = 0
        return kind

    def text(self):
        """What ERR says. Allocates."""
        return self._text(self.frame[_LINE], self.frame[_LINE_END])

    def _text(self, start, end):
        self.buf[start] = 0  # `salvage` is not to find it again
        text = bytes(self.buf[start + 4 : min(end, start + _MAX_TEXT)]).strip(b" \t\r'")
        return "".join([chr(c) if 31 < c < 127 else "?" for c in text])

    def salvage(self):
        """Receiving failed, and how many bytes had come was lost; the `-ERR` among them, or None."""
        start = self.buf.find(b"-ERR ", self.frame[_END])
        end = self.buf.find(b"\r\n", start)
        if self.buf[self.frame[_END]] and 0 <= start < end:
            return self._text(start, end)
