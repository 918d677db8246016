"""The core's inner loops, compiled to machine code by MicroPython's native emitters.

All work in place on buffers of the caller's and allocate nothing. A port without an emitter runs
this file with the decorator lines taken out (see `plain.py`).

`f` is the frame of a buffer: an array of ints that it shares with the kernels. Positions are
indices into the buffer. Counters wrap at 2**30, below what would need the heap.
"""

import micropython
import utime
from micropython import const

try:
    ptr8
except NameError:  # as bytecode, a pointer to a buffer is the buffer

    def ptr8(buf):
        return buf

    ptr32 = ptr8

_POS = const(0)  # receiving: first byte not yet consumed; sending: not yet sent
_END = const(1)  # end of the bytes received, or queued
_ROOM = const(2)  # where the buffer ends for messages (0: there is no connection)
_MAX_PAYLOAD = const(3)
_OUT_MSGS = const(4)
_OUT_BYTES = const(5)
_HURRY = const(6)  # somebody waits for what is queued: PING, SUB, a request, a reply
_HURRIES = const(7)  # the transport knows
_KEPT = const(3)  # of the receive buffer, whose frame is in scanner.py: bytes kept in front
_LINE = const(32)  # a control line that is no message, from and to
_LINE_END = const(33)
_STEP = const(34)  # a view of the buffer begins at every multiple of it, up to nine
_MODE = const(2)
_LIMIT = const(4)
_BUSY = const(35)  # inside a turn
_MORE = const(36)  # a handler raised: there may be whole messages in the buffer
_PONGS = const(37)  # received on this connection
_UNANSWERED = const(38)  # PINGs in a row
_WRAP = const(0x3FFFFFFF)
_BUFFERS = (bytes, bytearray, memoryview)
# A built-in name is looked for here first, and then in a long list: that takes as long as a kernel.
_bytes, _isinstance, _len, _type, _none = bytes, isinstance, len, type, None
_FAILURES = (OSError, MemoryError)


@micropython.viper
def copy(dst: ptr8, at: int, src: ptr8, start: int, n: int) -> int:
    """Copy n bytes from src[start] to dst[at], return at + n. In one buffer, only towards 0."""
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
def move(buf: ptr8, at: int, start: int, n: int):
    """Move n bytes of buf from start to at, where they may overlap."""
    if at < start:
        while n > 0:
            buf[at] = buf[start]
            at += 1
            start += 1
            n -= 1
    while n > 0:
        n -= 1
        buf[at + n] = buf[start + n]


@micropython.viper
def room(buf: ptr8, f: ptr32) -> int:
    """Move what is not consumed so that it ends at a multiple of f[_STEP], behind what is kept.

    Returns which multiple that is: there is the room to receive into. Or 9: there is none.
    """
    at = f[_POS]
    n = f[_END] - at
    i = (f[_KEPT] + n + f[_STEP] - 1) // f[_STEP]
    if i < 9:
        end = i * f[_STEP]
        f[_POS] = end - n
        f[_END] = end
        if end - n < at:
            while n > 0:
                buf[end - n] = buf[at]
                at += 1
                n -= 1
        while n > 0:
            n -= 1
            end -= 1
            buf[end] = buf[at + n]
        buf[f[_END]] = 0  # for `salvage`: nothing has come yet
    return i


@micropython.viper
def operation(buf: ptr8, f: ptr32) -> int:
    """Read the operation at f[_POS], which is no message, and consume it.

    Returns 5 PING, 6 PONG, 7 +OK, 8 -ERR, 9 INFO (only the verb is consumed); 0 more bytes are
    needed; -1 unknown verb; -3 CR LF missing. The line is then from f[_LINE] to f[_LINE_END].
    """
    at = f[_POS]
    end = f[_END]
    c = 0 if at >= end else int(buf[at]) | 32
    n = 0
    while n < 3 and at + n < end and buf[at + n] > 32:
        n += 1
    if (n < 3 and at + n < end) or (n and c != 43 and c != 45 and c != 105 and c != 112):
        return -1
    if at + 5 > end:  # no operation is shorter
        return -3 if at + 4 == end and buf[at + 3] == 10 else 0
    word = int(buf[at + 1]) << 16 | int(buf[at + 2]) << 8 | int(buf[at + 3]) | 0x202020
    n = 4
    if c == 112 and word == 0x696E67:
        kind = 5
    elif c == 112 and word == 0x6F6E67:
        kind = 6
    elif c == 43 and word >> 8 == 0x6F6B:
        kind = 7
        n = 3
    elif c == 45 and word == 0x657272:
        kind = 8
    elif c == 105 and word == 0x6E666F:
        kind = 9
    else:
        return -1
    f[_LINE] = at
    at += n
    c = int(buf[at])
    if c != 32 and c != 9 and c != 13:
        return -1
    if kind == 9:
        f[_POS] = at
        return 9
    while buf[at] != 13:
        if buf[at] == 10:
            return -3
        at += 1
        if at >= end:
            return 0
    at += 1
    if at >= end:
        return 0
    if buf[at] != 10:
        return -3
    f[_LINE_END] = at
    f[_POS] = at + 1
    return kind


