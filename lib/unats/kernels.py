"""The core's inner loops, compiled to machine code by MicroPython's native emitters.

All work in place on buffers of the caller's and allocate nothing. A port without an emitter runs
this file with the decorator lines taken out (see `plain.py`).

`f` is the frame of a buffer: an array of ints that it shares with the kernels. Positions are
indices into the buffer. Counters wrap at 2**30, below what would need the heap.
"""

import micropython
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
_KEPT = const(3)  # of the receive buffer, whose frame is in scanner.py: bytes kept in front
_LINE = const(32)  # a control line that is no message, from and to
_LINE_END = const(33)
_STEP = const(34)  # a view of the buffer begins at every multiple of it, up to nine
_WRAP = const(0x3FFFFFFF)
_BUFFERS = (bytes, bytearray, memoryview)
# A built-in name is looked for here first, and then in a long list: that takes as long as a kernel.
_bytes, _isinstance, _len, _type = bytes, isinstance, len, type


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
