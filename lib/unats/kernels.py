"""The framer: what is where in the two buffers, and the inner loops over them as machine code.

There is no input and output here, and nothing allocates unless it says so. Machine code (viper,
native) has no bounds checks, so each function says who has checked. With the decorator lines taken
out this file runs as bytecode, with the same results: the plain flavour, for ports without an
emitter, and for the tests.

Positions. One array of ints, `f`, says what is where. The receive buffer is read into at multiples
of f[_STEP], so that the views for that are made once; what is left over is moved in front of the
next read:

    | kept head | gap | left over, not yet consumed |  read next ...
    0           ^ f[_KEPT] ^ f[POS]                 ^ f[END], a multiple of f[_STEP]

The transmit buffer holds whole messages and control lines, and is emptied only when all of it is
sent; so after a broken connection the message that was cut in two is still there, to be sent
again:

    |  sent  |  not yet sent  |  free            | reserve for PING and PONG |
    0        ^ f[SENT]        ^ f[QUEUED]        ^ f[ROOM], or 0: nothing is taken
"""

from array import array

import micropython
from micropython import const

POS = const(0)
END = const(1)
# 0, or -1 in the middle of a line of text, or bytes still to come of a message larger than the
# buffer, CR LF among them
_LEFT = const(2)
_LIMIT = const(3)  # the smallest size not to deliver whole; 0: none is, its control line was cut
SENT = const(4)
QUEUED = const(5)
ROOM = const(6)
MAX_PAYLOAD = const(7)
_IN_MSGS = const(8)  # counters, in the order of `Stats`
_IN_BYTES = const(9)
_OUT_MSGS = const(10)
_OUT_BYTES = const(11)
_SUBJECT = const(12)  # the five fields of a control line, each from, to, and its value as a number
_SUBJECT_END = const(13)
_SID = const(17)
_REPLY = const(18)  # the reply subject, from and to (the same: there is none)
_REPLY_END = const(19)
# of a header, once that is looked for, where the last fields were: its name and value
_NAME = const(20)
_VALUE = const(22)
_HEAD = const(24)  # the headers, from and to
_HEAD_END = const(25)
_START = const(27)  # the payload, or the fragment of it at hand, from
_STOP = const(28)  # ... and to
_SIZE = const(29)  # bytes of that
_TOTAL = const(30)  # bytes of the whole payload,
_OFFSET = const(31)  # ... and where in it the fragment begins
_STEP = const(32)
# bytes in front that stay: control line and headers of a message that comes in fragments
_KEPT = const(33)
_WHOLE = const(34)  # f[_LIMIT], while no control line was cut
_CUT = const(35)  # bytes of the control line at hand that are gone already
_POSITIONS = const(36)

_NEED = const(0)  # what `scan` and `dispatch` say: more bytes are needed;
_MESSAGE = const(1)  # ... a message, all there, whose subscription wants looking after;
_LARGE = const(2)  # ... a message that is not all there, or too large;
_OTHER = const(3)  # ... an operation that is no message, or the rest of a large one;
_WRONG = const(4)  # ... what the protocol does not allow

_RESERVE = const(24)  # of the transmit buffer, for PING and PONG
_SLACK = const(36)  # what PUB takes at most beside subjects, headers and payload
_BAD = const(0x3FFFFFFF)  # the value of a field that is no number, or too large a one
_WRAP = const(0x3FFFFFFF)  # counters stay below what needs the heap
_MAX_LINE = const(8192)  # twice what a nats-server allows itself
_MAX_SIZE = const(67108864)  # 64 MiB, the most that a nats-server can be told to accept
_none = None  # viper compares with a variable only
_bytearray, _bytes, _len, _type = bytearray, bytes, len, type  # found sooner than built-ins


