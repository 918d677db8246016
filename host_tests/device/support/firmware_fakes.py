"""Stand-ins for what the device application talks to: a clock, a board, a client and sensors.

FakeClock is moved by hand (sleeping and polling move it), so no test depends on real time.
"""

import os
import random
import sys

import utime

import unats
from boards import Board
from sensors import Sensor

PERIOD_MS = 1000

if not hasattr(os, "getenv"):  # MicroPython without an operating system
    os.getenv = lambda name: None
if not hasattr(sys, "print_exception"):  # MicroPython's
    sys.print_exception = lambda error, file=None: print(repr(error), file=file)


def chip_module(name, modules):
    """Import a module with stand-ins for built-in ones, given by name.

    These are set aside again after it, so that nobody else meets them.
    """
    kept = {}
    for key in modules:
        if key in sys.modules:
            kept[key] = sys.modules[key]
        sys.modules[key] = modules[key]
    try:
        return __import__(name, None, None, ("x",))
    finally:
        for key in modules:
            del sys.modules[key]
        sys.modules.update(kept)


def source(name):
    """The text of a file of the application."""
    for folder in sys.path:
        try:
            with open(folder + "/" + name) as file:
                return file.read()
        except OSError:
            pass
    raise ImportError(name)


class Scratch:
    """A directory of its own, entered until leave(), which removes it and the files in it."""

    def __init__(self):
        self._back = os.getcwd()
        unique = "%x-%x" % (utime.ticks_us(), random.getrandbits(30))
        self.path = (os.getenv("TMPDIR") or "/tmp") + "/unats-test-" + unique
        os.mkdir(self.path)
        os.chdir(self.path)

    def leave(self):
        for name in os.listdir():
            os.remove(name)
        os.chdir(self._back)
        os.rmdir(self.path)


class Said(list):
    """What an application says, instead of printing it; `levels` has the level of each."""

    def __init__(self):
        super().__init__()
        self.levels = []

    def __call__(self, text, level="info"):
        self.append(text)
        self.levels.append(level)


class FakeClock:
    """As utime on a 32-bit board: ticks wrap at 2**30."""

    PERIOD = 1 << 30

    def __init__(self, start=0):
        self.now = start
        self.limit = None  # sleeping does not go beyond

    def ticks_ms(self):
        return self.now % self.PERIOD

    def ticks_add(self, ticks, delta):
        return (ticks + delta) % self.PERIOD

    def ticks_diff(self, a, b):
        half = self.PERIOD // 2
        return (a - b + half) % self.PERIOD - half

    def sleep_ms(self, ms):
        self.now += ms
        if self.limit is not None and self.now > self.limit:
            self.now = self.limit


def run_for(app, clock, ms, after=None):
    """Have an application turn for so long; after: is called behind each turn."""
    clock.limit = clock.now + ms
    try:
        while clock.now < clock.limit:
            before = clock.now
            app.turn()
            if after is not None:
                after()
            if clock.now == before:
                clock.now += 1
    finally:
        clock.limit = None


class FakeBoard(Board):
    name = "fake"

    def __init__(self, clock):
        super().__init__(None, clock)
        self.network = True
        self.lit = False
        self.temperature = 2153
        self.fed_at = None
        self.longest_hunger_ms = 0
        self.released = False
        self.cause = "power-on"
        self.slept_ms = None
        self.resets = 0

    def deep_sleep(self, ms):
        self.slept_ms = ms

    def reset_cause(self):
        return self.cause

    def chip_temperature(self):
        return self.temperature

    def heap_free(self):
        return 100000

    def heap_used(self):
        return 40000

    def rssi(self):
        return -60 if self.network else None

    def address(self):
        return "10.0.0.7" if self.network else None

    def led(self, on=None):
        if self.lit is None:
            raise OSError("no LED known")
        if on is not None:
            self.lit = on
        return self.lit

    def network_up(self):
        return self.network

    def start_watchdog(self):
        self.fed_at = self._clock.ticks_ms()

    def feed(self):
        now = self._clock.ticks_ms()
        hunger = self._clock.ticks_diff(now, self.fed_at)
        if hunger > self.longest_hunger_ms:
            self.longest_hunger_ms = hunger
        self.fed_at = now

    def release_watchdog(self):
        self.released = True

    def reset(self):
        self.resets += 1
        raise SystemExit


