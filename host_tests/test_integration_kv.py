"""Key-value buckets with a real server; the official Python client reads what a board writes, and
the other way round.
"""

import threading

import pytest
from nats.js.api import KeyValueConfig
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from support.jetstream import READING, boards, equipped, other, server  # noqa: F401  fixtures too
from support.live import Board
from support.peer import Peer
from support.proxy import Proxy

_PRELUDE = (
    READING
    + """from unats.jetstream.kv import KeyValue, WrongRevision
kv = KeyValue(nc, "B")
answers = []
def answered(result, error):
    answers.append((result, error and type(error).__name__))
seen = []
def look(entry):
    seen.append(entry and (entry.key, entry.value, entry.revision, entry.operation))
def tried(f, *arguments):
    try:
        return f(*arguments)
    except WrongRevision:
        return "wrong"
def entry(key):
    found = kv.get(key)
    return found and (found.key, found.value, found.revision, found.operation)
"""
)


board = boards(_PRELUDE, "500K")


@pytest.fixture
def bucket(other):
    """Made by the official client, and seen by it."""
    return other.run(other.nc.jetstream().create_key_value(KeyValueConfig(bucket="B", history=5)))


def test_what_one_writes_the_other_reads(board, other, bucket):
    assert board("kv.put('a.b', b'1')") == 1
    assert other.run(bucket.put("c", b"\x00\xff")) == 2
    found = other.run(bucket.get("a.b"))
    assert (found.value, found.revision) == (b"1", 1)
    assert board("entry('c')") == ("c", b"\x00\xff", 2, "PUT")
    assert board("entry('none')") is None
    assert board("kv.delete('a.b')") == 3
    assert board("entry('a.b')") is None
    with pytest.raises(KeyNotFoundError):
        other.run(bucket.get("a.b"))
    other.run(bucket.delete("c"))
    assert board("entry('c')") is None
    assert board("kv.purge('c') > 0") is True
    assert board("sorted(kv.keys())") == []
    board("kv.put('x/y=z_1-2', 'text')")
    assert other.run(bucket.get("x/y=z_1-2")).value == b"text"
    assert board("kv.keys()") == other.run(bucket.keys()) == ["x/y=z_1-2"]


def test_a_bucket_that_a_board_makes(board, other):
    config = board("kv.create_bucket(history=3, ttl_s=60, max_bytes=100000)['config']")
    assert (config["name"], config["max_msgs_per_subject"]) == ("KV_B", 3)
    board("kv.create_bucket(3, 60, 100000)['config']['name']")
    assert "max_msgs_per_subject is 3, not 4" in board.raised("kv.create_bucket(4)").text
    bucket = other.run(other.nc.jetstream().key_value("B"))
    status = other.run(bucket.status())
    assert (status.history, status.ttl) == (3, 60)
    for n in range(5):
        other.run(bucket.put("k", b"%d" % n))
    assert board("[(e.value, e.revision) for e in kv.history('k')]") == [
        (b"2", 3), (b"3", 4), (b"4", 5)
    ]  # fmt: skip
    assert board("kv.status()['state']['messages']") == 3


def test_the_history_is_up_to_64(board, other):
    board("kv.create_bucket(history=64) and None")
    bucket = other.run(other.nc.jetstream().key_value("B"))
    for n in range(70):
        other.run(bucket.put("k", b"%d" % n))
    assert board("[int(e.value) for e in kv.history('k')]") == list(range(6, 70))


def test_values_larger_than_the_buffer(board, other, bucket):
    large = bytes(range(256)) * 30
    other.run(bucket.put("k", large))
    assert board("kv.get('k').value") == large
    assert board("kv.history('k')[0].value") == large
    board("buf = bytearray(8000)")
    assert board("kv.get_into('k', buf)") == len(large)
    assert board("bytes(buf[:7680])") == large
    assert board("kv.get_into('none', buf)") is None
    assert board.raised("kv.get_into('k', bytearray(100))").kinds[0] == "ValueError"
    board("kv.put('k', bytes(buf[:7680]))")
    assert other.run(bucket.get("k")).value == large


def test_a_value_larger_than_there_is_memory_for_harms_no_other(board, other, bucket):
    other.run(bucket.put("huge", bytes(200000)))
    other.run(bucket.put("k", b"1"))
    board("watch = kv.watch('>', look)")
    board.until("None in seen")
    assert board("seen, nc.stats.oversize") == ([("k", b"1", 2, "PUT"), None], 1)
    error = board.raised("kv.get('huge')")
    assert "OSError" in error.kinds and "too large" in error.text
    assert board("sorted(kv.keys())") == ["huge", "k"]
    assert board("nc.connected")


