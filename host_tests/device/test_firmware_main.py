"""The wiring: which modules and which outbox the settings lead to, and what a flash without room leads to."""

import os
import unittest

import main
import settings
import unats
from firmware_fakes import Scratch

NEEDS_SOCKETS = True


def config(**changes):
    values = {"server": "127.0.0.1"}
    values.update(changes)
    assert settings.check(values, False) == []
    return settings.Settings(values)


class OutboxFor(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.client = unats.Client("127.0.0.1")

    def tearDown(self):
        if "outbox" in os.listdir():
            try:
                for name in os.listdir("outbox"):
                    os.remove("outbox/" + name)
                os.rmdir("outbox")
            except OSError:
                pass  # a file
        self.scratch.leave()

    def outbox(self, **changes):
        return main.outbox_for(self.client, "dev", config(**changes))

    def test_by_default_it_needs_no_stream_and_keeps_readings_in_flash(self):
        outbox = self.outbox()
        self.assertEqual((outbox.acknowledged, outbox.start), (False, 1))
        self.assertTrue(outbox.put("a", b"1") and outbox.sync())
        self.assertEqual(len(os.listdir("outbox")), 2)

    def test_with_a_stream(self):
        outbox = self.outbox(outbox="stream")
        self.assertEqual((outbox.acknowledged, outbox.start), (True, 1))
        self.assertEqual(self.outbox(outbox="stream").start, 2)

    def test_off(self):
        self.assertIsNone(self.outbox(outbox="off"))
        self.assertEqual(os.listdir(), [])

    def test_in_ram_only_if_that_is_wanted(self):
        outbox = self.outbox(outbox_flash=0)
        self.assertIsNone(outbox.start)
        self.assertTrue(outbox.put("a", b"1"))
        self.assertEqual(os.listdir(), [])

    def test_in_ram_only_if_its_folder_cannot_be_there(self):
        with open("outbox", "w") as file:
            file.write("in the way")
        outbox = self.outbox(outbox="stream")
        self.assertTrue(outbox.acknowledged)
        self.assertIsNone(outbox.start)
        self.assertTrue(outbox.put("a", b"1"))


class Security(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()

    def tearDown(self):
        self.scratch.leave()

    def test_none_by_default(self):
        self.assertEqual(main.security_of(config()), {})

    def test_credentials_are_read_when_they_are_used(self):
        from unats import auth

        for field, kind in (("creds", auth.UserCredentials), ("nkey", auth.Nkey)):
            options = main.security_of(config(**{field: "secret.file"}))
            self.assertEqual(sorted(options), ["auth", "connect_timeout_ms"])
            self.assertEqual(type(options["auth"]), kind)

    def test_a_certificate_that_is_none_is_told(self):
        with open("ca.der", "w") as file:
            file.write("nonsense")
        with self.assertRaises(ValueError):
            main.security_of(config(ca="ca.der"))

    def test_a_stream_that_is_named_is_asked_directly(self):
        client = unats.Client("127.0.0.1")
        outbox = main.outbox_for(client, "dev", config(outbox="stream", stream="READINGS", outbox_flash=0))
        self.assertEqual(outbox._sender._stored._stream, "READINGS")


class Needed(unittest.TestCase):
    def test_only_what_the_settings_need(self):
        self.assertEqual(main.needed(config(outbox="off")), ())
        for sleep in ({}, {"sleep_s": 60}):
            names = main.needed(config(**sleep))
            self.assertTrue("outbox.plain" in names and "outbox.stream" not in names and "outbox.early" not in names)
        self.assertEqual(main.needed(config(outbox="off", ca="c", creds="c")), ("tls", "auth"))
        self.assertTrue("outbox.stream" in main.needed(config(outbox="stream")))
        self.assertTrue("outbox.early" in main.needed(config(outbox="stream", sleep_s=60)))

    def test_the_modules_are_there(self):
        for changes in ({}, {"outbox": "stream"}, {"outbox": "stream", "sleep_s": 60}):
            for name in main.needed(config(**changes)):
                __import__("unats." + name)


if __name__ == "__main__":
    unittest.main()
