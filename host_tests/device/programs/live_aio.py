"""The client under asyncio, against a real nats-server with JetStream: python live_aio.py URL.

Prints the name of each check that went well, and of the others why not. On a line `kill` the
server is to be killed, on `start` to be started again.
"""

import asyncio
import sys

import unats
from unats import aio
from unats.jetstream import JetStream
from unats.jetstream.kv import KeyValue
from unats.jetstream.objectstore import ObjectStore
from unats.outbox import Outbox

URL = sys.argv[1]
OPTIONS = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100, "connect_timeout_ms": 5000}
DATA = bytes(range(256)) * 40


class Failed(Exception):
    pass


def equal(found, expected):
    if found != expected:
        raise Failed("%r, not %r" % (found, expected))


def client(**options):
    return aio.Client(URL, **dict(OPTIONS, **options))


async def raises(kind, awaitable):
    try:
        await awaitable
    except kind as e:
        return e
    raise Failed("no " + kind.__name__)


async def until(condition, ms=20000):
    for _ in range(ms // 5):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise Failed("it never came")


def say(text):
    print(text)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


# What is awaited


async def check_connect_and_leave():
    nc = client()
    equal(nc.state, "disconnected")
    async with nc:
        equal((nc.connected, nc.state), (True, "connected"))
        await nc.connect()  # it is
    equal(nc.state, "closed")
    await nc.connect()
    equal(nc.connected, True)
    await nc.close()
    equal(nc.state, "closed")
    try:
        async with nc:
            raise Failed
    except Failed:
        equal(nc.state, "closed")


async def check_connect_without_waiting():
    nc = client()
    await nc.connect(wait=False)
    await until(lambda: nc.connected)
    nc.close()


async def check_nobody_is_there():
    nc = aio.Client("nats://127.0.0.1:9", **OPTIONS)
    await raises(OSError, nc.connect())
    equal(nc.state, "disconnected")
    await raises(unats.NotConnected, nc.publish("a", b"1"))
    await raises(unats.NotConnected, nc.request("a"))
    equal(await nc.flush(100), False)


async def check_requests():
    async with client() as nc:
        nc.subscribe("double", lambda msg: msg.respond(msg.data + msg.data))
        nc.subscribe("silent", lambda msg: None)
        equal((await nc.request("double", b"ab")).data, b"abab")
        await raises(unats.NoResponders, nc.request("nobody"))
        await raises(unats.Timeout, nc.request("silent", timeout_ms=50))
        await raises(ValueError, nc.request("a b"))
        replies = await asyncio.gather(*[nc.request("double", b"%d" % i) for i in range(20)])
        equal([r.data for r in replies], [b"%d%d" % (i, i) for i in range(20)])
        got = []
        equal(nc.request("double", b"x", handler=got.append), True)
        await until(lambda: got)


async def check_publish_waits_for_room():
    async with client() as nc:
        got = []
        nc.subscribe("big", lambda msg: got.append((msg.data[:4], msg.size)))
        for i in range(300):
            await nc.publish("big", b"%04d" % i + b"x" * 496)
        equal(await nc.flush(), True)
        equal(got, [(b"%04d" % i, 500) for i in range(300)])
        equal((nc.stats.dropped, nc.stats.out_msgs), (0, 300))
        await raises(ValueError, asyncio.create_task(later(nc.publish, "a b", b"")))
        await nc.publish("big", b"z" * 5000)  # larger than the buffers
        await nc.publish("big", "text", headers={"A": "b"}, reply="r")
        equal(await nc.flush(), True)
        equal((bool(nc.publish("big", b"")), nc.stats.dropped), (True, 0))
    equal((bool(nc.publish("big", b"")), nc.stats.dropped), (False, 1))
    await raises(unats.NotConnected, nc.publish("big", b""))


async def later(f, *args):
    return f(*args)


async def check_other_tasks_go_on():
    async with client() as nc:
        nc.subscribe("silent", lambda msg: None)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.005)

        task = asyncio.create_task(tick())
        await raises(unats.Timeout, nc.request("silent", timeout_ms=300))
        task.cancel()
        if ticks < 10:
            raise Failed("%d ticks" % ticks)


