"""What a stream says of itself is asked for once, and read whatever it is."""

import json

from played import Case, message  # before the client: it gives it its clock
from unats.outbox.stream import Stream

CONFIG = {"name": "S", "subjects": ["s.>"], "no_ack": True, "duplicate_window": 100000000}


class Looking(Case):
    """`answer(question, body)`: the server's, as JSON; None: there is none."""

    def begin(self, domain=None, **options):
        self.nc = self.connected(**options)
        self.told = []
        self.stream = Stream(self.nc, domain, 1000, self.told.append)
        self.asked = []
        self.answers = {
            "STREAM.NAMES": {"total": 1, "streams": ["S"]},
            "STREAM.INFO.S": {"config": CONFIG, "state": {"messages": 7}},
        }
        self.seen = 0
        self.net.on_write = self.serve

    def serve(self, net):
        sent = bytes(net.sent())
        while True:
            at = sent.find(b"PUB ", self.seen)
            end = sent.find(b"\r\n", at)
            if at < 0 or end < 0:
                return
            _, subject, reply, size = sent[at:end].decode().split(" ")
            self.seen = end + 4 + int(size)
            name = subject[subject.find(".API.") + 5 :]
            self.asked.append((subject, sent[end + 2 : end + 2 + int(size)]))
            if self.answers.get(name) is not None:
                self.net.feed(self.reply(sent, reply, self.answers[name]))

    def reply(self, sent, reply, answer):
        """A message for the subscription that the reply subject belongs to."""
        sid = 0
        for line in sent.split(b"\r\n"):
            words = line.decode().split(" ") if line.startswith(b"SUB ") else ()
            if words and (words[1] == reply or words[1] == reply[: reply.rfind(".") + 1] + "*"):
                sid = int(words[2])
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return message(sid, text, reply)

    def look(self):
        self.assertTrue(self.stream.look(b"s.t"))
        for _ in range(400):
            if not self.stream.pending:
                break
            self.nc.poll(10)
            self.stream.poll()
        self.assertFalse(self.stream.pending)

    def check(self, no_ack=False, window_ms=None, sealed=False):
        stream = self.stream
        self.assertEqual(
            (stream.no_ack, stream.window_ms, stream.sealed), (no_ack, window_ms, sealed)
        )
        self.assertTrue(self.nc.connected)
        self.assertEqual(len(self.nc.subscriptions), "requests" in self.nc.features)

    def test_by_a_subject(self):
        self.begin()
        self.look()
        self.check(True, 100)
        self.assertEqual(self.stream.name, "S")
        self.assertEqual(
            self.asked,
            [("$JS.API.STREAM.NAMES", b'{"subject": "s.t"}'), ("$JS.API.STREAM.INFO.S", b"")],
        )

    def test_in_another_domain(self):
        self.begin("leaf")
        self.look()
        self.check(True, 100)
        self.assertEqual(self.asked[1], ("$JS.leaf.API.STREAM.INFO.S", b""))
        self.assertEqual(self.told, [self.stream])

    def test_an_answer_larger_than_the_buffer(self):
        self.begin(rx_size=128)
        self.answers["STREAM.INFO.S"]["cluster"] = "x" * 4000
        self.look()
        self.check(True, 100)
        self.assertEqual(self.nc.stats.oversize, 0)

    def test_one_without_end(self):
        self.begin(rx_size=128)
        self.answers["STREAM.INFO.S"]["cluster"] = "x" * 70000
        self.look()
        self.check()

    def test_one_with_a_limit(self):
        for limit, largest in ((100, 100), (-1, None), (0, None), ("7", None)):
            self.start()
            self.begin()
            self.answers["STREAM.INFO.S"] = {"config": {"max_msg_size": limit}}
            self.look()
            self.check()
            self.assertEqual(self.stream.largest, largest)

    def test_a_sealed_one(self):
        self.begin()
        self.answers["STREAM.INFO.S"] = {"config": {"sealed": True}}
        self.look()
        self.check(sealed=True)

    def test_again_on_another_connection(self):
        self.begin()
        self.look()
        self.answers["STREAM.INFO.S"] = {"config": {"duplicate_window": 120000000000}}
        self.look()
        self.check(window_ms=120000)

    def test_answers_of_any_shape(self):
        for name in ("STREAM.NAMES", "STREAM.INFO.S"):
            for answer in (
                b"",
                b"x",
                b"null",
                b"[]",
                b"{}",
                b"7",
                b'"config"',
                b'{"config":7,"streams":7}',
                b'{"config":{"no_ack":"true","duplicate_window":"1","sealed":1},"streams":[7]}',
                b'{"config":{"duplicate_window":1.5},"streams":["a b"]}',
                b'{"config":null,"streams":["*"]}',
                b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}',
                b"\xff\xfe",
            ):
                self.start()
                self.begin()
                self.answers[name] = answer
                self.look()
                self.check()

    def test_no_answer(self):
        for name in ("STREAM.NAMES", "STREAM.INFO.S"):
            self.start()
            self.begin()
            self.answers[name] = None
            before = self.clock.ticks_ms()
            self.look()
            self.assertTrue(self.elapsed(before) <= 3000, self.elapsed(before))
            self.check()

    def test_where_it_is_not_allowed_it_is_asked_once(self):
        for name in ("STREAM.NAMES", "STREAM.INFO.S"):
            self.start()
            self.begin()
            self.answers[name] = None
            self.stream.look(b"s.t")
            while name not in [subject[8:] for subject, _ in self.asked]:
                self.nc.poll(10)
            text = "-ERR 'Permissions Violation for Publish to \"$JS.API.%s\"'\r\n" % name
            self.net.feed(text.encode())
            self.settle(self.nc)
            self.assertFalse(self.stream.pending)
            self.check()
            asked = len(self.asked)
            self.look()
            self.assertEqual(len(self.asked), asked)

    def test_no_room_to_ask(self):
        self.begin(tx_size=128)
        self.net.write_limit = 0
        while self.nc.publish("a", b"x" * 50):
            pass
        self.assertFalse(self.stream.look(b"s.t"))
        self.net.write_limit = 1 << 29
        self.net.on_write = None
        self.nc.poll()
        self.seen = len(self.sent())
        self.net.on_write = self.serve
        self.look()
        self.check(True, 100)

    def test_the_connection_is_lost(self):
        self.begin()
        self.answers["STREAM.INFO.S"] = None
        self.stream.look(b"s.t")
        for _ in range(5):
            self.nc.poll()
        self.stream.close()
        self.assertEqual(len(self.nc.subscriptions), 1)
        self.assertFalse(self.stream.pending)
