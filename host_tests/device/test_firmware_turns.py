"""No turn of the application is longer than its board's watchdog: all of it, from the wiring on,
on models of what takes its time, with a watchdog that bites.

The figures are those that were measured on an RP2040, or worse: a write to lwIP without room waits
for 10 s, getaddrinfo for 13.3 s on silent name servers, a signature takes 0.5 s, the answer of a
time server a second, switching the radio on 2 s, and a write to flash 0.5 s.
"""

import errno
import json
import os
import sys
import unittest

import watchdog
import wiring
from app import App
from boards.unix import Unix
from firmware_fakes import Scratch, chip_module
from lwip import LOST, MUTE, UP, Lwip
from ntp import Ntp
from played import Case
from unats import dns, tcp
from unats.outbox import flashlog

NEEDS_SOCKETS = True

SIGNATURE_MS = 500
GETADDRINFO_MS = 13300
NTP_MS = 1000
RADIO_MS = 2000
FLASH_MS = 500  # a file written
ENTRY_MS = 100  # one removed or renamed


class Pin:
    OUT = 1

    def __init__(self, pin, mode):
        self.level = 0

    def value(self, level=None):
        if level is not None:
            self.level = level
        return self.level


class Adc:
    CORE_TEMP = 4

    def __init__(self, channel):
        pass

    def read_u16(self):
        return 14000


class Wlan:
    """Joined as long as the world says so; switching it on takes its time."""

    world = None

    def __init__(self, interface):
        pass

    def active(self, on):
        self.world.sleep_ms(RADIO_MS)

    def isconnected(self):
        return self.world.wifi

    def connect(self, *args):
        pass

    def disconnect(self):
        pass

    def status(self, what):
        return -61

    def ifconfig(self):
        return "10.0.0.9", "255.255.255.0", "10.0.0.1", "10.0.0.1"


class Network:
    STA_IF = 0
    WLAN = Wlan


class Watchdog:
    """machine.WDT: every feed that comes too late is noted. Made again, it is the same one."""

    world = None

    def __init__(self, timeout):
        if timeout > self.world.longest_ms:
            raise ValueError("timeout")
        self.feed()
        self.world.limit = timeout

    def feed(self):
        self.world.fed()


class Machine:
    PWRON_RESET = 1
    Pin = Pin
    ADC = Adc
    WDT = Watchdog

    def __init__(self):
        self.mem32 = {}

    def unique_id(self):
        return b"abc"

    def lightsleep(self, ms):
        raise SystemExit("asleep")

    deepsleep = lightsleep

    def reset_cause(self):
        return 1


class Chip:
    """`sys`, as the watchdog's module sees it."""

    def __init__(self, platform):
        self.platform = platform
        self.implementation = self
        self._machine = "Raspberry Pi Pico W with RP2040"


class Esp32Module:
    def mcu_temperature(self):
        return 34


MODULES = {"machine": Machine(), "network": Network(), "esp32": Esp32Module()}
rp2 = chip_module("boards.rp2", MODULES)
esp32 = chip_module("boards.esp32", MODULES)
hardware = sys.modules["boards.hardware"]


class SilentNames:
    """unats.dns.Resolver, whose servers say nothing until the world has them speak."""

    world = None

    def __init__(self, servers):
        self.servers = servers

    def start(self, host):
        self.until = self.world.now + 6000

    def poll(self):
        if self.world.names:
            return ["10.0.0.7"]
        if self.world.now >= self.until:
            raise OSError(errno.ETIMEDOUT, "no name server answers")
        return None

    def close(self):
        pass


class SystemNames(Lwip):
    """A transport that has the system look names up, which blocks."""

    world = None

    def resolve(self, host, port):
        if not self.world.names:
            self.world.sleep_ms(GETADDRINFO_MS)
            raise OSError(-3, "EAI_AGAIN")
        return ["10.0.0.7"]


class SlowOs:
    """`os` for the outbox's folder: flash takes its time, and has no room when `full`."""

    def __init__(self, world):
        self.world = world
        for name in ("listdir", "mkdir", "stat", "statvfs"):
            setattr(self, name, getattr(os, name))

    def remove(self, path):
        self.world.sleep_ms(ENTRY_MS)
        os.remove(path)

    def rename(self, old, new):
        self.world.sleep_ms(ENTRY_MS)
        os.rename(old, new)


