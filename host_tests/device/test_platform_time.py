"""What the client relies on in `utime`: the same on MicroPython and in the shim.

The period is 2**30 on boards and in the shim; the 64-bit Unix port's is longer.
"""

import unittest

import utime

PERIOD = utime.ticks_add(0, -1) + 1
HALF = PERIOD // 2


class Ticks(unittest.TestCase):
    def test_period_is_a_boards_or_the_unix_ports(self):
        self.assertIn(PERIOD, (1 << 30, 1 << 62))

    def test_add_wraps_both_ways(self):
        self.assertEqual(utime.ticks_add(PERIOD - 1, 1), 0)
        self.assertEqual(utime.ticks_add(PERIOD - 1, 10), 9)
        self.assertEqual(utime.ticks_add(5, -6), PERIOD - 1)

    def test_diff_is_signed_and_right_across_the_wrap(self):
        self.assertEqual(utime.ticks_diff(7, 3), 4)
        self.assertEqual(utime.ticks_diff(3, 7), -4)
        self.assertEqual(utime.ticks_diff(5, PERIOD - 5), 10)
        self.assertEqual(utime.ticks_diff(PERIOD - 5, 5), -10)

    def test_diff_of_half_a_period_or_more_turns_negative(self):
        self.assertEqual(utime.ticks_diff(HALF - 1, 0), HALF - 1)
        self.assertEqual(utime.ticks_diff(HALF, 0), -HALF)
        self.assertEqual(utime.ticks_diff(HALF + 1, 0), 1 - HALF)

    def test_add_refuses_what_diff_could_not_tell(self):
        self.assertEqual(utime.ticks_diff(utime.ticks_add(9, HALF - 1), 9), HALF - 1)
        self.assertEqual(utime.ticks_diff(utime.ticks_add(9, 1 - HALF), 9), 1 - HALF)
        for delta in (HALF, -HALF):
            with self.assertRaises(OverflowError):
                utime.ticks_add(9, delta)

    def test_clocks_stay_in_the_period_and_move_on(self):
        for clock in (utime.ticks_ms, utime.ticks_us):
            start = clock()
            self.assertTrue(0 <= start < PERIOD)
            while utime.ticks_diff(clock(), start) <= 0:
                utime.sleep_us(100)


class Date(unittest.TestCase):
    def test_gmtime_counts_from_1970_here(self):
        self.assertEqual(utime.gmtime(0)[:8], (1970, 1, 1, 0, 0, 0, 3, 1))
        self.assertEqual(utime.gmtime(1704164645)[:8], (2024, 1, 2, 3, 4, 5, 1, 2))

    def test_time_is_now(self):
        self.assertTrue(utime.gmtime()[0] >= 2024)
        self.assertTrue(abs(utime.time() - utime.time_ns() // 1000000000) <= 1)


if __name__ == "__main__":
    unittest.main()
