"""Readings in flash: a folder of segments, each written once, in one go, and deleted when it is
done.

A segment is a file of records as `ring.py` lays them out. Its name is three hexadecimal numbers:
which start of the board (6 digits) wrote it, as which segment (6), and how many records it
holds (4); sorted by name they are in the order of the readings. A file `<mark><start>.id` stands
for the last start, and for each that has readings left: the number never comes back, and the six
random digits `mark` tell its message ids from those of every other life of this flash, be it an
image that was put back, or a copy.

What a power cut leaves behind. On littlefs a file's content is there once `close` has returned,
all of it, and none before; rename and remove happen wholly or not at all. On FAT, or if a bit
decays, a record can be damaged: its CRC-32 begins with that of the file's name, so neither a torn
record nor the remains of a deleted segment in the same sectors is taken for a reading.

Wear: nothing is rewritten in place, and littlefs takes blocks in turn. A full segment of up to one
block costs one erasure and two small entries in the folder's metadata. Measured with blocks of
4096 bytes, a ring of that size and readings of 25 bytes of subject and 21 of payload: 59 bytes
written for each (75 where littlefs writes 256 at least) and 18 to 22 erasures for 1,000, the
deletion included; with `sync` after each reading 490 (1,240) bytes and 200 to 410 erasures. With
100,000 erasures for each block, 64 KiB of flash take a segment every ten minutes for some 30
years.

All of this allocates; it is only called when readings go to flash or come from there.
"""

import errno
import os

from micropython import const

from unats.kernels import copy
from unats.nuid import random_hex

from .ring import HEADER, load, store


def bitwise_crc32(data, crc=0):
    """CRC-32 (ISO 3309), for a port whose binascii has none."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


try:
    from binascii import crc32
except ImportError:
    crc32 = bitwise_crc32

_START = const(6)  # digits of a segment's name: which start,
_NUMBER = const(12)  # ... which segment,
_NAME = const(16)  # ... how many records
_MAX_STARTS = const(0xFFFFFF)
_MAX_SEGMENT = const(65535)  # bytes: a larger file was written by somebody else


def _is_hex(text, n):
    return len(text) == n and not text.strip("0123456789abcdef")


class FlashLog:
    """The segments in the folder `path`.

    `segments`: names, oldest first; together at most `limit` bytes of flash. `copies`: names of a
    few further ones, whose readings are in RAM too.
    `start`: see above. `damaged`: readings found unreadable. `last_error`: an OSError, or
    None. OSError, if there is no such folder and it can't be made.
    """

    def __init__(self, path, limit):
        self.path = path.rstrip("/") + "/"
        self.limit = limit
        self.segments = []
        self.copies = []
        self.damaged = self.claimed = 0
        self.last_error = None
        self._number = 0
        self._marks = {}  # of the starts
        self._costs = []  # what each of the segments takes,
        self._used = 0  # ... and all
        self.beside = None  # another one in the same flash
        try:
            os.mkdir(path)
        except OSError:
            pass  # most often it is there; if not, listing it fails
        self._block = max(os.statvfs(path)[0], 512)
        self._scan(names_in(path))

    def _scan(self, names):
        newest = ""
        ids = []
        for name in sorted(names):
            if name.endswith(".id") and _is_hex(name[:-3], 12):
                ids.append(name)
            elif _is_hex(name, _NAME):
                self.add(name, os.stat(self.path + name)[6])
                newest = name
            elif name.endswith(".sent"):
                self.claimed += count_of(name)
                self.remove(name)
        self._begin(ids, int(newest[:_START] or "0", 16))

    def has_held(self):
        """Whether there are segments in the folder `held`."""
        try:
            names = names_in(self.path + "held")
        except OSError:
            return False
        return any(_is_hex(name, _NAME) for name in names)

    def _begin(self, ids, start):
        """Count this start, beyond all earlier ones, and draw its mark."""
        for name in ids:
            self._marks[int(name[6:12], 16)] = name[:6]
        self.start = max(start, *self._marks, 0) % _MAX_STARTS + 1
        self._marks[self.start] = random_hex(6)
        left = [int(name[:_START], 16) for name in self.segments]
        free = [name for name in ids if int(name[6:12], 16) not in left]
        new = self.path + "%s%06x.id" % (self.mark(self.start), self.start)
        try:
            if free:  # which takes no room in a full flash
                os.rename(self.path + free.pop(), new)
            else:
                open(new, "wb").close()
            for name in free:
                os.remove(self.path + name)
        except OSError as e:
            self._unwritable(e)

    def mark(self, start):
        """The mark of a start. Allocates."""
        # (An earlier version had one for all, and a file of the last one only.)
        return self._marks[min([n for n in self._marks if n >= start])]

    def _unwritable(self, error):
        """Flash takes nothing: a random number stands in for this start, nothing is written."""
        self.last_error = error
        self.limit = 0
        self.start = int(random_hex(6), 16)
        self._marks[_MAX_STARTS] = random_hex(6)

    # Writing

    def may_fit(self, ring):
        """Whether all records of the ring may go to flash, if they were the only ones."""
        return self._blocks(ring.used()) <= self.limit

    def fits(self, ring):
        """Whether they may, as a segment more."""
        beside = self.beside._used if self.beside is not None else 0
        return self._used + beside + self._blocks(ring.used()) <= self.limit

    def add(self, name, size):
        """Take the segment of so many bytes among the others, as the newest."""
        self.segments.append(name)
        self._costs.append(self._blocks(size))
        self._used += self._costs[-1]

    def _blocks(self, n):
        return (n + self._block - 1) // self._block * self._block

    def write(self, ring, at, count):
        """Write the ring's last records, so many from `at` on; return the segment's name.

        They are in flash when this returns. OSError: they are not, and nothing else has changed.
        """
        self._number += 1
        name = "%06x%06x%04x" % (self.start, self._number, count)
        view = memoryview(ring.buf)
        seal(ring, at, count, crc32(name.encode()))
        try:
            with open(self.path + name, "wb") as file:
                if at < ring.tail:
                    _write_all(file, view[at : ring.tail])
                else:
                    _write_all(file, view[at : ring.wrap])
                    _write_all(file, view[: ring.tail])
        except OSError:
            self.remove(name)
            raise
        return name

    def remove(self, name):
        """Delete a segment; one that can't be is found again at the next start."""
        try:
            os.remove(self.path + name)
        except OSError as e:
            self.last_error = e

    def drop_copies(self, n):
        """Delete the oldest n segments of `copies`.

        From the newest on: if the power is cut, those that are left are the first readings of what
        the newer segments hold, and stay in order.
        """
        while n:
            n -= 1
            self.remove(self.copies.pop(n))

    # Reading

    def load(self, ring, after, max_payload):
        """Read the oldest segment to the empty ring; return in which start it was written.

        Its whole records are taken, of this start those with a sequence number beyond `after`.
        What can't be read is counted in `damaged`, and so is a payload of more bytes than
        max_payload: whoever takes it out has no room for it.
        """
        name = self.segments[0]
        size = self._read(name, ring)
        start = int(name[:_START], 16)
        if start != self.start:
            after = -1
        good = keep_whole(ring, size, crc32(name[:_NAME].encode()), after, max_payload)
        if size:  # of an empty one the writing was cut: it never was in flash
            self.damaged += max(count_of(name) - good, 0)
        return start

    def _read(self, name, ring):
        ring.clear()
        try:
            size = os.stat(self.path + name)[6]
            if size > _MAX_SEGMENT:
                raise OSError(errno.EINVAL, "EINVAL")
            if size > len(ring.buf):  # written when the ring was larger
                ring.buf = bytearray(size)
            with open(self.path + name, "rb") as file:
                return file.readinto(ring.buf)
        except (OSError, MemoryError) as e:
            self.last_error = e
            self.damaged += count_of(name)
            return 0

    def claim(self):
        """Mark the oldest segment as being sent: after a restart it is not read again."""
        name = self.segments[0] + ".sent"
        try:
            os.rename(self.path + self.segments[0], self.path + name)
            self.segments[0] = name
        except OSError as e:
            self.last_error = e

    def drop_oldest(self):
        """Delete the oldest segment."""
        self._used -= self._costs.pop(0)
        self.remove(self.segments.pop(0))