@micropython.viper
def put(dst: ptr8, at: int, subject: ptr8, start: int, n: int) -> int:
    """Copy a subject and a space behind it to dst[at], return where they end.

    Returns -1 - at for white space, a control byte, an empty token, and what is not ASCII: a str
    has more bytes than characters then, which only the caller can tell.
    """
    n += start
    last = 46
    to = at
    while start < n:
        c = int(subject[start])
        if c <= 32 or c >= 127 or (c == 46 and last == 46):
            return -1 - at
        dst[to] = c
        last = c
        to += 1
        start += 1
    dst[to] = 32
    return to + 1 if last != 46 else -1 - at


@micropython.viper
def ascii(text: ptr8, n: int) -> int:
    """Whether the first n bytes are ASCII (1 or 0); of a str of n characters, whether all are."""
    while n > 0:
        n -= 1
        if text[n] > 127:
            return 0
    return 1


@micropython.viper
def digits(dst: ptr8, at: int, n: int) -> int:
    """Write n >= 0 in decimal at dst[at]; return where it ends."""
    power = 1
    while n // power >= 10:
        power *= 10
        at += 1
    end = at + 1
    while power > 0:
        dst[at] = 48 + n % 10
        n = n // 10
        power = power // 10
        at -= 1
    return end


@micropython.viper
def pub(client, subject_, payload_) -> int:
    """Queue `PUB subject size` with its payload: 1; -1 no room for it; 0 it is not so simple.

    Not simple are a subject that is not valid or not ASCII, a payload above the server's maximum,
    and one that is no bytes, bytearray or memoryview. Nothing is done then.
    """
    if _type(payload_) is not _bytes and not _isinstance(payload_, _BUFFERS):
        return 0
    buf = ptr8(client._tx)
    f = ptr32(client._tx_frame)
    subject = ptr8(subject_)
    payload = ptr8(payload_)
    n = int(_len(subject_))
    size = int(_len(payload_))
    at = f[_END]
    if size > f[_MAX_PAYLOAD]:
        return 0
    if at + n + size + 24 > f[_ROOM]:
        return -1
    buf[at] = 80
    buf[at + 1] = 85
    buf[at + 2] = 66
    buf[at + 3] = 32
    at += 4
    last = 46
    i = 0
    while i < n:
        c = int(subject[i])
        if c <= 32 or c >= 127 or (c == 46 and last == 46):
            return 0
        buf[at] = c
        last = c
        at += 1
        i += 1
    if last == 46:
        return 0
    buf[at] = 32
    at += 1
    i = 10
    while size >= i:
        i *= 10
        at += 1
    end = at
    n = size
    while i > 1:
        buf[end] = 48 + n % 10
        n = n // 10
        i = i // 10
        end -= 1
    buf[at + 1] = 13
    buf[at + 2] = 10
    at += 3
    i = 0
    while i < size - 3:
        buf[at] = payload[i]
        buf[at + 1] = payload[i + 1]
        buf[at + 2] = payload[i + 2]
        buf[at + 3] = payload[i + 3]
        at += 4
        i += 4
    while i < size:
        buf[at] = payload[i]
        at += 1
        i += 1
    buf[at] = 13
    buf[at + 1] = 10
    f[_END] = at + 2
    f[_OUT_MSGS] = (f[_OUT_MSGS] + 1) & _WRAP
    f[_OUT_BYTES] = (f[_OUT_BYTES] + size) & _WRAP
    return 1


@micropython.native
def publish(self, subject, payload=b"", reply=None, headers=None, n=-1):
    """Queue a message; True, or False (and `stats.dropped`) if it could not be.

    payload: bytes, bytearray, memoryview, str or `Payload`; n: use its first n bytes only.
    headers: a dict of str (or of lists of str), or a ready block of bytes.
    The next `poll()` sends it, with all that is queued by then; a full buffer is sent at once.
    Does not wait, and does not allocate (but for a str payload, a dict of headers, and subjects
    that are not ASCII); only a message larger than `tx_size` is sent here and now, piece by piece.
    ValueError: a bad subject or reply subject, a payload over the server's `max_payload`, headers
    the server does not know; nothing is sent then.
    """
    if reply is None and headers is None and n < 0:
        queued = pub(self, subject, payload)
        if queued < 0 and write(self):
            queued = pub(self, subject, payload)
        if queued > 0:
            return True
    return self._publish(subject, payload, reply, headers, n)


@micropython.native
def push(self, part, at, n):
    """Hand the transport n bytes of part from `at` on, once; how many it took."""
    try:
        return self._send(part, at, n) or 0
    except _FAILURES as e:
        self._net.keep(e)
        return 0


