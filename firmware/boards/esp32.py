"""ESP32, ESP32-S2, -S3, -C3 and -C6."""

import esp32

from boards import machine_name
from boards.hardware import HardwareBoard


class Esp32(HardwareBoard):
    """An ESP32 of any kind."""

    name = "esp32"
    _WATCHDOG_MS = 30000  # room for writes that wait for memory of lwIP's, 10 s each
    _SLOW_WATCHDOG_MS = 60000

    def __init__(self, settings, clock):
        if machine_name().endswith("with ESP32"):
            self._LED = 2  # as on most boards with it; with the other chips it differs too much
        super().__init__(settings, clock)

    def chip_temperature(self):
        if hasattr(esp32, "mcu_temperature"):  # S2, S3, C3, C6: whole degrees Celsius
            return esp32.mcu_temperature() * 100
        return (esp32.raw_temperature() - 32) * 500 // 9  # ESP32: degrees Fahrenheit
