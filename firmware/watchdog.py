"""The chip's watchdog, before there is a board (see boards), and for it.

On a port without one nothing happens. Only one is running at a time: starting it again gives it
another limit.
"""

import sys

try:
    import machine
except ImportError:
    machine = None

# The longest there is on an RP2040 is 8388 ms; importing takes it 1.5 s from .py files.
START_MS = 8300

_PATIENT_MS = 3600000

# CTRL register of the watchdog at its address for clearing bits, and the bit that enables it
# (watchdog and atomic register access in the datasheets of RP2040 and RP2350).
_CTRL_CLEAR_RP2040 = 0x4005B000
_CTRL_CLEAR_RP2350 = 0x400DB000
_ENABLE = 1 << 30

_dog = None


def start(ms=START_MS):
    """From here on the board is reset when feed() is not called for ms milliseconds.

    ValueError: the chip takes no such limit; the one before still holds.
    """
    global _dog
    if hasattr(machine, "WDT"):
        _dog = machine.WDT(timeout=ms)


def feed():
    """Tell it that all is well. Does not allocate."""
    if _dog is not None:
        _dog.feed()


def release():
    """Stop it, or where the chip does not let us, have it wait for an hour."""
    global _dog
    if _dog is None:
        return
    if sys.platform == "rp2":  # machine.WDT has no way to stop it, the chip has
        rp2350 = "RP2350" in sys.implementation._machine
        machine.mem32[_CTRL_CLEAR_RP2350 if rp2350 else _CTRL_CLEAR_RP2040] = _ENABLE
        _dog = None
    else:
        _dog = machine.WDT(timeout=_PATIENT_MS)
