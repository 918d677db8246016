"""Limits that hold against a server, or an application's input, that means harm.

Floods, hostile framing and endless lines are in test_fuzz.py, credentials in test_auth.py.
"""

import json

import unats
from played import Case, message
from unats.headers import encode

HALF = "\ud800"  # half of a surrogate pair


def info(**fields):
    return b"INFO " + json.dumps(fields).encode() + b"\r\n"


class Refusing(Case):
    def refuses(self, call, *args, **options):
        """Raises ValueError, whose text quotes no secret; nothing is sent."""
        try:
            call(*args, **options)
        except ValueError as e:
            self.assertFalse("hunter2" in str(e), str(e))
            return
        self.fail("taken: %r %r" % (args, options))


class Connect(Refusing):
    """Nothing that an application takes from elsewhere becomes a field or a line of its own in
    CONNECT.
    """

    WRONG = (
        "a\r\nPUB x 0",
        "a\n",
        "\x00",
        "a\x1f",
        "\x7fhunter2",
        HALF,
        "hunter2" + HALF,
        b"\xffhunter2",
        b"a\x00",
        b"\xed\xa0\x80",
        5,
        0,
        True,
        2.5,
        [],
        {},
        ["a"],
        ("a",),
        object(),
    )

    def test_what_is_refused(self):
        for wrong in self.WRONG:
            for name in ("name", "user", "password", "token"):
                self.refuses(self.client, **{name: wrong})

    def test_what_is_taken_comes_as_it_is(self):
        odd = '","verbose":true,"a":"\\" \\u0022 {}\u2028\u0085\u00e9\U0001f600 </script>'
        for given in (odd, odd.encode(), bytearray(odd.encode()), memoryview(odd.encode())):
            self.start()
            self.net.handshake()
            nc = self.client(name=given, user=given, password=given)
            nc.connect()
            lines = self.sent().split(b"\r\n")
            fields = json.loads(lines[0][8:])
            self.assertEqual([fields[key] for key in ("name", "user", "pass")], [odd] * 3)
            self.assertEqual(fields["verbose"], False)
            self.assertEqual(lines[1:], [b"PING", b""])
            nc.close()

    def test_urls(self):
        for url in (
            "nats://hunter2%0d%0a@host",
            "nats://u:hunter2%00@host",
            "nats://u:hunter2%7f@host",
            "nats://u:hunter2%ff@host",
            "nats://u:hunter2%ed%a0%80@host",
            "nats://u:hunter2%zz@host",
            "nats://u:hunter2",
            "hunter 2",
            "u:hunter2/",
            "nats://u:hunter2@",
            "nats://u:hunter2@:4222",
            "nats://u:p@hunter2:x",
            "nats://u:p@ho st",
            "nats://u:p@ho\r\nst",
            "hunter2://host",
            "nats://host:0",
            "nats://host:65536",
            "nats://u@host/path",
            5,
            None,
            b"nats://host",
            ["a", 5],
        ):
            self.refuses(self.client, url)

    def test_no_server_at_all(self):
        self.refuses(self.client, [])
        self.refuses(self.client, ())


