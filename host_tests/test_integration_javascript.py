"""JetStream, key-value, objects and services of a board, with the official JavaScript clients as
the other side: what each writes the other reads.
"""

import hashlib
import json
import os

import nats.micro
import pytest

from support.javascript import JavaScript
from support.jetstream import ENDS, READING, boards, equipped, other, server  # noqa: F401  fixtures too
from support.live import Board, eventually
from support.peer import Peer

_PRELUDE = (
    READING
    + ENDS
    + """import unats.jetstream.stored
gc.collect()
from unats.jetstream import JetStream
from unats.jetstream.kv import KeyValue, WrongRevision
gc.collect()
from unats.jetstream.objectstore import ObjectStore
gc.collect()
js = JetStream(nc)
kv = KeyValue(nc, "B")
store = ObjectStore(nc, "O")
seen = []
def look(entry):
    seen.append(entry and (entry.key, entry.value, entry.revision, entry.operation))
def take(msg):
    seen.append((msg.subject, msg.data, msg.seq, msg.delivered))
    sure(msg.ack())
def entry(key):
    found = kv.get(key)
    return found and (found.key, found.value, found.revision, found.operation)
"""
)


board = boards(_PRELUDE, "600K")


@pytest.fixture
def node(server):
    with JavaScript(server.url) as node:
        yield node


@pytest.fixture
def bucket(node):
    """Made and seen by the JavaScript client; a history of 64."""
    node("kept.kv = await new kv.Kvm(nc).create('B', { history: 64 })")


def test_consumers_of_either_side_are_used_by_the_other(board, node):
    node(
        "const jsm = await jetstream.jetstreamManager(nc);"
        "await jsm.streams.add({ name: 'S', subjects: ['s.>'] });"
        "await jsm.consumers.add('S', { durable_name: 'd', ack_policy: 'explicit' });"
        "for (let i = 0; i < 5; i++) await js.publish('s.' + i, bytes(%s))",
        b"\x00\xff",
    )
    assert board("js.consumer('S', durable='d').fetch(3, take)") == 3
    assert board("seen") == [("s.%d" % i, b"\x00\xff", i + 1, 1) for i in range(3)]
    board("sure(nc.flush())")
    info = "return await (await jetstream.jetstreamManager(nc)).consumers.info('S', %s)"
    found = node(info, "d")
    assert (found["num_pending"], found["num_ack_pending"]) == (2, 0)
    assert found["ack_floor"]["stream_seq"] == 3
    board("own = js.consumer('S', durable='own', filter='s.4', max_deliver=3)")
    node(
        "const c = await js.consumers.get('S', 'own');"
        "const m = await c.next({ expires: 5000 });"
        "kept.text = m.subject; await m.ackAck()"
    )
    assert node("return kept.text") == "s.4"
    assert node(info, "own")["config"]["max_deliver"] == 3
    board("js.publish('s.z', 'zürich', headers={'Where': 'here'}).seq")
    assert node(
        "const jsm = await jetstream.jetstreamManager(nc);"
        "const m = await jsm.streams.getMessage('S', { last_by_subj: 's.z' });"
        "return [m.string(), m.header.get('Where')]"
    ) == ["zürich", "here"]


def test_a_board_orders_what_the_other_publishes(board, node):
    node(
        "const jsm = await jetstream.jetstreamManager(nc);"
        "await jsm.streams.add({ name: 'S', subjects: ['s.>'] });"
        "for (let i = 0; i < 300; i++) nc.publish('s.' + i, 'x'.repeat(i % 40))"
    )
    board("numbers = []")
    board("going = js.ordered('S', lambda m: numbers.append(m.seq))")
    board.until("len(numbers) >= 300")
    assert board("numbers == list(range(1, 301))")


def test_values_go_both_ways(board, node, bucket):
    assert board("kv.put('a.b', %r)", b"\x00\xff" * 400) == 1
    assert node("return (await kept.kv.get('a.b')).value") == b"\x00\xff" * 400
    assert node("return await kept.kv.put('c', bytes(%s))", b"\xfe\r\n") == 2
    assert board("entry('c')") == ("c", b"\xfe\r\n", 2, "PUT")
    node("await kept.kv.delete('c')")
    assert board("entry('c')") is None
    board("kv.delete('a.b')")
    assert node("return (await kept.kv.get('a.b')).operation") == "DEL"
    board("kv.purge('a.b')")
    assert node("return (await all(await kept.kv.history({ key: 'a.b' }))).length") == 1
    assert node("return await kept.kv.create('c', 'again')") > 0
    assert board("entry('c')[1]") == b"again"
    assert board("sorted(kv.keys())") == node("return (await all(await kept.kv.keys())).sort()")
    for i in range(70):
        board("kv.put('h', %r)" % str(i))
    values = [str(i) for i in range(6, 70)]
    history = "return (await all(await kept.kv.history({ key: 'h' }))).map(e => e.string())"
    assert node(history) == values
    assert board("[entry.value.decode() for entry in kv.history('h')]") == values


