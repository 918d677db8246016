"""A turn of the client, and publishing what is simple: the glue between the kernels and the client.

Compiled to machine code too, and by the same rules (see `kernels.py`): what stands here is done for
each message or each call of `poll()`. A file of its own, since compiling is what takes a board's heap.
"""

import micropython
import utime
from micropython import const

from .wire import operation, pub, room

try:
    ptr8
except NameError:  # as bytecode, a pointer to a buffer is the buffer

    def ptr8(buf):
        return buf

    ptr32 = ptr8

_POS = const(0)  # the frames: see kernels.py
_END = const(1)
_ROOM = const(2)  # of the transmit buffer; so is _HURRY
_HURRY = const(6)  # somebody waits for what is queued: PING, SUB, a request, a reply
_HURRIES = const(7)  # the transport knows
_MODE = const(2)  # of the receive buffer, as what follows
_KEPT = const(3)
_LIMIT = const(4)
_STEP = const(34)
_BUSY = const(35)  # inside a turn
_MORE = const(36)  # a handler raised: there may be whole messages in the buffer
_PONGS = const(37)  # received on this connection
_UNANSWERED = const(38)  # PINGs in a row
_WRAP = const(0x3FFFFFFF)
_FAILURES = (OSError, MemoryError)
_none = None  # viper compares with a variable only


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
