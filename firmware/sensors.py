"""What the board measures. A sensor is a class with a read() method, and a line in of().

read() returns a whole number, which `decimals` scales (2153 with decimals = 2 is published as
21.53), or a float, or None for "nothing this time". It may raise: the failure is counted and
reported, and the other sensors go on. It must not wait: it is called in the loop that feeds the
watchdog. Returning whole numbers allocates nothing; a float allocates a few bytes.
"""


class Sensor:
    """Base of the sensors; `decimals` is the number of digits after the point."""

    decimals = 0

    def read(self):
        """The reading, see above."""
        raise NotImplementedError


class _BoardSensor(Sensor):
    def __init__(self, board):
        self._board = board


class ChipTemperature(_BoardSensor):
    """Temperature of the chip in degrees Celsius; some degrees above the room's."""

    decimals = 2

    def read(self):
        return self._board.chip_temperature()


class FreeHeap(_BoardSensor):
    """Free heap in bytes, garbage that is not collected yet not counted as free."""

    def read(self):
        return self._board.heap_free()


class Uptime(_BoardSensor):
    """Seconds since the board started."""

    def read(self):
        return self._board.uptime()


class WifiSignal(_BoardSensor):
    """Strength of the Wi-Fi signal in dBm; nothing while there is none."""

    def read(self):
        return self._board.rssi()


def of(board):
    """The sensors of this board as (kind, sensor), published to `sensors.<device>.<kind>`."""
    return [
        ("temp", ChipTemperature(board)),
        ("heap", FreeHeap(board)),
        ("uptime", Uptime(board)),
        ("rssi", WifiSignal(board)),
    ]
