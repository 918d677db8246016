"""Board support: the simulated board as it is, the others against stand-ins for their hardware."""

import sys
import unittest

import settings
import watchdog
from boards import Board, find
from boards.unix import Unix
from boards.wifi import Wifi
from config import Settings
from firmware_fakes import FakeClock, Scratch, chip_module

# Stand-ins for `machine`, `network` and `esp32`.


class FakePin:
    OUT = 1

    def __init__(self, pin, mode):
        if pin == 33:
            raise ValueError("invalid pin")
        self.pin = pin
        self.level = 0

    def value(self, level=None):
        if level is not None:
            self.level = int(level)
        return self.level


class FakeWatchdog:
    def __init__(self, timeout):
        self.timeout = timeout
        self.feeds = 0

    def feed(self):
        self.feeds += 1


class FakeAdc:
    CORE_TEMP = 4
    raw = 14000

    def __init__(self, channel):
        assert channel == 4

    def read_u16(self):
        return self.raw


class FakeMachine:
    Pin = FakePin
    WDT = FakeWatchdog
    ADC = FakeAdc
    PWRON_RESET = 1
    WDT_RESET = 3
    DEEPSLEEP_RESET = 4
    cause = 1

    def __init__(self):
        self.mem32 = {}

    def unique_id(self):
        return b"\x01\x02\x03\xaa\xbb\xcc"

    def reset_cause(self):
        return self.cause

    # Sleeping moves `clock`; a light sleep may be ended early.

    clock = None
    early = 0

    def lightsleep(self, ms):
        if ms >= 4294967:
            raise ValueError("sleep too long")
        if self.early:
            self.early -= 1
            ms = 1
        self.clock.now += ms

    def deepsleep(self, ms):
        self.clock.now += ms
        raise SystemExit("deepsleep")

    def reset(self):
        raise SystemExit("reset")


class FakeWlan:
    def __init__(self, interface=0):
        self.calls = []
        self.there = False
        self.error = None
        self.servers = "0.0.0.0"

    def ifconfig(self):
        if isinstance(self.servers, Exception):
            raise self.servers
        return "10.0.0.9", "255.255.255.0", "10.0.0.1", self.servers

    def active(self, on):
        self.calls.append(("active", on))

    def isconnected(self):
        return self.there

    def connect(self, *args):
        self.calls.append(("connect",) + args)
        if self.error:
            raise self.error

    def disconnect(self):
        self.calls.append(("disconnect",))

    def status(self, what):
        assert what == "rssi"
        if self.error:
            raise self.error
        return -61


class FakeNetwork:
    STA_IF = 0
    WLAN = FakeWlan


class FakeNewerNetwork(FakeNetwork):
    def __init__(self, servers):
        self.servers = servers

    def ipconfig(self, what):
        if what != "dns" or self.servers is None:
            raise ValueError("unexpected key")
        return self.servers


class FakeNewestWlan:
    """Without ifconfig()."""

    def active(self, on):
        pass


class FakeEsp32:
    def raw_temperature(self):
        return 131


class FakeEsp32C3:
    def mcu_temperature(self):
        return 34


machine = FakeMachine()
CHIP = {"machine": machine, "network": FakeNetwork(), "esp32": FakeEsp32()}
Rp2 = chip_module("boards.rp2", CHIP).Rp2
esp32 = chip_module("boards.esp32", CHIP)
Esp32 = esp32.Esp32


class FakeSys:
    """What the watchdog asks of `sys`: it is on this chip."""

    def __init__(self, platform, chip):
        self.platform = platform
        self.implementation = self
        self._machine = "some board with " + chip


class OnChip(unittest.TestCase):
    """The watchdog's module is on a chip, and is given back."""

    def setUp(self):
        self.be("rp2", "RP2040")

    def be(self, platform, chip):
        watchdog.machine, watchdog.sys, watchdog._dog = machine, FakeSys(platform, chip), None
        machine.mem32.clear()

    def tearDown(self):
        watchdog.machine, watchdog.sys, watchdog._dog = MACHINE, sys, None