@micropython.viper
def copy(buf, at: int, data, start: int, n: int) -> int:
    """Copy n bytes from data[start] to buf[at], which the caller has checked; return at + n. In
    one buffer, only towards 0.
    """
    dst = ptr8(buf)
    src = ptr8(data)
    n += start
    while start < n - 3:  # four a turn: the turn costs more than the bytes
        dst[at] = src[start]
        dst[at + 1] = src[start + 1]
        dst[at + 2] = src[start + 2]
        dst[at + 3] = src[start + 3]
        at += 4
        start += 4
    while start < n:
        dst[at] = src[start]
        at += 1
        start += 1
    return at


@micropython.viper
def digits(buf: ptr8, at: int, n: int, decimals: int) -> int:
    """Write n >= 0 in decimal at buf[at], with a point before the last `decimals` of its digits;
    return its end. There is room for 11 bytes: the caller has checked n, and that decimals < 9.
    """
    end = at + 1
    rest = n // 10
    while rest > 0 or end - at <= decimals:
        rest = rest // 10
        end += 1
    if decimals > 0:
        end += 1
    i = end
    while i > at:
        i -= 1
        buf[i] = 48 + n % 10
        n = n // 10
        decimals -= 1
        if decimals == 0:
            i -= 1
            buf[i] = 46
    return end


@micropython.viper
def make_room(buf: ptr8, f: ptr32) -> int:
    """Move what is left over so that it ends at a multiple of f[_STEP]; return which. Above 8: it
    fills the buffer.
    """
    at = f[POS]
    n = f[END] - at
    i = f[_STEP]
    i = (f[_KEPT] + n + i - 1) // i
    if i < 9:
        to = i * f[_STEP]
        f[END] = to
        to -= n
        f[POS] = to
        step = 1
        if to > at:  # they may overlap: from the end on
            at += n - 1
            to += n - 1
            step = -1
        while n > 0:
            buf[to] = buf[at]
            at += step
            to += step
            n -= 1
        buf[f[END]] = 0  # nothing has come yet: see `connection.failed`
    return i


@micropython.viper
def encode(
    f, buf, subject, start: int, n: int, data, size: int, reply, headers, checked: int
) -> int:
    """Queue PUB or HPUB to subject[start : start + n] with the first `size` bytes of the data,
    which the caller has checked.

    1: done; 0: no room (which is checked here); -1: a subject is not plainly valid;
    -2: larger than f[MAX_PAYLOAD]. Nothing is queued then. checked, of its bits, 1: subjects are
    valid; 2: queue the control line alone. Source: NATS protocol.
    """
    p = ptr32(f)
    tx = ptr8(buf)
    src = ptr8(subject)
    head = int(_len(headers))
    more = int(_len(reply))
    at = p[QUEUED]
    total = size + head
    if total > p[MAX_PAYLOAD]:
        return -2
    if at + n + more + (0 if checked & 2 else total) + _SLACK > p[ROOM]:
        return 0
    if head:
        tx[at] = 72
        at += 1
    tx[at] = 80
    tx[at + 1] = 85
    tx[at + 2] = 66
    tx[at + 3] = 32
    at += 4
    good = 1
    while True:  # the subject, and then the reply subject
        c = 46
        while n:
            last = c
            c = int(src[start])
            if c < 63:
                if c <= 42 or c == 62 or (c == 46 and last == 46):
                    good = checked & 1
            elif c > 126:
                good = checked & 1
            tx[at] = c
            at += 1
            start += 1
            n -= 1
        if c == 46:
            good = checked & 1
        if good == 0:
            return -1
        tx[at] = 32
        at += 1
        if more == 0:
            break
        src = ptr8(reply)
        start = 0
        n = more
        more = 0
    if head:
        at = int(digits(buf, at, head, 0))
        tx[at] = 32
        at += 1
    at = int(digits(buf, at, total, 0))
    tx[at] = 13
    tx[at + 1] = 10
    at += 2
    p[_OUT_MSGS] = (p[_OUT_MSGS] + 1) & _WRAP
    p[_OUT_BYTES] = (p[_OUT_BYTES] + total) & _WRAP
    if checked & 2:
        p[QUEUED] = at
        return 1
    if head:
        at = int(copy(buf, at, headers, 0, head))
    at = int(copy(buf, at, data, 0, size))
    tx[at] = 13
    tx[at + 1] = 10
    p[QUEUED] = at + 2
    return 1


