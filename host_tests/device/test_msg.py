"""What a handler can ask of a message, and what its copy can do afterwards."""

import unittest

import unats
from played import Case, message, pattern  # before the client: it gives it its clock

HEADERS = b"NATS/1.0\r\nKind: temp\r\nkind: lower\r\nKind: hum \r\nEmpty:\r\nColon: a:b\r\nSpaced:   x y  \r\n\r\n"  # noqa: E501


class Case(Case):
    """`given(...)` delivers one message and does something with it inside the handler."""

    def setUp(self):
        super().setUp()
        self.nc = self.connected(rx_size=512)
        self.handler = None
        self.nc.subscribe(">", lambda msg: self.handler(msg))  # noqa: PLW0108
        self.settle(self.nc)
        self.forget()

    def given(self, look, payload=b"", subject="a", reply=None, headers=None):
        """What look(msg) says of such a message."""
        found = []

        def handler(msg):
            found.append(look(msg))

        self.handler = handler
        self.net.feed(message(1, payload, subject, reply, headers))
        self.settle(self.nc)
        self.assertEqual(len(found), 1)
        return found[0]

    def raises(self, error, look, payload=b"", **options):
        self.given(lambda msg: self.assertRaises(error, look, msg), payload, **options)


class Reading(Case):
    def test_sizes_of_a_whole_message(self):
        def look(msg):
            return msg.size, msg.total, msg.offset, msg.last, msg.sid

        self.assertEqual(self.given(look, b"hello"), (5, 5, 0, True, 1))
        self.assertEqual(self.given(look, b""), (0, 0, 0, True, 1))
        self.assertEqual(self.given(look, b"hello", headers=HEADERS), (5, 5, 0, True, 1))

    def test_where_the_payload_lies(self):
        def look(msg):
            self.assertEqual(msg.end - msg.start, msg.size)
            return bytes(msg.buffer[msg.start : msg.end])

        self.assertEqual(self.given(look, b"hello", headers=HEADERS), b"hello")
        self.assertEqual(self.given(look, b""), b"")

    def test_data_and_text(self):
        self.assertEqual(self.given(lambda msg: (msg.data, msg.text), b"hi"), (b"hi", "hi"))
        self.assertEqual(self.given(lambda msg: type(msg.data), b"hi"), bytes)
        self.assertEqual(self.given(lambda msg: msg.text, "Grüße, 温度".encode()), "Grüße, 温度")
        self.assertEqual(self.given(lambda msg: msg.text, b""), "")

    def test_what_is_not_utf_8_is_replaced(self):
        for raw, text in (
            (b"\xff\xfe", "\ufffd\ufffd"), (b"a\xe9b", "a\ufffdb"),
            (b"\xc3\xa9\xff\xe2\x82\xac", "\xe9\ufffd\u20ac"),
            (b"\xe2\x82", "\ufffd\ufffd"), (b"\xe2\x82x", "\ufffd\ufffdx"),
            (b"\xf0\x9f\x98\x80!", "\U0001f600!"),
            (b"\x80\x80", "\ufffd\ufffd"),
        ):  # fmt: skip
            self.assertEqual(self.given(lambda msg: msg.text, raw), text)

    def test_subject_and_reply(self):
        def look(msg):
            return msg.subject, msg.reply

        self.assertEqual(self.given(look, subject="a.b.c"), ("a.b.c", None))
        self.assertEqual(
            self.given(look, subject="a.b.c", reply="_INBOX.x"), ("a.b.c", "_INBOX.x")
        )
        self.assertEqual(self.given(look, subject="größe"), ("größe", None))

    def test_json(self):
        self.assertEqual(
            self.given(lambda msg: msg.json(), b'{"t": 21.5, "n": [1, null]}'),
            {"t": 21.5, "n": [1, None]},
        )
        self.raises(ValueError, lambda msg: msg.json(), b'{"t": ')