def test_each_watches_what_the_other_does(board, node, bucket):
    node("await kept.kv.put('w.1', 'one')")
    board("w = kv.watch('w.*', look)")
    board.until("None in seen")
    node(
        "await kept.kv.put('w.2', 'two'); await kept.kv.delete('w.1'); await kept.kv.purge('w.2')"
    )
    board.until("len(seen) == 5")
    assert board("[s and (s[0], s[1], s[3]) for s in seen]") == [
        ("w.1", b"one", "PUT"), None, ("w.2", b"two", "PUT"), ("w.1", b"", "DEL"),
        ("w.2", b"", "PURGE"),
    ]  # fmt: skip
    node(
        "kept.seen = []; kept.w = await kept.kv.watch({ key: 'x.>', include: 'updates' });"
        "(async () => { for await (const e of kept.w) "
        "kept.seen.push([e.key, e.string(), e.operation]); })()"
    )
    board("kv.put('x.ü'.replace('ü', 'u'), 'ü')")
    board("kv.delete('x.u')")
    eventually(lambda: len(node("return kept.seen")) == 2)
    assert node("return kept.seen") == [["x.u", "ü", "PUT"], ["x.u", "", "DEL"]]


def test_expiry_of_a_key_that_the_board_made(board, node):
    board("kv.create_bucket(marker_ttl_s=30)")
    board("w = kv.watch('>', look)")
    board.until("None in seen")
    board("kv.create('up', b'1', ttl_s=1)")
    board.until("len(seen) == 3")
    assert board("seen[-1][0], seen[-1][3]") == ("up", "PURGE")
    assert node("const b = await new kv.Kvm(nc).open('B'); return await b.get('up')") is None or (
        node("return (await (await new kv.Kvm(nc).open('B')).get('up')).operation") != "PUT"
    )


@pytest.mark.parametrize("interpreter", ["micropython", "cpython"])
def test_a_race_of_three_sides_loses_no_increment(server, other, node, bucket, interpreter):
    node("await kept.kv.put('n', '0')")
    board = equipped(Board(interpreter, heapsize="600K"), server.url, _PRELUDE)
    try:
        board.start(
            """
for i in range(40):
    while True:
        e = kv.get("n")
        try:
            kv.update("n", str(int(e.value) + 1), e.revision)
            break
        except WrongRevision:
            pass
"""
        )
        node.start(
            "for (let i = 0; i < 40; ) { const e = await kept.kv.get('n');"
            "try { await kept.kv.update('n', String(Number(e.string()) + 1), e.revision); i++; }"
            "catch (err) { if (!/wrong last/.test(err.message)) throw err; } }"
        )
        bucket = other.run(other.nc.jetstream().key_value("B"))
        done = 0
        while done < 40:
            entry = other.run(bucket.get("n"))
            try:
                value = str(int(entry.value) + 1).encode()
                other.run(bucket.update("n", value, entry.revision))
                done += 1
            except nats.js.errors.KeyWrongLastSequenceError:
                pass
        board.result()
        node.result()
        assert other.run(bucket.get("n")).value == b"120"
    finally:
        board.stop()


_META = {"grün": "ß", "k": "v"}


def test_objects_go_both_ways(board, node):
    # (Names beyond ASCII are other ones for the JavaScript client.)
    node("kept.os = await new obj.Objm(nc).create('O')")
    for name, size in (("a/b ?~", 10000), ("empty", 0)):
        node(
            "await kept.os.putBlob({ name: %s, metadata: %s, options: { max_chunk_size: 3000 } },"
            "bytes(%s))",
            name, _META, os.urandom(size),
        )  # fmt: skip
        whole = node("return await kept.os.getBlob(%s)", name)
        board("sink = Sink()")
        assert board("store.get(%r, sink.write).metadata", name) == _META
        assert board("sink.size, sink.hash.digest()") == (
            size, hashlib.sha256(whole).digest()
        )  # fmt: skip
    board("store.put('of the board', Source(9999), 1000, %r).size", _META)
    found = node("return await kept.os.getBlob('of the board')")
    assert len(found) == 9999 and found[:3] == b"\x00\x01\x02"
    info = "const i = await kept.os.info('of the board'); return [i.size, i.chunks, i.metadata]"
    assert node(info) == [9999, 10, _META]
    names = sorted(["a/b ?~", "empty", "of the board"])
    assert sorted(board("[info.name for info in store.list()]")) == names
    assert sorted(node("return (await kept.os.list()).map(i => i.name)")) == names
    board("store.delete('a/b ?~')")
    assert node("return (await kept.os.info('a/b ?~'))?.deleted ?? true") is True
    node("await kept.os.link('link', await kept.os.info('of the board'))")
    board("sink = Sink()")
    assert board("store.get('link', sink.write).name") == "of the board"
    node("await kept.os.delete('of the board')")
    assert board("store.info('of the board')") is None