@micropython.viper
def scan(buf: ptr8, f: ptr32) -> int:
    """Read the message at f[POS], in the form in which nats-server sends it; nothing is consumed.
    A byte is free behind f[END].

    _MESSAGE: all of it is there, and below f[_LIMIT]; _LARGE: that is not so, but its control line
    is there; _NEED;
    _WRONG: CR LF missing; _OTHER: it is no message, or in the middle of one, or in another form.
    Source: NATS protocol.
    """
    at = f[POS]
    end = f[END]
    if at >= end:
        return _NEED
    buf[end] = 0  # ends what runs below, so that it need not look for the end
    sizes = 3
    if buf[at] == 72:  # H of HMSG
        sizes = 6
        at += 1
    if f[_LEFT] or buf[at] != 77 or buf[at + 1] != 83 or buf[at + 2] != 71:
        return _OTHER
    at += 3
    i = _SUBJECT
    c = int(buf[at])
    while c == 32:
        at += 1
        f[i] = at
        value = 0  # (of no use, but harmless, in a subject)
        c = int(buf[at])
        while c > 32:
            c -= 48
            value = value * 10 + c if c >= 0 and c <= 9 and value < 100000000 else _BAD
            at += 1
            c = int(buf[at])
        f[i + 1] = at
        f[i + 2] = value
        # Empty; or a sixth (which went where there is no harm).
        if f[i] == at or i > _SUBJECT + 14:
            c = 0
            break
        i += 3
    if at + 1 >= end:
        return _NEED
    value = f[i - 1]
    head = f[i - 4] if sizes == 6 else 0
    i -= sizes  # where the reply subject is, or, if there is none, a size
    if c != 13 or buf[at + 1] != 10 or f[_SID] == _BAD or value > _MAX_SIZE or value < head:
        return _OTHER
    if i == _SUBJECT + 6:
        f[_REPLY_END] = f[_REPLY]
    elif i != _SUBJECT + 9:
        return _OTHER
    at += 2
    f[_HEAD] = at
    f[_START] = f[_HEAD_END] = at + head
    f[_SIZE] = f[_TOTAL] = value - head
    f[_OFFSET] = 0
    at += value
    f[_STOP] = at
    if at + 2 > end or value >= f[_LIMIT]:
        return _LARGE
    return _MESSAGE if buf[at] == 13 and buf[at + 1] == 10 else _WRONG


@micropython.viper
def dispatch(buf, f, lookup, msg) -> int:
    """Hand over the messages from f[POS] on, each to `direct(msg)` of the subscription
    lookup(sid).

    Stops at whatever is not that simple, without consuming it. Returns what `scan` says of that,
    plus eight times how many messages were handed over; so _MESSAGE is one whose subscription is
    gone, or is not `direct`. A handler may do anything, also receive: nothing is kept but in f.
    """
    p = ptr32(f)
    count = 0
    while True:
        kind = int(scan(buf, f))
        sub = lookup(p[_SID]) if kind == _MESSAGE else _none
        if sub is _none:
            return count + kind
        handler = sub.direct
        if handler is _none:
            return count + kind
        p[POS] = p[_STOP] + 2
        count += 8
        p[_IN_MSGS] = (p[_IN_MSGS] + 1) & _WRAP
        p[_IN_BYTES] = (p[_IN_BYTES] + p[_SIZE]) & _WRAP
        sub.received = (int(sub.received) + 1) & _WRAP
        handler(msg)


@micropython.native
def attempt(client, data, at, n):
    """One call of the transport: write n bytes of data from `at` on (how many it took); n 0: read
    into the view `data` (how many came, 0 if it is closed, None for nothing); n -1: wait `at` ms,
    for room too if data is True.

    What it raises goes to the client, which says what to take for the answer.
    """
    transport = client.transport
    try:
        if n > 0:
            return transport.write(data, at, n) or 0
        if n == 0:
            return transport.readinto(data)
        transport.wait(at, data)
    except (OSError, MemoryError) as e:
        return client._failed(e, n)


