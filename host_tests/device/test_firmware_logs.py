"""Logs: what is published, what is counted, what is kept over outages and resets."""

import json
import os
import sys
import unittest

import failure
import logs
from app import App
from config import Settings
from firmware_fakes import (
    PERIOD_MS,
    FakeBoard,
    FakeClient,
    FakeClock,
    FakeOutbox,
    FakeSensor,
    Scratch,
    run_for,
)
from parts import Parts


class LogsTest(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.clock = FakeClock()
        self.kept = sys.modules.pop("logging", None)
        self.start()

    def tearDown(self):
        sys.modules.pop("logging", None)
        if self.kept is not None:
            sys.modules["logging"] = self.kept
        self.scratch.leave()

    def start(self, level="info", through=False, failed=None, there=True):
        self.client = FakeClient(self.clock)
        self.client.there = there
        self.board = FakeBoard(self.clock)
        self.outbox = FakeOutbox(self.client)
        self.sensor = FakeSensor(1)
        sensors = [("a", self.sensor)]
        self.app = App(self.client, self.clock, self.board, "dev", PERIOD_MS, sensors, self.outbox)
        self.client.app = self.app
        self.app.failure = failed
        self.logs = logs.Logs(self.app, level, self.outbox if through else None)
        self.app.parts = Parts(self.app)
        self.app.parts._parts.append(self.logs)
        self.app.start()

    def run_for(self, ms):
        run_for(self.app, self.clock, ms)

    def told(self, level):
        return [json.loads(text) for text in self.client.texts("logs.dev." + level)]

    def messages(self, level):
        return [line["msg"] for line in self.told(level)]

    def all(self):
        return [subject for subject, _ in self.client.published if subject.startswith("logs.")]


class Levels(LogsTest):
    def test_each_has_its_subject(self):
        for level in logs.LEVELS:
            self.app.log(level, "this is " + level)
        self.run_for(3000)
        for level in logs.LEVELS[1:]:
            self.assertIn("this is " + level, self.messages(level))
        self.assertEqual(self.told("debug"), [])
        line = self.told("critical")[0]
        self.assertEqual(line, {"msg": "this is critical", "up": 0, "boot": 3})

    def test_from_which_on_can_be_changed(self):
        self.run_for(1000)
        self.logs.apply(Settings({"server": "x", "log_level": "error"}))
        for level in logs.LEVELS:
            self.app.log(level, "this is " + level)
        self.run_for(3000)
        self.assertEqual(self.messages("warning"), [])
        self.assertEqual(self.messages("error"), ["this is error"])

    def test_the_application_says_what_it_prints(self):
        self.run_for(1000)
        self.assertIn("connected", self.messages("info"))
        self.client.lose()
        self.run_for(1000)
        self.assertIn("disconnected: closed", self.messages("warning"))
        self.sensor.value = OSError(5)
        self.run_for(2000)
        self.assertEqual(len(self.told("error")), 1)

    def test_exceptions_have_their_traceback(self):
        def fail():
            raise ValueError("no such thing")

        self.app._send = fail
        self.run_for(1000)
        del self.app._send
        self.app._send = lambda: None
        self.run_for(1000)
        text = self.messages("error")[0]
        self.assertTrue(text.startswith("error in the loop:"))
        self.assertIn("no such thing", text)


class Repeats(LogsTest):
    def test_they_are_counted_and_told_once(self):
        for _ in range(100):
            self.app.log("warning", "again")
        self.run_for(55000)
        self.assertEqual(self.told("warning"), [{"msg": "again", "up": 0, "boot": 3}])
        self.run_for(10000)
        self.assertEqual(
            self.told("warning")[1:], [{"msg": "again", "n": 99, "up": 60, "boot": 3}]
        )
        self.app.log("warning", "again")
        self.run_for(1000)
        self.assertEqual(len(self.told("warning")), 3)

    def test_two_in_turn_likewise(self):
        for _ in range(100):
            self.app.log("warning", "one")
            self.app.log("error", "two")
        self.run_for(65000)
        self.assertEqual([line.get("n") for line in self.told("warning")], [None, 99])
        self.assertEqual([line.get("n") for line in self.told("error")], [None, 99])

    def test_of_many_the_oldest_is_no_longer_counted(self):
        for i in range(10):
            for _ in range(3):
                self.app.log("warning", "number %d" % i)
        self.run_for(70000)
        self.assertEqual(sum(line.get("n", 1) for line in self.told("warning")), 30)
        self.assertEqual(len(self.told("warning")), 20)


class Offline(LogsTest):
    def test_lines_wait_for_the_connection_the_latest_ones(self):
        self.start(there=False)
        for i in range(200):
            self.app.log("info", "line %d of those that are said" % i)
        self.run_for(5000)
        self.assertEqual(self.all(), [])
        self.client.there = True
        self.run_for(60000)
        lines = [line for line in self.told("info") if line["msg"].startswith("line")]
        self.assertTrue(20 < len(lines) < 60)
        self.assertEqual(lines[-1]["msg"], "line 199 of those that are said")
        lost = sum(line.get("lost", 0) for line in self.told("info"))
        self.assertEqual(len(lines) + lost, 201)  # with that of the start
        self.assertTrue(self.logs._bytes == 0)

    def test_warnings_outlast_a_reset(self):
        self.start(there=False)
        self.run_for(1000)
        self.app.log("info", "not so important")
        self.app.log("error", "what was before")
        self.start(there=False)
        self.app.log("error", "what was after")
        self.start()
        self.outbox.start = self.app.boot = 4
        self.run_for(3000)
        self.assertEqual(
            [(line["msg"], line["boot"]) for line in self.told("error")],
            [("what was before", 3), ("what was after", 3)],
        )
        self.assertFalse("not so important" in self.messages("info"))
        self.assertEqual(os.listdir(), [])
        self.start()
        self.run_for(3000)
        self.assertEqual(self.told("error"), [])

    def test_flash_takes_no_more_than_two_files_and_keeps_the_latest(self):
        self.start(there=False)
        for i in range(500):
            self.app.log("error", "line %d of those that are said" % i)
        size = sum(os.stat(name)[6] for name in os.listdir())
        self.assertTrue(2000 < size < 4300, size)
        self.start()
        self.run_for(60000)
        self.assertEqual(self.messages("error")[-1], "line 499 of those that are said")

    def test_damaged_lines_are_left_out(self):
        for name in (logs.OLD, logs.PATH):
            with open(name, "wb") as file:
                file.write(b'2 {"msg":"good"}\n\n7 {"a":1}\nx\n3 {"msg":"cut of')
        self.start()
        self.run_for(3000)
        self.assertEqual(self.messages("warning"), ["good", "good"])
        self.assertEqual(self.messages("error"), [])

    def test_flash_that_takes_nothing_costs_nothing(self):
        kept, logs.PATH = logs.PATH, "no-such-folder/logs.txt"
        try:
            self.start(there=False)
            self.app.log("error", "anyway")
            self.client.there = True
            self.run_for(3000)
            self.assertEqual(self.messages("error"), ["anyway"])
        finally:
            logs.PATH = kept

    def test_what_ended_the_application_is_told_with_its_traceback(self):
        def deep():
            raise KeyError("no such key")

        try:
            deep()
        except KeyError as e:
            failure.keep(e)
        self.start(failed=failure.kept())
        self.run_for(3000)
        text = self.messages("critical")[0]
        self.assertIn("KeyError", text)
        if sys.implementation.name == "micropython":
            self.assertIn("in deep", text)
        self.assertEqual(len(self.told("critical")), 1)


SEED = "SUAAABBBCCCDDDEEEFFFGGGHHHIIIJJJKKKLLLMMMNNN"


class Secrets(LogsTest):
    def test_none_is_told(self):
        with open("settings.json", "w") as file:
            json.dump({"server": "nats://me:word-secret@10.0.0.1", "token": "token-secret"}, file)
        for secret in (
            "word-secret",
            "token-secret",
            SEED,
        ):
            self.app.log("error", "Traceback:\n  File x\nOSError: with %s in it" % secret)
            self.app.tell("failed:", ValueError(secret))
        self.run_for(5000)
        text = json.dumps(self.told("error"))
        self.assertFalse("secret" in text.replace("hold a secret", "") or "SUAAA" in text, text)
        self.assertIn("  File x", text)


class ThroughTheOutbox(LogsTest):
    def test_they_go_with_the_readings(self):
        self.start(through=True, there=False)
        self.app.log("error", "in an outage")
        self.assertEqual(self.outbox.waiting[-1][0], "logs.dev.error")
        self.client.there = True
        self.run_for(3000)
        self.assertEqual(self.messages("error"), ["in an outage"])
        self.assertEqual(os.listdir(), [])

    def test_what_it_does_not_take_is_counted(self):
        self.start(through=True, there=False)
        self.outbox.size = 0
        for i in range(5):
            self.app.log("error", "no room %d" % i)
        self.outbox.size = 100
        self.app.log("error", "room")
        self.assertEqual(json.loads(self.outbox.waiting[-1][1])["lost"], 5)

    def test_a_line_is_never_longer_than_the_outbox_takes(self):
        self.start(through=True)
        for character in ("x", '"', "\n", "\xfc", "\x01", "\U0001f600"):
            text = character * 5000
            self.app.log("info", text)
            line = self.outbox.waiting[-1][1]
            self.assertTrue(len(line.encode()) <= logs.LINE, len(line.encode()))
            self.assertTrue(json.loads(line)["msg"])


class Record:
    def __init__(self, name, levelno, message):
        self.name, self.levelno, self.message = name, levelno, message


class Root:
    handlers = ()
    level = 30

    def addHandler(self, handler):
        self.handlers += (handler,)

    def setLevel(self, level):
        self.level = level


class Logging(LogsTest):
    def test_what_is_logged_is_published(self):
        class logging:
            root = Root()

            @classmethod
            def getLogger(cls):
                return cls.root

        sys.modules["logging"] = logging
        self.start("debug")
        self.assertEqual((logging.root.handlers, logging.root.level), ((self.logs,), 10))
        for name, levelno, message in (
            ("root", 10, "d"), ("pump", 30, "w"), ("pump", 35, "w2"), ("x", 50, "c"),
            ("x", 99, "c2"), ("x", 3, "d2"),
        ):  # fmt: skip
            self.logs.emit(Record(name, levelno, message))
        self.run_for(5000)
        self.assertEqual(self.messages("debug"), ["d", "x: d2"])
        self.assertEqual(self.messages("warning"), ["pump: w", "pump: w2"])
        self.assertEqual(self.messages("critical"), ["x: c", "x: c2"])
        self.logs.close()


class Allocation(LogsTest):
    def test_a_turn_without_a_line_takes_nothing(self):
        import micropython

        mem_total = getattr(micropython, "mem_total", lambda: 0)
        self.run_for(70000)
        before = mem_total()
        for _ in range(100):
            self.logs.turn()
        self.assertEqual(mem_total() - before, 0)


if __name__ == "__main__":
    unittest.main()
