"""The wiring: which modules and which outbox the settings lead to, and what a flash without room
leads to.
"""

import os
import unittest

import failure
import settings
import unats
import wiring
from config import Settings
from firmware_fakes import FakeBoard, FakeClock, Scratch
from unats import dns

NEEDS_SOCKETS = True


def config(**changes):
    values = {"server": "127.0.0.1"}
    values.update(changes)
    assert settings.check(values, False) == []
    return Settings(values)


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
        return wiring.outbox_for(self.client, "dev", config(**changes))

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
        self.assertEqual(wiring.security_of(config()), {})

    def test_credentials_are_read_when_they_are_used(self):
        from unats import auth

        for field, kind in (("creds", auth.UserCredentials), ("nkey", auth.Nkey)):
            options = wiring.security_of(config(**{field: "secret.file"}))
            self.assertEqual(sorted(options), ["auth", "connect_timeout_ms"])
            self.assertEqual(type(options["auth"]), kind)

    def test_a_certificate_that_is_none_is_told(self):
        with open("ca.der", "w") as file:
            file.write("nonsense")
        with self.assertRaises(ValueError):
            wiring.security_of(config(ca="ca.der"))

    def test_a_stream_that_is_named_is_asked_directly(self):
        client = unats.Client("127.0.0.1")
        outbox = wiring.outbox_for(
            client, "dev", config(outbox="stream", stream="READINGS", outbox_flash=0)
        )
        self.assertEqual(outbox._sender._stored._stream, "READINGS")


class Flash(unittest.TestCase):
    """What flash does not give is no mistake in the settings."""

    def setUp(self):
        self.scratch = Scratch()

    def tearDown(self):
        self.scratch.leave()

    def test_a_file_that_is_there_and_one_that_is_not(self):
        wiring.try_to_read("settings.json")
        with open("settings.json", "w") as file:
            file.write(" " * 1000)
        wiring.try_to_read("settings.json")

    def test_one_that_cannot_be_read(self):
        self.assertRaises(OSError, wiring.try_to_read, self.scratch.path)  # a folder
        with open("file", "w"):
            self.assertRaises(OSError, wiring.try_to_read, "file/settings.json")

    def test_what_failed_before(self):
        self.assertIsNone(wiring.last_failure())
        failure.keep(MemoryError("x"))
        self.assertEqual(wiring.last_failure(), "MemoryError: x")


class Needed(unittest.TestCase):
    def test_only_what_the_settings_need(self):
        always = ("connection", "arguments", "chunked")
        served = wiring.needed(config(outbox="off"))
        self.assertEqual(served, always + ("nuid", "services"))
        self.assertEqual(wiring.needed(config(outbox="off", service=False)), always)
        for sleep in ({}, {"sleep_s": 60}):
            names = wiring.needed(config(**sleep))
            self.assertTrue(
                "outbox.core_sender" in names
                and "outbox.jetstream_sender" not in names
                and "outbox.pipelined" not in names
            )
        names = wiring.needed(config(outbox="off", ca="c", creds="c", service=False))
        self.assertEqual(names, always + ("tls", "auth"))
        self.assertTrue("outbox.jetstream_sender" in wiring.needed(config(outbox="stream")))
        self.assertTrue("outbox.pipelined" in wiring.needed(config(outbox="stream", sleep_s=60)))

    def test_addresses_are_not_asked_for(self):
        for server, expected in (
            ("10.0.0.1", False),
            ("nats://10.0.0.1:4222, [fe80::1]", False),
            ("broker", True),
            (["10.0.0.1", "nats://u:p@broker.local:1"], True),
        ):
            self.assertEqual("dns" in wiring.needed(config(server=server), True), expected)
            self.assertFalse("dns" in wiring.needed(config(server=server)))  # the system does
        with_tls = config(server="10.0.0.1", ca="c")  # the time server has a name
        self.assertTrue("dns" in wiring.needed(with_tls, True))

    def test_the_modules_are_there(self):
        for changes in ({}, {"outbox": "stream"}, {"outbox": "stream", "sleep_s": 60}):
            for name in wiring.needed(config(server="broker", **changes), True):
                __import__("unats." + name)


class FakeResolver:
    made = []

    def __init__(self, servers):
        self.servers = servers
        self.asked = []
        self.closed = False
        self.made.append(self)

    def start(self, host):
        self.asked.append(host)

    def poll(self):
        return ["10.0.0.7"]

    def close(self):
        self.closed = True


class WifiBoard(FakeBoard):
    servers = []

    def name_servers(self):
        return self.servers


class Names(unittest.TestCase):
    def setUp(self):
        self.board = WifiBoard(FakeClock())

    def test_a_system_that_knows_names_is_asked(self):
        self.assertIsNone(wiring.resolver_for(FakeBoard(FakeClock())))

    def test_whom_to_ask_is_found_out_for_each_question(self):
        FakeResolver.made.clear()
        saved, dns.Resolver = dns.Resolver, FakeResolver
        try:
            names = wiring.resolver_for(self.board)  # before there is a network
            self.board.servers = ["10.0.0.1"]
            names.start("broker")
            self.assertEqual(names.poll(), ["10.0.0.7"])
            self.board.servers = ["10.0.0.2"]
            names.start("other")
        finally:
            dns.Resolver = saved
        one, two = FakeResolver.made
        self.assertEqual((one.servers, one.asked, one.closed), (["10.0.0.1"], ["broker"], True))
        self.assertEqual((two.servers, two.asked, two.closed), (["10.0.0.2"], ["other"], False))

    def test_without_a_name_server_it_fails_and_says_so(self):
        names = wiring.resolver_for(self.board)
        names.start("broker")
        self.assertRaises(OSError, names.poll)
        names.start("10.0.0.1")
        self.assertEqual(names.poll(), ["10.0.0.1"])

    def test_the_client_fails_an_attempt_and_tries_again(self):
        errors = []
        names = wiring.resolver_for(self.board)
        nc = unats.Client(
            "broker",
            resolver=names,
            reconnect_wait_ms=1,
            on_event=lambda nc, event, error: errors.append(event),
        )
        nc.connect(wait=False)
        while len(errors) < 3:
            nc.poll(1)
        self.assertEqual(errors[:3], ["error"] * 3)


if __name__ == "__main__":
    unittest.main()
