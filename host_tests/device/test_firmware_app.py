"""The device application against a stand-in clock, board and client: no time
passes, no network.
"""

import json
import unittest

import micropython

import failure
import unats
from app import App
from firmware_fakes import (
    PERIOD_MS,
    FakeBoard,
    FakeClient,
    FakeClock,
    FakeOutbox,
    FakeSensor,
    Said,
    Scratch,
    run_for,
)
from sensors import of

mem_total = getattr(micropython, "mem_total", lambda: 0)  # the Unix port has it


class AppTest(unittest.TestCase):
    def setUp(self):
        self.make()

    def make(self, sensors=None, outbox=None, start=0):
        self.clock = FakeClock(start)
        self.board = FakeBoard(self.clock)
        self.client = FakeClient(self.clock)
        sensors = of(self.board) if sensors is None else sensors
        self.outbox = FakeOutbox(self.client) if outbox is True else outbox
        self.app = App(self.client, self.clock, self.board, "dev", PERIOD_MS, sensors, self.outbox)
        self.said = self.app.say = Said()
        self.client.app = self.app
        self.app.start()

    def run_for(self, ms):
        run_for(self.app, self.clock, ms)

    def ask(self, name, data=b""):
        msg = self.client.send("devices.dev." + name, data)
        self.app.turn()
        return msg.replies

    def hellos(self):
        return [json.loads(text) for text in self.client.texts("devices.dev.hello")]


class Readings(AppTest):
    def test_each_kind_has_its_subject_and_payload(self):
        self.run_for(600)
        self.assertEqual(self.client.texts("sensors.dev.temp"), ['{"v":21.53,"seq":1,"up":0}'])
        self.assertEqual(self.client.texts("sensors.dev.heap"), ['{"v":100000,"seq":1,"up":0}'])
        self.assertEqual(self.client.texts("sensors.dev.uptime"), ['{"v":0,"seq":1,"up":0}'])
        self.assertEqual(self.client.texts("sensors.dev.rssi"), ['{"v":-60,"seq":1,"up":0}'])

    def test_one_reading_of_each_kind_per_period(self):
        self.run_for(10 * PERIOD_MS - 100)
        texts = self.client.texts("sensors.dev.temp")
        self.assertEqual([json.loads(t)["seq"] for t in texts], list(range(1, 11)))

    def test_periods_do_not_drift_with_the_time_that_a_turn_takes(self):
        self.run_for(600)
        for _ in range(9):
            self.clock.now += 730
            self.run_for(270)
        self.assertEqual(len(self.client.texts("sensors.dev.temp")), 10)

    def test_a_pause_is_not_made_up_for(self):
        self.run_for(600)
        self.clock.now += 100 * PERIOD_MS
        self.run_for(PERIOD_MS - 100)
        self.assertEqual(len(self.client.texts("sensors.dev.temp")), 2)

    def test_goes_on_over_the_wrap_of_ticks(self):
        self.make(start=FakeClock.PERIOD - 3 * PERIOD_MS)
        self.run_for(10 * PERIOD_MS - 100)
        self.assertEqual(len(self.client.texts("sensors.dev.temp")), 10)
        self.assertEqual(self.client.texts("sensors.dev.uptime")[-1], '{"v":9,"seq":10,"up":9}')

    def test_a_sensor_with_nothing_to_say_is_left_out(self):
        self.board.temperature = None
        self.run_for(600)
        self.assertEqual(self.client.texts("sensors.dev.temp"), [])
        self.assertEqual(len(self.client.texts("sensors.dev.heap")), 1)

    def test_floats_and_negative_values_are_rounded_to_the_decimals(self):
        sensors = [("a", FakeSensor(3.14159, 2)), ("b", FakeSensor(-5, 1)), ("c", FakeSensor(2.7))]
        self.make(sensors)
        self.run_for(600)
        values = [json.loads(self.client.texts("sensors.dev." + k)[0])["v"] for k in "abc"]
        self.assertEqual(values, [3.14, -0.5, 3])

    def test_what_could_not_be_sent_is_counted_and_leaves_a_gap_in_seq(self):
        self.make([("a", FakeSensor(1))])
        self.run_for(600)
        self.client.there = False
        self.client.lose()
        self.run_for(2 * PERIOD_MS)
        self.client.there = True
        self.run_for(PERIOD_MS)
        self.assertEqual(self.app.unsent, 2)
        seqs = [json.loads(t)["seq"] for t in self.client.texts("sensors.dev.a")]
        self.assertEqual(seqs, [1, 4])


