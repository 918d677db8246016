"""Every operation of a server, in whatever pieces it comes."""

import json
import unittest

import unats
from played import Case, message, pattern  # before the client: it gives it its clock
from scripted import INFO

FOLLOWER = b"MSG after 2 1\r\n!\r\n"
HEADERS = b"NATS/1.0\r\nA: x\r\nb: y\r\n\r\n"
BARE_503 = b"NATS/1.0 503\r\n\r\n"
NASTY = b"\r\nMSG a 1 2\r\n\x00\r\n-ERR 'x'\r\nPING\r\n"


def info(**fields):
    found = dict(INFO)
    found.update(fields)
    return b"INFO " + json.dumps(found).encode() + b"\r\n"


class Operations(Case):
    """Each alone: whole, byte by byte, split at every offset, with the next one behind it."""

    def setUp(self):
        super().setUp()
        self.nc = self.connected()
        self.nc.subscribe("a.b", self.take_all)
        self.nc.subscribe("after", self.take_all)
        self.settle(self.nc)
        self.forget()

    def take_all(self, msg):
        self.got.append((msg.subject, msg.reply, msg.headers, msg.status, msg.data))

    def play(self, operation, expected, check, *offsets):
        self.net.split(operation + FOLLOWER, *offsets, pauses=1)
        self.settle(self.nc)
        self.assertEqual(self.got, expected + [("after", None, None, None, b"!")], repr(offsets))
        check()
        self.forget()

    def check(self, operation, *expected, check=None):
        expected = list(expected)
        check = check or self.check_nothing_else
        self.play(operation, expected, check)
        self.play(operation, expected, check, len(operation))
        for offset in range(1, len(operation + FOLLOWER)):
            self.play(operation, expected, check, offset)
        self.net.read_limit = 1
        self.play(operation, expected, check)
        self.play(operation, expected, check, len(operation))

    def check_nothing_else(self):
        self.assertEqual(self.events, [])
        self.assertEqual(self.sent(), b"")

    def test_msg(self):
        self.check(message(1, b"hello", "a.b"), ("a.b", None, None, None, b"hello"))

    def test_msg_with_a_reply_subject(self):
        self.check(message(1, b"hi", "a.b", "_INBOX.x"), ("a.b", "_INBOX.x", None, None, b"hi"))

    def test_msg_without_payload(self):
        self.check(message(1, b"", "a.b"), ("a.b", None, None, None, b""))

    def test_msg_with_operations_in_its_payload(self):
        self.check(message(1, NASTY, "a.b"), ("a.b", None, None, None, NASTY))

    def test_hmsg(self):
        expected = ("a.b", None, {"A": "x", "b": "y"}, None, b"hello")
        self.check(message(1, b"hello", "a.b", headers=HEADERS), expected)

    def test_hmsg_with_a_reply_subject(self):
        expected = ("a.b", "r.s", {"A": "x", "b": "y"}, None, NASTY)
        self.check(message(1, NASTY, "a.b", "r.s", headers=HEADERS), expected)

    def test_hmsg_without_payload(self):
        expected = ("a.b", None, {"A": "x", "b": "y"}, None, b"")
        self.check(message(1, b"", "a.b", headers=HEADERS), expected)

    def test_hmsg_with_a_bare_status(self):
        self.check(message(1, b"", "a.b", headers=BARE_503), ("a.b", None, {}, 503, b""))

    def test_two_messages_in_a_row(self):
        one, two = message(1, b"one", "a.b"), message(1, b"two", "a.b", "r")
        expected = ("a.b", None, None, None, b"one"), ("a.b", "r", None, None, b"two")
        self.check(one + two, *expected)

    def test_ping_is_answered(self):
        def check():
            self.assertEqual(self.sent(), b"PONG\r\n")

        self.check(b"PING\r\n", check=check)

    def test_pong_that_nobody_asked_for(self):
        self.check(b"PONG\r\n")

    def test_ok(self):
        self.check(b"+OK\r\n")

    def test_err_is_told(self):
        def check():
            self.assertEqual(self.kinds(), ["error"])
            self.assertTrue(isinstance(self.errors()[0], unats.ServerError))
            self.assertTrue("Permissions Violation for x" in str(self.errors()[0]))
            self.assertTrue(self.nc.last_error is self.errors()[0])

        self.check(b"-ERR 'Permissions Violation for x'\r\n", check=check)

    def test_info(self):
        self.check(info(max_payload=4321, server_name="Kiel"))
        self.assertEqual(self.nc.server.max_payload, 4321)
        self.assertEqual(self.nc.server.name, "Kiel")

    def test_verbs_in_any_case(self):
        for verb in ("msg", "Msg", "mSG", "MSg"):
            operation = message(1, b"x", "a.b").replace(b"MSG", verb.encode())
            self.play(operation, [("a.b", None, None, None, b"x")], self.check_nothing_else)
        for verb in ("hmsg", "HmSg", "hMSG"):
            operation = message(1, b"x", "a.b", headers=BARE_503).replace(b"HMSG", verb.encode())
            self.play(operation, [("a.b", None, {}, 503, b"x")], self.check_nothing_else)
        for operation in (b"pong\r\n", b"PonG\r\n", b"+ok\r\n", b"+Ok\r\n", b"inFo {}\r\n"):
            self.play(operation, [], self.check_nothing_else)
        for operation in (b"ping\r\n", b"pInG\r\n"):
            self.play(operation, [], lambda: self.assertEqual(self.sent(), b"PONG\r\n"))
        for operation in (b"-err 'x'\r\n", b"-Err 'x'\r\n"):
            self.play(operation, [], lambda: self.assertEqual(self.kinds(), ["error"]))

    def test_runs_of_spaces_and_tabs_between_fields(self):
        self.check(b"MSG \t a.b\t\t1   2\r\nhi\r\n", ("a.b", None, None, None, b"hi"))
        self.net.read_limit = 1 << 20
        self.check(b"MSG\ta.b\t1\tr\t2\r\nhi\r\n", ("a.b", "r", None, None, b"hi"))
        self.net.read_limit = 1 << 20
        operation = b"HMSG  \ta.b 1\t r  16 \t 18\r\n" + BARE_503 + b"hi\r\n"
        self.check(operation, ("a.b", "r", {}, 503, b"hi"))

    def test_space_before_the_text_of_err_and_info(self):
        def check():
            self.assertEqual(str(self.errors()[0]), "Invalid Subject")

        self.play(b"-ERR \t  'Invalid Subject'\r\n", [], check)
        self.play(b'INFO \t {"max_payload" : 77}\r\n', [], self.check_nothing_else)
        self.assertEqual(self.nc.server.max_payload, 77)

    def test_leading_zeros_count_nothing(self):
        self.play(
            b"MSG a.b 01 002\r\nhi\r\n",
            [("a.b", None, None, None, b"hi")],
            self.check_nothing_else,
        )

    def test_many_messages_in_one_piece_come_in_order(self):
        numbers = [b"%d" % i for i in range(300)]
        operations = b"".join(message(1, number, "a.b") for number in numbers)
        expected = [("a.b", None, None, None, number) for number in numbers]
        self.play(operations, expected, self.check_nothing_else)
        self.net.read_limit = 100
        self.play(operations, expected, self.check_nothing_else)

    def test_counts(self):
        self.play(
            message(1, b"abc", "a.b"), [("a.b", None, None, None, b"abc")], self.check_nothing_else
        )
        self.assertEqual((self.nc.stats.in_msgs, self.nc.stats.in_bytes), (2, 4))
        self.assertEqual(self.nc.stats["in_msgs"], 2)


