"""Streams and consumers with a real server, the official Python client as the other side, faults
in between.
"""

import pytest
from nats.js.api import ConsumerConfig, StreamConfig

from support.jetstream import READING, boards, equipped, other, server  # noqa: F401  fixtures too
from support.live import Board, BoardError, eventually, start_board  # noqa: F401  fixture
from support.peer import Peer
from support.proxy import Proxy

_PRELUDE = (
    READING
    + """from unats.jetstream import JetStream, JetStreamError
js = JetStream(nc)
answers = []
def answered(result, error):
    answers.append((result, error and (type(error).__name__, getattr(error, "err_code", None))))
seen = []
def handle(msg):
    if msg is None:
        seen.append(None)
        return
    seen.append((msg.subject, msg.data, msg.seq, msg.delivered))
    msg.ack()
def look(msg):
    seen.append(None if msg is None else int(msg.data))
def busy():
    nc.poll(5)
"""
)


board = boards(_PRELUDE, "400K")


@pytest.fixture
def js(other):
    js = other.nc.jetstream()
    other.run(js.add_stream(StreamConfig(name="S", subjects=["s.>"])))
    return js


def fill(other, js, numbers, subject="s.a"):
    for n in numbers:
        other.run(js.publish(subject, b"%d" % n))


# Streams


def test_a_stream_is_made_once_and_says_how_it_differs(board, other):
    info = board("js.ensure_stream('T', ['t.>'], max_msgs=5)['config']")
    assert (info["name"], info["subjects"], info["max_msgs"]) == ("T", ["t.>"], 5)
    board("js.ensure_stream('T', ['t.>'], max_msgs=5)")
    board("js.ensure_stream('T', 't.>')")  # what is not given may be anything
    error = board.raised("js.ensure_stream('T', ['t.>'], max_msgs=7, storage='memory')")
    assert error.kinds[0] == "JetStreamError"
    assert "max_msgs is 5, not 7" in error.text and "storage is file, not memory" in error.text
    board("sure(js.ensure_stream('T', ['t.>'], answered, max_msgs=9))")
    board.until("answers")
    assert board("answers") == [(None, ("JetStreamError", 10058))]
    there = other.run(other.nc.jetstream().stream_info("T"))
    assert there.config.max_msgs == 5


def test_streams_are_looked_at_emptied_and_deleted(board, other, js):
    fill(other, js, range(5))
    fill(other, js, range(3), "s.b")
    state = board("js.stream_info('S')['state']")
    assert (state["messages"], state["last_seq"]) == (8, 8)
    assert board("js.purge('S', 's.b')") == 3
    assert board("js.purge('S', keep=2)") == 3
    assert other.run(js.stream_info("S")).state.messages == 2
    assert board("js.delete_stream('S')") is True
    error = board.raised("js.stream_info('S')")
    assert error.kinds[0] == "JetStreamError" and "10059" in error.text
    for call in ("delete_stream", "stream_info", "purge"):
        board("sure(js.%s('S', handler=answered))" % call)
    board.until("len(answers) == 3")
    assert board("answers") == [(None, ("JetStreamError", 10059))] * 3


@pytest.mark.parametrize("direct", [True, False])
def test_messages_are_read_by_number_and_by_subject(board, other, direct):
    js = other.nc.jetstream()
    other.run(js.add_stream(StreamConfig(name="S", subjects=["s.>"], allow_direct=direct)))
    large = bytes(range(256)) * 20
    other.run(js.publish("s.a", b"\x00\xff", headers={"Unit": "°C"}))
    other.run(js.publish("s.b", large))
    other.run(js.publish("s.a", b""))
    board("m = js.get('S', 1)")
    assert board("m.stream, m.subject, m.seq, m.data, m.headers") == (
        "S", "s.a", 1, b"\x00\xff", {"Unit": "°C"},
    )  # fmt: skip
    assert board("m.time")[:3] == "202"
    assert board("bytes(js.get('S', 2).data)") == large
    assert board("js.last('S', 's.b').seq") == 2
    assert board("js.last('S', 's.a').data") == b""
    assert board("js.last('S', 's.*').seq") == 3
    assert board("js.get('S', 7), js.last('S', 's.c')") == (None, None)
    board("buf = bytearray(6000)")
    assert board("js.last('S', 's.b', into=buf).data") == len(large)
    assert board("bytes(buf[:5120])") == large
    assert board.raised("js.last('S', 's.b', into=bytearray(100))").kinds[0] == "ValueError"
    board("sure(js.get('S', 1, lambda m, e: answered(m and m.seq, e)))")
    board("sure(js.get('S', 9, answered))")
    board("sure(js.last('NO', 's.a', answered))")
    board.until("len(answers) == 3")
    found = {(result, error and error[0]) for result, error in board("answers")}
    assert found == {(1, None), (None, None), (None, "JetStreamError")}


