"""Readings as text or bytes, built in a fixed buffer without allocating."""

from .arguments import octets
from .kernels import copy, digits

_HEX = b"0123456789abcdef"


class Payload:
    """A payload to build up: `p.clear().text('{"t":').fixed(2153, 2).text("}")`.

    `Payload(size)` allocates its buffer of `size` bytes; nothing else does, but for numbers beyond
    30 bits and text that is not ASCII. Every method returns the Payload; what does not fit raises
    ValueError and leaves it as it was. `buffer[:size]` is what has been built.
    """

    def __init__(self, size):
        self.buffer = bytearray(size)
        self.size = 0

    def __len__(self):
        return self.size

    def clear(self):
        """Start over."""
        self.size = 0
        return self

    def text(self, s):
        """Append a str (as UTF-8), or bytes."""
        return self.bytes(s)

    def bytes(self, b):
        """Append a bytes-like object (or a str, as `text`)."""
        b = octets(b)
        n = len(b)
        self._room(n)
        self.size = copy(self.buffer, self.size, b, 0, n)
        return self

    def int(self, value):
        """Append an int in decimal."""
        return self.fixed(value, 0)

    def fixed(self, value, decimals):
        """Append an int that counts 10**-decimals, with the point in place: (2153, 2) is 21.53."""
        if not isinstance(value, int) or not isinstance(decimals, int) or decimals < 0:
            raise ValueError("fixed: give whole numbers, and no negative count of decimals")
        if not -0x40000000 < value < 0x40000000 or decimals > 8:
            return self._long(value, decimals)
        magnitude = abs(value)
        scale = 10**decimals
        width = 1
        while magnitude // scale >= 10**width:
            width += 1
        self._room((value < 0) + width + (decimals and decimals + 1))
        if value < 0:
            self._byte(45)
        self.size = digits(self.buffer, self.size, magnitude // scale)
        if decimals:
            self._byte(46)
            self._fraction(magnitude % scale, scale)
        return self

    def _fraction(self, rest, scale):
        while scale > 1:
            scale //= 10
            self._byte(48 + rest // scale % 10)

    def _long(self, value, decimals):
        s = str(abs(value))
        if decimals:
            s = "0" * (decimals + 1 - len(s)) + s
            s = s[:-decimals] + "." + s[-decimals:]
        return self.bytes(("-" if value < 0 else "") + s)

    def hex(self, b):
        """Append the bytes as pairs of lower-case hexadecimal digits."""
        n = len(b)
        self._room(2 * n)
        i = 0
        while i < n:
            self._byte(_HEX[b[i] >> 4])
            self._byte(_HEX[b[i] & 15])
            i += 1
        return self

    def _byte(self, c):
        self.buffer[self.size] = c
        self.size += 1

    def _room(self, n):
        if self.size + n > len(self.buffer):
            raise ValueError("Payload is full: make it larger than %d bytes" % len(self.buffer))
