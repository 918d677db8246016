"""Board support: all that the application wants of the hardware, behind one class.

A port overrides what it has. None of these calls waits, and none that the loop makes allocates
(except where the platform does). chip_temperature() and rssi() give None for "not here", led()
raises OSError where there is no LED.
"""

import gc
import sys


class Board:
    """A board without hardware: the base of the others."""

    name = "board"
    needs_wifi = False

    def __init__(self, settings, clock):
        self._clock = clock
        self._seen = clock.ticks_ms()
        self._uptime_s = 0
        self._fraction_ms = 0

    def default_name(self):
        """Return a device name that stays the same over restarts, for settings without one."""
        return self.name

    def reset_cause(self):
        """Return why the board started: "power-on", "watchdog", ..."""
        return "unknown"

    def uptime(self):
        """Return the seconds since start. To be called at least every 6 days (ticks_ms wraps)."""
        now = self._clock.ticks_ms()
        passed = self._fraction_ms + self._clock.ticks_diff(now, self._seen)
        self._seen = now
        self._uptime_s += passed // 1000
        self._fraction_ms = passed % 1000
        return self._uptime_s

    def heap_free(self):
        """Return the free bytes of the heap."""
        return gc.mem_free()

    def heap_used(self):
        """Collect garbage, then return the used bytes of the heap; takes some milliseconds."""
        gc.collect()
        return gc.mem_alloc()

    def chip_temperature(self):
        """Return the chip's temperature in hundredths of a degree Celsius, or None."""
        return None

    def rssi(self):
        """Return the strength of the Wi-Fi signal in dBm, or None while there is none."""
        return None

    def address(self):
        """Return the board's address in its network, a str, or None while it has none."""
        return None

    def led(self, on=None):
        """Switch the LED if `on` is True or False; return whether it is lit now."""
        raise OSError("no LED")

    def network_up(self):
        """Say whether there is a network. Called on every turn: keeps joining it meanwhile."""
        return True

    def name_servers(self):
        """Return the addresses of the network's name servers, a list of str; None: names are the
        system's affair.
        """
        return None

    def start_watchdog(self):
        """From here on the board restarts when feed() is not called for some seconds; or, if the
        settings do not want a watchdog, not even if it runs since the start.
        """

    def feed(self):
        """Tell the watchdog that all is well."""

    def release_watchdog(self):
        """Give whoever interrupted the program time at the REPL, as far as the chip lets us."""

    def set_clock(self, host):
        """Set the clock by the time server `host`. Waits; OSError and others:
        that did not work.
        """
        raise OSError("this board cannot set its clock")

    def reset(self):
        """Start anew. Does not return."""
        raise OSError("this board cannot reset itself")

    def slept(self):
        """Say whether this start is the end of a deep sleep, as far as the chip can tell."""
        return self.reset_cause() == "deep sleep"

    def deep_sleep(self, ms):
        """Sleep with all but the clock switched off, then start anew. Does not return."""
        raise OSError("this board cannot sleep")


def machine_name():
    """Return what the interpreter says it runs on: "Raspberry Pi Pico W with RP2040", ..."""
    return getattr(sys.implementation, "_machine", sys.platform)


def micropython_version():
    """Return the interpreter's version: "1.29.0", "1.30.0-preview"."""
    parts = sys.implementation.version
    text = "%d.%d.%d" % tuple(parts[:3])
    return text + "-" + parts[3] if len(parts) > 3 and parts[3] else text


def find():
    """Return the Board class for this machine."""
    if sys.platform == "esp32":
        from boards.esp32 import Esp32 as Board
    elif sys.platform == "rp2":
        from boards.rp2 import Rp2 as Board
    else:
        from boards.unix import Unix as Board
    return Board
