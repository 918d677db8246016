"""Publishing: the bytes on the wire, what is refused, and what happens when there is no room."""

import errno
import unittest

import unats
from played import Case, message, pattern  # before the client: it gives it its clock
from unats import Payload

BLOCK = b"NATS/1.0\r\nk: v\r\n\r\n"


class Bytes(Case):
    def setUp(self):
        super().setUp()
        self.nc = self.connected()

    def check(self, expected, *args, **options):
        self.forget()
        self.assertTrue(self.nc.publish(*args, **options) is True)
        self.nc.poll()
        self.assertEqual(self.sent(), expected)

    def test_every_kind_of_payload(self):
        for payload in (b"hi", bytearray(b"hi"), memoryview(b"hi"), "hi", Payload(8).text("hi")):
            self.check(b"PUB a.b 2\r\nhi\r\n", "a.b", payload)

    def test_every_kind_of_subject(self):
        for subject in ("a.b", b"a.b", bytearray(b"a.b"), memoryview(b"a.b")):
            self.check(b"PUB a.b 2\r\nhi\r\n", subject, b"hi")
            self.check(b"PUB a.b r.s 2\r\nhi\r\n", subject, b"hi", "r.s")
            self.check(b"PUB x a.b 2\r\nhi\r\n", "x", b"hi", subject)

    def test_without_payload(self):
        self.check(b"PUB a 0\r\n\r\n", "a")
        self.check(b"PUB a 0\r\n\r\n", "a", b"")
        self.check(b"PUB a 0\r\n\r\n", "a", "")
        self.check(b"PUB a 0\r\n\r\n", "a", Payload(8))
        self.check(b"PUB a r 0\r\n\r\n", "a", reply="r")

    def test_text_beyond_ascii(self):
        self.check("PUB a 7\r\nGrüße\r\n".encode(), "a", "Grüße")
        self.check("PUB größe.x 2\r\nhi\r\n".encode(), "größe.x", b"hi")
        self.check("PUB größe.x 2\r\nhi\r\n".encode(), "größe.x".encode(), b"hi")
        self.check("PUB a größe 2\r\nhi\r\n".encode(), "a", b"hi", "größe")
        self.check(
            "HPUB 温度.größe r.ß 18 22\r\n".encode() + BLOCK + "äö\r\n".encode(),
            "温度.größe",
            "äö",
            "r.ß",
            BLOCK,
        )

    def test_payload_that_looks_like_the_protocol(self):
        self.check(b"PUB a 16\r\n\r\nPUB x 2\r\nhi\r\n\x00\r\n", "a", b"\r\nPUB x 2\r\nhi\r\n\x00")

    def test_the_first_n_bytes(self):
        for payload in (
            b"hello",
            bytearray(b"hello"),
            memoryview(b"hello"),
            "hello",
            Payload(9).text("hello"),
        ):
            self.check(b"PUB a 2\r\nhe\r\n", "a", payload, n=2)
            self.check(b"PUB a 0\r\n\r\n", "a", payload, n=0)
            self.check(b"PUB a 5\r\nhello\r\n", "a", payload, n=5)
            self.check(b"PUB a 5\r\nhello\r\n", "a", payload, n=-1)

    def test_a_slice_of_a_view(self):
        self.check(b"PUB a 2\r\nll\r\n", "a", memoryview(b"hello")[2:4])

    def test_sizes_of_every_number_of_digits(self):
        for size in (0, 1, 9, 10, 99, 100, 101, 999):
            payload = pattern(size)
            self.check(b"PUB a %d\r\n%s\r\n" % (size, payload), "a", payload)

    def test_a_star_within_a_token_is_no_wildcard(self):
        self.check(b"PUB a.b* 0\r\n\r\n", "a.b*")
        self.check(b"PUB a.>b r*.x 0\r\n\r\n", "a.>b", b"", "r*.x")

    def test_order_and_coalescing(self):
        for i in range(5):
            self.nc.publish("a.%d" % i, b"%d" % i)
        self.assertEqual(self.sent(), b"")
        writes = self.net.writes
        self.nc.poll()
        self.assertEqual(self.sent(), b"".join(b"PUB a.%d 1\r\n%d\r\n" % (i, i) for i in range(5)))
        self.assertEqual(self.net.writes, writes + 1)

    def test_counts(self):
        self.nc.publish("a", b"four")
        self.nc.publish("a", "ab", headers=BLOCK)
        self.nc.publish("a", pattern(5000))
        self.assertEqual((self.nc.stats.out_msgs, self.nc.stats.out_bytes), (3, 4 + 20 + 5000))

    def test_what_was_queued_does_not_change_afterwards(self):
        data = bytearray(b"before")
        self.nc.publish("a", data)
        data[:] = b"after."
        self.nc.poll()
        self.assertEqual(self.sent(), b"PUB a 6\r\nbefore\r\n")


