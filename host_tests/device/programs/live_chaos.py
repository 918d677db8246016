"""A board that puts readings into its outbox, and keeps a journal, until it is killed or done.

    micropython live_chaos.py URLS BOARD FOLDER LIFE WINDOW DUPLICATE_WINDOW_MS SYNCS

URLS: with commas between. FOLDER: the outbox's; a file of that name and `.end` ends the putting.
LIFE: which start of the board this is. Readings are `LIFE n xxx...`, with n counting from 1 and n
% 50 letters behind it. SYNCS: after how many readings it syncs; 0: it does not. The journal is
written to stdout, each line in one go, so that what arrived of a killed board's is what it did:

    i n     reading n will be put now: it may be found from here on
    p n     put(n) has returned True
    r n     put(n) has returned False: it must not be found
    s n     sync() has returned True: all readings up to n are safe from here on
    h n     bytes of heap in use, when nothing waits
    t ...   figures: acked, resent, dropped, damaged, rejected, unverified, reconnects, open files
    done    all are acknowledged
"""

import gc
import os
import sys

import utime

import unats

# All that is used, one by one, as firmware/main.py does it: what compiling leaves behind would lie
# in the way. And what is loaded in times of trouble only would look as if the heap grew.
for _name in (
    "connection",
    "outbox.flashlog",
    "outbox.spool",
    "outbox",
    "outbox.jetstream_sender",
    "outbox.stream",
    "jetstream.last_id",
    "jetstream.whole",
    "outbox.heldspool",
    "outbox.held",
    "request",
    "msg_extras",
    "refusal",
    "chunked",
):
    gc.collect()
    __import__("unats." + _name)
gc.collect()

_BACKLOG = 120  # readings that may wait; there are 20 to a ring, the others are in flash
_PACE_MS = 80  # for ten readings
_LOOK = 100  # readings from one look at the heap to the next


def say(text):
    sys.stdout.write(text + "\n")


class Board:
    def __init__(self, urls, name, folder, life, window, duplicate_window_ms, syncs):
        self.subject = "chaos.%s.%%d" % name
        self.life, self.syncs, self.end = life, int(syncs), folder + ".end"
        self.n = 0
        self.looked = 0  # how many had been put when it last looked at the heap
        self.nc = unats.Client(
            urls.split(","),
            name=name,
            ping_interval_ms=300,
            max_pings_out=2,
            connect_timeout_ms=1000,
            reconnect_wait_ms=20,
            reconnect_max_wait_ms=200,
            ignore_discovered_servers=True,
        )
        self.nc.connect(wait=False)
        self.outbox = unats.outbox.Outbox(
            self.nc,
            name,
            ring=bytearray(1000),
            path=folder,
            flash_size=1 << 24,
            window=int(window),
            duplicate_window_ms=int(duplicate_window_ms),
            ack_ms=1000,
        )

        self.found = len(self.outbox)  # readings of earlier lives

    def run(self):
        while not self.is_at_end():
            if self.n >= self.looked + _LOOK:
                self.drain()
                self.look()
            self.burst(utime.ticks_add(utime.ticks_ms(), _PACE_MS))
        self.drain()
        self.look()
        say("done")

    def burst(self, until):
        for _ in range(10):
            if len(self.outbox) < _BACKLOG:
                self.put()
            self.turn(2)
        left = 1
        while left > 0:
            self.turn(left)
            left = utime.ticks_diff(until, utime.ticks_ms())

    def is_at_end(self):
        try:
            return bool(os.stat(self.end))
        except OSError:
            return False

    def drain(self):
        while len(self.outbox):
            self.turn(10)

    def turn(self, ms):
        self.nc.poll(ms)
        self.check()
        self.outbox.poll()
        self.check()

    def check(self):
        """What became of the readings adds up to what was put; after a power cut some may have
        been in two places.
        """
        s = self.outbox.stats
        done = s.acked + s.dropped + s.rejected + s.unconfirmed + s.damaged + len(self.outbox)
        if done > self.found + self.n or (not self.found and done != self.n):
            say("sum %d of %d and %d" % (done, self.found, self.n))

    def put(self):
        self.n += 1
        n = self.n
        say("i %d" % n)
        taken = self.outbox.put(
            self.subject % (n % 3), "%s %d %s" % (self.life, n, "x" * (n % 50))
        )
        say("%s %d" % ("p" if taken else "r", n))
        if self.syncs and n % self.syncs == 0 and self.outbox.sync():
            say("s %d" % n)

    def look(self):
        self.looked = self.n
        gc.collect()
        say("h %d" % gc.mem_alloc())
        s = self.outbox.stats
        counts = (
            s.acked,
            s.resent,
            s.dropped,
            s.damaged,
            s.rejected,
            s.unverified,
            self.nc.stats.reconnects,
        )
        say("t %s %d" % (" ".join(map(str, counts)), len(os.listdir("/proc/self/fd"))))


Board(*sys.argv[1:]).run()
