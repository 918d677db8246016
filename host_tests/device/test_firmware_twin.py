"""Configuration from afar: what is applied, what is refused, what is taken back, what is told."""

import json
import os
import unittest

import kept
import overlay
import settings
from app import App
from config import Settings
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
from parts import Parts
from twin import Twin
from unats.errors import Error

FILE = {"server": "127.0.0.1", "config": True, "period_s": 1}


class Stored:
    def __init__(self, seq, data, headers=None):
        self.seq, self.data, self.headers = seq, data, headers


class FakeBucket:
    """A bucket's values by key; answers at once, or not at all while `answers` is False."""

    def __init__(self):
        self.values = {}
        self.seq = 0
        self.answers = True
        self.error = None
        self.asked = 0
        self.reports = []  # (field, what), in order
        self.on_the_way = 0

    def set(self, key, value):
        self.seq += 1
        self.values[key] = Stored(self.seq, value.encode() if isinstance(value, str) else value)
        return self.seq

    def delete(self, key):
        self.seq += 1
        self.values[key] = Stored(self.seq, b"", {"KV-Operation": "DEL"})

    def last(self, stream, subject, handler):
        assert stream == "KV_config"
        self.asked += 1
        self.on_the_way += 1
        if self.answers:
            self.on_the_way -= 1
            handler(None if self.error else self.values.get(subject[11:]), self.error)
        return True

    def publish(self, subject, payload, msg_id, handler):
        if self.answers:
            if self.error is None:
                assert subject.startswith("$KV.config.dev.reported.")
                self.reports.append((subject[24:], json.loads(payload)))
            handler(None if self.error else self, self.error)
        return True

    def last_of(self, field):
        """What was reported of it last."""
        found = [what for name, what in self.reports if name == field]
        return found[-1] if found else None