class Refusing(Case):
    """ValueError, and not a byte is queued or counted."""

    BAD = (
        "", " ", "a b", " a", "a ", "a\tb", "a\r\nPUB x 0\r\n\r\n", "a\n", "\ra", "a\x00",
        "a\x1f", "a\x7fb",
        ".", ".a", "a.", "a..b", "ä b", "ä..b", "ä.", ".ä", "ä\r\nPING\r\n",
    )  # fmt: skip

    def setUp(self):
        super().setUp()
        self.nc = self.connected()

    def tearDown(self):
        self.nc.poll()
        self.assertEqual(self.sent(), b"")
        self.assertEqual((self.nc.stats.out_msgs, self.nc.stats.dropped), (0, 0))
        super().tearDown()

    def refused(self, *args, **options):
        try:
            self.nc.publish(*args, **options)
        except ValueError:
            return
        self.fail("publish%r was taken" % (args,))

    WILD = ("a.*", "*", "a.*.b", "*.a", "a.>", ">", "ä.*", "ä.>", "a.>.b")

    def test_subjects(self):
        for subject in self.BAD + self.WILD:
            self.refused(subject, b"hi")
            self.refused(subject.encode(), b"hi")
            self.refused(subject, "hi", "r")
            self.refused(subject, b"hi", None, BLOCK)
            self.refused(subject, pattern(5000))
            self.refused(subject, Payload(9).text("x"))

    def test_reply_subjects(self):
        for reply in self.BAD + self.WILD:
            if reply:
                self.refused("a", b"hi", reply)
                self.refused("a", b"hi", reply.encode())
                self.refused("a", b"hi", reply, BLOCK)
                self.refused("a", pattern(5000), reply)

    def test_wildcards_in_what_is_subscribed(self):
        for subject in self.BAD + ("a.>.b", ">.a"):
            self.assertRaises(ValueError, self.nc.subscribe, subject, self.take)
        for queue in self.BAD:
            if queue:
                self.assertRaises(ValueError, self.nc.subscribe, "a", self.take, queue)

    def test_handlers_that_are_none(self):
        self.assertRaises(ValueError, self.nc.subscribe, "a", None)

    def test_more_than_max_payload(self):
        self.start()
        self.nc = self.connected(info={"max_payload": 100}, tx_size=64)
        for payload in (
            bytes(101),
            "x" * 101,
            bytearray(101),
            Payload(101).bytes(bytes(101)),
            "ä" * 51,
        ):
            self.refused("a", payload)
            self.refused("a", payload, "r")
        self.refused("a", bytes(83), None, BLOCK)

    def test_n_beyond_the_payload(self):
        for payload in (b"hi", bytearray(b"hi"), memoryview(b"hi"), "hi"):
            self.refused("a", payload, n=3)
            self.refused("a", payload, n=1 << 20)

    def test_payloads_that_are_none(self):
        for payload in (5, 2.5, None, ["x"], {"a": 1}, object()):
            self.refused("a", payload)
            self.refused("a", payload, "r")