class SlowApp(App):
    """Signs when it connects, and needs the time of day on a board with a clock."""

    world = None

    def introduce(self):
        if self.world.kind is not Unix:
            names = wiring.resolver_for(self.board)
            self.time = Ntp(self.board, self._clock, "time.example", self.say, names)
        self.client.on_connect += (self.sign,)
        self.world.app = self

    def sign(self):
        self.world.sleep_ms(SIGNATURE_MS)
        return b""

    def say(self, text, level="info"):
        pass


class World:
    """Time, and what happens in it: `plan` is a list of (second, function)."""

    def __init__(self, kind, clock, longest_ms):
        self.kind, self.longest_ms = kind, longest_ms
        self.plan = []
        self.now = 0
        self.wifi = self.names = self.time = self.full = False
        self.limit = None
        self.longest_hunger_ms = self.last_fed = self.longest_full_ms = 0
        self.bites = []
        self.app = None
        self._clock = clock

    def sleep_ms(self, ms):
        """Let time pass. KeyboardInterrupt: the plan is at its end."""
        ms = max(ms, 0)
        self.now += ms
        type(self._clock).sleep_ms(self._clock, ms)
        while self.plan and self.plan[0][0] * 1000 <= self.now:
            self.plan.pop(0)[1]()

    def fed(self):
        hunger = self.now - self.last_fed
        self.last_fed = self.now
        if self.limit is not None:
            self.longest_hunger_ms = max(self.longest_hunger_ms, hunger)
            if hunger > self.limit:
                self.bites.append((self.now, hunger))

    def set(self, **values):
        def change():
            for name, value in values.items():
                setattr(self, name, value)

        return change

    def end(self):
        raise KeyboardInterrupt

    def gmtime(self):
        return (2026 if self.time else 2021, 5, 4, 3, 2, 1, 0, 0)

    def settime(self):
        self.sleep_ms(NTP_MS)
        if not self.names:
            raise OSError(errno.ETIMEDOUT)
        self.time = True

    def open(self, path, mode="r"):
        if "w" in mode:
            self.sleep_ms(FLASH_MS)
            if self.full:
                raise OSError(28, "ENOSPC")  # which MicroPython's errno has not
        return open(path, mode)


