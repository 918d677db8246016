"""Headers as they go out, and as they are refused; how they are read is in test_msg."""

import unittest

from played import Case, message  # before the client: it gives it its clock


class Publishing(Case):
    def published(self, headers, payload=b"hi", **options):
        self.start()
        nc = self.connected(**options)
        self.assertTrue(nc.publish("a", payload, headers=headers))
        nc.poll()
        return self.sent()

    def check(self, headers, block):
        expected = b"HPUB a %d %d\r\n%shi\r\n" % (len(block), len(block) + 2, block)
        self.assertEqual(self.published(headers), expected)

    def test_a_dict(self):
        self.check({"Kind": "temp"}, b"NATS/1.0\r\nKind: temp\r\n\r\n")

    def test_a_repeated_key(self):
        self.check({"k": ["1", "2"]}, b"NATS/1.0\r\nk: 1\r\nk: 2\r\n\r\n")
        self.check({"k": ("1", "2")}, b"NATS/1.0\r\nk: 1\r\nk: 2\r\n\r\n")

    def test_names_keep_their_case(self):
        self.check({"NaTs-Msg-Id": "X"}, b"NATS/1.0\r\nNaTs-Msg-Id: X\r\n\r\n")

    def test_values_that_are_odd_but_allowed(self):
        self.check({"k": ""}, b"NATS/1.0\r\nk: \r\n\r\n")
        self.check({"k": "a:b c"}, b"NATS/1.0\r\nk: a:b c\r\n\r\n")
        self.check({"k": "Köln"}, "NATS/1.0\r\nk: Köln\r\n\r\n".encode())

    def test_values_as_bytes(self):
        block = "NATS/1.0\r\nk: größe\r\nk: b\r\n\r\n".encode()
        self.check({"k": ["größe".encode(), bytearray(b"b")]}, block)

    def test_a_ready_block_goes_out_as_it_is(self):
        block = b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n"
        for given in (block, bytearray(block), memoryview(block)):
            self.check(given, block)

    def test_several_keys_all_come(self):
        sent = self.published({"A": "1", "B": ["2", "3"], "C": "4"})
        for line in (b"\r\nA: 1\r\n", b"\r\nB: 2\r\nB: 3\r\n", b"\r\nC: 4\r\n"):
            self.assertTrue(line in sent)

    def test_without_payload(self):
        self.assertEqual(
            self.published({"k": "v"}, b""), b"HPUB a 18 18\r\nNATS/1.0\r\nk: v\r\n\r\n\r\n"
        )

    def test_with_reply_and_n(self):
        nc = self.connected()
        nc.publish("a", b"hello", reply="r", headers={"k": "v"}, n=2)
        nc.poll()
        self.assertEqual(self.sent(), b"HPUB a r 18 20\r\nNATS/1.0\r\nk: v\r\n\r\nhe\r\n")

    def test_larger_than_the_transmit_buffer(self):
        block = b"NATS/1.0\r\nk: " + b"v" * 500 + b"\r\n\r\n"
        for headers in ({"k": "v" * 500}, block):
            sent = self.published(headers, b"hi", tx_size=64)
            self.assertEqual(sent, b"HPUB a 517 519\r\n" + block + b"hi\r\n")

    def test_what_is_sent_can_be_read(self):
        headers = {"Kind": ["a", "b"], "Ort": "Köln", "x": "1: 2"}
        nc = self.connected()
        found = []
        nc.subscribe("a", lambda msg: found.append(msg.headers))
        nc.publish("a", b"", headers=headers)
        nc.poll()
        sent = self.sent()
        block = sent[sent.find(b"NATS/1.0") : -2]
        self.net.feed(message(1, b"", headers=block))
        self.settle(nc)
        self.assertEqual(found, [headers])


class Refusing(Case):
    """ValueError, and not a byte is queued."""

    def setUp(self):
        super().setUp()
        self.nc = self.connected()

    def refused(self, *all_headers):
        for headers in all_headers:
            self.assertRaises(ValueError, self.nc.publish, "a", b"hi", None, headers)
        self.nc.poll()
        self.assertEqual(self.sent(), b"")
        self.assertEqual(self.nc.stats.out_msgs, 0)

    def test_line_ends_in_values(self):
        self.refused(
            {"k": "a\r\nPUB x 0\r\n"}, {"k": "a\nb"}, {"k": "a\rb"}, {"k": ["fine", "a\r\nb: c"]}
        )

    def test_control_bytes_in_values(self):
        self.refused({"k": "a\x00b"}, {"k": "a\x1bb"}, {"k": "a\x7fb"})

    def test_line_ends_in_names(self):
        self.refused({"k\r\nx": "v"}, {"k\n": "v"}, {"\r\nk": "v"})

    def test_names_that_are_none(self):
        self.refused(
            {"": "v"},
            {"a b": "v"},
            {"a:b": "v"},
            {" a": "v"},
            {"a\t": "v"},
            {"a\x00": "v"},
            {"ä": "v"},
            {5: "v"},
        )

    def test_values_that_are_none(self):
        self.refused(
            {"k": None}, {"k": [None]}, {"k": {}}, {"k": b"a\r\nb: c"}, {"k": ["fine", object()]}
        )

    def test_what_is_neither_dict_nor_block(self):
        self.refused("k: v", [("k", "v")], ("k",), 5)

    def test_max_payload_counts_headers_too(self):
        self.start()
        self.nc = self.connected(info={"max_payload": 30})
        self.assertTrue(self.nc.publish("a", bytes(30)))
        self.assertTrue(self.nc.publish("a", bytes(12), headers={"k": "v"}))
        self.nc.poll()
        self.forget()
        self.assertRaises(ValueError, self.nc.publish, "a", bytes(13), None, {"k": "v"})
        self.assertRaises(
            ValueError, self.nc.publish, "a", b"", None, b"NATS/1.0\r\nkey: value12345678\r\n\r\n"
        )
        self.nc.poll()
        self.assertEqual(self.sent(), b"")

    def test_a_server_that_knows_no_headers(self):
        self.start()
        self.nc = self.connected(info={"headers": False})
        self.refused({"k": "v"}, b"NATS/1.0\r\nk: v\r\n\r\n")
        self.assertTrue(self.nc.publish("a", b"without"))


if __name__ == "__main__":
    unittest.main()