MACHINE = watchdog.machine


def config(**changes):
    values = {"server": "10.0.0.1", "wifi_ssid": "net", "wifi_password": "password"}
    values.update(changes)
    return Settings(values)


class Uptime(unittest.TestCase):
    def test_it_counts_over_the_wrap_of_ticks(self):
        clock = FakeClock(FakeClock.PERIOD - 1500)
        board = Board(None, clock)
        for _ in range(10):
            clock.now += 999
            board.uptime()
        self.assertEqual(board.uptime(), 9)
        clock.now += 4 * 86400 * 1000
        self.assertEqual(board.uptime(), 9 + 4 * 86400)


class WifiTest(unittest.TestCase):
    def setUp(self):
        self.clock = FakeClock()
        self.wlan = FakeWlan()
        self.wifi = Wifi(self.wlan, "net", "password", self.clock)

    def joins(self):
        return [call for call in self.wlan.calls if call[0] == "connect"]

    def wait(self, ms):
        for _ in range(ms // 100):
            self.clock.now += 100
            self.wifi.up()

    def test_it_starts_to_join_at_once_and_does_not_wait(self):
        self.assertEqual(self.wifi.up(), False)
        self.assertEqual(self.wlan.calls[0], ("active", True))
        self.assertEqual(self.joins(), [("connect", "net", "password")])
        self.assertEqual(self.clock.now, 0)

    def test_an_attempt_has_15_seconds(self):
        self.wifi.up()
        self.wait(14900)
        self.assertEqual(len(self.joins()), 1)
        self.wait(100)
        self.assertEqual(len(self.joins()), 2)

    def test_a_lost_network_is_joined_again_at_once(self):
        self.wifi.up()
        self.wlan.there = True
        self.wait(60000)
        self.assertEqual(self.wifi.up(), True)
        self.assertEqual(len(self.joins()), 1)
        self.wlan.there = False
        self.wifi.up()
        self.assertEqual(len(self.joins()), 2)

    def test_an_open_network_is_joined_without_password(self):
        self.wifi = Wifi(self.wlan, "net", None, self.clock)
        self.wifi.up()
        self.assertEqual(self.joins(), [("connect", "net")])

    def test_a_radio_that_refuses_is_asked_again_later(self):
        self.wlan.error = OSError("Wifi Internal Error")
        self.wait(16000)
        self.assertEqual(len(self.joins()), 2)

    def test_name_servers(self):
        for network, told, expected in (
            (FakeNetwork(), "0.0.0.0", []),
            (FakeNetwork(), "10.0.0.1", ["10.0.0.1"]),
            (FakeNewerNetwork("10.0.0.1"), "10.0.0.1", ["10.0.0.1"]),
            (FakeNewerNetwork("10.0.0.2"), "10.0.0.1", ["10.0.0.1", "10.0.0.2"]),
            (FakeNewerNetwork("10.0.0.2"), "0.0.0.0", ["10.0.0.2"]),
            (FakeNewerNetwork("fe80::1"), "10.0.0.1", ["10.0.0.1"]),
            (FakeNewerNetwork(None), "10.0.0.1", ["10.0.0.1"]),
            (FakeNewerNetwork("10.0.0.2"), OSError("not up"), []),
        ):
            wifi = Wifi(self.wlan, "net", "password", self.clock, network)
            self.wlan.servers = told
            self.assertEqual(wifi.name_servers(), expected)
        wifi = Wifi(FakeNewestWlan(), "net", "password", self.clock, FakeNewerNetwork("10.0.0.2"))
        self.assertEqual(wifi.name_servers(), ["10.0.0.2"])

    def test_signal(self):
        self.assertIsNone(self.wifi.rssi())
        self.wlan.there = True
        self.assertEqual(self.wifi.rssi(), -61)
        self.wlan.error = OSError("just gone")
        self.assertIsNone(self.wifi.rssi())


class Hardware(OnChip):
    def setUp(self):
        super().setUp()
        machine.cause = machine.PWRON_RESET
        self.board = Rp2(config(), FakeClock())

    def test_default_name_is_made_of_the_chips_id(self):
        self.assertEqual(self.board.default_name(), "pico-aabbcc")
        self.assertTrue(settings.is_name(self.board.default_name()))

    def test_reset_cause_is_told_in_words(self):
        self.assertEqual(self.board.reset_cause(), "power-on")
        machine.cause = machine.WDT_RESET
        self.assertEqual(self.board.reset_cause(), "watchdog")
        machine.cause = 77
        self.assertEqual(self.board.reset_cause(), "unknown (77)")

    def test_led(self):
        self.assertEqual(self.board._led.pin, "LED")
        self.assertEqual(self.board.led(), False)
        self.assertEqual(self.board.led(True), True)
        self.assertEqual(self.board._led.level, 1)
        self.assertEqual(self.board.led(False), False)

    def test_led_that_is_lit_when_its_pin_is_low(self):
        board = Rp2(config(led_pin=8, led_active_low=True), FakeClock())
        self.assertEqual(board._led.pin, 8)
        self.assertEqual(board._led.level, 1)
        self.assertEqual(board.led(True), True)
        self.assertEqual(board._led.level, 0)

    def test_a_pin_that_is_not_there_is_a_mistake_in_the_settings(self):
        try:
            Rp2(config(led_pin=33), FakeClock())
            text = None
        except ValueError as e:
            text = str(e)
        self.assertIn("settings.json: led_pin", text)
        self.assertIn("33", text)

    def test_name_servers_are_those_of_the_wifi(self):
        for board in (self.board, Esp32(config(), FakeClock())):
            board._wifi._wlan.servers = "10.0.0.1"
            self.assertEqual(board.name_servers(), ["10.0.0.1"])

    def test_watchdog_starts_when_told_and_not_before(self):
        self.board.feed()
        self.assertIsNone(watchdog._dog)
        self.board.start_watchdog()
        self.board.feed()
        self.assertEqual(watchdog._dog.feeds, 1)
        self.assertTrue(watchdog._dog.timeout <= 8388)

    def test_watchdog_can_be_left_off_although_it_runs_since_the_start(self):
        board = Rp2(config(watchdog=False), FakeClock())
        watchdog.start()
        board.start_watchdog()
        self.assertIsNone(watchdog._dog)
        self.assertEqual(machine.mem32, {0x4005B000: 1 << 30})
        board.feed()
        board.release_watchdog()

    def test_the_watchdog_is_patient_where_connecting_takes_long(self):
        for kind, longest in ((Rp2, 8388), (Esp32, 60000)):
            board = kind(config(creds="c"), FakeClock())
            board.start_watchdog()
            self.assertTrue(8000 <= watchdog._dog.timeout <= longest)
            self.assertTrue(kind is Rp2 or watchdog._dog.timeout == longest)

    def test_the_clock_is_set_by_the_given_server(self):
        class Ntptime:
            calls = []

            def settime(self):
                self.calls.append((self.host, self.timeout))

        sys.modules["ntptime"] = fake = Ntptime()
        try:
            self.board.set_clock("10.0.0.1")
        finally:
            del sys.modules["ntptime"]
        self.assertEqual(fake.calls, [("10.0.0.1", 1)])
        self.assertRaises(OSError, Board(config(), FakeClock()).set_clock, "10.0.0.1")

    def test_network(self):
        self.assertEqual(self.board.network_up(), False)
        self.assertIsNone(self.board.rssi())
        self.board._wifi._wlan.there = True
        self.assertEqual(self.board.network_up(), True)
        self.assertEqual(self.board.rssi(), -61)


class Sleep(OnChip):
    def sleep(self, kind, ms):
        """Let a board of this kind sleep; return it, and how it ended."""
        machine.clock = FakeClock(5)
        self.be(*(("rp2", "RP2040") if kind is Rp2 else ("esp32", "ESP32")))
        board = kind(config(), machine.clock)
        board.start_watchdog()
        try:
            board.deep_sleep(ms)
        except SystemExit as end:
            return board, end.args[0]

    def test_the_radio_is_off_and_the_watchdog_cannot_bite(self):
        for kind in (Rp2, Esp32):
            board, _ = self.sleep(kind, 60000)
            self.assertEqual(board._wifi._wlan.calls[-1], ("active", False))
            patient = list(machine.mem32.values()) == [1 << 30] or watchdog._dog.timeout > 1000000
            self.assertTrue(patient)

    def test_a_radio_that_cannot_be_switched_off_does_not_keep_it_awake(self):
        def active(wlan, on):
            if not on:
                raise OSError("busy")

        kept = FakeWlan.active
        FakeWlan.active = active
        try:
            self.assertEqual(self.sleep(Esp32, 60000)[1], "deepsleep")
        finally:
            FakeWlan.active = kept

    def test_an_esp32_sleeps_by_itself(self):
        _, end = self.sleep(Esp32, 86400000)
        self.assertEqual((end, machine.clock.now), ("deepsleep", 86400005))

    def test_a_pico_sleeps_longer_than_its_longest_nap(self):
        _, end = self.sleep(Rp2, 86400000)
        self.assertEqual((end, machine.clock.now), ("reset", 86400005))

    def test_a_pico_that_is_woken_too_early_goes_on_sleeping(self):
        machine.early = 3
        _, end = self.sleep(Rp2, 60000)
        self.assertEqual((end, machine.early, machine.clock.now), ("reset", 0, 60005))

    def test_the_end_of_a_sleep_is_recognised(self):
        pico, other = Rp2(config(), FakeClock()), Esp32(config(), FakeClock())
        machine.cause = machine.WDT_RESET
        self.assertEqual((pico.slept(), other.slept()), (True, False))
        machine.cause = machine.DEEPSLEEP_RESET
        self.assertEqual((pico.slept(), other.slept()), (False, True))
        machine.cause = machine.PWRON_RESET
        self.assertEqual((pico.slept(), other.slept()), (False, False))


class Pico(OnChip):
    def setUp(self):
        super().setUp()
        self.board = Rp2(config(), FakeClock())

    def test_chip_temperature_follows_the_data_sheet(self):
        for raw in (12000, 13500, 14021, 14500, 16000):
            FakeAdc.raw = raw
            expected = 27 - (raw * 3.3 / 65535 - 0.706) / 0.001721
            self.assertAlmostEqual(self.board.chip_temperature() / 100, expected, delta=0.05)

    def test_arithmetic_stays_within_31_bits(self):
        self.assertTrue(65535 * 10313 < 1 << 30)
        self.assertTrue((65535 * 10313 // 2048 - 70600) * 1000 < 1 << 30)

    def test_releasing_the_watchdog_clears_its_enable_bit(self):
        for chip, register in (("RP2040", 0x4005B000), ("RP2350", 0x400DB000)):
            self.be("rp2", chip)
            self.board.release_watchdog()
            self.assertEqual(machine.mem32, {})
            self.board.start_watchdog()
            self.board.release_watchdog()
            self.assertEqual(machine.mem32, {register: 1 << 30})


class Esp32Test(OnChip):
    def setUp(self):
        self.be("esp32", "ESP32")

    def tearDown(self):
        super().tearDown()
        esp32.esp32 = FakeEsp32()

    def test_chip_temperature_of_either_kind(self):
        board = Esp32(config(), FakeClock())
        self.assertEqual(board.chip_temperature(), 5500)
        esp32.esp32 = FakeEsp32C3()
        self.assertEqual(board.chip_temperature(), 3400)

    def test_led_of_the_usual_board(self):
        kept = esp32.machine_name
        esp32.machine_name = lambda: "Generic ESP32 module with ESP32"
        try:
            self.assertEqual(Esp32(config(), FakeClock())._led.pin, 2)
            esp32.machine_name = lambda: "Generic ESP32C3 module with ESP32C3"
            self.assertIsNone(Esp32(config(), FakeClock())._led)
        finally:
            esp32.machine_name = kept

    def test_without_a_known_led_the_error_names_the_setting(self):
        board = Esp32(config(), FakeClock())
        try:
            board.led(True)
            text = None
        except OSError as e:
            text = str(e)
        self.assertIn("led_pin", text)
        self.assertEqual(Esp32(config(led_pin=5), FakeClock()).led(True), True)

    def test_releasing_the_watchdog_makes_it_patient(self):
        board = Esp32(config(), FakeClock())
        board.start_watchdog()
        first = watchdog._dog.timeout
        board.release_watchdog()
        self.assertTrue(watchdog._dog.timeout > 10 * first)


class Simulated(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.clock = FakeClock()
        self.board = Unix(config(), self.clock)

    def tearDown(self):
        self.scratch.leave()

    def led_file(self):
        with open("led") as file:
            return file.read()

    def test_names_are_the_systems_affair(self):
        self.assertIsNone(self.board.name_servers())

    def test_it_is_the_board_of_this_machine(self):
        self.assertIs(find(), Unix)
        self.assertTrue(settings.is_name(self.board.default_name()))

    def test_its_led_can_be_seen_from_outside(self):
        self.assertEqual(self.led_file(), "0")
        self.assertEqual(self.board.led(True), True)
        self.assertEqual(self.led_file(), "1")
        self.assertEqual(self.board.led(), True)

    def test_temperature_and_signal_are_believable(self):
        for _ in range(100):
            self.clock.now += 1700
            self.assertTrue(2000 <= self.board.chip_temperature() <= 3200)
            self.assertTrue(-90 <= self.board.rssi() <= -40)

    def test_wifi_can_be_away_for_a_while(self):
        self.board._away_from, self.board._away_until = 5000, 8000
        self.assertTrue(self.board.network_up())
        self.clock.now = 5000
        self.assertEqual(self.board.network_up(), False)
        self.assertIsNone(self.board.rssi())
        self.clock.now = 8000
        self.assertTrue(self.board.network_up())

    def test_a_watchdog_that_is_fed_in_time_does_nothing(self):
        self.board.start_watchdog()
        for _ in range(10):
            self.clock.now += 8000
            self.board.feed()
        self.assertEqual(self.board.reset_cause(), "power-on")

    def test_a_hungry_watchdog_ends_the_board_and_the_next_start_knows(self):
        self.board.start_watchdog()
        self.clock.now += 8400
        with self.assertRaises(SystemExit):
            self.board.feed()
        self.assertEqual(Unix(config(), self.clock).reset_cause(), "watchdog")
        self.assertEqual(Unix(config(), self.clock).reset_cause(), "power-on")

    def test_the_watchdog_is_patient_where_the_system_looks_up_names(self):
        for server, longest in (("10.0.0.1, [::1]:1", 8300), ("10.0.0.1,broker.local", 60000)):
            board = Unix(config(server=server), self.clock)
            board.start_watchdog()
            self.clock.now += longest
            board.feed()
            self.clock.now += longest + 1
            with self.assertRaises(SystemExit):
                board.feed()

    def test_sleep_ends_the_process_and_tells_whoever_starts_it_again(self):
        with self.assertRaises(SystemExit):
            self.board.deep_sleep(60000)
        with open("asleep") as file:
            self.assertEqual(file.read(), "60000")
        self.assertTrue(Unix(config(), self.clock).slept())
        self.assertFalse(Unix(config(), self.clock).slept())


if __name__ == "__main__":
    unittest.main()
