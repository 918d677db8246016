"""What is not permitted, or finds no room: each of JetStream's calls says so at once, and the rest
goes on.
"""

import pytest

from support.jetstream import READING, equipped
from support.live import Board
from support.peer import Peer

_CONFIG = """
jetstream {{ store_dir: "{folder}/jetstream" }}
authorization {{ users: [
  {{ user: "all", password: "all" }}
  {{ user: "board", password: "board", permissions: {{ publish: {{ deny: [
    "$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.PURGE.>", "$JS.API.CONSUMER.CREATE.S.>",
    "$JS.API.CONSUMER.MSG.NEXT.>", "$KV.B.theirs.>", "$O.O.M.>",
    "$JS.API.DIRECT.GET.KV_B.$KV.B.secret"
  ] }} }} }}
] }}
"""

_PRELUDE = (
    READING
    + """import unats.jetstream.stored
gc.collect()
from unats.jetstream import JetStream
from unats.jetstream.kv import KeyValue
gc.collect()
from unats.jetstream.objectstore import ObjectStore
js = JetStream(nc)
kv = KeyValue(nc, "B")
store = ObjectStore(nc, "O")
"""
)


@pytest.fixture
def server(start_nats_server, tmp_path):
    return start_nats_server(config=_CONFIG.format(folder=tmp_path))


@pytest.fixture
def other(server):
    with Peer(server.url, user="all", password="all") as peer:
        yield peer


@pytest.fixture(params=["micropython", "cpython"])
def board(request, server, other):
    _make(other)
    board = Board(request.param, heapsize="600K")
    yield equipped(board, server.url, _PRELUDE, user="board", password="board")
    board.stop()


def _make(other, **limits):
    js = other.nc.jetstream()
    other.run(js.add_stream(name="S", subjects=["s"], discard="new", **limits))
    other.run(js.create_key_value(bucket="B"))
    other.run(js.create_object_store("O"))


@pytest.mark.parametrize(
    "call, subject",
    [
        ("js.ensure_stream('T', 't')", "$JS.API.STREAM.CREATE.T"),
        ("js.purge('S')", "$JS.API.STREAM.PURGE.S"),
        ("js.consumer('S')", "$JS.API.CONSUMER.CREATE.S"),
        ("js.consumer('S', durable='d')", "$JS.API.CONSUMER.CREATE.S"),
        ("kv.put('theirs.x', b'1')", "$KV.B.theirs.x"),
        ("kv.get('secret')", "$KV.B.secret"),
        ("store.put('n', b'1')", "$O.O.M."),
        ("kv.create_bucket()", "$JS.API.STREAM.CREATE.KV_B"),
    ],
)
def test_what_is_not_permitted_is_told_at_once(board, call, subject):
    raised = board.raised(call)
    assert raised.kinds[0] == "ServerError" and subject in raised.text
    assert board("kv.put('mine', b'1') > 0") is True
    assert board("kv.get('mine').value") == b"1"
    assert board("len(nc.subscriptions)") <= 2


def test_a_consumer_that_may_not_be_asked_is_not_spun_on(board, other):
    other.run(other.nc.jetstream().pull_subscribe("s", "d", "S"))
    board("c = js.consumer('S', durable='d')")
    board("came = c.fetch(1, print, timeout_ms=500)")
    assert board("came") == 0
    board("going = c.consume(print)")
    board("for _ in range(20): nc.poll(50)")
    assert board("len([e for e in names() if e == 'error'])") < 12
    assert board("going.error") is None


@pytest.mark.parametrize("interpreter", ["micropython", "cpython"])
def test_a_full_stream_is_told(server, other, interpreter):
    js = other.nc.jetstream()
    other.run(js.add_stream(name="S", subjects=["s"], discard="new", max_msgs=1))
    small = {"discard": "new", "max_bytes": 3000, "allow_direct": True, "allow_rollup_hdrs": True}
    other.run(js.add_stream(name="KV_B", subjects=["$KV.B.>"], **small))
    other.run(js.add_stream(name="OBJ_O", subjects=["$O.O.C.>", "$O.O.M.>"], **small))
    board = Board(interpreter, heapsize="600K")
    try:
        equipped(board, server.url, _PRELUDE, user="all", password="all")
        board("js.publish('s', b'1').seq")
        assert "maximum messages exceeded" in board.raised("js.publish('s', b'2')").text
        board("kv.put('a', bytes(2000))")
        raised = board.raised("kv.put('b', bytes(2000))")
        assert raised.kinds[0] == "JetStreamError" and "maximum bytes exceeded" in raised.text
        raised = board.raised("store.put('n', bytes(5000), 1000)")
        assert "maximum bytes exceeded" in raised.text
        assert other.run(js.stream_info("OBJ_O")).state.messages == 0  # nothing half done
        assert board("store.info('n')") is None
        board("kv.purge('a')")
        assert board("kv.put('b', bytes(2000)) > 0") is True
    finally:
        board.stop()