class FakeMsg:
    """A message whose payload lies in the middle of a buffer, as a client's does."""

    def __init__(self, data):
        self.buffer = bytearray(b"MSG on " + data + b"\r\n")
        self.start = 7
        self.size = len(data)
        self.end = self.start + self.size
        self.replies = []
        self.respond_error = None
        self.nc = None
        self.reply = "reply"
        self._data = data

    def equals(self, data):
        return self._data == data

    def respond(self, payload):
        if self.respond_error:
            raise self.respond_error
        self.replies.append(payload if isinstance(payload, bytes) else payload.encode())
        return True


class FakeClient:
    """Connects when it is polled, as long as the server is `there`."""

    def __init__(self, clock):
        self._clock = clock
        self.app = None
        self.there = True
        self.server = self  # what is known of it
        self.state = "disconnected"
        self.connected = False
        self.published = []
        self.handlers = {}
        self.starts = 0
        self.polls = 0
        self.longest_wait_ms = 0
        self.inbox = []
        self.closed = False
        self.flushes = []  # how much was published at each
        self.connections = 0
        self.version = "2.11.0"
        self.connect_error = None
        self.poll_error = self.close_error = None

    def deadline(self, ms):
        return self._clock.ticks_add(self._clock.ticks_ms(), ms)

    def left(self, deadline):
        return max(self._clock.ticks_diff(deadline, self._clock.ticks_ms()), 0)

    def subscribe(self, subject, handler, queue=None):
        self.handlers[subject] = handler

    def connect(self, wait=True):
        assert wait is False
        self.starts += 1
        if self.connect_error:
            raise self.connect_error
        self.state = "connecting"

    def poll(self, timeout_ms=0):
        self.polls += 1
        self.longest_wait_ms = max(self.longest_wait_ms, timeout_ms)
        if self.poll_error:
            raise self.poll_error
        if self.there and self.state in ("connecting", "reconnecting"):
            self._up()
            return 0
        self._clock.sleep_ms(timeout_ms)
        count = 0
        while self.inbox:
            handler, msg = self.inbox.pop(0)
            handler(msg)
            count += 1
        return count

    def publish(self, subject, payload=b""):
        if not self.connected:
            return False
        self.published.append((subject, as_text(payload)))
        return True

    def flush(self, timeout_ms):
        self.flushes.append(len(self.published))
        return True

    def close(self):
        self.closed = True
        if self.close_error:
            raise self.close_error

    def _up(self):
        self.state = "connected"
        self.connected = True
        self.connections += 1
        first = self.connections == 1
        self.app.on_event(self, "connected" if first else "reconnected", None)

    # for the tests

    def lose(self, error=None):
        self.state = "reconnecting"
        self.connected = False
        self.app.on_event(self, "disconnected", error)

    def send(self, subject, data):
        msg = FakeMsg(data)
        self.inbox.append((self.handlers[subject], msg))
        return msg

    def texts(self, subject):
        return [text for s, text in self.published if s == subject]


class FakeOutbox:
    """Sends what waits when it is polled, as long as `client` is connected and `error` is None.

    `confirms`: whether the server confirms what is sent. `size`: how many readings it takes.
    """

    acknowledged = True

    def __init__(self, client, start=3, size=1000):
        self._client = client
        self.start = start
        self.size = size
        self.confirms = True
        self.last_error = None
        self.waiting = []
        self.in_flash = []
        self.polls = self.syncs = 0
        self.poll_error = None
        self.flash_works = True
        self.stats = self
        self.acked = self.resent = self.dropped = self.damaged = 0
        self.rejected = self.unverified = self.unconfirmed = 0

    def __len__(self):
        return len(self.waiting)

    def put(self, subject, payload):
        if len(self.waiting) >= self.size:
            return False
        self.waiting.append((subject, as_text(payload)))
        return True

    def poll(self):
        self.polls += 1
        if self.poll_error:
            raise self.poll_error
        while (
            self.waiting and self.confirms and self.last_error is None and self._client.connected
        ):
            self._client.publish(*self.waiting.pop(0))
            self.acked += 1

    def flush(self, timeout_ms):
        self.poll()
        return not self.waiting

    def sync(self):
        self.syncs += 1
        if self.flash_works:
            self.in_flash = list(self.waiting)
        return self.flash_works or not self.waiting


class FakeSensor(Sensor):
    def __init__(self, value, decimals=0):
        self.value = value
        self.decimals = decimals

    def read(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def as_text(payload):
    if isinstance(payload, unats.Payload):
        payload = payload.buffer[: payload.size]
    return payload if isinstance(payload, str) else bytes(payload).decode()
