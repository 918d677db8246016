"""MicroPython's `utime` for CPython, with a board's tick period of 2**30."""

import time as _time

_PERIOD = 1 << 30
_HALF = _PERIOD >> 1

# What is added to the host's clock, in ms; set_ticks_ms() moves it.
_offset = 0


def set_ticks_ms(value):
    """Shim only: sets the clock, so that a test can begin just before the wrap."""
    global _offset
    _offset = value - _time.monotonic_ns() // 1000000


def ticks_ms():
    return (_time.monotonic_ns() // 1000000 + _offset) % _PERIOD


def ticks_us():
    return (_time.monotonic_ns() // 1000 + _offset * 1000) % _PERIOD


ticks_cpu = ticks_us


def ticks_add(ticks, delta):
    if not -_HALF < delta < _HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) % _PERIOD


def ticks_diff(end, start):
    return (end - start + _HALF) % _PERIOD - _HALF


def sleep(seconds):
    _time.sleep(max(0, seconds))


def sleep_ms(ms):
    _time.sleep(max(0, ms) / 1000)


def sleep_us(us):
    _time.sleep(max(0, us) / 1000000)


def time():
    return int(_time.time())


def time_ns():
    return _time.time_ns()


def gmtime(seconds=None):
    return tuple(_time.gmtime(seconds))[:8]


def localtime(seconds=None):
    return tuple(_time.localtime(seconds))[:8]


def mktime(fields):
    return int(_time.mktime(tuple(fields)[:8] + (-1,)))
