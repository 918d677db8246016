"""Corners where several rules meet: callbacks that end the client or raise, old deadlines, odd
names.
"""

import errno

import unats
from played import Case, message, pattern  # before the client: it gives it its clock

DAY_MS = 24 * 3600 * 1000


class Broken(Exception):
    pass


class Callbacks(Case):
    """What a handler or `on_event` does or raises leaves the client in one state,
    and a right one.
    """

    def failing(self, _):
        raise Broken

    def poll_through(self, nc, times=10):
        for _ in range(times):
            try:
                nc.poll(100)
            except Broken:
                pass

    def test_a_request_handler_that_raises_when_the_connection_is_lost_does_not_stop_reconnecting(
        self,
    ):
        nc = self.connected()
        nc.request("q", handler=self.failing)
        nc.poll()
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.poll_through(nc)
        self.assertTrue(nc.connected)
        self.assertEqual(self.kinds(), ["disconnected", "reconnected"])

    def test_every_outstanding_request_is_told_of_the_loss_though_one_handler_raises(self):
        nc = self.connected()
        nc.request("q", handler=self.failing)
        nc.request("q", handler=self.got.append)
        nc.poll()
        self.net.end()
        self.poll_through(nc)
        self.assertEqual(self.got, [None])

    def test_closing_in_a_request_handler_when_the_connection_is_lost_is_final(self):
        nc = self.connected()
        nc.request("q", handler=lambda msg: nc.close())
        nc.poll()
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.poll_through(nc)
        self.assertEqual(nc.state, "closed")
        self.assertEqual(self.net.opens, 1)
        self.assertEqual(self.kinds()[-1], "closed")

    def test_closing_in_a_request_handler_whose_time_is_up(self):
        nc = self.connected()
        nc.request("q", timeout_ms=50, handler=lambda msg: nc.close())
        self.poll_through(nc)
        self.assertEqual(self.kinds(), ["closed"])
        self.assertEqual((nc.state, nc.last_error), ("closed", None))

    def test_closing_in_a_handler_while_the_receive_buffer_is_full(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a", lambda msg: nc.close())
        nc.poll()
        self.net.feed(message(1, b"12345678901234567890") * 100)
        self.poll_through(nc)
        self.assertEqual(self.kinds(), ["closed"])
        self.assertEqual((nc.state, nc.last_error), ("closed", None))

    def test_what_was_closed_in_a_handler_can_be_connected_again(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a", lambda msg: nc.close())
        nc.poll()
        self.net.feed(message(1, b"12345678901234567890") * 100)
        nc.poll()
        self.net.next_connection()
        self.net.handshake()
        nc.connect()
        self.assertTrue(nc.connected)

    def test_close_tells_of_it_though_a_request_handler_raises(self):
        nc = self.connected()
        nc.request("q", handler=self.failing)
        nc.publish("a", b"1")
        self.assertRaises(Broken, nc.close)
        self.assertEqual((nc.state, self.kinds(), nc.stats.dropped), ("closed", ["closed"], 2))

    def test_after_closing_in_on_event_connect_does_not_wait_on(self):
        nc = unats.Client(
            "nats://h", transport=self.net, on_event=lambda nc, event, detail: nc.close()
        )
        self.net.refuse(OSError(errno.ECONNREFUSED), 9)
        before = self.clock.ticks_ms()
        self.assertRaises(OSError, nc.connect)
        self.assertTrue(self.elapsed(before) < 5000)

    def test_giving_up_ends_connect_at_once_with_the_reason(self):
        nc = self.client(["nats://h", "nats://i"], max_reconnects=0)
        self.net.refuse(OSError(errno.ECONNREFUSED), 9)
        before = self.clock.ticks_ms()
        try:
            nc.connect()
        except unats.Error as e:
            self.assertFalse(isinstance(e, unats.Timeout), repr(e))
        self.assertTrue(self.elapsed(before) < 5000)

    def test_messages_behind_one_whose_handler_raised_are_not_lost_though_writing_fails_then(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a", self.fail_first)
        nc.poll()
        payload = b"a  b" * 5
        self.net.feed(message(1, payload) * 100)
        self.assertRaises(Broken, nc.poll)
        self.net.on_writes(OSError(errno.ECONNRESET))
        nc.publish("x" * 900, b"y" * 80)
        nc.publish("x" * 900, b"y" * 80)
        self.poll_through(nc)
        self.assertTrue(len(self.got) >= 10, len(self.got))
        for _, _, data in self.got:
            self.assertEqual(data, payload)

    def fail_first(self, msg):
        self.take(msg)
        if len(self.got) == 1:
            raise Broken


class OutOfMemory(Case):
    def test_closing_the_transport_may_run_out_of_memory_when_the_connection_is_lost(self):
        nc = self.connected()
        close = self.net.close
        failures = [MemoryError()]

        def close_without_memory():
            close()
            if failures:
                raise failures.pop()

        self.net.close = close_without_memory
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        for _ in range(20):
            try:
                nc.poll(1000)
            except MemoryError:
                pass
        self.assertTrue(nc.connected)

    def test_the_end_of_a_connection_that_finds_no_memory_is_one(self):
        for break_it in (
            lambda nc: self.net.end(),
            lambda nc: self.net.feed(b"no NATS\r\n"),
        ):
            self.start()
            nc = self.connected()
            nc.connection = self.without_memory
            break_it(nc)
            self.assertRaises(MemoryError, self.poll_through, nc)
            self.assertFalse(nc.connected)
            del nc.connection
            self.net.next_connection()
            self.net.handshake()
            self.poll_until(nc, lambda: nc.connected)
            self.assertEqual(self.kinds(), ["disconnected", "reconnected"])

    def poll_through(self, nc):
        for _ in range(20):
            nc.poll(10)

    def without_memory(self):
        raise MemoryError

    def test_nothing_follows_half_a_message_though_its_end_finds_no_memory(self):
        nc = self.connected(tx_size=64)
        nc.connection = self.without_memory
        self.net.on_writes(15, 40, Broken())
        self.assertRaises(MemoryError, nc.publish, "a", b"x" * 200)
        before = self.sent()
        nc.publish("a", b"1")
        self.assertRaises(MemoryError, nc.poll)
        self.assertEqual(self.sent(), before)

    def test_subscriptions_that_find_no_memory_while_connecting(self):
        nc = self.client()
        for i in range(30):
            sub = nc.subscribe("a.%d.%s" % (i, "x" * 40), self.take)
        lines, failures = sub.lines, [MemoryError()]

        def lines_without_memory():
            if failures:
                raise failures.pop()
            return lines()

        sub.lines = lines_without_memory
        self.net.handshake()
        self.net.next_connection()
        self.net.handshake()
        nc.connect(wait=False)
        self.poll_until(nc, lambda: nc.connected)
        self.assertEqual(self.net.opens, 2)
        self.assertEqual(self.sent().count(b"\r\nSUB "), 30)
        self.assertEqual(self.sent().count(b"PING\r\n"), 1)


class Raised(Case):
    """What the application raises is its own, also if it looks like the network's."""

    def check(self, nc):
        self.assertRaises(OSError, self.settle, nc)
        self.settle(nc)
        self.assertTrue(nc.connected)
        self.assertEqual(self.net.opens, 1)

    def raising(self, *_):
        raise OSError(errno.ECONNRESET)

    def refuse(self, subject):
        text = "-ERR 'Permissions Violation for Publish to \"%s\"'\r\n" % subject
        self.net.feed(text.encode())

    def test_by_the_handler_of_a_request_that_is_refused(self):
        nc = self.connected()
        nc.request("q", handler=self.raising)
        self.refuse("q")
        self.check(nc)

    def test_by_on_event(self):
        nc = self.connected()
        nc.on_event = self.raising
        self.refuse("q")
        self.check(nc)
        self.net.feed(b'INFO {"ldm":true}\r\n')
        self.check(nc)


class Turns(Case):
    def open(self, **options):
        """A client whose server has accepted it and said nothing yet."""
        nc = self.client(**options)
        nc.connect(wait=False)
        return nc

    def test_a_request_whose_time_is_up_does_not_end_an_attempt(self):
        nc = self.connected()
        nc.request("q", timeout_ms=1000, handler=self.got.append)
        self.net.end()
        nc.on_turn += (self.at_once,)
        self.net.next_connection()
        self.net.ready_after = 3
        self.net.handshake()
        self.poll_until(nc, lambda: self.events)
        self.poll_until(nc, lambda: nc.connected)
        self.assertEqual(self.kinds(), ["disconnected", "reconnected"])

    def at_once(self):
        self.clock.sleep_ms(1)
        return 0

    def test_a_request_before_the_first_pong_does_not_end_the_attempt(self):
        nc = self.client()
        nc.subscribe("a", lambda msg: nc.request("q", timeout_ms=1, handler=self.got.append))
        self.net.handshake()
        self.net.answer_pings = False
        self.net.feed(message(1, b"1"))
        self.net.pause(5)
        self.net.feed(b"PONG\r\n")
        nc.connect()
        self.assertEqual((self.kinds(), self.got), (["connected"], [None]))

    def test_who_is_called_in_each_turn_does_not_shorten_the_wait_between_attempts(self):
        nc = self.client(reconnect_wait_ms=1000, max_reconnects=-1)
        nc.on_turn += (self.at_once,)
        self.net.refuse(OSError(errno.ECONNREFUSED), 9)
        nc.connect(wait=False)
        before = self.clock.ticks_ms()
        for _ in range(100):
            nc.poll(10)
            self.clock.sleep_ms(1)
        self.assertTrue(self.net.opens <= 2 + self.elapsed(before) // 500, self.net.opens)

    def test_leaving_while_messages_keep_coming(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.net.feed(message(1, b"1"), times=1000)
        self.net.next_connection()
        self.net.handshake()
        nc.poll()
        nc.reconnect()
        for _ in range(20):
            nc.poll(10)
        self.assertEqual(self.kinds(), ["disconnected", "reconnected"])
        self.assertTrue(len(self.got) < 1000)

    def test_no_pong_while_messages_keep_coming(self):
        nc = self.connected(ping_interval_ms=1000, max_pings_out=2)
        nc.subscribe("a", self.take)
        nc.poll()
        self.net.answer_pings = False
        self.net.feed(message(1, b"1"), times=1000)
        for _ in range(100):
            nc.poll(1)
            self.clock.sleep_ms(100)
            if not nc.connected:
                break
        self.assertEqual(self.kinds(), ["disconnected"])
        self.assertTrue(isinstance(nc.last_error, unats.Timeout), repr(nc.last_error))
        self.assertTrue(self.elapsed(0) < 5000, self.elapsed(0))

    def late(self, handler):
        """A client that has not polled for long; messages came meanwhile."""
        nc = self.connected(ping_interval_ms=1000, max_pings_out=1)
        nc.subscribe("a", handler)
        nc.poll()
        self.clock.sleep_ms(1000)
        self.net.answer_pings = False
        nc.poll()
        self.clock.sleep_ms(5000)
        for _ in range(3):
            self.net.feed(message(1, b"1"))
        return nc

    def test_messages_that_came_in_time_are_counted_when_the_next_ping_is_late(self):
        nc = self.late(self.take)
        self.assertEqual(sum([nc.poll() for _ in range(5)]), 3)
        self.assertEqual(len(self.got), 3)

    def test_closing_in_a_handler_when_the_next_ping_is_late(self):
        nc = self.late(lambda msg: nc.close())
        nc.poll()
        self.assertEqual((nc.state, self.kinds()), ("closed", ["closed"]))
        self.net.next_connection()
        self.net.handshake()
        nc.connect()
        self.assertEqual(self.net.opens, 2)

    def test_closing_in_on_event_when_it_gives_up_is_told_once(self):
        nc = self.client(max_reconnects=0)

        def on_event(nc, event, detail):
            self.events.append((event, detail))
            if event == "error":
                nc.close()

        nc.on_event = on_event
        self.net.refuse(OSError(errno.ECONNREFUSED), 9)
        nc.connect(wait=False)
        for _ in range(5):
            nc.poll()
        self.assertEqual(self.kinds(), ["error", "closed"])

    def test_connecting_in_vain_abandons_the_question_for_the_address(self):
        class Resolver:
            asked = closed = 0

            def start(self, host):
                self.asked += 1

            def poll(self):
                return None

            def close(self):
                self.closed += 1

        resolver = Resolver()
        nc = self.client(resolver=resolver)
        self.assertRaises(unats.Timeout, nc.connect, 100)
        self.assertEqual((resolver.asked, resolver.closed > 0), (1, True))


class Windowed(Case):
    """With a window of bytes that may be unconfirmed, as on the RP2040."""

    def start(self, now=0):
        super().start(now)
        self.net.window = 3000

    def test_attempts_in_vain_leave_no_bytes_in_flight(self):
        nc = self.client()
        for _ in range(20):
            self.net.feed(b"INFO {}\r\n")
            self.net.next_connection()
            self.assertRaises(unats.Timeout, nc.connect, 100)
        self.net.handshake()
        nc.connect()
        nc.publish("a", b"1")
        nc.poll()
        self.assertTrue(self.sent().endswith(b"PUB a 1\r\n1\r\n"))

    def test_a_large_message_that_is_taken_in_small_parts(self):
        nc = self.connected()
        for limit in (100, 30):
            self.net.write_limit = limit
            payload = pattern(2000)
            self.assertTrue(nc.publish("a", payload))
            self.net.write_limit = 1 << 29
            self.assertTrue(nc.flush())
            self.assertEqual(self.sent().count(payload), 1)
            self.net.forget()
        self.assertEqual(self.kinds(), [])


class Chunked(Case):
    def test_headers_larger_than_the_buffer_and_nothing_behind_them(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe("a", self.take, chunked=True)
        nc.poll()
        headers = b"NATS/1.0\r\nA: " + b"x" * 80 + b"\r\n\r\n"
        self.net.feed(message(1, b"", headers=headers) + message(1, b"1"))
        self.settle(nc)
        self.assertEqual([data for _, _, data in self.got], [b"1"])
        self.assertEqual((sub.received, sub.dropped, nc.stats.oversize), (1, 1, 1))
        self.assertEqual(self.kinds(), ["oversize"])


class Handshake(Case):
    """Between INFO and the first PONG."""

    def test_nothing_is_queued_after_a_second_info_before_the_first_pong(self):
        nc = self.client()
        self.net.feed(b'INFO {"max_payload":1000}\r\nINFO {"max_payload":1000}\r\n')
        nc.connect(wait=False)
        for _ in range(5):
            nc.poll()
        self.assertFalse(nc.connected)
        self.assertEqual(nc.publish("a", b"x"), False)

    def test_a_message_before_the_first_pong_can_be_answered(self):
        taken = []

        def answer(msg):
            taken.append((msg.respond(b"yes"), nc.publish("b", "hi"), nc.connected))

        nc = self.client()
        nc.subscribe("a", answer)
        self.net.handshake()
        self.net.feed(message(1, b"?", "a", "r"))
        self.net.answer_pings = False
        self.net.pause(3)
        self.net.feed(b"PONG\r\n")
        nc.connect(wait=False)
        self.poll_until(nc, lambda: taken)
        self.assertEqual(taken, [(True, True, False)])
        self.assertFalse(nc.connected)
        self.assertFalse(nc.publish("c", b"not from a handler"))
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        self.assertTrue(
            self.sent().endswith(b"PING\r\nPUB r 3\r\nyes\r\nPUB b 2\r\nhi\r\n"), self.sent()
        )

    def test_a_second_info_lets_nothing_into_the_middle_of_connect(self):
        nc = self.client(tx_size=64)
        self.net.write_limit = 10
        self.net.feed(b'INFO {"max_payload":1000}\r\nINFO {"max_payload":1000}\r\n')
        nc.connect(wait=False)
        self.net.on_writes(4, None, None, None, None)
        for _ in range(3):
            nc.poll()
        for _ in range(10):
            nc.publish("a", b"0123456789012345678901234567890")
        self.assertFalse(b"PUB" in self.sent(), self.sent())

    def test_what_is_queued_does_not_keep_the_processor_busy_while_connecting(self):
        nc = self.connected()
        self.net.write_limit = 0
        nc.publish("a", b"x")
        self.net.end()
        self.net.next_connection()
        self.net.write_limit = 1 << 29
        self.net.feed(b'INFO {"max_payload":1000}\r\n')
        for _ in range(20):
            nc.poll()
        before = self.net.waits
        self.clock_ticks(nc)
        self.assertTrue(self.net.waits - before < 10, self.net.waits - before)

    def clock_ticks(self, nc):
        """Ten turns of at most 10 ms."""
        before = self.clock.ticks_ms()
        for _ in range(10):
            nc.poll(10)
        self.assertEqual(self.elapsed(before), 100)


class Ticks(Case):
    """Deadlines, where the clock's numbers have half a range and the application
    may sleep longer.
    """

    def test_keep_alive_after_a_pause_of_seven_days(self):
        nc = self.connected(ping_interval_ms=1000)
        pings = self.net.pings
        self.clock.sleep_ms(7 * DAY_MS)
        for _ in range(20):
            nc.poll(100)
        self.assertTrue(self.net.pings > pings)

    def test_reconnecting_after_a_pause_of_seven_days(self):
        nc = self.connected()
        self.net.end()
        nc.poll()
        nc.poll()
        self.net.next_connection()
        self.net.handshake()
        self.clock.sleep_ms(7 * DAY_MS)
        for _ in range(20):
            nc.poll(100)
        self.assertTrue(nc.connected)

    def test_a_request_ends_after_a_pause_of_seven_days(self):
        nc = self.connected(ping_interval_ms=1000)
        nc.request("q", handler=self.got.append, timeout_ms=500)
        self.clock.sleep_ms(7 * DAY_MS)
        for _ in range(20):
            nc.poll(100)
        self.assertEqual(self.got, [None])

    def test_a_connection_that_was_good_for_seven_days_is_not_a_failed_attempt(self):
        nc = self.connected(ping_interval_ms=3600000, max_reconnects=0)
        for _ in range(7 * 24 + 1):
            self.clock.sleep_ms(3600000)
            nc.poll()
            nc.poll()
        self.assertTrue(nc.connected)
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        for _ in range(20):
            nc.poll(100)
        self.assertEqual(self.kinds(), ["disconnected", "reconnected"])


class Deadlines(Case):
    """The clock moves on only by being looked at, every third time."""

    def setUp(self):
        super().setUp()
        self.before = self.clock.ticks_ms, self.clock.sleep_ms
        self.looks = 0
        self.clock.ticks_ms, self.clock.sleep_ms = self.look, lambda ms: None

    def tearDown(self):
        self.clock.ticks_ms, self.clock.sleep_ms = self.before
        super().tearDown()

    def look(self):
        ticks_ms, sleep_ms = self.before
        self.looks += 1
        sleep_ms(1 if self.looks % 3 == 0 else 0)
        return ticks_ms()

    def test_connect_whose_time_is_up_between_two_looks_at_the_clock(self):
        for timeout_ms in range(20, 40):
            self.start()
            self.net.ready_after = -1
            self.net.next_connection()
            nc = self.client(connect_timeout_ms=100000)
            self.assertRaises(unats.Timeout, nc.connect, timeout_ms)


class Names(Case):
    """Subjects that are not ASCII have more bytes than characters."""

    def test_a_subject_that_is_not_ascii_and_a_reply_subject_fit_or_are_refused(self):
        for tx_size in range(220, 420, 7):
            self.start()
            nc = self.connected(tx_size=tx_size)
            try:
                nc.publish("\xe9" * 100, b"", "r" * 100)
            except ValueError:
                pass
            nc.poll()
            self.assertTrue(len(self.sent()) <= tx_size, (tx_size, len(self.sent())))

    def test_a_large_message_to_a_subject_that_is_not_ascii(self):
        nc = self.connected(tx_size=128)
        payload = pattern(1000)
        self.assertTrue(nc.publish("\xe9", payload))
        self.assertEqual(self.sent(), b"PUB \xc3\xa9 1000\r\n" + payload + b"\r\n")

    def test_a_crowded_buffer_makes_no_subject_invalid(self):
        for fill in range(50, 110):
            self.start()
            nc = self.connected(tx_size=160)
            nc.publish("a", b"x" * fill)
            self.assertTrue(nc.publish("\xe9" * 30, b""))

    def test_a_subscription_that_is_not_ascii_is_told_to_the_server_when_there_is_room(self):
        for fill in range(100, 150):
            self.start()
            nc = self.connected(tx_size=256)
            self.net.on_writes(1, None, None, None)
            nc.publish("a", b"x" * fill)
            nc.poll()
            nc.subscribe("\xe9" * 60, self.take)
            for _ in range(8):
                nc.poll()
            self.assertTrue(b"SUB \xc3\xa9" in self.sent(), (fill, self.sent()))

    # nats-server hands on MSG a 1 b..c 2 as it was published.
    def test_a_reply_subject_that_the_server_let_through_makes_no_handler_raise(self):
        nc = self.connected()
        self.answers = []
        nc.subscribe("a", lambda msg: self.answers.append(msg.respond(b"x")))
        nc.poll()
        self.net.feed(message(1, b"hi", "a", "b..c"))
        self.settle(nc)
        self.assertEqual(len(self.answers), 1)
        self.assertTrue(nc.connected)


class Server(Case):
    def test_a_permissions_violation_about_authorization_keeps_the_connection(self):
        nc = self.connected()
        self.net.feed(
            b"-ERR 'Permissions Violation for Publish to \"door.authorization.log\"'\r\n"
        )
        self.settle(nc)
        self.assertTrue(nc.connected)
        self.assertEqual(self.kinds(), ["error"])

    def test_max_payload_beyond_small_ints(self):
        nc = self.connected({"max_payload": 1 << 32})
        self.assertTrue(nc.publish("a", b"x"))
        nc.poll()
        self.assertEqual(self.sent(), b"PUB a 1\r\nx\r\n")

    def test_the_last_words_behind_other_operations_are_heard(self):
        nc = self.connected(verbose=True)
        self.net.on_writes(OSError(errno.ECONNRESET))
        nc.publish("a", b"x")
        self.net.feed(b"+OK\r\n+OK\r\n-ERR 'Authorization Violation'\r\n")
        self.net.end()
        for _ in range(5):
            nc.poll()
        self.assertTrue(isinstance(self.errors()[0], unats.AuthError), repr(self.errors()))


class LameDuck(Case):
    def test_messages_that_came_with_the_news_are_handled(self):
        nc = self.client(["nats://h", "nats://i"])
        self.net.handshake()
        nc.connect()
        nc.subscribe("a", self.take)
        nc.poll()
        self.net.feed(b'INFO {"ldm":true}\r\n' + message(1, b"1") + message(1, b"2"))
        self.net.next_connection()
        self.net.handshake()
        for _ in range(6):
            nc.poll()
        self.assertEqual([data for _, _, data in self.got], [b"1", b"2"])

    def test_servers_with_ipv6_addresses_are_discovered(self):
        nc = self.client()
        self.net.handshake(connect_urls=["1.2.3.4:1", "[::1]:2", "5.6.7.8:3"])
        nc.connect()
        tried = set()
        connect = self.net.open

        def noted(host, port):
            tried.add((host, port))
            connect(host, port)

        self.net.open = noted
        nc.reconnect()
        for _ in range(200):
            nc.poll(10)
        self.assertEqual(tried, {("host", 4222), ("1.2.3.4", 1), ("::1", 2), ("5.6.7.8", 3)})


class Closing(Case):
    def test_a_transport_that_cannot_be_closed_is_not_heard_of_afterwards(self):
        nc = self.connected()
        close = self.net.close

        def close_badly():
            close()
            raise OSError(errno.EIO)

        self.net.close = close_badly
        nc.close()
        for _ in range(3):
            nc.poll()
        self.assertEqual((self.kinds(), nc.last_error), (["closed"], None))


class Misuse(Case):
    def test_a_negative_max_msgs_is_refused(self):
        nc = self.connected()
        self.assertRaises(ValueError, nc.subscribe, "a", self.take, None, -1)
        sub = nc.subscribe("a", self.take)
        self.assertRaises(ValueError, sub.unsubscribe, -1)
        self.net.feed(message(1, b"still there"))
        self.settle(nc)
        self.assertEqual(sub.received, 1)

    def test_copying_into_what_cannot_be_changed_is_refused(self):
        nc = self.connected()
        self.refused = 0
        nc.subscribe("a", self.copy_into_bytes)
        nc.poll()
        self.net.feed(message(1, b"hello"))
        self.settle(nc)
        self.assertEqual((self.refused, CONSTANT), (2, b"IMMUTABLE!"))

    def copy_into_bytes(self, msg):
        for target in (CONSTANT, memoryview(CONSTANT)):
            try:
                msg.copy_into(target)
            except (TypeError, ValueError):
                self.refused += 1


class Order(Case):
    def test_a_request_follows_the_subscription_to_its_inbox(self):
        for fill in range(60, 240, 3):
            self.start()
            nc = self.connected(tx_size=256)
            self.net.on_writes(1, 10, None, None, None, None)
            nc.publish("a", b"x" * fill)
            nc.request("q", b"", handler=lambda msg: None)
            for _ in range(10):
                nc.poll()
            sent = self.sent()
            sub, pub = sent.find(b"SUB _INBOX"), sent.find(b"PUB q")
            self.assertTrue(pub < 0 or 0 <= sub < pub, (fill, sent))


CONSTANT = b"IMMUTABLE!"
