"""The way back: whatever ends the application, the board is reset and tries again; Ctrl-C and
mistakes in the settings lead to the prompt.
"""

import sys
import unittest

import failure
import main
from firmware_fakes import FakeClock, Scratch


class FakeDog:
    """The watchdog's module; it bites when it is not fed within 8,300 ms."""

    def __init__(self, clock):
        self.clock = clock
        self.fed_at = None
        self.bites = 0
        self.released = False

    def start(self):
        self.fed_at = self.clock.now

    def feed(self):
        self.bites += self.clock.now - self.fed_at > 8300
        self.fed_at = self.clock.now

    def release(self):
        self.released = True


class FakeWiring:
    def __init__(self, end):
        self.end = end
        self.dog_ran = self.given_back = None

    def made(self):
        self.dog_ran = sys.modules["watchdog"].fed_at is not None
        return self.run

    def run(self):
        self.given_back = "wiring" not in sys.modules
        self.end()


class InterruptedClock(FakeClock):
    """Ctrl-C comes after so many ms of sleep."""

    after = None

    def sleep_ms(self, ms):
        super().sleep_ms(ms)
        if self.after is not None and self.now >= self.after:
            raise KeyboardInterrupt


class Main(unittest.TestCase):
    NAMES = ("watchdog", "wiring")

    def setUp(self):
        self.scratch = Scratch()
        self.kept = main.utime, main.make_room, main.reset
        self.modules = [(name, sys.modules.pop(name, None)) for name in self.NAMES]
        self.path = list(sys.path)
        self.clock = main.utime = InterruptedClock()
        main.make_room = lambda: None  # the modules of the other suites are still needed
        main.reset = self.reset
        self.dog = sys.modules["watchdog"] = FakeDog(self.clock)
        self.resets = []

    def tearDown(self):
        main.utime, main.make_room, main.reset = self.kept
        failure.PATH = "failure.txt"
        for name, module in self.modules:
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        sys.path[:] = self.path
        self.scratch.leave()

    def reset(self):
        self.resets.append(self.clock.now)

    def run_to(self, error):
        """Run an application that ends with this error, or with None."""

        def end():
            if error is not None:
                raise error

        sys.modules["wiring"] = wiring = FakeWiring(end)
        main.main()
        return wiring

    def test_whatever_ends_it_is_kept_and_the_board_is_reset_after_a_while(self):
        for error in (MemoryError("x"), OSError(5), ImportError("no module"), KeyError("k")):
            self.tearDown()
            self.setUp()
            wiring = self.run_to(error)
            self.assertTrue(wiring.dog_ran and wiring.given_back)
            self.assertEqual((self.resets, self.dog.bites), ([5000], 0))
            self.assertTrue(failure.kept().startswith(type(error).__name__))

    def test_waits_grow_and_the_watchdog_is_fed_in_them(self):
        for count, wait_s in enumerate((5, 10, 20, 40, 80, 160, 300, 300)):
            before = self.clock.now
            self.run_to(OSError(5))
            self.assertEqual(len(self.resets), count + 1)
            self.assertEqual(self.clock.now - before, 1000 * wait_s)
        self.assertEqual(self.dog.bites, 0)

    def test_what_fails_while_it_is_imported_likewise(self):
        with open("wiring.py", "w") as file:
            file.write("raise MemoryError('while importing')\n")
        sys.path.insert(0, self.scratch.path)
        main.main()
        self.assertEqual(self.resets, [5000])
        self.assertTrue(failure.kept().startswith("MemoryError"), failure.kept())

    def test_a_file_that_is_missing_likewise(self):
        sys.path[:] = [self.scratch.path]
        main.main()
        self.assertEqual(self.resets, [5000])
        self.assertTrue(failure.kept().startswith("ImportError") or "ModuleNot" in failure.kept())

    def test_a_file_system_that_takes_nothing_does_not_keep_it_from_coming_back(self):
        failure.PATH = "no-such-folder/failure.txt"
        self.run_to(OSError(5))
        self.run_to(OSError(5))
        self.assertEqual((self.resets, self.dog.bites), ([60000, 120000], 0))

    def test_nor_that_telling_it_fails_too(self):
        def no_room():
            raise MemoryError

        main.make_room = no_room
        self.run_to(MemoryError())
        self.assertEqual((self.resets, self.dog.bites), ([60000], 0))

    def test_nor_that_there_is_no_watchdog(self):
        del sys.modules["watchdog"]
        with open("watchdog.py", "w") as file:
            file.write("raise OSError(5)\n")
        sys.path.insert(0, self.scratch.path)
        main.main()
        self.assertEqual(self.resets, [5000])

    def test_mistakes_in_the_settings_and_ctrl_c_lead_to_the_prompt(self):
        for end in (None, KeyboardInterrupt()):
            self.run_to(end)
            self.assertEqual((self.resets, self.dog.released), ([], True))
            self.assertIsNone(failure.kept())

    def test_so_does_ctrl_c_while_it_waits(self):
        self.clock.after = 3000
        self.run_to(OSError(5))
        self.assertEqual((self.resets, self.dog.released), ([], True))

    def test_a_board_that_ends_by_itself_ends(self):
        with self.assertRaises(SystemExit):
            self.run_to(SystemExit(0))
        self.assertEqual(self.resets, [])


class Parts(unittest.TestCase):
    def test_what_gives_back_heap_are_the_applications_modules(self):
        class Modules:
            modules = {"unats": 1, "unats.tcp": 2, "boards.rp2": 3, "machine": 4, "watchdog": 5}

        kept, main.sys = main.sys, Modules
        try:
            main.make_room()
        finally:
            main.sys = kept
        self.assertEqual(sorted(Modules.modules), ["machine", "watchdog"])

    def test_without_a_chip_to_reset_the_process_ends(self):
        class Machine:
            pass

        kept = sys.modules.get("machine")
        sys.modules["machine"] = Machine()
        try:
            with self.assertRaises(SystemExit):
                main.reset()
        finally:
            del sys.modules["machine"]
            if kept is not None:
                sys.modules["machine"] = kept


if __name__ == "__main__":
    unittest.main()