async def check_it_does_nothing_while_there_is_nothing():
    async with client() as nc:
        turns = 0
        poll = nc.poll

        def counted(ms=0):
            nonlocal turns
            turns += 1
            return poll(ms)

        await asyncio.sleep(0.1)
        nc.poll = counted
        await asyncio.sleep(1)
        if turns > 10:
            raise Failed("%d turns in a second" % turns)


# What is iterated over


async def check_messages():
    async with client() as nc:
        messages = nc.subscribe("a.*", size=100)
        for i in range(100):
            await nc.publish("a.%d" % i, b"%d" % i)
        for i in range(100):
            msg = await messages.__anext__()
            equal((msg.subject, msg.data), ("a.%d" % i, b"%d" % i))
        equal((messages.dropped, messages.received, messages.subject), (0, 100, "a.*"))

        task = asyncio.create_task(count(messages))
        await nc.publish("a.x", b"")
        await nc.flush()
        messages.unsubscribe()
        equal(await task, 1)

        task = asyncio.create_task(count(nc.subscribe("b", max_msgs=3)))
        for _ in range(5):
            await nc.publish("b", b"")
        equal(await task, 3)

        messages = nc.subscribe("c")
        task = asyncio.create_task(count(messages))
        messages.stop()
        equal(await task, 0)

        task = asyncio.create_task(count(nc.subscribe("d")))
        await nc.flush()
    equal(await task, 0)  # with the client


async def count(messages):
    n = 0
    async for _ in messages:
        n += 1
    return n


async def check_more_messages_than_there_is_room_for():
    async with client() as nc:
        messages = nc.subscribe("a", size=4)
        for i in range(20):
            await nc.publish("a", b"%d" % i)
        await nc.flush()
        equal(messages.dropped, 16)
        messages.unsubscribe()
        equal(await count(messages), 4)


# What goes wrong


async def check_a_handler_that_fails():
    told = []
    asyncio.get_event_loop().set_exception_handler(
        lambda loop, context: told.append(context["exception"])
    )
    async with client() as nc:

        def bad(msg):
            raise Failed(msg.text)

        got = []
        nc.subscribe("bad", bad)
        nc.subscribe("good", lambda msg: got.append(msg.data))
        for i in range(3):
            await nc.publish("bad", b"%d" % i)
            await nc.publish("good", b"%d" % i)
        await nc.flush()
        equal(got, [b"0", b"1", b"2"])
        equal([str(e) for e in told], ["0", "1", "2"])
    asyncio.get_event_loop().set_exception_handler(None)


async def check_awaits_that_are_cancelled():
    async with client() as nc:
        nc.subscribe("echo", lambda msg: msg.respond(msg.data))
        nc.subscribe("silent", lambda msg: None)
        js, kv, messages = JetStream(nc), KeyValue(nc, "cancelled"), nc.subscribe("none")
        await kv.create_bucket()
        for start in (
            lambda: nc.request("silent"),
            lambda: nc.request("echo", b"lost"),
            nc.flush,
            messages.__anext__,
            lambda: publish_much(nc),
            lambda: kv.put("a", b"1"),
            lambda: kv.get("a"),
            lambda: js.stream_info("KV_cancelled"),
            lambda: count(kv.watch(">")),
        ):
            for pause in (0, 0, 0.001, 0.01):
                await cancelled(start, pause)
                equal((await nc.request("echo", b"x")).data, b"x")
                equal(await nc.flush(), True)
        equal((await kv.get("a")).value, b"1")
        equal(nc.stats.reconnects, 0)

    nc = client()
    for pause in (0, 0, 0.001):
        await cancelled(nc.connect, pause)
        await nc.connect()
        equal(await nc.flush(), True)
        nc.close()


async def cancelled(start, pause):
    """Await it for so many seconds, and cancel that."""
    task = asyncio.create_task(awaited(start))
    await asyncio.sleep(pause)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass


async def awaited(start):
    return await start()


async def publish_much(nc):
    while True:
        await nc.publish("none.else", b"x" * 400)


