"""Readings in RAM and in flash: the ring's order, segments whole, torn and corrupted, the count of
starts.
"""

import binascii
import os
import random
import unittest

from unats.nuid import random_hex
from unats.outbox import Outbox, flashlog
from unats.outbox.flashlog import FlashLog
from unats.outbox.ring import HEADER, Ring

SIZE = 512


def put(ring, subject, payload, seq):
    at = ring.place(HEADER + len(subject) + len(payload))
    if at < 0:
        return False
    ring.begin(at, len(subject), len(payload))
    ring.fill(ring.fill(at + HEADER, subject, len(subject)), payload, len(payload))
    ring.add(at, seq)
    return True


def record(ring, at):
    body = bytearray(100)
    n = ring.payload_into(body, at)
    return ring.seq(at), ring.subject(at), bytes(body[:n])


def records(ring):
    return [record(ring, ring.skip(i)) for i in range(ring.count)]


def reading(seq):
    return seq, b"sensors.dev.temp%d" % (seq % 3), b"x%d" % seq * (seq % 5)


def filled(*seqs, size=SIZE):
    ring = Ring(bytearray(size))
    for seq in seqs:
        _, subject, payload = reading(seq)
        assert put(ring, subject, payload, seq)
    return ring


class InFolder(unittest.TestCase):
    def setUp(self):
        self.path = "/tmp/unats-" + random_hex(12)
        self._open = []

    def tearDown(self):
        try:
            names = os.listdir(self.path)
        except OSError:
            return
        for name in names:
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)

    def log(self, limit=65536):
        return FlashLog(self.path, limit)

    def written(self, *seqs):
        """A log with one segment of these readings; and the segment's file."""
        log = self.log()
        ring = filled(*seqs)
        name = log.write(ring, ring.head, ring.count)
        return self.path + "/" + name

    def read(self):
        """What a new start finds in the oldest segment, and how many readings were damaged."""
        log = self.log()
        ring = Ring(bytearray(SIZE))
        log.load(ring, -1, SIZE)
        return records(ring), log.damaged


class RingOrder(unittest.TestCase):
    def test_records_come_out_as_they_went_in(self):
        ring = filled(1, 2, 3)
        self.assertEqual(records(ring), [reading(1), reading(2), reading(3)])
        ring.pop()
        self.assertEqual(records(ring), [reading(2), reading(3)])

    def test_random_puts_and_pops_with_records_of_any_size(self):
        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        for size in (64, 67, 100, 255):
            self.run_random(Ring(bytearray(size)))

    def run_random(self, ring):
        expected = []
        seq = 0
        for _ in range(600):
            if random.getrandbits(3) < 5:
                seq += 1
                item = seq, b"s", b"p" * (random.getrandbits(8) % 40)
                if put(ring, item[1], item[2], seq):
                    expected.append(item)
                else:
                    self.assertTrue(expected)  # an empty ring takes every record that it can hold
            elif expected:
                expected.pop(0)
                ring.pop()
            self.assertEqual(records(ring), expected)
            self.assertEqual(ring.count, len(expected))
            total = sum([HEADER + len(item[1]) + len(item[2]) for item in expected])
            self.assertTrue(total <= ring.used() <= len(ring.buf))

    def test_a_full_ring_takes_nothing_and_changes_nothing(self):
        ring = Ring(bytearray(64))
        self.assertTrue(put(ring, b"s", b"p" * 51, 1))
        self.assertFalse(put(ring, b"s", b"", 2))
        self.assertEqual(records(ring), [(1, b"s", b"p" * 51)])


