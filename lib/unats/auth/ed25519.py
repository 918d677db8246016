"""Ed25519 signatures (RFC 8032) for MicroPython: public keys and signing, no verification.

A multiple of the base point B is worked out with a signed comb: the 256 bits of the scalar, each
read as +1 or -1, are four teeth 64 bits apart in two blocks of 32, so that 32 doublings and 64
additions of a point out of `_COMB` make the product. Twice as many points would save a fifth of
that work, half as many cost a third more.

Coordinates are reduced lazily. 2**255 is 19 modulo P, so a product is brought back to little more
than 255 bits by adding 19 times what lies above bit 255 to what lies below it, for a third of what
`%` costs MicroPython. Numbers may be negative and somewhat too long in between.

Not constant time: how long a signature takes, and what the board draws meanwhile, depends on the
key. Whoever can measure that on the spot, or read the board's memory, is outside the threat model.
The numbers on the heap that a key goes through cannot be wiped, only left to be overwritten.

Nothing is kept from one call to the next. A multiple needs 5 KB of heap while it lasts (64-bit
words) and goes through 370 KB (32-bit words) that the collector takes back.
"""

from .sha512 import sha512

_P = (1 << 255) - 19
_ORDER = (1 << 252) + 27742317777372353535851937790883648493

# Points of the comb, 96 bytes each: y + x, y - x and 2*d*x*y modulo P, little-endian. Point 8*j +
# u is the sum of (+ or - 2**(64*t)) * 2**(32*j) * B over the teeth t: plus for tooth 3, and for
# tooth t < 3 where bit t of u is set. The other eight of each block are these, negated.
_COMB = (
    b">8s$\xc8\xa2\xb0KTH\x9a\xd3\x1c\xd9\x93\x8bQ\x8bE\xaa\xee\xc2\x83d'h\x08HF\x94\xceK\xad\xd0\x88\xdb"
    b"\x13\xa8\xe2\xe3\xc1M\xb1[=\xb1@o\xd2+\x1eU%Tq\xc6m9d\xc4\xae\xb7\x05@\x1cy\xec[\x82\xe1\x80\xcc%vm"
    b"\xaf\xd0\xa9\xb4\xe0\x98.\xbb/}5Ma\xdaC\xa6cv\xbbw\x1c\xe7h>\xaeY\xb5\xd2\x16\xbd\xacGXsb\xc5ou\x08)"
    b"\x96T\x1f\x89\xb9f\x8a\xf3o\xcf\xfd\xa8C\xb04q\x9du\xd2\xde\xe9\r\n{T\x93\xb5\xbc\xe7\xfbDs\x02\xf0e"
    b"\xbc^\xa7\x80\xbc\x89\x8f5Of\xb4\xeb\x15gd9\xd4=\xf1\xa3\xe4;\xf1\x92M\x11Y\xc1\xd4Wg\x8bC\xe1\x85l"
    b"\xef|\x9c|\xb5Q\x81G\x04\xac\x05>\x14\x99R\x86r\xc6\xa6\xfd\x80U\xd2\xbc\x15\x0c\xd9\x84\xf4>W&\xceH"
    b"\x1e\x9c\x9d\x1d\xc9\xd5\rZe\x1b3\x1f\xd3+\x86\xc9a_T\x0b3xs\x15\xb3\x89\x979\\\xd4Cw\x90sP\x13\xab"
    b"\x1e\xad\xf5/\x86\xe0\x13z\xd1q\x90\xb9c\xfa\xfe\xeb\x8c\x82\xf3\x93f7\xd8Z\x05]J\xb1\xe7V\n\x9c\x8c"
    b"_%j\xce\xcf\xad\xee\x88D\xc9Aw\xd8\x8b\xfd[D\x04\xd4\x94:\t\x8a\x14\xe9\xfc\xf3\x11%{>[#\xbf\xf7FB"
    b"\x12\xcb}\xd8\x1eTn~\xe8\x92U8\xc14\xecRx\x13_Be\x88Z\x18|\xef\xaf\xd9\x9e\x8e\x81O\x97\x19|\x06k"
    b"\x0193\x03\xa5\xf0e\xa1\xdd\x9a|D\xb5W\x18\x14\xa0\x04dY\x8d\x0c\xbf\xd8\x1f\x1b\x89\xf7\xc9\xae\x0b"
    b"\x9f\x8b'R\xb33\xe2\xcd\xac9\x17&\x08\\\xc8\xd9\xf2T\x87hn-J\x94\x84\x91\x8fc\x82\x040\x82\x97\xad"
    b"\xaeTa\xee\xac\xc0/\xdfI\xa3x\xc0Y\xe0G\xa4\xdd\xaa\x11\xb9\xcfT\xf2\xd93c\xa3\xda\xc3\xef\rT<\xf8"
    b"\xbe\xa2\xcao\xf5\xc3\xf8\x96\x8e\xbb\xadwK#\xb2\xccB3\xd9\xfdwh\xfd\xd2\xccB\x9euC\xfenw\x82t\xc3"
    b"\x97\xe4\x9f\xf4\xc4\xde\x1a\x8c$HWiD^\xabq\x9a/\xc4\x80\xf8c:\x06\x02\x91\xb0\x91\x0bE\xd1\x1b)\xd4"
    b"\x82|\xe9Fn\xfb\xa8\xf8\xb3\xfe\xd2C\xfe\x1f\t\x97t\x16\xbd(\x08\xa7K\x9d\xd0\x95)p\x94\xed\x00_\x1a"
    b"\xd37\xfb\xbc\x12\x14\x9f\xef\xfbN\x15\xa2S`\x15\xc8.{\x05)\x91\xfd\xf2&\xb4\xac\r\xd5\xdd\x10\xbd "
    b"\x8d\r\xe3.\xb3\x9b\x07\x9d\x96\xb7'\x9d\x11\x1a'\xb0t~\x08B\x1f\x0e\x0b'\xe0\xc0g\x8fd+\r\x9d\x83"
    b"\xdc\xee\x8b\x8a\x9c\xfb\x96\xa0\xe6j\x81\x82\x8d\x90Z>$\xa7\xd1\x8cQ\x8f\xda\x8c\xe1r\xac\xdc\x8d"
    b"\x1f;\xe8\xe3\xf2<{\x8f\xbd\xba=\xd1pB\xb8\xfbGg\xeb~\x13\x8b\x1a\x81`u\\\xdfy\x9a\xc8\xf8qo\xa7+Z"
    b"\xc2\xff\xc8;V*\x95\t<\xf8~\xdcK\xcb\xa8\xa2&\xc2\x93_\xfa\xc6\xb5\x96\xa5\xe3d\x06\x1b\xeb\xeb\xd4/"
    b'\xcf\xc6\xe5\xdcJ\x9b@\xc4PC\x83\xb9=\xd5D\xb4\x05\xf5\xa5\x05\x93)\x89/\xffIY\xa2\xfa"\xfbd}e\x04'
    b"\xa7h\xb9i\xe9\xa2\x12B\x94\xb5\x80\x0b\xf7\x879\xbd\xb8\x93\x9f1\xf8\xbb\xc2`&,>_F{W`\xf3\x8b\xfdz "
    b'\x17\xc2\xb7\x0b<\xb7;v^\x08\x03|@\x16\xf4"$\xa2<@\x91\x1f\x92`IjW\x96KEk\x86\xe2C\xca\xb9\x16aV'
    b"\xf7\xf4\xd4\xbb_\xca\xa8\xd6\x0c\xa3X\xc8\xe5\x91G\x82,\x8aS\x19]\\\xde5]\xfa\xba\xedX\xc7\x96|\x84"
    b"\xdd\x98\x06\xed\x17\xf1\x8c\x0e\x88\xdb\x19\xa2J\xff\xa0\xb5\x173N\xcbc}B$[y\x06\xf6K\xb2\xa9\x08"
    b"\x1f\x1f\xce\xa7.\xd8P\xe0\x1dZ}i\xd0\xd7g\x92S]\xfe\x16\x8f\x15o\xcar\xa22\\P\xd1\xa3\xe9-a\xfc\n|"
    b"\x05h\xed4\xfa]\x85[\xae\x8eKs\x0e\xb1\x1a\xd1*\r\xcd\xf4\x8c\xffQ\x93\x9e\x86\xb3 {\xa0\xe1\x05~"
    b'\x10x\xbe\xd6\x90"4\xea\xcc3>\x01\xdc\x7fv\x1b\x17\xd4\xacG\x1dc*\xa7\x8c\xa4EUb\xbfy\x17w\xe1\xf2G'
    b"T!\xc5\xacC\xee\xda{\xf2\xba\x9f2h\x8c\xb1[y\xad\x9e\xa0z\xa1\xc1\x17\xfc\xffEo\x85\x83\xe8\x97F6"
    b"\xfcq\x89\x1b\x9e(\xc0\xa1X(\x1a/\xbe\x1d\xbbL\x9f\xed\xaf{\xb6\x82\xd4\xaa\x8d\xd2\xd1t\xb1\xbc1A"
    b"\x00\x1c\xb8/ \x87w\x0f\xefI?\xba\xcf\xec'\x1c\xb6\x9bG\xda\x84\xf1\xae\xe7\x8c\xeeU\xa55c2_]^J\x94"
    b"\xb8\xe7\xd7\x0f\xa7\x99\x14\xc8c\xae\xc7\xed\x9a\t\x10z\xc3\x08\xca\xfe\tn\x9d\xe7\xfe\xb1\x18\x16"
    b"\x9b \x1a\xd0\x96\xeeq\xe5\x9a@\x15\x9c\xa2\xaaN^[\xe3,\x929\x08\x11\x10\xbdp\xba\xd6\xcd\xd9\x05"
    b"\xf97pk\xbb\xd05|\xdb{Vn\xb4x\xbf\xcd\x82P\x8b\x04\xae\xfc\xf7\xff\xc70D\x8c\xe8'\xe8]N\x84\x9e\xdb"
    b"\x08\x8c\xfd\xa9\xa3>\xdb)J\x950\xa8qX\xfd6\x0b\xb0\x8cO+-v\x8b\x06\x1dF/\x92\xf4 \xbb\xdf\xf3\xb9"
    b"\xa7q\xd7\x8cC\xc9W4\xc8#\x11\xd0\nJ\x0f\x81\x05>E\xbd\x19\xcb\x0f\xb9\x12\x88\xed\xedy\xa3\xf7i\xd9"
    b"\xa2\x1f\xafe^4\x95\xf0\xafe\x04\x15\xcaTX\xd0X\x80\xc0_0\xb8\xf6\xe2\x14\xe2\xe7t2\x11\x07E\xde!"
    b'\x05; \xd4\xa4!.\xad"\x84q\xc0\xd4IQi-\x06\x04\xbbP\xa8\n\xc9\xb6\xd3\x0e\x96\xe4\xc1\x85\xd6\xe1o'
    b"\xdc\xc1y23\x19\x14h\x0ch\xc0\xfa\xfa\x05\x9e\x1b\x9fT\x8c>\x0b~)\xbf\xec`Q?']\xd2\x03h\x1fw\x0c\xa6"
    b'\xd6\xeb\xdd6\xf9D\x82\xe0b\x94O\xb7`-\xf6\x8a\xdfQ\xf6Bg\xa0j\xa6,vj\xb7"#\xc8N\x17\xd2\xb7\xa0'
    b"\x99\xf3bc\x02\xe9~\xa2@\xa4\x1bK\xf0\xb2\xae\x8b\xefC\xf7\xc8\xa3\xfdBJ\xdc\x8c,\x1c>\x9b.\x8f+)9"
    b"\xdb\xbd\x01\xf3H\xb4Eo\xdbc\x80\x90\xff\r\xc8%\xb1\xa9\xd2\x03\xb0Ohr\n\xdb\xca>\x82\xf6\xc4\x18"
    b"\xed\xb9\xdfm\xef\xba\xbbm\xe4GB\xa9b\xd5\xb3\xad\x06\xdfc,\xfc\xd8\x8d\xbaC\x8ex\xfd\x17\xe2\xb4^"
    b"\xc2\xe1\xfa0Q\x85V\x00\x1e\xc0`\xbddC\\\xf3HRo\x06"
)


