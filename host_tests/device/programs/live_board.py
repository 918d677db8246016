"""A board that a test on the host commands, line by line; started by support/live.py.

Each line of stdin is the repr of a (how, code) pair: "eval" or "exec" the code in this module. The
answer is one line: `= ` and the repr of the value, or `! ` and the repr of the exception's (names
of its classes, text). What code here may use beside `unats`: everything below. The client's loop
runs only inside a command, so that a test says when.
"""

import gc
import hashlib
import sys

import utime

import unats

gc.collect()  # as firmware/main.py does, so that the heap of a board is enough

try:
    _print_exception = sys.print_exception
except AttributeError:  # CPython
    from traceback import print_exception as _print_exception

nc = None
events = []  # (name, detail): for an exception its class and text, for a Subscription its subject
moments = []  # when they came, in ms
got = []  # (subject, payload, reply, headers) of what `keep` has handled
streams = []  # of what `stream` has handled: [total, bytes so far, whether the last came, hash]


class Late(Exception):
    """What `until` waits for does not come."""


def _told(detail):
    if isinstance(detail, Exception):
        return type(detail).__name__, str(detail)
    return getattr(detail, "subject", detail)


def on_event(client, event, detail):
    events.append((event, _told(detail)))
    moments.append(utime.ticks_ms())


def serial(path):
    """A serial port: on MicroPython as `sys.stdin.buffer`, on CPython as a `machine.UART`."""
    if sys.implementation.name == "micropython":
        return open(path, "r+b", 0)
    from posix_uart import UART

    return UART(path)


def names():
    """The names of the events so far."""
    return [name for name, _ in events]


def client(url, **options):
    """Make the client, `nc`."""
    global nc
    options.setdefault("on_event", on_event)
    nc = unats.Client(url, **options)


def connect(url, **options):
    """Make the client, and connect it."""
    client(url, **options)
    nc.connect(20000)


def keep(msg):
    got.append((msg.subject, msg.data, msg.reply, msg.headers))


def sub(subject, **options):
    """Subscribe, so that the server knows of it; what comes is kept in `got`."""
    subscription = nc.subscribe(subject, keep, **options)
    if nc.connected:
        sure(nc.flush(20000))
    return subscription


def stream(msg):
    """Handler for chunked=True."""
    if msg.offset == 0:
        streams.append([msg.total, 0, False, hashlib.sha256()])
    entry = streams[-1]
    if entry[1] != msg.offset or entry[0] != msg.total:
        raise ValueError("fragment of %d at %d after %r" % (msg.total, msg.offset, entry))
    entry[1] += msg.size
    entry[2] = msg.last
    entry[3].update(memoryview(msg.buffer)[msg.start : msg.end])


def sure(value):
    if not value:
        raise ValueError("%r" % (value,))


def until(condition, seconds=30):
    """Poll until the condition is true. `seconds` is for giving up only."""
    end = utime.ticks_add(utime.ticks_ms(), seconds * 1000)
    while not condition():
        if utime.ticks_diff(end, utime.ticks_ms()) <= 0:
            raise Late("events %r, %d messages" % (events, len(got)))
        nc.poll(20)


def pattern(n):
    """n bytes, the same as on the host; their period is prime, so that a shift shows."""
    period = bytes(range(251))
    out = bytearray(n)
    at = 0
    while at < n:
        end = min(at + 251, n)
        out[at:end] = period[: end - at]
        at = end
    return out


def put(subject, payload, **options):
    """Publish, polling while the transmit buffer is full."""
    until(lambda: nc.publish(subject, payload, **options))


def classes(kind):
    """The names of a class and its bases; MicroPython's built-in ones do not tell theirs."""
    found = [kind.__name__]
    for base in (unats.AuthError, unats.ServerError, unats.Error, OSError, ValueError):
        if issubclass(kind, base) and base.__name__ not in found:
            found.append(base.__name__)
    return found


def heap():
    """Bytes in use, when all that is garbage has gone."""
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def _answer(how, code):
    try:
        if how == "eval":
            return "= " + repr(eval(code, globals()))
        exec(code, globals())
        return "= None"
    except Exception as e:
        _print_exception(e)
        return "! " + repr((classes(type(e)), str(e)))


def main():
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        print(_answer(*eval(line)))


main()