class Comparing(Case):
    def test_equals(self):
        for other in (b"on", bytearray(b"on"), memoryview(b"on"), "on"):
            self.assertTrue(self.given(lambda msg: msg.equals(other), b"on"))
        for other in (b"off", b"o", b"onn", b"ON", b"", "onn", "oN"):
            self.assertFalse(self.given(lambda msg: msg.equals(other), b"on"))
        self.assertTrue(self.given(lambda msg: msg.equals(b""), b""))
        self.assertFalse(self.given(lambda msg: msg.equals(b"x"), b""))

    def test_text_beyond_ascii_is_compared_as_utf_8(self):
        self.assertTrue(self.given(lambda msg: msg.equals("größe"), "größe".encode()))
        self.assertFalse(self.given(lambda msg: msg.equals("größe"), "grösse".encode()))
        self.assertTrue(self.given(lambda msg: msg.startswith("grö"), "größe".encode()))
        self.assertTrue(self.given(lambda msg: msg.subject_equals("größe"), subject="größe"))

    def test_what_lies_behind_the_payload_does_not_count(self):
        self.assertFalse(self.given(lambda msg: msg.equals(b"on\r"), b"on"))
        self.assertFalse(self.given(lambda msg: msg.startswith(b"on\r\n"), b"on"))
        self.assertFalse(self.given(lambda msg: msg.subject_equals(b"a 1"), subject="a"))

    def test_startswith(self):
        for prefix in (b"", b"s", b"set ", b"set 1", "set", bytearray(b"set"), memoryview(b"set")):
            self.assertTrue(self.given(lambda msg: msg.startswith(prefix), b"set 1"))
        for prefix in (b"S", b"set 12", b"et", "sat"):
            self.assertFalse(self.given(lambda msg: msg.startswith(prefix), b"set 1"))

    def test_subject_equals(self):
        for subject in (b"dev.7.led", "dev.7.led", bytearray(b"dev.7.led")):
            self.assertTrue(
                self.given(lambda msg: msg.subject_equals(subject), subject="dev.7.led")
            )
        for subject in (b"dev.7", b"dev.7.led2", b"dev.7.leD", b""):
            self.assertFalse(
                self.given(lambda msg: msg.subject_equals(subject), subject="dev.7.led")
            )

    def test_token_equals(self):
        def is_token(i, token):
            return self.given(lambda msg: msg.token_equals(i, token), subject="dev.7.led")

        for i, token in enumerate(("dev", "7", "led")):
            self.assertTrue(is_token(i, token))
            self.assertTrue(is_token(i, token.encode()))
        self.assertFalse(is_token(0, b"de"))
        self.assertFalse(is_token(0, b"dev.7"))
        self.assertFalse(is_token(1, b"dev"))
        self.assertFalse(is_token(2, b"le"))
        self.assertFalse(is_token(3, b"led"))
        self.assertFalse(is_token(3, b""))
        self.assertFalse(is_token(100, b"dev"))
        self.assertTrue(self.given(lambda msg: msg.token_equals(0, b"one"), subject="one"))
        self.assertFalse(
            self.given(lambda msg: msg.token_equals(1, b"one"), subject="one", reply="x.one")
        )

    def test_header_equals(self):
        def has(name, value):
            return self.given(
                lambda msg: msg.header_equals(name, value), b"Kind: x\r\n", headers=HEADERS
            )

        self.assertTrue(has("Kind", "temp"))
        self.assertTrue(has(b"Kind", b"temp"))
        self.assertTrue(has("Kind", "hum"), "the second of that name, without the space behind it")
        self.assertTrue(has("kind", "lower"))
        self.assertTrue(has("Empty", ""))
        self.assertTrue(has("Colon", "a:b"))
        self.assertTrue(has("Spaced", "x y"))
        self.assertFalse(has("kind", "temp"), "names count in the case as sent")
        self.assertFalse(has("Kind", "lower"))
        self.assertFalse(has("Kind", "TEMP"))
        self.assertFalse(has("Kind", "tem"))
        self.assertFalse(has("Kin", "temp"))
        self.assertFalse(has("Kind", "x"), "that is in the payload")
        self.assertFalse(has("NATS/1.0", ""))
        self.assertFalse(has("", ""))

    def test_header_equals_without_headers(self):
        self.assertFalse(
            self.given(lambda msg: msg.header_equals("A", "x"), b"NATS/1.0\r\nA: x\r\n\r\n")
        )
        self.assertFalse(
            self.given(
                lambda msg: msg.header_equals("A", "x"), b"A: x", headers=b"NATS/1.0 503\r\n\r\n"
            )
        )


class Numbers(Case):
    def test_to_int(self):
        for text in (
            "0",
            "7",
            "-1",
            "007",
            "2147483648",
            "-2147483649",
            "1073741823",
            "1073741824",
            "-1073741825",
        ):
            self.assertEqual(self.given(lambda msg: msg.to_int(), text.encode()), int(text))
        for value in (10**30, -(10**30), 1 << 63, -(1 << 63)):
            self.assertEqual(self.given(lambda msg: msg.to_int(), b"%d" % value), value)

    def test_to_int_of_what_is_no_number(self):
        for text in (
            b"",
            b"-",
            b"--1",
            b"1.5",
            b"0x10",
            b"1e3",
            b"1 2",
            b"on",
            b"12a",
            b"-1-",
            b"\xff",
            b"1\r\n",
        ):
            self.raises(ValueError, lambda msg: msg.to_int(), text)

    def test_to_int_is_of_the_payload_alone(self):
        self.assertEqual(self.given(lambda msg: msg.to_int(), b"12", headers=HEADERS), 12)