class Turns(Case):
    def setUp(self):
        super().setUp()
        self.scratch = Scratch()
        self.kept = [
            (module, name, getattr(module, name))
            for module, name in (
                (wiring, "utime"),
                (wiring, "App"),
                (wiring.boards, "find"),
                (watchdog, "machine"),
                (watchdog, "sys"),
                (hardware, "machine"),
                (hardware, "network"),
                (rp2, "machine"),
                (esp32, "esp32"),
                (flashlog, "os"),
                (dns, "Resolver"),
                (tcp, "Tcp"),
            )
        ]
        self.ntptime = sys.modules.get("ntptime")

    def tearDown(self):
        for module, name, value in self.kept:
            setattr(module, name, value)
        watchdog._dog = None
        del flashlog.open
        del self.clock.sleep_ms
        del self.clock.gmtime
        sys.modules.pop("ntptime", None)
        if self.ntptime is not None:
            sys.modules["ntptime"] = self.ntptime
        for name in os.listdir("outbox"):
            os.remove("outbox/" + name)
        os.rmdir("outbox")
        self.scratch.leave()
        super().tearDown()

    def world(self, kind, platform, longest_ms, transport=Lwip, **changes):
        """A board of this kind, in a world of its own."""
        world = World(kind, self.clock, longest_ms)
        for user in (Wlan, Watchdog, SilentNames, SystemNames, SlowApp):
            user.world = world
        self.clock.sleep_ms, self.clock.gmtime = world.sleep_ms, world.gmtime
        values = {"server": "broker.example", "wifi_ssid": "net", "wifi_password": "password"}
        values.update({"device": "b", "period_s": 0.5, "outbox_flash": 65536})
        values.update(changes)
        if "sleep_s" in values:
            del values["period_s"]
        with open("settings.json", "w") as file:
            json.dump(values, file)
        net = transport(self.clock, window=3000 if kind is rp2.Rp2 else 0)
        net.on_message = self.on_message
        self.net = net
        self.readings = 0
        wiring.utime, wiring.App, wiring.boards.find = self.clock, SlowApp, lambda: kind
        for module in (watchdog, hardware, rp2):
            module.machine = MODULES["machine"]
        hardware.network, esp32.esp32 = MODULES["network"], MODULES["esp32"]
        watchdog.sys, watchdog._dog = Chip(platform), None
        if kind is Unix:
            watchdog.machine = None
        sys.modules["ntptime"] = world
        flashlog.os, flashlog.open = SlowOs(world), world.open
        dns.Resolver, tcp.Tcp = SilentNames, lambda: net
        return world

    def on_message(self, session, subject, payload):
        self.readings += subject.startswith("sensors.")
        for i, wanted in enumerate(session.subjects):
            if wanted.endswith(".*") and subject.startswith(wanted[:-1]):
                line = "MSG %s %d %d\r\n" % (subject, i + 1, len(payload))
                self.net.send(line.encode() + payload + b"\r\n")

    def path(self, path):
        def change():
            self.net.path = path

        return change

    def if_open(self, change):
        """The same, unless there is no connection to which it could happen."""

        def change_it():
            if self.net._current is not None:
                change()

        return change_it

    def bad_days(self, world):
        """All that can go wrong, one after the other."""
        net = self.net
        world.plan = [
            (4, world.set(wifi=True)),
            (30, world.set(names=True)),
            (40, self.path(LOST)),
            (90, self.path(UP)),
            (100, self.path(MUTE)),
            (150, self.path(UP)),
            (160, lambda: net.restart(20000)),
            (190, net.stop_reading),
            (220, self.if_open(net.read_again)),
            (230, self.path(LOST)),
            (232, self.if_open(net.end)),
            (235, self.path(UP)),
            (250, world.set(wifi=False, names=False)),
            (251, self.path(LOST)),
            (290, world.set(wifi=True)),
            (291, self.path(UP)),
            (310, world.set(names=True)),
            (330, self.path(LOST)),
            (530, world.set(full=True)),  # when there are segments to be given up
            (569, world.set(full=False)),
            (570, self.path(UP)),
            (590, world.end),
        ]

    def live(self, world):
        """What main.py does, until the plan is at its end; the application then."""
        watchdog.start()
        world.last_fed = 0
        wiring.made()()
        self.assertEqual(world.plan, [])
        self.assertEqual(world.bites, [])
        self.assertTrue(world.app.connections >= 2, world.app.connections)
        self.assertTrue(self.readings > 1000, self.readings)
        self.assertEqual(world.app.faults, 0)
        return world.app

    def test_a_pico(self):
        world = self.world(rp2.Rp2, "rp2", 8388, period_s=0.3)
        self.bad_days(world)
        self.live(world)
        self.assertTrue(0 < world.longest_hunger_ms <= 8300, world.longest_hunger_ms)
        self.assertEqual(self.net.stalls, 0)

    def test_an_esp32(self):
        world = self.world(esp32.Esp32, "esp32", 1 << 30)
        self.bad_days(world)
        self.live(world)
        self.assertTrue(0 < world.longest_hunger_ms <= 30000, world.longest_hunger_ms)

    def test_any_other_board(self):
        world = self.world(Unix, "linux", 0, transport=SystemNames)
        self.bad_days(world)
        self.live(world)  # it would have ended the process

    def test_a_wake(self):
        for kind, platform in ((rp2.Rp2, "rp2"), (esp32.Esp32, "esp32")):
            for plan in (
                [],  # no network
                [(1, "wifi")],  # silent name servers
                [(1, "wifi"), (2, "names")],
                [(1, "wifi"), (2, "names"), (4, LOST)],
                [(1, "wifi"), (2, "names"), (8, MUTE), (9, "full")],
            ):
                world = self.world(kind, platform, 8388, sleep_s=600, awake_s=12)
                world.longest_ms = 8388 if kind is rp2.Rp2 else 1 << 30
                for second, what in plan:
                    change = self.path(what) if what in (LOST, MUTE) else world.set(**{what: True})
                    world.plan.append((second, change))
                watchdog.start()
                world.last_fed = world.now
                with self.assertRaises(SystemExit):
                    wiring.made()()
                self.assertEqual(world.bites, [])
                self.assertTrue(world.now < 30000, world.now)

    def test_a_watchdog_that_is_not_fed_is_noticed(self):
        world = self.world(rp2.Rp2, "rp2", 8388)
        world.plan = [(5, world.set(wifi=True, names=True)), (30, world.end)]
        SlowApp._measure, kept = lambda app: world.sleep_ms(9000), SlowApp._measure
        try:
            wiring.made()()
        finally:
            SlowApp._measure = kept
        self.assertTrue(world.bites)


if __name__ == "__main__":
    unittest.main()
