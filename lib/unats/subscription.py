"""Subscriptions, and the messages that come for them; loaded by the first `subscribe()`.

A message whose body is larger than `rx_size` is BIG: it is streamed, or skipped and counted. While
one is streamed, its control line and headers stay in front of the receive buffer:

    | kept head | gap | not yet consumed | room ...
    0           ^ f[_KEPT]  ^ f[_POS]    ^ f[_END]
"""

from micropython import const

from .client import receive
from .errors import CONNECTED, OVERSIZE
from .msg import Msg, dispatch
from .wire import move

_NEED = const(0)
_MESSAGE = const(1)
_BIG = const(2)
_OTHER = const(3)
_FRAGMENT = const(4)

_POS = const(0)  # the frame: see scanner.py
_END = const(1)
_MODE = const(2)
_KEPT = const(3)
_LIMIT = const(4)
_COUNT = const(5)
_IN_MSGS = const(6)
_IN_BYTES = const(7)
_SID = const(8)
_HEAD = const(9)
_TOTAL = const(10)
_BODY = const(11)
_START = const(12)
_STOP = const(13)
_OFFSET = const(14)
_REPLY = const(15)
_SUBJECT = const(17)
_ROOM = const(2)  # of the frame for sending: see kernels.py
_WRAP = const(0x3FFFFFFF)

_SKIP = const(2)  # values of f[_MODE]: where in a BIG message it is
_STREAM = const(3)
_CRLF = const(4)
_MAX_HEAD = const(2)  # a streamed message's head must fit one such part of the buffer


def check(what, text, wildcards):
    """Return a subject or queue group as str; ValueError if it is not valid. Allocates."""
    if not isinstance(text, (str, bytes, bytearray, memoryview)):
        raise ValueError("%s: give str or bytes" % what)
    text = text if isinstance(text, str) else bytes(text).decode()
    for c in text:
        if c <= " " or c == "\x7f" or "\ud800" <= c <= "\udfff":
            raise ValueError("%s: a space or control character is in %r" % (what, text))
    tokens = text.split(".")
    if "" in tokens or (wildcards and ">" in tokens[:-1]):
        raise ValueError("%s: an empty token, or '>' before the end, is in %r" % (what, text))
    return text


class Subscription:
    """A subscription, made by `Client.subscribe`.

    `sid`, `subject`, `queue`; `received`: messages given to the handler; `dropped`: messages that
    were larger than `rx_size`; `error`: why this connection's server refused it, or None.
    """

    error = None

    def __init__(self, subs, sid, subject, handler, queue, max_msgs, stream):
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.handler = handler  # None: it has ended
        self.direct = None if max_msgs else handler  # for messages that need only be counted
        self.stream = stream
        self.received = self.dropped = 0
        self.size = len((subject + (queue or "")).encode()) + 48  # of what there is to tell at most
        self._subs = subs
        self._max = max_msgs
        self._before = 0  # messages had before this connection
        self._known = False  # this connection's server has it
        self._due = True  # ... but does not know all that it should

    def unsubscribe(self, max_msgs=0):
        """End it now, or once it has had max_msgs messages in all. Allocates.

        ValueError: max_msgs is below 0.
        """
        if max_msgs < 0:
            raise ValueError("max_msgs: at least 1, or 0 to end it now")
        self.direct = None
        if max_msgs > self.received + self.dropped:
            self._max = max_msgs
        else:
            self.handler = None
        self._due = True
        self._subs.changed(self)

    def is_meant(self, error):
        """Whether a refusal is of this subscription."""
        subject = "".join([chr(c) if c < 127 else "?" for c in self.subject.encode()])
        return error.subject == subject and ('" using queue "' in str(error)) == bool(self.queue)

    def lines(self):
        """What the server must be told now (it is taken to be told)."""
        line = b""
        known = self._known
        if self.handler is None:
            self._subs.forget(self)
            return b"UNSUB %d\r\n" % self.sid if known else line
        if not known:
            self.error = None  # another server, or other permissions, may take it
            self._before = self.received + self.dropped
            queue = self.queue + " " if self.queue else ""
            line = ("SUB %s %s%d\r\n" % (self.subject, queue, self.sid)).encode()
        if self._max:
            line += b"UNSUB %d %d\r\n" % (self.sid, self._max - self._before)
        self._known, self._due = True, False  # only now: there may be no memory for the line
        return line