class FailingSensors(AppTest):
    def setUp(self):
        self.bad = FakeSensor(OSError(5))
        self.make([("a", FakeSensor(1)), ("bad", self.bad), ("b", FakeSensor(2))])

    def errors(self):
        return [json.loads(text) for text in self.client.texts("devices.dev.error")]

    def test_the_others_go_on(self):
        self.run_for(3 * PERIOD_MS - 100)
        self.assertEqual(len(self.client.texts("sensors.dev.a")), 3)
        self.assertEqual(len(self.client.texts("sensors.dev.b")), 3)
        self.assertEqual(self.client.texts("sensors.dev.bad"), [])

    def test_reported_once_and_counted_each_time(self):
        self.run_for(3 * PERIOD_MS - 100)
        self.assertEqual(len(self.errors()), 1)
        self.assertEqual(self.errors()[0]["sensor"], "bad")
        self.assertIn("OSError", self.errors()[0]["error"])
        self.assertEqual(self.app.info()["sensor_errors"], {"bad": 3})

    def test_reported_again_after_it_had_recovered(self):
        self.run_for(PERIOD_MS - 100)
        self.bad.value = 7
        self.run_for(PERIOD_MS)
        self.bad.value = OSError(5)
        self.run_for(PERIOD_MS)
        self.assertEqual(len(self.errors()), 2)
        self.assertEqual(self.client.texts("sensors.dev.bad"), ['{"v":7,"seq":1,"up":1}'])

    def test_a_value_that_does_not_fit_the_payload_is_the_sensors_error(self):
        self.bad.value = 10**90
        self.run_for(PERIOD_MS - 100)
        self.assertEqual(self.errors()[0]["sensor"], "bad")
        self.assertEqual(len(self.client.texts("sensors.dev.b")), 1)

    def test_the_watchdog_is_fed_all_the_same(self):
        self.run_for(20 * PERIOD_MS)
        self.assertTrue(self.board.longest_hunger_ms <= 500, self.board.longest_hunger_ms)
        self.assertEqual(self.app.faults, 0)


class Led(AppTest):
    def setUp(self):
        self.make()
        self.run_for(600)

    def test_on_off_and_reading(self):
        self.assertEqual(self.ask("led", b"on"), [b"on"])
        self.assertEqual(self.board.lit, True)
        self.assertEqual(self.ask("led"), [b"on"])
        self.assertEqual(self.ask("led", b"off"), [b"off"])
        self.assertEqual(self.board.lit, False)
        self.assertEqual(self.ask("led"), [b"off"])

    def test_toggle(self):
        self.assertEqual(self.ask("led", b"toggle"), [b"on"])
        self.assertEqual(self.ask("led", b"toggle"), [b"off"])

    def test_a_command_is_taken_in_any_case_with_blanks_and_line_ends_around_it(self):
        for sent, lit in (
            (b"on\n", b"on"),
            (b"OFF", b"off"),
            (b" On\r\n", b"on"),
            (b"off \t", b"off"),
            (b"toggle\0", b"on"),
            (b"\r\n", b"on"),
            (b"off" + 61 * b" ", b"off"),
        ):
            self.assertEqual((sent, self.ask("led", sent)), (sent, [lit]))

    def test_anything_else_is_answered_with_what_it_should_have_been(self):
        for command in (b"o n", b"onn", b"blink", b"1", b"on\xff", b"\xc3\xa9", b"on" + 63 * b" "):
            replies = self.ask("led", command)
            self.assertEqual(len(replies), 1)
            self.assertTrue(replies[0].startswith(b"error: "), replies[0])
            for word in (b"on", b"off", b"toggle", b"nothing"):
                self.assertIn(word, replies[0])
        self.assertEqual(self.board.lit, False)

    def test_a_board_without_led_says_so(self):
        self.board.lit = None
        self.assertEqual(self.ask("led", b"on"), [b"error: no LED known"])
        self.assertIsNone(self.app.info()["led"])