class CopyingInto(Case):
    def test_copies_and_tells_how_much(self):
        target = bytearray(b"........")
        self.assertEqual(self.given(lambda msg: msg.copy_into(target), b"hello"), 5)
        self.assertEqual(target, b"hello...")
        self.assertEqual(self.given(lambda msg: msg.copy_into(target, 3), b"hello"), 5)
        self.assertEqual(target, b"helhello")
        self.assertEqual(self.given(lambda msg: msg.copy_into(target, 8), b""), 0)
        self.assertEqual(target, b"helhello")

    def test_what_does_not_fit_changes_nothing(self):
        target = bytearray(b"....")
        self.raises(ValueError, lambda msg: msg.copy_into(target), b"hello")
        self.raises(ValueError, lambda msg: msg.copy_into(target, 1), b"four")
        self.assertEqual(target, b"....")

    def test_before_the_start_is_nowhere(self):
        target = bytearray(b"........")
        self.raises(ValueError, lambda msg: msg.copy_into(target, -1), b"hello")
        self.assertEqual(target, b"........")

    def test_into_a_memoryview(self):
        target = bytearray(b"........")
        self.given(lambda msg: msg.copy_into(memoryview(target)[2:]), b"hello")
        self.assertEqual(target, b"..hello.")


class Headers(Case):
    def test_none(self):
        self.assertEqual(self.given(lambda msg: (msg.headers, msg.status)), (None, None))

    def test_names_keep_their_case_and_repeated_ones_are_a_list(self):
        expected = {
            "Kind": ["temp", "hum"],
            "kind": "lower",
            "Empty": "",
            "Colon": "a:b",
            "Spaced": "x y",
        }
        self.assertEqual(
            self.given(lambda msg: (msg.headers, msg.status), headers=HEADERS), (expected, None)
        )

    def test_three_times(self):
        block = b"NATS/1.0\r\nk: 1\r\nk: 2\r\nk: 3\r\n\r\n"
        self.assertEqual(
            self.given(lambda msg: msg.headers, headers=block), {"k": ["1", "2", "3"]}
        )

    def test_status(self):
        for line, status in (
            (b"NATS/1.0 503", 503),
            (b"NATS/1.0 100 Idle Heartbeat", 100),
            (b"NATS/1.0   404   No Messages", 404),
            (b"NATS/1.0 408 Request Timeout: 1", 408),
            (b"NATS/1.0", None),
            (b"NATS/1.0 ", None),
            (b"NATS/1.0 nonsense", None),
        ):
            self.assertEqual(
                self.given(lambda msg: msg.status, headers=line + b"\r\n\r\n"), status, repr(line)
            )

    def test_status_with_headers(self):
        block = b"NATS/1.0 100 FlowControl Request\r\nNats-Last-Consumer: 1\r\n\r\n"
        found = self.given(lambda msg: (msg.status, msg.headers), headers=block)
        self.assertEqual(found, (100, {"Nats-Last-Consumer": "1"}))

    def test_text_beyond_ascii(self):
        block = "NATS/1.0\r\nOrt: Köln\r\n\r\n".encode()
        self.assertEqual(self.given(lambda msg: msg.headers, headers=block), {"Ort": "Köln"})
        self.assertTrue(self.given(lambda msg: msg.header_equals("Ort", "Köln"), headers=block))

    def test_a_block_that_is_none_harms_nothing(self):
        for block in (
            b"x",
            b"\r\n",
            b"NATS/1.0\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nA: x",
            b": : :\r\n:\r\n",
        ):
            self.given(
                lambda msg: (msg.headers, msg.status, msg.header_equals("A", "y")),
                b"x",
                headers=block,
            )
            self.assertFalse(
                self.given(lambda msg: msg.header_equals("B", "x"), b"B: x\r\n\r\n", headers=block)
            )


class Responding(Case):
    def respond(self, reply, *args, **options):
        found = self.given(lambda msg: msg.respond(*args, **options), b"?", "a", reply)
        self.settle(self.nc)
        return found

    def test_respond(self):
        self.assertEqual(self.respond("_INBOX.1", b"yes"), True)
        self.assertEqual(self.sent(), b"PUB _INBOX.1 3\r\nyes\r\n")

    def test_every_kind_of_payload(self):
        for payload in (
            bytearray(b"yes"),
            memoryview(b"yes"),
            "yes",
            unats.Payload(10).text("yes"),
        ):
            self.forget()
            self.assertEqual(self.respond("r", payload), True)
            self.assertEqual(self.sent(), b"PUB r 3\r\nyes\r\n")

    def test_without_payload(self):
        self.assertEqual(self.respond("r"), True)
        self.assertEqual(self.sent(), b"PUB r 0\r\n\r\n")

    def test_without_reply_subject(self):
        self.assertEqual(self.respond(None, b"yes"), False)
        self.assertEqual(self.sent(), b"")

    def test_several_times(self):
        self.given(lambda msg: [msg.respond(b"1"), msg.respond(b"2")], b"?", "a", "r")
        self.settle(self.nc)
        self.assertEqual(self.sent(), b"PUB r 1\r\n1\r\nPUB r 1\r\n2\r\n")

    def test_the_message_is_as_it_was_afterwards(self):
        def look(msg):
            msg.respond(b"yes")
            return msg.subject, msg.reply, msg.data

        self.assertEqual(self.given(look, b"?", "a.b", "r"), ("a.b", "r", b"?"))

    def test_its_own_payload(self):
        self.given(
            lambda msg: msg.respond(memoryview(msg.buffer)[msg.start : msg.end]), b"echo", "a", "r"
        )
        self.settle(self.nc)
        self.assertEqual(self.sent(), b"PUB r 4\r\necho\r\n")


