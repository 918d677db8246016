"""SHA-512 (FIPS 180-4) for MicroPython, whose hashlib ends at SHA-256.

A 64-bit word is kept as four 16-bit limbs, the most significant one first, so that every number in
here fits the 31-bit small ints of a 32-bit board and the rounds leave nothing to collect. With a
64-bit heap integer a word they made 1 KB less of bytecode, but a third more work for the Unix port
and, with 32-bit words, some 100 KB of garbage a block.

To rotate, a limb is joined with the low 14 bits of the next higher one into a 30-bit window: its
bits r to r + 15 are the limb of the word rotated right by r, for any r up to 14, which is all that
SHA-512 needs, since to rotate by 16 is to take the window of the neighbour.
"""

from array import array
from struct import pack_into

# The 80 round constants (fractions of the cube roots of the first primes): 64-bit words, the most
# significant limb first, each limb little-endian as all MicroPython boards are, so that an array
# takes them over as they stand.
_K = (
    b'\x8aB\x98/(\xd7"\xae7q\x91D\xef#\xcde\xc0\xb5\xcf\xfbM\xec/;\xb5\xe9\xa5\xdb\x89\x81\xbc\xdbV9[\xc2'
    b"H\xf38\xb5\xf1Y\xf1\x11\x05\xb6\x19\xd0?\x92\xa4\x82\x19\xaf\x9bO\x1c\xab\xd5^m\xda\x18\x81\x07\xd8"
    b"\x98\xaa\x03\xa3B\x02\x83\x12\x01[pE\xbeo1$\xbe\x85\xe4N\x8c\xb2\x0cU\xc3}\xff\xd5\xe2\xb4\xbert]{"
    b"\xf2o\x89\xde\x80\xfe\xb1\x16;\xb1\x96\xdc\x9b\xa7\x06\xc7%5\x12\x9b\xc1t\xf1i\xcf\x94&\x9b\xe4\xc1i"
    b"\xf1\x9e\xd2J\xbe\xef\x86GO8\xe3%\xc1\x0f\xc6\x9d\x8c\x8b\xb5\xd5\x0c$\xcc\xa1\xacwe\x9c\xe9-o,+Yu"
    b"\x02tJ\xaa\x84\xa6n\x83\xe4\xb0\\\xdc\xa9A\xbd\xd4\xfb\xf9v\xda\x88\x11\x83\xb5S>\x98RQf\xee\xab\xdf"
    b"1\xa8m\xc6\xb4-\x102\x03\xb0\xc8'\xfb\x98?!Y\xbf\xc7\x7f\xef\xbe\xe4\x0e\xe0\xc6\xf3\x0b\xa8=\xc2"
    b"\x8f\xa7\xd5G\x91\n\x93%\xa7\xca\x06Qc\x03\xe0o\x82)\x14g)\x0e\npn\xb7'\x85\n\xd2F\xfc/\x1b.8!&\\&"
    b"\xc9,M\xfcm\xc4Z\xed*8S\x13\r\x95\x9d\xdf\xb3\neTs\xaf\x8b\xdecjv\xbb\nw<\xa8\xb2\xc2\x81.\xc9\xedG"
    b"\xe6\xaer\x92\x85,\x82\x14;5\xbf\xa2\xa1\xe8\xf1Ld\x03\x1a\xa8KfB\xbc\x010K\xc2p\x8b\xf8\xd0\x91\x97"
    b"l\xc7\xa3QT\x060\xbe\x92\xd1\x19\xe8\xef\xd6\x18R\x99\xd6$\x06eU\x10\xa9\x0e\xf4\x855qW* j\x10p\xa0"
    b"\xbb2\xb8\xd1\xa4\x19\x16\xc1\xd2\xb8\xc8\xd07\x1e\x08lAQS\xabH'Lw\x8e\xdf\x99\xeb\xb04\xb5\xbc\x9b"
    b"\xe1\xa8H\x1c9\xb3\x0c\xc9\xc5cZ\xd8NJ\xaaA\xe3\xcb\x8a\x9c[O\xcacws\xe3.h\xf3o\xb2\xd6\xa3\xb8\x8ft"
    b"\xee\x82\xef]\xfc\xb2\xa5xoc\x17C`/\xc8\x84\x14x\xf0\xa1r\xab\xc7\x8c\x08\x02d\x1a\xec9\xbe\x90\xfa"
    b"\xffc#(\x1eP\xa4\xebl\x82\xde\xe9\xbd\xf9\xbe\xf7\xa3\xc6\xb2\x15yq\xc6\xf2xr\xe3+S'\xca\xce>&\xea"
    b"\x9ca\x86\xd1\xc7\xb8\xc0!\x07\xc2\xda\xea\xd6}\xe0\xcd\x1e\xeb}\xf5\x7fOn\xeex\xd1\xf0\x06\xaag\x17"
    b"r\xbaoc\n\xc5}\xc8\xa2\xa6\x98?\x11\x04\x98\xf9\xbe\xae\rq\x1b5\x0b\x1c\x13\x1bG\xdb(\xf5w\x04#\x84}"
    b"\xca2{\xab\xc7@\x93$\x9e<\n\xbe\xc9\x15\xbc\xbe\x1dC\xc4g\x10\x9cL\r\xc5L\xbe\xd4>\xcb\xb6B\x7fY\x9c"
    b")e\xfc*~\xcb_\xabo\xd6:\xec\xfaDl\x8c\x19GJ\x17X"
)