async def check_a_server_that_is_killed():
    events = []
    async with client(on_event=lambda nc, event, detail: events.append(event)) as nc:
        got = []
        nc.subscribe("a", lambda msg: got.append(msg.data))
        messages = nc.subscribe("a", size=50)
        nc.subscribe("silent", lambda msg: None)
        await nc.flush()
        task = asyncio.create_task(awaited(lambda: nc.request("silent", timeout_ms=20000)))
        await asyncio.sleep(0.05)
        say("kill")
        await raises(unats.NotConnected, task)
        equal(nc.connected, False)
        task = asyncio.create_task(awaited(lambda: nc.publish("a", b"waited")))
        await asyncio.sleep(0.1)
        equal(got, [])
        say("start")
        await task
        await until(lambda: got)
        equal((got, (await messages.__anext__()).data), ([b"waited"], b"waited"))
        equal((nc.stats.reconnects, nc.stats.dropped), (1, 0))
        equal("disconnected" in events and "reconnected" in events, True)


# What is built on it


async def check_jetstream():
    async with client() as nc:
        js = JetStream(nc)
        await js.ensure_stream("JOBS", ["jobs.>"])
        for i in range(30):
            equal((await js.publish("jobs.a", b"%d" % i)).seq, i + 1)
        await raises(unats.NoResponders, js.publish("nowhere", b""))
        equal((await js.get("JOBS", 7)).data, b"6")
        jobs = await js.consumer("JOBS", durable="w")
        seen = []

        def take(msg):
            seen.append(msg.seq)
            msg.ack()

        equal(await jobs.fetch(10, take), 10)
        equal(seen, list(range(1, 11)))
        going = nc.each(lambda handler: jobs.consume(lambda msg: handler(msg.copy()), window=4))
        for seq in range(11, 31):
            msg = await going.__anext__()
            equal(msg.seq, seq)
            await msg.ack()
        going.stop()
        equal(await count(going), 0)
        await js.delete_stream("JOBS")


async def check_key_value():
    async with client() as nc:
        kv = KeyValue(nc, "config")
        await kv.create_bucket(history=5)
        equal(await kv.put("a", b"1"), 1)
        equal((await kv.get("a")).value, b"1")
        equal(await kv.get("b"), None)
        await raises(unats.Error, kv.update("a", b"2", 7))
        entries = kv.watch(">", history=True)
        task = asyncio.create_task(take(entries, 3))
        await asyncio.sleep(0.05)
        await kv.put("b", b"2")
        found = [e and (e.key, e.value) for e in await task]
        equal(found, [("a", b"1"), None, ("b", b"2")])
        equal(sorted(await kv.keys()), ["a", "b"])
        task = asyncio.create_task(awaited(lambda: JetStream(nc).delete_stream("KV_config")))
        await raises(unats.Error, take(entries, 9))
        await task
        plain = unats.Client(URL)
        try:
            KeyValue(plain, "config").watch(">")
        except ValueError:
            pass
        else:
            raise Failed("no ValueError")


async def take(messages, n):
    found = []
    async for what in messages:
        found.append(what)
        if len(found) == n:
            return found


async def check_objects():
    async with client() as nc:
        store = ObjectStore(nc, "files")
        await store.create_bucket()
        await store.put("f", DATA)
        parts = []
        info = await store.get("f", lambda view: parts.append(bytes(view)))
        equal((info.size, b"".join(parts) == DATA), (len(DATA), True))
        objects = store.watch()
        found = await take(objects, 2)
        equal([i and i.name for i in found], ["f", None])
        objects.stop()


async def check_outbox():
    async with client() as nc:
        await JetStream(nc).ensure_stream("READINGS", ["readings.>"])
        outbox = Outbox(nc, "dev")
        nc.on_turn += (lambda: outbox.poll() or 100,)
        for i in range(30):
            outbox.put("readings.a", b"%d" % i)
        await until(lambda: not len(outbox))
        for i in range(30):
            outbox.put("readings.a", b"%d" % i)
        equal(await outbox.flush(), True)
        equal((outbox.stats.acked, len(outbox)), (60, 0))


async def run():
    for name in sorted(globals()):
        if name.startswith("check_"):
            try:
                await asyncio.wait_for(globals()[name](), 15)
                say(name[6:] + " ok")
            except Exception as e:
                say("%s: %s: %s" % (name[6:], type(e).__name__, e))
                if hasattr(sys, "print_exception"):
                    sys.print_exception(e, sys.stdout)
                else:
                    import traceback

                    traceback.print_exc(file=sys.stdout)


asyncio.run(run())