class NotConnected(Case):
    """False, and counted."""

    def check(self, nc):
        dropped = nc.stats.dropped
        self.assertTrue(nc.publish("a", b"hi") is False)
        self.assertTrue(nc.publish("a", "hi", "r") is False)
        self.assertTrue(nc.publish("a", b"hi", headers=BLOCK) is False)
        self.assertTrue(nc.publish("a", bytes(5000)) is False)
        self.assertEqual(nc.stats.dropped, dropped + 4)
        self.assertEqual(nc.stats.out_msgs, 0)

    def test_never_connected(self):
        self.check(self.client())

    def test_while_connecting(self):
        nc = self.client()
        self.net.ready_after = 3
        self.net.handshake()
        nc.connect(wait=False)
        while not nc.connected:
            self.check(nc)
            nc.poll()

    def test_after_the_connection_was_lost(self):
        nc = self.connected()
        self.net.end()
        self.settle(nc)
        self.check(nc)

    def test_closed(self):
        nc = self.connected()
        nc.close()
        self.check(nc)

    def test_misuse_is_misuse_all_the_same(self):
        nc = self.connected()
        nc.publish("kept", b"hi")
        self.net.on_writes(OSError(errno.ECONNRESET, "ECONNRESET"))
        self.settle(nc)
        self.assertFalse(nc.connected)
        for one in (nc, self.client()):
            for text in Refusing.BAD:
                self.assertRaises(ValueError, one.publish, text, b"hi")
                self.assertRaises(ValueError, one.publish, text, bytes(5000))
                if text:
                    self.assertRaises(ValueError, one.publish, "a", b"hi", text)
            self.assertRaises(ValueError, nc.publish, "a", 5)
            self.assertRaises(ValueError, nc.publish, "a", b"hi", None, {"a b": "c"})
            self.assertEqual(nc.stats.dropped, 0)

    def test_looking_for_misuse_leaves_what_is_queued_as_it_is(self):
        nc = self.connected()
        nc.publish("kept", b"hi")
        self.net.on_writes(OSError(errno.ECONNRESET, "ECONNRESET"))
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        nc.publish("a.longer.subject", b"not taken")
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        self.assertTrue(self.sent().endswith(b"PING\r\nPUB kept 2\r\nhi\r\n"), self.sent())


class Full(Case):
    """The queue is as long as tx_size."""

    def test_false_and_counted_when_nothing_can_be_sent(self):
        nc = self.connected(tx_size=256)
        self.net.write_limit = 0
        queued = 0
        while nc.publish("a", pattern(30, queued)):
            queued += 1
            self.assertTrue(queued < 100)
        self.assertTrue(queued >= 4)
        for _ in range(10):
            self.assertTrue(nc.publish("a", pattern(30)) is False)
        self.assertEqual((nc.stats.dropped, nc.stats.out_msgs), (11, queued))
        self.assertTrue(nc.connected)
        self.net.write_limit = 1 << 20
        nc.poll()
        self.assertEqual(
            self.sent(), b"".join(b"PUB a 30\r\n%s\r\n" % pattern(30, i) for i in range(queued))
        )
        self.assertTrue(nc.publish("a", b"room again"))

    def test_a_full_queue_is_sent_without_poll(self):
        nc = self.connected(tx_size=128)
        for i in range(100):
            self.assertTrue(nc.publish("a", pattern(20, i)))
        nc.poll()
        self.assertEqual(
            self.sent(), b"".join(b"PUB a 20\r\n%s\r\n" % pattern(20, i) for i in range(100))
        )

    def test_nothing_is_lost_or_mixed_by_short_writes(self):
        for limit in (1, 2, 3, 7, 50):
            self.start()
            nc = self.connected(tx_size=128)
            self.net.write_limit = limit
            expected = b""
            for i in range(60):
                if nc.publish("a", pattern(i, i), "r" if i % 3 else None):
                    expected += b"PUB a %s%d\r\n%s\r\n" % (
                        b"r " if i % 3 else b"",
                        i,
                        pattern(i, i),
                    )
                nc.poll()
            for _ in range(200):
                nc.poll()
            self.assertEqual(self.sent(), expected)
            self.assertTrue(nc.stats.out_msgs > 3)

    def test_writes_that_take_nothing_now(self):
        nc = self.connected()
        self.net.on_writes(
            None, OSError(errno.ENOBUFS, "ENOBUFS"), 3, None, OSError(errno.ENOBUFS, "ENOBUFS"), 2
        )
        nc.publish("a", b"hello")
        for _ in range(10):
            nc.poll()
        self.assertEqual(self.sent(), b"PUB a 5\r\nhello\r\n")
        self.assertTrue(nc.connected)
        self.assertEqual(self.events, [])

    def test_keep_alive_has_room_in_a_full_queue(self):
        nc = self.connected(tx_size=64)
        self.net.write_limit = 0
        while nc.publish("a", b"x"):
            pass
        self.net.feed(b"PING\r\n")
        nc.poll()
        nc.poll()
        self.net.write_limit = 1 << 20
        nc.poll()
        self.assertTrue(self.sent().endswith(b"PONG\r\n"), repr(self.sent()))