class Segments(InFolder):
    def test_what_is_written_is_read_after_a_restart(self):
        self.written(1, 2, 3)
        self.assertEqual(self.read(), ([reading(1), reading(2), reading(3)], 0))

    def test_a_ring_that_goes_round_its_end(self):
        ring = filled(*range(10))
        seq = 10
        while ring.tail > ring.head or not ring.tail:
            ring.pop()
            while put(ring, reading(seq)[1], reading(seq)[2], seq):
                seq += 1
        expected = records(ring)
        log = self.log()
        log.write(ring, ring.head, ring.count)
        self.assertEqual(self.read(), (expected, 0))

    def test_the_last_records_alone(self):
        ring = filled(1, 2, 3, 4)
        self.log().write(ring, ring.skip(2), 2)
        self.assertEqual(self.read(), ([reading(3), reading(4)], 0))

    def test_segments_come_in_the_order_of_writing_over_restarts(self):
        expected = []
        for start in range(3):
            log = self.log()
            for i in range(12):
                seq = start * 20 + i
                expected.append([reading(seq)])
                log.write(filled(seq), 0, 1)
        log = self.log()
        self.assertEqual(len(log.segments), 36)
        found = []
        while log.segments:
            ring = Ring(bytearray(SIZE))
            log.load(ring, -1, SIZE)
            found.append(records(ring))
            log.drop_oldest()
        self.assertEqual(found, expected)
        self.assertEqual(self.log().segments, [])

    def test_what_is_done_already_is_left_out_if_it_is_of_this_start(self):
        log = self.log()
        log.add(log.write(filled(1, 2, 3), 0, 3), 100)
        ring = Ring(bytearray(SIZE))
        self.assertEqual(log.load(ring, 2, SIZE), log.start)
        self.assertEqual((records(ring), log.damaged), ([reading(3)], 0))
        later = self.log()
        self.assertEqual(later.load(ring, 2, SIZE), log.start)
        self.assertEqual(ring.count, 3)

    def test_a_segment_larger_than_the_ring_is_now(self):
        self.written(*range(8))
        log = self.log()
        ring = Ring(bytearray(64))
        log.load(ring, -1, SIZE)
        self.assertEqual(records(ring), [reading(i) for i in range(8)])

    def test_files_of_others_are_left_alone(self):
        self.log()
        for name in ("readme", "00000000000000zz", "123.id", "zzzzzzzzzzzz.id"):
            open(self.path + "/" + name, "w").close()
        log = self.log()
        self.assertEqual(log.segments, [])
        self.assertTrue("readme" in os.listdir(self.path))
        self.assertEqual(log.start, 2)

    def test_flash_counts_in_whole_blocks(self):
        block = max(os.statvfs("/tmp")[0], 512)
        log = self.log(3 * block)
        ring = filled(1, 2)
        self.assertTrue(log.may_fit(ring))
        for _ in range(3):
            self.assertTrue(log.fits(ring))
            log.add(log.write(ring, 0, 2), ring.used())
        self.assertFalse(log.fits(ring))
        self.assertFalse(self.log(3 * block).fits(ring))  # also when it is found there
        log.drop_oldest()
        self.assertTrue(log.fits(ring))

    def test_one_that_is_being_sent_is_gone_after_a_restart(self):
        self.written(1, 2, 3)
        log = self.log()
        log.claim()
        ring = Ring(bytearray(SIZE))
        log.load(ring, -1, SIZE)
        self.assertEqual(ring.count, 3)
        log = self.log()
        self.assertEqual((log.segments, log.claimed), ([], 3))
        self.assertEqual(len(os.listdir(self.path)), 1)

    def test_an_unwritable_segment_leaves_nothing_behind(self):
        log = self.log()
        log.path = self.path + "/missing/"
        with self.assertRaises(OSError):
            log.write(filled(1), 0, 1)
        self.assertEqual(len(os.listdir(self.path)), 1)

    def test_a_missing_file_is_a_damaged_segment(self):
        file = self.written(1, 2)
        log = self.log()
        os.remove(file)
        ring = Ring(bytearray(SIZE))
        log.load(ring, -1, SIZE)
        log.drop_oldest()
        self.assertEqual((ring.count, log.damaged, log.segments), (0, 2, []))


class Damage(InFolder):
    def content(self, *seqs):
        file = self.written(*seqs)
        with open(file, "rb") as f:
            return file, f.read()

    def rewrite(self, file, data):
        with open(file, "wb") as f:
            f.write(data)

    def test_torn_at_every_offset(self):
        seqs = 3, 4, 7
        file, data = self.content(*seqs)
        ends = []
        for seq in seqs:
            _, subject, payload = reading(seq)
            ends.append((ends[-1] if ends else 0) + HEADER + len(subject) + len(payload))
        self.assertEqual(ends[-1], len(data))
        for n in range(len(data)):
            self.rewrite(file, data[:n])
            whole = [reading(seq) for seq, end in zip(seqs, ends) if end <= n]
            lost = len(seqs) - len(whole) if n else 0  # empty: writing it never came to its end
            self.assertEqual(self.read(), (whole, lost))

    def test_every_byte_corrupted_in_turn_costs_one_record(self):
        seqs = 3, 4, 7
        file, data = self.content(*seqs)
        at = 0
        for seq in seqs:
            _, subject, payload = reading(seq)
            end = at + HEADER + len(subject) + len(payload)
            others = [reading(other) for other in seqs if other != seq]
            for i in range(at, end):
                for flip in (1, 0x80, 0xFF):
                    broken = bytearray(data)
                    broken[i] ^= flip
                    self.rewrite(file, broken)
                    self.assertEqual(self.read(), (others, 1))
            at = end

    def test_blank_flash_and_noise(self):
        file, _data = self.content(3, 4)
        for junk in (
            b"\xff" * 400,
            bytes(400),
            bytes([random.getrandbits(8) for _ in range(400)]),
        ):
            self.rewrite(file, junk)
            self.assertEqual(self.read(), ([], 2))

    def test_the_remains_of_another_segment_are_no_readings(self):
        file, data = self.content(3, 4)
        log = self.log()
        log.write(filled(7, 9), 0, 2)
        other = self.path + "/" + sorted(os.listdir(self.path))[1]
        self.assertNotEqual(file, other)
        self.rewrite(other, data)
        log = self.log()
        log.drop_oldest()
        ring = Ring(bytearray(SIZE))
        log.load(ring, -1, SIZE)
        self.assertEqual((ring.count, log.damaged), (0, 2))

    def test_crc_of_a_port_that_has_none(self):
        crc32 = flashlog.bitwise_crc32
        for data in (b"", b"a", b"123456789", bytes(range(256))):
            self.assertEqual(crc32(data), binascii.crc32(data))
            self.assertEqual(crc32(data, 0xDEADBEEF), binascii.crc32(data, 0xDEADBEEF))
        self.assertEqual(crc32(b"123456789"), 0xCBF43926)


