"""Does one job with a stream on MicroPython; started by tools/bench/streams.py, which counts.

    micropython streams.py JOB PORT COUNT

plain: receives COUNT messages of a plain subscription, and answers each; consumer: receives and
acknowledges as many of the stream READINGS; chunked: the fragments of COUNT bytes that are
published; digested: the same with their SHA-256; object: reads the object of so many bytes, which
has to take that, too. The buffers have 1 KB.
"""

import sys

import utime

import unats
from unats.jetstream import JetStream

_WINDOW = 64


def plain(nc, count):
    left = count

    def take(msg):
        nonlocal left
        left -= 1
        msg.respond(b"+ACK")

    nc.subscribe("plain", take)
    begin(nc)
    while left > 0:
        nc.poll(1000)


def consumer(nc, count):
    left = count

    def take(msg):
        nonlocal left
        left -= 1
        msg.ack()

    found = JetStream(nc).consumer("READINGS", durable="bench%d" % count)
    begin(nc)
    found.consume(take, window=_WINDOW)
    while left > 0:
        nc.poll(1000)


def chunked(nc, count):
    left = count

    def take(msg):
        nonlocal left
        left -= msg.size

    nc.subscribe("chunked", take, chunked=True)
    begin(nc)
    while left > 0:
        nc.poll(1000)


def digested(nc, count):
    from hashlib import sha256

    hash, view, left = sha256(), None, count

    def take(msg):
        nonlocal left, view
        view = view or memoryview(msg.buffer)
        hash.update(view[msg.start : msg.end])
        left -= msg.size

    nc.subscribe("chunked", take, chunked=True)
    begin(nc)
    while left > 0:
        nc.poll(1000)


def object(nc, count):
    import unats.jetstream.getting
    import unats.jetstream.making
    import unats.jetstream.methods  # noqa: F401  to have them stay
    from unats.jetstream.objectstore import ObjectStore

    store = ObjectStore(nc, "FILES")
    store.get("file%d" % (count // 4), len)  # loads the rest
    begin(nc)
    store.get("file%d" % count, len)


def begin(nc):
    nc.flush()
    print("ready")
    utime.ticks_us()  # is counted from here


def main(job, port, count):
    nc = unats.Client("nats://127.0.0.1:" + port)
    nc.connect()
    globals()[job](nc, int(count))
    utime.ticks_us()  # to here
    nc.flush()
    nc.close()


main(*sys.argv[1:])
