"""Updates: what is taken and what is not, how it comes, how it is confirmed or given up."""

import os
import sys
import unittest

import failure
import kept
import packages
import update
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
from packages import KEY, OTHER, FakeStore, FakeTwin
from parts import Parts
from unats.errors import Timeout
from unats.jetstream import objectstore


class UpdateTest(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.path = list(sys.path)
        self.clock = FakeClock()
        self.store = FakeStore()
        self.kept, objectstore.ObjectStore = objectstore.ObjectStore, self.store
        self.flash = 0  # of an outbox
        self.start()

    def tearDown(self):
        objectstore.ObjectStore = self.kept
        sys.path[:] = self.path
        for name in os.listdir():
            update.remove(name)
        self.scratch.leave()

    def start(self, slot=None, failed=None):
        """Start the board, with what is in its flash: in that folder, if boot.py says so."""
        sys.modules.pop("fetching", None)  # a board that starts has not loaded it
        sys.path[:] = self.path
        if slot:
            sys.path[0:0] = [os.getcwd() + "/" + slot]
        self.client = FakeClient(self.clock)
        self.outbox = FakeOutbox(self.client)
        self.app = App(
            self.client, self.clock, FakeBoard(self.clock), "dev", PERIOD_MS,
            [("a", FakeSensor(1))], self.outbox,
        )  # fmt: skip
        self.app.version = "1.0.0"
        self.app.failure = failed
        self.client.app = self.app
        self.said = self.app.say = Said()
        self.twin = FakeTwin()
        config = Settings({"server": "x", "update_key": KEY, "outbox_flash": self.flash})
        self.app.parts = Parts(self.app)
        self.app.parts._parts.append(update.Update(self.app, self.twin, config))
        self.update = self.app.parts._parts[0]
        self.app.start()

    def run_for(self, ms):
        """Turn for so long; whether the board has started anew meanwhile."""
        try:
            run_for(self.app, self.clock, ms, self.store.pump)
        except SystemExit:
            return True
        return False

    def want(self, value, revision=1):
        self.twin.takers["version"](value, revision)

    def state(self):
        return kept.load(update.PATH)

    @property
    def error(self):
        return self.twin.told[-1].get("error")


class Taken(UpdateTest):
    def test_it_is_fetched_and_starts(self):
        self.store.put("1.1.0")
        self.run_for(1000)
        self.want("1.1.0", 5)
        self.assertTrue(self.run_for(20000))
        for path, content in packages.files("1.1.0").items():
            with open("update-a/" + path, "rb") as file:
                self.assertEqual(file.read(), content)
        state = self.state()
        self.assertEqual((state["slot"], state["starts"], state["before"]), ("update-a", 0, ""))
        self.assertTrue([what["progress"] for what in self.twin.told if "progress" in what])
        self.assertTrue(self.outbox.syncs > 0)

    def test_the_folders_take_turns(self):
        for version, slot in (("1.1.0", "update-a"), ("1.2.0", "update-b"), ("1.3.0", "update-a")):
            self.store.put(version)
            self.run_for(1000)
            self.want(version)
            self.assertTrue(self.run_for(20000))
            self.assertEqual(self.state()["slot"], slot)
            self.start(slot)
            self.assertEqual(self.app.version, version)
            self.twin.acknowledged = True
            self.run_for(2000)
            self.assertFalse("starts" in self.state())

    def test_readings_go_on_meanwhile(self):
        self.store.put("1.1.0", packages.files("1.1.0", {"big.mpy": bytes(60000)}))
        self.run_for(1000)
        before, start = self.outbox.acked, self.clock.now
        self.want("1.1.0")
        self.assertTrue(self.run_for(100000))
        self.assertTrue(self.outbox.acked - before >= (self.clock.now - start) // PERIOD_MS - 1)
        self.assertTrue(self.app.board.longest_hunger_ms <= 2500)

    def test_an_outage_does_not_begin_anew(self):
        self.store.put("1.1.0", packages.files("1.1.0", {"big.mpy": bytes(60000)}))
        self.want("1.1.0")
        self.run_for(10000)
        self.assertTrue("big.mpy" in os.listdir("update-a"))
        self.store.up = False
        self.store.fail(Timeout("nothing comes"))
        self.run_for(35000)
        self.assertEqual(self.twin.told[-1]["waiting"], "NotConnected: not connected")
        self.store.up = True
        self.assertTrue(self.run_for(100000))
        name, offset = self.store.offsets[-1]
        self.assertTrue(offset > 1500)
        self.assertEqual([name for name, _ in self.store.offsets].count(name), 2)

    def test_nor_does_a_restart(self):
        self.store.put("1.1.0", packages.files("1.1.0", {"big.mpy": bytes(60000)}))
        self.want("1.1.0")
        self.run_for(10000)
        self.store._going = None
        self.start()
        self.want("1.1.0")
        self.assertTrue(self.run_for(100000))
        self.assertTrue(self.store.offsets[-1][1] > 1500)
        self.assertEqual(len(self.store.offsets), 3)

    def test_a_file_that_flash_has_damaged_comes_again_with_those_behind_it(self):
        self.store.put("1.1.0", packages.files("1.1.0", {"big.mpy": bytes(60000)}))
        self.want("1.1.0")
        self.run_for(10000)
        self.store._going = None
        with open("update-a/app.mpy", "r+b") as file:
            file.write(b"A")
        self.start()
        self.want("1.1.0")
        self.assertTrue(self.run_for(100000))
        with open("update-a/app.mpy", "rb") as file:
            self.assertEqual(file.read(), packages.files("1.1.0")["app.mpy"])

    def test_what_is_left_of_another_one_goes(self):
        os.mkdir("update-a")
        with open("update-a/old.mpy", "w") as file:
            file.write("old")
        self.store.put("1.1.0")
        self.want("1.1.0")
        self.assertTrue(self.run_for(20000))
        self.assertFalse("old.mpy" in os.listdir("update-a"))

    def test_an_older_one_only_with_a_flag(self):
        self.store.put("0.9.0")
        self.want("0.9.0")
        self.assertIn("downgrade", self.error)
        self.assertFalse(self.run_for(5000))
        self.want({"version": "0.9.0", "downgrade": True}, 2)
        self.assertTrue(self.run_for(20000))

    def test_not_before_the_readings_are_in_flash(self):
        self.store.put("1.1.0")
        self.outbox.flash_works = self.outbox.confirms = False
        self.want("1.1.0")
        self.assertFalse(self.run_for(30000))
        self.assertEqual(self.state(), {})
        self.outbox.flash_works = True
        self.assertTrue(self.run_for(2000))

    def test_another_wish_ends_the_one_before(self):
        self.store.put("1.1.0", packages.files("1.1.0", {"big.mpy": bytes(60000)}))
        self.store.put("1.2.0")
        self.want("1.1.0", 1)
        self.run_for(10000)
        for _ in range(3):
            self.want("1.1.0", 1)  # again and again
        self.want("1.2.0", 2)
        self.assertTrue(self.run_for(100000))
        self.start("update-a")
        self.assertEqual(self.app.version, "1.2.0")

    def test_no_wish_ends_it_too(self):
        self.store.put("1.1.0", packages.files("1.1.0", {"big.mpy": bytes(60000)}))
        self.want("1.1.0", 1)
        self.run_for(10000)
        self.want(None, 0)
        self.assertFalse(self.run_for(100000))
        self.assertEqual(self.state(), {})


class Refused(UpdateTest):
    def refuse(self, words, version="1.1.0"):
        self.want(version)
        self.assertFalse(self.run_for(60000))
        self.assertIn(words, self.error)
        self.assertEqual(self.state()["slot"], "")
        fetched = len(self.store.offsets)
        self.want(version)  # it is not tried again
        self.run_for(60000)
        self.assertEqual(len(self.store.offsets), fetched)
        self.start()
        self.want(version)
        self.assertIn(words, self.error)
        self.run_for(60000)
        self.assertEqual(len(self.store.offsets), fetched)

    def test_one_that_is_not_there(self):
        self.refuse("no such version")

    def test_what_is_no_version(self):
        for value in (
            3,
            1.5,
            True,
            "",
            "new",
            "1.x",
            "../1.2",
            [],
            {},
            {"version": 3},
            "1." + "9" * 7,
        ):
            self.want(value, 9)
            self.assertIn("in quotes", self.error)
        self.assertFalse(self.run_for(5000))
        self.assertEqual(self.store.offsets, [])

    def test_the_same_or_an_older_one(self):
        for version in ("1.0.0", "0.9.9", "1.0"):
            self.store.put(version)
            self.want(version)
            self.assertFalse(self.run_for(5000))
        self.assertEqual(self.store.offsets, [])

    def test_1_10_is_newer_than_1_9(self):
        self.app.version = "1.9.0"
        self.store.put("1.10.0")
        self.want("1.10.0")
        self.assertTrue(self.run_for(20000))

    def test_another_s_signature(self):
        self.store.put("1.1.0", seed=OTHER)
        self.refuse("not signed")

    def test_none(self):
        self.store.put("1.1.0")
        name = "1.1.0/%d.manifest" % packages.MPY
        text = self.store.objects[name]
        self.store.objects[name] = text[: text.index(b"signature")]
        self.refuse("not signed")

    def test_every_line_of_a_manifest_counts(self):
        name = "1.1.0/%d.manifest" % packages.MPY
        self.store.put("1.1.0")
        good = self.store.objects[name]
        for i in range(0, len(good) - 2, 97):
            altered = bytearray(good)
            altered[i] ^= 1
            self.store.objects[name] = bytes(altered)
            self.want("1.1.0", i + 1)
            self.assertFalse(self.run_for(20000), i)
            self.assertTrue(self.error, i)
            update.remove("update-a")
        for more in (b"x\n", b"0" * 64 + b" 3 more.py\n"):
            self.store.objects[name] = good + more
            self.want("1.1.0", 900 + len(more))
            self.assertFalse(self.run_for(20000))
            update.remove("update-a")

    def test_a_manifest_of_another_version_or_for_other_boards(self):
        name = "1.1.0/%d.manifest" % packages.MPY
        contents = packages.files("1.1.0")
        for version, mpy in (("1.2.0", packages.MPY), ("1.1.0", packages.MPY + 1)):
            self.store.put("1.1.0")
            self.store.objects[name] = packages.manifest(version, contents, mpy)
            update.remove("update-a")
            self.want("1.1.0", mpy + 1)
            self.assertFalse(self.run_for(20000))
            self.assertIn("another version", self.error)

    def test_a_newer_micropython(self):
        self.store.put("1.1.0", least="9.0.0")
        self.refuse("MicroPython 9.0.0")

    def test_files_that_no_update_may_touch(self):
        for i, path in enumerate(("boot.py", "/main.py", "../main.py", "lib/../../x.py")):
            contents = {"main.py": b"x", path: b"y"}
            self.store.put("1.1.0", contents)
            update.remove("update-a")
            self.want("1.1.0", i + 1)
            self.assertFalse(self.run_for(20000))
            self.assertIn(path, self.error)

    def test_one_without_a_beginning(self):
        self.store.put("1.1.0", {"app.py": b"x"})
        self.refuse("no main.py")

    def test_an_altered_file(self):
        self.store.put("1.1.0")
        name = "1.1.0/%d" % packages.MPY
        content = bytearray(self.store.objects[name])
        content[-3] ^= 1
        self.store.objects[name] = bytes(content)
        self.refuse("digest")

    def test_one_that_is_too_short_or_too_long(self):
        name = "1.1.0/%d" % packages.MPY
        self.store.put("1.1.0")
        good = self.store.objects[name]
        self.store.objects[name] = good[:-1]
        self.want("1.1.0", 1)
        self.assertFalse(self.run_for(20000))
        self.assertIn("shorter", self.error)
        self.store.objects[name] = good + b"x"
        self.want("1.1.0", 2)
        self.assertFalse(self.run_for(20000))
        self.assertIn("longer", self.error)

    def test_a_manifest_without_end(self):
        self.store.put("1.1.0")
        self.store.objects["1.1.0/%d.manifest" % packages.MPY] = b"x" * 100000
        self.refuse("16384")
        self.assertTrue(sum(os.stat("update-a/" + n)[6] for n in os.listdir("update-a")) < 17000)

    def test_no_room(self):
        self.flash = 1 << 50
        self.start()
        self.store.put("1.1.0")
        self.refuse("no room")

    def test_what_is_broken_in_between_is_tried_five_times(self):
        self.store.put("1.1.0")

        def fail(*args):
            raise MemoryError

        self.store.get = fail
        self.want("1.1.0")
        self.run_for(30000)
        self.assertTrue("waiting" in self.twin.told[-1])
        self.run_for(30000)
        self.assertIn("MemoryError", self.error)
        self.assertEqual(len(self.client.texts("sensors.dev.a")), self.app.channels[0].seq)

    def test_outages_are_waited_for_as_long_as_they_take(self):
        self.store.put("1.1.0")
        self.store.up = False
        self.want("1.1.0")
        self.assertFalse(self.run_for(1000000))
        self.assertEqual(self.error, None)
        self.store.up = True
        self.assertTrue(self.run_for(50000))


class OnTrial(UpdateTest):
    def setUp(self):
        super().setUp()
        self.store.put("1.1.0")
        self.run_for(1000)
        self.want("1.1.0", 5)
        assert self.run_for(20000)
        self.begin()

    def begin(self):
        """boot.py has started it."""
        state = self.state()
        state["starts"] += 1
        kept.save(update.PATH, state)
        self.start("update-a")

    def test_it_is_confirmed_by_a_report_and_a_reading(self):
        self.assertEqual((self.app.version, self.twin.told[-1]["revision"]), ("1.1.0", 5))
        self.outbox.confirms = False
        self.run_for(5000)
        self.assertTrue("starts" in self.state())
        self.twin.acknowledged = True
        self.run_for(5000)
        self.assertTrue("starts" in self.state())
        self.outbox.confirms = True
        self.run_for(1000)
        self.assertEqual(self.state(), {"slot": "update-a", "revision": 5})
        self.assertEqual(self.twin.looks, 1)

    def test_where_no_stream_takes_readings_that_is_not_its_fault(self):
        self.twin.acknowledged = True
        self.outbox.last_error = Timeout("nobody takes it")
        self.run_for(1000)
        self.assertFalse("starts" in self.state())

    def test_without_a_connection_it_starts_again_after_ten_minutes(self):
        self.client.there = False
        self.assertFalse(self.run_for(590000))
        self.assertTrue(self.run_for(20000))
        self.assertIn("ten minutes", self.state()["why"])

    def test_nothing_else_is_fetched_meanwhile(self):
        self.store.put("1.2.0")
        self.want("1.2.0", 6)
        self.assertFalse(self.run_for(20000))
        self.twin.acknowledged = True
        self.run_for(1000)
        self.want("1.2.0", 6)  # as the twin does when it is asked to look again
        self.assertTrue(self.run_for(20000))

    def test_what_came_to_nothing_is_told_with_what_ended_it(self):
        failure.keep(KeyError("in the new one"))
        failed = {"version": "1.1.0", "revision": 5, "why": "it ended twice"}
        kept.save(update.PATH, {"slot": "", "failed": failed})
        for failed in (failure.kept(), None):
            self.start(failed=failed)
            self.want("1.1.0", 5)
            self.assertIn("it ended twice: KeyError", self.error)
            self.assertFalse(self.run_for(5000))
        self.assertEqual(len([text for text in self.said if "came to nothing" in text]), 0)
        self.want("1.1.0", 6)  # set again: tried again
        self.assertTrue(self.run_for(20000))

    def test_what_fails_after_it_is_the_first_failure(self):
        for wait_s in (5, 10):
            self.assertEqual(failure.keep(KeyError("in the new one")), wait_s)
        failed = {"version": "1.1.0", "revision": 5, "why": "it ended twice"}
        kept.save(update.PATH, {"slot": "", "failed": failed})
        self.start(failed=failure.kept())
        failure.told()  # as after the next hello
        self.assertEqual(failure.keep(KeyError("in the next one")), 5)

    def test_a_boot_py_that_knows_nothing_of_it(self):
        state = self.state()
        state["starts"] = 0
        kept.save(update.PATH, state)
        self.start()
        self.want("1.1.0", 5)
        self.assertIn("by cable", self.error)
        self.assertFalse(self.run_for(20000))


if __name__ == "__main__":
    unittest.main()
