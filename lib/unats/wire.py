"""The sending side: a transmit buffer that always starts and ends at a whole message.

`Outgoing.buf` holds messages and control lines, whole, in the order of the calls:

    | done | being sent |  not yet sent  |   free   | reserve |
    0           ^ f[_SENT]               ^ f[_END]  ^ limit

It is emptied only when all of it is sent: after a broken connection the message that was cut in
two is still there, to be sent again whole (unless it is one of the outbox, which sends those that
were lost again itself, and the older ones first). The reserve is for PING and PONG, so that a full buffer
does not end the keep-alive.
"""

from array import array

from micropython import const

try:
    from .kernels import ascii, copy, digits, move, operation, pub, put, room

    copy(bytearray(1), 0, "a", 0, 1)
except (SyntaxError, TypeError):  # no native emitter: SyntaxError; decorators taken out: TypeError
    from .plain import load

    load("kernels", globals())

RESERVE = 24
_BUFFERS = (bytes, bytearray, memoryview)
_SENT = const(0)  # the frame: see kernels.py
_END = const(1)
_ROOM = const(2)
_MAX_PAYLOAD = const(3)
_OUT_MSGS = const(4)
_OUT_BYTES = const(5)
_HURRY = const(6)
_HURRIES = const(7)
_WRAP = const(0x3FFFFFFF)


