"""Messages between a board and the official client, through a real nats-server."""

import hashlib

import pytest

from support.live import (  # noqa: F401  fixtures too
    MONITORED,
    any_board,
    board,
    connection,
    eventually,
    monitoring,
    other,
    pattern,
    server,
    start_board,
    subject,
    subscriptions,
)
from support.nats_server import NatsServer
from support.peer import Peer

_PATIENCE_S = 20
_MEGABYTE = 1 << 20


def _take(messages, n):
    """The payloads of the next n messages, and that there are no more of them now."""
    taken = [messages.get(timeout=_PATIENCE_S).data for _ in range(n)]
    assert messages.empty()
    return taken


# Publishing

_SIZES = [0, 1, 63, 64, 65, 1023, 1024, 1025, 16384]


@pytest.mark.parametrize("tx_size", [512, 2048])
def test_published_messages_arrive_whole(any_board, server, other, subject, tx_size):
    messages = other.subscribe(subject)
    any_board.connect(server.url, tx_size=tx_size)
    for size in _SIZES:
        any_board("put(%r, pattern(%r))", subject, size)
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, len(_SIZES)) == [pattern(size) for size in _SIZES]
    assert any_board("nc.stats.out_msgs, nc.stats.out_bytes") == (len(_SIZES), sum(_SIZES))


def test_a_megabyte_is_published_through_512_bytes(start_board, server, other, subject):
    messages = other.subscribe(subject)
    board = start_board(heapsize="3M")
    board.connect(server.url, tx_size=512)
    board("put(%r, b'before')", subject)
    board("put(%r, pattern(%r))", subject, _MEGABYTE)
    board("put(%r, b'after')", subject)
    assert board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 3) == [b"before", pattern(_MEGABYTE), b"after"]


def test_every_byte_value_goes_both_ways(any_board, server, other, subject):
    payload = bytes(range(256)) + b"\r\nMSG a 1 0\r\n\r\n+OK\r\n-ERR 'x'\r\nPING\r\n\0"
    messages = other.subscribe(subject + ".up")
    any_board.connect(server.url)
    any_board("sub(%r) and None", subject + ".down")
    other.publish(subject + ".down", payload)
    any_board.until("got")
    assert any_board("got") == [(subject + ".down", payload, None, None)]
    any_board("put(%r, %r)", subject + ".up", payload)
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 1) == [payload]


@pytest.mark.parametrize(
    "payload, expected",
    [
        ("b'bytes'", b"bytes"),
        ("bytearray(b'array')", b"array"),
        ("memoryview(b'a view')[2:]", b"view"),
        ("'text'", b"text"),
        ("'gr\\u00fc\\u00df\\u20ac'", "gr\u00fc\u00df\u20ac".encode()),
        ("unats.Payload(20).text('{\"t\":').fixed(-2153, 2).text('}')", b'{"t":-21.53}'),
    ],
)
def test_every_kind_of_payload(any_board, server, other, subject, payload, expected):
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board("sure(nc.publish(%r, %s))" % (subject, payload))
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 1) == [expected]


def test_the_first_bytes_of_a_buffer(any_board, server, other, subject):
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board("sure(nc.publish(%r, bytearray(b'21.5 and rubbish'), n=4))", subject)
    any_board("sure(nc.publish(%r, pattern(5000), n=4000))", subject)
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 2) == [b"21.5", pattern(4000)]


def test_what_cannot_be_queued_is_false_and_counted(any_board, server, other, subject):
    messages = other.subscribe(subject)
    any_board("client(%r)", server.url)
    assert any_board("nc.publish(%r, b'too early'), nc.stats.dropped", subject) == (False, 1)
    any_board("nc.connect(20000)")
    assert any_board("nc.publish(%r, b'in time'), nc.stats.dropped", subject) == (True, 1)
    assert any_board("nc.flush(20000)")
    any_board("nc.close()")
    assert any_board("nc.publish(%r, b'too late'), nc.stats.dropped", subject) == (False, 2)
    other.flush()
    assert _take(messages, 1) == [b"in time"]


