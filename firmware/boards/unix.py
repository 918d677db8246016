"""The simulated board: MicroPython's Unix port, with what is around a board in its directory.

    led           holds 1 or 0: the LED, for whoever wants to see it lit
    reset-cause   left behind by the watchdog when it bites, by a reset and by sleep; read at the
                  next start. After the first two the process ends with exit code 3
    asleep        left behind by deep sleep, which ends the process: for how many milliseconds.
                  Whoever simulates the board removes it, and starts it again after that time

Faults come from the environment: SIM_WIFI_AWAY=5-8 takes the Wi-Fi away from the 5th to the 8th
second after the start. The chip warms up and cools down by ten degrees every minute.
"""

import os
import sys

from micropython import const

from boards import Board

_WATCHDOG_MS = const(8300)  # as on a Pico W,
_NAMES_MS = const(60000)  # ... but where the system looks up names, which waits for name servers
_WAVE_MS = const(60000)
_RESET = 3  # exit code


class Unix(Board):
    """A board made of one process and one directory."""

    name = "unix"

    def __init__(self, settings, clock):
        super().__init__(settings, clock)
        self._start = clock.ticks_ms()
        self._away_from, self._away_until = _span(os.getenv("SIM_WIFI_AWAY"))
        self._cause = _take("reset-cause") or "power-on"
        self._use_watchdog = settings.watchdog
        self._watchdog_ms = _NAMES_MS if _has_names(settings.servers) else _WATCHDOG_MS
        self._fed = None
        self._phase = 0  # so that boards differ
        for character in os.getcwd():
            self._phase = (self._phase * 31 + ord(character) * 7919) % _WAVE_MS
        self.led(False)

    def default_name(self):
        return "unix-%d" % self._phase

    def reset_cause(self):
        return self._cause

    def chip_temperature(self):
        at = (self._age() + self._phase) % _WAVE_MS
        return 2100 + abs(at - _WAVE_MS // 2) // 30

    def rssi(self):
        if not self.network_up():
            return None
        return -50 - (self._age() // 700 + self._phase) % 7 - self._phase % 19

    def address(self):
        return "127.0.0.1" if self.network_up() else None

    def network_up(self):
        return not self._away_from <= self._age() < self._away_until

    def led(self, on=None):
        if on is not None:
            self._lit = bool(on)
            _put("led", "1" if on else "0")
        return self._lit

    def start_watchdog(self):
        if self._use_watchdog:
            self._fed = self._clock.ticks_ms()

    def feed(self):
        if self._fed is None:
            return
        now = self._clock.ticks_ms()
        if self._clock.ticks_diff(now, self._fed) > self._watchdog_ms:
            self._bite()
        self._fed = now

    def release_watchdog(self):
        self._fed = None

    def deep_sleep(self, ms):
        _put("reset-cause", "deep sleep")
        _put("asleep", str(ms))
        sys.exit(0)

    def reset(self):
        _put("reset-cause", "soft reset")
        sys.exit(_RESET)

    def _bite(self):
        """End the process, where a real board would have been restarted some time ago."""
        _put("reset-cause", "watchdog")
        print("watchdog: not fed in time")
        sys.exit(_RESET)

    def _age(self):
        return self._clock.ticks_diff(self._clock.ticks_ms(), self._start)


def _span(text):
    """Turn "5-8" (seconds) into (5000, 8000); without text nothing is ever in the span."""
    if not text:
        return 0, 0
    first, last = text.split("-")
    return int(float(first) * 1000), int(float(last) * 1000)


def _has_names(servers):
    """Say whether one of the servers is given by its name, and not by its address."""
    from unats.servers import is_address, read_urls

    return not all(is_address(server.host) for server in read_urls(servers))


def _put(path, text):
    with open(path, "w") as file:
        file.write(text)


def _take(path):
    """Return the text of a file and remove the file; None if there is none."""
    try:
        with open(path) as file:
            text = file.read().strip()
        os.remove(path)
        return text
    except OSError:
        return None