class Foreign(InFolder):
    """What is there was written with other limits, or by somebody else: counted, and skipped."""

    def test_a_payload_larger_than_readings_may_be_now(self):
        self.path_of(0, 40, 41, 16, 100)
        log = self.log()
        ring = Ring(bytearray(SIZE))
        log.load(ring, -1, 40)
        self.assertEqual([len(payload) for _, _, payload in records(ring)], [0, 40, 16])
        self.assertEqual(log.damaged, 2)

    def path_of(self, *sizes):
        """A segment of payloads of these sizes."""
        log = self.log()
        ring = Ring(bytearray(SIZE))
        for i, size in enumerate(sizes):
            self.assertTrue(put(ring, b"s", bytes(size), i))
        log.write(ring, ring.head, ring.count)

    def test_an_outbox_goes_on_behind_them(self):
        class Client:
            connected = False
            inbox_prefix = "_INBOX"
            no_requeue = on_refusal = ()

            def subscribe(self, subject, handler):
                return self

        self.path_of(3, 200, 5)
        outbox = Outbox(Client(), "dev", ring=bytearray(SIZE), path=self.path, max_payload=16)
        spool = outbox._spool
        self.assertEqual(len(outbox), 3)
        taken = []
        while len(outbox):
            spool.choose()
            spool.take(spool.source.head)
            taken.append(spool.size)
            spool.pop()
        self.assertEqual((taken, outbox.stats.damaged), ([3, 5], 1))

    def test_a_file_too_large_for_a_segment_is_not_read_into_memory(self):
        self.log()
        name = "000001" + "000001" + "0007"
        with open(self.path + "/" + name, "wb") as file:
            for _ in range(100):
                file.write(bytes(10000))
        self.assertEqual(self.read(), ([], 7))


class Starts(InFolder):
    def ids(self):
        return [name for name in os.listdir(self.path) if name.endswith(".id")]

    def test_each_start_has_a_number_of_its_own(self):
        marks = set()
        for n in range(1, 6):
            log = self.log()
            marks.add(log.mark(n))
            self.assertEqual(log.start, n)
            self.assertEqual(self.ids(), ["%s%06x.id" % (log.mark(n), n)])
        self.assertEqual(len(marks), 5)

    def test_an_image_that_is_put_back_begins_another_life(self):
        self.log()
        before = self.ids()[0]
        first = self.log()
        os.rename(self.path + "/" + self.ids()[0], self.path + "/" + before)
        again = self.log()
        self.assertEqual(again.start, first.start)
        self.assertNotEqual(again.mark(again.start), first.mark(first.start))

    def test_a_start_keeps_its_mark_as_long_as_it_has_readings(self):
        self.written(1)
        mark = self.log().mark(1)
        for n in range(3, 6):
            log = self.log()
            self.assertEqual((log.start, log.mark(1)), (n, mark))
            self.assertEqual(len(self.ids()), 2)
        log.drop_oldest()
        self.assertEqual(self.ids().count("%s000001.id" % mark), 1)
        log = self.log()
        self.assertEqual(self.ids(), ["%s000006.id" % log.mark(6)])

    def test_one_mark_for_all_as_an_earlier_version_had_it(self):
        self.written(1)
        os.rename(self.path + "/" + self.ids()[0], self.path + "/abcdef000003.id")
        log = self.log()
        self.assertEqual((log.start, log.mark(1)), (4, "abcdef"))

    def test_both_names_after_a_cut_in_the_middle_of_renaming(self):
        self.log()
        for n in (7, 8):
            open(self.path + "/abcdef%06x.id" % n, "w").close()
        log = self.log()
        self.assertEqual(log.start, 9)
        self.assertEqual(self.ids(), ["%s000009.id" % log.mark(9)])

    def test_without_its_file_the_count_goes_on_from_the_segments(self):
        for _ in range(4):
            self.written(1)
        os.remove(self.path + "/" + self.ids()[0])
        self.assertEqual(self.log().start, 5)

    def test_flash_that_takes_nothing_gets_random_numbers(self):
        self.log()

        def rename(old, new):
            raise OSError(28, "ENOSPC")

        real, flashlog.os = flashlog.os, Patched(flashlog.os, rename)
        try:
            starts = {self.log().start for _ in range(5)}
            log = self.log()
        finally:
            flashlog.os = real
        self.assertEqual(len(starts), 5)
        self.assertFalse(log.may_fit(filled(1)))
        self.assertTrue(isinstance(log.last_error, OSError))


class Patched:
    """A module with another `rename`."""

    def __init__(self, module, rename):
        for name in ("listdir", "remove", "stat", "statvfs", "mkdir"):
            setattr(self, name, getattr(module, name))
        self.rename = rename


if __name__ == "__main__":
    unittest.main()
