"""What an application may get wrong is told at once, in words, where it happens; nothing else
happens then.
"""

import unittest
from array import array

import unats
from played import Case, message  # before the client: it gives it its clock
from unats.jetstream import JetStream
from unats.outbox import Outbox

WILD_OR_WORSE = (
    "",
    "a.*",
    "a.>",
    "a b",
    "a..b",
    ".a",
    "a\r\nPUB b 0",
    b"\xff\xfe",
    None,
    5,
    1.5,
    [],
)


class Wrong(Case):
    def refused(self, function, *args, **options):
        try:
            function(*args, **options)
        except ValueError as e:
            self.assertTrue(len(str(e)) > 8, repr(e))
            return
        raise AssertionError("taken: %r %r" % (args, options))


class Constructing(Wrong):
    def test_options_of_the_client(self):
        for options in (
            {"max_reconnects": None},
            {"max_reconnects": -2},
            {"reconnect_wait_ms": 1.5},
            {"reconnect_max_wait_ms": "1"},
            {"ping_interval_ms": 0},
            {"max_pings_out": 0},
            {"connect_timeout_ms": True},
            {"rx_size": "1024"},
            {"tx_size": 10},
            {"echo": "no"},
            {"verbose": 1},
            {"pedantic": None},
            {"randomize": 0},
            {"ignore_discovered_servers": "yes"},
            {"name": 5},
            {"user": 5, "password": "x"},
            {"token": []},
            {"auth": 5},
            {"auth": print, "user": "u"},
            {"resolver": 5},
            {"inbox_prefix": "a b"},
            {"inbox_prefix": "a.>"},
            {"inbox_prefix": 5},
        ):
            self.refused(self.client, "nats://host", **options)

        self.refused(unats.Client, "nats://host", on_event=5)

    def test_addresses(self):
        for servers in (None, 5, "", [], [5], ",", "ftp://host", "nats://host:x", "a b"):
            self.refused(self.client, servers)

    def test_an_outbox(self):
        nc = self.client("nats://host")
        for device in ("", "a b", "a.b", 5, None, b"dev"):
            if device != "":
                self.refused(Outbox, nc, device)
        for options in (
            {"ring": bytes(200)},
            {"ring": bytearray(10)},
            {"ring": 5},
            {"path": 5},
            {"flash_size": "x"},
            {"flash_size": -1},
            {"policy": "latest"},
            {"ack": True},
            {"window": 0},
            {"window": 17},
            {"window": "x"},
            {"max_payload": "x"},
            {"max_payload": 0},
            {"ack_ms": 0},
            {"sync_ms": "x"},
            {"sync_ms": -1},
            {"duplicate_window_ms": None},
            {"domain": "a b"},
            {"domain": 5},
            {"stream": 5},
            {"stream": "a b"},
        ):
            self.refused(Outbox, nc, "dev", **options)

    def test_jetstream(self):
        nc = self.client("nats://host")
        for domain in ("", "a b", "*", 5):
            self.refused(JetStream, nc, domain)

    def test_a_payload(self):
        for size in ("x", -1, 1.5, None):
            self.refused(unats.Payload, size)


class Calling(Wrong):
    """Nothing is sent, nothing is counted, and the next call works."""

    def setUp(self):
        super().setUp()
        self.nc = self.connected()
        self.forget()

    def tearDown(self):
        self.settle(self.nc)
        self.assertEqual(self.sent(), b"")
        self.assertEqual((self.nc.stats.out_msgs, self.nc.stats.dropped), (0, 0))
        self.assertTrue(self.nc.publish("fine", b"1"))
        self.settle(self.nc)
        self.assertEqual(self.sent(), b"PUB fine 1\r\n1\r\n")

    def test_publish(self):
        for subject in WILD_OR_WORSE:
            for payload in (b"x", "x", bytes(3000)):
                self.refused(self.nc.publish, subject, payload)
                if subject:
                    self.refused(self.nc.publish, "a", payload, subject)
        for payload in (None, 5, 1.5, [1], {}):
            self.refused(self.nc.publish, "a", payload)
        for n in (-2, 6, "1", 1.5, None, True):
            self.refused(self.nc.publish, "a", b"12345", None, None, n)
        for headers in (
            5,
            "A: b",
            b"A: b",
            b"NATS/1.0\r\nA: b",
            {"a b": "x"},
            {5: "x"},
            {"": "x"},
        ):
            self.refused(self.nc.publish, "a", b"x", None, headers)

    def test_subscribe(self):
        for subject in ("", "a b", "a.>.b", ">.a", "a.*b.", None, 5, b"\xff"):
            self.refused(self.nc.subscribe, subject, print)
        for handler in (None, 5, "print"):
            self.refused(self.nc.subscribe, "a", handler)
        for queue in ("a b", "*", 5, []):
            if queue != []:
                self.refused(self.nc.subscribe, "a", print, queue)
        for max_msgs in (-1, 1.5, "1", None):
            self.refused(self.nc.subscribe, "a", print, None, max_msgs)
        for chunked in (1, "yes", None):
            self.refused(self.nc.subscribe, "a", print, None, 0, chunked)
        self.assertEqual(len(self.nc.subscriptions), 0)

    def test_request(self):
        for subject in WILD_OR_WORSE[:6]:
            self.refused(self.nc.request, subject, b"", 100, handler=print)
        self.refused(self.nc.request, "a", handler=5)
        self.refused(self.nc.request, "a", timeout_ms="x")
        self.refused(self.nc.request, "a", timeout_ms=-1)
        self.refused(self.nc.request, "a", handler=print, max_msgs=-1)
        self.settle(self.nc)
        self.forget()  # the inbox was subscribed to

    def test_waiting(self):
        for ms in ("x", None, -1, 1.5):
            self.refused(self.nc.flush, ms)
            self.refused(self.nc.drain, ms)
        self.assertTrue(self.nc.connected)
        self.nc.poll(1.5)
        self.nc.poll(-1)

    def test_jetstream(self):
        js = JetStream(self.nc)
        for msg_id in ("", 5, b"a", "a\r\nb"):
            self.refused(js.publish, "a", b"x", msg_id=msg_id, handler=print)
        for handler in (5, "print", []):
            self.refused(js.publish, "a", b"x", handler=handler)
            self.refused(js.call, "INFO", handler=handler)
            self.refused(js.last_id, "a", handler)
        for subject in WILD_OR_WORSE:
            self.refused(js.last_id, subject, print)
        self.refused(js.publish, "a", b"x", timeout_ms="x", handler=print)
        self.refused(js.last_id, "a", print, stream="a b")
        self.settle(self.nc)
        self.forget()

    def test_a_payload(self):
        payload = unats.Payload(10).text("as it was")
        for value in (None, 5, 1.5, []):
            self.refused(payload.text, value)
            self.refused(payload.bytes, value)
            self.refused(payload.hex, value)
        self.refused(payload.hex, "ab")
        for value in (None, 1.5, "5"):
            self.refused(payload.int, value)
            self.refused(payload.fixed, 5, value)
        self.refused(payload.fixed, 5, -1)
        self.assertEqual(bytes(payload.buffer[: payload.size]), b"as it was")

    def test_an_outbox(self):
        outbox = Outbox(self.nc, "dev", ack="none", ring=bytearray(500), max_payload=100)
        for subject in WILD_OR_WORSE:
            self.refused(outbox.put, subject, b"1")
        for payload in (None, 5, 1.5, [], bytes(101)):
            self.refused(outbox.put, "a", payload)
        self.assertEqual(len(outbox), 0)
        self.settle(self.nc)
        self.forget()  # its inbox was subscribed to