def names_in(path):
    """The names in a folder; without those that a power cut on FAT has left as no text at all."""
    try:
        return os.listdir(path)
    except ValueError:
        pass
    names = []
    entries = os.ilistdir(path)
    while True:
        try:
            names.append(next(entries)[0])
        except ValueError:
            pass
        except StopIteration:
            return names


def count_of(name):
    """How many records the segment of that name holds."""
    text = name[_NUMBER:_NAME]
    return int(text, 16) if _is_hex(text, 4) else 0


def _write_all(file, data):
    if file.write(data) != len(data):
        raise OSError(28, "ENOSPC")  # which MicroPython's errno does not name


def seal(ring, at, count, crc):
    """Fill in the CRCs of so many records from `at` on; `crc` is what each begins with."""
    view = memoryview(ring.buf)
    while count:
        at = ring.start(at)
        store(ring.buf, at, crc32(view[at + 4 : ring.after(at)], crc), 4)
        at = ring.after(at)
        count -= 1


def keep_whole(ring, size, crc, after, max_payload):
    """Make the queue of the whole records in the buffer's first `size` bytes; return how many.

    Those up to the sequence number `after` are whole, but not taken. Behind a damaged one every
    position is tried, since its length may be what is wrong.
    """
    at = good = 0
    while at + HEADER < size:
        if not is_whole(ring, at, size, crc, max_payload):
            at += 1
            continue
        good += 1
        end = ring.after(at)
        if ring.seq(at) > after:
            to = copy(ring.buf, ring.tail, ring.buf, at, end - at)
            ring.count += 1
            ring.tail = to
        at = end
    return good


def is_whole(ring, at, size, crc, max_payload):
    """Whether a record with the right CRC is at `at`, and its payload not too large."""
    end = ring.after(at)
    if not at + HEADER < end <= size or not 0 <= ring.payload_size(at) <= max_payload:
        return False
    return crc32(memoryview(ring.buf)[at + 4 : end], crc) == load(ring.buf, at, 4)
