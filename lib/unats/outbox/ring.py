"""A queue of readings in one bytearray, each laid out as it is in flash.

    0   CRC-32 of all that follows, filled in when the record goes to flash
    4   bytes of the whole record; 0: the rest of the buffer is unused, the next record is at 0
    6   bytes of the subject
    7   0
    8   sequence number
    12  subject, payload                                   numbers are little endian

Records lie one behind the other and are never cut in two. Positions given to the outside may be
those of such an unused rest: `start` makes the record's own of them. Nothing here allocates.
"""

from micropython import const

from unats.kernels import copy

HEADER = const(12)
_LENGTH = const(4)
_SUBJECT = const(6)
_SEQ = const(8)


class Ring:
    """`count` records in `buf`, the oldest at `head`; the newest `fresh` ones are not in flash."""

    def __init__(self, buf):
        self.buf = buf
        self.clear()

    def clear(self):
        """Forget all records."""
        self.head = self.tail = 0
        self.wrap = 0  # where the records end that have others behind them at 0
        self.count = self.fresh = 0

    def used(self):
        """Bytes that are taken."""
        n = self.tail - self.head
        return n if n > 0 or not self.count else n + len(self.buf)

    def place(self, need):
        """Where a record of so many bytes goes, or -1 if it does not fit."""
        if self.count and self.tail <= self.head:
            return self.tail if self.head - self.tail >= need else -1
        if len(self.buf) - self.tail >= need:
            return self.tail
        if self.head >= need:
            return 0
        return -1

    def begin(self, at, subject_size, payload_size):
        """Write a record's head at `at`, which `place` gave; `fill` what follows, then `add`."""
        store(self.buf, at + _LENGTH, HEADER + subject_size + payload_size, 2)
        store(self.buf, at + _SUBJECT, subject_size, 2)

    def fill(self, at, data, n):
        """Write the first n bytes of data at `at`, return where they end."""
        return copy(self.buf, at, data, 0, n)

    def add(self, at, seq):
        """Take the record at `at` into the queue."""
        if at != self.tail:
            self.wrap = self.tail
            if len(self.buf) - self.wrap >= HEADER:
                store(self.buf, self.wrap + _LENGTH, 0, 2)
        store(self.buf, at + _SEQ, seq, 4)
        self.tail = self.after(at)
        self.count += 1
        self.fresh += 1

    def pop(self):
        """Forget the oldest record."""
        self.count -= 1
        if self.fresh > self.count:
            self.fresh = self.count
        if self.count:
            self.head = self.start(self.after(self.head))
        else:
            self.head = self.tail = 0

    def start(self, at):
        """The position itself, or 0 if only the unused rest of the buffer is there."""
        if len(self.buf) - at < HEADER or load(self.buf, at + _LENGTH, 2) == 0:
            return 0
        return at

    def after(self, at):
        """Where the record at `at` ends."""
        return at + load(self.buf, at + _LENGTH, 2)

    def skip(self, n):
        """Where the record is that has n others before it."""
        at = self.head
        while n:
            at = self.start(self.after(at))
            n -= 1
        return at

    def seq(self, at):
        """The sequence number of the record at `at`."""
        return load(self.buf, at + _SEQ, 4)

    def subject_is(self, at, subject):
        """Whether this is the subject of the record at `at`."""
        n = len(subject)
        return n == self.buf[at + _SUBJECT] and self._holds(at + HEADER, subject, n)

    def _holds(self, at, data, n):
        return self.buf.find(data, at, at + n) == at

    def subject(self, at):
        """The subject of the record at `at`, as bytes. Allocates."""
        return bytes(self.buf[at + HEADER : at + HEADER + self.buf[at + _SUBJECT]])

    def payload_size(self, at):
        """Bytes of the payload, which is behind the subject."""
        return load(self.buf, at + _LENGTH, 2) - HEADER - self.buf[at + _SUBJECT]

    def payload_into(self, to, at):
        """Copy the payload of the record at `at` to the start of a buffer, return its size."""
        n = self.payload_size(at)
        return copy(to, 0, self.buf, self.after(at) - n, n)


def store(buf, at, value, n):
    """Write value as n bytes."""
    while n:
        buf[at] = value & 255
        value >>= 8
        at += 1
        n -= 1


def load(buf, at, n):
    """The number in n bytes."""
    value = 0
    while n:
        n -= 1
        value = value << 8 | buf[at + n]
    return value
