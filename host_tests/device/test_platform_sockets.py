"""What the client relies on in `usocket` and `uselect`: the same on MicroPython
and in the shim.
"""

import errno
import unittest

import uselect
import usocket

NEEDS_SOCKETS = True

_WAIT_MS = 10000  # only a failing test waits that long
_CLOSED = 32  # POLLNVAL, which has no name
_NUMERIC = 4  # AI_NUMERICHOST: asks no name server
_EPIPE = 32  # has no name in MicroPython's errno either


def _listener():
    """A listening socket and its address."""
    for port in range(20000, 30000, 7):
        address = usocket.getaddrinfo("127.0.0.1", port)[0][-1]
        s = usocket.socket()
        try:
            s.bind(address)
            s.listen(1)
            return s, address
        except OSError:
            s.close()
    raise OSError("no port is free")


def _wait(sock, events):
    """Wait until the socket has one of the events (an error counts); return those it has."""
    poller = uselect.poll()
    poller.register(sock, events)
    found = poller.poll(_WAIT_MS)
    return found[0][1] if found else 0


def _error(call, *args):
    """The errno of the OSError that the call raises, or None."""
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return None


def _connecting(address):
    """A non-blocking socket that has begun to connect, and what connect raised."""
    s = usocket.socket()
    s.setblocking(False)
    return s, _error(s.connect, address)


def _with_number(number, make):
    """Sockets from make, up to the one that got this number, which is the last."""
    made = [make()]
    while made[-1].fileno() != number:
        made.append(make())
    return made


class Pair(unittest.TestCase):
    """Two connected, non-blocking sockets a and b."""

    def setUp(self):
        listener, self.address = _listener()
        self.a, self.begun = _connecting(self.address)
        self.b, self.name = listener.accept()
        self.b.setblocking(False)
        self.waited = _wait(self.a, uselect.POLLOUT)
        listener.close()

    def tearDown(self):
        self.a.close()
        self.b.close()

    def arrive(self, data):
        """b sends, and a has it."""
        self.b.write(data)
        _wait(self.a, uselect.POLLIN)


class Connecting(Pair):
    def test_it_is_in_progress_and_then_writable(self):
        self.assertEqual(self.begun, errno.EINPROGRESS)
        self.assertEqual(self.waited, uselect.POLLOUT)

    def test_addresses_are_packed(self):
        family, ip, _ = usocket.sockaddr(self.name)
        self.assertEqual((family, ip), (usocket.AF_INET, b"\x7f\x00\x00\x01"))

    def test_a_tuple_is_no_address(self):
        s = usocket.socket()
        with self.assertRaises(TypeError):
            s.connect(("127.0.0.1", 4222))
        s.close()


class Refused(unittest.TestCase):
    def test_it_shows_in_poll_and_in_the_first_write(self):
        listener, address = _listener()
        listener.close()
        s, _ = _connecting(address)
        events = _wait(s, uselect.POLLOUT)
        self.assertTrue(events & uselect.POLLERR and events & uselect.POLLHUP)
        self.assertEqual(_error(s.write, b"x"), errno.ECONNREFUSED)
        self.assertEqual(_error(s.write, b"x"), _EPIPE)
        s.close()

    def test_a_name_without_an_address_is_an_oserror(self):
        with self.assertRaises(OSError):
            usocket.getaddrinfo("no.such.host", 4222, 0, 0, 0, _NUMERIC)


class Reading(Pair):
    def test_nothing_is_none(self):
        self.assertIsNone(self.a.readinto(bytearray(4)))
        self.assertIsNone(self.a.read(4))

    def test_recv_raises_instead(self):
        self.assertEqual(_error(self.a.recv, 4), errno.EAGAIN)

    def test_what_is_there_from_the_start_of_the_buffer(self):
        self.arrive(b"abc")
        buf = bytearray(b".....")
        self.assertEqual(self.a.readinto(buf), 3)
        self.assertEqual(buf, b"abc..")

    def test_no_more_than_asked_for(self):
        self.arrive(b"abcdef")
        buf = bytearray(b".....")
        self.assertEqual(self.a.readinto(buf, 2), 2)
        self.assertEqual(buf, b"ab...")
        self.assertEqual(self.a.readinto(buf, 0), 0)
        self.assertEqual(self.a.readinto(memoryview(buf)[2:3]), 1)
        self.assertEqual(buf, b"abc..")
        self.assertEqual(self.a.readinto(buf, -1), 3)
        self.assertEqual(buf, b"def..")

    def test_the_end_is_zero_again_and_again(self):
        self.arrive(b"ab")
        self.b.close()
        buf = bytearray(1)
        self.assertEqual(self.a.readinto(buf), 1)
        buf = bytearray(4)
        _wait(self.a, uselect.POLLIN)
        self.assertEqual(self.a.readinto(buf), 1)
        self.assertEqual(self.a.readinto(buf), 0)
        self.assertEqual(self.a.readinto(buf), 0)
        self.assertEqual(self.a.read(4), b"")

    def test_a_time_out_loses_the_count_of_what_came(self):
        self.a.settimeout(0.05)
        buf = bytearray(b"....")
        self.assertEqual(_error(self.a.readinto, buf), errno.ETIMEDOUT)
        self.arrive(b"ab")
        self.assertEqual(_error(self.a.readinto, buf), errno.ETIMEDOUT)
        self.assertEqual(buf, b"ab..")

    def test_bytes_cannot_be_read_into(self):
        with self.assertRaises(TypeError):
            self.a.readinto(b"abc")


