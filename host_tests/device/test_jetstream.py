"""JetStream publishing: acknowledgements, refusals, no stream, time-outs, several outstanding, the
API.
"""

import json
import unittest
from binascii import b2a_base64

import unats
from scripted import Scripted
from unats.jetstream import JetStream, JetStreamError

SUBJECT = "sensors.dev.temp"


def lines(data):
    return bytes(data).split(b"\r\n")


class WithServer(unittest.TestCase):
    def setUp(self):
        self.net = Scripted()
        self.net.handshake()
        self.nc = unats.Client("nats://host", transport=self.net)
        self.nc.connect()
        self.js = JetStream(self.nc)
        self.results = []
        self.net.on_write = self.answer_next
        self.answers = []

    def take(self, ack, error):
        self.results.append((ack, error))

    def answer(self, body, status=None):
        """Answer the next request with this."""
        self.answers.append((body, status))

    def answer_next(self, net):
        """Answer the requests that have been written, in their order."""
        for line in lines(net.sent()):
            words = line.split()
            if (
                words
                and words[0] in (b"PUB", b"HPUB")
                and words[2].startswith(b"_INBOX.")
                and self.answers
            ):
                net.forget()
                self.reply(words[2].decode(), *self.answers.pop(0))

    def reply(self, to, body, status=None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        if status:
            head = ("NATS/1.0 %d\r\n\r\n" % status).encode()
            text = "HMSG %s %d %d %d\r\n" % (to, self.sid(), len(head), len(head) + len(body))
            self.net.feed(text.encode() + head + body + b"\r\n")
        else:
            self.net.feed(
                ("MSG %s %d %d\r\n" % (to, self.sid(), len(body))).encode() + body + b"\r\n"
            )

    def sid(self):
        return 1  # the inbox of requests is the only subscription


class Waiting(WithServer):
    def test_the_acknowledgement(self):
        self.answer({"stream": "READINGS", "seq": 42})
        ack = self.js.publish(SUBJECT, b"21.5")
        self.assertEqual(
            (ack.stream, ack.seq, ack.duplicate, ack.domain), ("READINGS", 42, False, None)
        )

    def test_a_duplicate_in_a_domain(self):
        self.answer(b'{"stream":"R","domain":"hub","seq":5000000000,"duplicate": true}')
        ack = self.js.publish(SUBJECT, b"21.5", msg_id="dev-1")
        self.assertEqual(
            (ack.stream, ack.seq, ack.duplicate, ack.domain), ("R", 5000000000, True, "hub")
        )

    def test_the_message_and_its_headers(self):
        self.net.on_write = None
        with self.assertRaises(unats.Timeout):
            self.js.publish(SUBJECT, b"21.5", msg_id="dev-1", headers={"Unit": "C"}, timeout_ms=1)
        sent = bytes(self.net.sent())
        head, _, rest = sent[sent.find(b"HPUB") :].partition(b"\r\n")
        self.assertTrue(head.startswith(b"HPUB sensors.dev.temp _INBOX."))
        self.assertTrue(b"\r\nNats-Msg-Id: dev-1\r\n" in rest)
        self.assertTrue(b"\r\nUnit: C\r\n" in rest)
        self.assertTrue(rest.endswith(b"\r\n\r\n21.5\r\n"))

    def test_no_stream(self):
        self.answer(b"", 503)
        with self.assertRaises(unats.NoResponders):
            self.js.publish(SUBJECT, b"x")

    def test_what_the_server_says_is_in_the_error(self):
        self.answer(
            {
                "error": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 7"},
                "seq": 0,
            }
        )
        try:
            self.js.publish(SUBJECT, b"x")
            self.fail("no error")
        except JetStreamError as error:
            self.assertEqual((error.code, error.err_code), (400, 10071))
            self.assertEqual(error.description, "wrong last sequence: 7")
            self.assertEqual(str(error), "wrong last sequence: 7 (400, 10071)")
            self.assertTrue(isinstance(error, unats.Error))

    def test_an_answer_that_is_none(self):
        for body in (b"[]", b'{"ok":1}', b"3"):
            self.answer(body)
            with self.assertRaises(unats.Error):
                self.js.publish(SUBJECT, b"x")

    def test_no_answer(self):
        with self.assertRaises(unats.Timeout):
            self.js.publish(SUBJECT, b"x", timeout_ms=1)

    def test_not_connected(self):
        self.nc.close()
        with self.assertRaises(unats.NotConnected):
            self.js.publish(SUBJECT, b"x")

    def test_misuse(self):
        with self.assertRaises(ValueError):
            self.js.publish("a b", b"x")
        with self.assertRaises(ValueError):
            self.js.publish(SUBJECT, b"x", msg_id="a\r\nb")


class NotWaiting(WithServer):
    def test_several_outstanding_answered_in_another_order(self):
        self.net.on_write = None
        for i in range(3):
            self.assertTrue(self.js.publish(SUBJECT, b"%d" % i, msg_id=str(i), handler=self.take))
        self.nc.poll()
        replies = [line.split()[2] for line in lines(self.net.sent()) if line.startswith(b"HPUB")]
        self.assertEqual(len(set(replies)), 3)
        for i in (2, 0, 1):
            self.reply(replies[i].decode(), {"stream": "R", "seq": i + 1})
        for _ in range(3):
            self.nc.poll()
        self.assertEqual(
            [(ack.seq, error) for ack, error in self.results], [(3, None), (1, None), (2, None)]
        )

    def test_refusals_come_to_the_handler(self):
        for body, status in (
            (b"", 503),
            (
                {
                    "error": {
                        "code": 503,
                        "err_code": 10077,
                        "description": "maximum messages exceeded",
                    }
                },
                None,
            ),
            (b"nonsense", None),
        ):
            self.answer(body, status)
            self.js.publish(SUBJECT, b"x", handler=self.take)
            self.nc.poll()
            self.nc.poll()
        kinds = [type(error) for ack, error in self.results]
        self.assertEqual(kinds[:2], [unats.NoResponders, JetStreamError])
        self.assertEqual(kinds[2], unats.Error)
        self.assertEqual([ack for ack, error in self.results], [None] * 3)

    def test_a_time_out(self):
        self.js.publish(SUBJECT, b"x", handler=self.take, timeout_ms=1)
        while not self.results:
            self.nc.poll(10)
        self.assertEqual([type(error) for ack, error in self.results], [unats.Timeout])

    def test_a_lost_connection(self):
        self.net.on_write = None
        self.js.publish(SUBJECT, b"x", handler=self.take)
        self.nc.poll()
        self.net.end()
        for _ in range(5):
            self.nc.poll()
        self.assertEqual([type(error) for ack, error in self.results], [unats.NotConnected])

    def test_not_queued(self):
        self.nc.close()
        self.assertFalse(self.js.publish(SUBJECT, b"x", handler=self.take))
        self.assertEqual(self.results, [])


class Api(WithServer):
    def last_id(self, *answers):
        for answer in answers:
            self.answer(answer)
        self.assertTrue(self.js.last_id(SUBJECT, self.take))
        for _ in range(4):
            self.nc.poll()
        return self.results.pop()

    def test_a_call(self):
        self.answer(
            {"type": "io.nats.jetstream.api.v1.stream_info_response", "state": {"messages": 3}}
        )
        self.assertEqual(self.js.call("STREAM.INFO.R")["state"]["messages"], 3)

    def test_a_call_that_is_refused(self):
        self.answer({"error": {"code": 404, "err_code": 10059, "description": "stream not found"}})
        with self.assertRaises(JetStreamError):
            self.js.call("STREAM.INFO.R")

    def test_subjects_with_and_without_a_domain(self):
        self.net.on_write = None
        self.js.call("STREAM.NAMES", {"subject": "a"}, self.take)
        JetStream(self.nc, "hub").call("STREAM.NAMES", None, self.take)
        self.nc.poll()
        sent = bytes(self.net.sent())
        self.assertTrue(b"PUB $JS.API.STREAM.NAMES _INBOX." in sent)
        self.assertTrue(b'\r\n{"subject": "a"}\r\n' in sent)
        self.assertTrue(b"PUB $JS.hub.API.STREAM.NAMES _INBOX." in sent)

    def test_the_last_id_on_a_subject(self):
        headers = b"NATS/1.0\r\nUnit: C\r\nNats-Msg-Id: dev-7\r\n\r\n"
        hdrs = bytes(b2a_base64(headers)).strip().decode()
        names = {"streams": ["R"]}
        self.assertEqual(
            self.last_id(names, {"message": {"seq": 1, "hdrs": hdrs}}), (b"dev-7", None)
        )
        self.assertEqual(self.last_id(names, {"message": {"seq": 1}}), (b"", None))
        found, error = self.last_id({"streams": None})
        self.assertEqual((found, error.err_code), (b"", 10059))
        none = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
        self.assertEqual(self.last_id(names, none), (b"", None))

    def test_the_last_id_and_its_number(self):
        far = 0x123456789ABC  # beyond a small int
        take = lambda id, error, seq: self.take(id, seq)  # noqa: E731
        for message, expected in (
            ({"message": {"seq": far}}, (b"", far)),
            ({"error": {"code": 404, "err_code": 10037, "description": "none"}}, (b"", 0)),
        ):
            for answer in ({"streams": ["R"]}, message):
                self.answer(answer)
            self.assertTrue(self.js.last_id(SUBJECT, take, numbered=True))
            for _ in range(4):
                self.nc.poll()
            self.assertEqual(self.results.pop(), expected)

    def direct(self, block, body=b""):
        self.net.on_write = None
        self.assertTrue(self.js.last_id(SUBJECT, self.take, stream="R"))
        self.nc.poll()
        question = [line for line in lines(self.net.sent()) if b"DIRECT" in line].pop().split()
        self.assertEqual(question[1], b"$JS.API.DIRECT.GET.R." + SUBJECT.encode())
        text = "HMSG %s %d %d %d\r\n" % (
            question[2].decode(),
            self.sid(),
            len(block),
            len(block) + len(body),
        )
        self.net.feed(text.encode() + block + body + b"\r\n")
        self.nc.poll()
        return self.results.pop()

    def test_the_last_id_on_a_subject_of_a_stream_that_is_named(self):
        self.assertEqual(
            self.direct(b"NATS/1.0\r\nNats-Msg-Id: dev-7\r\nNats-Sequence: 7\r\n\r\n", b"21"),
            (b"dev-7", None),
        )
        self.assertEqual(self.direct(b"NATS/1.0\r\nNats-Sequence: 7\r\n\r\n", b"21"), (b"", None))
        for other in (b"", b"Nats-Sequence: x\r\n"):  # that is no message of a stream's
            id, error = self.direct(b"NATS/1.0\r\nNats-Msg-Id: dev-7\r\n%s\r\n" % other, b"21")
            self.assertEqual((id, type(error)), (b"", unats.Error))
        self.assertEqual(self.direct(b"NATS/1.0 404 Message Not Found\r\n\r\n"), (b"", None))
        for status, kind in ((b"503", unats.NoResponders), (b"408 Bad Request", unats.Error)):
            id, error = self.direct(b"NATS/1.0 %s\r\n\r\n" % status)
            self.assertEqual((id, type(error)), (b"", kind))

    def test_the_last_id_can_not_be_found_out(self):
        down = {
            "error": {
                "code": 503,
                "err_code": 10008,
                "description": "JetStream system temporarily unavailable",
            }
        }
        for answers in ((down,), ({"streams": ["R"]}, down)):
            id, error = self.last_id(*answers)
            self.assertEqual((id, error.code), (b"", 503))


if __name__ == "__main__":
    unittest.main()
