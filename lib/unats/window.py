"""The write window: for network stacks that block when their memory is full, as lwIP on the RP2040
does.

What has been handed to the stack is in flight until the server has answered a PING behind it.
`size` bytes may be in flight, each write counting `COST` more. A PING goes behind what is queued
as soon as more than `ping_at` bytes would have none; so, with a transmit buffer of at most half
the window, a window that is full always has a PING in it, and there is a PONG to come. Loaded for
transports that have a `window`; takes about 0.9 KB of heap.
"""

from array import array

import utime
from micropython import const

_MARKS = const(4)
_HALF = const(0x20000000)
_WRAP = const(0x3FFFFFFF)
_HOLD_MS = const(10000)  # so long lwIP keeps the unconfirmed data of a connection that was closed
_PAUSE_MS = const(10500)


class Window:
    """`out`: bytes in flight; `tail`: those of them that no PING is behind (below 0: not yet
    handed over).
    """

    COST = 96  # of a write, beside its bytes: lwIP's headers; and its queue has 32 places

    def __init__(self, size, tx_size):
        if type(size) is not int or size < max(2 * tx_size, 600):
            raise ValueError("transport: its window must be at least 600, and twice tx_size")
        self.size = size
        self.ping_at = min(size >> 1, size - tx_size - 24 - 2 * self.COST)
        self._numbers = array("i", [0] * _MARKS)  # which PINGs are unanswered, oldest first;
        # ... and what each vouches for, beyond the one before
        self._sizes = array("i", [0] * _MARKS)
        self._lost_at = None
        self.handler = False  # one may be called at the moment
        self.clear()

    def clear(self):
        """Nothing is in flight."""
        self.out = self.tail = self._count = 0

    def fits(self, n, out=None):
        """Whether n bytes may be handed over in one go (in four parts, which are not cut)."""
        return (self.out if out is None else out) + n + 5 * self.COST <= self.size

    def partly(self):
        """Only a part of a large message was taken: it counts with what follows as one write, or
        the window could be full in the middle of it.
        """
        self.out -= self.COST
        self.tail -= self.COST

    def pinged(self, number, queued):
        """A PING was queued; bytes: from the first one not yet handed over to its end."""
        if self._count < _MARKS:
            self._sizes[self._count] = 0
            self._count += 1
        self._numbers[self._count - 1] = number
        self._sizes[self._count - 1] += self.tail + queued + self.COST
        self.tail = -queued - self.COST

    def ponged(self, number):
        """As many PONGs have come."""
        while self._count and (number - self._numbers[0]) & _WRAP < _HALF:
            self.out = max(self.out - self._sizes[0], 0)
            self._count -= 1
            for i in range(self._count):
                self._numbers[i] = self._numbers[i + 1]
                self._sizes[i] = self._sizes[i + 1]

    def lost(self):
        """The connection has ended: milliseconds to wait before the next, as its data stay with
        the stack.
        """
        wait = 0
        if self.out > 2 * self.COST:  # (the costs of what a PONG has confirmed)
            now = utime.ticks_ms()
            if self._lost_at is not None and 0 <= utime.ticks_diff(now, self._lost_at) < _HOLD_MS:
                wait = _PAUSE_MS
            self._lost_at = now
        self.clear()
        return wait