def expand(seed):
    """The expanded key of a 32-byte seed, a new bytearray(64): as secret as the seed, and wipable.

    The first half is the scalar, the second what makes the nonces.
    """
    if len(seed) != 32:
        raise ValueError("an Ed25519 seed has 32 bytes")
    key = sha512(seed)
    key[0] &= 0xF8
    key[31] = key[31] & 0x3F | 0x40
    return key


def public(key):
    """The public key, 32 bytes, of an expanded key. Takes two thirds as long as a signature."""
    return _times_base(_number(memoryview(key)[:32]))


def sign(key, public_key, message):
    """The signature, 64 bytes, of the bytes-like `message` by an expanded key."""
    digest = sha512(memoryview(key)[32:], message)
    r = _number(digest) % _ORDER
    digest[:] = bytes(64)  # who knows it and the signature knows the key
    point = _times_base(r)
    h = _number(sha512(point, public_key, message)) % _ORDER
    s = (r + h * _number(memoryview(key)[:32])) % _ORDER
    return point + s.to_bytes(32, "little")


def _number(data):
    return int.from_bytes(data, "little")


def _times_base(k):
    """k times the base point, 0 <= k < 2**255, as the 32 bytes of its encoding."""
    return _encoded(*_of_base(k))


def _of_base(k):
    """The same as X, Y and Z."""
    return _multiply(_digits(k), [_number(_COMB[i : i + 32]) for i in range(0, 1536, 32)])