# Receiving


def test_messages_of_all_sizes_are_received(any_board, server, other, subject):
    sizes = [0, 1, 63, 64, 65, 1023, 1024]
    any_board.connect(server.url, rx_size=1024)
    any_board("sub(%r) and None", subject)
    for size in sizes:
        other.publish(subject, pattern(size))
    any_board.until("len(got) == %d" % len(sizes))
    assert [data for _, data, _, _ in any_board("got")] == [pattern(size) for size in sizes]
    assert any_board("nc.stats.in_msgs, nc.stats.in_bytes") == (len(sizes), sum(sizes))


@pytest.mark.parametrize("size", [1025, 16384])
def test_an_oversized_message_is_skipped_and_the_next_arrives(
    any_board, server, other, subject, size
):
    any_board.connect(server.url, rx_size=1024)
    any_board("s = sub(%r)", subject)
    other.publish(subject, pattern(size))
    other.publish(subject, b"next")
    any_board.until("got")
    assert any_board("got") == [(subject, b"next", None, None)]
    assert any_board("events[1:]") == [("oversize", subject)]
    assert any_board("nc.stats.oversize, s.dropped, s.received") == (1, 1, 1)


def test_a_megabyte_is_streamed_through_1024_bytes(board, server, other, subject):
    board.connect(server.url, rx_size=1024)
    board("nc.subscribe(%r, stream, chunked=True) and None", subject)
    board("sure(nc.flush(20000))")
    before = board("heap()")
    sizes = [10, _MEGABYTE, 1024, 1025, 0, 16384]
    for size in sizes:
        other.publish(subject, pattern(size))
    board.until("len(streams) == %d and streams[-1][2]" % len(sizes))
    found = board("[(total, n, last, h.digest()) for total, n, last, h in streams]")
    assert found == [(n, n, True, hashlib.sha256(pattern(n)).digest()) for n in sizes]
    assert board("nc.stats.in_msgs, nc.stats.oversize") == (len(sizes), 0)
    assert board("heap()") - before < 4096  # the list of what came, not the megabyte


def test_streaming_on_cpython(start_board, server, other, subject):
    board = start_board("cpython")
    board.connect(server.url, rx_size=1024)
    board("nc.subscribe(%r, stream, chunked=True) and None", subject)
    board("sure(nc.flush(20000))")
    other.publish(subject, pattern(50000))
    board.until("streams and streams[-1][2]")
    assert board("streams[0][3].digest()") == hashlib.sha256(pattern(50000)).digest()


def test_what_a_message_tells_without_allocating(any_board, server, other, subject):
    any_board.connect(server.url)
    any_board(
        """
def look(msg):
    buf = bytearray(8)
    n = msg.copy_into(buf, 2)
    got.append((msg.size, msg.total, msg.offset, msg.last, msg.sid, msg.equals(b"-1234"),
        msg.equals("-123"), msg.startswith(b"-12"), msg.subject_equals(%r),
        msg.token_equals(0, b"test"), msg.token_equals(1, b"test"), msg.to_int(), n, bytes(buf),
        msg.header_equals("Kind", "t"), msg.header_equals("Kind", "u"),
        bytes(msg.buffer[msg.start:msg.end])))
s = nc.subscribe(%r, look)
sure(nc.flush(20000))
""",
        subject,
        subject,
    )
    other.publish(subject, b"-1234", headers={"Kind": "t"})
    any_board.until("got")
    sid = any_board("s.sid")
    assert any_board("got") == [
        (5, 5, 0, True, sid, True, False, True, True, True, False, -1234, 5, b"\0\0-1234\0")
        + (True, False, b"-1234")
    ]


# Headers


