"""Names that nobody else uses, and numbers in them that are written over in place."""

_DIGITS = b"0123456789abcdef"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _random(n):
    """n random bytes, from the system's random source where the port has one."""
    try:
        from os import urandom
    except ImportError:
        from random import getrandbits

        return bytes([getrandbits(8) for _ in range(n)])
    return urandom(n)


def unique():
    """22 random letters and digits, as many as a NUID has."""
    # (A character that is taken out of a str is interned, and stays.)
    return bytes([_LETTERS[b % 62] for b in _random(22)]).decode()


def random_hex(n):
    """n random hexadecimal digits."""
    return "".join(["%x" % (b & 15) for b in _random(n)])


def write_hex(buf, at, value, n):
    """Write value in n hexadecimal digits. Does not allocate."""
    while n:
        n -= 1
        buf[at + n] = _DIGITS[value & 15]
        value >>= 4