class Info(AppTest):
    def test_it_tells_the_state_as_json(self):
        self.run_for(5 * PERIOD_MS - 100)
        info = json.loads(self.ask("info")[0])
        self.assertEqual(info["device"], "dev")
        self.assertEqual(info["board"], "fake")
        self.assertEqual(info["uptime"], self.clock.now // 1000)
        self.assertEqual(info["reset"], "power-on")
        self.assertEqual(info["connections"], 1)
        self.assertEqual(info["rssi"], -60)
        self.assertEqual(info["led"], False)
        self.assertEqual(info["heap_used"], 40000)
        self.assertEqual(info["heap_free"], 100000)
        self.assertEqual(info["readings"], {"temp": 5, "heap": 5, "uptime": 5, "rssi": 5})
        self.assertEqual(info["unsent"], 0)
        self.assertIsNone(info["outbox"])
        for key in ("machine", "micropython", "unats", "sensor_errors", "faults", "disconnected"):
            self.assertIn(key, info)


class FailingCommands(AppTest):
    def setUp(self):
        self.make()
        self.run_for(600)

    def fail(self, error):
        def info():
            raise error

        self.app.info = info

    def test_one_that_fails_is_answered_and_counted_and_the_turn_goes_on(self):
        self.fail(ValueError("abc"))
        self.assertEqual(self.ask("info", b"abc"), [b"error: ValueError: abc"])
        self.assertEqual(self.app.faults, 1)

    def test_nobody_starves_the_watchdog_by_commands(self):
        self.fail(MemoryError())
        for _ in range(100):
            self.ask("info")
            self.run_for(500)
        self.assertEqual(self.app.faults, 100)
        self.assertTrue(self.board.longest_hunger_ms <= 1000, self.board.longest_hunger_ms)

    def test_one_that_cannot_be_answered_either(self):
        msg = self.client.send("devices.dev.led", b"on")
        msg.respond_error = ValueError("reply subject")
        self.app.turn()
        self.assertEqual((self.board.lit, self.app.faults), (True, 1))


class Hello(AppTest):
    def test_once_per_connection_with_the_reasons(self):
        self.run_for(2 * PERIOD_MS)
        self.client.lose(OSError(104))
        self.run_for(2 * PERIOD_MS)
        first, second = self.hellos()
        expected = {"board": "fake", "reset": "power-on", "up": 0, "boot": None}
        expected.update({"connections": 1, "disconnected": None})
        self.assertEqual(first, expected)
        self.assertEqual(second["connections"], 2)
        self.assertIn("OSError: ", second["disconnected"])
        self.assertIn("104", second["disconnected"])

    def test_one_that_was_not_taken_is_sent_on_a_later_turn(self):
        publish = self.client.publish
        self.client.publish = lambda subject, payload: False
        self.run_for(600)
        self.client.publish = publish
        self.run_for(600)
        self.assertEqual(len(self.hellos()), 1)
        self.assertEqual(self.client.published[0][0], "devices.dev.hello")

    def test_what_failed_before_is_told_once_and_forgotten_after_five_good_minutes(self):
        scratch = Scratch()
        try:
            failure.keep(MemoryError("x"))
            self.app.failure = failure.kept()
            publish = self.client.publish
            self.client.publish = lambda subject, payload: False
            self.run_for(600)
            self.assertEqual(failure.kept(), "MemoryError: x")
            self.client.publish = publish
            self.run_for(600)
            self.assertEqual(failure.kept(), "")
            self.client.lose()
            self.run_for(600)
            self.assertEqual(failure.keep(MemoryError("y")), 10)  # s: the second one in a row
            self.run_for(300000)
            self.assertIsNone(failure.kept())
            self.assertEqual(failure.keep(MemoryError("z")), 5)
        finally:
            scratch.leave()
        told = [hello.get("failure") for hello in self.hellos()]
        self.assertEqual(told, ["MemoryError: x", None])

    def test_one_that_was_told_by_an_earlier_start_is_not_told_again(self):
        scratch = Scratch()
        try:
            failure.keep(MemoryError("x"))
            failure.told()
            self.app.failure = failure.kept()
            self.run_for(600)
            self.assertEqual(failure.kept(), "")
            self.run_for(300000)
            self.assertIsNone(failure.kept())
        finally:
            scratch.leave()
        self.assertEqual([hello.get("failure") for hello in self.hellos()], [None])

    def test_it_comes_before_the_first_reading(self):
        self.run_for(600)
        self.assertEqual(self.client.published[0][0], "devices.dev.hello")


class Starved(AppTest):
    def lose(self, times):
        for _ in range(times):
            self.app.on_event(self.client, "error", unats.Error("out of memory"))

    def test_no_memory_for_a_connection_again_and_again_leads_to_a_reset(self):
        self.make(outbox=True)
        self.run_for(1000)
        self.lose(4)
        self.assertFalse(self.app.hopeless())
        self.client.lose()
        self.run_for(1000)  # it has found one
        self.lose(4)
        self.app.on_event(self.client, "error", OSError(104))
        self.assertFalse(self.app.hopeless())
        self.lose(1)
        syncs = self.outbox.syncs
        with self.assertRaises(MemoryError):
            self.app.run()
        self.assertTrue(self.outbox.syncs > syncs)


class Allocation(AppTest):
    def test_a_turn_takes_nothing_from_the_heap(self):
        outbox = FakeOutbox(None)
        outbox.put = lambda subject, payload: True
        self.make(outbox=outbox)
        self.client.connected = True
        self.client.state = "connected"
        self.client.poll = lambda timeout_ms: 0
        self.app.due = 0
        self.assertEqual(self.taken(200), 0)
        self.assertTrue(self.app.channels[0].seq >= 200)

    def taken(self, turns):
        """Bytes that so many turns, with readings in each, have allocated (MicroPython counts)."""
        self.app.turn()
        before = mem_total()
        for _ in range(turns):
            self.clock.now += PERIOD_MS
            self.app.turn()
        return mem_total() - before


class Outages(AppTest):
    def assert_fed(self):
        self.assertTrue(self.board.longest_hunger_ms <= 500, self.board.longest_hunger_ms)

    def test_without_network_nothing_is_polled_and_the_watchdog_is_fed(self):
        self.board.network = False
        self.run_for(60000)
        self.assertEqual(self.client.polls, 0)
        self.assertEqual(self.client.starts, 0)
        self.assert_fed()
        self.board.network = True
        self.run_for(600)
        self.assertEqual(len(self.client.texts("sensors.dev.temp")), 1)

    def test_a_connection_is_polled_on_while_the_network_is_away(self):
        self.run_for(600)
        self.board.network = False
        before = self.client.polls
        self.run_for(600)
        self.assertTrue(self.client.polls > before)

    def test_without_server_the_client_is_polled_and_the_watchdog_is_fed(self):
        self.client.there = False
        self.run_for(60000)
        self.assertEqual(self.client.starts, 1)
        self.assertTrue(self.client.polls > 200)
        self.assertEqual(self.client.published, [])
        self.assert_fed()

    def test_a_client_that_gave_up_is_started_again_after_a_while(self):
        self.client.there = False
        self.run_for(1000)
        self.client.state = "closed"
        self.run_for(1000)
        self.assertEqual(self.client.starts, 1)
        self.run_for(9000)
        self.assertEqual(self.client.starts, 2)

    def test_a_connect_that_raises_is_tried_again_at_a_bounded_rate(self):
        self.client.connect_error = OSError(-2)
        self.run_for(60000)
        self.assertTrue(5 <= self.client.starts <= 7, self.client.starts)
        self.assert_fed()
        self.client.connect_error = None
        self.run_for(11000)
        self.assertTrue(self.client.connected)

    def test_no_turn_waits_longer_than_a_quarter_of_a_second(self):
        self.run_for(20 * PERIOD_MS)
        self.assertTrue(self.client.longest_wait_ms <= 250, self.client.longest_wait_ms)


class WithOutbox(AppTest):
    def setUp(self):
        self.make([("a", FakeSensor(1))], outbox=True)

    def readings(self):
        return [json.loads(text) for text in self.client.texts("sensors.dev.a")]

    def test_readings_go_through_it(self):
        self.run_for(2 * PERIOD_MS)
        self.assertEqual(self.client.texts("sensors.dev.a")[0], '{"v":1,"seq":1,"up":0,"boot":3}')
        self.assertTrue(self.outbox.polls > 2)

    def test_what_is_due_before_the_first_connection_is_taken_and_tells_when(self):
        self.client.there = False
        self.run_for(5 * PERIOD_MS - 100)
        self.assertEqual(len(self.outbox), 5)
        self.client.there = True
        self.run_for(PERIOD_MS)
        self.assertEqual([r["seq"] for r in self.readings()], list(range(1, 7)))
        self.assertEqual([r["up"] for r in self.readings()], list(range(6)))
        self.assertEqual(self.app.unsent, 0)

    def test_none_is_missing_after_an_outage_and_none_came_late_or_twice(self):
        self.run_for(3 * PERIOD_MS)
        self.client.there = False
        self.client.lose(OSError(104))
        self.run_for(20 * PERIOD_MS)
        self.client.there = True
        self.run_for(3 * PERIOD_MS)
        readings = self.readings()
        self.assertEqual([r["seq"] for r in readings], list(range(1, len(readings) + 1)))
        self.assertTrue(len(readings) >= 25, len(readings))
        self.assertEqual([r["up"] for r in readings], list(range(len(readings))))

    def test_without_network_it_is_served_and_the_watchdog_is_fed(self):
        self.board.network = False
        self.run_for(10 * PERIOD_MS - 100)
        self.assertEqual(len(self.outbox), 10)
        self.assertTrue(self.outbox.polls > 30)  # it writes to flash then
        self.assertTrue(self.board.longest_hunger_ms <= 500, self.board.longest_hunger_ms)

    def test_flash_that_takes_its_time_does_not_starve_the_watchdog(self):
        self.board.network = False
        self.outbox.poll = lambda: self.clock.sleep_ms(1500)
        self.run_for(20 * PERIOD_MS)
        self.assertTrue(self.board.longest_hunger_ms <= 2000, self.board.longest_hunger_ms)
        self.assertEqual(self.app.faults, 0)

    def test_what_it_does_not_take_is_counted(self):
        self.outbox.size = 2
        self.client.there = False
        self.run_for(5 * PERIOD_MS - 100)
        self.assertEqual(self.app.unsent, 3)

    def test_its_figures_are_in_info(self):
        self.run_for(3 * PERIOD_MS - 100)
        info = json.loads(self.ask("info")[0])
        expected = dict.fromkeys(
            ("waiting", "resent", "dropped", "damaged", "rejected", "unverified"), 0
        )
        expected.update({"ack": "stream", "acked": 3, "unconfirmed": 0, "error": None})
        self.assertEqual(info["outbox"], expected)
        self.assertEqual((info["boot"], self.hellos()[0]["boot"]), (3, 3))

    def test_a_refusal_is_told_once_and_readings_are_kept(self):
        self.run_for(PERIOD_MS - 100)
        for _ in range(3):  # each try gives another one, of the same text
            self.outbox.last_error = unats.NoResponders("no stream takes this subject")
            self.run_for(PERIOD_MS)
        errors = [json.loads(text) for text in self.client.texts("devices.dev.error")]
        self.assertEqual(len(errors), 1)
        self.assertIn("no stream takes this subject", errors[0]["outbox"])
        self.assertEqual(errors[0]["waiting"], 1)
        self.assertEqual(len([text for text in self.said if "not accepted" in text]), 1)
        self.outbox.last_error = None
        self.run_for(PERIOD_MS)
        self.assertEqual([r["seq"] for r in self.readings()], [1, 2, 3, 4, 5])

    def test_one_that_fails_does_not_end_the_loop_and_leaves_the_watchdog_hungry(self):
        self.run_for(PERIOD_MS - 100)
        fed = self.board.fed_at
        self.outbox.poll_error = MemoryError()
        self.run_for(3 * PERIOD_MS)
        self.assertTrue(self.app.faults > 0)
        self.assertEqual(self.board.fed_at, fed)

    def test_ctrl_c_puts_what_waits_into_flash(self):
        self.client.there = False
        self.run_for(2 * PERIOD_MS - 100)
        self.client.poll_error = KeyboardInterrupt()
        self.app.start = lambda: None
        self.app.run()
        self.assertEqual(len(self.outbox.in_flash), 2)
        self.assertTrue(self.client.closed)

    def test_it_is_said_when_flash_does_not_take_them(self):
        self.outbox.flash_works = False
        self.client.there = False
        self.run_for(PERIOD_MS - 100)
        self.app.stop()
        self.assertIn("1 readings are in RAM only", self.said)


class Faults(AppTest):
    def test_an_exception_in_the_loop_is_counted_and_the_loop_goes_on(self):
        self.run_for(600)
        self.client.poll_error = RuntimeError("from a handler")
        self.run_for(1000)
        self.assertTrue(self.app.faults > 0)
        self.client.poll_error = None
        self.run_for(2 * PERIOD_MS)
        self.assertTrue(len(self.client.texts("sensors.dev.temp")) >= 3)

    def test_a_failure_that_cannot_even_be_told_does_not_end_the_loop(self):
        def say(text, level=None):
            raise MemoryError

        self.run_for(600)
        self.app.say = say
        self.client.poll_error = MemoryError()
        self.run_for(1000)
        self.client.poll_error = None
        self.run_for(PERIOD_MS)
        self.assertTrue(len(self.client.texts("sensors.dev.temp")) >= 2)

    def test_turns_that_only_fail_do_not_feed_the_watchdog(self):
        self.run_for(600)
        fed = self.board.fed_at
        self.client.poll_error = RuntimeError("always")
        self.run_for(9000)
        self.assertEqual(self.board.fed_at, fed)

    def test_when_nothing_but_failures_is_left_the_last_one_is_raised(self):
        self.make([("a", FakeSensor(1))], outbox=True)
        self.client.there = False
        self.run_for(2 * PERIOD_MS - 100)
        self.client.poll_error = RuntimeError("always")
        before = self.clock.now
        self.app.start = lambda: None
        self.assertRaises(RuntimeError, self.app.run)
        self.assertTrue(5000 <= self.clock.now - before <= 6000, self.clock.now - before)
        self.assertEqual(len(self.outbox.in_flash), 2)
        self.assertFalse(self.board.released)

    def test_also_if_flash_takes_nothing(self):
        self.make([("a", FakeSensor(1))], outbox=True)
        self.outbox.poll_error = MemoryError()
        self.outbox.sync = lambda: 1 // 0
        self.assertRaises(MemoryError, self.app.run)

    def test_failures_with_good_turns_between_them_do_not_end_it(self):
        poll = self.client.poll
        turns = []

        def sometimes(timeout_ms=0):
            turns.append(self.clock.now)
            if len(turns) > 500:
                raise KeyboardInterrupt
            if len(turns) % 10:
                raise RuntimeError
            return poll(timeout_ms)

        self.client.poll = sometimes
        self.app.run()
        self.assertTrue(self.clock.now > 100000 and self.board.released)

    def test_ctrl_c_reaches_the_prompt_even_if_stopping_fails(self):
        self.make([("a", FakeSensor(1))], outbox=True)
        self.client.poll_error = KeyboardInterrupt()
        self.outbox.sync = lambda: 1 // 0
        self.app.run()
        self.assertTrue(self.board.released)

    def test_ctrl_c_closes_the_client_and_releases_the_watchdog(self):
        self.client.poll_error = KeyboardInterrupt()
        self.app.run()
        self.assertTrue(self.client.closed)
        self.assertTrue(self.board.released)


if __name__ == "__main__":
    unittest.main()