class Subscriptions:
    """All subscriptions of a client; hands it the messages."""

    def __init__(self, client):
        self._client = client
        self._framer = framer = client._framer
        self._buf = framer.buf
        self._frame = framer.frame
        self._msg = Msg(client, framer.buf, framer.frame)
        self._all = {}
        self._lookup = self._all.get
        self._last = 0
        self._left = 0  # bytes of a BIG message still to come
        self.kind = _NEED  # what `run` stopped at

    def add(self, subject, handler, queue, max_msgs, stream):
        """See `Client.subscribe`."""
        subject = check("subject", subject, True)
        queue = queue and check("queue group", queue, False)
        if not callable(handler):
            raise ValueError("handler: give a function of one argument, the message")
        if max_msgs < 0:
            raise ValueError("max_msgs: at least 1, or 0 for no end")
        self._last += 1
        sub = Subscription(self, self._last, subject, handler, queue, max_msgs, stream)
        if sub.size > self._client._out.limit:
            raise ValueError("subject: too long for tx_size")
        self._all[sub.sid] = sub
        self.changed(sub)
        return sub

    def changed(self, sub):
        """Tell the server, if there is one."""
        if not self._client._owe_news() and sub.handler is None:
            self.forget(sub)

    def forget(self, sub):
        """Drop it from the table; messages under way for it are counted as dropped."""
        self._all.pop(sub.sid, None)

    def connected(self):
        """A new server: return all that it must be told, an iterator of bytes."""
        for sid in sorted(self._all):
            if sid in self._all:
                self._all[sid]._known = False
                yield self._all[sid].lines()

    def tell(self, out):
        """Queue what the server does not know; False if it did not all fit."""
        for sid in sorted(self._all):
            sub = self._all[sid]
            if sub._due:
                if not out.room(sub.size):
                    return False
                out.line(sub.lines())
        return True

    def hear(self, wait):
        """Receive before the first PONG: a message may come already, and its handler may publish."""
        client = self._client
        if client._greeting is not None and not client._chunk:
            client._out.open(client.server.max_payload)
        try:
            return receive(client, wait)
        finally:
            if client.state != CONNECTED:
                client._tx_frame[_ROOM] = 0

    def refused(self, error):
        """The server refused something: mark the subscription, if it is one."""
        if error.operation == "subscribe":
            for sid in sorted(self._all):
                sub = self._all[sid]
                if sub.error is None and sub.is_meant(error):
                    sub.error = error
                    error.subscription = sub
                    break

    def unsubscribe_all(self):
        """The lines that end them all for the server, while messages under way are handled."""
        return [b"UNSUB %d\r\n" % sid for sid in sorted(self._all)]

    def run(self):
        """Hand over the messages there are, return how many; `kind`: what comes next."""
        n = 0
        f = self._frame
        while True:
            kind = dispatch(self._buf, f, self._lookup, self._msg)
            n += f[_COUNT]
            if kind == _NEED:
                break
            if kind == _OTHER and f[_MODE] >= _SKIP:
                kind = self._go_on()
            elif kind == _BIG:
                kind = self._large()
            elif kind == _MESSAGE:
                f[_POS] = f[_STOP] + 2
            if kind == _MESSAGE or kind == _FRAGMENT:
                n += self._deliver()
            elif kind != _BIG:
                break
        self.kind = kind
        return n

    def _deliver(self):
        """Give the message or fragment to its handler; 1 if it had a whole message by that."""
        f = self._frame
        sub = self._all.get(f[_SID])
        if sub is None or sub.handler is None:
            self._client.stats.dropped += 1  # it was under way when the subscription ended
            if f[_MODE] == _STREAM:
                f[_MODE] = _SKIP
            return 0
        handler = sub.handler
        f[_IN_BYTES] = (f[_IN_BYTES] + f[_STOP] - f[_START]) & _WRAP
        last = self._msg.last
        if last:
            f[_IN_MSGS] = (f[_IN_MSGS] + 1) & _WRAP
            sub.received = (sub.received + 1) & _WRAP
            self._had_one(sub)
        handler(self._msg)
        return 1 if last else 0

    def _had_one(self, sub):
        """After its last message a subscription is over; the server knows."""
        if 0 < sub._max <= sub.received + sub.dropped:
            self.forget(sub)

    def _large(self):
        """A message is not all there: wait for it, stream it or skip it."""
        f = self._frame
        size = f[_BODY] - f[_POS] + f[_TOTAL] + 2
        if f[_TOTAL] < f[_LIMIT] and self._framer.fits(size):
            return _NEED
        sub = self._all.get(f[_SID])
        head = f[_BODY] + f[_HEAD] - f[_POS]
        if f[_LIMIT] and sub is not None and sub.stream and self._framer.fits(head * _MAX_HEAD):
            if f[_END] - f[_POS] < head:
                return _NEED
            self._stream(f[_POS], head)
        else:
            self._skip(sub)
        return _BIG

    def _stream(self, shift, head):
        """Move the head to the front of the buffer, where it stays, and go on behind it."""
        f = self._frame
        move(self._buf, 0, shift, head)
        f[_POS] = shift + head
        f[_KEPT] = head
        f[_BODY] -= shift
        i = _REPLY if f[_REPLY] else _SUBJECT
        while i < _SUBJECT + 2:
            f[i] -= shift
            i += 1
        f[_START] = f[_STOP] = 0
        f[_MODE] = _STREAM
        self._left = f[_TOTAL] - f[_HEAD]

    def _skip(self, sub):
        f = self._frame
        f[_POS] = f[_BODY]
        f[_MODE] = _SKIP
        self._left = f[_TOTAL]
        if sub is None or sub.handler is None:
            self._client.stats.dropped += 1
            return
        sub.dropped = (sub.dropped + 1) & _WRAP
        self._client.stats.oversize += 1
        self._had_one(sub)
        self._client._event(OVERSIZE, sub)

    def _go_on(self):
        """In the middle of a BIG message: FRAGMENT, BIG (go on), NEED or an error."""
        f = self._frame
        if f[_MODE] == _CRLF:
            return self._end()
        n = min(self._left, f[_END] - f[_POS])
        if n == 0 and self._left:
            return _NEED
        fragment = f[_MODE] == _STREAM
        if fragment:
            n = min(n, f[_LIMIT] - 1)  # rx_size: what a handler's own buffer will be made for
            f[_OFFSET] += f[_STOP] - f[_START]
            f[_START] = f[_POS]
            f[_STOP] = f[_POS] + n
        f[_POS] += n
        self._left -= n
        if self._left == 0:
            f[_MODE] = _CRLF
        return _FRAGMENT if fragment else _BIG

    def _end(self):
        f = self._frame
        at = f[_POS]
        if f[_END] - at < 2:
            return _NEED
        if self._buf[at] != 13 or self._buf[at + 1] != 10:
            return -3
        f[_POS] = at + 2
        f[_MODE] = f[_KEPT] = 0
        self._framer.line_done()
        return _BIG
