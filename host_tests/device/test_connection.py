"""The life of a connection: connecting, keeping alive, losing it, coming back, closing."""

import errno
import unittest

import unats
from played import Case, message, pattern  # before the client: it gives it its clock

PONG = b"PONG\r\n"


def line(sent, verb):
    """The first line that begins with the verb."""
    at = sent.find(verb)
    return sent[at : sent.find(b"\r\n", at)]


def refused():
    return OSError(errno.ECONNREFUSED, "ECONNREFUSED")


class Connecting(Case):
    def assert_nothing_left(self, nc):
        self.assertFalse(nc.connected)
        self.assertFalse(self.net.is_open)
        self.assertEqual(nc.state, "disconnected")
        self.assertTrue(nc.publish("a", b"x") is False)

    def check_fails(self, error, **options):
        nc = self.client(**options)
        self.assertRaises(error, nc.connect)
        self.assertTrue(isinstance(nc.last_error, error), repr(nc.last_error))
        self.assert_nothing_left(nc)
        self.assertEqual(self.net.opens, 1)
        return nc

    def test_nothing_happens_before(self):
        nc = self.client()
        self.assertEqual((nc.state, nc.connected, nc.last_error), ("disconnected", False, None))
        self.assertEqual(nc.poll(500), 0)
        self.assertEqual((self.net.opens, self.elapsed(0)), (0, 500))
        self.assertEqual(self.events, [])

    def test_states_and_events(self):
        states = []
        nc = self.client()
        self.net.on_write = lambda net: states.append(nc.state)
        self.net.handshake()
        nc.connect()
        self.assertEqual(states[0], "connecting")
        self.assertEqual((nc.state, nc.connected), ("connected", True))
        self.assertEqual(self.events, [("connected", None)])
        nc.connect()
        self.assertEqual(self.net.opens, 1)

    def test_where_to(self):
        for url, host, port in (
            ("nats://10.0.0.7:4333", "10.0.0.7", 4333),
            ("nats://broker", "broker", 4222),
            ("broker:99", "broker", 99),
            ("nats://user:p%40ss@broker:99", "broker", 99),
            ("nats://[::1]:99", "::1", 99),
            ("nats://[fe80::1%eth0]", "fe80::1%eth0", 4222),
        ):
            self.start()
            self.net.handshake()
            self.client(url).connect()
            self.assertEqual((self.net.host, self.net.port), (host, port))

    def test_urls_that_are_none(self):
        for url in (
            "", "http://x", "nats://", "nats://x:0", "nats://x:65536", "nats://x:y",
            "nats://a b:4222", "nats://[::1",
            "nats://::1", "nats://[]", "nats://x/y", "nats://x?y", "nats://x#y", "nats://x,",
            "nats://x,,y", ",", "nats://u:%2@x",
            "nats://u:%@x", "nats://u:%zz@x", "nats://u:%+1@x", "nats://u:%ff@x",
            [], None, 5, b"nats://x", [b"nats://x"], ["nats://x", None], {},
        ):  # fmt: skip
            self.assertRaises(ValueError, self.client, url)

    def test_sizes_that_are_none(self):
        for options in (
            {"rx_size": 0}, {"tx_size": 1}, {"ping_interval_ms": 0}, {"connect_timeout_ms": 0},
            {"max_pings_out": 0},
            {"reconnect_wait_ms": -1}, {"reconnect_max_wait_ms": -1},
        ):  # fmt: skip
            self.assertRaises(ValueError, lambda: self.client(**options))

    def test_options_that_are_none(self):
        for options in ({"name": "a\nb"}, {"user": "a\r"}, {"token": "\x00"}, {"on_event": 5}):
            self.assertRaises(ValueError, lambda: unats.Client("x", transport=self.net, **options))

    def test_connect_goes_out_only_after_info(self):
        nc = self.client()
        nc.connect(wait=False)
        for _ in range(5):
            nc.poll()
        self.assertEqual(self.sent(), b"")
        self.net.handshake()
        self.poll_until(nc, lambda: nc.connected)
        self.assertTrue(self.sent().startswith(b"CONNECT {"))

    def test_options_are_told(self):
        for options, expected in (
            ({}, (b'"verbose":false', b'"pedantic":false', b'"echo":true')),
            ({"verbose": True}, (b'"verbose":true',)),
            ({"pedantic": True}, (b'"pedantic":true',)),
            ({"echo": False}, (b'"echo":false',)),
            ({"name": "pump"}, (b'"name":"pump"',)),
        ):
            self.start()
            self.net.handshake()
            self.client(**options).connect()
            for part in expected:
                self.assertTrue(part in line(self.sent(), b"CONNECT"), repr(part))

    def test_verbose_ok_is_ignored(self):
        nc = self.client(verbose=True)
        nc.subscribe("a", self.take)
        self.net.feed(b"INFO {}\r\n")
        self.net.after_pings(1)
        self.net.feed(b"+OK\r\n+OK\r\nPONG\r\n+OK\r\n" + message(1, b"x") + b"+OK\r\n")
        nc.connect()
        self.settle(nc)
        self.assertEqual(len(self.got), 1)
        self.assertEqual(self.kinds(), ["connected"])

    def test_refused(self):
        self.net.refuse(refused())
        nc = self.check_fails(unats.Error)
        self.assertTrue(isinstance(nc.last_error, OSError))

    def test_refused_after_a_while(self):
        self.net.ready_error = refused()
        self.check_fails(unats.Error)

    def test_never_ready(self):
        self.net.ready_after = -1
        self.check_fails(unats.Timeout)
        self.assertTrue(5000 <= self.elapsed(0) < 5200, "%d ms" % self.elapsed(0))

    def test_info_never_comes(self):
        for now in (0, -1000):
            self.start(now)
            start = self.clock.ticks_ms()
            self.check_fails(unats.Timeout, connect_timeout_ms=3000)
            self.assertTrue(3000 <= self.elapsed(start) < 3200, "%d ms" % self.elapsed(start))

    def test_pong_never_comes(self):
        self.net.feed(b"INFO {}\r\n")
        self.check_fails(unats.Timeout)
        self.assertTrue(5000 <= self.elapsed(0) < 5200)

    def test_a_time_of_ones_own(self):
        nc = self.client()
        self.assertRaises(unats.Timeout, nc.connect, 700)
        self.assertTrue(700 <= self.elapsed(0) < 900)
        self.assert_nothing_left(nc)

    def test_no_time_at_all(self):
        nc = self.client()
        self.net.handshake()
        self.assertRaises(unats.Timeout, nc.connect, 0)
        self.assertEqual(self.elapsed(0), 0)
        self.assert_nothing_left(nc)

    def test_bytes_that_trickle_do_not_prolong_it(self):
        self.net.feed(b"INFO {")
        read = self.net.readinto

        def trickle(buf):
            self.net.feed(b" ")
            self.clock.sleep_ms(100)
            return read(buf)

        self.net.readinto = trickle
        self.check_fails(unats.Timeout, connect_timeout_ms=1000)
        self.assertTrue(self.elapsed(0) < 1500, "%d ms" % self.elapsed(0))

    def test_closed_before_info(self):
        self.net.end()
        self.check_fails(unats.NotConnected)

    def test_closed_after_info(self):
        self.net.feed(b"INFO {}\r\n")
        self.net.end()
        self.check_fails(unats.NotConnected)

    def test_reset_while_connecting(self):
        self.net.feed(b"INFO {}\r\n")
        self.net.fail(OSError(errno.ECONNRESET, "ECONNRESET"))
        self.check_fails(unats.Error)

    def test_an_error_of_the_network_keeps_its_number(self):
        self.net.refuse(OSError(errno.ECONNREFUSED, "ECONNREFUSED"))
        nc = self.client()
        try:
            nc.connect()
            self.fail("connected")
        except unats.Error as e:
            self.assertEqual(e.args[0], errno.ECONNREFUSED)

    def test_authorization_violation(self):
        self.net.feed(b"INFO {}\r\n")
        self.net.after_pings(1)
        self.net.feed(b"-ERR 'Authorization Violation'\r\n")
        self.net.end()
        nc = self.check_fails(unats.AuthError)
        self.assertTrue("Authorization Violation" in str(nc.last_error))

    def test_authorization_violation_and_a_reset_that_hides_it(self):
        self.net.feed(b"INFO {}\r\n")
        self.net.after_pings(1)

        def read_then_fail(buf):
            if self.net.pings:  # the server has the client's credentials
                text = b"-ERR 'Authorization Violation'\r\n"
                for i in range(len(text)):
                    buf[i] = text[i]
                raise OSError(errno.ECONNRESET, "ECONNRESET")
            return read(buf)

        read = self.net.readinto
        self.net.readinto = read_then_fail
        self.check_fails(unats.AuthError)

    def test_another_err_while_connecting_is_the_reason(self):
        self.net.feed(b"INFO {}\r\n")
        self.net.after_pings(1)
        self.net.feed(b"-ERR 'maximum connections exceeded'\r\n")
        self.net.end()
        nc = self.check_fails(unats.ServerError)
        self.assertTrue("maximum connections" in str(nc.last_error))

    def test_the_handshake_by_short_writes(self):
        for limit in (1, 13):
            self.start()
            nc = self.client(name="x" * 100)
            for i in range(20):
                nc.subscribe("some.subject.%d" % i, self.take)
            self.net.write_limit = limit
            self.net.handshake()
            nc.connect()
            sent = self.sent()
            self.assertTrue(sent.startswith(b"CONNECT {") and sent.endswith(b"PING\r\n"))
            self.assertEqual(sent.count(b"SUB some.subject."), 20)
            self.assertEqual(sent.count(b"\r\n"), 22)

    def test_the_handshake_when_there_is_no_memory_for_it_now(self):
        self.net.on_writes(
            None, OSError(errno.ENOBUFS, "ENOBUFS"), 5, OSError(errno.ENOBUFS, "ENOBUFS"), None, 1
        )
        self.net.handshake()
        nc = self.client()
        nc.connect(wait=False)
        self.poll_until(nc, lambda: nc.connected)
        self.assertEqual(self.kinds(), ["connected"])
        self.assertTrue(
            self.sent().startswith(b"CONNECT {") and self.sent().endswith(b"}\r\nPING\r\n")
        )

    def test_again_after_a_failure(self):
        self.net.refuse(refused())
        nc = self.client()
        self.assertRaises(unats.Error, nc.connect)
        self.net.handshake()
        nc.connect()
        self.assertTrue(nc.connected)

    def test_a_server_that_wants_tls(self):
        self.net.handshake(tls_required=True)
        self.check_fails(unats.Error)
        self.assertEqual(self.net.out_bytes, 0, "credentials in clear")

    def test_several_servers(self):
        self.net.refuse(refused(), 2)
        self.net.handshake()
        nc = self.client(["nats://one", "nats://two", "nats://three"], randomize=False)
        nc.connect()
        self.assertEqual((self.net.host, self.net.opens), ("three", 3))

    def test_every_one_of_several_servers_refuses(self):
        self.net.refuse(refused(), 3)
        nc = self.client(["nats://one", "nats://two", "nats://three"])
        self.assertRaises(unats.Error, nc.connect)
        self.assertEqual(self.net.opens, 3)
        self.assert_nothing_left(nc)

    def test_without_waiting_it_goes_on_trying(self):
        self.net.refuse(refused(), 4)
        self.net.handshake()
        nc = self.client()
        nc.connect(wait=False)
        self.assertEqual((self.net.opens, nc.state), (0, "connecting"))
        self.poll_until(nc, lambda: nc.connected, 100)
        self.assertEqual(self.net.opens, 5)
        self.assertEqual(self.kinds(), ["error"] * 4 + ["connected"])

    def test_poll_never_waits_longer_than_asked_while_connecting(self):
        nc = self.client()
        nc.connect(wait=False)
        for _ in range(20):
            start = self.clock.ticks_ms()
            nc.poll(130)
            self.assertTrue(self.elapsed(start) <= 130)
        before = self.clock.ticks_ms()
        nc.poll()
        self.assertEqual(self.elapsed(before), 0)