@micropython.viper
def write(self) -> int:
    """Hand the transport what is queued, once; how much it took."""
    f = ptr32(self._tx_frame)
    end = f[_END]
    if end == 0 or f[_ROOM] == 0 or self._net.error:
        return 0  # nothing queued, not connected, or not for long
    if f[_HURRY] != f[_HURRIES]:
        f[_HURRIES] = f[_HURRY]
        self._hurry(f[_HURRY])
    at = f[_POS]
    n = int(push(self, self._tx, at, end - at))
    if at + n == end:
        f[_POS] = f[_END] = f[_HURRY] = 0
    else:
        f[_POS] = at + n
    return n


@micropython.native
def sleep(self, wait):
    """Wait for something to read, or, if something is to be written, for that."""
    try:
        self._wait(wait, self._tx_frame[1] > 0 or self._phase != 4 and self._chunk != b"")
    except _FAILURES as e:
        self._net.keep(e)


@micropython.native
def read(self, view):
    """Receive into a view once: None if nothing came, be it that the transport failed."""
    try:
        return self._readinto(view)
    except _FAILURES as e:
        self._read_failed(e)


@micropython.viper
def fill(self) -> int:
    """Receive once; 1 if something came."""
    f = ptr32(self._frame)
    i = 0
    if f[_POS] == f[_END] and f[_KEPT] == 0:
        buf = ptr8(self._rx)
        f[_POS] = f[_END] = 0
        buf[0] = 0  # as `room` does
    else:
        i = int(room(self._rx, self._frame))
    if i > 8:
        return int(self._no_room())
    got = read(self, self._views[i])
    if got is _none:
        return 0
    n = int(got)
    if n == 0:
        return int(self._closed())
    f[_END] += n
    return 1


@micropython.viper
def dispatch(self) -> int:
    """Act on all that is in the receive buffer; return how many messages were handled."""
    f = ptr32(self._frame)
    f[_MORE] = 1  # until it is done: a handler may raise
    subs = self._subs
    n = 0
    while f[_POS] < f[_END]:
        kind = 3
        if subs is not _none:
            n += int(subs.run())
            kind = int(subs.kind)
        if kind == 3 and f[_MODE] == 0 and f[_LIMIT]:
            kind = int(operation(self._rx, self._frame))
            if kind == 9:
                kind = int(self._framer.read_info())
        elif kind == 3:
            kind = int(self._framer.next())
        if kind == 6 and int(self._phase) == 4:
            f[_UNANSWERED] = 0
            f[_PONGS] = (f[_PONGS] + 1) & _WRAP
        elif kind == 0 or int(self._operation(kind)) == 0:
            break
    f[_MORE] = 0
    if self._net.leave:
        self._owed = True  # to be looked at in the next turn
    return n


@micropython.viper
def receive(self, wait: int) -> int:
    """Receive and dispatch, a few buffers at most; wait at first if there is nothing to do."""
    f = ptr32(self._frame)
    n = int(dispatch(self)) if f[_MORE] else 0
    if wait > 0 and n == 0:
        sleep(self, wait)
    rounds = 8
    while rounds and int(self._phase) > 1:
        if self._net.error or int(fill(self)) == 0:
            break
        rounds = rounds - 1 if f[_END] == 9 * f[_STEP] else 0
        n += int(dispatch(self))
    return n


@micropython.viper
def once(self, wait: int) -> int:
    """Do what is to be done, once, waiting at most so many ms; return how many messages came.

    ValueError: a handler asks for it.
    """
    g = ptr32(self._frame)
    if g[_BUSY]:
        self._check_not_busy()
    g[_BUSY] = 1
    try:
        f = ptr32(self._tx_frame)
        if f[_ROOM] == 0 or self._net.error:
            return int(self._advance(wait))
        left = (int(self._deadline) - int(utime.ticks_ms())) & _WRAP
        if left == 0 or left > 0xFFFFFFF:  # long past, if it looks so far ahead: see Client._left
            left = int(self._keep_alive())
        if self._requests is not _none:
            i = int(self._requests.expire())
            if f[_ROOM] == 0:
                return 0
            if i < left:
                left = i
        if self._owed:
            self._pay()
        if f[_END]:
            write(self)
        if f[_END] == 0 and self._owed:
            left = 0  # there is room again for what did not fit
        return int(receive(self, wait if wait < left else left))
    finally:
        g[_BUSY] = 0


@micropython.native
def poll(self, timeout_ms=0):
    """Do what is to be done, wait at most timeout_ms for it; return how many messages came.

    Connects and reconnects, keeps alive, sends, receives, calls the handlers. Returns as soon
    as a message was handled. Waits longer only for name resolution. Does not allocate while
    connected. ValueError: called by a handler. What a handler raises comes out of here; the
    next `poll()` goes on with the next message. MemoryError: not even a few bytes for a lost
    connection; the next `poll()` goes on with that.
    """
    return self._poll(timeout_ms) if timeout_ms > 0 else once(self, 0)