def test_headers_to_the_other_side(any_board, server, other, subject):
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    any_board(
        "sure(nc.publish(%r, b'x', headers={'Unit': 'C', 'uNIT': 'a: b', 'Empty': ''}))", subject
    )
    any_board("sure(nc.publish(%r, headers=b'NATS/1.0\\r\\nReady: made\\r\\n\\r\\n'))", subject)
    any_board("sure(nc.publish(%r, pattern(3000), headers={'Large': '1'}))", subject)
    assert any_board("nc.flush(20000)")
    msgs = [messages.get(timeout=_PATIENCE_S) for _ in range(3)]
    assert [msg.headers for msg in msgs] == [
        {"Unit": "C", "uNIT": "a: b", "Empty": ""},
        {"Ready": "made"},
        {"Large": "1"},
    ]
    assert [msg.data for msg in msgs] == [b"x", b"", pattern(3000)]


def test_headers_from_the_other_side(any_board, server, other, subject):
    any_board.connect(server.url)
    any_board("sub(%r) and None", subject)
    other.publish(subject, b"x", headers={"Unit": "C", "uNIT": "a: b"})
    other.publish(subject, b"", reply="back", headers={"K": "v"})
    any_board.until("len(got) == 2")
    assert any_board("got") == [
        (subject, b"x", None, {"Unit": "C", "uNIT": "a: b"}),
        (subject, b"", "back", {"K": "v"}),
    ]


def test_repeated_header_names_keep_all_values_and_their_case(start_board, server, subject):
    # nats-py keeps one value of each name, so there is a board at either end.
    one, two = start_board(), start_board("cpython")
    for sender, receiver in ((one, two), (two, one)):
        for b in (sender, receiver):
            b.connect(server.url)
        receiver("got.clear(); sub(%r) and None", subject)
        sender("sure(nc.publish(%r, b'x', headers={'A': ['1', '2', '3'], 'a': '4'}))", subject)
        assert sender("nc.flush(20000)")
        receiver.until("got")
        assert receiver("got") == [(subject, b"x", None, {"A": ["1", "2", "3"], "a": "4"})]
        receiver("nc.close()")


def test_a_header_cannot_become_two(any_board, server, other, subject):
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    error = any_board.raised("nc.publish(%r, b'', headers={'A': 'b\\r\\nC: d'})", subject)
    assert error.kinds == ["ValueError"]
    any_board("sure(nc.publish(%r, b'whole'))", subject)
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 1) == [b"whole"]


# Subscriptions


def test_wildcards_take_what_they_match(any_board, server, other, subject):
    any_board.connect(server.url)
    for pattern_ in ("%s.*.temp", "%s.>", "%s.a.temp"):
        any_board("sub(%r) and None", pattern_ % subject)
    for name in ("a.temp", "b.temp", "a.b.temp", "a"):
        other.publish("%s.%s" % (subject, name), name.encode())
    other.publish(subject, b"no tail")
    other.publish("end." + subject)
    any_board("sub(%r) and None", "end." + subject)
    other.publish("end." + subject, b"end")
    any_board.until("got and got[-1][1] == b'end'")
    data = [data for _, data, _, _ in any_board("got")]
    assert sorted(data) == sorted([b"a.temp"] * 3 + [b"b.temp"] * 2 + [b"a.b.temp", b"a", b"end"])


@pytest.mark.parametrize("bad", ["a b", "", "a..b", ".a", "a.", "a\\tb", "a\\r\\nPUB x 0", "a\\0"])
def test_a_bad_subject_is_misuse_and_nothing_is_sent(any_board, server, bad):
    any_board.connect(server.url)
    for call in ("nc.publish('%s')", "nc.subscribe('%s', keep)", "nc.publish('a', reply='%s')"):
        if "reply" in call and not bad:
            continue  # the same as no reply subject
        assert any_board.raised((call % bad).replace("%", "%%")).kinds == ["ValueError"]
    assert any_board("nc.flush(20000)")
    assert any_board.events == ["connected"]