class Writing(Pair):
    def test_ranges(self):
        self.assertEqual(self.b.write(b"ab"), 2)
        self.assertEqual(self.b.write(b"cdxx", 2), 2)
        self.assertEqual(self.b.write(b"xefx", 1, 2), 2)
        self.assertEqual(self.b.write(b"xxg", 2, 10), 1)
        self.assertEqual(self.b.write(b"x", 5, 1), 0)
        self.assertEqual(self.b.write("h"), 1)
        buf = bytearray(8)
        self.a.setblocking(True)
        self.assertEqual(self.a.readinto(buf), 8)
        self.assertEqual(buf, b"abcdefgh")

    def test_short_and_then_none_when_the_other_side_does_not_read(self):
        block = bytearray(100000)
        n = len(block)
        while n == len(block):
            n = self.a.write(block)
        while n is not None:
            n = self.a.write(block)
        self.assertIsNone(self.a.write(b"x"))

    def test_after_the_other_side_has_gone(self):
        self.b.close()
        _wait(self.a, uselect.POLLIN)
        self.a.write(b"x")
        self.assertTrue(_wait(self.a, 0) & uselect.POLLHUP)
        self.assertEqual(_error(self.a.write, b"x"), _EPIPE)


class Closing(Pair):
    def test_twice_does_not_touch_whoever_got_the_number(self):
        number = self.a.fileno()
        self.a.close()
        self.assertEqual(self.a.fileno(), -1)
        others = _with_number(number, usocket.socket)
        self.a.close()
        reuse = usocket.SOL_SOCKET, usocket.SO_REUSEADDR, 1
        self.assertIsNone(_error(others[-1].setsockopt, *reuse))
        for s in others:
            s.close()

    def test_nothing_works_after_it(self):
        self.a.close()
        self.assertEqual(_error(self.a.readinto, bytearray(1)), errno.EBADF)
        self.assertEqual(_error(self.a.write, b"x"), errno.EBADF)


class Polling(Pair):
    def setUp(self):
        super().setUp()
        self.poller = uselect.poll()

    def found(self, *args):
        return [(entry[0], entry[1]) for entry in self.poller.ipoll(0, *args)]

    def test_answers_with_the_object(self):
        self.poller.register(self.a, uselect.POLLIN)
        self.assertEqual(self.poller.poll(0), [])
        self.arrive(b"x")
        entry = self.poller.poll(0)[0]
        self.assertTrue(entry[0] is self.a)
        self.assertEqual(entry[1], uselect.POLLIN)
        self.assertEqual(len(self.found()), 1)

    def test_both_directions_unless_told(self):
        self.poller.register(self.a)
        self.arrive(b"x")
        self.assertEqual(self.found()[0][1], uselect.POLLIN | uselect.POLLOUT)

    def test_modify_and_register_again(self):
        self.poller.register(self.a, uselect.POLLIN)
        self.poller.modify(self.a, uselect.POLLOUT)
        self.assertEqual(self.found()[0][1], uselect.POLLOUT)
        self.poller.register(self.a, uselect.POLLIN)
        self.assertEqual(self.found(), [])
        self.assertEqual(_error(self.poller.modify, self.b, uselect.POLLIN), errno.ENOENT)

    def test_unregister_even_who_was_not(self):
        self.poller.register(self.a, uselect.POLLOUT)
        self.poller.unregister(self.b)
        self.poller.unregister(self.a)
        self.assertEqual(self.found(), [])

    def test_errors_are_reported_unasked(self):
        self.poller.register(self.a, 0)
        self.assertEqual(self.found(), [])
        self.b.close()
        self.a.write(b"x")
        _wait(self.a, 0)
        self.assertTrue(self.found()[0][1] & uselect.POLLHUP)

    def test_one_shot(self):
        self.poller.register(self.a, uselect.POLLOUT)
        self.assertEqual(len(self.found(1)), 1)
        self.assertEqual(self.found(1), [])
        self.poller.modify(self.a, uselect.POLLOUT)
        self.assertEqual(len(self.found()), 1)

    def test_who_was_closed_without_being_unregistered(self):
        self.poller.register(self.a, uselect.POLLIN)
        self.a.close()
        self.assertEqual(self.found()[0][1], _CLOSED)

    def test_and_then_another_got_its_number(self):
        self.poller.register(self.a, uselect.POLLIN)
        number = self.a.fileno()
        self.a.close()
        strangers = _with_number(
            number, lambda: _connecting(self.address)[0]
        )  # nobody listens there
        _wait(strangers[-1], uselect.POLLOUT)
        self.assertTrue(self.found()[0][1] & uselect.POLLHUP)
        self.assertTrue(self.found()[0][0] is self.a)
        for s in strangers:
            s.close()

    def test_numbers_are_taken_too(self):
        self.poller.register(self.a.fileno(), uselect.POLLOUT)
        self.assertEqual(self.found(), [(self.a.fileno(), uselect.POLLOUT)])
        self.poller.unregister(self.a.fileno())
        self.assertEqual(self.found(), [])

    def test_waiting_takes_whole_milliseconds(self):
        with self.assertRaises(TypeError):
            self.poller.poll(1.5)
        self.poller.register(self.a, uselect.POLLIN)
        self.assertEqual(self.poller.poll(1), [])
        self.arrive(b"x")
        for forever in (None, -1):
            self.assertEqual(len(self.poller.poll(forever)), 1)

    def test_what_is_no_stream_is_refused(self):
        with self.assertRaises(OSError):
            self.poller.register(1.5)


if __name__ == "__main__":
    unittest.main()