class SamplesOfTwoBytes(Case):
    """A memoryview's items need not be bytes; all their bytes go."""

    SAMPLES = array("H", [0x3131, 0x3232, 0x3333])

    def test_published(self):
        nc = self.connected()
        self.forget()
        nc.publish("adc", memoryview(self.SAMPLES))
        nc.publish("adc", memoryview(self.SAMPLES), None, None, 4)
        self.settle(nc)
        self.assertEqual(self.sent(), b"PUB adc 6\r\n112233\r\nPUB adc 4\r\n1122\r\n")

    def test_put_into_an_outbox(self):
        nc = self.connected()
        self.forget()
        outbox = Outbox(nc, "dev", ack="none")
        outbox.put("adc", memoryview(self.SAMPLES))
        for _ in range(5):
            outbox.poll()
            self.settle(nc)
        self.assertTrue(b" 6\r\n112233\r\n" in self.sent())

    def test_in_a_payload(self):
        payload = unats.Payload(10).bytes(memoryview(self.SAMPLES))
        self.assertEqual(bytes(payload.buffer[: payload.size]), b"112233")


class Answers(Case):
    """Whatever JSON answers a publication or a question to JetStream is an Error, or right."""

    SHAPES = (
        b"", b"x", b"{", b"null", b"5", b'"text"', b"[]", b"[1]", b"{}", b'{"stream":null}',
        b'{"stream":5}',
        b'{"stream":"S","seq":"1"}', b'{"stream":"S","seq":null}', b'{"stream":["S"],"seq":1}',
        b'{"error":null}',
        b'{"error":5}', b'{"error":"x"}', b'{"error":[]}', b'{"error":{}}',
        b'{"error":{"code":"x","err_code":null}}',
        b'{"streams":5}', b'{"streams":[5]}', b'{"streams":{"a":1}}', b'{"message":5}',
        b'{"message":{"hdrs":5}}',
        b'{"message":{"hdrs":"%%%"}}', b'{"message":null}', b"[" * 300, b"\xff\xfe\x00",
    )  # fmt: skip

    def answers(self, ask, kind):
        """Have each shape answer; what comes to the handler is of this kind, or an Error."""
        for shape in self.SHAPES:
            self.start()
            nc = self.connected(rx_size=1024)
            self.forget()
            results = []
            ask(
                JetStream(nc), lambda value, error, results=results: results.append((value, error))
            )
            for _ in range(4):
                self.settle(nc)
                sent = self.sent()
                at = sent.find(b"PUB ")
                if results or at < 0:
                    break
                inbox = sent[at:].split(b" ")[2].decode()
                self.forget()
                self.net.feed(message(1, shape, inbox))
            self.assertEqual(len(results), 1, repr(shape))
            value, error = results[0]
            self.assertTrue(
                isinstance(error, unats.Error) or isinstance(value, kind), repr(results)
            )
            self.assertFalse(isinstance(error, unats.Timeout), repr(shape))
            self.assertTrue(nc.connected)

    def test_a_publication(self):
        self.answers(lambda js, take: js.publish("a", b"x", handler=take), object)

    def test_a_call(self):
        self.answers(lambda js, take: js.call("INFO", handler=take), dict)

    def test_the_last_id(self):
        self.answers(lambda js, take: js.last_id("a", take), bytes)


if __name__ == "__main__":
    unittest.main()
