"""settings.json: what is taken, and what is said about every mistake."""

import json
import unittest

import identities
import settings
import unats
from config import Settings
from firmware_fakes import Scratch

GOOD = {"server": "nats://10.0.0.1:4222", "wifi_ssid": "net", "wifi_password": "wifi-secret"}
FILE = "test-settings.json"


def mistakes(needs_wifi=True, **changes):
    values = dict(GOOD)
    values.update(changes)
    return settings.check(values, needs_wifi)


def without(field, needs_wifi=True):
    values = dict(GOOD)
    del values[field]
    return settings.check(values, needs_wifi)


class Values(unittest.TestCase):
    def assert_wrong(self, found, field, *words):
        self.assertEqual([name for name, _ in found], [field])
        for word in words:
            self.assertIn(word, found[0][1])

    def test_the_least_there_can_be(self):
        self.assertEqual(mistakes(), [])
        self.assertEqual(settings.check({"server": "10.0.0.1"}, False), [])

    def test_everything_there_can_be(self):
        found = mistakes(
            user="u",
            password="p",
            device="greenhouse-7_b",
            period_s=0.5,
            led_pin=2,
            led_active_low=True,
            watchdog=False,
        )
        self.assertEqual(found, [])
        self.assertEqual(mistakes(token="t"), [])

    def test_a_fleet_s(self):
        key = identities.public(identities.seed("user", bytes(32)))
        good = {"config": True, "presence_s": 30, "update_key": key, "update_domain": "fleet"}
        self.assertEqual(
            mistakes(logs="outbox", log_level="debug", home_assistant=True, **good), []
        )
        self.assertEqual(mistakes(**{"sensors.temp": False}), [])
        for field, value, word in (
            ("presence_s", 2, "between"),
            ("logs", "all", "outbox"),
            ("log_level", "loud", "critical"),
            ("update_key", key[:-1], "56"),
            ("update_key", "S" + key[1:], "secret"),
            ("outbox_policy", "refuse", "newest"),
            ("sensors.temp", 0, "true or false"),
        ):
            changes = dict(good)
            changes[field] = value
            self.assert_wrong(mistakes(**changes), field, word)
        self.assert_wrong(mistakes(update_key=key), "update_key", "config")
        self.assert_wrong(mistakes(update_domain="x"), "update_domain", "update_key")
        self.assert_wrong(mistakes(home_assistant=True), "home_assistant", "presence_s")
        self.assert_wrong(mistakes(logs="outbox", outbox="off"), "logs", "outbox")
        self.assert_wrong(mistakes(device="_all"), "device", "all boards")

    def test_outbox(self):
        for kind in ("none", "stream", "off"):
            self.assertEqual(mistakes(outbox=kind), [])
        self.assertEqual(
            mistakes(outbox="stream", outbox_ram=512, outbox_flash=8192, sync_s=5), []
        )
        self.assertEqual(mistakes(outbox_flash=0), [])
        for kind in ("Stream", "", None, True, False, 3, []):
            self.assert_wrong(mistakes(outbox=kind), "outbox", '"none", "stream" or "off"')

    def test_sizes(self):
        for field, low, high in (
            ("outbox_ram", "512", "32768"),
            ("outbox_flash", "8192", "16777216"),
        ):
            for size in (int(low) - 1, int(high) + 1, -1):
                self.assert_wrong(mistakes(**{field: size}), field, low, high, "bytes")
            for size in ("4096", 4096.0, True, False, None, []):
                self.assert_wrong(mistakes(**{field: size}), field, "whole number")

    def test_what_has_no_effect_without_an_outbox(self):
        for field, value in (("outbox_ram", 4096), ("outbox_flash", 8192), ("sync_s", 60)):
            self.assert_wrong(mistakes(outbox="off", **{field: value}), field, "no effect")

    def test_sleep(self):
        self.assertEqual(mistakes(sleep_s=60), [])
        self.assertEqual(mistakes(sleep_s=86400, awake_s=600, outbox="stream"), [])
        for seconds in (0, 0.5, 86401):
            self.assert_wrong(mistakes(sleep_s=seconds), "sleep_s", "between 1 and 86400")
        for seconds in ("60", True, None):
            self.assert_wrong(mistakes(sleep_s=seconds), "sleep_s", "number of seconds")
        self.assert_wrong(mistakes(sleep_s=60, awake_s=1), "awake_s", "between 2 and 600")
        self.assert_wrong(mistakes(awake_s=10), "awake_s", "sleep_s")
        self.assert_wrong(mistakes(sleep_s=60, period_s=10), "period_s", "sleep_s")

    def test_a_board_that_sleeps_needs_flash_for_its_readings(self):
        self.assert_wrong(mistakes(sleep_s=60, outbox="off"), "outbox", "lost")
        self.assert_wrong(mistakes(sleep_s=60, outbox_flash=0), "outbox_flash", "RAM")

    def test_sync(self):
        for seconds in (0, 86401):
            self.assert_wrong(mistakes(sync_s=seconds), "sync_s", "between 1 and 86400")

    def test_not_an_object(self):
        for values in ([], "x", 3, None):
            self.assert_wrong(settings.check(values), "the file", "one JSON object")

    def test_unknown_keys_are_reported_with_the_known_ones(self):
        self.assert_wrong(mistakes(perod_s=3), "perod_s", "not a setting", "period_s")

    def test_server_missing(self):
        self.assert_wrong(without("server"), "server", "missing", "nats://")

    def test_server_addresses_that_are_taken(self):
        for url in (
            "nats://host",
            "host:4222",
            "10.0.0.1",
            "nats://u:p@host:4222",
            "nats://[::1]:4222",
            "nats://[::1]",
            ["nats://a:1", "b"],
            "nats://a:1,b, c:3",
            ["a, b:2", "c"],
            " NATS://Host:4222/\n",
        ):
            self.assertEqual(mistakes(server=url), [], url)

    def test_server_addresses_that_are_not(self):
        for url in (
            "",
            "http://host:80",
            "nats://",
            "nats://host:",
            "nats://host:port",
            "nats://host:0",
            "nats://host:65536",
            "nats://my host:4222",
            "nats://host:4222/path",
            "ho\nst",
            "nats://u:%zz@host",
            "nats://u:%00@host",
            "host\\x",
            "h\u00f6st",
            "fe80::1",
            "a,",
            "a,,b",
            4222,
            [],
            {},
            ["nats://ok:4222", 7],
            ["nats://ok:4222", "bad host"],
            ["nats://ok:4222,"],
        ):
            found = mistakes(server=url)
            self.assertEqual([name for name, _ in found], ["server"], url)

    def test_the_wrong_one_of_several_servers_is_named(self):
        for server in (["a", "b:x"], "a,b:x", ["a,b:x", "c"]):
            self.assert_wrong(
                mistakes(server=server), "server", "number 2", "port must be 1 to 65535"
            )

    def test_what_is_taken_is_what_the_client_takes(self):
        for server in (
            "Nats://a",
            ["a", "b, nats://u:p@[::1]:1"],
            "10.0.0.1:0",
            "http://a",
            "u@",
            ["a", ""],
            "a b",
        ):
            values = {"server": server}
            expected = []
            try:
                unats.Client(Settings(values).servers, transport=self)
            except ValueError:
                expected = ["server"]
            self.assertEqual(
                [field for field, _ in settings.check(values, False)], expected, server
            )

    def test_what_is_said_about_a_server_does_not_hold_its_password(self):
        for url in ("http://me:secret@host", "nats://me:secret@host:x", "nats://me:secret@ho st"):
            found = mistakes(server=url)
            self.assertEqual(len(found), 1)
            self.assertEqual("secret" in found[0][1], False)

    def test_credentials(self):
        self.assert_wrong(mistakes(user="u"), "user", "password")
        self.assert_wrong(mistakes(password="p"), "user", "missing")
        self.assert_wrong(mistakes(token="t", user="u", password="p"), "user", "token")
        self.assert_wrong(mistakes(token=3), "token", "text")
        self.assert_wrong(mistakes(token=""), "token", "empty", "leave")
        for text in ("new\nline", "nul\0", "\x7f"):
            self.assert_wrong(mistakes(token=text), "token", "control characters")
            self.assert_wrong(mistakes(user="u", password=text), "password", "control characters")

    def test_security(self):
        for values in (
            {"ca": "ca.der"},
            {
                "ca": "ca.pem",
                "cert": "c.der",
                "key": "k.der",
                "tls_first": True,
                "ntp": "10.0.0.1",
            },
            {"creds": "d.creds", "inbox": "_INBOX.d"},
            {"nkey": "d.nk"},
            {
                "server": ["tls://a", "nats://b:1"],
                "ca": "ca.der",
                "creds": "d.creds",
                "ntp": "pool.ntp.org",
            },
            {"outbox": "stream", "stream": "READINGS"},
        ):
            self.assertEqual(mistakes(**values), [], values)

    def test_tls_needs_whom_to_trust(self):
        for server in (
            "tls://h",
            ["nats://a", "tls://b:4222"],
            "nats://a,TLS://b:4222",
            " tls://h",
        ):
            self.assert_wrong(mistakes(server=server), "ca", "is missing", "tls://")
        for field, value in (("tls_first", True), ("ntp", "h")):
            self.assert_wrong(mistakes(**{field: value}), field, "no effect")

    def test_only_one_kind_of_credentials(self):
        self.assert_wrong(mistakes(creds="c", token="t"), "creds", "token")
        self.assert_wrong(mistakes(nkey="n", creds="c"), "nkey", "creds")
        self.assertEqual([f for f, _ in mistakes(nkey="n", user="u", password="p")], ["nkey"])
        self.assert_wrong(mistakes(ca="c", cert="c"), "cert", "key")
        self.assert_wrong(mistakes(ca="c", key="c"), "cert", "key")

    def test_a_file_is_named_and_its_secret_is_not_told(self):
        seed = "SU" + "A" * 56
        for value in (seed, "-----BEGIN PRIVATE KEY-----", "a\nb", "x" * 101):
            found = mistakes(nkey=value)
            self.assert_wrong(found, "nkey", "name of a file")
            self.assertFalse(value in str(found))
        for value in ("", 5, None, []):
            self.assertEqual([f for f, _ in mistakes(creds=value)], ["creds"])

    def test_names_for_the_security(self):
        for value in ("a:123", "ntp://a", "a b", "", 5):
            self.assertEqual([f for f, _ in mistakes(ca="ca", ntp=value)], ["ntp"], value)
        for value in ("", ".a", "a.", "a..b", "_INBOX.*", ">", "a b", 5):
            self.assertEqual([f for f, _ in mistakes(inbox=value)], ["inbox"], value)
        for value in ("", "a.b", "a b", "*", 5):
            self.assertEqual(
                [f for f, _ in mistakes(outbox="stream", stream=value)], ["stream"], value
            )
        self.assert_wrong(mistakes(stream="READINGS"), "stream", "no effect")

    def test_wifi(self):
        self.assert_wrong(without("wifi_ssid"), "wifi_ssid", "missing", "Wi-Fi")
        self.assertEqual(without("wifi_ssid", needs_wifi=False), [])
        self.assertEqual(without("wifi_password"), [])
        self.assert_wrong(mistakes(wifi_ssid="x" * 33), "wifi_ssid", "32 bytes")
        self.assert_wrong(mistakes(wifi_ssid=7), "wifi_ssid", "text")
        self.assert_wrong(mistakes(wifi_password="short"), "wifi_password", "8 to 63")
        self.assert_wrong(mistakes(wifi_password=""), "wifi_password", "empty", "leave")

    def test_device(self):
        for name in ("a.b", "a b", "*", ">", "caf\u00e9", "a/b"):
            self.assert_wrong(mistakes(device=name), "device", "letters, digits")
        self.assert_wrong(mistakes(device="x" * 33), "device", "32")
        self.assert_wrong(mistakes(device=""), "device", "empty")
        self.assert_wrong(mistakes(device=7), "device", "text")

    def test_period(self):
        for value in (0, 0.05, -1, 86401):
            self.assert_wrong(mistakes(period_s=value), "period_s", "between 0.1 and 86400")
        for value in ("10", None, True, [1]):
            self.assert_wrong(mistakes(period_s=value), "period_s", "number of seconds")

    def test_pin_and_switches(self):
        for value in (-1, 49, "2", True, 2.5):
            self.assert_wrong(mistakes(led_pin=value), "led_pin", "GPIO")
        for field in ("watchdog", "led_active_low", "service"):
            for value in ("true", 1, None):
                self.assert_wrong(mistakes(**{field: value}), field, "true or false")

    def test_all_mistakes_are_reported_at_once(self):
        values = {"server": "x:y", "wifi_password": "s", "device": "a.b", "period_s": 0, "oops": 1}
        fields = sorted([name for name, _ in settings.check(values)])
        expected = ["device", "oops", "period_s", "server", "wifi_password", "wifi_ssid"]
        self.assertEqual(fields, expected)


