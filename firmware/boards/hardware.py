"""What the boards with a `machine` module and Wi-Fi have in common."""

from binascii import hexlify

import machine
import network

import watchdog
from boards import Board
from boards.wifi import Wifi


def _output(pin):
    try:
        return machine.Pin(pin, machine.Pin.OUT)
    except ValueError:
        raise ValueError("settings.json: led_pin: this board cannot use GPIO %s for an LED" % pin)


class HardwareBoard(Board):
    """A real board; a port adds its temperature sensor, its LED and its watchdog's limits."""

    needs_wifi = True
    _WATCHDOG_MS = _SLOW_WATCHDOG_MS = 8000  # the latter: where connecting takes much computing
    _LED = None  # what machine.Pin takes for the LED on board, or None if that is not known

    def __init__(self, settings, clock):
        super().__init__(settings, clock)
        wlan = network.WLAN(network.STA_IF)
        self._wifi = Wifi(wlan, settings.wifi_ssid, settings.wifi_password, clock, network)
        self._use_watchdog = settings.watchdog
        if settings.is_slow:
            self._WATCHDOG_MS = self._SLOW_WATCHDOG_MS
        pin = self._LED if settings.led_pin is None else settings.led_pin
        self._led = None if pin is None else _output(pin)
        self._led_active_low = settings.led_active_low
        if self._led is not None:
            self.led(False)

    def default_name(self):
        return self.name + "-" + hexlify(machine.unique_id()[-3:]).decode()

    def reset_cause(self):
        cause = machine.reset_cause()
        # Each port has only some of these.
        for constant, text in (
            ("PWRON_RESET", "power-on"),
            ("WDT_RESET", "watchdog"),
            ("SOFT_RESET", "soft reset"),
            ("DEEPSLEEP_RESET", "deep sleep"),
            ("HARD_RESET", "reset pin"),
        ):
            if cause == getattr(machine, constant, None):
                return text
        return "unknown (%d)" % cause

    def rssi(self):
        return self._wifi.rssi()

    def address(self):
        return self._wifi.address()

    def network_up(self):
        return self._wifi.up()

    def name_servers(self):
        return self._wifi.name_servers()

    def led(self, on=None):
        if self._led is None:
            raise OSError("no LED known on this board: set led_pin in settings.json")
        if on is not None:
            self._led.value(on != self._led_active_low)
        return bool(self._led.value()) != self._led_active_low

    def deep_sleep(self, ms):
        self._before_sleep()
        machine.deepsleep(ms)

    def set_clock(self, host):
        import ntptime

        ntptime.host = host
        ntptime.timeout = 1
        ntptime.settime()

    def reset(self):
        machine.reset()

    def _before_sleep(self):
        self.release_watchdog()  # where it goes on counting, it would end the sleep
        self._wifi.off()

    def start_watchdog(self):
        if self._use_watchdog:
            watchdog.start(self._WATCHDOG_MS)
        else:  # it runs since the start
            watchdog.release()

    def feed(self):
        watchdog.feed()

    def release_watchdog(self):
        watchdog.release()