class Large(Case):
    """Messages larger than tx_size go out piece by piece, before publish returns."""

    def check(self, nc, size, *args, **options):
        payload = pattern(size)
        self.assertTrue(nc.publish("a.b", payload, *args, **options) is True)
        return payload

    def test_at_every_size_around_tx_size(self):
        for size in list(range(20, 80)) + [127, 128, 129, 1000, 5000]:
            self.start()
            nc = self.connected(tx_size=64)
            payload = self.check(nc, size)
            nc.poll()
            self.assertEqual(self.sent(), b"PUB a.b %d\r\n%s\r\n" % (size, payload))

    def test_with_reply_and_headers(self):
        nc = self.connected(tx_size=64)
        payload = self.check(nc, 1000, "r.s", BLOCK)
        nc.poll()
        self.assertEqual(self.sent(), b"HPUB a.b r.s 18 1018\r\n" + BLOCK + payload + b"\r\n")

    def test_every_kind_of_payload(self):
        for payload in (
            b"x" * 500,
            bytearray(b"x" * 500),
            memoryview(b"x" * 500),
            "x" * 500,
            Payload(500).text("x" * 500),
        ):
            self.start()
            nc = self.connected(tx_size=64)
            self.assertTrue(nc.publish("a", payload))
            self.assertTrue(nc.publish("a", payload, n=400))
            nc.poll()
            self.assertEqual(
                self.sent(),
                b"PUB a 500\r\n" + b"x" * 500 + b"\r\nPUB a 400\r\n" + b"x" * 400 + b"\r\n",
            )

    def test_after_what_is_queued(self):
        nc = self.connected(tx_size=128)
        nc.publish("first", b"1")
        payload = self.check(nc, 1000)
        nc.publish("last", b"2")
        nc.poll()
        self.assertEqual(
            self.sent(),
            b"PUB first 1\r\n1\r\nPUB a.b 1000\r\n" + payload + b"\r\nPUB last 1\r\n2\r\n",
        )

    def test_by_short_writes(self):
        for limit in (1, 7):
            self.start()
            nc = self.connected(tx_size=64)
            self.net.write_limit = limit
            payload = self.check(nc, 300, "r", BLOCK)
            nc.poll()
            self.assertEqual(self.sent(), b"HPUB a.b r 18 318\r\n" + BLOCK + payload + b"\r\n")

    def test_waiting_for_a_server_that_is_slow(self):
        nc = self.connected(tx_size=64)
        self.net.on_writes(*[None, 50, None, None, 3] * 10)
        payload = self.check(nc, 900)
        nc.poll()
        self.assertEqual(self.sent(), b"PUB a.b 900\r\n" + payload + b"\r\n")

    def test_a_server_that_takes_nothing_any_more_costs_the_connection(self):
        nc = self.connected(tx_size=64, connect_timeout_ms=1000)
        self.net.on_writes(30)
        self.net.write_limit = 0
        start = self.clock.ticks_ms()
        self.assertTrue(nc.publish("a", bytes(1000)) is False)
        self.assertTrue(1000 <= self.elapsed(start) < 10000, "%d ms" % self.elapsed(start))
        self.assertEqual(nc.stats.dropped, 1)
        self.net.write_limit = 1 << 20
        self.settle(nc)
        self.assertEqual(self.kinds(), ["disconnected"])
        self.assertTrue(isinstance(nc.last_error, unats.Timeout), repr(nc.last_error))

    def test_a_connection_that_breaks_within_it(self):
        nc = self.connected(tx_size=64)
        self.net.on_writes(30, OSError(errno.ECONNRESET, "ECONNRESET"))
        self.assertTrue(nc.publish("large", bytes(1000)) is False)
        queued = nc.publish("a", b"small")
        self.assertEqual(nc.stats.dropped, 1 if queued else 2)
        self.net.next_connection()
        self.net.handshake()
        self.poll_until(nc, lambda: nc.connected)
        nc.publish("a", b"again")
        nc.poll()
        self.assertTrue(b"large" not in self.sent(), "a message that was reported as not sent")
        self.assertEqual(b"PUB a 5\r\nsmall\r\n" in self.sent(), queued)
        self.assertTrue(self.sent().endswith(b"PUB a 5\r\nagain\r\n"))

    def test_of_one_that_broke_off_nothing_is_left_for_the_next_connection(self):
        """However little of it went, be it nothing of its control line; and whether or not there
        is room for it behind that line.
        """
        for size in (40, 48, 60, 64, 100, 1000):
            for taken in (0, 1, 5, 12, 13, 20, 40):
                self.start()
                nc = self.connected(tx_size=64)
                self.net.next_connection()
                self.net.handshake()
                nc.publish("before", b"1")
                self.net.on_writes(20, taken or None, OSError(errno.ECONNRESET, "ECONNRESET"))
                self.assertTrue(nc.publish("large", b"%d:%s" % (taken, pattern(size))) is False)
                self.assertTrue(nc.publish("after", b"2"))
                self.poll_until(nc, lambda: nc.stats.reconnects)
                self.settle(nc)
                self.assertTrue(self.sent().endswith(b"PING\r\nPUB after 1\r\n2\r\n"), self.sent())
                self.assertEqual(nc.stats.dropped, 1)

    def test_whatever_is_raised_within_it_nothing_follows_half_of_it(self):
        for error in (
            KeyboardInterrupt(),
            MemoryError("memory allocation failed"),
            RuntimeError("of a transport"),
        ):
            self.start()
            nc = self.connected(tx_size=64)
            self.net.next_connection()
            self.net.handshake()
            self.net.on_writes(100, 100, error)
            try:
                self.assertTrue(nc.publish("a", pattern(1000)) is False)
            except (KeyboardInterrupt, RuntimeError):
                pass
            self.assertEqual(self.sent(), b"PUB a 1000\r\n" + pattern(100))
            self.assertFalse(nc.connected)
            self.assertTrue(nc.publish("b", b"hi"))
            self.assertTrue(nc.publish("c", b"hi", "r"))
            self.assertTrue(nc.publish("d", pattern(1000)) is False)
            self.assertEqual(self.sent(), b"PUB a 1000\r\n" + pattern(100))
            self.poll_until(nc, lambda: nc.stats.reconnects)
            nc.poll()
            self.assertTrue(
                self.sent().endswith(b"PING\r\nPUB b 2\r\nhi\r\nPUB c r 2\r\nhi\r\n"), self.sent()
            )

    def test_from_a_handler(self):
        nc = self.connected(tx_size=64)
        nc.subscribe("q", lambda msg: msg.respond(pattern(700)))
        self.net.feed(message(1, b"?", "q", "r.s"))
        self.settle(nc)
        self.assertTrue(self.sent().endswith(b"PUB r.s 700\r\n" + pattern(700) + b"\r\n"))

    def test_subjects_longer_than_the_transmit_buffer(self):
        for tx_size in (64, 1024):
            long = "s" * (tx_size + 100)
            for subject, reply in (
                (long, None),
                (long.encode(), None),
                ("ß" * tx_size, None),
                ("a", long),
                (long, long),
            ):
                for payload in (b"hi", pattern(300)):
                    self.check_sent_whole_or_refused(tx_size, subject, payload, reply)

    def check_sent_whole_or_refused(self, tx_size, subject, payload, reply):
        self.start()
        nc = self.connected(tx_size=tx_size)
        try:
            went = nc.publish(subject, payload, reply)
        except ValueError:
            went = False
        nc.publish("next", b"")
        nc.poll()
        words = [subject if isinstance(subject, bytes) else subject.encode(), b"%d" % len(payload)]
        if reply:
            words.insert(1, reply.encode())
        expected = b"PUB " + b" ".join(words) + b"\r\n" + payload + b"\r\n" if went else b""
        self.assertEqual(self.sent(), expected + b"PUB next 0\r\n\r\n")
        self.assertTrue(nc.connected)


if __name__ == "__main__":
    unittest.main()