class File(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()

    def tearDown(self):
        self.scratch.leave()

    def write(self, text, mode="w"):
        with open(FILE, mode) as file:
            file.write(text)

    def assert_refused(self, text, *words):
        self.write(text, "w" if isinstance(text, str) else "wb")
        try:
            settings.load(FILE)
            message = None
        except settings.SettingsError as e:
            message = str(e)
        self.assertTrue(message is not None, "was taken")
        for word in words:
            self.assertIn(word, message)
        return message

    def test_loads_with_defaults(self):
        self.write(json.dumps(GOOD))
        loaded = settings.load(FILE)
        self.assertEqual(loaded.servers, ["nats://10.0.0.1:4222"])
        self.assertEqual(loaded.wifi_ssid, "net")
        self.assertEqual(loaded.period_ms, 10000)
        self.assertEqual(loaded.watchdog, True)
        self.assertIsNone(loaded.device)
        self.assertIsNone(loaded.user)

    def test_the_outbox_by_default_needs_nothing_on_the_server(self):
        self.write(json.dumps(GOOD))
        loaded = settings.load(FILE)
        self.assertEqual(
            (loaded.outbox, loaded.outbox_ram, loaded.outbox_flash), ("none", 4096, 262144)
        )
        self.assertEqual((loaded.sync_ms, loaded.sleep_ms), (None, None))

    def test_with_a_stream_readings_are_in_flash_after_a_minute(self):
        for given, sync_ms in (({}, 60000), ({"sync_s": 2.5}, 2500)):
            self.write(json.dumps(dict(GOOD, outbox="stream", **given)))
            self.assertEqual(settings.load(FILE).sync_ms, sync_ms)

    def test_loads_times_of_sleeping(self):
        self.write(json.dumps(dict(GOOD, sleep_s=90)))
        loaded = settings.load(FILE)
        self.assertEqual((loaded.sleep_ms, loaded.awake_ms), (90000, 30000))

    def test_loads_what_is_given(self):
        given = dict(GOOD)
        given.update({"server": ["a:1", "b:2"], "period_s": 0.25, "device": "d", "token": "t"})
        self.write(json.dumps(given))
        loaded = settings.load(FILE)
        self.assertEqual(loaded.servers, ["a:1", "b:2"])
        self.assertEqual(loaded.period_ms, 250)
        self.assertEqual((loaded.device, loaded.token), ("d", "t"))

    def test_files_that_are_named_must_be_on_the_board(self):
        values = dict(GOOD, ca="ca-test.der", creds="d-test.creds")
        for present, missing in (
            ((), ["ca", "creds"]),
            (("ca-test.der",), ["creds"]),
            (("ca-test.der", "d-test.creds"), []),
        ):
            for name in present:
                with open(name, "w") as file:
                    file.write("x")
            self.write(json.dumps(values))
            self.assertEqual(settings.load(FILE).ca, "ca-test.der")  # elsewhere they need not be
            try:
                settings.load(FILE, True, True)
                found = []
            except settings.SettingsError as error:
                found = sorted(
                    [field for field, text in error.mistakes if "not on the board" in text]
                )
            self.assertEqual(found, missing)

    def load_with(self, **values):
        """The settings on a board; the mistakes."""
        self.write(json.dumps(dict(GOOD, **values)))
        try:
            return settings.load(FILE, True, True), []
        except settings.SettingsError as error:
            return None, error.mistakes

    def creds(self, sub, of=None):
        """Write d.creds, whose user may subscribe to what the claim `sub` says."""
        of = of or identities.seed()
        part = identities._part
        claims = {"sub": "U", "nats": {"sub": sub}}
        token = part({"typ": "JWT"}) + "." + part(claims) + ".c2ln"
        self.write_as("d.creds", identities.CREDS % (token, bytes(of).decode()))

    def write_as(self, name, content):
        with open(name, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def test_the_inbox_is_what_the_credentials_allow(self):
        own = "_INBOX.greenhouse-7"
        for sub, expected in (
            ({}, "_INBOX"),
            (None, "_INBOX"),
            ([], "_INBOX"),
            ({"allow": []}, "_INBOX"),
            ({"allow": ["devices.d.>", "_INBOX.>"]}, "_INBOX"),
            ({"allow": [">"]}, "_INBOX"),
            ({"allow": ["_INBOX.*.*"]}, "_INBOX"),
            ({"allow": ["devices.d.>", own + ".>"]}, own),
            ({"allow": [own + ".*.*"]}, own),
            ({"allow": [7, "inbox_d.>"]}, "inbox_d"),
            ({"allow": [">"], "deny": ["secret.>"]}, "_INBOX"),
            ({"allow": ["_INBOX.>", own + ".>"], "deny": ["_INBOX.*.*"]}, own),
        ):
            self.creds(sub)
            loaded, found = self.load_with(creds="d.creds", outbox="stream")
            self.assertEqual(found, [])
            self.assertEqual(loaded.inbox, expected)
        loaded, found = self.load_with(creds="d.creds", inbox="_INBOX.mine")
        self.assertEqual(loaded.inbox, "_INBOX.mine")

    def test_credentials_without_an_inbox_are_refused(self):
        for sub in (
            {"allow": ["devices.inbox-d.led"]},
            {"allow": ["_INBOX"]},
            {"allow": ["_INBOX.*"]},
            {"allow": ["devices.d.>"]},
            {"deny": ["_INBOX.>"]},
            {"deny": [">"]},
            {"allow": ["_INBOX.a.*"]},
            {"allow": ["_INBOX.*.x.>"]},
        ):
            self.creds(sub)
            _, found = self.load_with(creds="d.creds", outbox="stream")
            self.assertEqual([field for field, _ in found], ["inbox"])
            self.assertIn("replies", found[0][1])
            _, found = self.load_with(creds="d.creds", outbox="off")  # needs no replies
            self.assertEqual(found, [])

    def test_files_that_hold_no_credentials_are_named(self):
        of = identities.seed()
        self.creds({}, of)
        with open("d.creds", "rb") as file:
            text = file.read()
        for field, content in (
            ("creds", b"x"),
            ("creds", of),
            ("creds", text.replace(b"ey", b"EY")),
            ("creds", text.replace(b".c2ln", b"")),
            ("creds", text.replace(b".ey", b".eyAAAA")),
            ("creds", text[: text.find(b"-----BEGIN USER")]),
            ("nkey", b"x"),
            ("nkey", bytes(of[:30])),
            ("nkey", b""),
        ):
            self.write_as("d.file", content)
            _, found = self.load_with(**{field: "d.file"})
            self.assertEqual([field for field, _ in found], [field])
            self.assertIn("d.file", found[0][1])
            self.assertFalse(bytes(of[8:20]).decode() in found[0][1], found)
        self.write_as("d.file", b"\xef\xbb\xbf# d\r\n" + of)
        self.assertEqual(self.load_with(nkey="d.file")[1], [])

    def test_connecting_is_slow_with_tls_or_a_signature(self):
        for changes, slow in (
            ({}, False),
            ({"ca": "c"}, True),
            ({"creds": "c"}, True),
            ({"nkey": "n"}, True),
        ):
            self.assertEqual(Settings(dict(GOOD, **changes)).is_slow, slow)

    def test_broken_json(self):
        self.assert_refused('{"server: "x"}', FILE, "not valid JSON")

    def test_as_windows_saves_it(self):
        text = json.dumps(dict(GOOD, device="d")).encode()
        wide = bytes([byte for c in text for byte in (c, 0)])
        for raw, words in (
            (b"\xef\xbb\xbf" + text + b"\r\n", ()),
            (b"\xef\xbb\xbf", ("empty",)),
            (b"\xff\xfe" + wide, ("UTF-16", "save it as UTF-8")),
            (b"\xfe\xff\0" + wide[:-1], ("UTF-16", "save it as UTF-8")),
            (wide, ("UTF-16", "save it as UTF-8")),
            (text.replace(b"net", b"K\xfcche"), ("Latin-1", "save it as UTF-8")),
            (text.replace(b"wifi-secret", b"wifi-secret\x80"), ("Latin-1",)),
            (text.replace(b"net", b"K\xc3\xbcche"), ()),
            (b"\xef\xbb\xbf{", ("not valid JSON",)),
        ):
            if not words:
                self.write(raw, "wb")
                self.assertEqual(settings.load(FILE).device, "d")
            else:
                message = self.assert_refused(raw, FILE, *words)
                self.assertFalse("wifi-secret" in message, message)

    def test_without_the_client_it_says_how_that_gets_onto_the_board(self):
        real = settings.check

        def check(values, needs_wifi):
            raise ImportError("no module named 'unats'")

        settings.check = check
        try:
            self.assert_refused(json.dumps(GOOD), "unats", "make deploy")
        finally:
            settings.check = real

    def test_empty_file(self):
        self.assert_refused(" \n", FILE, "empty", "settings.example.json")

    def test_the_message_has_a_line_for_each_mistake(self):
        message = self.assert_refused(
            '{"server": "a:b", "perod_s": 3}', "3 mistakes", "nothing was started"
        )
        self.assertEqual(len(message.split("\n")), 4)

    def test_one_mistake_is_not_called_mistakes(self):
        self.assert_refused('{"server": "a:1"}', "1 mistake;")

    def test_secrets_are_not_in_repr_or_str(self):
        given = dict(GOOD)
        given.update({"server": "nats://u:url-secret@h", "token": "token-secret"})
        self.write(json.dumps(given))
        loaded = settings.load(FILE)
        for text in (repr(loaded), str(loaded), "%s" % loaded):
            self.assertEqual("secret" in text, False, text)


class MissingFile(unittest.TestCase):
    def test_it_says_what_to_copy(self):
        try:
            settings.load("no-such-settings.json")
            message = None
        except settings.SettingsError as e:
            message = str(e)
        self.assertTrue(message is not None, "was taken")
        self.assertIn("no-such-settings.json", message)
        self.assertIn("settings.example.json", message)


if __name__ == "__main__":
    unittest.main()
