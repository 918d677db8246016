"""Raspberry Pi Pico W and Pico 2 W."""

import machine

from boards import machine_name
from boards.hardware import HardwareBoard

# CTRL register of the watchdog at its address for clearing bits, and the bit that enables it
# (watchdog and atomic register access in the datasheets of RP2040 and RP2350).
_CTRL_CLEAR_RP2040 = 0x4005B000
_CTRL_CLEAR_RP2350 = 0x400DB000
_ENABLE = 1 << 30


class Rp2(HardwareBoard):
    """A Pico W or Pico 2 W."""

    name = "pico"
    _LED = "LED"  # on the Wi-Fi chip

    # The longest there is on an RP2040 is 8388 ms. A name server that does not answer can hold up
    # the loop nearly as long: a numeric address in `server` avoids it.
    _WATCHDOG_MS = 8300

    def __init__(self, settings, clock):
        super().__init__(settings, clock)
        self._adc = machine.ADC(machine.ADC.CORE_TEMP)

    def chip_temperature(self):
        # 27 degrees C at 0.706 V, falling by 1.721 mV per degree (RP2040 datasheet).
        # 10313/2048 turns a 16-bit reading into steps of 10 microvolts in 31-bit arithmetic.
        return 2700 - (self._adc.read_u16() * 10313 // 2048 - 70600) * 1000 // 1721

    def release_watchdog(self):
        # machine.WDT has no way to stop it, the chip has.
        if self._watchdog is not None:
            rp2350 = "RP2350" in machine_name()
            machine.mem32[_CTRL_CLEAR_RP2350 if rp2350 else _CTRL_CLEAR_RP2040] = _ENABLE