class KeepingAlive(Case):
    def test_a_ping_goes_out_at_every_interval(self):
        for now in (0, -25000):
            self.start(now)
            nc = self.connected(ping_interval_ms=10000)
            start = self.clock.ticks_ms()
            pings = self.net.pings
            while self.elapsed(start) < 100500:
                nc.poll(500)
            self.assertEqual(self.net.pings - pings, 10)
            self.assertTrue(nc.connected)
            self.assertEqual(self.sent(), b"PING\r\n" * 10)

    def test_however_long_poll_may_wait(self):
        nc = self.connected(ping_interval_ms=1000)
        start = self.clock.ticks_ms()
        while self.elapsed(start) < 10500:
            nc.poll(10500 - self.elapsed(start))
        self.assertEqual(self.net.pings, 11)

    def test_stale_after_max_pings_out(self):
        for now in (0, -25000):
            for max_pings_out in (1, 2, 5):
                self.start(now)
                nc = self.connected(ping_interval_ms=10000, max_pings_out=max_pings_out)
                self.net.answer_pings = False
                start = self.clock.ticks_ms()
                pings = self.net.pings
                self.poll_until(nc, lambda: self.events, 100)
                self.assertEqual(self.net.pings - pings, max_pings_out)
                self.assertEqual(self.elapsed(start) // 1000, 10 * (max_pings_out + 1))
                event, error = self.events[0]
                self.assertEqual(event, "disconnected")
                self.assertTrue(isinstance(error, unats.Timeout), repr(error))
                self.assertFalse(self.net.is_open)

    def test_a_pong_that_has_come_counts_however_seldom_it_polls(self):
        nc = self.connected(ping_interval_ms=10000, max_pings_out=1)
        self.net.answer_pings = False
        for _ in range(10):
            self.clock.sleep_ms(25000)
            nc.poll()
            self.net.feed(PONG)
        self.assertTrue(nc.connected)

    def test_a_late_pong_counts(self):
        nc = self.connected(ping_interval_ms=10000, max_pings_out=2)
        self.net.answer_pings = False
        for _ in range(10):
            nc.poll(20000)
            self.net.feed(PONG)
            self.settle(nc)
        self.assertTrue(nc.connected)

    def test_messages_are_no_pongs(self):
        nc = self.connected(ping_interval_ms=10000, max_pings_out=2)
        nc.subscribe("a", self.take)
        self.net.answer_pings = False
        for _ in range(50):
            self.net.feed(message(1, b"x"))
            nc.poll(1000)
            self.clock.sleep_ms(1000)
            if not nc.connected:
                break
        self.assertFalse(nc.connected, "half a connection")

    def test_pings_of_the_server_are_answered_between_messages(self):
        nc = self.connected()
        self.net.write_limit = 5
        nc.publish("a", b"x")
        self.net.feed(b"PING\r\n")
        nc.poll()
        nc.publish("b", b"y")
        for _ in range(20):
            nc.poll()
        self.assertEqual(
            self.sent().replace(b"PONG\r\n", b""), b"PUB a 1\r\nx\r\nPUB b 1\r\ny\r\n"
        )
        self.assertEqual(self.sent().count(b"\nPONG\r\n"), 1)

    def test_an_application_that_pauses_for_long(self):
        for pause in (
            5 * 60 * 1000,
            3 * 24 * 3600 * 1000,
            6 * 24 * 3600 * 1000,
            12 * 24 * 3600 * 1000,
        ):
            self.start()
            nc = self.connected()
            nc.subscribe("a", self.take)
            nc.poll()
            self.clock.sleep_ms(pause)
            self.net.feed(message(1, b"x"))
            self.poll_until(nc, lambda: self.got)
            nc.poll(1000)
            self.assertTrue(nc.connected)
            self.assertTrue(nc.flush())

    def test_poll_waits_no_longer_than_asked(self):
        nc = self.connected(ping_interval_ms=1000)
        for ms in (0, 1, 10, 999, 1000, 1001, 5000):
            start = self.clock.ticks_ms()
            self.assertEqual(nc.poll(ms), 0)
            self.assertTrue(self.elapsed(start) <= ms)


class Losing(Case):
    def lose(self, nc, how):
        self.forget()
        how()
        self.poll_until(nc, lambda: self.events)
        self.assertEqual(self.events, [("disconnected", nc.last_error)])
        self.assertEqual(nc.state, "reconnecting")
        self.assertFalse(self.net.is_open)
        return nc.last_error

    def test_the_server_closes(self):
        nc = self.connected()
        self.assertTrue(isinstance(self.lose(nc, self.net.end), unats.NotConnected))

    def test_reset(self):
        nc = self.connected()
        error = self.lose(nc, lambda: self.net.fail(OSError(errno.ECONNRESET, "ECONNRESET")))
        self.assertTrue(isinstance(error, unats.Error))
        self.assertEqual(error.args[0], errno.ECONNRESET)

    def test_a_write_that_fails(self):
        nc = self.connected()
        self.net.on_writes(OSError(errno.ECONNRESET, "ECONNRESET"))
        nc.publish("a", b"x")
        self.assertTrue(isinstance(self.lose(nc, lambda: None), unats.Error))

    def test_err_and_then_closed(self):
        for text in (
            "Slow Consumer",
            "maximum payload exceeded",
            "Secure Connection - TLS Required",
            "Stale Connection",
        ):
            self.start()
            nc = self.connected()
            self.net.feed(("-ERR '%s'\r\n" % text).encode())
            self.net.end()
            self.poll_until(nc, lambda: "disconnected" in self.kinds())
            self.assertTrue(isinstance(nc.last_error, unats.ServerError), repr(nc.last_error))
            self.assertTrue(text in str(nc.last_error))
            self.assertTrue(text in str(self.events[-1][1]))

    def test_err_and_reset_in_one_event(self):
        for before in (b"", message(1, b"last"), message(9, b"nobody's")):
            self.start()
            texts = []

            def read_then_fail(buf):
                if not texts:
                    return read(buf)
                text = texts.pop()
                texts.append(b"")
                for i in range(len(text)):
                    buf[i] = text[i]
                raise OSError(errno.ECONNRESET, "ECONNRESET")

            read = self.net.readinto
            self.net.readinto = read_then_fail
            nc = self.connected()
            nc.subscribe("a", self.take)
            nc.poll()
            texts.append(before + b"-ERR 'Slow Consumer'\r\n")
            self.poll_until(nc, lambda: "disconnected" in self.kinds())
            reason = self.errors()[self.kinds().index("disconnected")]
            self.assertTrue("Slow Consumer" in str(reason), repr(reason))

    def test_expired_credentials(self):
        nc = self.connected()
        self.net.feed(b"-ERR 'User Authentication Expired'\r\n")
        self.net.end()
        self.poll_until(nc, lambda: "disconnected" in self.kinds())
        self.assertTrue(isinstance(nc.last_error, unats.AuthError))

    def test_a_permissions_violation_keeps_the_connection(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.net.feed(
            b"-ERR 'Permissions Violation for Publish to \"secret\"'\r\n" + message(1, b"next")
        )
        self.settle(nc)
        self.assertTrue(nc.connected)
        self.assertEqual(self.kinds(), ["error"])
        self.assertTrue("Permissions Violation" in str(nc.last_error))
        self.assertEqual(len(self.got), 1)

    def test_a_permissions_violation_is_not_the_reason_of_a_later_loss(self):
        nc = self.connected()
        self.net.feed(b"-ERR 'Permissions Violation for Publish to \"secret\"'\r\n")
        self.settle(nc)
        self.assertTrue(isinstance(self.lose(nc, self.net.end), unats.NotConnected))

    def test_what_came_before_the_end_is_handled(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.net.feed(message(1, b"1") + message(1, b"2") + b"MSG a 1 100\r\nhalf")
        self.net.end()
        self.poll_until(nc, lambda: self.events)
        self.assertEqual([data for _, _, data in self.got], [b"1", b"2"])

    def test_half_a_message_does_not_spoil_the_next_connection(self):
        for cut in range(1, 27):
            self.start()
            nc = self.connected()
            nc.subscribe("a", self.take)
            self.net.feed(message(1, b"hello world", "a", "r")[:cut])
            self.net.end()
            self.net.next_connection()
            self.net.handshake()
            self.net.feed(message(1, b"new"))
            self.poll_until(nc, lambda: self.got)
            self.assertEqual(self.got, [("a", None, b"new")])


class Reconnecting(Case):
    def reconnect(self, nc):
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()

    def test_states_and_events(self):
        nc = self.connected()
        self.reconnect(nc)
        self.assertEqual(self.kinds(), ["disconnected", "reconnected"])
        self.assertEqual((nc.state, nc.stats.reconnects), ("connected", 1))
        self.reconnect(nc)
        self.assertEqual(nc.stats.reconnects, 2)

    def test_flush_ends_when_the_connection_breaks_before_all_is_subscribed_to_again(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        self.poll_until(nc, lambda: nc.connected)
        self.net.end()
        self.net.next_connection()
        self.net.feed(b"INFO {}\r\n")  # and then nothing
        began = self.elapsed(0)
        self.assertFalse(nc.flush(60000))
        self.assertTrue(self.elapsed(began) < 1000)

    def waits(self, count, now=0, **options):
        """The times between the attempts of a client whose server is gone."""
        self.start(now)
        nc = self.connected(**options)
        self.clock.sleep_ms(60000)
        nc.poll()
        self.net.end()
        self.net.refuse(refused(), count + 1)
        waits = []
        opens, at = self.net.opens, self.clock.ticks_ms()
        while len(waits) < count:
            nc.poll(1)
            if self.net.opens != opens:
                waits.append(self.elapsed(at))
                opens, at = self.net.opens, self.clock.ticks_ms()
        return waits

    def test_waits_grow_up_to_the_maximum(self):
        for now in (0, -70000):
            waits = self.waits(9, now, reconnect_wait_ms=100, reconnect_max_wait_ms=2000)
            self.assertTrue(max(waits) <= 2100, repr(waits))
            self.assertTrue(waits[1] <= 210, repr(waits))
            self.assertTrue(min(waits[-3:]) >= 1000, repr(waits))
            self.assertTrue(sum(waits[:3]) < sum(waits[3:6]) < sum(waits[6:9]) + 1, repr(waits))

    def test_waits_are_jittered(self):
        runs = [self.waits(4, reconnect_wait_ms=1000) for _ in range(4)]
        self.assertTrue(len({repr(waits) for waits in runs}) > 1, repr(runs))

    def test_long_waits_do_not_overflow(self):
        waits = self.waits(24, reconnect_wait_ms=1, reconnect_max_wait_ms=200)
        self.assertTrue(max(waits) <= 210 and min(waits[-10:]) >= 100, repr(waits))

    def test_wrong_credentials_are_tried_at_a_bounded_rate(self):
        nc = self.client(reconnect_wait_ms=100, reconnect_max_wait_ms=1000)
        for _ in range(40):
            self.net.feed(b"INFO {}\r\n")
            self.net.after_pings(1)
            self.net.feed(b"-ERR 'Authorization Violation'\r\n")
            self.net.end()
            self.net.next_connection()
        nc.connect(wait=False)
        while self.elapsed(0) < 10000:
            nc.poll(10)
        self.assertTrue(8 <= self.net.opens <= 25, "%d attempts in 10 s" % self.net.opens)
        self.assertTrue(isinstance(nc.last_error, unats.AuthError))

    def test_a_server_that_drops_us_at_once_is_not_hammered(self):
        nc = self.client(reconnect_wait_ms=100, reconnect_max_wait_ms=1000)
        for _ in range(60):
            self.net.handshake()
            self.net.end()
            self.net.next_connection()
        nc.connect(wait=False)
        while self.elapsed(0) < 10000:
            nc.poll(10)
        self.assertTrue(8 <= self.net.opens <= 30, "%d attempts in 10 s" % self.net.opens)

    def test_poll_never_waits_longer_than_asked(self):
        nc = self.connected()
        self.net.end()
        self.net.refuse(refused(), 100)
        for _ in range(100):
            start = self.clock.ticks_ms()
            nc.poll(77)
            self.assertTrue(self.elapsed(start) <= 77)

    def test_max_reconnects(self):
        nc = self.connected(max_reconnects=3)
        self.net.end()
        self.net.refuse(refused(), 100)
        opens = self.net.opens
        self.poll_until(nc, lambda: nc.state == "closed", 1000)
        self.assertEqual(self.kinds()[0], "disconnected")
        self.assertEqual(self.kinds()[-1], "closed")
        self.assertEqual(self.net.opens - opens, 3)
        nc.poll(100000)
        self.assertEqual(self.net.opens - opens, 3)

    def test_no_reconnects_at_all(self):
        nc = self.connected(max_reconnects=0)
        self.net.end()
        self.poll_until(nc, lambda: nc.state == "closed", 1000)
        self.assertEqual(self.net.opens, 1)

    def test_subscriptions_are_restored(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        nc.subscribe("b", self.take, queue="q")
        gone = nc.subscribe("c", self.take)
        nc.poll()
        gone.unsubscribe()
        nc.poll()
        self.reconnect(nc)
        sent = self.sent()
        self.assertEqual(sent[sent.find(b"\r\n") + 2 :], b"SUB a 1\r\nSUB b q 2\r\nPING\r\n")
        self.net.feed(message(2, b"x", "b"))
        self.settle(nc)
        self.assertEqual(self.got, [("b", None, b"x")])

    def test_subscriptions_keep_their_remaining_max_msgs(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take, max_msgs=5)
        self.net.feed(message(1, b"1") * 2)
        self.settle(nc)
        self.assertTrue(b"SUB a 1\r\nUNSUB 1 5\r\n" in self.sent())
        self.reconnect(nc)
        self.assertTrue(b"SUB a 1\r\nUNSUB 1 3\r\n" in self.sent())
        self.net.feed(message(1, b"2") * 4)
        self.settle(nc)
        self.assertEqual((sub.received, len(self.got)), (5, 5))
        self.reconnect(nc)
        self.assertTrue(b"SUB" not in self.sent())

    def test_an_unsubscription_with_max_msgs_is_restored_too(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take)
        self.net.feed(message(1, b"1"))
        self.settle(nc)
        sub.unsubscribe(3)
        nc.poll()
        self.assertTrue(self.sent().endswith(b"UNSUB 1 3\r\n"))
        self.reconnect(nc)
        self.assertTrue(b"SUB a 1\r\nUNSUB 1 2\r\n" in self.sent())

    def test_unsubscribed_while_disconnected(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take)
        nc.subscribe("b", self.take)
        nc.poll()
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        sub.unsubscribe()
        nc.subscribe("c", self.take)
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        sent = self.sent()
        self.assertEqual(sent[sent.find(b"\r\n") + 2 :], b"SUB b 2\r\nSUB c 3\r\nPING\r\n")

    def test_many_subscriptions_with_a_small_transmit_buffer(self):
        nc = self.connected(tx_size=64)
        for i in range(60):
            nc.subscribe("subject.%d" % i, self.take)
            nc.poll()
        self.assertEqual(self.sent().count(b"SUB subject."), 60)
        self.reconnect(nc)
        self.assertEqual(self.sent().count(b"SUB subject."), 60)
        self.assertTrue(self.sent().endswith(b"SUB subject.59 60\r\nPING\r\n"))

    def publications(self):
        """The PUBs on the wire since the connection was opened."""
        sent = self.sent()
        return sent[sent.find(b"PING\r\n") + 6 :]

    def test_what_was_queued_is_sent_whole_and_once(self):
        stream = b"".join(b"PUB a.%d 10\r\n%s\r\n" % (i, pattern(10, i)) for i in range(6))
        for cut in range(len(stream)):
            self.start()
            nc = self.connected()
            self.net.on_writes(*([cut] if cut else []) + [OSError(errno.ECONNRESET, "ECONNRESET")])
            for i in range(6):
                self.assertTrue(nc.publish(b"a.%d" % i, pattern(10, i)))
            self.net.next_connection()
            self.net.handshake()
            nc.poll()
            first = self.sent()
            self.poll_until(nc, lambda: nc.connected and self.net.opens == 2)
            nc.poll()
            self.assertEqual(first, stream[:cut])
            whole = cut // (len(stream) // 6) * (len(stream) // 6)
            self.assertEqual(self.publications(), stream[whole:], "cut at %d" % cut)
            self.assertEqual((nc.stats.out_msgs, nc.stats.dropped), (6, 0))

    def test_control_lines_are_not_sent_again(self):
        nc = self.connected()
        self.net.write_limit = 0
        nc.publish("a", b"1")
        nc.subscribe("s", self.take)
        self.net.feed(b"PING\r\n")
        nc.poll()
        nc.publish("b", b"2")
        nc.poll()
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        nc.poll()
        self.net.write_limit = 1 << 20
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        sent = self.sent()
        self.assertEqual(sent.count(b"SUB s 1\r\n"), 1)
        self.assertEqual(self.publications(), b"PUB a 1\r\n1\r\nPUB b 1\r\n2\r\n")
        self.assertTrue(b"PONG" not in sent)

    def test_what_is_kept_waits_for_a_handshake_that_is_not_taken_at_once(self):
        nc = self.connected()
        self.net.write_limit = 0
        nc.publish("a", b"1")
        nc.poll()
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        self.net.on_writes(*([None, 1] * 20))
        self.net.write_limit = 1 << 20
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        sent = self.sent()
        self.assertTrue(sent.startswith(b"CONNECT {"))
        self.assertTrue(sent.endswith(b"PING\r\nPUB a 1\r\n1\r\n"))

    def test_payloads_that_look_like_the_protocol_are_queued_as_they_are(self):
        nasty = b"\r\nPUB x 100\r\nSUB y 7\r\nPING\r\nHPUB 1"
        nc = self.connected()
        self.net.write_limit = 0
        nc.publish("a", nasty)
        nc.publish("b", nasty, "r", b"NATS/1.0\r\nPUB: v\r\n\r\n")
        nc.publish("c", nasty)
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        self.net.write_limit = 1 << 20
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        block = b"NATS/1.0\r\nPUB: v\r\n\r\n"
        expected = b"PUB a %d\r\n%s\r\n" % (len(nasty), nasty)
        expected += b"HPUB b r %d %d\r\n%s%s\r\n" % (len(block), len(block + nasty), block, nasty)
        self.assertEqual(
            self.publications(), expected + b"PUB c %d\r\n%s\r\n" % (len(nasty), nasty)
        )

    def test_close_counts_what_was_queued(self):
        nc = self.connected()
        self.net.write_limit = 0
        for _ in range(3):
            nc.publish("a", b"x")
        nc.close()
        self.assertEqual(nc.stats.dropped, 3)

    def test_another_server_after_each_failure(self):
        hosts = []

        def open_and_note(host, port):
            hosts.append(host)
            return open_(host, port)

        open_ = self.net.open
        self.net.open = open_and_note
        self.net.handshake()
        nc = self.client(["nats://one", "nats://two", "nats://three"], randomize=False)
        nc.connect()
        self.net.end()
        self.net.refuse(refused(), 20)
        self.poll_until(nc, lambda: len(hosts) >= 9)
        self.assertEqual(hosts[:9], ["one", "two", "three"] * 3)

    def test_memory_error_in_the_middle(self):
        nc = self.connected()
        self.net.end()
        self.net.refuse(MemoryError("memory allocation failed"))
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        self.poll_until(nc, lambda: nc.connected)
        self.assertEqual(self.kinds()[0], "disconnected")
        self.assertEqual(self.kinds()[-1], "reconnected")

    def test_memory_error_of_the_transport_while_connected(self):
        for reading in (True, False):
            self.start()
            nc = self.connected()
            if reading:
                self.net.fail(MemoryError("memory allocation failed"))
            else:
                self.net.on_writes(MemoryError("memory allocation failed"))
                nc.publish("a", b"hi")
            self.net.next_connection()
            self.net.handshake()
            self.poll_until(nc, lambda: nc.stats.reconnects)
            self.assertEqual(self.kinds(), ["disconnected", "reconnected"])
            self.assertTrue(
                isinstance(nc.last_error, unats.Error) and "memory" in str(nc.last_error),
                repr(nc.last_error),
            )

    def test_an_error_of_a_number_alone_is_known_by_it(self):
        nc = self.connected()
        nc.publish("a", b"hi")
        self.net.on_writes(OSError(errno.ENOBUFS), OSError(errno.ENOBUFS))
        for _ in range(3):
            nc.poll()
        self.assertEqual((self.sent(), self.events), (b"PUB a 2\r\nhi\r\n", []))
        self.net.fail(OSError(errno.ECONNRESET))
        self.settle(nc)
        self.assertEqual(self.errors()[0].errno, errno.ECONNRESET)

    def test_a_hundred_handshakes_that_stall_leave_nothing_open(self):
        nc = self.client(connect_timeout_ms=100, reconnect_wait_ms=1, reconnect_max_wait_ms=2)
        for _ in range(100):
            self.net.feed(b"INFO {")
            self.net.next_connection()
        self.net.handshake()
        nc.connect(wait=False)
        self.poll_until(nc, lambda: nc.connected, 20)
        self.assertEqual((self.net.opens, self.net.closes), (101, 100))

    def test_connect_while_reconnecting_waits_for_it(self):
        nc = self.connected()
        self.net.end()
        self.settle(nc)
        self.net.next_connection()
        self.net.handshake()
        nc.connect()
        self.assertTrue(nc.connected)
        self.assertEqual(self.kinds()[-1], "reconnected")


class Handlers(Case):
    """What handlers do, and what they must not do."""

    def begin(self, handler, **options):
        nc = self.connected(**options)
        nc.subscribe("a", handler)
        nc.subscribe("b", self.take)
        nc.poll()
        self.forget()
        return nc

    def test_an_exception_comes_out_of_poll_and_the_next_message_comes(self):
        def handler(msg):
            self.got.append(msg.data)
            if msg.equals(b"bad"):
                raise RuntimeError("mine")

        for limit in (1 << 20, 1, 7):
            self.start()
            nc = self.begin(handler)
            self.net.read_limit = limit
            self.net.feed(
                message(1, b"bad")
                + message(1, b"good")
                + message(1, b"bad")
                + message(2, b"x", "b")
            )
            raised = 0
            for _ in range(200):
                try:
                    nc.poll()
                except RuntimeError:
                    raised += 1
            self.assertEqual(raised, 2)
            self.assertEqual(self.got, [b"bad", b"good", b"bad", ("b", None, b"x")])
            self.assertTrue(nc.connected)
            self.assertEqual(nc.stats.in_msgs, 4)

    def test_a_handler_that_raises_although_nothing_more_comes(self):
        def handler(msg):
            self.got.append(msg.data)
            raise RuntimeError

        nc = self.begin(handler)
        self.net.feed(message(1, b"1") + message(1, b"2") + message(1, b"3"))
        for _ in range(3):
            self.assertRaises(RuntimeError, nc.poll, 1000)
        self.assertEqual(self.got, [b"1", b"2", b"3"])
        self.assertEqual(nc.poll(), 0)

    def test_an_exception_of_on_event(self):
        def on_event(nc, event, detail):
            raise RuntimeError

        nc = unats.Client("nats://host", transport=self.net, on_event=on_event)
        self.net.handshake()
        try:
            nc.connect()
        except RuntimeError:
            pass
        self.assertTrue(nc.connected or nc.state == "disconnected")

    def test_publish_and_respond(self):
        def handler(msg):
            nc.publish("c", msg.data)
            msg.respond(b"done")

        nc = self.begin(handler)
        self.net.feed(message(1, b"x", "a", "r") * 3)
        self.settle(nc)
        self.assertEqual(self.sent(), b"PUB c 1\r\nx\r\nPUB r 4\r\ndone\r\n" * 3)

    def test_publish_more_than_the_buffer_holds(self):
        def handler(msg):
            for i in range(50):
                self.got.append(nc.publish("c", b"%02d" % i))

        nc = self.begin(handler, tx_size=64)
        self.net.feed(message(1, b"x"))
        self.settle(nc)
        self.assertEqual(self.got, [True] * 50)
        self.assertEqual(self.sent(), b"".join(b"PUB c 2\r\n%02d\r\n" % i for i in range(50)))

    def test_subscribe(self):
        def handler(msg):
            nc.subscribe("c", self.take)

        nc = self.begin(handler)
        self.net.feed(message(1, b"x") + message(3, b"y", "c"))
        self.settle(nc)
        self.assertEqual(self.sent(), b"SUB c 3\r\n")
        self.assertEqual(self.got, [("c", None, b"y")])

    def test_unsubscribe(self):
        def handler(msg):
            self.take(msg)
            sub.unsubscribe()

        nc = self.connected()
        sub = nc.subscribe("a", handler)
        nc.poll()
        self.forget()
        self.net.feed(message(1, b"1") + message(1, b"2"))
        self.settle(nc)
        self.assertEqual(self.sent(), b"UNSUB 1\r\n")
        self.assertEqual(len(self.got), 1)

    def test_unsubscribe_another_whose_message_is_next(self):
        nc = self.connected()
        nc.subscribe("a", lambda msg: other.unsubscribe())
        other = nc.subscribe("b", self.take)
        self.net.feed(message(1, b"1") + message(2, b"2", "b"))
        self.settle(nc)
        self.assertEqual(self.got, [])
        self.assertEqual(nc.stats.dropped, 1)

    def test_close(self):
        nc = self.begin(lambda msg: nc.close())
        self.net.feed(message(1, b"x") + message(2, b"y", "b"))
        nc.poll(100)
        nc.poll(100)
        self.assertEqual((nc.state, self.got), ("closed", []))
        self.assertFalse(self.net.is_open)
        self.assertEqual(self.kinds(), ["closed"])

    def test_close_in_the_middle_of_a_streamed_message(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a", lambda msg: nc.close(), chunked=True)
        self.net.feed(message(1, pattern(1000)))
        nc.poll(100)
        self.assertEqual(nc.state, "closed")
        self.assertEqual(nc.poll(100), 0)

    def test_close_and_connect_again_outside(self):
        nc = self.begin(lambda msg: nc.close())
        self.net.feed(message(1, b"x") + message(2, b"old", "b"))
        nc.poll()
        self.net.next_connection()
        self.net.handshake()
        self.net.feed(message(2, b"new", "b"))
        nc.connect()
        self.settle(nc)
        self.assertEqual(self.got, [("b", None, b"new")])

    def test_calls_that_wait(self):
        """A handler may make them; its own message is gone then, and the next
        ones come in them.
        """
        found = []

        def handler(msg):
            self.take(msg)
            found.append(nc.poll())
            found.append(nc.flush())
            nc.connect()  # it is

        nc = self.begin(handler)
        self.net.feed(
            message(1, b"1") + message(2, b"x", "b") + message(1, b"2") + message(2, b"y", "b")
        )
        self.settle(nc)
        self.assertEqual(
            self.got, [("a", None, b"1"), ("b", None, b"x"), ("a", None, b"2"), ("b", None, b"y")]
        )
        self.assertTrue(nc.connected)
        self.assertEqual(nc.stats.in_msgs, 4)
        self.assertEqual([one for one in found if one is True], [True, True])

    def test_a_request_that_waits(self):
        def handler(msg):
            self.got.append(nc.request("q", b"?").data)

        def answer(net):
            sent = bytes(net.sent())
            at = sent.rfind(b"PUB q ")
            if at >= 0 and sent.endswith(b"?\r\n"):
                inbox = sent[at + 6 :].split(b" ")[0].decode()
                net.feed(message(3, b"yes %d" % len(self.got), inbox))

        nc = self.begin(handler)
        self.net.on_write = answer
        self.net.feed(message(1, b"1") + message(1, b"2") + message(2, b"x", "b"))
        self.settle(nc)
        self.assertEqual(
            sorted([str(one) for one in self.got]), ["('b', None, b'x')", "b'yes 0'", "b'yes 0'"]
        )

    def test_drain(self):
        nc = self.begin(lambda msg: nc.drain())
        self.net.feed(message(1, b"1") + message(2, b"x", "b"))
        nc.poll(100)
        self.assertEqual((nc.state, self.got), ("closed", [("b", None, b"x")]))

    def test_in_fragments_too(self):
        def handler(msg):
            self.got.append((msg.offset, msg.last))
            data = msg.data
            nc.poll()
            parts.append((self.got[len(parts)], data))

        parts = []
        nc = self.connected(rx_size=64)
        nc.subscribe("c", handler, chunked=True)
        nc.subscribe("b", self.take)
        nc.poll()
        self.net.feed(message(1, pattern(300), "c") + message(2, b"x", "b"))
        self.settle(nc)
        self.assertEqual(self.got[-1], ("b", None, b"x"))
        self.assertEqual(nc.stats.in_bytes, 301)

    def test_polling_in_on_event(self):
        polled = []

        def on_event(nc, event, detail):
            polled.append((event, nc.poll()))

        nc = unats.Client("nats://host", transport=self.net, on_event=on_event)
        self.net.handshake()
        nc.connect()
        self.net.end()
        for _ in range(5):
            nc.poll()
        self.assertEqual([event for event, _ in polled][:2], ["connected", "disconnected"])

    def test_publishing_in_on_event_when_connected(self):
        def on_event(nc, event, detail):
            if event in ("connected", "reconnected"):
                self.assertTrue(nc.publish("hello", b"I am here"))

        nc = unats.Client("nats://host", transport=self.net, on_event=on_event)
        self.net.handshake()
        nc.connect()
        nc.poll()
        self.assertTrue(self.sent().endswith(b"PUB hello 9\r\nI am here\r\n"))

    def test_poll_returns_how_many_messages_were_handled(self):
        nc = self.begin(lambda msg: None)
        self.net.feed(message(1, b"x") * 3 + message(2, b"y", "b") + message(9, b"nobody"))
        self.assertEqual(nc.poll(1000), 4)
        self.assertEqual(nc.poll(), 0)


class Subscribing(Case):
    def test_before_connecting(self):
        nc = self.client()
        subs = [
            nc.subscribe("a.*", self.take),
            nc.subscribe("b.>", self.take, queue="q", max_msgs=2),
        ]
        self.net.handshake()
        nc.connect()
        sent = self.sent()
        self.assertEqual(
            sent[sent.find(b"\r\n") + 2 :], b"SUB a.* 1\r\nSUB b.> q 2\r\nUNSUB 2 2\r\nPING\r\n"
        )
        self.assertEqual([(sub.sid, sub.subject) for sub in subs], [(1, "a.*"), (2, "b.>")])

    def test_while_connecting(self):
        nc = self.client()
        self.net.feed(b"INFO {}\r\n")
        self.net.after_pings(1)
        self.net.feed(PONG)
        nc.connect(wait=False)
        count = 0
        while not nc.connected:
            nc.subscribe("s.%d" % count, self.take)
            count += 1
            nc.poll()
        nc.poll()
        sent = self.sent()
        for i in range(count):
            self.assertEqual(sent.count(b"SUB s.%d %d\r\n" % (i, i + 1)), 1)

    def test_max_msgs(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take, max_msgs=2)
        self.net.feed(message(1, b"x") * 2)
        self.settle(nc)
        self.assertEqual(self.sent(), b"SUB a 1\r\nUNSUB 1 2\r\n")
        self.assertEqual(sub.received, 2)

    def test_unsubscribing_twice(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take)
        nc.poll()
        sub.unsubscribe()
        sub.unsubscribe()
        nc.poll()
        self.assertEqual(self.sent(), b"SUB a 1\r\nUNSUB 1\r\n")

    def test_unsubscribing_after_so_many_that_have_come_already(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take)
        self.net.feed(message(1, b"x") * 3)
        self.settle(nc)
        sub.unsubscribe(2)
        nc.poll()
        self.net.feed(message(1, b"y"))
        self.settle(nc)
        self.assertEqual(len(self.got), 3)
        self.assertTrue(self.sent().startswith(b"SUB a 1\r\nUNSUB 1"))

    def test_counts(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take)
        self.net.feed(message(1, b"x") * 7)
        self.settle(nc)
        self.assertEqual((sub.received, sub.dropped), (7, 0))

    def test_while_nothing_can_be_sent(self):
        nc = self.connected(tx_size=64)
        self.net.write_limit = 0
        for i in range(20):
            nc.subscribe("s.%d" % i, self.take)
        nc.poll()
        self.net.write_limit = 1 << 20
        for _ in range(30):
            nc.poll()
        self.assertEqual(self.sent(), b"".join(b"SUB s.%d %d\r\n" % (i, i + 1) for i in range(20)))


class Closing(Case):
    def check_closed(self, nc):
        self.assertEqual((nc.state, nc.connected), ("closed", False))
        self.assertFalse(self.net.is_open)
        opens = self.net.opens
        nc.poll(100000)
        self.assertEqual(self.net.opens, opens, "closed for good")
        self.assertEqual(self.kinds().count("closed"), 1)

    def test_in_every_state_and_twice(self):
        for turns in range(8):
            self.start()
            nc = self.client()
            self.net.ready_after = 2
            self.net.handshake()
            if turns:
                nc.connect(wait=False)
            for _ in range(turns - 1):
                nc.poll()
            nc.close()
            self.check_closed(nc)
            nc.close()
            self.check_closed(nc)

    def test_while_waiting_to_reconnect(self):
        nc = self.connected()
        self.net.end()
        self.settle(nc)
        nc.close()
        self.check_closed(nc)

    def test_connecting_again_afterwards(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        nc.close()
        self.net.next_connection()
        self.net.handshake()
        self.net.feed(message(1, b"x"))
        nc.connect()
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"x")])

    def test_polling_afterwards_sleeps_and_returns_0(self):
        nc = self.connected()
        nc.close()
        start = self.clock.ticks_ms()
        self.assertEqual(nc.poll(300), 0)
        self.assertEqual(self.elapsed(start), 300)


if __name__ == "__main__":
    unittest.main()
