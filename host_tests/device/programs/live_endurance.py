"""Long runs of the client on a board, with its heap and its open files watched from inside.

    micropython live_endurance.py WHAT URL COUNT

prints a line `ready` once it is set up, and at the end a dict of what it found. WHAT: a function
here.
"""

import gc
import os
import sys

import micropython
import utime

import unats

_PATIENCE_MS = 120000


def heap():
    """Bytes in use, when all that is garbage has gone."""
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def files():
    return len(os.listdir("/proc/self/fd"))


def until(nc, condition):
    end = utime.ticks_add(utime.ticks_ms(), _PATIENCE_MS)
    while not condition():
        if utime.ticks_diff(end, utime.ticks_ms()) <= 0:
            raise OSError("no end: %s" % nc.last_error)
        nc.poll(20)


class Numbers:
    """Handler that checks that 0, 1, 2 ... come in order, without allocating."""

    def __init__(self):
        self.count = 0
        self.wrong = 0

    def take(self, msg):
        if msg.to_int() != self.count:
            self.wrong += 1
        self.count += 1


def receive(url, count):
    """Numbers come on `numbers`, and a hundred of them before, on `warm`."""
    nc = unats.Client(url)
    nc.connect()
    warm, numbers = Numbers(), Numbers()
    nc.subscribe("warm", warm.take)
    nc.subscribe("numbers", numbers.take)
    nc.flush(20000)
    print("ready")
    until(nc, lambda: warm.count == 100)
    poll = nc.poll
    opened = files()
    gc.collect()
    used, total = gc.mem_alloc(), micropython.mem_total()
    while numbers.count < count:
        poll(1000)
    total = micropython.mem_total() - total
    used = gc.mem_alloc() - used
    opened = files() - opened
    nc.drain()
    return {
        "count": numbers.count,
        "wrong": numbers.wrong,
        "used": used,
        "total": total,
        "files": opened,
    }


def send(url, count):
    """Numbers go to `numbers`."""
    nc = unats.Client(url)
    nc.connect()
    payload = unats.Payload(16)
    print("ready")
    sys.stdin.readline()
    used = total = number = 0
    publish, poll = nc.publish, nc.poll
    opened = files()
    while number < count:
        if number == 100:
            gc.collect()
            used, total = gc.mem_alloc(), micropython.mem_total()
        payload.clear().int(number)
        while not publish("numbers", payload):
            poll(1000)
        number += 1
    total = micropython.mem_total() - total
    used = gc.mem_alloc() - used
    opened = files() - opened
    flushed = nc.flush(60000)
    return {
        "count": nc.stats.out_msgs,
        "flushed": flushed,
        "used": used,
        "total": total,
        "files": opened,
    }


def clients(url, count):
    """A new client connects, subscribes, publishes, hears itself and closes, again and again."""
    heard = Numbers()
    looks = []
    print("ready")
    for i in range(count):
        if i in (50, count - 1):
            looks.append((heap(), files()))
        nc = unats.Client(url)
        nc.subscribe("again", heard.take)
        nc.connect()
        nc.publish("again", str(i))
        until(nc, lambda: heard.count > i)
        nc.close()
    return {
        "count": heard.count,
        "wrong": heard.wrong,
        "used": looks[1][0] - looks[0][0],
        "files": looks[1][1] - looks[0][1],
    }


def repeat(url, event, count):
    """Poll until the event has come so often; heap and files are looked at right when it comes.

    (At any other time there may be an attempt under way, with what it needs.)
    """
    counts = {}
    looks = []

    def on_event(nc, which, detail):
        counts[which] = counts.get(which, 0) + 1
        if which == event and counts[which] in (50, count):
            looks.append((heap(), files()))

    nc = unats.Client(url, reconnect_wait_ms=0, reconnect_max_wait_ms=0, on_event=on_event)
    nc.subscribe("a", print)
    print("ready")
    nc.connect(wait=False)
    until(nc, lambda: len(looks) == 2)
    return {
        "count": counts[event],
        "reconnects": nc.stats.reconnects,
        "used": looks[1][0] - looks[0][0],
        "files": looks[1][1] - looks[0][1],
    }


def reconnects(url, count):
    """One client, whose connections end right after they were made."""
    return repeat(url, "disconnected", count)


def failures(url, count):
    """One client that never gets a connection."""
    return repeat(url, "error", count)


what, url, count = sys.argv[1:]
found = globals()[what](url, int(count))
print(repr(found))