class Subjects(Refusing):
    WRONG = (5, None, 2.5, True, [], ["a"], {}, {"a": 1}, ("a",), object())

    def setUp(self):
        super().setUp()
        self.nc = self.connected()

    def tearDown(self):
        self.nc.poll()
        self.assertEqual(self.sent(), b"")
        super().tearDown()

    def test_of_the_wrong_type(self):
        for wrong in self.WRONG:
            try:
                self.nc.publish(wrong, b"x")  # the common case leaves this check to Python
                self.fail("taken: %r" % (wrong,))
            except (ValueError, TypeError, KeyError):
                pass
            self.refuses(self.nc.publish, wrong, "text")
            self.refuses(self.nc.subscribe, wrong, self.take)
            if wrong:
                self.refuses(self.nc.publish, "a", b"x", wrong)
                self.refuses(self.nc.subscribe, "a", self.take, wrong)

    def test_with_half_of_a_surrogate_pair(self):
        self.refuses(self.nc.publish, HALF, b"x")
        self.refuses(self.nc.publish, "a", b"x", "r" + HALF)
        self.refuses(self.nc.subscribe, "a" + HALF, self.take)
        self.refuses(self.nc.subscribe, "a", self.take, HALF)

    def test_headers(self):
        for value in (
            None,
            b"a\nb",
            [],
            {},
            object(),
            HALF,
            "a\r\nb",
            "a\nb",
            "\x00",
            "\x7f",
            ["a", None],
            [["a"]],
        ):
            if value != []:
                self.refuses(self.nc.publish, "a", b"x", None, {"k": value})
        for name in ("", "a b", "a:b", "a\r\nb", "\x7f", "\u00e9", HALF, 5, None, b"k"):
            self.refuses(self.nc.publish, "a", b"x", None, {name: "v"})

    def test_header_values_that_look_odd(self):
        self.assertEqual(encode({"k": "a: b\u2028"}), "NATS/1.0\r\nk: a: b\u2028\r\n\r\n".encode())


class Told(Case):
    """What INFO may do."""

    def pool(self, nc):
        return [str(server) for server in nc._servers]

    def test_so_many_servers_are_kept(self):
        urls = ["10.%d.%d.1:4222" % (i // 250, i % 250) for i in range(700)]
        nc = self.connected(info={"connect_urls": urls}, rx_size=512)
        self.assertEqual(len(self.pool(nc)), 17)
        self.net.feed(info(connect_urls=urls[100:]) * 3)
        self.settle(nc)
        self.assertEqual(len(self.pool(nc)), 17)

    def test_what_is_no_server(self):
        junk = [
            "",
            " ",
            "a b",
            "x" * 262,
            "10.0.0.1:0",
            "10.0.0.1:99999",
            "ftp://a",
            "http://a",
            ":",
            ":4222",
            "[",
            "a/b",
            "\u00e9",
            "host:4222",
            "10.0.0.2:4222",
            "10.0.0.2:4222",
            "u:p@10.0.0.2:4222",
        ]
        nc = self.connected(info={"connect_urls": junk[:15], "nonce": "n", "version": "9"})
        self.assertEqual(sorted(self.pool(nc)), ["10.0.0.2:4222", "host:4222"])
        self.assertEqual((nc.server.nonce, nc.server.version), ("n", "9"))
        self.net.feed(info(connect_urls=junk[14:], version="10"))
        self.settle(nc)
        self.assertEqual(sorted(self.pool(nc)), ["10.0.0.2:4222", "host:4222"])
        self.assertEqual(nc.server.version, "10")

    def test_bytes_that_are_no_text_in_the_list(self):
        for urls in (b'"\xff"', b'"a:1","\xff\xfe:2"', b'"\xff","b:2"'):
            self.start()
            self.net.feed(
                b'INFO {"connect_urls":[' + urls + b'],"nonce":"n","max_payload":77}\r\n'
            )
            self.assertRaises(unats.ProtocolError, self.client().connect)
        for urls in (b'"\\u0000"', b'"a\\"b"', b"5", b"null", b"{}", b'["a:1"]', b'"a:1",5,"b:1"'):
            self.start()
            self.net.feed(
                b'INFO {"connect_urls":[' + urls + b'],"nonce":"n","max_payload":77}\r\n'
            )
            self.net.after_pings(1)
            self.net.answer_pings = True
            nc = self.client()
            nc.connect()
            self.assertEqual((nc.server.nonce, nc.server.max_payload), ("n", 77))

    def test_deep_nesting(self):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            for key in (b"version", b"max_payload", b"connect_urls", b"x"):
                deep = opening * 2500 + b"1" + closing * 2500
                self.start()
                nc = self.connected(rx_size=16384)
                nc.subscribe("a", self.take)
                self.net.feed(
                    b'INFO {"'
                    + key
                    + b'":'
                    + deep
                    + b',"server_name":"after"}\r\n'
                    + message(1, b"next")
                )
                self.settle(nc)
                self.assertTrue(nc.connected or isinstance(nc.last_error, unats.ProtocolError))
                self.assertEqual(self.got, [("a", None, b"next")] if nc.connected else [])
                nc.close()

    def test_values_that_are_absurd(self):
        for value in (
            b"-1",
            b"1e999",
            b"9" * 400,
            b'"' + b"9" * 400 + b'"',
            b"null",
            b"{}",
            b"[]",
            b"-0",
            b"1.5",
            b"true",
        ):
            self.start()
            self.net.feed(
                b'INFO {"max_payload":'
                + value
                + b',"client_id":'
                + value
                + b',"headers":true}\r\n'
            )
            self.net.after_pings(1)
            self.net.answer_pings = True
            nc = self.client()
            nc.connect()
            self.assertTrue(nc.publish("a", b""))
            nc.close()

    def test_a_field_that_is_ours_stays_ours(self):
        nc = self.connected()
        self.net.feed(
            b'INFO {"_buf":"x","_frame":1,"__class__":"x","":"x","reset":"x","_level":7,"name":"evil"}\r\n'  # noqa: E501
        )
        nc.subscribe("a", self.take)
        self.net.feed(message(1, b"next"))
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])

    def test_more_than_16_KB(self):
        nc = self.connected(rx_size=512)
        self.net.feed(b'INFO {"a":"' + b"x" * 16384 + b'"}\r\n')
        self.settle(nc)
        self.assert_protocol_error(nc)