def test_what_is_expected_of_a_stream_is_seen_to(board, other, js):
    fill(other, js, range(3))
    fill(other, js, range(1), "s.b")
    assert board("js.publish('s.a', b'x', expect_last_seq=4).seq") == 5
    assert board("js.publish('s.b', b'x', expect_last_subject_seq=4, expect_stream='S').seq") == 6
    assert board("js.publish('s.c', b'x', expect_last_subject_seq=0).seq") == 7
    for text in ("expect_last_seq=4", "expect_last_subject_seq=4", "expect_stream='T'"):
        error = board.raised("js.publish('s.b', b'x', %s)" % text)
        assert error.kinds[0] == "JetStreamError", error.text
    board("js.ensure_stream('T', 't', allow_msg_ttl=True)")
    assert board("js.publish('t', b'x', ttl_s=1).seq") == 1
    assert other.run(other.nc.jetstream().get_msg("T", 1)).headers == {"Nats-TTL": "1"}
    eventually(lambda: board("js.get('T', 1) is None"))


# Consumers


def test_fetch_takes_what_is_there_and_waits_for_what_comes(board, other, js):
    fill(other, js, range(10))
    board("c = js.consumer('S', durable='d')")
    assert board("c.fetch(4, handle)") == 4
    assert board("c.fetch(100, handle, timeout_ms=300)") == 6
    assert board("seen") == [("s.a", b"%d" % n, n + 1, 1) for n in range(10)]
    assert board("c.fetch(1, handle, timeout_ms=100)") == 0
    board.start("c.fetch(2, handle, timeout_ms=20000)")
    fill(other, js, (10, 11))
    assert board.result() == 2
    board("nc.flush()")
    info = other.run(js.consumer_info("S", "d"))
    eventually(lambda: other.run(js.consumer_info("S", "d")).num_ack_pending == 0)
    assert info.num_pending == 0
    board("sure(c.fetch(3, handle, 400, answered))")
    fill(other, js, (12,))
    board.until("answers")
    assert board("answers") == [(1, None)]


def test_a_durable_consumer_is_bound_and_not_changed(board, other, js):
    other.run(
        js.add_consumer(
            "S", ConsumerConfig(durable_name="d", ack_policy="explicit", filter_subject="s.b")
        )
    )
    fill(other, js, range(3))
    fill(other, js, range(3, 5), "s.b")
    board("c = js.consumer('S', durable='d', filter='s.a', deliver=2)")
    assert board("c.fetch(9, handle, 300)") == 2
    assert board("[m[1] for m in seen]") == [b"3", b"4"]
    assert board("c.delete()") is True
    error = board.raised("c.fetch(1, handle, 2000)")
    assert error.kinds[0] == "JetStreamError"


def test_where_it_begins_and_what_it_takes(board, other, js):
    fill(other, js, range(3))
    fill(other, js, range(3, 6), "s.b")
    for options, numbers in (
        ("", range(6)),
        ("filter='s.b'", (3, 4, 5)),
        ("filter=['s.a', 's.c']", (0, 1, 2)),
        ("deliver='last'", (5,)),
        ("deliver='last_per_subject', filter='s.>'", (2, 5)),
        ("deliver=5", (4, 5)),
        ("deliver='new'", ()),
    ):
        board("seen.clear()")
        board("js.consumer('S', %s).fetch(9, look, 300)" % options)
        assert board("seen") == list(numbers), options
    for wrong in ("deliver='x'", "deliver=0", "durable='a.b'", "filter='a b'", "ack_wait_ms='x'"):
        assert board.raised("js.consumer('S', %s)" % wrong).kinds[0] == "ValueError", wrong