class Outgoing:
    """The transmit buffer. `take` says what the next message carries, `message` queues it."""

    def __init__(self, size):
        self.buf = bytearray(size + RESERVE)
        self.limit = size
        self.frame = array("i", [0] * 8)
        self.data = self.headers = self.reply = None
        self.size = 0
        self.raw = False  # the subject is as it came from the server: not to be checked
        self.large = None  # `large.Large`, once there was such a message
        self.passing = []  # " " and how reply subjects begin where a lost message is not to be kept

    def open(self, max_payload):
        """Messages are taken from now on (until f[_ROOM] is 0), of so many bytes at most."""
        self.frame[_ROOM] = self.limit
        self.frame[_HURRIES] = 2  # neither: the transport is to be told
        self.frame[_MAX_PAYLOAD] = min(max_payload, _WRAP) if max_payload > 0 else _WRAP

    def resume(self, max_payload):
        """A new connection, not up yet: return how many messages are too large for this server."""
        kept = self.rewind()
        self.open(max_payload)
        return kept - self.rewind(self.frame[_MAX_PAYLOAD])  # which leaves it closed: CONNECT comes first

    def take(self, payload, headers, n):
        """Set payload, its first n bytes (-1: all), and headers (a block of bytes, or None).

        ValueError if the payload is of no use. Only a str allocates.
        """
        if isinstance(payload, str):
            payload = payload.encode()
        elif not isinstance(payload, _BUFFERS):
            if not hasattr(payload, "buffer"):
                raise ValueError("payload: give bytes, bytearray, memoryview, str or a Payload")
            n = payload.size if n < 0 else min(n, payload.size)
            payload = payload.buffer
        self.data = payload
        self.headers = headers
        self.raw = False
        self.size = len(payload) if n < 0 else n
        if n > len(payload):
            raise ValueError("payload: n is more than its %d bytes" % len(payload))

    def body(self):
        """Bytes of headers and payload, as the server counts them against `max_payload`."""
        return self.size if self.headers is None else self.size + len(self.headers)

    def needs(self, n):
        """An upper bound of the bytes that the message takes, its subject being n bytes."""
        need = n + self.body() + 36
        return need if self.reply is None else need + len(self.reply)

    def message(self, source, start, n):
        """Queue PUB or HPUB to the subject source[start:start + n]; False if there is no room.

        ValueError if the subject or the reply subject is not valid; nothing is queued then.
        """
        if not self.room(self.needs(n)):
            return False
        at = self.head(source, start, n)
        if self.headers is not None:
            at = self.add(at, self.headers, len(self.headers))
        at = self.add(at, self.data, self.size)
        self.frame[_END] = self.add(at, b"\r\n", 2)
        self.count()
        return True

    def count(self):
        """Count the message in `out_msgs` and `out_bytes`."""
        f = self.frame
        if self.reply is not None or self.raw:  # a request, or a reply
            f[_HURRY] = 1
        f[_OUT_MSGS] = (f[_OUT_MSGS] + 1) & _WRAP
        f[_OUT_BYTES] = (f[_OUT_BYTES] + self.body()) & _WRAP

    def head(self, source, start, n):
        """Write the message's control line behind f[_END], which stays; return where it ends."""
        at = self.frame[_END]
        if self.headers is not None:
            at = self.add(at, b"H", 1)
        at = self.add(at, b"PUB ", 4)
        at = self.subject(at, source, start, n)
        if self.reply is not None:
            source = self.reply
            n = len(source)
            at = self.subject(at, source, 0, n)
        if self.headers is not None:
            at = digits(self.buf, at, len(self.headers))
            at = self.add(at, b" ", 1)
        at = digits(self.buf, at, self.body())
        return self.add(at, b"\r\n", 2)

    def add(self, at, data, n):
        """Write the first n bytes of data at `at`, return where they end."""
        return copy(self.buf, at, data, 0, n)

    def subject(self, at, source, start, n):
        """Write source[start:start + n] and a space at `at`, return where they end."""
        if self.raw:
            at = copy(self.buf, at, source, start, n)
            return self.add(at, b" ", 1)
        at = put(self.buf, at, source, start, n)
        return at if at >= 0 else self.odd_subject(-1 - at, source, start, n)

    def odd_subject(self, at, source, start, n):
        """As `subject`, for one that is not valid, or not ASCII. Allocates."""
        source = source.encode() if isinstance(source, str) else bytes(source[start : start + n])
        if not source or min(source) <= 32 or 127 in source or b".." in b"." + source + b".":
            raise ValueError("subject: no spaces, control characters and empty tokens")
        return self.add(self.add(at, source, len(source)), b" ", 1)

    def line(self, text, reserve=0):
        """Queue a control line; False if there is no room. PING and PONG may use the reserve."""
        f = self.frame
        n = len(text)
        if f[_END] + n > self.limit + reserve:
            return False
        f[_END] = copy(self.buf, f[_END], text, 0, n)
        f[_HURRY] = 1
        return True

    def room(self, need):
        """Whether there are so many bytes of room."""
        return self.frame[_END] + need <= self.limit

    def rewind(self, max_payload=_WRAP):
        """Forget all but the messages that have not left whole; return how many those are.

        Those with a larger body than the server takes are forgotten, too.
        """
        f = self.frame
        at = kept = 0
        while at < f[_END]:
            edge = self.edge(at)
            if self.is_message(at) and edge > f[_SENT] and self.is_kept(at, edge, max_payload):
                kept += 1
                at = edge
            else:
                self.drop(at, edge)
        f[_SENT] = f[_ROOM] = 0
        return kept

    def is_kept(self, at, edge, max_payload):
        """Not if it is too large; or if somebody sends it again by himself, and in his own order."""
        line = self.buf.find(b"\r\n", at)
        for reply in self.passing:
            if self.buf.find(reply, at, line) >= 0:
                return False
        return edge - line - 4 <= max_payload

    def drop(self, start, end):
        """Take the bytes from start to end out of the buffer."""
        f = self.frame
        move(self.buf, start, end, f[_END] - end)
        f[_END] -= end - start
        f[_SENT] = max(f[_SENT] - (end - start), 0)

    def edge(self, at):
        """Where the message or control line at `at` ends."""
        line = self.buf.find(b"\r\n", at)
        if not self.is_message(at):
            return line + 2
        at = self.buf.rfind(b" ", at, line)
        n = 0
        while at + 1 < line:  # in a slice it would need the heap
            at += 1
            n = 10 * n + self.buf[at] - 48
        return line + 4 + n

    def is_message(self, at):
        """Whether PUB or HPUB stands at `at`, and no control line."""
        return self.buf[at] == 72 or (self.buf[at] == 80 and self.buf[at + 1] == 85)
