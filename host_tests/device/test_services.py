"""Services: the three questions, counting, errors, names."""

import json
import unittest

from answering import Answering
from unats.services import Service, ServiceError


class Services(Answering):
    def setUp(self):
        super().setUp()
        self.service = Service(self.nc, "adder", "1.2.3-rc.1+x", "adds", {"place": "lab"})
        self.raises = None
        self.endpoint = self.service.endpoint("add", self.add, metadata={"unit": "1"})
        self.nc.flush()

    def add(self, msg):
        if self.raises:
            raise self.raises
        msg.respond(b"sum")

    def ask(self, subject, payload=b"", to=None):
        """(headers, payload) of the answer."""
        del self.seen[:]
        self.tell(subject, payload, "reply.1", to=to)
        self.until(lambda: self.seen)
        self.assertEqual(self.seen[0][0], "reply.1")
        return self.seen[0][2:]

    def described(self, verb):
        """What it says to each form of the question, which is the same."""
        answers = []
        for end in ("", ".adder", ".adder." + self.service.id):
            answer = self.ask("$SRV.%s%s" % (verb, end), to="$SRV.*" + end)
            answers.append(json.loads(answer[1]))
        self.assertTrue(answers[0] == answers[1] == answers[2])
        self.assertEqual(answers[0]["type"], "io.nats.micro.v1.%s_response" % verb.lower())
        self.assertEqual(answers[0]["id"], self.service.id)
        return answers[0]

    def test_the_questions(self):
        ping = self.described("PING")
        self.assertEqual(sorted(ping), ["id", "metadata", "name", "type", "version"])
        info = self.described("INFO")
        self.assertEqual(info["description"], "adds")
        self.assertEqual(
            info["endpoints"],
            [{"name": "add", "subject": "add", "queue_group": "q", "metadata": {"unit": "1"}}],
        )

    def test_what_is_counted(self):
        self.assertEqual(self.ask("add", b"1"), (b"", b"sum"))
        self.raises = ServiceError(404, "no such\r\nthing")
        headers, payload = self.ask("add")
        self.assertTrue(b"Nats-Service-Error-Code: 404\r\n" in headers)
        self.assertTrue(b"Nats-Service-Error: no such  thing\r\n" in headers)
        self.assertEqual(payload, b"")
        self.raises = KeyError("k")
        self.assertTrue(b"Nats-Service-Error-Code: 500\r\n" in self.ask("add")[0])
        (stats,) = self.described("STATS")["endpoints"]
        self.assertEqual((stats["num_requests"], stats["num_errors"]), (3, 2))
        self.assertTrue("KeyError" in stats["last_error"])
        self.assertTrue(stats["average_processing_time"] * 3 <= stats["processing_time"])
        self.service.reset()
        (stats,) = self.service.stats()["endpoints"]
        self.assertEqual((stats["num_requests"], stats["average_processing_time"]), (0, 0))

    def test_processing_times_beyond_small_numbers(self):
        self.endpoint.requests, self.endpoint.time_us = 3, 1 << 33
        stats = self.endpoint.stats()
        self.assertEqual(stats["processing_time"], (1 << 33) * 1000)
        self.assertEqual(stats["average_processing_time"], (1 << 33) * 1000 // 3)

    def test_groups_and_queues(self):
        group = self.service.group("a.b", queue="own")
        self.assertEqual(group.endpoint("x", self.add).subject, "a.b.x")
        deep = group.group("c").endpoint("y", self.add, subject="z.*", queue=None)
        self.assertEqual((deep.subject, deep.queue), ("a.b.c.z.*", None))
        self.assertEqual([e.queue for e in self.service.endpoints], ["q", "own", None])
        self.assertEqual(self.described("INFO")["endpoints"][2]["queue_group"], "")

    def test_no_question_is_not_answered(self):
        del self.seen[:]
        self.tell("$SRV.OTHER", b"", "reply.1", to="$SRV.*")
        self.turns()
        self.assertEqual(self.seen, [])

    def test_stopped_it_has_no_subscriptions(self):
        self.service.stop()
        self.assertTrue(self.service.stopped)
        self.assertEqual(len(self.nc.subscriptions), 0)

    def test_misuse_is_told(self):
        for name in ("", "a b", "a.b", "ä", 5, None):
            with self.assertRaises(ValueError):
                Service(self.nc, name, "1.0.0")
        for version in ("", "1", "1.2", "1.2.x", "1..3", 1, None):
            with self.assertRaises(ValueError):
                Service(self.nc, "a", version)
        for call in (
            lambda: Service(self.nc, "a", "1.0.0", 5),
            lambda: Service(self.nc, "a", "1.0.0", "", 5),
            lambda: Service(self.nc, "a", "1.0.0", "", {"a": 1}),
            lambda: Service(self.nc, "a", "1.0.0", "", "ab"),
            lambda: self.service.endpoint("a", None), lambda: self.service.endpoint("a.b", print),
            lambda: self.service.endpoint("a", print, "a b"), lambda: self.service.group("a b"),
            lambda: ServiceError("x", "y"), lambda: ServiceError(0, "y"),
        ):  # fmt: skip
            with self.assertRaises(ValueError):
                call()
        self.assertEqual(len(self.nc.subscriptions), 4)


if __name__ == "__main__":
    unittest.main()
