"""Ed25519 signatures checked (RFC 8032, 5.1.7): whether an NKey has signed something.

    from unats.auth.verify import verify
    verify("UABC...", message, signature)

Some three times the work of a signature, which is estimated to be under a second on a Pico W.
Loaded when it is used, with the arithmetic of `ed25519`; `unats.auth.nkey.release()` gives that
back, and whoever imported this does so with this. Not constant time, for nothing in it is secret.
"""

from .ed25519 import _ORDER, _P, _encoded, _inverse, _number, _of_base
from .nkey import public_bytes
from .sha512 import sha512

_D = -121665 * _inverse(121666) % _P
_ROOT = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0  # of -1


def verify(key, message, signature):
    """Whether the bytes-like `message` has this signature, 64 bytes, of the NKey `key`: its public
    part, as text. ValueError: that is none. Allocates, some 8 KB while it lasts (32-bit words).
    """
    public = public_bytes(key)
    point = _point(public)
    s = _number(memoryview(signature)[32:])
    if len(signature) != 64 or s >= _ORDER:
        return False
    h = _number(sha512(memoryview(signature)[:32], public, message)) % _ORDER
    x, y, z = _of_base(s)
    base = x * z % _P, y * z % _P, z * z % _P, x * y % _P
    x, y, z, _ = _add(base, _times(h, (_P - point[0], point[1], 1, _P - point[3])))
    return _encoded(x, y, z) == bytes(signature[:32])


def _point(data):
    """The point of a public key's 32 bytes. ValueError: there is none (RFC 8032, 5.1.3)."""
    y = _number(data)
    odd = y >> 255
    y &= (1 << 255) - 1
    u = (y * y - 1) % _P
    x = u * _inverse((_D * y * y + 1) % _P) % _P  # squared,
    square, x = x, _power(x)
    if x * x % _P != square:
        x = x * _ROOT % _P
    if y >= _P or x * x % _P != square or (x == 0 and odd):
        raise ValueError("this NKey is not a point of the curve (mistyped?)")
    if x & 1 != odd:
        x = _P - x
    return x, y, 1, x * y % _P


def _power(x):
    """x to the power of (_P + 3) / 8, which is 2**252 - 2."""
    y = 1
    for _ in range(251):
        y = y * y % _P * x % _P
    return y * y % _P


def _times(k, point):
    """k times a point, four bits at a time."""
    multiples = [(0, 1, 1, 0), point]
    while len(multiples) < 16:
        multiples.append(_add(multiples[-1], point))
    found = multiples[0]
    for at in range(252, -1, -4):
        for _ in range(4):
            found = _double(found)
        digit = k >> at & 15
        if digit:
            found = _add(found, multiples[digit])
    return found


# Extended coordinates, and formulas, as in RFC 8032, 5.1.4.


def _add(p, q):
    x, y, z, t = p
    u, v, w, s = q
    a = (y - x) * (v - u) % _P
    b = (y + x) * (v + u) % _P
    c = 2 * t * s % _P * _D % _P
    d = 2 * z * w % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(p):
    x, y, z, _ = p
    a = x * x % _P
    b = y * y % _P
    h = a + b
    e = h - (x + y) * (x + y) % _P
    g = a - b
    f = 2 * z * z % _P + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P