@micropython.native
def publish(self, subject, payload=b"", reply=None, headers=None, n=-1):
    """Queue a message; True, or False (and `stats.dropped`) if it could not be.

    subject: str or bytes, without wildcards. payload: bytes, bytearray, memoryview (of any item
    size: its bytes), str or `Payload`; n: use its first n bytes only. reply: a subject. headers: a
    dict of str (or of lists of str), or a ready block of bytes.
    The next `poll()` sends it, with all that is queued by then; a full buffer is sent at once.
    Does not wait, and does not allocate (but for a str payload, a dict of headers, and subjects
    that are not ASCII); only a message larger than `tx_size` is sent here and now, piece by piece.
    ValueError: a bad subject or reply subject, a payload over the server's `max_payload`, headers
    the server does not know; nothing is sent then.
    """
    if reply is None and headers is None and n == -1:
        kind = _type(payload)
        what = _type(subject)
        while (kind is _bytes or kind is _bytearray) and (what is str or what is _bytes):
            done = encode(
                self._f, self._tx, subject, 0, _len(subject), payload, _len(payload), b"", b"", 0
            )
            if done > 0:
                return True
            if done or not drained(self):
                break
    # (A call with all of these would have a frame too large to be made without the heap.)
    rest = self._rest
    rest[0] = subject
    rest[1] = reply
    rest[2] = headers
    rest[3] = payload
    rest[4] = n
    return self._publish()


@micropython.native
def encode_rest(nc):
    """`encode` what `arguments.publish` has put together."""
    rest = nc._rest
    return encode(
        nc._f, nc._tx, rest[0], rest[6], rest[5], rest[3], rest[4], rest[1], rest[2], rest[7]
    )


# Sending.


def push(nc, data, at, n):
    """Hand the transport up to n bytes of data from `at` on, as the window allows; return how many
    it took.
    """
    w = nc._window
    if w is not None:
        n = min(n, w.size - w.out - w.COST)
    if n <= 0:
        return 0
    n = attempt(nc, data, at, n)
    if n and w is not None:
        w.out += n + w.COST
        w.tail += n + w.COST
    return n or 0


def write(nc):
    """Hand the transport what is queued, as much as it takes."""
    f = nc._f
    if f[ROOM] and nc._broken is None:
        at = f[SENT]
        if nc._window is None:
            at += attempt(nc, nc._tx, at, f[QUEUED] - at) or 0
        else:
            if nc._window.tail + f[QUEUED] - at > nc._window.ping_at:
                ping(nc)
            at += push(nc, nc._tx, at, f[QUEUED] - at)
        if at == f[QUEUED]:
            at = f[QUEUED] = 0
        f[SENT] = at


def drained(nc):
    """Make room by sending what is queued; whether there was something, and all of it is gone."""
    f = nc._f
    if f[QUEUED] == 0:
        return False
    write(nc)
    return f[QUEUED] == 0


def control(nc, line):
    """Queue a control line (bytes); False: there is no room. PING and PONG may use the reserve."""
    f = nc._f
    n = len(line)
    if f[QUEUED] + n > nc.tx_size + (0 if n > 6 else _RESERVE):
        return False
    f[QUEUED] = copy(nc._tx, f[QUEUED], line, 0, n)
    return True


def ping(nc):
    """Queue a PING; return which one of this connection it is, or -1: there was no room."""
    if not control(nc, b"PING\r\n"):
        return -1
    nc._pings += 1
    if nc._window is not None:
        nc._window.pinged(nc._pings, nc._f[QUEUED] - nc._f[SENT])
    return nc._pings


# Receiving, beside what `dispatch` does.


