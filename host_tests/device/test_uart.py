"""The transport for serial lines: frames, hostile ones, what is ahead of whom, allocation."""

import gc
import os
import random
import unittest
from binascii import crc32

import micropython
import uselect
import utime

import unats
from rounds import played
from unats.kernels import copy
from unats.uart import Uart

OPEN, DATA, PING, ACK, CLOSE = b"ODPAC"


class Line:
    """In the place of a UART: gives in pieces what was fed, and takes what there is room for."""

    def __init__(self):
        self.coming, self.sent = b"", b""
        self.piece = self.room = 1 << 20

    def any(self):
        return min(len(self.coming), self.piece)

    def readinto(self, buf, n):
        n = min(n, self.any(), len(buf))
        buf[:n] = self.coming[:n]
        self.coming = self.coming[n:]
        return n or None

    def write(self, buf, off, n):
        n = min(n, self.room)
        self.room -= n
        self.sent += bytes(memoryview(buf)[off : off + n])
        return n or None


class Stdin:
    """In the place of `sys.stdin.buffer`: it does not say how much there is, and blocks."""

    def __init__(self, line):
        self._line = line

    def readinto(self, buf, n):
        if n > self._line.any():
            raise AssertionError("that would block")
        return self._line.readinto(buf, n)


class Poll:
    """In the place of `uselect.poll()`, for that line."""

    def __init__(self, line):
        self.line = line
        self.waited = []

    def register(self, port, flags):
        pass

    def unregister(self, port):
        pass

    def ipoll(self, ms):
        self.waited.append(ms)
        return ((None, uselect.POLLIN),) if self.line.any() else ()


def stuffed(data):
    out = b"~"
    for c in data:
        out += bytes([0x7D, c ^ 32]) if c < 32 or c in b"}~" else bytes([c])
    return out + b"~"


def frame(kind, number, seq, ack, payload=b""):
    data = bytes([kind, number >> 8, number & 255, seq, ack]) + payload
    return stuffed(data + crc32(data).to_bytes(4, "little"))


def frames(sent):
    """What the board has sent, as (kind, id, seq, ack, payload)."""
    found = []
    for part in sent.split(b"~"):
        if part:
            data, flip = b"", 0
            for c in part:
                if c < 32:
                    raise AssertionError("a control character")
                if c == 0x7D:
                    flip = 32
                else:
                    data, flip = data + bytes([c ^ flip]), 0
            if crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
                raise AssertionError("checksum")
            found.append((data[0], data[1] << 8 | data[2], data[3], data[4], data[5:-4]))
    return found


class Case(unittest.TestCase):
    stdin = False

    def setUp(self):
        self.line = Line()
        if self.stdin:
            self.uart = Uart(Stdin(self.line), self.line)
        else:
            self.uart = Uart(self.line)
        self.uart.poll = Poll(self.line)
        self.seq = self.acked = 0

    def open(self):
        self.uart.open("bridge", 4222)
        kind, self.id, seq, ack, payload = frames(self.line.sent)[0]
        self.assertEqual((kind, seq, ack, payload), (OPEN, 0, 0, b"\1\0\x90"))
        self.assertEqual(self.uart.ready(), False)
        self.line.sent = b""
        self.feed(OPEN)
        self.assertEqual(self.uart.ready(), True)

    def feed(self, kind, payload=b""):
        self.line.coming += frame(kind, self.id, self.seq & 255, self.acked & 255, payload)
        if kind == DATA:
            self.seq += 1

    def read(self, size=256):
        """All data that comes in buffers of that size."""
        found, buf = b"", bytearray(size)
        while True:
            n = self.uart.readinto(memoryview(buf))
            found += buf[: n or 0]
            if not n and not self.line.any():
                return found

    def sent(self):
        found = frames(self.line.sent)
        self.line.sent = b""
        return found

    def fails(self, words):
        try:
            self.read()
        except unats.NotConnected as e:
            self.assertTrue(words in str(e), str(e))
            return
        self.fail("no error")


