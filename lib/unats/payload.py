"""Readings as text or bytes, built in a fixed buffer without allocating."""

from micropython import const

from .arguments import _probe, size_of, utf8
from .checks import check
from .kernels import copy, digits

_HEX = b"0123456789abcdef"
_LARGEST = const(0x3FFFFFFF)  # beyond it numbers take heap
_number = bytearray(b"-" + bytes(11))  # a sign, ten digits, and the point
_bytes, _int, _len, _str, _type = bytes, int, len, str, type  # found sooner than built-ins
_write = _probe.write


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
        self._end = size

    def __len__(self):
        return self.size

    def clear(self):
        """Start over."""
        self.size = 0
        return self

    def text(self, s):
        """Append a str (as UTF-8), or bytes."""
        if _type(s) is _str or _type(s) is _bytes:
            n = _len(s)
            # (Nothing is written unless it has more bytes than characters.)
            if self.size + n <= self._end and _write(s, n, 1) == 0:
                self.size = copy(self.buffer, self.size, s, 0, n)
                return self
            _probe.seek(0)
        return self.bytes(s)

    def bytes(self, b):
        """Append a bytes-like object (or a str, as `text`)."""
        n = size_of(b)
        b = utf8(b)
        self._room(n)
        self.size = copy(self.buffer, self.size, b, 0, n)
        return self

    def fixed(self, value, decimals=0):
        """Append an int that counts 10**-decimals, with the point in place: (2153, 2) is 21.53.

        `int(value)` is the same: without decimals it appends the int as it is.
        """
        if (
            _type(value) is not _int
            or _type(decimals) is not _int
            or not 0 <= decimals < 9
            or not -_LARGEST <= value <= _LARGEST
        ):
            return self._long(value, decimals)
        # (With one word more on its stack this would take its frame from the heap.)
        start = 1
        if value < 0:
            start = 0
            value = -value
        value = digits(_number, 1, value, decimals) - start  # bytes of it, from now on
        if self.size + value > self._end:
            self._room(value)
        self.size = copy(self.buffer, self.size, _number, start, value)
        return self

    int = fixed

    def _long(self, value, decimals):
        """`fixed` for what is larger, or is no number."""
        if type(value) is not int or type(decimals) is not int or decimals < 0:
            raise ValueError("fixed: give whole numbers, and no negative count of decimals")
        s = str(abs(value))
        if decimals:
            s = "0" * (decimals + 1 - len(s)) + s
            s = s[:-decimals] + "." + s[-decimals:]
        return self.bytes("-" + s if value < 0 else s)

    def hex(self, b):
        """Append the bytes as pairs of lower-case hexadecimal digits."""
        n = size_of(b)
        b = utf8(b)
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
        if self.size + n > self._end:
            raise ValueError("Payload is full: make it larger than %d bytes" % self._end)