def _encoded(x, y, z):
    z = _inverse(z)
    return (y * z % _P | (x * z % _P & 1) << 255).to_bytes(32, "little")


def _digits(k):
    """The bytes of a number whose bit i is 1 or 0 where k, or k + _ORDER, has digit +1 or -1."""
    if not k & 1:  # only odd numbers have such digits
        k += _ORDER
    return (k + (1 << 256) - 1 >> 1).to_bytes(32, "little")


def _multiply(digits, comb):
    """The comb's walk over the digits: X, Y and Z of the product."""
    # Extended coordinates: the point is (x/z, y/z), and x*y = z*t. The formulas are those of
    # RFC 8032, 5.1.4, but for signs, with 2*x*y for the product that it takes from a square and
    # with 1 for the z of points added. The coordinates take up to 255 bits where a column starts,
    # 271 once doubled, 302 after the first addition and 352 after the second.
    low = (1 << 255) - 1
    x = t = 0
    y = z = 1
    for column in range(31, -1, -1):
        x = (x & low) + 19 * (x >> 255)
        y = (y & low) + 19 * (y >> 255)
        z = (z & low) + 19 * (z >> 255)
        e = x * y
        e += e
        a = x * x
        b = y * y
        h = a + b
        g = b - a
        f = z * z
        f += f - g
        e = (e & low) + 19 * (e >> 255)
        f = (f & low) + 19 * (f >> 255)
        g = (g & low) + 19 * (g >> 255)
        h = (h & low) + 19 * (h >> 255)
        x = e * f
        y = g * h
        z = f * g
        t = e * h
        x = (x & low) + 19 * (x >> 255)
        y = (y & low) + 19 * (y >> 255)
        z = (z & low) + 19 * (z >> 255)
        t = (t & low) + 19 * (t >> 255)

        bit = column & 7
        at = column >> 3
        for i in (0, 24):
            u = (
                digits[at] >> bit & 1
                | (digits[at + 8] >> bit & 1) << 1
                | (digits[at + 16] >> bit & 1) << 2
            )
            e = y - x
            h = y + x
            z += z
            if digits[at + 24] >> bit & 1:
                i += 3 * u
                e *= comb[i + 1]
                h *= comb[i]
                t *= comb[i + 2]
                t = (t & low) + 19 * (t >> 255)
                f = z - t
                g = z + t
            else:
                i += 21 - 3 * u
                e *= comb[i]
                h *= comb[i + 1]
                t *= comb[i + 2]
                t = (t & low) + 19 * (t >> 255)
                f = z + t
                g = z - t
            a = h - e
            h += e
            e = (a & low) + 19 * (a >> 255)
            h = (h & low) + 19 * (h >> 255)
            x = e * f
            y = g * h
            z = f * g
            x = (x & low) + 19 * (x >> 255)
            y = (y & low) + 19 * (y >> 255)
            z = (z & low) + 19 * (z >> 255)
            if i < 24:
                t = e * h
                t = (t & low) + 19 * (t >> 255)
            at += 4
    return x, y, z


def _inverse(z):
    """1 / z modulo P, by Euclid: a tenth of the work of pow(z, P - 2, P)."""
    a = _P
    b = z % _P
    u = 0
    v = 1
    while b:
        q = a // b
        a, b = b, a - q * b
        u, v = v, u - q * v
    return u
