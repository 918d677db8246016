"""What the types promise, in a program that mypy --strict is content with. Not for boards."""

from unats import Client, Error, Msg, NoResponders, Payload, ServerError, Subscription, aio
from unats.auth import Nkey
from unats.dns import Resolver
from unats.jetstream import JetStream, PubAck
from unats.jetstream.kv import Entry, KeyValue
from unats.jetstream.objectstore import ObjectInfo, ObjectStore
from unats.outbox import Outbox
from unats.outbox.pipelined import Pipelined
from unats.services import Service, ServiceError
from unats.tls import Tls
from unats.uart import Uart
from unats.websocket import WebSocket


def on_led(msg: Msg) -> None:
    print("led", msg.to_int(), msg.subject, msg.headers)
    if msg.reply is not None and not msg.respond(b"done"):
        print("no room")


def on_event(nc: Client, event: str, detail: object) -> None:
    if isinstance(detail, ServerError):
        print(event, detail.subject, nc.stats.dropped)


def core(port: object) -> None:
    nc = Client(
        ["nats://a", "nats://b"],
        tls=Tls(ca="/ca.der"),
        auth=Nkey("/seed.nk"),
        resolver=Resolver(["192.168.1.1"]),
        on_event=on_event,
    )
    sub: Subscription = nc.subscribe("devices.a.led", on_led, queue="workers")
    nc.connect(5000)
    reading = Payload(32).clear().text('{"t":').fixed(2153, 2).text("}")
    taken: bool = nc.publish("a", reading)
    try:
        answer: Msg = nc.request("time.now")
        print(answer.json(), taken)
    except NoResponders:
        pass
    except Error as e:
        print(e)
    started: bool = nc.request("time.now", handler=print)
    sub.unsubscribe(10)
    print(nc.poll(100), started, nc.drain())
    Client("nats://bridge", transport=Uart(port)).connect()
    Client("ws://host/path", transport=WebSocket({"X-Key": "open"})).connect()


def jetstream(nc: Client) -> None:
    js = JetStream(nc)
    ack: PubAck = js.publish("a", b"1", msg_id="1")
    queued: bool = js.publish("a", b"1", handler=print)
    print(ack.seq, queued, js.stream_info("S")["config"])
    jobs = js.consumer("S", durable="worker")
    came: int = jobs.fetch(10, lambda msg: print(msg.ack(), msg.seq))
    kv = KeyValue(nc, "config")
    revision: int = kv.put("a", b"1")
    entry: Entry | None = kv.get("a")
    if entry is not None:
        print(entry.value, revision, came)
    store = ObjectStore(nc, "files")
    info: ObjectInfo = store.get_file("firmware.bin", "/firmware.bin")
    print(info.size)
    outbox = Outbox(nc, "greenhouse-7", path="/outbox")
    Pipelined(nc, outbox)
    kept: bool = outbox.put("a", b"1") and outbox.flush(1000)
    print(kept, len(outbox), outbox.stats.acked)


def on_divide(msg: Msg) -> None:
    raise ServiceError(400, "by zero")


def service(nc: Client) -> None:
    Service(nc, "calculator", "1.0.0").group("v1").endpoint("divide", on_divide)


async def under_asyncio() -> None:
    async with aio.Client("nats://a") as nc:
        await nc.publish("a", b"1")
        reply = await nc.request("time.now")
        print(reply.text, await nc.flush())
        jobs = KeyValue(nc, "jobs")
        revision: int = await jobs.put("a", b"1")
        async for entry in jobs.watch(">"):
            print(entry.key if entry else "that is all", revision)
        async for msg in nc.subscribe("a"):
            await msg.respond(msg.data)
            await msg.nc.close()
