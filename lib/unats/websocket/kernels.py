"""WebSocket frames (RFC 6455, 5.2) as machine code; see `unats.kernels` for what that means.

    | FIN, kind | length, 7 bits | 2 or 8 bytes more of it | payload ...      from the server
    | FIN, kind | 1, length      | 2 bytes more of it | 4 bytes: mask | ...   to the server

Where `unframe` is: one array of ints, `f`.
"""

from array import array

import micropython
from micropython import const

AT = const(0)  # what has come is looked at from here on
TO = const(1)  # payload found is moved here
LEFT = const(2)  # bytes still to come of the frame at hand
_HAVE = const(3)  # bytes of its head, if that is not whole
KIND = const(4)  # what it is: 0 to 2 data, 8 to 10 control
_PART = const(5)  # 1 in the middle of a message of several frames
SIZE = const(6)  # bytes of a control frame's payload
_POSITIONS = const(7)

WRONG = const(-1)  # what RFC 6455 does not allow
LONGEST = const(125)  # payload of a control frame
_HEAD = const(10)

_bytearray = bytearray


def positions():
    """`f`, the head of a frame, and the payload of a control frame. Allocates."""
    return array("i", [0] * _POSITIONS), _bytearray(_HEAD), _bytearray(LONGEST)


@micropython.viper
def unframe(buf: ptr8, n: int, f: ptr32, head: ptr8, control: ptr8) -> int:
    """Move the data in buf, from f[AT] to n, which the caller has checked, to f[TO], without what
    is around it. 0: all was looked at. 8 and more: a control frame, f[SIZE] bytes in `control`.
    """
    at = f[AT]
    to = f[TO]
    left = f[LEFT]
    have = f[_HAVE]
    part = f[_PART]
    found = 0
    while at < n and found == 0:
        if left > 0:
            m = n - at if n - at < left else left
            left -= m
            m += at
            if f[KIND] >= 8:
                size = f[SIZE]  # and as many as `left` are at most LONGEST
                while at < m:
                    control[size] = buf[at]
                    size += 1
                    at += 1
                f[SIZE] = size
                if left == 0:
                    found = f[KIND]
            elif at == to:
                at = m
                to = m
            else:
                while at < m:
                    buf[to] = buf[at]
                    to += 1
                    at += 1
        else:
            head[have] = buf[at]  # of 10 bytes: no head has more
            have += 1
            at += 1
            more = head[1] & 127 if have > 1 else 0
            if have == (4 if more == 126 else 10 if more == 127 else 2):
                have = 0
                kind = head[0] & 15
                if more == 126:
                    more = head[2] << 8 | head[3]
                elif more == 127:
                    more = WRONG
                    if head[2] | head[3] | head[4] | head[5] == 0 and head[6] < 64:
                        more = head[6] << 24 | head[7] << 16 | head[8] << 8 | head[9]
                if head[0] & 112 or head[1] & 128 or more < 0:
                    found = WRONG
                elif kind >= 8:
                    if kind > 10 or more > LONGEST or head[0] < 128:
                        found = WRONG
                    f[SIZE] = 0
                    if more == 0 and found == 0:
                        found = kind
                elif kind > 2 or (kind == 0 and part == 0) or (kind > 0 and part > 0):
                    found = WRONG
                else:
                    part = 0 if head[0] & 128 else 1
                f[KIND] = kind
                left = more
    f[AT] = at
    f[TO] = to
    f[LEFT] = left
    f[_HAVE] = have
    f[_PART] = part
    return found


@micropython.viper
def frame(buf: ptr8, key: ptr8, data, start: int, n: int) -> int:
    """Make a frame in buf of n bytes of data[start], masked by the first four bytes of `key`, of
    the kind key[4]; return its end. The caller has checked both, and that n is below 65,536.
    """
    src = ptr8(data)
    buf[0] = 128 | key[4]
    at = 2
    if n < 126:
        buf[1] = 128 | n
    else:
        buf[1] = 128 | 126
        buf[2] = n >> 8
        buf[3] = n & 255
        at = 4
    i = 0
    while i < 4:
        buf[at] = key[i]
        at += 1
        i += 1
    i = 0
    while i < n:
        buf[at] = src[start + i] ^ key[i & 3]
        at += 1
        i += 1
    return at


try:
    frame(bytearray(6), bytes(5), b"", 0, 0)
except NameError:  # the plain flavour
    from unats.pointers import ptr8