def exchange(nc, wait):
    """Send what is queued, wait at most so many ms for something to come, act on it; return how
    many messages came.
    """
    f, w = nc._f, nc._window
    if f[QUEUED]:
        write(nc)
    if w is not None:
        w.handler = True  # one may be called
    n = dispatch_all(nc) if f[POS] < f[END] else 0  # what came before a handler raised
    if wait > 0 and n == 0 and nc._broken is None:
        attempt(
            nc,
            (f[QUEUED] > 0 or nc._chunk != b"") and (w is None or w.out + w.COST < w.size),
            wait,
            -1,
        )
    n += receive(nc, f)
    if w is not None:
        w.handler = False
    return n


def receive(nc, f):
    """Read and dispatch, a few buffers at most; return how many messages came."""
    n, rounds = 0, 8
    while rounds and not nc._deaf:
        i = make_room(nc._rx, f)
        if i > 8:
            if nc.feature("tidy").truncate(nc._rx, f):
                continue
            _wrong(nc)
            break
        i = attempt(nc, nc._views[i], 0, 0)
        if not i:
            if i == 0:
                nc.end("closed by the server")
            break
        f[END] += i
        rounds = rounds - 1 if f[END] == 9 * f[_STEP] else 0
        n += dispatch_all(nc)
    return n


def dispatch_all(nc):
    """Act on all that has come; return how many messages were handled."""
    f = nc._f
    n = 0
    while f[POS] < f[END]:
        kind = dispatch(nc._rx, f, nc._lookup, nc._msg)
        n += kind >> 3
        kind &= 7
        if kind == _OTHER:
            kind = _go_on(nc) if f[_LEFT] > 0 else _operation(nc)
        elif kind:
            kind = _message(nc, kind)
        else:
            kind = -1
        if kind < 0:
            break
        n += kind
    return n


# These return 1 for a message that was handled, 0 for anything else, -1: there is no more to be
# done.


def _message(nc, kind):
    """A message that is not as simple as `dispatch` wants it, or not all there, or wrong."""
    f = nc._f
    if kind == _WRONG:
        return _wrong(nc)
    sub = nc._lookup(f[_SID])
    if kind == _MESSAGE:
        f[POS] = f[_STOP] + 2
        return _deliver(nc, sub, True)
    if f[_STOP] - f[_HEAD] < f[_LIMIT] and f[_STOP] + 2 - f[POS] <= 8 * f[_STEP]:
        return -1
    if sub is not None and sub.chunked and f[_LIMIT] and f[_SIZE]:
        if f[_HEAD_END] - f[POS] <= 4 * f[_STEP]:
            return _begin_fragments(nc, f, sub)
    f[POS] = f[_HEAD]
    f[_LEFT] = f[_STOP] - f[_HEAD] + 2
    nc._fragments = None
    if sub is None or sub.handler is None:
        nc.stats.dropped += 1
        return 0
    nc.stats.oversize += 1
    sub.dropped += 1
    nc.count(sub)
    nc.event("oversize", sub)
    return 0


def _begin_fragments(nc, f, sub):
    """Move control line and headers to the front of the buffer, where they stay."""
    at = f[POS]
    if f[END] < f[_HEAD_END]:
        return -1
    f[_KEPT] = f[_HEAD_END] - at
    f[POS] = f[_HEAD_END]
    shift(f, at)
    copy(nc._rx, 0, nc._rx, at, f[_KEPT])
    f[_LEFT] = f[_SIZE] + 2
    f[_SIZE] = 0
    nc._fragments = sub
    return 0


def shift(f, n):
    """Control line and headers of the message at hand have moved so far towards 0."""
    sid = f[_SID]
    i = _SUBJECT
    while i <= _HEAD_END:
        f[i] -= n
        i += 1
    f[_SID] = sid


