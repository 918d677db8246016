"""Consumers: what is asked for, what a batch, a status and a heartbeat do, numbers beyond 30 bits;
and ordered ones.
"""

import json
import unittest

import unats
from answering import Answering
from unats.jetstream import JetStream, JetStreamError

NEXT = "$JS.API.CONSUMER.MSG.NEXT.S.d"
INFO = "$JS.API.CONSUMER.INFO.S.d"
CREATE = "$JS.API.CONSUMER.CREATE.S"
LARGE = 1 << 40


class WithConsumer(Answering):
    def setUp(self):
        super().setUp()
        self.js = JetStream(self.nc, timeout_ms=50)
        self.rules[INFO] = {"name": "d"}
        self.got = []
        self.asked = []  # the bodies of requests for messages
        self.inbox = None
        self.rules["$JS.API.CONSUMER.MSG.NEXT."] = self.on_next
        self.each = None  # what to do with each request

    def on_next(self, subject, reply, payload):
        self.inbox = reply
        self.asked.append(json.loads(payload))
        if self.each:
            self.each()

    def deliver(self, n, seq, pending=0, payload=b"x", consumer="d"):
        """The n-th message of the consumer, with a number in the stream."""
        reply = "$JS.ACK.S.%s.1.%d.%d.1785000000000000000.%d" % (consumer, seq, n, pending)
        self.tell("s.a", payload, reply, to=self.inbox)

    def status(self, text):
        self.tell(self.inbox, status=text)


class Consumers(WithConsumer):
    def take(self, msg):
        self.got.append(msg and (msg.data, msg.seq, msg.consumer_seq, msg.delivered, msg.pending))
        if msg:
            msg.ack()

    def consumer(self):
        return self.js.consumer("S", durable="d")

    def test_a_batch_ends_when_it_is_whole(self):
        self.each = lambda: [self.deliver(i, LARGE + i, 2 - i) for i in (1, 2)]
        self.assertEqual(self.consumer().fetch(2, self.take), 2)
        self.assertEqual(self.got, [(b"x", LARGE + 1, 1, 1, 1), (b"x", LARGE + 2, 2, 1, 0)])
        self.nc.flush()
        acks = [s[0] for s in self.seen if s[3] == b"+ACK"]
        self.assertEqual(len(acks), 2)
        self.assertTrue(acks[0].startswith("$JS.ACK.S.d.1.%d.1." % (LARGE + 1)))
        self.assertEqual(self.asked[0]["batch"], 2)
        self.assertEqual(self.asked[0]["expires"], 4500000000)

    def test_a_batch_ends_with_its_time_and_with_a_status(self):
        self.assertEqual(self.consumer().fetch(2, self.take, timeout_ms=20), 0)
        for text in ("404 No Messages", "408 Request Timeout", "409 Leadership Change"):
            self.each = lambda: (self.deliver(1, 7), self.status(text))
            self.assertEqual(self.consumer().fetch(2, self.take, 5000), 1)

    def test_a_consumer_that_is_gone_is_told(self):
        self.each = lambda: self.status("409 Consumer Deleted")
        with self.assertRaises(JetStreamError):
            self.consumer().fetch(2, self.take)
        going = self.consumer().consume(self.take)
        self.until(lambda: self.got)
        self.assertEqual(self.got, [None])
        self.assertEqual(going.error.code, 409)

    def test_as_much_is_asked_for_as_the_window_has(self):
        going = self.consumer().consume(self.take, window=4, max_bytes=900)
        self.until(lambda: len(self.asked) == 2)
        self.assertEqual([a["batch"] for a in self.asked], [2, 2])
        self.assertEqual(self.asked[0]["max_bytes"], 900)
        self.deliver(1, 1)
        self.turns()
        self.assertEqual(len(self.asked), 2)  # three may come yet
        self.deliver(2, 2)
        self.until(lambda: len(self.asked) == 3)
        going.stop()
        self.assertEqual(len(self.nc.subscriptions), 1)
        self.assertEqual(self.nc.on_turn.count(going._hook), 0)

    def test_what_a_request_did_not_bring_is_asked_for_again(self):
        going = self.consumer().consume(self.take, window=4)
        self.until(lambda: len(self.asked) == 2)
        self.tell(self.inbox, status="408 Request Timeout\r\nNats-Pending-Messages: 2")
        self.until(lambda: len(self.asked) == 3)
        for text in ("408 x\r\nNats-Pending-Messages: -", "100 Idle Heartbeat", "777 ?", "xyz"):
            self.tell(self.inbox, status=text)
        self.turns()
        self.assertEqual(going.error, None)
        going.stop()

    def test_without_a_consumer_it_ends_instead_of_asking_for_ever(self):
        going = self.consumer().consume(self.take)
        self.until(lambda: self.asked)
        self.rules[INFO] = {"error": {"code": 404, "err_code": 10014, "description": "no"}}
        self.tell(self.inbox, status="503")
        self.until(lambda: self.got)
        self.assertEqual((self.got, going.error.err_code), ([None], 10014))

    def test_acknowledgements(self):
        def take(msg):
            self.assertTrue(msg.nak() and msg.nak(delay_ms=3000000) and msg.in_progress())
            self.assertTrue(msg.term() and msg.term("bad"))
            done.append(msg.ack_sync(handler=lambda *what: done.append(what)))

        done = []
        self.rules["$JS.ACK."] = [None] * 5 + [b""]
        self.each = lambda: self.deliver(1, 1)
        self.consumer().fetch(1, take)
        self.until(lambda: len(done) == 2)
        self.assertEqual(done, [True, (True, None)])
        self.assertEqual(
            [s[3] for s in self.seen if s[0].startswith("$JS.ACK")],
            [b"-NAK", b'-NAK {"delay":3000000000000}', b"+WPI", b"+TERM", b"+TERM bad", b"+ACK"],
        )

    def test_the_numbers_with_a_domain_and_an_account(self):
        reply = "$JS.ACK.hub.ACC.S.d.3.%d.12.1785000000000000000.9.rand" % LARGE
        self.each = lambda: self.tell("s.a", b"x", reply, to=self.inbox)
        self.consumer().fetch(1, self.take)
        self.assertEqual(self.got, [(b"x", LARGE, 12, 3, 9)])

    def test_messages_larger_than_the_buffer(self):
        large = b"y" * 3000
        self.each = lambda: [self.deliver(1, 1, payload=large), self.deliver(2, 2)]
        self.assertEqual(self.consumer().fetch(2, self.take), 2)
        self.assertEqual([g[0] for g in self.got], [b"x"])
        self.assertEqual(self.nc.stats.oversize, 1)
        sizes = []
        self.consumer().fetch(2, lambda m: sizes.append(m.size), chunked=True)
        self.assertEqual(sum(sizes), 3001)

    def test_how_it_is_made(self):
        self.rules[INFO] = {"error": {"code": 404, "err_code": 10014, "description": "no"}}
        self.rules[CREATE] = {"name": "d"}
        self.js.consumer("S", "d", filter="s.a", deliver=LARGE, ack_wait_ms=3000000, max_deliver=3)
        subject, _, _, body = self.seen[-1]
        config = json.loads(body)["config"]
        self.assertEqual(subject, CREATE + ".d.s.a")
        self.assertEqual(config["opt_start_seq"], LARGE)
        self.assertEqual((config["ack_wait"], config["max_deliver"]), (3000000000000, 3))
        self.assertEqual((config["durable_name"], config["filter_subject"]), ("d", "s.a"))
        self.js.consumer("S", filter=["s.a", "s.b"], inactive_ms=10)
        subject, _, _, body = self.seen[-1]
        config = json.loads(body)["config"]
        self.assertEqual(config["filter_subjects"], ["s.a", "s.b"])
        self.assertEqual(config["inactive_threshold"], 10000000)
        self.assertTrue("durable_name" not in config)

    def test_misuse_is_told_before_anything_is_sent(self):
        for wrong in (
            {"durable": "a.b"}, {"durable": ""}, {"deliver": "x"}, {"deliver": 0},
            {"filter": "a b"}, {"ack_wait_ms": 0}, {"max_deliver": "1"}, {"handler": 5},
        ):  # fmt: skip
            self.assert_misuse(lambda: self.js.consumer("S", **wrong))
        with self.assertRaises(AttributeError):
            self.js.nothing  # noqa: B018

    def test_garbage_for_an_answer_is_an_error_at_most(self):
        for answer in (b"", b"[]", b"5", b'"x"', b"{", b'{"error":7}', b"\xff", b"[" * 900):
            self.rules[INFO] = answer
            with self.assertRaises(unats.Error):
                self.consumer()