# The initial state (fractions of the square roots of the first eight primes), in the same form.
_H = (
    b"\tjg\xe6\xbc\xf3\x08\xc9g\xbb\x85\xae\xca\x84;\xa7n<r\xf3\x94\xfe+\xf8O\xa5:\xf5\x1d_\xf16\x0eQ\x7fR"
    b"\xe6\xad\xd1\x82\x05\x9b\x8ch>+\x1fl\x83\x1f\xab\xd9A\xfbk\xbd\xe0[\x19\xcd~\x13y!"
)


def sha512(*parts):
    """The SHA-512 digest of the bytes-like `parts` one after the other, as a new bytearray(64).

    Allocates a padded copy of the message and 2 KB of scratch; both are wiped before returning,
    and the digest is a bytearray so that the caller can wipe it.
    """
    size = 0
    for part in parts:
        size += len(part)
    message = bytearray((size + 17 + 127) & ~127)
    at = 0
    for part in parts:
        message[at : at + len(part)] = part
        at += len(part)
    message[size] = 0x80
    # The length ends the last block: 128 bits that count bits, of which a board can fill 32.
    pack_into(">I", message, len(message) - 4, size << 3)

    k = array("H", _K)
    state = array("H", _H)
    w = array("H", bytes(640))
    for at in range(0, len(message), 128):
        for i in range(64):
            w[i] = message[at] << 8 | message[at + 1]
            at += 2
        _expand(w)
        _rounds(state, k, w)
    digest = bytearray(64)
    for i in range(32):
        digest[2 * i] = state[i] >> 8
        digest[2 * i + 1] = state[i] & 0xFF
    w[:] = array("H", bytes(640))
    state[:] = array("H", bytes(64))
    message[:] = bytes(len(message))
    return digest


def _expand(w):
    """Fills the message schedule `w`: words 16 to 79 from the first sixteen."""
    for i in range(64, 320, 4):
        # s0 of the word 15 back: rotated by 1, rotated by 8, shifted by 7
        p0 = w[i - 60]
        p1 = w[i - 59]
        p2 = w[i - 58]
        p3 = w[i - 57]
        u0 = p0 | (p3 & 0x3FFF) << 16
        u1 = p1 | (p0 & 0x3FFF) << 16
        u2 = p2 | (p1 & 0x3FFF) << 16
        u3 = p3 | (p2 & 0x3FFF) << 16
        # s1 of the word 2 back: rotated by 19, rotated by 61, shifted by 6
        q0 = w[i - 8]
        q1 = w[i - 7]
        q2 = w[i - 6]
        q3 = w[i - 5]
        v0 = q0 | (q3 & 0x3FFF) << 16
        v1 = q1 | (q0 & 0x3FFF) << 16
        v2 = q2 | (q1 & 0x3FFF) << 16
        v3 = q3 | (q2 & 0x3FFF) << 16
        t = (
            ((u3 >> 1 ^ u3 >> 8 ^ u3 >> 7) & 0xFFFF)
            + ((v2 >> 3 ^ v0 >> 13 ^ v3 >> 6) & 0xFFFF)
            + w[i - 25]
            + w[i - 61]
        )
        w[i + 3] = t & 0xFFFF
        t = (
            (t >> 16)
            + ((u2 >> 1 ^ u2 >> 8 ^ u2 >> 7) & 0xFFFF)
            + ((v1 >> 3 ^ v3 >> 13 ^ v2 >> 6) & 0xFFFF)
            + w[i - 26]
            + w[i - 62]
        )
        w[i + 2] = t & 0xFFFF
        t = (
            (t >> 16)
            + ((u1 >> 1 ^ u1 >> 8 ^ u1 >> 7) & 0xFFFF)
            + ((v0 >> 3 ^ v2 >> 13 ^ v1 >> 6) & 0xFFFF)
            + w[i - 27]
            + w[i - 63]
        )
        w[i + 1] = t & 0xFFFF
        t = (
            (t >> 16)
            + ((u0 >> 1 ^ u0 >> 8 ^ p0 >> 7) & 0xFFFF)
            + ((v3 >> 3 ^ v1 >> 13 ^ q0 >> 6) & 0xFFFF)
            + w[i - 28]
            + w[i - 64]
        )
        w[i] = t & 0xFFFF


