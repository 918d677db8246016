"""The client under asyncio: one task publishes, one echoes."""

import asyncio

from unats import aio

SERVER = "nats://192.168.1.10:4222"


async def measure(nc):
    n = 0
    while True:
        n += 1
        await nc.publish("sensors.greenhouse-7.count", b"%d" % n)  # waits for the connection
        await asyncio.sleep(1)


async def main():
    async with aio.Client(SERVER) as nc:
        task = asyncio.create_task(measure(nc))
        async for msg in nc.subscribe("echo"):
            await msg.respond(msg.data)
            if msg.data == b"stop":
                break
        task.cancel()


asyncio.run(main())
