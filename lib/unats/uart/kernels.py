"""Frames on a serial line as machine code; see `unats.kernels` for what that means.

    | 0x7E | kind, id (2), seq, ack | payload ... | CRC-32 (4) | 0x7E |

Between the flags control characters, 0x7D and 0x7E go as 0x7D and the byte with bit 5 inverted,
so that a board's prompt that gets to see a frame takes it for characters of an unfinished line.
Source: RFC 1662 (framing as in HDLC; its 32-bit FCS).

Where `unstuff` is, and the checksum: one array of ints, `f`.
"""

from array import array

import micropython
from micropython import const

AT = const(0)  # what has come is looked at from here on
_HAVE = const(1)  # bytes of the frame at hand; _NONE: it is none
_FLIP = const(2)  # what inverts the next byte
LOW = const(3)  # the two halves of the checksum
HIGH = const(4)
_POSITIONS = const(5)

HEAD = const(5)  # bytes in front of the payload
CRC = const(4)  # and behind
LONGEST = const(128)  # bytes of payload
STUFFED = const(276)  # of a frame, at most
_NONE = const(255)
_GOOD_LOW = const(0x20E3)  # the checksum of a frame with its own
_GOOD_HIGH = const(0xDEBB)

# What four bits of the checksum become: the low half and the high one, low bytes first.
_TABLE = (
    b"\0\0\0\0\x64\x10\xb7\x1d\xc8\x20\x6e\x3b\xac\x30\xd9\x26"
    b"\x90\x41\xdc\x76\xf4\x51\x6b\x6b\x58\x61\xb2\x4d\x3c\x71\x05\x50"
    b"\x20\x83\xb8\xed\x44\x93\x0f\xf0\xe8\xa3\xd6\xd6\x8c\xb3\x61\xcb"
    b"\xb0\xc2\x64\x9b\xd4\xd2\xd3\x86\x78\xe2\x0a\xa0\x1c\xf2\xbd\xbd"
)
_bytearray = bytearray


def positions():
    """`f`, and room for a frame that comes. Allocates."""
    return array("i", [0] * _POSITIONS), _bytearray(HEAD + LONGEST + CRC)


@micropython.viper
def checksum(f: ptr32, data, start: int, n: int) -> int:
    """Take n bytes of data[start], which the caller has checked, into the checksum. Returns 0 if
    that was the last of a frame that has come as it was sent.
    """
    src = ptr8(data)
    table = ptr8(_TABLE)
    low = f[LOW]
    high = f[HIGH]
    n = (n + start) << 1
    start <<= 1
    while start < n:  # four bits a turn
        i = ((low ^ (src[start >> 1] >> ((start & 1) << 2))) & 15) << 2
        low = (low >> 4 | (high & 15) << 12) ^ table[i] ^ table[i + 1] << 8
        high = high >> 4 ^ table[i + 2] ^ table[i + 3] << 8
        start += 1
    f[LOW] = low
    f[HIGH] = high
    return low ^ _GOOD_LOW | high ^ _GOOD_HIGH


@micropython.viper
def stuff(out: ptr8, at: int, data, start: int, n: int) -> int:
    """Write n bytes of data[start] to out[at] as they go between flags; return the end, at most
    2 * n further on. The caller has checked both.
    """
    src = ptr8(data)
    n += start
    while start < n:
        c = src[start]
        if c < 32 or c == 0x7D or c == 0x7E:
            out[at] = 0x7D
            at += 1
            c ^= 32
        out[at] = c
        at += 1
        start += 1
    return at


@micropython.viper
def unstuff(raw: ptr8, n: int, f: ptr32, into: ptr8) -> int:
    """Look at `raw` from f[AT] to n, which the caller has checked. 0: all was looked at; else the
    bytes of a frame that is in `into`, its checksum still to be looked at. What can be none, as
    the text that a board prints, is passed over.
    """
    at = f[AT]
    have = f[_HAVE]
    flip = f[_FLIP]
    found = 0
    while at < n and found == 0:
        c = raw[at]
        at += 1
        if c == 0x7E:
            if have >= HEAD + CRC and have != _NONE and flip == 0:
                found = have
            have = 0
            flip = 0
        elif have != _NONE:
            if c < 32 or have == HEAD + LONGEST + CRC:
                have = _NONE
            elif c == 0x7D and flip == 0:
                flip = 32
            else:
                into[have] = c ^ flip
                have += 1
                flip = 0
    f[AT] = at
    f[_HAVE] = have
    f[_FLIP] = flip
    return found


try:
    stuff(bytearray(1), 0, b"", 0, 0)
except NameError:  # the plain flavour
    from unats.pointers import ptr8
