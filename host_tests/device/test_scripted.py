"""The scripted transport keeps the transport's contract, and its own: it allocates nothing."""

import errno
import gc
import unittest

import micropython

from scripted import Clock, Scripted


def drain(net, size=100):
    """All that the transport gives up to the first None, 0 or error, in a list of pieces."""
    pieces = []
    buf = bytearray(size)
    while True:
        n = net.readinto(buf)
        if not n:
            return pieces, n
        pieces.append(bytes(buf[:n]))


def opened(**options):
    net = Scripted(**options)
    net.open("host", 4222)
    return net


class Reading(unittest.TestCase):
    def test_a_piece_comes_whole_and_then_nothing(self):
        net = opened()
        net.feed(b"abc")
        net.feed(b"de")
        self.assertEqual(drain(net), ([b"abc", b"de"], None))

    def test_a_piece_larger_than_the_buffer_comes_in_parts(self):
        net = opened()
        net.feed(b"abcde")
        self.assertEqual(drain(net, 2), ([b"ab", b"cd", b"e"], None))

    def test_bytes_one_by_one(self):
        net = opened()
        net.read_limit = 1
        net.feed(b"abc")
        self.assertEqual(drain(net), ([b"a", b"b", b"c"], None))

    def test_split_at_offsets_with_pauses(self):
        net = opened()
        net.split(b"abcdef", 1, 4, pauses=1)
        self.assertEqual(drain(net), ([b"a"], None))
        self.assertEqual(drain(net), ([b"bcd"], None))
        self.assertEqual(drain(net), ([b"ef"], None))

    def test_times(self):
        net = opened()
        net.feed(b"ab", times=3)
        net.feed(b"c")
        self.assertEqual(drain(net), ([b"ab", b"ab", b"ab", b"c"], None))

    def test_pause_end_and_failure(self):
        net = opened()
        net.pause(2)
        net.fail(OSError(errno.ENOMEM, "ENOMEM"))
        net.feed(b"x")
        net.end()
        buf = bytearray(4)
        self.assertIsNone(net.readinto(buf))
        self.assertIsNone(net.readinto(buf))
        with self.assertRaises(OSError):
            net.readinto(buf)
        self.assertEqual(drain(net), ([b"x"], 0))
        self.assertEqual(net.readinto(buf), 0)

    def test_a_failure_at_the_end_stays(self):
        net = opened()
        net.fail(OSError(errno.ECONNRESET, "ECONNRESET"))
        for _ in range(2):
            with self.assertRaises(OSError):
                net.readinto(bytearray(1))

    def test_only_the_bytes_read_are_touched(self):
        net = opened()
        net.feed(b"ab")
        buf = bytearray(b"....")
        net.readinto(buf)
        self.assertEqual(buf, b"ab..")

    def test_into_a_memoryview(self):
        net = opened()
        net.feed(b"ab")
        buf = bytearray(b"....")
        self.assertEqual(net.readinto(memoryview(buf)[1:]), 2)
        self.assertEqual(buf, b".ab.")


class Writing(unittest.TestCase):
    def test_records_the_range_written(self):
        net = opened()
        self.assertEqual(net.write(b"xabcx", 1, 3), 3)
        self.assertEqual(net.write(bytearray(b"de"), 0, 2), 2)
        self.assertEqual(net.sent(), b"abcde")
        self.assertEqual(net.out_bytes, 5)
        net.forget()
        self.assertEqual(net.sent(), b"")

    def test_short_writes(self):
        net = opened()
        net.write_limit = 1
        self.assertEqual(net.write(b"abc", 0, 3), 1)
        net.write_limit = 0
        self.assertIsNone(net.write(b"abc", 0, 3))
        self.assertEqual(net.sent(), b"a")

    def test_scripted_writes(self):
        net = opened()
        net.on_writes(2, None, OSError(errno.ENOBUFS, "ENOBUFS"))
        self.assertEqual(net.write(b"abc", 0, 3), 2)
        self.assertIsNone(net.write(b"abc", 0, 3))
        with self.assertRaises(OSError):
            net.write(b"abc", 0, 3)
        self.assertEqual(net.write(b"abc", 0, 3), 3)
        self.assertEqual(net.sent(), b"ababc")

    def test_tells_of_each_write(self):
        net = opened()
        net.on_write = lambda n: n.feed(b"reply")
        net.write(b"x", 0, 1)
        self.assertEqual(drain(net), ([b"reply"], None))


