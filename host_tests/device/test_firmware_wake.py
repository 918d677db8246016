"""A board that sleeps, against stand-ins: how long it is awake, what it sends, and what it leaves
in flash.
"""

import json
import unittest

from app import App
from firmware_fakes import (
    PERIOD_MS,
    FakeBoard,
    FakeClient,
    FakeClock,
    FakeOutbox,
    FakeSensor,
    Said,
)
from wake import Wake

SLEEP_MS = 60000
AWAKE_MS = 20000


class JoiningBoard(FakeBoard):
    """Has a network from `joined_at` on, and no signal before."""

    joined_at = 0

    def network_up(self):
        self.network = self._clock.now >= self.joined_at
        return super().network_up()


class WakeTest(unittest.TestCase):
    def setUp(self):
        self.clock = FakeClock()
        self.board = JoiningBoard(self.clock)
        self.board.cause = "deep sleep"
        self.client = FakeClient(self.clock)
        self.outbox = FakeOutbox(self.client)
        self.sensors = [("a", FakeSensor(7)), ("rssi", FakeSensor(None))]
        self.sensors[1][1].read = self.board.rssi
        self.said = Said()

    def wake(self, failure=None):
        app = App(self.client, self.clock, self.board, "dev", PERIOD_MS, self.sensors, self.outbox)
        app.say = self.said
        app.failure = failure
        self.client.app = app
        Wake(app, self.clock, SLEEP_MS, AWAKE_MS).run()

    def assert_asleep(self, within_ms):
        self.assertEqual(self.board.slept_ms, SLEEP_MS)
        self.assertTrue(self.clock.now <= within_ms, self.clock.now)
        self.assertTrue(self.client.closed)
        self.assertTrue(self.board.longest_hunger_ms <= 500, self.board.longest_hunger_ms)

    def subjects(self):
        return [subject for subject, _ in self.client.published]

    def test_it_sends_a_reading_of_each_sensor_and_sleeps_at_once(self):
        self.wake()
        self.assert_asleep(within_ms=200)
        self.assertEqual(self.subjects(), ["sensors.dev.a", "sensors.dev.rssi"])
        self.assertEqual(self.client.published[0][1], '{"v":7,"seq":1,"up":0,"boot":3}')
        self.assertEqual(self.outbox.in_flash, [])

    def test_it_subscribes_to_no_commands_and_says_no_hello(self):
        self.wake()
        self.assertEqual(self.client.handlers, {})

    def test_but_to_tell_what_failed_before(self):
        self.wake("MemoryError: x")
        self.assert_asleep(within_ms=200)
        hello = json.loads(self.client.texts("devices.dev.hello")[0])
        self.assertEqual(hello["failure"], "MemoryError: x")
        self.assertEqual(len(self.client.texts("devices.dev.hello")), 1)
        self.assertEqual(self.client.flushes[0], self.subjects().index("devices.dev.hello") + 1)

    def test_readings_are_taken_at_once_but_those_that_need_the_network(self):
        self.board.joined_at = 4000
        self.wake()
        self.assert_asleep(within_ms=4500)
        ups = [text.split('"up":')[1].split(",")[0] for _, text in self.client.published]
        self.assertEqual(ups, ["0", "4"])

    def test_without_network_they_are_in_flash_and_it_sleeps_in_bounded_time(self):
        self.board.joined_at = 10**9
        self.wake()
        self.assert_asleep(within_ms=AWAKE_MS + 100)
        self.assertEqual([subject for subject, _ in self.outbox.in_flash], ["sensors.dev.a"])
        self.assertEqual(self.client.starts, 0)

    def test_without_server_likewise(self):
        self.client.there = False
        self.wake()
        self.assert_asleep(within_ms=AWAKE_MS + 100)
        self.assertEqual(len(self.outbox.in_flash), 2)

    def test_a_server_that_does_not_confirm_likewise(self):
        self.outbox.confirms = False
        self.wake()
        self.assert_asleep(within_ms=AWAKE_MS + 100)
        self.assertEqual(len(self.outbox.in_flash), 2)

    def test_what_waits_from_earlier_is_sent_too(self):
        self.outbox.waiting = [("sensors.dev.a", "earlier")]
        self.wake()
        self.assertEqual(self.client.published[0], ("sensors.dev.a", "earlier"))
        self.assert_asleep(within_ms=200)

    def test_whatever_fails_it_sleeps_with_the_readings_in_flash(self):
        for error in (OSError(5), MemoryError(), RuntimeError("from a handler")):
            self.setUp()
            self.client.poll_error = self.client.close_error = error
            self.wake()
            self.assert_asleep(within_ms=AWAKE_MS)
            self.assertEqual(len(self.outbox.in_flash), 2)
            told = [text for text in self.said if "this wake failed" in text]
            self.assertTrue(len(told) >= 2 and repr(error) in told[0], told)

    def test_a_sensor_that_fails_costs_its_own_reading_only(self):
        self.sensors.insert(0, ("bad", FakeSensor(OSError(5))))
        self.wake()
        self.assert_asleep(within_ms=200)
        self.assertEqual(self.subjects(), ["sensors.dev.a", "sensors.dev.rssi"])

    def test_after_power_on_there_is_time_for_ctrl_c(self):
        self.board.cause = "power-on"
        self.wake()
        self.assert_asleep(within_ms=10300)
        self.assertTrue(self.clock.now >= 10000)
        self.assertTrue("sleeps in 10 s, unless Ctrl-C comes now" in self.said)

    def test_ctrl_c_keeps_it_awake_with_the_readings_in_flash(self):
        self.client.poll_error = KeyboardInterrupt()
        self.wake()
        self.assertIsNone(self.board.slept_ms)
        self.assertTrue(self.board.released)
        self.assertEqual(len(self.outbox.in_flash), 2)

    def test_flash_that_takes_nothing_is_told_and_it_sleeps(self):
        self.client.there = False
        self.outbox.flash_works = False
        self.wake()
        self.assert_asleep(within_ms=AWAKE_MS + 100)
        self.assertTrue("flash takes nothing" in self.said[-1], self.said)


if __name__ == "__main__":
    unittest.main()