class Ordered(WithConsumer):
    def setUp(self):
        super().setUp()
        self.made = []
        self.rules[CREATE] = self.on_create
        self.numbers = []

    def on_create(self, subject, reply, payload):
        self.made.append(json.loads(payload)["config"])
        self.tell(reply, json.dumps({"name": "x", "num_pending": 3}).encode())

    def begin(self, **options):
        self.going = self.js.ordered("S", lambda m: self.numbers.append(m and m.seq), **options)
        self.until(lambda: self.inbox)

    def test_a_gap_makes_it_anew_behind_what_was_had(self):
        self.begin()
        self.deliver(1, LARGE)
        self.deliver(3, LARGE + 2)
        self.until(lambda: len(self.made) == 2)
        self.assertEqual(self.numbers, [LARGE])
        self.assertEqual(self.made[1]["opt_start_seq"], LARGE + 1)
        self.assertEqual(self.going.seq, LARGE)
        self.assertTrue("$JS.API.CONSUMER.DELETE.S." in str(self.seen))

    def test_what_comes_twice_is_not_handed_on(self):
        self.begin()
        self.deliver(1, 5)
        self.deliver(1, 5)
        self.until(lambda: len(self.made) == 2)
        self.assertEqual(self.numbers, [5])

    def test_a_stream_that_is_gone_ends_it(self):
        self.rules[CREATE] = {"error": {"code": 404, "err_code": 10059, "description": "no"}}
        going = self.js.ordered("S", self.numbers.append)
        self.until(lambda: self.numbers)
        self.assertEqual((self.numbers, going.error.err_code), ([None], 10059))

    def test_new_ones_only_also_when_it_is_made_anew(self):
        self.rules[CREATE] = lambda subject, reply, payload: (
            self.made.append(json.loads(payload)["config"]),
            self.tell(reply, b'{"name":"x","delivered":{"stream_seq":41,"consumer_seq":0}}'),
        )
        self.begin(deliver="new")
        self.assertEqual(self.made[0]["deliver_policy"], "new")
        self.status("409 Consumer Deleted")
        self.until(lambda: len(self.made) == 2)
        self.assertEqual(self.made[1]["opt_start_seq"], 42)


if __name__ == "__main__":
    unittest.main()
