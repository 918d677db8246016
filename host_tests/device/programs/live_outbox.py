"""A board that puts readings into its outbox until a test kills it, or until it is done.

    micropython live_outbox.py URL FOLDER ROUND COUNT

Readings are `ROUND n`, n counting from 1. It says `put n` and `synced n` as it goes, the latter
when all readings up to n must outlast whatever comes; and at the end `done`, when all are
acknowledged.
"""

import gc
import sys

import unats

for _name in (
    "connection",
    "outbox.flashlog",
    "outbox.spool",
    "outbox",
    "outbox.jetstream_sender",
):
    gc.collect()  # what compiling has left behind
    __import__("unats." + _name)
gc.collect()


def main(url, folder, round, count):
    nc = unats.Client(url, reconnect_wait_ms=20, reconnect_max_wait_ms=100)
    nc.connect(wait=False)
    options = {"ring": bytearray(600), "path": folder, "flash_size": 1 << 24, "ack_ms": 1000}
    outbox = unats.outbox.Outbox(nc, "board", **options)
    for n in range(1, int(count) + 1):
        outbox.put("readings.board.%d" % (n % 3), "%s %d" % (round, n))
        print("put", n)
        nc.poll(n % 5)
        outbox.poll()
        if n % 4 == 0 and outbox.sync():
            print("synced", n)
    while not outbox.flush(1000):
        pass
    stats = outbox.stats
    if stats.dropped or stats.damaged or stats.rejected or stats.unverified:
        raise ValueError("something was lost")
    print("done")


main(*sys.argv[1:])