def test_acknowledgements_of_all_kinds(board, other, js):
    fill(other, js, range(5))
    board("c = js.consumer('S', durable='d', ack_wait_ms=1000, max_deliver=2)")
    board("""
acts = [lambda m: m.ack(), lambda m: m.nak(), lambda m: m.nak(300), lambda m: m.term('odd'),
        lambda m: sure(m.ack_sync())]
def act(msg):
    seen.append((int(msg.data), msg.delivered, msg.consumer_seq, msg.pending))
    if msg.delivered == 1:
        acts[int(msg.data)](msg)
    else:
        msg.ack()
""")
    assert board("c.fetch(7, act, 3000)") == 7
    seen = board("seen")
    assert [s[:2] for s in seen[:5]] == [(n, 1) for n in range(5)]
    assert sorted(s[:2] for s in seen[5:]) == [(1, 2), (2, 2)]
    assert [s[2] for s in seen] == list(range(1, 8))
    assert [s[3] for s in seen[:5]] == [4, 3, 2, 1, 0]
    board("nc.flush()")
    eventually(lambda: other.run(js.consumer_info("S", "d")).num_ack_pending == 0)


def test_a_slow_handler_is_delivered_to_again_unless_it_says_that_it_works(board, other, js):
    fill(other, js, (0,))
    board("c = js.consumer('S', durable='d', ack_wait_ms=1000)")
    board("""
def slow(msg):
    seen.append(msg.delivered)
    mine = msg.copy()
    if mine.delivered == 2:
        for _ in range(8):
            sure(mine.in_progress() and nc.flush())
            utime.sleep_ms(300)
        sure(mine.ack_sync())
""")
    assert board("c.fetch(1, slow, 5000)") == 1
    assert board("c.fetch(1, slow, 5000)") == 1
    assert board("c.fetch(1, slow, 2000)") == 0
    assert board("seen") == [1, 2]


def test_consuming_asks_for_more_before_it_runs_dry(board, other, js):
    fill(other, js, range(100))
    board("c = js.consumer('S', durable='d')")
    board("going = c.consume(handle, window=8)")
    board.until("len(seen) == 100")
    fill(other, js, range(100, 120))
    board.until("len(seen) == 120")
    assert board("[int(m[1]) for m in seen]") == list(range(120))
    board("nc.flush()")
    eventually(lambda: other.run(js.consumer_info("S", "d")).num_ack_pending == 0)
    board("going.stop()")
    fill(other, js, (120,))
    board("nc.flush()")
    assert board("len(seen), going.came, going.error") == (120, 120, None)
    assert board("len(nc.on_turn)") == 1  # that of requests


def test_receiving_and_acknowledging_allocate_nothing(start_board, server, other, js):
    board = start_board(heapsize="400K")
    equipped(board, server.url, _PRELUDE)
    fill(other, js, range(600))
    board("""
def ack(msg):
    msg.ack()
def used(n):
    gc.collect()
    while going.came < n:
        nc.poll(20)
    before = gc.mem_alloc()
    while going.came < n + 200:
        nc.poll(20)
    return gc.mem_alloc() - before
""")
    board("going = js.consumer('S', durable='d').consume(ack, window=64)")
    board("gc.disable()")
    assert board("used(100)") == 0
    board("going.stop()")
    board("going = js.ordered('S', lambda msg: None, window=64)")
    board("while going.seq < 50: nc.poll(20)")
    board("""
def used(n):
    while going.seq < n:
        nc.poll(20)
    before = gc.mem_alloc()
    while going.seq < n + 200:
        nc.poll(20)
    return gc.mem_alloc() - before
""")
    assert board("used(200)") == 0


@pytest.mark.parametrize("how", ["delete_consumer", "delete_stream"])
def test_a_consumer_that_is_deleted_is_told_of(board, other, js, how):
    fill(other, js, (1,))
    board("c = js.consumer('S', durable='d')")
    board("going = c.consume(handle)")
    board.until("seen")
    other.run(js.delete_consumer("S", "d") if how == "delete_consumer" else js.delete_stream("S"))
    board.until("seen[-1] is None")
    assert board("type(going.error).__name__") == "JetStreamError"
    assert board("len(seen)") == 2


def test_messages_larger_than_the_buffer(board, other, js):
    large = bytes(range(256)) * 50
    for data in (b"1", large, b"2"):
        other.run(js.publish("s.a", data))
    board("c = js.consumer('S', durable='d', ack_wait_ms=30000)")
    assert board("c.fetch(3, handle, 2000)") == 3
    assert board("[m[1] for m in seen], nc.stats.oversize") == ([b"1", b"2"], 1)
    board("parts = bytearray()")
    board("""
def take(msg):
    parts.extend(memoryview(msg.buffer)[msg.start:msg.end])
    if msg.last:
        msg.ack()
""")
    board("e = js.consumer('S', deliver=2)")
    assert board("e.fetch(1, take, 2000, chunked=True)") == 1
    assert board("bytes(parts)") == large