def _go_on(nc):
    """In the middle of a message that is larger than the buffer: the next fragment of it, or its
    end.
    """
    f, sub = nc._f, nc._fragments
    n = f[END] - f[POS]
    if f[_LEFT] > 2:
        n = min(n, f[_LEFT] - 2)
        if sub is not None:
            n = min(n, f[_WHOLE] - 1)
        f[_OFFSET] += f[_SIZE]
        f[_START] = f[POS]
        f[POS] = f[_STOP] = f[_START] + n
        f[_SIZE] = n
        f[_LEFT] -= n
        return 0 if sub is None else _deliver(nc, sub, f[_LEFT] == 2)
    if n < 2:
        return -1
    n = f[POS]
    f[POS] = n + 2
    f[_LEFT] = f[_KEPT] = f[_CUT] = 0
    f[_LIMIT] = f[_WHOLE]
    return 0 if nc._rx[n] == 13 and nc._rx[n + 1] == 10 else _wrong(nc)


def _deliver(nc, sub, last):
    """Give a message, or a fragment of one, to its subscription."""
    f = nc._f
    if sub is None or sub.handler is None:
        nc._fragments = None
        nc.stats.dropped += 1  # it was under way when the subscription ended
        return 0
    f[_IN_BYTES] = (f[_IN_BYTES] + f[_SIZE]) & _WRAP
    handler = sub.handler
    if last:
        f[_IN_MSGS] = (f[_IN_MSGS] + 1) & _WRAP
        sub.received += 1
        nc.count(sub)
    handler(nc._msg)
    return 1 if last else 0


def _operation(nc):
    """An operation that is no message."""
    f, rx = nc._f, nc._rx
    c = rx[f[POS]] | 32
    if f[_LEFT] or c == 105 or c == 45:  # INFO, -ERR
        return nc.connection().text(nc)
    end = rx.find(b"\n", f[POS], f[END]) + 1
    if c == 109 or c == 104:  # a message, in a form that nats-server does not send
        if not end:
            return -1
        if nc.feature("tidy").tidy(rx, f):
            return 0
    elif not end and f[END] - f[POS] < 64 and (c == 112 or c == 43):
        return -1
    return _short(nc, rx, end)


def _short(nc, rx, end):
    """PING, PONG, +OK; there is nothing else."""
    at = nc._f[POS]
    nc._f[POS] = end
    word = 0
    while rx[at] > 32 and word < 0x10000:  # the first three letters: four need the heap
        word = word << 8 | rx[at] | 32
        at += 1
    if word != 0x2B6F6B and rx[at] | 32 == 103:
        at += 1
    elif word != 0x2B6F6B:
        word = 0
    if not end or rx[end - 2] != 13 or (at + 2 != end and rx[at] != 32 and rx[at] != 9):
        word = 0
    if word == 0x70696E:
        nc._pong = nc._todo = True
    elif word == 0x706F6E:
        nc._pongs += 1
        nc._silent = 0
        if nc._window is not None:
            nc._window.ponged(nc._pongs)
    elif word != 0x2B6F6B:
        return _wrong(nc)
    return 0


def _wrong(nc):
    """What has come is not what the protocol allows: what is behind it is not looked at."""
    nc._f[POS] = nc._f[END]
    return nc.end("no NATS protocol", "ProtocolError")


def skip(f, end):
    """Nothing is left of the control line at hand beyond `end`: its message will be skipped.
    False: it is endless.
    """
    f[_CUT] += f[END] - end
    f[END] = end
    f[_LIMIT] = 0
    return f[_CUT] < _MAX_LINE


def read_line(rx, f):
    """Consume what has come of a line, and return it, bytes: what follows belongs to it up to LF.
    Allocates.
    """
    at = f[POS]
    end = rx.find(b"\n", at, f[END]) + 1
    f[_LEFT] = 0 if end else -1
    f[POS] = end or f[END]
    return bytes(memoryview(rx)[at : f[POS]])


def reset(f):
    """A new connection: nothing received, nothing can be queued."""
    f[POS] = f[END] = f[_LEFT] = f[_KEPT] = f[_CUT] = f[ROOM] = 0
    f[_LIMIT] = f[_WHOLE]


def positions(rx_size):
    """The array for a receive buffer of 9 * step + 1 bytes; and that step."""
    step = (rx_size + 263) // 8
    f = array("i", [0] * _POSITIONS)
    f[_STEP] = step
    f[_WHOLE] = rx_size + 1
    reset(f)
    return f, step


