"""The same jobs as in streams.py, with nats-py on CPython: `consumer` and `object`."""

import asyncio
import sys

import nats

_BATCH = 64


async def consumer(nc, count):
    js = nc.jetstream()
    found = await js.pull_subscribe("readings", "nats-py%d" % count, "READINGS")
    print("ready", flush=True)
    left = count
    while left:
        for msg in await found.fetch(min(_BATCH, left)):
            await msg.ack()
            left -= 1


async def object(nc, count):
    store = await nc.jetstream().object_store("FILES")
    print("ready", flush=True)
    await store.get("file%d" % count)


async def main(job, port, count):
    nc = await nats.connect("nats://127.0.0.1:" + port)
    await globals()[job](nc, int(count))
    await nc.close()


asyncio.run(main(*sys.argv[1:]))