def test_who_comes_first_wins(board, other, bucket):
    assert board("kv.create('k', b'1')") == 1
    assert board("tried(kv.create, 'k', b'2')") == "wrong"
    assert board("kv.update('k', b'2', 1)") == 2
    assert board("tried(kv.update, 'k', b'3', 1)") == "wrong"
    with pytest.raises(KeyWrongLastSequenceError):
        other.run(bucket.update("k", b"x", last=1))
    assert board("tried(kv.delete, 'k', 1), kv.delete('k', 2)") == ("wrong", 3)
    assert board("kv.create('k', b'4')") == 4  # it was deleted
    assert board("tried(kv.purge, 'k', 1), kv.purge('k', revision=4)") == ("wrong", 5)
    error = board.raised("kv.update('k', b'', 1)")
    assert error.kinds[0] == "WrongRevision"


def test_a_race_of_three_loses_no_increment(server, other, bucket, board):
    """A board against two others."""
    other.run(bucket.put("sum", b"0"))

    def count():
        with Peer(server.url) as peer:
            mine = peer.run(peer.nc.jetstream().key_value("B"))
            done = 0
            while done < 25:
                entry = peer.run(mine.get("sum"))
                try:
                    peer.run(mine.update("sum", b"%d" % (int(entry.value) + 1), entry.revision))
                    done += 1
                except KeyWrongLastSequenceError:
                    pass

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    board("""
done = 0
while done < 25:
    now = kv.get("sum")
    done += tried(kv.update, "sum", str(int(now.value) + 1), now.revision) != "wrong"
""")
    for thread in threads:
        thread.join()
    assert other.run(bucket.get("sum")).value == b"75"


def test_a_watcher_is_told_the_present_and_each_change(board, other, bucket):
    for n in range(3):
        other.run(bucket.put("a.%d" % (n % 2), b"%d" % n))
    other.run(bucket.put("b", b"x"))
    board("watch = kv.watch('a.*', look)")
    board.until("None in seen")
    assert board("seen") == [("a.1", b"1", 2, "PUT"), ("a.0", b"2", 3, "PUT"), None]
    other.run(bucket.delete("a.1"))
    other.run(bucket.purge("a.0"))
    other.run(bucket.put("a.2", b""))
    board.until("len(seen) == 6")
    assert [s[0] + s[3] for s in board("seen[3:]")] == ["a.1DEL", "a.0PURGE", "a.2PUT"]
    board("watch.stop()")
    for options, present in (
        ("history=True", 4),
        ("updates_only=True", 0),
        ("ignore_deletes=True", 1),
    ):
        board("seen.clear()")
        board("watch = kv.watch('a.*', look, %s)" % options)
        board.until("None in seen")
        assert board("len(seen)") == present + 1, options
        board("watch.stop()")


def test_a_watch_goes_on_over_lost_connections(server, other, bucket):
    board = Board("micropython", heapsize="500K")
    try:
        with Proxy(server.port) as proxy:
            equipped(board, proxy.url, _PRELUDE)
            board("watch = kv.watch('k.>', look, updates_only=True)")
            board.until("seen == [None]")
            for n in range(40):
                if n % 4 == 0:
                    proxy.cut(reset=n % 8 == 0)
                other.run(bucket.put("k.%d" % n, b"%d" % n))
                if n % 3 == 0:
                    board("for _ in range(3): nc.poll(10)")
            board.until("len(seen) == 41")
            assert board("[int(e[1]) for e in seen[1:]]") == list(range(40))
    finally:
        board.stop()


def test_expiry_is_seen_by_watchers(board, other):
    board("kv.create_bucket(history=2, ttl_s=0, marker_ttl_s=1) and None")
    board("watch = kv.watch('>', look)")
    board("kv.create('k', b'v', ttl_s=1)")
    board.until("seen and seen[-1] and seen[-1][3] == 'PURGE'")
    assert board("entry('k')") is None
    assert board("kv.create('k', b'w') > 0") is True


def test_a_bucket_that_is_gone(board, other, bucket):
    board("kv.put('k', b'1')")
    board("watch = kv.watch('>', look)")
    board.until("None in seen")
    other.run(other.nc.jetstream().delete_key_value("B"))
    board.until("seen.count(None) == 2")
    assert board("type(watch.error).__name__") == "JetStreamError"
    calls = "get('k')", "put('k', b'')", "keys()", "history('k')", "status()", "create('k', b'')"
    for call in calls:
        error = board.raised("kv." + call)
        assert error.kinds[-1] == "OSError", (call, error)
    for call in ("get('k', answered)", "keys(handler=answered)", "put('k', b'', answered)"):
        board("sure(kv.%s)" % call)
    board.until("len(answers) == 3")
    assert {a[0] for a in board("answers")} == {None}


@pytest.mark.parametrize("key", ["", ".a", "a.", "a..b", "a b", "a*", ">", "ä", None, 7])
def test_what_is_no_key(board, key):
    for call in ("get(%r)", "put(%r, b'')", "delete(%r)", "create(%r, b'')", "history(%r)"):
        assert board.raised("kv." + call % (key,)).kinds[0] == "ValueError"
