"""The receiving side's inner loops, compiled to machine code by MicroPython's viper emitter.

See `kernels.py`, whose rules they follow. `f` is the frame of the receive buffer.
"""

import micropython
from micropython import const

try:
    ptr8
except NameError:  # as bytecode, a pointer to a buffer is the buffer

    def ptr8(buf):
        return buf

    ptr32 = ptr8

# The frame, to which `framer.py`, `subscription.py` and `msg.py` refer too.
_POS = const(0)  # first byte not yet consumed
_END = const(1)  # end of the bytes received
_MODE = const(2)  # 0: at a control line
_KEPT = const(3)  # bytes kept in front: of a message being streamed, its control line and headers
_LIMIT = const(4)  # the smallest body not to deliver whole; 0: none is, its control line was cut
_COUNT = const(5)  # how many messages `dispatch` has handed over
_IN_MSGS = const(6)
_IN_BYTES = const(7)
_SID = const(8)
_HEAD = const(9)  # bytes of NATS headers at the start of the body
_TOTAL = const(10)  # bytes of body: headers and payload
_BODY = const(11)  # where the body starts
_START = const(12)  # the payload, or the fragment of it at hand, from and to
_STOP = const(13)
_OFFSET = const(14)  # where in the payload that fragment is
_REPLY = const(15)  # reply subject, from and to (both 0: none)
_REPLY_END = const(16)
_FIELD = const(17)  # the fields of the control line: from, to and value of each; first the subject

_BAD = const(0x3FFFFFFF)  # the value of a field that is no number, or too large a one
_MAX_BODY = const(67108864)  # 64 MiB, the most that a nats-server can be told to accept
_WRAP = const(0x3FFFFFFF)
_none = None  # viper compares with a variable only


@micropython.viper
def same(a: ptr8, at: int, b: ptr8, start: int, n: int) -> int:
    """Whether the n bytes at a[at] and at b[start] are the same (1 or 0)."""
    n += start
    while start < n:
        if a[at] != b[start]:
            return 0
        at += 1
        start += 1
    return 1


@micropython.viper
def scan(buf: ptr8, f: ptr32) -> int:
    """Read the message at f[_POS]; nothing is consumed. There must be a byte behind f[_END].

    Returns 1 a message, all of it received and below f[_LIMIT]; 2 a message of which that is not
    true, but its control line is there; 3 something that is no message; 0 more bytes are needed;
    -2 a field missing, malformed or one too many; -3 CR LF missing; -4 a length that cannot be.
    """
    at = f[_POS]
    end = f[_END]
    if at >= end:
        return 0
    if f[_MODE]:
        return 3
    buf[end] = 0  # ends what runs below, so that they need not look for the end
    sizes = 1
    if int(buf[at]) | 32 == 104:  # H of HMSG
        at += 1
        sizes = 2
    i = 0x67736D  # MSG, its letters lowest first
    while i:
        c = int(buf[at])
        if c | 32 != i & 255:
            return 3 if at < end else 0
        at += 1
        i = i >> 8
    c = int(buf[at])
    if c != 32 and c != 9:
        return 3 if at < end else 0
    i = _FIELD
    while True:
        while c == 32 or c == 9:
            at += 1
            c = int(buf[at])
        if c == 13:
            break
        if at >= end:
            return 0
        if i > _FIELD + 14:
            return -2
        f[i] = at
        value = 0
        if i == _FIELD:
            while buf[at] > 32:
                at += 1
            c = int(buf[at])
        while c > 32:
            c -= 48
            value = value * 10 + c if c >= 0 and c <= 9 and value < 100000000 else _BAD
            at += 1
            c = int(buf[at])
        f[i + 1] = at
        f[i + 2] = value
        i += 3
        if c != 32 and c != 13 and c != 9:
            return 0 if at >= end else -3 if c == 10 else -2
    if buf[at + 1] != 10:
        return -3 if at + 1 < end else 0
    at += 2
    i -= _FIELD + 6 + 3 * sizes  # 3 with a reply subject, 0 without
    if i != 0 and i != 3:
        return -2
    f[_REPLY] = f[_FIELD + 6] if i else 0
    f[_REPLY_END] = f[_FIELD + 7] if i else 0
    i += _FIELD + 8
    head = 0
    if sizes == 2:
        head = f[i]
        i += 3
    i = f[i]
    if i < head or i > _MAX_BODY:
        return -4
    f[_SID] = f[_FIELD + 5]
    if f[_SID] == _BAD:
        return -2
    f[_HEAD] = head
    f[_TOTAL] = i
    f[_BODY] = at
    f[_START] = at + head
    at += i
    f[_STOP] = at
    f[_OFFSET] = 0
    if at + 2 > end or i >= f[_LIMIT]:
        return 2
    return 1 if buf[at] == 13 and buf[at + 1] == 10 else -3


@micropython.viper
def dispatch(buf_, f_, lookup, msg) -> int:
    """Hand over the messages from f[_POS] on, each to `direct(msg)` of the subscription lookup(sid).

    Stops at whatever is not that simple, without consuming it, and returns what `scan` says of it;
    so 1 is a message whose subscription is gone, or is not `direct`: it needs looking after.
    """
    f = ptr32(f_)
    f[_COUNT] = 0
    while True:
        kind = int(scan(buf_, f_))
        if kind != 1:
            return kind
        sub = lookup(f[_SID])
        if sub is _none:
            return 1
        handler = sub.direct
        if handler is _none:
            return 1
        n = f[_STOP] - f[_START]
        f[_POS] = f[_STOP] + 2
        f[_COUNT] += 1
        f[_IN_MSGS] = (f[_IN_MSGS] + 1) & _WRAP
        f[_IN_BYTES] = (f[_IN_BYTES] + n) & _WRAP
        sub.received = (int(sub.received) + 1) & _WRAP
        handler(msg)