def test_a_queue_group_gets_each_message_once(start_board, server, other, subject):
    boards = [start_board(), start_board(), start_board("cpython")]
    for b in boards:
        b.connect(server.url)
        b("sub(%r, queue='workers') and None", subject)
        b("sub(%r) and None", subject + ".end")
    everything = other.subscribe(subject)
    for i in range(120):
        other.run(other.nc.publish(subject, b"%d" % i))
    other.publish(subject + ".end")
    taken = []
    for b in boards:
        b.until("got and got[-1][0] == %r" % (subject + ".end"))
        mine = [int(data) for name, data, _, _ in b("got") if name == subject]
        assert mine, "a member of the group got nothing"
        assert mine == sorted(mine)
        taken += mine
    assert sorted(taken) == list(range(120))
    assert everything.qsize() == 120


def test_max_msgs_ends_a_subscription_here_and_at_the_server(any_board, server, other, subject):
    name = "max-" + subject + any_board.interpreter
    any_board.connect(server.url, name=name)
    any_board("s = sub(%r, max_msgs=3)", subject)
    any_board("sub(%r) and None", subject + ".end")
    assert subscriptions(server, name) == {subject: 3, subject + ".end": 0}
    for i in range(5):
        other.publish(subject, b"%d" % i)
    other.publish(subject + ".end")
    any_board.until("got and got[-1][0] == %r" % (subject + ".end"))
    assert [data for _, data, _, _ in any_board("got")] == [b"0", b"1", b"2", b""]
    assert any_board("s.received, nc.stats.dropped") == (3, 0)
    assert subscriptions(server, name) == {subject + ".end": 0}


def test_unsubscribe_now_and_later(any_board, server, other, subject):
    name = "unsubscribe-" + subject + any_board.interpreter
    any_board.connect(server.url, name=name)
    any_board("now = sub(%r)", subject + ".now")
    any_board("later = sub(%r)", subject + ".later")
    any_board("past = sub(%r)", subject + ".past")
    any_board("sub(%r) and None", subject + ".end")
    kinds = ("now", "later", "past")
    for kind in kinds:
        other.publish("%s.%s" % (subject, kind), b"1")
    any_board.until("len(got) == 3")
    any_board("now.unsubscribe(); later.unsubscribe(max_msgs=3); past.unsubscribe(max_msgs=1)")
    assert any_board("nc.flush(20000)")
    assert subscriptions(server, name) == {subject + ".later": 3, subject + ".end": 0}
    for i in (b"2", b"3", b"4"):
        for kind in kinds:
            other.publish("%s.%s" % (subject, kind), i)
    other.publish(subject + ".end")
    any_board.until("got[-1][0] == %r" % (subject + ".end"))
    assert [(s[len(subject) + 1 :], data) for s, data, _, _ in any_board("got")] == [
        ("now", b"1"),
        ("later", b"1"),
        ("past", b"1"),
        ("later", b"2"),
        ("later", b"3"),
        ("end", b""),
    ]
    assert subscriptions(server, name) == {subject + ".end": 0}


def test_subscriptions_made_before_connecting(any_board, server, other, subject):
    any_board("client(%r)", server.url)
    any_board("sub(%r, max_msgs=2) and None", subject)
    any_board("nc.subscribe(%r, keep).unsubscribe()", subject + ".gone")
    any_board("nc.connect(20000)")
    for i in range(3):
        other.publish(subject + ".gone", b"gone")
        other.publish(subject, b"%d" % i)
    any_board.until("len(got) == 2")
    assert any_board("nc.flush(20000)")
    assert [data for _, data, _, _ in any_board("got")] == [b"0", b"1"]


@pytest.mark.parametrize("echo", [True, False])
def test_echo(any_board, server, other, subject, echo):
    any_board.connect(server.url, echo=echo)
    any_board("sub(%r) and None", subject)
    any_board("sure(nc.publish(%r, b'mine'))", subject)
    assert any_board("nc.flush(20000)")
    other.publish(subject, b"another's")
    any_board.until('got and got[-1][1] == b"another\'s"')
    expected = [b"mine", b"another's"] if echo else [b"another's"]
    assert [data for _, data, _, _ in any_board("got")] == expected