class Words(Case):
    """What -ERR may do."""

    def test_a_long_one_is_cut(self):
        nc = self.connected(rx_size=8192)
        self.net.feed(b"-ERR '" + b"x" * 7000 + b"'\r\n")
        self.settle(nc)
        self.assertTrue(0 < len(str(nc.last_error)) <= 512)

    def test_control_bytes_do_not_reach_a_log(self):
        nc = self.connected()
        self.net.feed(b"-ERR 'a\x1b[2J\x00\x7f\xffb'\r\n")
        self.settle(nc)
        text = str(nc.last_error)
        self.assertEqual(text, "a?[2J???b")

    def test_subjects_as_the_server_quotes_them(self):
        nc = self.connected()
        for text, operation, subject in (
            (b'Permissions Violation for Publish to "a.b"', "publish", "a.b"),
            (b'Permissions Violation for Publish to "a\\"b\\\\c"', "publish", 'a"b\\c'),
            (b'Permissions Violation for Publish to "a\\\\"', "publish", "a\\"),
            (b'Permissions Violation for Publish with Reply of "r"', "publish", "r"),
            (b'Permissions Violation for Subscription to "s" using queue "q"', "subscribe", "s"),
            (b'Permissions Violation for Subscription to "s", too many tokens', "subscribe", "s"),
            (b"Permissions Violation for Publish to a.b", "publish", None),
            (b'Permissions Violation for Publish to "a', "publish", None),
            (b"Permissions Violation for x", "subscribe", None),
            (b"Permissions Violation", None, None),
            (b'Invalid Publish Subject "x"', None, None),
            (b"", None, None),
            (b'"', None, None),
        ):
            self.events.clear()
            self.net.feed(b"-ERR '" + text + b"'\r\n")
            self.settle(nc)
            ((event, error),) = self.events
            self.assertEqual(
                (event, error.operation, error.subject), ("error", operation, subject)
            )
            self.assertEqual(error.subscription, None)

    def test_of_several_subscriptions_the_refused_one_is_marked(self):
        nc = self.connected()
        subs = [
            nc.subscribe("a", self.take),
            nc.subscribe("a", self.take, "q"),
            nc.subscribe("b", self.take),
            nc.subscribe("\u00e9", self.take),
            nc.subscribe("a", self.take, "q"),
        ]
        refusals = (
            b'"a" using queue "q"',
            b'"\xc3\xa9"',
            b'"a"',
            b'"a" using queue "q"',
            b'"a"',
            b'"nobody"',
        )
        self.net.feed(
            b"".join(
                [
                    b"-ERR 'Permissions Violation for Subscription to " + text + b"'\r\n"
                    for text in refusals
                ]
            )
        )
        self.settle(nc)
        marked = [error.subscription for error in self.errors()]
        self.assertEqual(marked, [subs[1], subs[3], subs[0], subs[4], None, None])
        self.assertEqual(
            [sub.error for sub in subs],
            [self.errors()[i] for i in (2, 0)] + [None] + [self.errors()[i] for i in (1, 3)],
        )

    def test_a_mark_goes_with_its_connection(self):
        nc = self.connected()
        sub = nc.subscribe("a", self.take)
        self.net.feed(b"-ERR 'Permissions Violation for Subscription to \"a\"'\r\n")
        self.settle(nc)
        self.assertTrue(sub.error is nc.last_error)
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.poll_until(nc, lambda: "reconnected" in self.kinds())
        self.assertEqual(sub.error, None)

    def test_before_there_was_any_subscription(self):
        nc = self.connected()
        self.net.feed(b"-ERR 'Permissions Violation for Subscription to \"a\"'\r\n")
        self.settle(nc)
        self.assertEqual(nc.last_error.subject, "a")


