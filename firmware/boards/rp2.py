"""Raspberry Pi Pico W and Pico 2 W."""

import machine

from boards import machine_name
from boards.hardware import HardwareBoard

_MOST_MS = 8300
# likewise; but MicroPython took no more than the other chip's before it knew that
_MOST_RP2350_MS = 16700

_NAP_MS = 3600000  # machine.lightsleep() takes no more than 71 minutes


class Rp2(HardwareBoard):
    """A Pico W or Pico 2 W."""

    name = "pico"
    _LED = "LED"  # on the Wi-Fi chip

    # The longest there is on an RP2040 is 8388 ms.
    _WATCHDOG_MS = _SLOW_WATCHDOG_MS = _MOST_MS

    def __init__(self, settings, clock):
        if "RP2350" in machine_name():
            self._SLOW_WATCHDOG_MS = _MOST_RP2350_MS
        super().__init__(settings, clock)
        self._adc = machine.ADC(machine.ADC.CORE_TEMP)

    def chip_temperature(self):
        # 27 degrees C at 0.706 V, falling by 1.721 mV per degree (RP2040 datasheet).
        # 10313/2048 turns a 16-bit reading into steps of 10 microvolts in 31-bit arithmetic.
        return 2700 - (self._adc.read_u16() * 10313 // 2048 - 70600) * 1000 // 1721

    def start_watchdog(self):
        try:
            super().start_watchdog()
        except ValueError:
            self._WATCHDOG_MS = _MOST_MS
            super().start_watchdog()

    def slept(self):
        # The chip ends a sleep by the watchdog's reset, which it also uses for machine.reset().
        return self.reset_cause() == "watchdog"

    def deep_sleep(self, ms):
        # What machine.deepsleep() does, but for as long as it takes, and again if something
        # (the Wi-Fi chip, an interrupt) ends the sleep too early. The clock of ticks_ms goes on.
        self._before_sleep()
        until = self._clock.ticks_add(self._clock.ticks_ms(), ms)
        while ms > 0:
            machine.lightsleep(min(ms, _NAP_MS))
            ms = self._clock.ticks_diff(until, self._clock.ticks_ms())
        machine.reset()
