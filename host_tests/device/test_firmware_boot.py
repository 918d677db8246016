"""boot.py: which version starts, and what becomes of one on trial."""

import json
import os
import sys
import unittest

from firmware_fakes import Scratch, source

BOOT = source("boot.py")


class Machine:
    WDT_RESET = 3
    cause = 1
    mem32 = {}

    @classmethod
    def reset_cause(cls):
        return cls.cause


class Boot(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.home = os.getcwd()
        self.path = list(sys.path)
        self.machine = sys.modules.get("machine")
        sys.modules["machine"] = Machine
        Machine.cause = 1
        for slot in ("update-a", "update-b"):
            os.mkdir(slot)
            with open(slot + "/main.py", "w") as file:
                file.write("")

    def tearDown(self):
        os.chdir(self.home)
        sys.path[:] = self.path
        if self.machine is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = self.machine
        for slot in ("update-a", "update-b"):
            if slot in os.listdir():
                for name in os.listdir(slot):
                    os.remove(slot + "/" + name)
                os.rmdir(slot)
        if "slot.json" in os.listdir() and os.stat("slot.json")[0] & 0x4000:
            os.rmdir("slot.json")
        self.scratch.leave()

    def boot(self):
        """Start: the folder that counts, or "" for the root."""
        os.chdir(self.home)
        sys.path[:] = self.path
        exec(BOOT, {"__name__": "__main__"})
        slot = os.getcwd()[len(self.home) + 1 :]
        os.chdir(self.home)
        if slot:
            self.assertEqual(
                sys.path[:2], [self.home + "/" + slot, self.home + "/" + slot + "/lib"]
            )
        else:
            self.assertEqual(sys.path, self.path)
        return slot

    def write(self, state, name="slot.json"):
        with open(name, "w") as file:
            file.write(state if isinstance(state, str) else json.dumps(state))

    def state(self):
        with open("slot.json") as file:
            return json.load(file)

    def test_without_updates_what_was_deployed(self):
        self.assertEqual(self.boot(), "")

    def test_one_that_is_confirmed(self):
        self.write({"slot": "update-b"})
        for _ in range(5):
            self.assertEqual(self.boot(), "update-b")
        self.assertEqual(self.state(), {"slot": "update-b"})

    def trial(self, before=""):
        self.write(
            {"slot": "update-a", "starts": 0, "before": before, "version": "1.2", "revision": 7}
        )

    def test_on_trial_it_has_two_starts(self):
        for before in ("", "update-b"):
            self.trial(before)
            self.assertEqual([self.boot() for _ in range(4)], ["update-a"] * 2 + [before] * 2)
            failed = self.state()["failed"]
            self.assertEqual((failed["version"], failed["revision"]), ("1.2", 7))
            self.assertIn("twice", failed["why"])

    def test_the_watchdog_ends_a_trial_at_once(self):
        Machine.cause = 3  # of what was before, at first
        self.trial("update-b")
        self.assertEqual([self.boot() for _ in range(2)], ["update-a", "update-b"])
        self.assertIn("watchdog", self.state()["failed"]["why"])

    def test_a_reset_of_a_pico_is_not_the_watchdogs(self):
        class Pico:
            platform = "rp2"
            path = sys.path

            class implementation:
                _machine = "Raspberry Pi Pico W with RP2040"

        kept = sys.modules.get("sys")
        sys.modules["sys"] = Pico
        try:
            Machine.cause = 3
            for mark, expected in ((0, "update-a"), (0x6AB73121, "")):
                Machine.mem32 = {0x4005801C: mark}
                self.trial()
                self.assertEqual([self.boot() for _ in range(2)], ["update-a", expected])
        finally:
            if kept is None:
                del sys.modules["sys"]
            else:
                sys.modules["sys"] = kept

    def test_why_it_was_not_confirmed_if_it_has_said_so(self):
        self.trial()
        state = self.state()
        state.update({"starts": 2, "why": "not in ten minutes"})
        self.write(state)
        self.assertEqual(self.boot(), "")
        self.assertEqual(self.state()["failed"]["why"], "not in ten minutes")

    def test_whatever_is_damaged_leads_to_the_root(self):
        for state in (
            "",
            "{",
            "3",
            "[]",
            "null",
            '{"slot":3}',
            '{"slot":""}',
            '{"a":1}',
            '{"slot":"x"}',
        ):
            self.write(state)
            self.assertEqual(self.boot(), "")
        for name in os.listdir("update-a"):
            os.remove("update-a/" + name)
        self.write({"slot": "update-a"})
        self.assertEqual(self.boot(), "")

    def test_a_power_cut_where_renaming_takes_two_steps(self):
        self.write({"slot": "update-b"}, "slot.json.new")
        self.assertEqual(self.boot(), "update-b")

    def test_what_flash_does_not_count_is_not_tried(self):
        self.trial("update-b")
        os.mkdir("slot.json.new")
        try:
            self.assertEqual(self.boot(), "update-b")
        finally:
            os.rmdir("slot.json.new")
        self.assertEqual(self.boot(), "update-a")


if __name__ == "__main__":
    unittest.main()