class Sizes(Case):
    """Payloads around the size of the receive buffer."""

    def check(self, rx_size, size, headers, limit):
        self.start()
        nc = self.connected(rx_size=rx_size)
        big = nc.subscribe("a.subject.of.some.length", self.take)
        nc.subscribe("b", self.take)
        payload = pattern(size)
        self.net.read_limit = limit
        self.net.feed(message(1, payload, big.subject, "a.reply.subject", headers))
        self.net.feed(message(2, b"next", "b"))
        self.settle(nc)
        expected = [("b", None, b"next")]
        fits = size + len(headers or b"") <= rx_size
        if fits:
            expected.insert(0, (big.subject, "a.reply.subject", payload))
        self.assertEqual(self.got, expected, "%d of %d" % (size, rx_size))
        self.assertEqual(self.events, [] if fits else [("oversize", big)])
        self.assertEqual((big.received, big.dropped), (1, 0) if fits else (0, 1))
        self.assertEqual(nc.stats.oversize, 0 if fits else 1)
        self.assertEqual(nc.stats.in_msgs, 2 if fits else 1)

    def test_up_to_rx_size_comes_whole_and_beyond_is_skipped_and_counted(self):
        for rx_size in (64, 100, 512, 1024):
            for size in (
                rx_size - 1,
                rx_size,
                rx_size + 1,
                rx_size + 2,
                3 * rx_size,
                12 * rx_size + 5,
            ):
                for limit in (1 << 20, 37):
                    self.check(rx_size, size, None, limit)

    def test_headers_are_part_of_the_size(self):
        room = 64 - len(HEADERS)
        for size in (room, room + 1, 500):
            for limit in (1 << 20, 1):
                self.check(64, size, HEADERS, limit)

    def test_oversize_split_at_every_offset(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe("a", self.take)
        stream = message(1, pattern(70), "a", "r") + message(1, b"next")
        for offset in range(1, len(stream)):
            self.net.split(stream, offset, pauses=1)
            self.settle(nc)
            self.assertEqual(self.got, [("a", None, b"next")], "split at %d" % offset)
            self.assertEqual(self.events, [("oversize", sub)])
            self.forget()
        self.assertEqual(sub.dropped, len(stream) - 1)

    def test_oversize_counts_for_max_msgs(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe("a", self.take, max_msgs=2)
        self.net.feed(message(1, pattern(100)) + message(1, b"x") + message(1, b"beyond"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"x")])
        self.assertEqual((sub.received, sub.dropped), (1, 1))
        self.assertEqual(nc.stats.dropped, 1)

    def test_a_megabyte_passes_a_buffer_of_64_bytes(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe("a", self.take)
        self.net.feed(b"MSG a 1 1000000\r\n", more=True)
        self.net.feed(bytes(1000), times=1000, more=True)
        self.net.feed(b"\r\n", more=True)
        self.net.feed(message(1, b"next"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])
        self.assertEqual((sub.dropped, nc.stats.oversize), (1, 1))


class Strangers(Case):
    """Messages that were under way when their subscription ended."""

    def setUp(self):
        super().setUp()
        self.nc = self.connected(rx_size=64)
        self.nc.subscribe("a", self.take).unsubscribe()
        self.nc.subscribe("b", self.take)
        self.settle(self.nc)
        self.forget()

    def check(self, stream, count=1, *offsets):
        dropped = self.nc.stats.dropped
        self.net.split(stream + message(2, b"next", "b"), *offsets, pauses=1)
        self.settle(self.nc)
        self.assertEqual(self.got, [("b", None, b"next")])
        self.assertEqual(self.events, [])
        self.assertEqual(self.nc.stats.dropped - dropped, count)
        self.forget()

    def test_are_skipped_and_counted(self):
        self.check(message(1, b"late"))
        self.check(message(1, b"late", "a", "r", HEADERS), 1)
        self.check(message(1, b"late") * 7, 7)
        self.check(message(77, b"never was"), 1)

    def test_at_every_offset(self):
        stream = message(1, NASTY, "a", "r")
        for offset in range(1, len(stream)):
            self.check(stream, 1, offset)

    def test_also_when_larger_than_the_buffer(self):
        stream = message(1, pattern(100))
        for offset in range(1, len(stream), 5):
            self.check(stream, 1, offset)
        self.check(message(1, pattern(5000)), 1)
        self.assertEqual(self.nc.stats.oversize, 0)

    def test_after_the_handler_has_unsubscribed_itself(self):
        def once(msg):
            self.take(msg)
            sub.unsubscribe()

        sub = self.nc.subscribe("c", once)
        self.net.feed(message(3, b"1", "c") + message(3, b"2", "c") + message(2, b"next", "b"))
        self.settle(self.nc)
        self.assertEqual(self.got, [("c", None, b"1"), ("b", None, b"next")])
        self.assertEqual(self.nc.stats.dropped, 1)

    def test_after_max_msgs(self):
        sub = self.nc.subscribe("c", self.take, max_msgs=2)
        self.net.feed(message(3, b"x", "c") * 3 + message(2, b"next", "b"))
        self.settle(self.nc)
        self.assertEqual(self.got, [("c", None, b"x")] * 2 + [("b", None, b"next")])
        self.assertEqual((sub.received, self.nc.stats.dropped), (2, 1))


class Streaming(Case):
    """Messages larger than the buffer, in fragments."""

    def take_fragment(self, msg):
        self.assertEqual(msg.end - msg.start, msg.size)
        self.fragments.append((msg.offset, msg.data, msg.total, msg.last))
        self.heads.add((msg.subject, msg.reply, msg.sid, repr(msg.headers)))

    def begin(self, **options):
        self.start()
        self.rx_size = options.get("rx_size", 1024)
        nc = self.connected(**options)
        nc.subscribe("a.stream", self.take_fragment, chunked=True)
        nc.subscribe("b", self.take)
        self.settle(nc)
        self.expect_none()
        return nc

    def expect_none(self):
        self.fragments = []
        self.heads = set()
        self.forget()

    def check(self, nc, payload, headers=None, *offsets):
        sent = message(1, payload, "a.stream", "r.s", headers) + message(2, b"next", "b")
        self.net.split(sent, *offsets)
        self.settle(nc)
        at = 0
        for offset, data, total, last in self.fragments:
            self.assertEqual((offset, total), (at, len(payload)))
            at += len(data)
            self.assertEqual(last, at == len(payload))
            self.assertTrue(data or not payload, "an empty fragment")
            self.assertTrue(len(data) <= self.rx_size, "a fragment of %d bytes" % len(data))
        self.assertEqual(b"".join(data for _, data, _, _ in self.fragments), payload)
        self.assertTrue(self.fragments)
        expected = {"A": "x", "b": "y"} if headers else None
        self.assertEqual(self.heads, {("a.stream", "r.s", 1, repr(expected))})
        self.assertEqual(self.got, [("b", None, b"next")])
        self.assertEqual(self.events, [])
        self.expect_none()

    def test_poll_counts_messages_and_not_fragments(self):
        nc = self.begin(rx_size=64)
        self.net.split(
            message(1, pattern(1000), "a.stream") + message(2, b"next", "b"), 300, 600, pauses=1
        )
        n = 0
        while not self.got:
            n += nc.poll(1)
        self.assertTrue(len(self.fragments) > 3)
        self.assertEqual((n, nc.stats.in_msgs), (2, 2))

    def test_sizes_from_nothing_to_many_buffers(self):
        nc = self.begin(rx_size=64)
        for size in (
            0,
            1,
            63,
            64,
            65,
            66,
            100,
            255,
            256,
            257,
            319,
            320,
            321,
            360,
            361,
            1000,
            5000,
        ):
            for limit in (1 << 20, 61):
                self.net.read_limit = limit
                self.check(nc, pattern(size))
                self.check(nc, pattern(size), HEADERS)

    def test_split_at_every_offset(self):
        nc = self.begin(rx_size=64)
        for headers in (None, HEADERS):
            sent = len(message(1, pattern(90), "a.stream", "r.s", headers))
            for offset in range(1, sent + 10):
                self.check(nc, pattern(90), headers, offset)

    def test_byte_by_byte(self):
        nc = self.begin(rx_size=64)
        self.net.read_limit = 1
        for size in (64, 65, 400):
            self.check(nc, pattern(size), HEADERS)

    def test_counted_once(self):
        nc = self.begin(rx_size=64)
        sub = nc.subscribe("c", lambda msg: None, chunked=True)
        self.net.feed(message(3, pattern(1000), "c"))
        self.settle(nc)
        self.assertEqual((sub.received, sub.dropped, nc.stats.oversize), (1, 0, 0))
        self.assertEqual((nc.stats.in_msgs, nc.stats.in_bytes), (1, 1000))

    def test_max_msgs_counts_messages_and_not_fragments(self):
        nc = self.begin(rx_size=64)
        sub = nc.subscribe("c", self.take_fragment, max_msgs=2, chunked=True)
        self.net.feed(message(3, pattern(500), "c") * 3)
        self.settle(nc)
        self.assertEqual(sub.received, 2)
        self.assertEqual(sum(len(data) for _, data, _, _ in self.fragments), 1000)

    def test_unsubscribed_in_the_middle(self):
        def first_only(msg):
            self.got.append(msg.offset)
            sub.unsubscribe()

        nc = self.begin(rx_size=64)
        sub = nc.subscribe("c", first_only, chunked=True)
        self.net.feed(message(3, pattern(1000), "c") + message(2, b"next", "b"))
        self.settle(nc)
        self.assertEqual(self.got, [0, ("b", None, b"next")])

    def test_a_handler_that_raises_in_the_middle(self):
        def raise_once(msg):
            self.take_fragment(msg)
            if msg.offset == 0:
                raise RuntimeError

        nc = self.begin(rx_size=64)
        nc.subscribe("c", raise_once, chunked=True)
        self.net.feed(message(3, pattern(1000), "c") + message(2, b"next", "b"))
        self.assertRaises(RuntimeError, self.settle, nc)
        self.settle(nc)
        self.assertEqual(b"".join(data for _, data, _, _ in self.fragments), pattern(1000))
        self.assertEqual(self.got, [("b", None, b"next")])

    def test_publishing_between_the_fragments_leaves_them_as_they_are(self):
        def publish(msg):
            nc.publish("x", msg.data)
            self.take_fragment(msg)

        nc = self.begin(rx_size=64, tx_size=64)
        nc.subscribe("c", publish, chunked=True)
        self.net.feed(message(3, pattern(700), "c"))
        self.settle(nc)
        self.assertEqual(b"".join(data for _, data, _, _ in self.fragments), pattern(700))

    def test_headers_larger_than_the_buffer_are_never_lost_unseen(self):
        nc = self.begin(rx_size=64)
        headers = b"NATS/1.0\r\nlong: " + b"x" * 2000 + b"\r\n\r\n"
        self.net.feed(message(1, b"payload", "a.stream", None, headers) + message(2, b"next", "b"))
        self.settle(nc)
        self.assertEqual(self.got, [("b", None, b"next")])
        self.assertEqual(nc.stats.oversize, 1)
        self.assertEqual(self.fragments, [])

    def test_a_connection_that_breaks_in_the_middle(self):
        nc = self.begin(rx_size=64)
        self.net.feed(b"MSG a.stream 1 5000\r\n" + pattern(1000))
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.net.feed(message(1, b"whole", "a.stream") + message(2, b"next", "b"))
        self.poll_until(nc, lambda: self.got)
        self.assertFalse(any(last for _, _, _, last in self.fragments[:-1]))
        self.assertEqual(self.fragments[-1], (0, b"whole", 5, True))


class LongLines(Case):
    """Control lines that do not fit the buffer."""

    def test_a_subject_of_any_length_is_delivered_or_skipped_and_what_follows_is_intact(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe(">", self.take)
        nc.subscribe("b", self.take)
        for length in (
            100,
            200,
            250,
            290,
            300,
            310,
            320,
            330,
            340,
            350,
            360,
            361,
            400,
            700,
            1000,
            4000,
        ):
            for size in (0, 5, 64, 65, 500):
                for limit in (1 << 20, 97):
                    self.net.read_limit = limit
                    subject = "s" * (length - 2) + ".t"
                    self.net.feed(message(1, pattern(size), subject) + message(2, b"next", "b"))
                    dropped = sub.dropped
                    self.settle(nc)
                    skipped = sub.dropped - dropped
                    expected = [(subject, None, pattern(size))] if skipped == 0 else []
                    self.assertEqual(
                        self.got, expected + [("b", None, b"next")], "%d %d" % (length, size)
                    )
                    if length <= 100 and size <= 64:
                        self.assertEqual(skipped, 0)
                    self.forget()

    def test_a_reply_subject_longer_than_the_buffer(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe("a", self.take)
        self.net.feed(message(1, b"x", "a", "r" * 3000) + message(1, b"next"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])
        self.assertEqual(sub.dropped, 1)

    def test_byte_by_byte(self):
        nc = self.connected(rx_size=64)
        sub = nc.subscribe("a", self.take)
        self.net.read_limit = 1
        self.net.feed(message(1, pattern(20), "s" * 500, "r" * 500) + message(1, b"next"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])
        self.assertEqual(sub.dropped, 1)

    def test_a_long_error_is_told_in_part(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a", self.take)
        self.net.feed(b"-ERR 'Permissions Violation for Publish to \"" + b"x" * 3000 + b"\"'\r\n")
        self.net.feed(message(1, b"next"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])
        self.assertEqual(self.kinds(), ["error"])
        self.assertTrue("Permissions" in str(nc.last_error), str(nc.last_error))


URLS = ["10.0.0.%d:4222" % i for i in range(860)]  # 15 KB of JSON


class Info(Case):
    """INFO of any length and any valid JSON."""

    def check(self, body, limit, rx_size=512, **expected):
        self.start()
        self.net.read_limit = limit
        nc = self.client(rx_size=rx_size)
        nc.subscribe("a", self.take)
        self.net.feed(b"INFO " + body + b"\r\n")
        self.net.after_pings(1)
        self.net.answer_pings = True
        self.net.feed(message(1, b"first"))
        nc.connect()
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"first")])
        for name, value in expected.items():
            self.assertEqual(getattr(nc.server, name), value, name)
            self.assertEqual(nc.server[name], value)

    def check_long(self, body):
        for limit in (1 << 20, 61):
            self.check(
                body,
                limit,
                max_payload=123456,
                headers=True,
                version="2.15.1",
                name="Zürich",
                client_id=17,
            )

    BEFORE = b'{"server_id":"NX","max_payload":123456,"headers":true,'
    AFTER = b'"version":"2.15.1","server_name":"Z\xc3\xbcrich","client_id":17}'

    def test_everything_the_client_tells(self):
        body = b'{"server_name":"n","version":"v","max_payload":5,"headers":true,"client_id":7,"jetstream":true}'  # noqa: E501
        self.check(
            body,
            1 << 20,
            name="n",
            version="v",
            max_payload=5,
            headers=True,
            client_id=7,
            jetstream=True,
        )

    def test_what_is_not_told_is_nothing(self):
        self.check(
            b"{}",
            1 << 20,
            name="",
            version="",
            max_payload=0,
            headers=False,
            client_id=0,
            jetstream=False,
        )

    def test_15_KB_of_server_addresses(self):
        self.check_long(
            self.BEFORE + b'"connect_urls":' + json.dumps(URLS).encode() + b"," + self.AFTER
        )

    def test_15_KB_in_one_string(self):
        self.check_long(self.BEFORE + b'"xkey":"' + b"k" * 15000 + b'",' + self.AFTER)

    def test_15_KB_of_escapes_in_one_string(self):
        self.check_long(self.BEFORE + b'"xkey":"' + b'\\"' * 7500 + b'",' + self.AFTER)
        self.check_long(self.BEFORE + b'"xkey":"' + b"\\\\" * 7500 + b'",' + self.AFTER)

    def test_15_KB_of_nested_objects(self):
        nested = b'"max_payload":{"max_payload":[{"headers":false},[1,{"version":"x"}]],"headers":"},{"},'  # noqa: E501
        body = self.BEFORE[:-1] + b',"a":{' + nested * 170 + b'"x":null},' + self.AFTER
        self.check_long(body)

    def test_15_KB_of_white_space(self):
        self.check_long(self.BEFORE + b" \t" * 7500 + self.AFTER)

    def test_more_than_16_KB_is_too_much(self):
        for limit in (1 << 20, 61):
            self.start()
            self.net.read_limit = limit
            self.net.feed(
                b"INFO " + self.BEFORE + b'"xkey":"' + b"k" * 16384 + b'",' + self.AFTER + b"\r\n"
            )
            nc = self.client(rx_size=512)
            self.assertRaises(unats.ProtocolError, nc.connect)

    def test_what_is_no_json_object(self):
        for body in (
            b"",
            b"[]",
            b"5",
            b"null",
            b'"x"',
            b"{",
            b'{"a":1',
            b"{}x",
            b"[" * 5000 + b"]" * 5000,
        ):
            self.start()
            self.net.feed(b"INFO " + body + b"\r\n")
            nc = self.client()
            self.assertRaises(unats.ProtocolError, nc.connect)

    def test_byte_by_byte(self):
        body = (
            self.BEFORE + b'"connect_urls":' + json.dumps(URLS[:60]).encode() + b"," + self.AFTER
        )
        self.check(body, 1, max_payload=123456, name="Zürich")

    def test_with_the_smallest_buffer(self):
        body = self.BEFORE + b'"xkey":"' + b"k\\u00fc" * 500 + b'",' + self.AFTER
        for limit in (1 << 20, 7):
            self.check(body, limit, 64, max_payload=123456, name="Zürich")

    def test_unusual_white_space_and_values(self):
        body = b'{ "max_payload" :\t77 , "a" : null , "b" : -1.5e+3 , "headers"\t:true ,"version" : "1" }  '  # noqa: E501
        self.check(body, 1 << 20, max_payload=77, headers=True, version="1")

    def test_escapes_in_what_is_kept(self):
        body = b'{"server_name":"a\\"\\\\\\u00e9\\/","max_payload":9}'
        self.check(body, 1 << 20, name='a"\\\xe9/', max_payload=9)

    def test_nested_fields_are_not_the_servers_own(self):
        body = b'{"x":{"max_payload":1,"headers":true},"y":["max_payload",2],"max_payload":3}'
        self.check(body, 1 << 20, max_payload=3, headers=False)

    def test_fields_of_another_type_are_passed_over(self):
        self.check(
            b'{"max_payload":"x","headers":1,"version":{"a":"b"},"client_id":8}',
            1 << 20,
            client_id=8,
        )

    def test_a_second_one_in_mid_connection_counts_from_then_on(self):
        nc = self.connected(info={"max_payload": 100})
        nc.subscribe("a", self.take)
        self.assertTrue(nc.publish("b", bytes(100)))
        self.net.feed(info(max_payload=50, server_name="other") + message(1, b"next"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])
        self.assertEqual((nc.server.max_payload, nc.server.name), (50, "other"))
        self.assertTrue(nc.publish("b", bytes(50)))
        self.assertRaises(ValueError, nc.publish, "b", bytes(51))
        self.net.feed(info(max_payload=200))
        self.settle(nc)
        self.assertTrue(nc.publish("b", bytes(200)))
        self.assertRaises(ValueError, nc.publish, "b", bytes(201))

    def test_a_long_one_in_mid_connection(self):
        nc = self.connected(rx_size=512)
        nc.subscribe("a", self.take)
        body = self.BEFORE + b'"connect_urls":' + json.dumps(URLS).encode() + b"," + self.AFTER
        self.net.feed(message(1, b"before") + b"INFO " + body + b"\r\n" + message(1, b"after"))
        self.settle(nc)
        self.assertEqual([data for _, _, data in self.got], [b"before", b"after"])
        self.assertEqual(nc.server.max_payload, 123456)

    def test_lame_duck_mode_is_told(self):
        nc = self.connected()
        self.net.feed(info(ldm=True))
        self.settle(nc)
        self.assertEqual(self.events, [("lame duck", None)])
        self.assertTrue(nc.connected)


if __name__ == "__main__":
    unittest.main()
