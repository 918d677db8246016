"""What a board tells of itself in the bucket of presences, and when."""

import json
import unittest

from app import App
from firmware_fakes import PERIOD_MS, FakeBoard, FakeClient, FakeClock, FakeSensor, Said
from parts import Parts
from presence import Presence
from unats.errors import Error
from unats.jetstream import JetStreamError

EVERY_S = 30


class FakeJetStream:
    """Takes what is published, as (state, ttl_s), and answers at once with `error`."""

    def __init__(self):
        self.put = []
        self.error = None
        self.subject = self.value = None
        self.answers = True

    def publish(self, subject, payload, msg_id, handler, ttl_s=None):
        self.subject, self.value = subject, json.loads(payload)
        self.put.append((self.value["state"], ttl_s))
        if self.answers:
            handler(None if self.error else self, self.error)


class Told(unittest.TestCase):
    def setUp(self):
        self.make()

    def make(self, version="2.11.0"):
        self.clock = FakeClock()
        self.client = FakeClient(self.clock)
        self.client.version = version
        self.board = FakeBoard(self.clock)
        self.app = App(
            self.client, self.clock, self.board, "dev", PERIOD_MS, [("a", FakeSensor(1))]
        )
        self.client.app = self.app
        self.said = self.app.say = Said()
        self.presence = Presence(self.app, EVERY_S)
        self.js = self.presence._js = FakeJetStream()
        self.app.parts = Parts(self.app)
        self.app.parts.add("presence", lambda module: self.presence)
        self.app.start()

    def run_for(self, ms):
        until = self.clock.now + ms
        while self.clock.now < until:
            self.clock.limit = until
            self.app.turn()
        self.clock.limit = None

    def test_with_each_connection_and_then_every_period(self):
        self.run_for(3 * 1000 * EVERY_S + 1000)
        self.assertEqual(self.js.put, [("up", 40)] * 4)
        self.assertEqual(self.js.subject, "$KV.presence.dev")
        self.client.lose()
        self.run_for(1000)
        self.assertEqual(len(self.js.put), 5)

    def test_not_while_there_is_no_connection(self):
        self.client.there = False
        self.run_for(10 * 1000 * EVERY_S)
        self.assertEqual(self.js.put, [])

    def test_what_it_holds(self):
        self.board.cause = "watchdog"
        self.run_for(1000)
        value = self.js.value
        self.assertEqual((value["state"], value["reset"], value["rssi"]), ("up", "watchdog", -60))
        self.assertEqual((value["address"], value["boot"]), ("10.0.0.7", None))
        self.assertEqual(value["version"], self.app.version)
        self.assertEqual((value["every_s"], value["ttl_s"]), (EVERY_S, 40))
        self.assertTrue(value["micropython"].count(".") == 2 and isinstance(value["mpy"], int))

    def test_a_server_before_2_11_is_told_without_expiry_and_the_board_says_so(self):
        for version in ("2.10.26", "1.4.1"):
            self.make(version)
            self.run_for(2000 * EVERY_S - 500)
            self.assertEqual(self.js.put, [("up", None)] * 2)
            self.assertEqual(self.js.value["ttl_s"], None)
            self.assertEqual(len([text for text in self.said if "2.11" in text]), 1)

    def test_versions_of_any_shape(self):
        for version in ("2.11.0-RC.1", "3.0", "", "x.y", "2"):
            self.make(version)
            self.run_for(1000)
            self.assertEqual(self.js.put, [("up", 40)])

    def test_a_bucket_without_expiry_gets_it_without_at_once(self):
        self.js.error = JetStreamError({"code": 400, "err_code": 10166, "description": "no"})
        self.run_for(100)
        self.js.error = None
        self.run_for(1000)
        self.assertEqual(self.js.put, [("up", 40), ("up", None)])
        self.assertEqual(len([text for text in self.said if "marker_ttl_s" in text]), 1)

    def test_a_refusal_is_said_once_and_tried_again_with_the_next_period(self):
        self.js.error = Error("nobody answers")
        self.run_for(3000 * EVERY_S - 500)
        self.assertEqual(len(self.js.put), 3)
        self.assertEqual(self.said.count("its presence is not told: nobody answers"), 1)
        self.js.error = None
        self.run_for(1000 * EVERY_S)
        self.js.error = Error("nobody answers")
        self.run_for(1000 * EVERY_S)
        self.assertEqual(self.said.count("its presence is not told: nobody answers"), 2)

    def test_leaving_is_told_first(self):
        self.run_for(1000)
        self.app.parts.leave("asleep", 600)
        self.assertEqual(self.js.put[-1], ("asleep", 840))
        self.assertEqual(self.js.value["wake_s"], 600)
        self.app.parts.leave("update")
        self.assertEqual(self.js.put[-1], ("update", 40))
        self.app.stop()
        self.assertEqual(self.js.put[-1], ("stopped", None))

    def test_leaving_takes_two_seconds_at_most(self):
        self.run_for(1000)
        self.js.answers = False
        before = self.clock.now
        self.app.parts.leave("update")
        self.assertTrue(2000 <= self.clock.now - before <= 2100)
        self.client.lose()
        self.app.parts.leave("update")
        self.assertTrue(self.clock.now - before <= 2100)

    def test_what_fails_in_it_costs_no_reading(self):
        def fail(*args, **options):
            raise MemoryError("no room")

        self.js.publish = fail
        self.run_for(3 * PERIOD_MS - 100)
        self.app.parts.leave("stopped")
        self.assertEqual(len(self.client.texts("sensors.dev.a")), 3)
        self.assertEqual(
            len([text for text in self.said if text.startswith("Presence failed")]), 1
        )
        self.assertTrue(self.app.faults > 0 and self.board.longest_hunger_ms <= 250)

    def test_a_part_without_room_is_left_out_and_the_readings_go_on(self):
        def make(module):
            raise MemoryError("no room")

        self.app.parts.add("presence", make)
        self.assertIn("presence is left out: MemoryError: no room", self.said)
        self.run_for(3 * PERIOD_MS - 100)
        self.assertEqual(len(self.client.texts("sensors.dev.a")), 3)


if __name__ == "__main__":
    unittest.main()
