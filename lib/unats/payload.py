"""Readings as text or bytes, built in a fixed buffer without allocating."""

from micropython import const

from .arguments import _probe, octets, size_of
from .checks import check
from .kernels import copy, digits

_HEX = b"0123456789abcdef"
_LARGEST = const(0x3FFFFFFF)  # beyond it numbers take heap
_SCALES = (1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000)
_number = bytearray(b"-" + bytes(23))  # a sign, whole digits, the point, and decimals


class Payload:
    """A payload to build up: `p.clear().text('{"t":').fixed(2153, 2).text("}")`.

    `Payload(size)` allocates its buffer of `size` bytes; nothing else does, but for numbers beyond
    30 bits and text that is not ASCII. Every method returns the Payload; what does not fit raises
    ValueError and leaves it as it was. `buffer[:size]` is what has been built.
    """

    def __init__(self, size):
        check("size", size, 0)
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
        if type(s) is str:
            n = len(s)
            _probe.seek(0)
            if _probe.write(s, n, 1):  # its bytes are more than its characters
                return self.bytes(s.encode())
        elif type(s) is bytes:
            n = len(s)
        else:
            return self.bytes(s)
        if self.size + n > len(self.buffer):
            self._room(n)
        self.size = copy(self.buffer, self.size, s, 0, n)
        return self

    def bytes(self, b):
        """Append a bytes-like object (or a str, as `text`)."""
        n = size_of(b)
        b = octets(b)
        self._room(n)
        self.size = copy(self.buffer, self.size, b, 0, n)
        return self

    def int(self, value):
        """Append an int in decimal."""
        return self.fixed(value, 0)

    def fixed(self, value, decimals):
        """Append an int that counts 10**-decimals, with the point in place: (2153, 2) is 21.53."""
        if type(value) is not int or type(decimals) is not int or decimals < 0:
            raise ValueError("fixed: give whole numbers, and no negative count of decimals")
        start = 1
        if value < 0:
            start = 0
            value = -value
        if value > _LARGEST or decimals > 8:
            return self._long(value, decimals, start)
        if decimals:
            scale = _SCALES[decimals]
            at = digits(_number, 1, value // scale)
            end = digits(_number, at, value % scale + scale)  # 1, where the point goes
            _number[at] = 0x2E
        else:
            end = digits(_number, 1, value)
        if self.size + end - start > len(self.buffer):
            self._room(end - start)
        self.size = copy(self.buffer, self.size, _number, start, end - start)
        return self

    def _long(self, value, decimals, start):
        s = str(value)
        if decimals:
            s = "0" * (decimals + 1 - len(s)) + s
            s = s[:-decimals] + "." + s[-decimals:]
        return self.bytes("-"[start:] + s)

    def hex(self, b):
        """Append the bytes as pairs of lower-case hexadecimal digits."""
        n = size_of(b)
        b = octets(b)
        if isinstance(b, str) or n != len(b):
            raise ValueError("hex: give bytes")
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
