"""What is kept of a failure until the next hello, and what is not told of it."""

import json
import os
import unittest

import failure
from firmware_fakes import Scratch

SETTINGS = {
    "server": "nats://board:in-the-url@10.0.0.1, nats://a-token@10.0.0.2",
    "wifi_password": "of the wifi",
    "password": "of the user",
    "token": "a-token-too",
}


class Failure(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.put("settings.json", json.dumps(SETTINGS))

    def tearDown(self):
        failure.PATH = "failure.txt"
        self.scratch.leave()

    def put(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def test_kind_and_text_are_kept_until_they_are_told(self):
        self.assertIsNone(failure.kept())
        failure.keep(OSError(5, "EIO"))
        self.assertTrue(failure.kept().startswith("OSError: "), failure.kept())
        self.assertIn("EIO", failure.kept())
        failure.told()
        self.assertEqual(failure.kept(), "")
        failure.forget()
        self.assertIsNone(failure.kept())
        failure.forget()

    def test_one_that_was_told_counts_all_the_same(self):
        failure.keep(OSError(5))
        failure.told()
        self.assertEqual(failure.keep(OSError(6)), 10)
        self.assertIn("(2 times)", failure.kept())

    def test_one_without_text(self):
        failure.keep(MemoryError())
        self.assertEqual(failure.kept(), "MemoryError")

    def test_waits_grow_up_to_five_minutes(self):
        waits = [failure.keep(OSError(number)) for number in range(8)]
        self.assertEqual(waits, [5, 10, 20, 40, 80, 160, 300, 300])
        self.assertIn("(8 times)", failure.kept())
        failure.forget()
        self.assertEqual(failure.keep(OSError(1)), 5)

    def test_text_is_bounded(self):
        failure.keep(ValueError("many words\r\n and lines\0 " * 1000))
        self.assertTrue(len(failure.kept()) <= 120)
        self.assertFalse("\n" in failure.kept())
        self.assertTrue(os.stat(failure.PATH)[6] < 140 + 120 + 6 * 100)

    def test_a_secret_is_not_told(self):
        seed = "SU" + 56 * "A"
        for secret in ("in-the-url", "a-token", "of the wifi", "of the user", "a-token-too", seed):
            failure.keep(ValueError("invalid syntax for integer: '%s'" % secret))
            self.assertFalse(secret in failure.kept(), failure.kept())
            self.assertTrue(failure.kept().startswith("ValueError: (left out"))

    def test_without_settings_there_is_none(self):
        os.remove("settings.json")
        self.assertEqual(failure.text_of(ValueError("a-token")), "ValueError: a-token")

    def test_with_settings_that_cannot_be_read_only_the_kind_is_told(self):
        for text in ("{", "[]", '{"server": 7}', '{"server": "x", "token": 7}'):
            self.put("settings.json", text)
            self.assertEqual(failure.text_of(ValueError("a-token")).find("a-token"), -1)

    def test_flash_that_takes_nothing(self):
        failure.PATH = "no-such-folder/failure.txt"
        self.assertEqual([failure.keep(OSError(5)) for _ in range(3)], [60, 60, 60])
        self.assertIsNone(failure.kept())

    def test_a_file_that_somebody_else_wrote(self):
        for text in ("", "7", "x\ny", "\n", "-3\n", "9" * 200, "1\n" + 500 * "z"):
            self.put(failure.PATH, text)
            self.assertTrue(len(failure.kept() or "") <= 120, text)
            self.assertTrue(0 < failure.keep(OSError(5)) <= 300)
        with open(failure.PATH, "wb") as file:
            file.write(b"1\n\xff\xfe")
        failure.kept()


if __name__ == "__main__":
    unittest.main()
