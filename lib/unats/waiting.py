"""Waiting for what takes several turns of the client: a generator yields for how many milliseconds
the next one may wait, until it returns what was waited for. Loaded by what waits. Allocates.
"""

from micropython import const

from .errors import Error, NotConnected

_FULL_MS = const(10)  # between looks whether there is room,
_TRIES = const(100)  # ... as often as that


def wait(nc, steps):
    """Poll until the generator returns, and return that. A client with a `wait` of its own, as
    that of `unats.aio` has, gets the generator instead.
    """
    if hasattr(nc, "wait"):
        return nc.wait(steps)
    try:
        while True:
            try:
                ms = next(steps)
            except StopIteration as e:
                return e.value
            nc.poll(ms)
    finally:  # also when a handler raises
        steps.close()


def steps(nc, start):
    """The steps of start(handler): what the handler is given, a result or an error."""
    found = []
    tries = _TRIES
    while not start(lambda *what: found.append(what)) and not found:
        if not nc.connected:
            raise NotConnected("not connected")
        if tries == 0:
            raise Error("the transmit buffer is full")
        tries -= 1
        nc.stats.dropped -= 1
        yield _FULL_MS
    while not found:
        yield 1000
    value, error = found[0]
    if error is not None:
        raise error
    return value


def each(nc, handler, start):
    """What start(handler) returns; without a handler, of a client of `unats.aio`, what there is to
    be iterated over with `async for`.
    """
    if handler is None and hasattr(nc, "each"):
        return nc.each(start)
    return start(handler)
