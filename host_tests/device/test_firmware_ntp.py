"""A board's clock: not set at the start, it is asked for until it is, before there is a
connection.
"""

import unittest

import unats
from app import App
from firmware_fakes import PERIOD_MS, FakeBoard, FakeClient, FakeClock, FakeOutbox, Said
from ntp import Ntp
from sensors import of
from wake import Wake


class DatedClock(FakeClock):
    year = 2021

    def gmtime(self):
        return (self.year, 5, 4, 3, 2, 1, 0, 0)


class ClockBoard(FakeBoard):
    """Asking takes `asking_ms`, and fails with `error`, or leads to `year`."""

    error = None
    year = 2026
    asking_ms = 1000

    def __init__(self, clock):
        super().__init__(clock)
        self.asked = []

    def set_clock(self, host):
        self.asked.append((host, self._clock.now))
        self._clock.now += self.asking_ms
        if self.error:
            raise self.error
        self._clock.year = self.year


class FakeNames:
    """Answers after so many polls, with an address or an OSError."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def start(self, host):
        self.asked.append(host)
        self.after, self.answer = self.answers.pop(0)

    def poll(self):
        self.after -= 1
        if self.after >= 0:
            return None
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer, "10.0.0.99"]


class NtpTest(unittest.TestCase):
    def setUp(self):
        self.clock = DatedClock(FakeClock.PERIOD - 3000)
        self.board = ClockBoard(self.clock)
        self.client = FakeClient(self.clock)
        self.outbox = FakeOutbox(self.client)
        self.app = App(
            self.client, self.clock, self.board, "dev", PERIOD_MS, of(self.board), self.outbox
        )
        self.said = self.app.say = Said()
        self.client.app = self.app
        self.app.time = Ntp(self.board, self.clock, "10.0.0.1", self.app.say)
        self.app.start()

    def run_for(self, ms):
        until = self.clock.now + ms
        while self.clock.now < until:
            self.clock.now += 1
            self.app.turn()

    def test_it_is_set_before_connecting(self):
        self.app.turn()
        self.assertEqual([host for host, _ in self.board.asked], ["10.0.0.1"])
        self.assertEqual(self.client.starts, 1)
        self.assertTrue("the clock is 2026-05-04 03:02 UTC" in self.said, self.said)
        self.run_for(30000)
        self.assertEqual(len(self.board.asked), 1)

    def test_a_clock_that_is_set_is_left_alone(self):
        for year in (2024, 2031):
            self.setUp()
            self.clock.year = year
            self.run_for(1000)
            self.assertEqual((self.board.asked, self.client.starts), ([], 1))

    def test_epochs_of_either_kind_are_no_time(self):
        for year in (1970, 2000, 2021, 2023):
            self.setUp()
            self.clock.year = year
            self.app.turn()
            self.assertEqual(len(self.board.asked), 1)

    def test_without_a_network_nobody_is_asked(self):
        self.board.network = False
        self.run_for(30000)
        self.assertEqual((self.board.asked, self.client.starts), ([], 0))

    def test_a_server_that_does_not_answer_is_asked_again_and_that_is_told_once(self):
        for error in (OSError(110), IndexError("short"), ValueError(), OverflowError("x")):
            self.setUp()
            self.board.error = error
            self.run_for(45000)
            times = [at for _, at in self.board.asked]
            self.assertTrue(4 <= len(times) <= 5, times)
            self.assertTrue(min([b - a for a, b in zip(times, times[1:])]) >= 10000)
            self.assertEqual(len([text for text in self.said if "clock is not set" in text]), 1)
            self.assertEqual(self.client.starts, 0)
            self.assertEqual(self.app.faults, 0)
            self.board.error = None
            self.run_for(12000)
            self.assertEqual(self.client.starts, 1)

    def test_a_time_that_cannot_be_is_no_time(self):
        self.board.year = 2000
        self.run_for(15000)
        self.assertTrue(len(self.board.asked) >= 2)
        self.assertEqual(self.client.starts, 0)
        self.assertTrue([text for text in self.said if "cannot be" in text])

    def test_the_watchdog_is_fed_before_and_after_each_attempt(self):
        self.board.error = OSError(110)
        self.board.asking_ms = 7000
        self.run_for(60000)
        self.assertTrue(self.board.longest_hunger_ms <= 7300, self.board.longest_hunger_ms)

    def test_readings_are_taken_meanwhile(self):
        self.board.error = OSError(110)
        self.board.asking_ms = 1
        self.run_for(5000)
        self.assertTrue(len(self.outbox.waiting) >= 5)

    def test_a_board_that_sleeps_does_not_wait_for_the_time_longer_than_for_a_server(self):
        for error, waiting in ((None, 0), (OSError(110), 4)):
            self.setUp()
            self.board.cause = "deep sleep"
            self.board.error = error
            start = self.clock.now
            Wake(self.app, self.clock, 60000, 20000).run()
            self.assertEqual((self.board.slept_ms, len(self.outbox.in_flash)), (60000, waiting))
            self.assertTrue(self.clock.now - start <= 21100, self.clock.now - start)

    def test_its_name_is_looked_up_without_waiting(self):
        names = FakeNames((20, "10.0.0.7"))
        self.app.time = Ntp(self.board, self.clock, "time.example", self.app.say, names)
        start = self.clock.now
        while not self.client.starts:
            before = self.clock.now
            self.app.turn()
            self.assertTrue(self.board.asked or self.clock.now - before <= 250)
        self.assertEqual(names.asked, ["time.example"])
        self.assertEqual([host for host, _ in self.board.asked], ["10.0.0.7"])
        self.assertTrue(self.clock.now - start <= 7000)

    def test_a_name_without_an_address_is_looked_up_again_and_that_is_told_once(self):
        errors = [(3, OSError(-2, "no such name"))] * 3
        names = FakeNames(*(errors + [(0, "10.0.0.7")]))
        self.app.time = Ntp(self.board, self.clock, "time.example", self.app.say, names)
        self.run_for(29000)
        self.assertEqual((len(names.asked), self.board.asked, self.client.starts), (3, [], 0))
        self.assertEqual(len([text for text in self.said if "no such name" in text]), 1)
        self.run_for(10000)
        self.assertEqual((len(names.asked), self.client.starts, self.app.faults), (4, 1, 0))

    def test_an_address_that_does_not_answer_is_asked_for_again(self):
        names = FakeNames((0, "10.0.0.7"), (0, "10.0.0.8"))
        self.app.time = Ntp(self.board, self.clock, "time.example", self.app.say, names)
        self.board.error = OSError(110)
        self.run_for(5000)
        self.board.error = None
        self.run_for(15000)
        self.assertEqual([host for host, _ in self.board.asked], ["10.0.0.7", "10.0.0.8"])

    def test_a_connection_that_is_there_needs_no_clock(self):
        self.app.turn()
        self.run_for(1000)
        self.clock.year = 2021
        self.client.lose(unats.NotConnected("x"))
        self.run_for(1000)
        self.assertTrue(self.client.connected)


if __name__ == "__main__":
    unittest.main()