def _rounds(state, k, w):
    """Works the 80 rounds of one block, with schedule `w`, into `state`."""
    (
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
        e0, e1, e2, e3, f0, f1, f2, f3, g0, g1, g2, g3, h0, h1, h2, h3,
    ) = state  # fmt: skip
    for i in range(0, 320, 4):
        u0 = e0 | (e3 & 0x3FFF) << 16
        u1 = e1 | (e0 & 0x3FFF) << 16
        u2 = e2 | (e1 & 0x3FFF) << 16
        u3 = e3 | (e2 & 0x3FFF) << 16
        # t1 = h + S1(e) + ch(e, f, g) + k + w, its limbs not yet carried into one another;
        # S1: rotated by 14, by 18 and by 41
        t0 = h0 + ((u0 >> 14 ^ u3 >> 2 ^ u2 >> 9) & 0xFFFF) + (g0 ^ e0 & (f0 ^ g0)) + k[i] + w[i]
        i1 = i + 1
        t1 = h1 + ((u1 >> 14 ^ u0 >> 2 ^ u3 >> 9) & 0xFFFF) + (g1 ^ e1 & (f1 ^ g1)) + k[i1] + w[i1]
        i1 = i + 2
        t2 = h2 + ((u2 >> 14 ^ u1 >> 2 ^ u0 >> 9) & 0xFFFF) + (g2 ^ e2 & (f2 ^ g2)) + k[i1] + w[i1]
        i1 = i + 3
        t3 = h3 + ((u3 >> 14 ^ u2 >> 2 ^ u1 >> 9) & 0xFFFF) + (g3 ^ e3 & (f3 ^ g3)) + k[i1] + w[i1]
        h0 = g0
        h1 = g1
        h2 = g2
        h3 = g3
        g0 = f0
        g1 = f1
        g2 = f2
        g3 = f3
        f0 = e0
        f1 = e1
        f2 = e2
        f3 = e3
        # e = d + t1
        e3 = d3 + t3
        e2 = d2 + t2 + (e3 >> 16)
        e1 = d1 + t1 + (e2 >> 16)
        e0 = d0 + t0 + (e1 >> 16) & 0xFFFF
        e1 &= 0xFFFF
        e2 &= 0xFFFF
        e3 &= 0xFFFF
        # a = t1 + S0(a) + maj(a, b, c); S0: rotated by 28, by 34 and by 39
        u0 = a0 | (a3 & 0x3FFF) << 16
        u1 = a1 | (a0 & 0x3FFF) << 16
        u2 = a2 | (a1 & 0x3FFF) << 16
        u3 = a3 | (a2 & 0x3FFF) << 16
        t3 += ((u2 >> 12 ^ u1 >> 2 ^ u1 >> 7) & 0xFFFF) + (a3 & (b3 | c3) | b3 & c3)
        t2 += ((u1 >> 12 ^ u0 >> 2 ^ u0 >> 7) & 0xFFFF) + (a2 & (b2 | c2) | b2 & c2) + (t3 >> 16)
        t1 += ((u0 >> 12 ^ u3 >> 2 ^ u3 >> 7) & 0xFFFF) + (a1 & (b1 | c1) | b1 & c1) + (t2 >> 16)
        t0 += ((u3 >> 12 ^ u2 >> 2 ^ u2 >> 7) & 0xFFFF) + (a0 & (b0 | c0) | b0 & c0) + (t1 >> 16)
        d0 = c0
        d1 = c1
        d2 = c2
        d3 = c3
        c0 = b0
        c1 = b1
        c2 = b2
        c3 = b3
        b0 = a0
        b1 = a1
        b2 = a2
        b3 = a3
        a0 = t0 & 0xFFFF
        a1 = t1 & 0xFFFF
        a2 = t2 & 0xFFFF
        a3 = t3 & 0xFFFF
    carry = 0
    i = 31
    for limb in (
        h3, h2, h1, h0, g3, g2, g1, g0, f3, f2, f1, f0, e3, e2, e1, e0,
        d3, d2, d1, d0, c3, c2, c1, c0, b3, b2, b1, b0, a3, a2, a1, a0,
    ):  # fmt: skip
        carry += limb + state[i]
        state[i] = carry & 0xFFFF
        carry = carry >> 16 if i & 3 else 0
        i -= 1