class Copies(Case):
    def look(self, msg):
        return (
            msg.subject, msg.reply, msg.data, msg.text, msg.headers, msg.status, msg.sid,
            msg.size, msg.total, msg.offset, msg.last,
            msg.equals(b"hello"), msg.startswith(b"he"), msg.subject_equals(b"a.b"),
            msg.token_equals(1, b"b"),
            msg.header_equals("Kind", "hum"), bytes(msg.buffer[msg.start : msg.end]),
        )  # fmt: skip

    def check(self, **options):
        looks = []
        copy = self.given(
            lambda msg: (looks.append(self.look(msg)), msg.copy())[1], b"hello", **options
        )
        for _ in range(3):  # the buffer is used for others
            self.given(lambda msg: None, b"\xee" * 400, "zzz", "yyy")
        self.assertEqual(self.look(copy), looks[0])
        target = bytearray(5)
        self.assertEqual(copy.copy_into(target), 5)
        self.assertEqual(target, b"hello")
        return copy

    def test_say_the_same_later(self):
        self.check(subject="a.b")
        self.check(subject="a.b", reply="r.s")
        self.check(subject="a.b", headers=HEADERS)
        self.check(subject="a.b", reply="r.s", headers=HEADERS)

    def test_of_numbers_and_json(self):
        copy = self.given(lambda msg: msg.copy(), b"-42")
        self.given(lambda msg: None, b"x" * 100)
        self.assertEqual((copy.to_int(), copy.json()), (-42, -42))

    def test_without_payload(self):
        copy = self.given(lambda msg: msg.copy(), b"", headers=b"NATS/1.0 503\r\n\r\n")
        self.given(lambda msg: None, b"x" * 100)
        self.assertEqual((copy.status, copy.size, copy.data), (503, 0, b""))

    def test_can_be_responded_to(self):
        copy = self.check(subject="a", reply="_INBOX.later")
        self.forget()
        self.assertEqual(copy.respond(b"late"), True)
        self.settle(self.nc)
        self.assertEqual(self.sent(), b"PUB _INBOX.later 4\r\nlate\r\n")
        self.assertEqual(self.check(subject="a").respond(b"x"), False)

    def test_of_copies(self):
        copy = self.check(subject="a.b", reply="r", headers=HEADERS)
        self.assertEqual(self.look(copy.copy()), self.look(copy))

    def test_two_are_two(self):
        one = self.given(lambda msg: msg.copy(), b"one", "a", "r")
        two = self.given(lambda msg: msg.copy(), b"two", "b", "s")
        self.assertEqual((one.subject, one.reply, one.data), ("a", "r", b"one"))
        self.assertEqual((two.subject, two.reply, two.data), ("b", "s", b"two"))

    def test_of_streamed_fragments(self):
        copies = []
        self.start()
        nc = self.connected(rx_size=64)
        nc.subscribe("s.t", lambda msg: copies.append(msg.copy()), chunked=True)
        self.net.feed(
            message(1, pattern(1000), "s.t", "r.s", HEADERS) + message(1, pattern(300, 9), "s.t")
        )
        self.settle(nc)
        whole = [copy for copy in copies if copy.total == 1000]
        self.assertTrue(len(whole) > 2)
        at = 0
        for copy in whole:
            self.assertEqual((copy.subject, copy.reply, copy.offset), ("s.t", "r.s", at))
            self.assertEqual(copy.headers["Kind"], ["temp", "hum"])
            self.assertEqual(copy.data, pattern(1000)[at : at + copy.size])
            at += copy.size
            self.assertEqual(copy.last, at == 1000)
        self.assertEqual(at, 1000)
        self.forget()
        self.assertEqual(whole[0].respond(b"thanks"), True)
        self.settle(nc)
        self.assertEqual(self.sent(), b"PUB r.s 6\r\nthanks\r\n")


if __name__ == "__main__":
    unittest.main()