class Endless(Case):
    """A server that talks and talks while the client wants to connect: its time is up all the
    same.
    """

    def check(self, *talk):
        for before in (b"", b"INFO {}\r\n"):
            self.start()
            self.net.feed(before + talk[0])
            self.net.feed(talk[0] * 8, times=1 << 28)
            nc = self.client(connect_timeout_ms=60, reconnect_wait_ms=1000, rx_size=64)
            nc.connect(wait=False)
            turns = 0
            while (self.net.is_open or not self.net.opens) and turns < 2000:
                nc.poll()
                self.clock.sleep_ms(1)
                turns += 1
            self.assertTrue(turns <= 65, turns)
            self.assertEqual(set(self.kinds()), {"error"})
            self.assertTrue(isinstance(nc.last_error, unats.Error) and not nc.connected)
            nc.close()

    def test_pings(self):
        self.check(b"PING\r\n")

    def test_errs(self):
        self.check(b"-ERR 'Permissions Violation'\r\n")
        self.check(b"-ERR 'whatever'\r\n")

    def test_oks(self):
        self.check(b"+OK\r\n")


class Headers(Case):
    """Header blocks that are huge, or none."""

    def test_larger_than_the_buffer_they_are_skipped(self):
        nc = self.connected(rx_size=256)
        sub = nc.subscribe("a", self.take)
        self.net.feed(
            message(1, b"x", headers=b"NATS/1.0\r\n" + b"k: v\r\n" * 10000 + b"\r\n")
            + message(1, b"next")
        )
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"next")])
        self.assertEqual(sub.dropped, 1)

    def test_that_are_none(self):
        for block in (
            b"",
            b"\r\n",
            b"x",
            b"NATS/1.0",
            b"NATS/1.0\r\n\r\n",
            b"NATS/9 abc\r\n\r\n",
            b":\r\n::\r\n\r\n",
            b"\x00" * 50,
            b"NATS/1.0\r\nno colon\r\n: \r\na:b:c\r\n",
        ):
            self.start()
            nc = self.connected()
            found = []
            nc.subscribe("a", lambda msg: found.append((msg.headers, msg.status, msg.data)))
            self.net.feed(message(1, b"x", headers=block) + message(1, b"next"))
            self.settle(nc)
            self.assertEqual([data for _, _, data in found], [b"x", b"next"])
            self.assertTrue(nc.connected)