def test_handlers_publish_subscribe_and_unsubscribe(any_board, server, other, subject):
    messages = other.subscribe(subject + ".log")
    any_board.connect(server.url)
    any_board(
        """
def first(msg):
    s.unsubscribe()
    nc.subscribe(%r, second)
    sure(nc.publish(%r, b'first'))
def second(msg):
    sure(nc.publish(%r, b'second'))
    got.append(1)
s = nc.subscribe(%r, first)
sure(nc.flush(20000))
""",
        subject + ".two",
        subject + ".log",
        subject + ".log",
        subject,
    )
    other.publish(subject)
    any_board.until("s.received")
    assert any_board("nc.flush(20000)")
    other.publish(subject)
    other.publish(subject + ".two")
    any_board.until("got")
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 2) == [b"first", b"second"]


def test_a_handler_that_raises_loses_nothing(any_board, server, other, subject):
    any_board.connect(server.url)
    any_board(
        """
def raises(msg):
    got.append(msg.data)
    if len(got) %% 3 == 0:
        raise KeyError(msg.data)
nc.subscribe(%r, raises)
sure(nc.flush(20000))
raised = 0
""",
        subject,
    )
    for i in range(30):
        other.run(other.nc.publish(subject, b"%d" % i))
    other.flush()
    any_board(
        """
while len(got) < 30:
    try:
        until(lambda: len(got) == 30)
    except KeyError:
        raised += 1
"""
    )
    assert any_board("got") == [b"%d" % i for i in range(30)]
    assert any_board("raised, nc.connected, names()") == (10, True, ["connected"])


# Requests


def test_the_board_asks(any_board, server, other, subject):
    other.respond(subject, lambda msg: b"answer to " + msg.data)
    any_board.connect(server.url)
    any_board("reply = nc.request(%r, b'this', 20000)", subject)
    any_board("reply2 = nc.request(%r, 'that', 20000)", subject)
    assert any_board("reply.data, reply2.text") == (b"answer to this", "answer to that")


def test_the_board_answers(any_board, server, other, subject):
    any_board.connect(server.url)
    any_board(
        """
def answer(msg):
    got.append(msg.respond(msg.data + b'!'))
nc.subscribe(%r, answer)
sure(nc.flush(20000))
""",
        subject,
    )
    any_board.start("until(lambda: len(got) == 3); until(nc.flush)")
    for i in range(3):
        assert other.request(subject, b"%d" % i).data == b"%d!" % i
    any_board.result()
    other.publish(subject, b"without a reply subject")
    any_board.until("len(got) == 4")
    assert any_board("got") == [True, True, True, False]


def test_request_and_answer_with_headers(any_board, server, other, subject):
    any_board.connect(server.url)
    any_board(
        """
def answer(msg):
    msg.respond(b'', headers={'Was': msg.headers['Ask']})
    got.append(1)
nc.subscribe(%r, answer)
sure(nc.flush(20000))
""",
        subject,
    )
    any_board.start("until(lambda: got); nc.flush(20000)")
    reply = other.run(other.nc.request(subject, b"", timeout=_PATIENCE_S, headers={"Ask": "me"}))
    assert reply.headers == {"Was": "me"}
    any_board.result()


def test_no_responders_is_told_at_once(any_board, server, subject):
    any_board.connect(server.url)
    error = any_board.raised(
        "nc.request(%r, b'', 60000)", subject
    )  # far over what a test may take
    assert error.kinds[:3] == ["NoResponders", "Error", "OSError"]
    any_board(
        "sure(nc.request(%r, b'', 60000, handler=lambda msg: got.append(msg.status)))", subject
    )
    any_board.until("got")
    assert any_board("got") == [503]