class Stats:
    """Counters, from 0 when the client was made; also by subscript.

    in_msgs, in_bytes: given to handlers, payload only. out_msgs, out_bytes: queued, with headers.
    (They wrap at 2**30.)
    reconnects: connections after the first. dropped: messages not queued, not sent before
    `close()`, or without a handler. oversize: messages skipped, being larger than `rx_size`.
    """

    def __init__(self, f):
        self._f = f
        self.reconnects = self.dropped = self.oversize = 0

    def __getattr__(self, name):
        names = ("in_msgs", "in_bytes", "out_msgs", "out_bytes")
        if name not in names:
            raise AttributeError(name)
        return self._f[_IN_MSGS + names.index(name)]

    def __getitem__(self, name):
        return getattr(self, name)

    def sent(self, n):
        """A message of n bytes has gone past the transmit buffer."""
        self._f[_OUT_MSGS] = (self._f[_OUT_MSGS] + 1) & _WRAP
        self._f[_OUT_BYTES] = (self._f[_OUT_BYTES] + n) & _WRAP


class Msg:
    """The message that a handler is given; there is one per client, and the next message takes its
    place.

    `buffer[start:end]` is the payload, or with `chunked=True` the fragment of it at `offset`;
    `size`: bytes of that; `total`: bytes of the whole payload; `last`: whether this is the last
    fragment; `sid`: the subscription's number. None of these allocates, nor does what follows;
    `msg_extras.py`, which is loaded when it is used, has more: `token_equals(i, b)`,
    `header_equals(name, value)`, `to_int()`, `copy_into(buf, start=0)`; and what allocates:
    `subject`, `reply`, `data`, `text`, `headers`, `status`, `json()`, and `copy()`, which lasts.
    What is compared with may be bytes, or str (slower).
    """

    def __init__(self, nc, buffer, f):
        self.nc = nc
        self._f = f
        self.buffer = buffer

    def __getattr__(self, name):
        i = FIELDS.get(name)
        if i is not None:
            return self._f[i]
        from . import msg_extras

        return msg_extras.get(self, name)

    @property
    def last(self):
        """Whether this is the message's last fragment (always, unless it is chunked)."""
        f = self._f
        return f[_OFFSET] + f[_SIZE] == f[_TOTAL]

    def equals(self, data):
        """Whether the payload is `data`."""
        f = self._f
        return match(self.buffer, f[_START], f[_STOP], data) == f[_STOP]

    def startswith(self, data):
        """Whether the payload begins with `data`."""
        return match(self.buffer, self._f[_START], self._f[_STOP], data) >= 0

    def subject_equals(self, subject):
        """Whether the subject is this one."""
        f = self._f
        return match(self.buffer, f[_SUBJECT], f[_SUBJECT_END], subject) == f[_SUBJECT_END]

    def respond(self, payload=b"", headers=None, n=-1):
        """Publish to the reply subject, as `Client.publish`; False also if there is none."""
        if self._f[_REPLY] == self._f[_REPLY_END]:
            return False
        # The buffer stands for the reply subject in it.
        return self.nc.publish(self.buffer, payload, b"", headers, n)


# Where in the array a message's parts are, for `msg_extras.py`; each of the second six has its end
# behind it.
FIELDS = {
    "start": _START,
    "end": _STOP,
    "size": _SIZE,
    "offset": _OFFSET,
    "total": _TOTAL,
    "sid": _SID,
}
PARTS = (_SUBJECT, _REPLY, _HEAD, _START, _NAME, _VALUE, _SID)


def match(buf, at, end, data):
    """Where `data` ends, if it is at buf[at] and not beyond `end`; else -1."""
    if type(data) is not _bytes and type(data) is not _bytearray:
        from . import msg_extras  # which puts its own in the place of this

        return msg_extras.match(buf, at, end, data)
    return at + len(data) if buf.find(data, at, end) == at else -1


try:
    copy(bytearray(1), 0, "a", 0, 1)
except NameError:
    from .pointers import ptr8, ptr32