def test_nothing_is_lost_over_kills_of_the_server(board, server, other, js):
    board("c = js.consumer('S', durable='d', ack_wait_ms=2000)")
    board("going = c.consume(lambda msg: look(msg) or msg.ack())")
    for kill in range(4):
        with Peer(server.url) as peer:
            js = peer.nc.jetstream()
            fill(peer, js, range(25 * kill, 25 * kill + 25))
        board("for _ in range(%d): busy()" % (2 * kill))
        server.restart()
    board.until("len(set(seen)) == 100")
    assert sorted(board("list(set(seen))")) == list(range(100))


# Ordered ones


def test_ordered_goes_on_without_gaps_over_lost_connections(server, other, js):
    fill(other, js, range(300))
    board = Board("micropython", heapsize="400K")
    try:
        with Proxy(server.port) as proxy:
            equipped(board, proxy.url, _PRELUDE)
            board("going = js.ordered('S', look, window=4)")
            for n in range(1, 10):
                board.until("len(seen) >= %d" % (20 * n))
                proxy.cut(reset=n % 2 == 0)
            board.until("len(seen) == 300")
            fill(other, js, range(300, 310))
            board.until("len(seen) == 310")
            assert board("seen") == list(range(310))
            assert board("going.seq") == 310
            board("going.stop()")
            assert board("len(nc.subscriptions)") == 1
    finally:
        board.stop()


def test_ordered_tells_when_the_stream_is_gone(board, other, js):
    fill(other, js, range(3))
    board("going = js.ordered('S', look)")
    board.until("len(seen) == 3")
    other.run(js.delete_stream("S"))
    board.until("seen[-1] is None")
    assert board("type(going.error).__name__, going.over") == ("JetStreamError", True)
    board("other = js.ordered('NONE', look)")
    board.until("len(seen) == 5")
    assert board("seen[-1], other.over") == (None, True)


def test_ordered_filters_and_begins_where_it_is_told(board, other, js):
    fill(other, js, range(5))
    fill(other, js, range(5, 8), "s.b")
    board("pending = []")
    board("going = js.ordered('S', look, filter='s.b', deliver=7, ready=pending.append)")
    board.until("len(seen) == 2")
    assert board("seen, pending") == ([6, 7], [2])
    consumers = lambda: other.run(other.nc.jetstream().stream_info("S")).state.consumer_count  # noqa: E731
    assert consumers() == 1
    board("going.stop()")
    board("sure(nc.flush())")
    eventually(lambda: consumers() == 0)


def test_a_bad_name_is_told_at_once(board):
    for call in ("js.ordered('a.b', look)", "js.ordered('S', None)", "js.get('a b', 1)",
                 "js.consumer('S').fetch(0, look)", "js.ensure_stream('S', 'a b')"):  # fmt: skip
        assert board.raised(call).kinds[0] in ("ValueError", "JetStreamError"), call


_GARBAGE = (
    b"",
    b"x",
    b"[]",
    b"null",
    b'{"config":7}',
    b'{"message":7}',
    b'{"message":{"data":7}}',
    b'{"error":{"code":"x"}}',
    b'{"num_pending":"x","purged":[],"success":"no"}',
    b"\xff\xfe",
)


def test_garbage_for_an_answer_is_an_error_at_most(board, other):
    """Somebody answers the API who is not JetStream."""
    answers = []
    other.respond("$JS.odd.API.>", lambda msg: answers[0])
    board("js = JetStream(nc, 'odd', timeout_ms=5000)")
    board("going = js.ordered('S', look)")
    for answer in _GARBAGE:
        answers[:] = [answer]
        for call in ("stream_info('S')", "get('S', 1)", "last('S', 's')", "purge('S')",
                     "delete_stream('S')", "consumer('S')", "consumer('S', 'd')",
                     "ensure_stream('S', 's')", "last_id('s', answered)"):  # fmt: skip
            try:
                board("bool(js.%s)" % call)
            except BoardError as e:
                assert "OSError" in e.kinds, (call, answer, e)
        board("for _ in range(20): busy()")
    board("going.stop()")
    assert board("nc.connected")