def test_twenty_megabytes_go_both_ways(server, node, tmp_path):
    """Through a receive buffer of 1 KB, and in chunks of 32 KB from the board."""
    size = 20_000_000
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1000) * (size // 1000))
    node(
        "kept.os = await new obj.Objm(nc).create('O');"
        "await kept.os.putBlob({ name: 'big' }, read(%s))",
        str(path),
    )
    board = equipped(Board(heapsize="600K"), server.url, _PRELUDE)
    try:
        board("sink = Sink()")
        assert board("store.get('big', sink.write).size") == size
        assert board("sink.hash.digest()") == hashlib.sha256(path.read_bytes()).digest()
        board("f = open(%r, 'rb')", str(path))
        assert board("store.put('back', f, 32768).size") == size
        assert node("return (await kept.os.getBlob('back')).length") == size
        digest = node("return (await kept.os.info('back')).digest")
        assert digest == node("return (await kept.os.info('big')).digest")
    finally:
        board.stop()


_SERVICE = """
from unats.services import Service, ServiceError
def add(msg):
    if not msg.data:
        raise ServiceError(400, "send numbers")
    msg.respond("board")
service = Service(nc, "adder", "1.2.3", "adds", {"place": "lab"})
service.endpoint("add", add, metadata={"unit": "1"})
sure(nc.flush())
"""


@pytest.fixture
def serving(board):
    board(_SERVICE)
    board.start("until(lambda: service.stopped, 60)")
    return board


def test_the_services_client_lists_pings_and_reads_boards(serving, node):
    client = "const c = new services.Svcm(nc).client({ maxWait: 400, maxMessages: 1 }); "
    ping = node(client + "return (await all(await c.ping()))[0]")
    assert (ping["name"], ping["version"], ping["metadata"]) == (
        "adder",
        "1.2.3",
        {"place": "lab"},
    )
    info = node(client + "return (await all(await c.info('adder')))[0]")
    assert (info["id"], info["description"]) == (ping["id"], "adds")
    assert info["endpoints"] == [
        {"name": "add", "subject": "add", "queue_group": "q", "metadata": {"unit": "1"}}
    ]
    assert node("return (await nc.request('add', '1 2')).string()") == "board"
    assert node(
        "const m = await nc.request('add', '');"
        "return [services.ServiceError.isServiceError(m),"
        " services.ServiceError.toServiceError(m).code,"
        " services.ServiceError.toServiceError(m).message]"
    ) == [True, 400, "send numbers"]
    stats = node(client + "return (await all(await c.stats('adder', %s)))[0]", ping["id"])
    (endpoint,) = stats["endpoints"]
    assert (endpoint["num_requests"], endpoint["num_errors"]) == (2, 1)
    assert endpoint["last_error"] == "400: send numbers"
    assert endpoint["processing_time"] > 0


def test_a_queue_group_on_three_sides(serving, server, node, other):
    node(
        "kept.s = await new services.Svcm(nc).add({ name: 'adder', version: '1.2.3' });"
        "kept.s.addEndpoint('add', { handler: (err, m) => { m.respond('node'); } })"
    )

    async def answer(request):
        await request.respond(b"python")

    async def serve():
        service = await nats.micro.add_service(other.nc, name="adder", version="1.2.3")
        await service.add_endpoint(name="add", handler=answer)

    other.run(serve())
    with Peer(server.url) as asker:
        answers = [asker.request("add", b"1 2").data for _ in range(60)]
        assert set(answers) == {b"board", b"node", b"python"}
        inbox = asker.subscribe("here")
        asker.run(asker.nc.publish("$SRV.STATS.adder", b"", "here"))
        stats = [json.loads(inbox.get(timeout=10).data) for _ in range(3)]
    assert sum(s["endpoints"][0]["num_requests"] for s in stats) == 60