class Handshake(unittest.TestCase):
    def test_info_then_pong_for_the_first_ping_then_the_rest(self):
        net = opened()
        net.handshake(max_payload=64)
        net.feed(b"MSG")
        pieces, end = drain(net, 1000)
        self.assertEqual(len(pieces), 1)
        self.assertTrue(pieces[0].startswith(b"INFO {"))
        self.assertTrue(b'"max_payload":64' in bytes(pieces[0]).replace(b": ", b":"))
        self.assertIsNone(end)
        net.write(b"CONNECT {}\r\nPI", 0, 14)
        self.assertEqual(drain(net), ([], None))
        net.write(b"NG\r\n", 0, 4)
        self.assertEqual(drain(net), ([b"PONG\r\n", b"MSG"], None))

    def test_every_ping_is_answered_unless_told_otherwise(self):
        net = opened()
        net.answer_pings = True
        net.write(b"PPING\r\nPING\r\n", 0, 13)
        self.assertEqual(drain(net), ([b"PONG\r\n", b"PONG\r\n"], None))
        net.answer_pings = False
        net.write(b"PING\r\n", 0, 6)
        self.assertEqual(drain(net), ([], None))

    def test_no_pong_inside_a_message(self):
        net = opened()
        net.answer_pings = True
        net.split(b"abcd", 2)
        net.feed(b"ef")
        buf = bytearray(2)
        net.readinto(buf)
        net.write(b"PING\r\n", 0, 6)
        self.assertEqual(drain(net), ([b"cd", b"PONG\r\n", b"ef"], None))


class Connections(unittest.TestCase):
    def test_each_has_its_script_and_then_opening_is_refused(self):
        net = Scripted()
        net.feed(b"one")
        net.next_connection()
        net.feed(b"two")
        for expected in (b"one", b"two"):
            net.open("h", 1)
            self.assertEqual(drain(net), ([expected], None))
            net.close()
        with self.assertRaises(OSError):
            net.open("h", 1)
        self.assertEqual((net.opens, net.closes), (3, 2))

    def test_refusals_use_up_no_script(self):
        net = Scripted()
        net.feed(b"one")
        net.refuse(OSError(errno.ECONNREFUSED, "ECONNREFUSED"))
        with self.assertRaises(OSError):
            net.open("h", 1)
        net.open("h", 1)
        self.assertEqual(drain(net), ([b"one"], None))

    def test_ready(self):
        net = Scripted()
        net.ready_after = 2
        net.open("h", 1)
        self.assertEqual([net.ready() for _ in range(4)], [False, False, True, True])
        net.ready_error = OSError(errno.ETIMEDOUT, "ETIMEDOUT")
        with self.assertRaises(OSError):
            net.ready()

    def test_nothing_works_when_closed(self):
        net = opened()
        net.close()
        net.close()
        self.assertEqual(net.closes, 1)
        for call in (net.ready, lambda: net.readinto(bytearray(1)), lambda: net.write(b"x", 0, 1)):
            with self.assertRaises(OSError):
                call()


class Waiting(unittest.TestCase):
    def test_moves_the_clock_only_when_there_is_nothing_to_do(self):
        clock = Clock(now=-100)
        net = opened(clock=clock)
        start = clock.ticks_ms()
        net.feed(b"a")
        net.wait(500, False)
        self.assertEqual(clock.ticks_diff(clock.ticks_ms(), start), 0)
        drain(net)
        net.wait(500, True)
        self.assertEqual(clock.ticks_diff(clock.ticks_ms(), start), 0)
        net.wait(500, False)
        self.assertEqual(clock.ticks_diff(clock.ticks_ms(), start), 500)
        net.write_limit = 0
        net.wait(50, True)
        self.assertEqual(clock.ticks_diff(clock.ticks_ms(), start), 550)
        self.assertEqual((net.waits, net.waited_ms), (4, 550))

    def test_a_clock_takes_the_place_of_utime_and_gives_it_back(self):
        class Module:
            utime = "real"

        clock = Clock().install(Module)
        self.assertTrue(Module.utime is clock)
        clock.remove()
        self.assertEqual(Module.utime, "real")


def _steady(net, buf, out):
    """Some messages in and out, with a PING answered now and then."""
    for _ in range(200):
        net.wait(0, True)
        net.readinto(buf)
        net.write(out, 2, 8)


class Allocation(unittest.TestCase):
    def check(self, net):
        net.feed(b"MSG a 1 2\r\nhi\r\n", times=10000)
        buf = bytearray(64)
        out = bytearray(b"..PING\r\n...")
        net.answer_pings = True
        _steady(net, buf, out)
        count = getattr(micropython, "mem_total", None) or getattr(gc, "mem_alloc", None)
        if count is None:
            return  # CPython counts nothing
        gc.collect()
        gc.disable()
        before = count()
        _steady(net, buf, out)
        allocated = count() - before
        gc.enable()
        self.assertEqual(allocated, 0)
        micropython.heap_lock()
        try:
            _steady(net, buf, out)
        finally:
            micropython.heap_unlock()

    def test_nothing_is_allocated_while_counting(self):
        self.check(opened(keep=0))

    def test_nothing_is_allocated_while_recording_into_what_was_set_aside(self):
        net = opened(keep=8 * 2000)
        self.check(net)
        self.assertEqual(len(net.sent()) % 1600, 0)


if __name__ == "__main__":
    unittest.main()
