"""The chip's watchdog, before there is a board; what it does for one stands in
test_firmware_boards.py.
"""

import unittest

import watchdog


class FakeDog:
    def __init__(self, timeout):
        if timeout > 8388:
            raise ValueError("timeout exceeds 8388")
        self.timeout = timeout
        self.feeds = 0

    def feed(self):
        self.feeds += 1


class FakeMachine:
    WDT = FakeDog


class Watchdog(unittest.TestCase):
    def setUp(self):
        self.kept = watchdog.machine
        watchdog.machine = FakeMachine

    def tearDown(self):
        watchdog.machine, watchdog._dog = self.kept, None

    def test_it_runs_from_its_start_on_and_is_fed(self):
        watchdog.feed()
        watchdog.start()
        watchdog.feed()
        self.assertTrue(watchdog._dog.timeout <= 8388)
        self.assertEqual(watchdog._dog.feeds, 1)

    def test_a_limit_that_the_chip_does_not_take_leaves_the_one_before(self):
        watchdog.start(5000)
        self.assertRaises(ValueError, watchdog.start, 16700)
        self.assertEqual(watchdog._dog.timeout, 5000)

    def test_a_port_without_one_has_none(self):
        for machine in (None, object()):
            watchdog.machine = machine
            watchdog.start()
            watchdog.feed()
            watchdog.release()
            self.assertIsNone(watchdog._dog)


if __name__ == "__main__":
    unittest.main()