def test_a_request_that_nobody_answers_times_out(any_board, server, other, subject):
    asked = other.subscribe(subject)
    any_board.connect(server.url)
    error = any_board.raised("nc.request(%r, b'', 100)", subject)
    assert error.kinds[:3] == ["Timeout", "Error", "OSError"]
    any_board("sure(nc.request(%r, b'', 100, handler=got.append))", subject)
    any_board.until("got")
    assert any_board("got") == [None]
    late = [asked.get(timeout=_PATIENCE_S).reply for _ in range(2)][1]
    other.publish(late, b"too late")
    other.publish(late, b"much too late")
    any_board.until("nc.stats.dropped == 2")
    assert any_board("got") == [None]


def test_many_replies(any_board, server, other, subject):
    async def answer(msg):
        for i in range(5):
            await msg.respond(b"%d" % i)

    other.run(other.nc.subscribe(subject, cb=answer))
    other.flush()
    any_board.connect(server.url)
    any_board(
        "sure(nc.request(%r, handler=lambda msg: got.append(msg and msg.data), max_msgs=3))",
        subject,
    )
    any_board.until("nc.stats.dropped == 2")
    assert any_board("got") == [b"0", b"1", b"2"]
    any_board("got.clear()")
    any_board(
        "sure(nc.request(%r, timeout_ms=1500, handler=lambda msg: got.append(msg and msg.data), max_msgs=9))",  # noqa: E501
        subject,
    )
    any_board.until("got and got[-1] is None")
    assert any_board("got") == [b"0", b"1", b"2", b"3", b"4", None]


def test_requests_in_parallel_get_their_own_answers(any_board, server, other, subject):
    waiting = []

    async def answer_backwards(msg):
        waiting.append(msg)
        if len(waiting) == 20:
            for each in reversed(waiting):
                await each.respond(each.data)

    other.run(other.nc.subscribe(subject, cb=answer_backwards))
    other.flush()
    any_board.connect(server.url)
    any_board(
        """
class Asked:
    def __init__(self, i):
        self.i = i
    def take(self, msg):
        got.append((self.i, msg and msg.to_int()))
for i in range(20):
    until(lambda: nc.request(%r, str(i), 30000, handler=Asked(i).take))
until(lambda: len(got) == 20)
""",
        subject,
    )
    assert any_board("got") == [(i, i) for i in reversed(range(20))]


def test_all_requests_share_one_subscription(any_board, server, other, subject):
    name = "inbox-" + subject + any_board.interpreter
    other.respond(subject, lambda msg: msg.data)
    any_board.connect(server.url, name=name)
    for i in range(3):
        assert any_board("nc.request(%r, b'%d', 20000).to_int()" % (subject, i)) == i
    (inbox,) = subscriptions(server, name)
    assert inbox.startswith("_INBOX.")


# Flush, drain, close


def test_flush_means_that_the_server_has_it(any_board, server, other, subject):
    messages = other.subscribe(subject)
    any_board.connect(server.url)
    for i in range(20):
        any_board("sure(nc.publish(%r, b'%d'))" % (subject, i))
        assert any_board("nc.flush(20000)")
        other.flush()  # the server passes on in the order in which it takes
        assert messages.get_nowait().data == b"%d" % i


def test_drain_loses_nothing_that_was_published(any_board, server, other, subject):
    messages = other.subscribe(subject)
    any_board.connect(server.url, name="drain-" + subject)
    any_board("for i in range(500): put(%r, str(i))" % subject)
    assert any_board("nc.drain(30000)")
    assert any_board.events == ["connected", "closed"]
    assert any_board("nc.connected, nc.state == 'closed', nc.stats.out_msgs") == (False, True, 500)
    other.flush()
    assert _take(messages, 500) == [b"%d" % i for i in range(500)]