class Frames(Case):
    def test_of_every_length_and_of_every_byte(self):
        self.open()
        everything = bytes(range(256))
        for n in range(1, 129):
            data = everything[n : n + 64] + everything[: max(n - 64, 0)]
            self.feed(DATA, data[:64])
            self.assertEqual(self.read(1 + n % 70), data[:64])
            for at in range(0, len(data), 64):
                part = data[at : at + 64]
                self.assertEqual(self.uart.write(b"<" + part, 1, len(part)), len(part))
                self.acked += 1
                self.feed(ACK)
                self.read()
            self.assertEqual(
                b"".join([f[4] for f in self.sent() if f[0] == DATA]), data, "%d bytes" % n
            )

    def test_split_at_every_offset(self):
        for cut in range(1, 60):
            self.setUp()
            self.open()
            self.feed(DATA, b"on~}\x03e")
            self.feed(PING)
            self.feed(DATA, b"two")
            rest, self.line.coming = self.line.coming[cut:], self.line.coming[:cut]
            found = self.read(4)
            self.line.coming = rest
            self.assertEqual(found + self.read(4), b"on~}\x03etwo")
            self.line.coming = b""

    def test_a_byte_at_a_time_and_out_by_one(self):
        self.open()
        self.line.piece, self.line.room = 1, 1
        self.feed(DATA, b"abc")
        found, taken = b"", None
        for _ in range(80):
            found += self.read()
            if found and not taken:
                taken = self.uart.write(b"x", 0, 1)
            self.line.room = 1
        self.assertEqual(found, b"abc")
        kinds = [(f[0], f[3], f[4]) for f in self.sent()]
        self.assertEqual(kinds, [(ACK, 1, b""), (DATA, 1, b"x")])

    def test_text_and_noise_between_them_do_no_harm(self):
        self.open()
        for junk in (
            b"Traceback (most recent)\r\n",
            b"\0",
            b"\xff" * 400,
            b"~~~",
            b"}",
            b"~}~",
            b"}~",
        ):
            self.line.coming += junk + b"~"
            self.feed(DATA, b"good")
            self.assertEqual(self.read(), b"good")

    def test_every_altered_bit_and_every_lost_byte_is_noticed(self):
        self.open()
        self.feed(DATA, b"21.53")
        whole, self.line.coming = self.line.coming, b""
        for at in range(len(whole)):
            for bit in range(9):
                hurt = bytearray(whole)
                if bit < 8:
                    hurt[at] ^= 1 << bit
                else:
                    hurt = hurt[:at] + hurt[at + 1 :]
                self.line.coming = bytes(hurt) + b"~"
                found = self.read()
                if found:  # the flags alone are hurt: another was at their place
                    self.assertTrue(at == 0 or at == len(whole) - 1)
                    self.assertEqual(found, b"21.53")
                    self.uart._expected = self.uart._told = 0


class FramesByTheByte(Frames):
    stdin = True


class Conversation(Case):
    def test_it_asks_again_until_the_bridge_answers(self):
        self.uart.open("bridge", 1)
        self.uart.ready()
        self.assertEqual(len(self.sent()), 1)
        self.uart._heard = utime.ticks_add(utime.ticks_ms(), -501)
        self.uart.ready()
        self.assertEqual([f[0] for f in self.sent()], [OPEN])

    def test_each_connection_has_an_id_of_its_own(self):
        last = None
        for _ in range(50):
            self.uart.open("bridge", 1)
            number = self.sent()[-1][1]
            self.assertTrue(number != last)
            last = number

    def test_another_connection_is_none_of_its_business(self):
        self.open()
        good, self.id = self.id, self.id + 1
        self.feed(DATA, b"old")
        self.feed(CLOSE, b"old")
        self.id, self.seq = good, 0
        self.feed(DATA, b"new")
        self.assertEqual(self.read(), b"new")

    def test_a_refusal_says_why(self):
        self.uart.open("bridge", 1)
        self.id = self.sent()[0][1]
        self.feed(CLOSE, "nats://h:4222: unreachable ä".encode())
        try:
            self.uart.ready()
            self.fail()
        except OSError as e:
            self.assertTrue("unreachable ä" in str(e))

    def test_what_is_ahead_of_the_bridge(self):
        self.open()
        for _ in range(4):
            self.assertEqual(self.uart.write(b"abc", 0, 3), 3)
        self.assertEqual(self.uart.write(b"abc", 0, 3), None)
        self.acked = 1
        self.feed(ACK)
        self.assertEqual(self.uart.write(b"abc", 0, 3), 3)
        self.assertEqual(self.uart.write(b"abc", 0, 3), None)
        self.assertEqual([f[2] for f in self.sent()], [0, 1, 2, 3, 4])

    def test_what_is_ahead_of_the_board(self):
        """It acknowledges what was read, and keeps what comes while it writes."""
        self.open()
        self.feed(DATA, b"x" * 60)
        self.feed(DATA, b"y" * 60)
        for _ in range(5):
            self.uart.write(b"a", 0, 1)
        self.assertEqual([f[3] for f in self.sent()], [0] * 4)
        self.acked = 4
        self.feed(ACK)
        self.assertEqual(self.uart.write(b"a", 0, 1), 1)
        self.assertEqual(self.read(), b"x" * 60 + b"y" * 60)
        self.uart.wait(0, False)
        self.assertEqual([(f[0], f[3]) for f in self.sent()], [(DATA, 0), (ACK, 2)])
        self.feed(DATA, b"x" * 100)
        self.feed(DATA, b"x" * 100)
        self.fails("more than there is room for")

    def test_something_lost(self):
        for kind, seq, acked in ((DATA, 1, 0), (ACK, 1, 0), (PING, 255, 0), (ACK, 0, 1)):
            self.setUp()
            self.open()
            self.seq, self.acked = seq, acked
            self.feed(kind)
            self.fails("bytes were lost")

    def test_numbers_wrap(self):
        self.open()
        for n in range(600):
            self.feed(DATA, b"%d" % n)
            self.assertEqual(self.read(), b"%d" % n)
            self.assertEqual(self.uart.write(b"ab", 0, 2), 2)
            self.acked += 1
            self.feed(ACK)
            self.read()
            self.assertEqual([f[2] for f in self.sent() if f[0] == DATA], [n & 255])

    def test_a_ping_is_answered_once(self):
        self.open()
        self.feed(PING)
        self.read()
        self.read()
        self.assertEqual([f[0] for f in self.sent()], [ACK])

    def test_a_bridge_that_has_gone(self):
        self.open()
        self.read()
        self.uart._heard = utime.ticks_add(utime.ticks_ms(), -5001)
        self.feed(PING)
        self.read()
        self.uart._heard = utime.ticks_add(utime.ticks_ms(), -5001)
        self.fails("does not answer any more")

    def test_it_says_goodbye(self):
        self.open()
        self.uart.close()
        self.uart.close()
        self.assertEqual([f[0] for f in self.sent()], [CLOSE])

    def test_waiting(self):
        self.open()
        self.uart.poll.waited.clear()
        self.uart.wait(30000, False)
        self.line.room = 0
        self.uart.write(b"abc", 0, 3)
        self.uart.wait(30000, True)
        self.assertEqual(self.uart.poll.waited[-2:], [1000, 5])

    def test_misuse(self):
        for bad in (None, 5, "UART"):
            self.assertRaises(ValueError, Uart, bad)
        self.assertRaises(ValueError, Uart, self.line, 5)
        for bad in (255, 65536, "256", None):
            self.assertRaises(ValueError, Uart, self.line, None, bad)


