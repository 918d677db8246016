"""Object stores with a real server; the official Python client reads what a board writes, and the
other way round.
"""

import contextlib
import hashlib
import json

import pytest
from nats.js.api import ObjectMeta, ObjectMetaOptions
from nats.js.errors import ObjectNotFoundError

from support.jetstream import ENDS, READING, boards, equipped, other, server  # noqa: F401  fixtures too
from support.live import Board, pattern
from support.proxy import Proxy

_PRELUDE = (
    READING
    + ENDS
    + """from unats.jetstream.objectstore import ObjectStore
store = ObjectStore(nc, "B")
answers = []
def answered(result, error):
    answers.append((result and getattr(result, "name", result), error and type(error).__name__))
sink = Sink()
def about(info):
    return info and (info.name, info.size, info.chunks, info.metadata, info.deleted)
"""
)


board = boards(_PRELUDE, "600K")


@pytest.fixture
def bucket(other):
    """Made by the official client, and seen by it."""
    return other.run(other.nc.jetstream().create_object_store("B"))


def put(other, bucket, name, data, chunk_size=128 * 1024):
    meta = ObjectMeta(name=name, options=ObjectMetaOptions(max_chunk_size=chunk_size))
    return other.run(bucket.put(name, data, meta=meta))


@pytest.mark.parametrize("chunk_size", [1000, 4096, 128 * 1024])
def test_an_object_comes_through_a_small_buffer(board, other, bucket, chunk_size):
    data = bytes(pattern(300000))
    put(other, bucket, "big file", data, chunk_size)
    count = -(-len(data) // chunk_size)
    assert board("about(store.get('big file', sink.write))")[:3] == ("big file", len(data), count)
    assert board("sink.size, sink.most <= 1024") == (len(data), True)
    assert board("sink.hash.digest()") == hashlib.sha256(data).digest()


def test_what_a_board_puts_the_other_reads(board, other):
    assert board("store.create_bucket()['config']['name']") == "OBJ_B"
    bucket = other.run(other.nc.jetstream().object_store("B"))
    assert board("about(store.put('a/ü', b'x' * 10000, 3000, {'k': 'ä'}))") == (
        "a/ü", 10000, 4, {"k": "ä"}, False,
    )  # fmt: skip
    found = other.run(bucket.get("a/ü"))
    assert found.data == b"x" * 10000
    assert (found.info.size, found.info.chunks) == (10000, 4)
    meta = other.run(other.nc.jetstream().get_last_msg("OBJ_B", board("store.meta('a/ü')")))
    assert json.loads(meta.data)["metadata"] == {"k": "ä"}
    assert board("about(store.put('empty', b''))")[:3] == ("empty", 0, 0)
    assert other.run(bucket.get("empty")).data in (b"", None)
    assert board("about(store.get('empty', sink.write))")[1] == 0
    names = sorted(info.name for info in other.run(bucket.list()))
    assert board("sorted([i.name for i in store.list()])") == names == ["a/ü", "empty"]
    # Another one takes its place, and its chunks go.
    board("store.put('a/ü', 'y' * 5000) and None")
    assert other.run(bucket.get("a/ü")).data == b"y" * 5000
    assert board("store.status()['state']['messages']") == 2 + 2


def test_a_file_is_there_whole_or_not_at_all(board, other, bucket, tmp_path):
    data = bytes(pattern(50000))
    put(other, bucket, "f", data)
    path = tmp_path / "file"
    board("store.get_file('f', %r) and None", str(path))
    assert path.read_bytes() == data
    assert "no object" in board.raised("store.get_file('none', %r)", str(tmp_path / "no")).text
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    path.unlink()
    board("answers = []")
    for name in ("f", "none"):
        get = "sure(store.get_file(%r, %r, handler=lambda *what: answers.append(what)))"
        board(get, name, str(tmp_path / "file"))
        board.until("answers")
        if name == "f":
            assert path.read_bytes() == data
        assert board("[(i and i.name, e is None) for i, e in answers]") == [
            ("f", True) if name == "f" else (None, False)
        ]
        board("answers.clear()")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert "name:" in board.raised("store.get_file('', %r)", str(tmp_path / "no")).text
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    board("file = open(%r, 'rb')", str(path))
    assert board("about(store.put('g', file, 999))")[1] == len(data)
    assert other.run(bucket.get("g")).data == data


def test_an_offset_is_not_handed_on_again(board, other, bucket):
    data = bytes(pattern(20000))
    put(other, bucket, "f", data, 3000)
    board("seen = []")
    board("store.get('f', sink.write, 12345, lambda at, size: seen.append((at, size))) and None")
    assert board("sink.size") == len(data) - 12345
    assert board("sink.hash.digest()") == hashlib.sha256(data[12345:]).digest()
    assert board("seen[-1]") == (20000, 20000)


def test_deleting_and_watching(board, other, bucket):
    put(other, bucket, "a", b"1")
    board("seen = []")
    board("watch = store.watch(lambda info: seen.append(info and (info.name, info.deleted)))")
    board.until("None in seen")
    put(other, bucket, "b", b"2")
    assert board("store.delete('a'), store.delete('none')") == (True, False)
    other.run(bucket.delete("b"))
    board.until("len(seen) == 5")
    assert board("seen") == [("a", False), None, ("b", False), ("a", True), ("b", True)]
    with pytest.raises(ObjectNotFoundError):
        other.run(bucket.get("a"))
    assert board("store.info('b'), store.list()") == (None, [])
    board("watch.stop()")


def test_what_is_damaged_or_cut_is_told(board, other, bucket):
    js = other.nc.jetstream()
    data = bytes(pattern(9000))
    put(other, bucket, "f", data, 3000)
    info = other.run(bucket.get_info("f"))
    stream = other.run(js.stream_info("OBJ_B"))
    other.run(js.delete_msg("OBJ_B", stream.state.first_seq + 1))
    assert "OSError" in board.raised("store.get('f', sink.write)").kinds
    put(other, bucket, "g", data, 3000)
    meta = other.run(js.get_last_msg("OBJ_B", "$O.B.M.Zw=="))
    fields = json.loads(meta.data)
    fields["digest"] = info.digest[:-5] + "AAAA="
    other.run(js.publish("$O.B.M.Zw==", json.dumps(fields).encode()))
    assert "digest" in board.raised("store.get('g', sink.write)").text
    for garbage in (b"", b"[]", b"{}", b'{"name":7}', b'{"name":"g","size":"x"}'):
        other.run(js.publish("$O.B.M.Zw==", garbage))
        assert "OSError" in board.raised("store.get('g', sink.write)").kinds
    board("def full(data): raise OSError(28)")
    put(other, bucket, "h", data, 3000)
    assert "28" in board.raised("store.get('h', full)").text


def test_links_are_followed_once(board, other, bucket):
    js = other.nc.jetstream()
    put(other, bucket, "target", b"found")
    for name, link in (
        ("link", {"bucket": "B", "name": "target"}),
        ("twice", {"bucket": "B", "name": "link"}),
        ("store", {"bucket": "B"}),
        ("lost", {"bucket": "B", "name": "no"}),
    ):
        meta = {"name": name, "bucket": "B", "nuid": "x", "options": {"link": link}}
        subject = board("store.meta(%r)", name)
        other.run(js.publish(subject, json.dumps(meta).encode()))
    assert board("store.get('link', sink.write).name") == "target"
    assert board("sink.size") == 5
    for name in ("twice", "store", "lost"):
        assert "link leads" in board.raised("store.get(%r, sink.write)", name).text


def test_over_lost_connections(server, other, bucket):
    data = bytes(pattern(2000000))
    put(other, bucket, "f", data)
    board = Board("micropython", heapsize="600K")
    try:
        with Proxy(server.port) as proxy:
            equipped(board, proxy.url, _PRELUDE)
            board.start("store.get('f', sink.write).size")
            cuts = 0
            while board.busy:
                proxy.down.hold(after=300000)  # in the middle of a chunk
                while board.busy:
                    with contextlib.suppress(AssertionError):
                        proxy.down.until_held(0.2)
                        proxy.cut(reset=cuts % 2 == 0)
                        cuts += 1
                        break
                proxy.down.let_pass()
            assert board.result() == len(data)
            assert cuts > 3
            assert board("sink.hash.digest()") == hashlib.sha256(data).digest()
    finally:
        board.stop()


def test_a_store_that_is_gone(board, other, bucket):
    put(other, bucket, "f", b"x")
    other.run(other.nc.jetstream().delete_object_store("B"))
    for call in ("info('f')", "get('f', sink.write)", "put('f', b'')", "list()", "delete('f')"):
        assert board.raised("store." + call).kinds[-1] == "OSError", call
    for call in ("info('f', answered)", "put('f', b'', handler=answered)", "list(answered)"):
        board("sure(store.%s)" % call)
    board.until("len(answers) == 3")
    assert {a[0] for a in board("answers")} == {None}


@pytest.mark.parametrize(
    "call",
    ["get('', sink.write)", "get('f', None)", "get('f', sink.write, -1)", "put(7, b'')",
     "put('f', b'', 0)", "info(None)"],
)  # fmt: skip
def test_misuse_is_told_at_once(board, call):
    assert board.raised("store." + call).kinds[0] == "ValueError"