def test_drain_handles_what_is_on_its_way(any_board, server, other, subject):
    any_board.connect(server.url, name="handle-" + subject)
    any_board("sub(%r) and None", subject)
    messages = other.subscribe(subject + ".answers")
    any_board("def answer(msg): sure(nc.publish(%r, msg.data))" % (subject + ".answers"))
    any_board("nc.subscribe(%r, answer) and None", subject)
    assert any_board("nc.flush(20000)")
    for i in range(50):
        other.run(other.nc.publish(subject, b"%d" % i))
    other.flush()  # all of it is in the board's socket, or on the way there
    assert any_board("nc.drain(30000)")
    assert [data for _, data, _, _ in any_board("got")] == [b"%d" % i for i in range(50)]
    other.flush()
    assert _take(messages, 50) == [b"%d" % i for i in range(50)]


def test_close_is_seen_by_the_server(any_board, server, subject):
    name = "close-" + subject + any_board.interpreter
    any_board.connect(server.url, name=name)
    files = any_board.files()
    assert connection(server, name)
    any_board("nc.close()")
    eventually(lambda: connection(server, name) is None)
    assert any_board.files() == files - 1
    assert any_board("nc.poll(0), names()") == (0, ["connected", "closed"])


def test_what_the_server_tells_of_itself(any_board, server):
    any_board.connect(server.url)
    info = any_board("[nc.server[k] for k in ('max_payload', 'headers', 'version', 'jetstream')]")
    assert info == [1 << 20, True, monitoring(server, "varz")["version"], False]
    assert any_board("nc.server.name and nc.server.client_id") > 0


# Verbose and pedantic


@pytest.mark.parametrize(
    "options", [{"verbose": True}, {"pedantic": True}, {"verbose": True, "pedantic": True}]
)
def test_verbose_and_pedantic_connections_work(any_board, server, other, subject, options):
    messages = other.subscribe(subject + ".up")
    any_board.connect(server.url, **options)
    any_board("sub(%r) and None", subject)
    for i in range(10):
        other.publish(subject, b"%d" % i)
        any_board("put(%r, b'%d')" % (subject + ".up", i))
    any_board.until("len(got) == 10")
    assert any_board("nc.flush(20000)")
    other.flush()
    assert _take(messages, 10) == [b"%d" % i for i in range(10)]
    other.respond(subject + ".ask", lambda msg: b"ok")
    assert any_board("nc.request(%r, b'', 20000).data", subject + ".ask") == b"ok"
    assert any_board.events == ["connected"]


def test_a_pedantic_server_complains_and_the_client_goes_on(any_board, server, other, subject):
    any_board.connect(server.url, pedantic=True, reconnect_wait_ms=10)
    any_board("sub(%r) and None", subject)
    # A wildcard in a publish subject: the client may refuse it, or leave it to the server.
    try:
        any_board("nc.publish(%r, b'x')", subject + ".*")
    except Exception as e:
        assert e.kinds == ["ValueError"]
    else:
        any_board.until("'error' in names()")
        name, text = any_board("events[1][1]")
        assert name == "ServerError" and "Invalid Publish Subject" in text
    any_board.until("nc.connected")
    assert any_board("nc.flush(20000)")
    other.publish(subject, b"still here")
    any_board.until("got")


def test_a_server_without_header_support(any_board, subject):
    with NatsServer("no_header_support: true\n" + MONITORED) as server, Peer(server.url) as other:
        any_board.connect(server.url)
        assert any_board("nc.server.headers") is False
        error = any_board.raised("nc.publish(%r, b'', headers={'a': 'b'})", subject)
        assert error.kinds == ["ValueError"]
        messages = other.subscribe(subject)
        any_board("sure(nc.publish(%r, b'plain'))", subject)
        assert any_board("nc.flush(20000)")
        assert messages.get(timeout=_PATIENCE_S).data == b"plain"
        other.respond(subject + ".ask", lambda msg: b"ok")
        assert any_board("nc.request(%r, b'', 20000).data", subject + ".ask") == b"ok"
        assert any_board.events == ["connected"]