class Random(Case):
    def test_noise_and_frames_that_are_wrong(self):
        """Whatever comes, it is refused or the truth, and what is outside the buffers stays."""
        given = os.getenv("UNATS_FUZZ_SEED") if hasattr(os, "getenv") else None
        seed = int(given or random.getrandbits(28))
        random.seed(seed)
        for turn in played(300):
            self.setUp()
            self.open()
            expected = b""
            for _ in range(random.getrandbits(3)):
                what = random.getrandbits(3)
                noise = bytes([random.getrandbits(8) for _ in range(random.getrandbits(7))])
                if what < 3:
                    self.line.coming += noise
                elif what == 3:
                    self.line.coming += stuffed(noise)
                elif what == 4:  # a good checksum, and anything else
                    self.line.coming += b"~" + frame(
                        random.getrandbits(8), self.id, random.getrandbits(8), 0, noise
                    )
                else:
                    self.line.coming += b"~"
                    self.feed(DATA, noise[:20])
                    expected += noise[:20]
            self.line.piece = 1 + random.getrandbits(6)
            found = b""
            buf = memoryview(bytearray(32))
            try:
                while self.line.coming:
                    n = self.uart.readinto(buf)
                    found += bytes(buf[: n or 0])
            except unats.NotConnected:
                pass
            if found != expected[: len(found)]:
                self.fail("seed %d, turn %d" % (seed, turn))


class Allocation(Case):
    def test_reading_and_writing_take_nothing(self):
        self.open()
        incoming = bytearray(
            b"".join([frame(DATA, self.id, n, 0, b"~}\0" * 5) for n in range(9)])
            + frame(PING, self.id, 9, 1)
        )

        class Fixed:
            at = taken = 0

            def any(self):
                return min(64, len(incoming) - self.at)

            def readinto(self, buf, n):
                copy(buf, 0, incoming, self.at, n)
                self.at += n
                return n

            def write(self, buf, off, n):
                self.taken += n & 255
                return n

        class Ready:
            answer = ((None, uselect.POLLIN),)

            def ipoll(self, ms):
                return self.answer

        fixed, uart = Fixed(), self.uart
        uart.poll = Ready()
        uart._port, uart._waiting, uart._write = fixed, fixed.any, fixed.write
        buf, data = memoryview(bytearray(64)), bytearray(60)
        read = written = 0
        uart.write(data, 0, 60)
        gc.collect()
        micropython.heap_lock()
        try:
            for n in range(40):
                read += uart.readinto(buf) or 0
                if n & 1:
                    written += uart.write(data, 0, 60) or 0
                uart.wait(0, True)
                uart.ready()
        finally:
            micropython.heap_unlock()
        self.assertEqual(read, 9 * 15)
        self.assertEqual(written, 4 * 60)


if __name__ == "__main__":
    unittest.main()