class TwinTest(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.bucket = FakeBucket()
        self.file = dict(FILE)
        self.clock = FakeClock()
        self.start()

    def tearDown(self):
        self.scratch.leave()

    def start(self):
        """Start the board, with its flash as it is."""
        self.client = FakeClient(self.clock)
        self.board = FakeBoard(self.clock)
        sensors = [("a", FakeSensor(1)), ("b", FakeSensor(2))]
        self.outbox = FakeOutbox(self.client)
        self.app = App(self.client, self.clock, self.board, "dev", PERIOD_MS, sensors, self.outbox)
        self.client.app = self.app
        self.said = self.app.say = Said()
        self.app.parts = Parts(self.app)
        found = overlay.values(self.file, self.check)
        self.app.parts.add("twin", lambda module: Twin(self.app, self.settings))
        self.twin = self.app.parts._parts[0]
        self.twin._js = self.bucket
        self.twin._last = self.bucket.last
        self.config = None
        self.really_apply, self.app.parts.apply = self.app.parts.apply, self.took
        self.app.parts.apply(Settings(found))
        self.app.start()

    def took(self, config):
        self.config = config
        self.really_apply(config)

    def check(self, values):
        return settings.check(values, False)

    def settings(self):
        return dict(self.file), self.check, Settings

    def run_for(self, ms):
        """Turn for so long; whether the board has started anew meanwhile."""
        try:
            run_for(self.app, self.clock, ms)
        except SystemExit:
            there = self.client.there
            self.start()
            self.client.there = there
            return True
        return False

    def want(self, field, value, whose="dev"):
        """Somebody sets a value."""
        key = "%s.desired.%s" % (whose, field)
        revision = self.bucket.set(key, value)
        if self.client.connected:
            self.nudge(key)
        return revision

    def nudge(self, key):
        subject = "$KV.config." + key
        msg = self.client.send(subject[: subject.index("desired.") + 8] + ">", b"x")
        msg.subject = subject


class Applied(TwinTest):
    def test_what_is_wanted_at_the_start(self):
        revision = self.want("period_s", "0.5")
        self.run_for(1000)
        self.assertEqual(self.config.period_ms, 500)
        self.assertEqual(self.bucket.last_of("period_s"), {"value": 0.5, "revision": revision})
        self.assertEqual(len(self.bucket.reports), 1)

    def test_while_it_runs(self):
        self.run_for(1000)
        self.assertEqual(self.bucket.reports, [])
        for value in ("0.5", "2", "3"):
            revision = self.want("period_s", value)
            self.run_for(500)
            self.assertEqual(self.config.period_ms, 1000 * float(value))
            self.assertEqual(self.bucket.last_of("period_s")["revision"], revision)
        self.assertEqual(self.board.resets, 0)

    def test_a_new_period_holds_from_now_on(self):
        self.file["period_s"] = 3600
        self.start()
        self.run_for(1000)
        self.want("period_s", "1")
        before = len(self.outbox.waiting) + self.outbox.acked
        self.run_for(5000)
        self.assertTrue(len(self.outbox.waiting) + self.outbox.acked - before >= 8)

    def test_a_sensor_off_and_on(self):
        self.want("sensors.b", "false")
        self.run_for(500)
        count = self.app.channels[1].seq
        self.run_for(3000)
        self.assertEqual(self.app.channels[1].seq, count)
        self.assertTrue(self.app.channels[0].seq > 3)
        self.want("sensors.b", "true")
        self.run_for(3000)
        self.assertTrue(self.app.channels[1].seq > count)
        self.assertEqual(self.bucket.last_of("sensors.b")["value"], True)

    def test_the_outboxes_policy(self):
        self.want("outbox_policy", "newest")
        self.run_for(500)
        self.assertEqual(self.outbox.policy, "newest")

    def test_text_needs_no_quotes(self):
        for value in ("newest", '"newest"'):
            self.want("outbox_policy", value)
            self.run_for(500)
            self.assertEqual(self.bucket.last_of("outbox_policy")["value"], "newest")

    def test_those_for_all_and_the_boards_own(self):
        self.want("period_s", "5", "_all")
        self.run_for(500)
        self.assertEqual(self.config.period_ms, 5000)
        own = self.want("period_s", "7")
        self.run_for(500)
        self.want("period_s", "9", "_all")
        self.run_for(500)
        self.assertEqual(self.config.period_ms, 7000)
        self.assertEqual(self.bucket.last_of("period_s"), {"value": 7, "revision": own})
        self.bucket.delete("dev.desired.period_s")
        self.nudge("dev.desired.period_s")
        self.run_for(500)
        self.assertEqual(self.config.period_ms, 9000)

    def test_what_is_deleted_leaves_what_the_file_says(self):
        self.want("period_s", "5")
        self.run_for(500)
        self.bucket.delete("dev.desired.period_s")
        self.nudge("dev.desired.period_s")
        self.run_for(500)
        self.assertEqual(self.config.period_ms, 1000)
        self.assertEqual(self.bucket.last_of("period_s"), {"value": 1, "revision": 0})

    def test_a_change_that_is_heard_of_before_the_bucket_has_it(self):
        self.run_for(1000)
        for late_ms in (100, 600, 3000):
            key = "dev.desired.period_s"
            self.nudge(key)
            self.run_for(late_ms)
            revision = self.bucket.set(key, str(1 + late_ms))
            self.run_for(5000)
            self.assertEqual(self.bucket.last_of("period_s")["revision"], revision)
        asked = self.bucket.asked
        self.run_for(60000)
        self.assertEqual(self.bucket.asked, asked)

    def test_what_changed_during_an_outage(self):
        self.run_for(500)
        self.client.there = False
        self.client.lose()
        self.run_for(500)
        self.want("period_s", "5")
        self.client.there = True
        self.run_for(1000)
        self.assertEqual(self.config.period_ms, 5000)

    def test_other_fields_by_a_restart_with_the_readings_in_flash(self):
        self.run_for(500)
        revision = self.want("sync_s", "33")
        self.outbox.confirms = False
        self.run_for(3000)
        self.outbox.confirms = True
        self.run_for(1000)
        self.assertEqual(self.config.sync_ms, 33000)
        self.assertEqual(self.bucket.last_of("sync_s"), {"value": 33, "revision": revision})
        self.assertEqual(kept.load(overlay.PATH), {"over": {"sync_s": 33}})

    def test_no_restart_while_flash_takes_nothing(self):
        self.run_for(500)
        self.outbox.flash_works = self.outbox.confirms = False
        self.want("sync_s", "33")
        self.assertFalse(self.run_for(60000))
        self.outbox.flash_works = True
        self.assertTrue(self.run_for(10500))

    def test_it_stays_over_a_restart_without_a_server(self):
        self.want("period_s", "5")
        self.run_for(500)
        self.client.there = False
        self.start()
        self.client.there = False
        self.assertEqual(self.config.period_ms, 5000)


class Refused(TwinTest):
    def test_a_bad_value_changes_nothing_and_is_told(self):
        for field, value, words in (
            ("period_s", "0", "between"),
            ("period_s", "abc", "number"),
            ("period_s", b"\xff\xfe", "number"),
            ("period_s", "[" * 1000, "number"),
            ("period_s", "[" * 200, "number"),
            ("outbox_policy", "3", "oldest"),
            ("sensors.a", "maybe", "true or false"),
            ("sleep_s", "60", "period_s"),
            ("server", "nats://u:secret@other:4222", "password"),
            ("server", "http://other", "nats://"),
        ):
            revision = self.want(field, value)
            self.run_for(500)
            told = self.bucket.last_of(field)
            self.assertEqual((told["revision"], self.config.period_ms), (revision, 1000))
            self.assertIn(words, told["error"])
            self.bucket.values.clear()
        self.assertFalse("secret" in json.dumps(self.bucket.reports))
        self.assertEqual((kept.load(overlay.PATH), self.board.resets), ({}, 0))

    def test_what_is_no_field_or_belongs_to_the_board(self):
        self.file["wifi_password"] = "very-secret"
        self.run_for(500)
        for field in ("nonsense", "wifi_password", "device", "sensors.nothing", "config"):
            self.want(field, "1")
            self.run_for(500)
            told = self.bucket.last_of(field)
            self.assertEqual(told["value"], None)
            self.assertIn("sensors.a", told["error"])

    def test_the_password_in_the_files_address_is_never_told(self):
        self.file["server"] = "nats://u:very-secret@10.0.0.1"
        self.want("server", "http://x")
        self.run_for(500)
        self.assertEqual(self.bucket.last_of("server")["value"], None)

    def test_good_ones_are_taken_beside_bad_ones(self):
        self.want("period_s", "0")
        self.want("outbox_policy", "newest")
        self.run_for(500)
        self.assertEqual(self.outbox.policy, "newest")
        self.assertTrue("error" in self.bucket.last_of("period_s"))

    def test_some_are_good_only_together(self):
        self.file = {"server": "127.0.0.1", "config": True}
        self.start()
        self.want("awake_s", "20")
        self.want("sleep_s", "60")
        self.run_for(1000)
        self.assertEqual((self.config.sleep_ms, self.config.awake_ms), (60000, 20000))

    def test_without_the_bucket_it_says_so_once_and_goes_on(self):
        self.bucket.error = Error("nobody answers")
        self.run_for(60000)
        self.assertEqual(len([text for text in self.said if "nobody answers" in text]), 1)
        self.assertTrue(5 <= self.bucket.asked <= 10 * 6)
        self.bucket.error = None
        self.want("period_s", "5")
        self.run_for(10000)
        self.assertEqual(self.config.period_ms, 5000)

    def test_what_cannot_be_asked_now_is_asked_later(self):
        self.bucket.error = Error("nobody answers")
        self.run_for(1000)
        self.bucket.error = None
        self.twin._last = lambda stream, subject, handler: False
        self.run_for(20000)
        self.twin._last = self.bucket.last
        self.want("period_s", "5")
        self.run_for(10000)
        self.assertEqual((self.config.period_ms, self.app.faults), (5000, 0))

    def test_settings_that_became_wrong_have_what_is_over_them_left_out(self):
        self.want("period_s", "5")
        self.run_for(500)
        del self.file["period_s"]
        self.file["sleep_s"] = 60
        self.start()
        self.assertEqual((self.config.period_ms, self.config.sleep_ms), (10000, 60000))


class TakenBack(TwinTest):
    def lose(self):
        self.bucket.answers = self.client.there = False
        self.client.lose()

    def assert_taken_back(self, field, value, revision):
        self.assertEqual(kept.load(overlay.PATH)["over"], {})
        self.client.there = self.bucket.answers = True
        self.run_for(3000)
        told = self.bucket.last_of(field)
        self.assertEqual((told["value"], told["revision"]), (value, revision))
        self.assertIn("connect", told["error"])
        self.assertEqual(self.board.resets, 0)
        again = self.want(field, "0.7" if field == "period_s" else "10.0.0.9")
        self.run_for(1000)
        self.run_for(1000)
        self.assertEqual(self.bucket.last_of(field)["revision"], again)

    def test_what_costs_the_connection_while_it_runs(self):
        self.run_for(500)
        revision = self.want("period_s", "0.1")
        self.bucket.answers = False
        self.run_for(10)
        self.bucket.answers = True
        self.twin._asking = 0
        self.twin._ask_all()
        self.twin._tell_at = self.client.deadline(200)
        self.run_for(100)
        self.assertEqual(self.config.period_ms, 100)
        self.lose()
        self.run_for(115000)
        self.assertEqual(self.config.period_ms, 100)
        self.run_for(10000)
        self.assertEqual(self.config.period_ms, 1000)
        self.assert_taken_back("period_s", 1, revision)

    def test_what_costs_it_after_a_restart(self):
        self.run_for(500)
        revision = self.want("server", "10.0.0.2")
        self.assertTrue(self.run_for(500))
        self.assertEqual(self.config.servers, ["10.0.0.2"])
        self.client.there = self.bucket.answers = False
        self.assertFalse(self.run_for(119000))
        self.assertTrue(self.run_for(2000))
        self.client.there = False
        self.assertEqual(self.config.servers, ["127.0.0.1"])
        self.assert_taken_back("server", "127.0.0.1", revision)

    def test_what_ends_the_application_is_taken_back_after_two_starts(self):
        self.run_for(500)
        revision = self.want("server", "10.0.0.2")
        self.assertTrue(self.run_for(500))
        self.start()
        self.assertEqual(self.config.servers, ["10.0.0.2"])
        self.start()
        self.assertEqual(self.config.servers, ["127.0.0.1"])
        self.client.there = False
        self.assert_taken_back("server", "127.0.0.1", revision)

    def test_a_connection_confirms_it(self):
        self.run_for(500)
        self.want("server", "10.0.0.2")
        self.assertTrue(self.run_for(500))
        self.run_for(500)
        self.lose()
        self.assertFalse(self.run_for(400000))
        for _ in range(3):
            self.start()
        self.assertEqual(self.config.servers, ["10.0.0.2"])


class Kept(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()

    def tearDown(self):
        self.scratch.leave()

    def test_what_is_not_there_or_damaged_is_empty(self):
        self.assertEqual(kept.load("x.json"), {})
        for text in ("", "{", "[]", "null", '{"a":'):
            with open("x.json", "w") as file:
                file.write(text)
            self.assertEqual(kept.load("x.json"), {})

    def test_the_new_content_or_the_old_one(self):
        kept.save("x.json", {"a": 1})
        kept.save("x.json", {"a": 2})
        self.assertEqual((kept.load("x.json"), os.listdir()), ({"a": 2}, ["x.json"]))
        os.rename("x.json", "x.json.new")  # a power cut between two steps
        self.assertEqual(kept.load("x.json"), {"a": 2})

    def test_a_damaged_overlay_has_no_effect(self):
        for text in ("3", '{"over": 3}', '{"over": {"period_s": 5}', '{"over": []}'):
            with open(overlay.PATH, "w") as file:
                file.write(text)
            self.assertEqual(overlay.values(FILE, lambda values: []), FILE)


if __name__ == "__main__":
    unittest.main()
