"""Lost connections: what a board notices, what it restores, and what the others see of it."""

import hashlib
import signal
import socket
import threading
import time

import pytest

from support.live import (  # noqa: F401  fixtures too
    MONITORED,
    any_board,
    board,
    connection,
    eventually,
    pattern,
    start_board,
    subject,
    subscriptions,
)
from support.peer import Peer
from support.ports import free_port
from support.proxy import Proxy

_PATIENCE_S = 20
_MEGABYTE = 1 << 20
_SOON = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100}
_SHORT_PINGS = dict(_SOON, ping_interval_ms=200, connect_timeout_ms=2000)


@pytest.fixture
def server(start_nats_server):
    """A server of the test's own, to be killed."""
    return start_nats_server(MONITORED)


@pytest.fixture
def proxy(server):
    """A Proxy before `server`."""
    with Proxy(server.port) as proxy:
        yield proxy


def _settled_events(board):
    """The events, without the failed attempts between."""
    return [name for name in board.events if name != "error"]


# The server dies and comes back


def test_a_killed_server_is_noticed_and_all_subscriptions_restored(any_board, server, subject):
    any_board.connect(server.url, name="restored", **_SOON)
    any_board("plain = sub(%r)", subject)
    any_board("shared = sub(%r, queue='q')", subject + ".queue")
    any_board("limited = sub(%r, max_msgs=5)", subject + ".limited")
    any_board("later = sub(%r)", subject + ".later")
    any_board("gone = sub(%r)", subject + ".gone")
    with Peer(server.url) as other:
        for _ in range(2):
            other.publish(subject + ".limited", b"before")
            other.publish(subject + ".later", b"before")
    any_board.until("len(got) == 4")
    any_board("later.unsubscribe(max_msgs=4)")
    server.kill()
    any_board.until("'disconnected' in names()")
    assert any_board("nc.state == 'reconnecting', nc.connected") == (True, False)
    assert "OSError" in any_board("classes(type(nc.last_error))")
    any_board("gone.unsubscribe()")
    any_board("new = sub(%r)", subject + ".new")
    server.start()
    any_board.until("nc.connected")
    assert any_board("nc.flush(20000)")
    assert _settled_events(any_board) == ["connected", "disconnected", "reconnected"]
    assert any_board("nc.stats.reconnects") == 1
    assert subscriptions(server, "restored") == {
        subject: 0,
        subject + ".queue": 0,
        subject + ".limited": 3,
        subject + ".later": 2,
        subject + ".new": 0,
    }
    any_board("got.clear()")
    with Peer(server.url) as other:
        for i in range(6):
            for name in (".limited", ".later", ".gone"):
                other.publish(subject + name, b"%d" % i)
        for name in (".queue", ".new", ""):
            other.publish(subject + name, b"end")
    any_board.until("got and got[-1][0] == %r" % subject)
    assert [(name[len(subject) :], data) for name, data, _, _ in any_board("got")] == [
        (".limited", b"0"),
        (".later", b"0"),
        (".limited", b"1"),
        (".later", b"1"),
        (".limited", b"2"),
        (".queue", b"end"),
        (".new", b"end"),
        ("", b"end"),
    ]
    assert any_board("limited.received, later.received, gone.received") == (5, 4, 0)
    assert set(subscriptions(server, "restored")) == {
        subject,
        subject + ".queue",
        subject + ".new",
    }


def test_restored_again_and_again(any_board, server, subject):
    any_board.connect(server.url, **_SOON)
    any_board("s = sub(%r, max_msgs=4)", subject)
    for round_ in range(3):
        server.restart()
        any_board.until("nc.stats.reconnects == %d and nc.connected" % (round_ + 1))
        assert any_board("nc.flush(20000)")
        with Peer(server.url) as other:
            other.publish(subject, b"%d" % round_)
        any_board.until("len(got) == %d" % (round_ + 1))
    assert _settled_events(any_board) == ["connected"] + ["disconnected", "reconnected"] * 3
    assert [data for _, data, _, _ in any_board("got")] == [b"0", b"1", b"2"]


def test_many_subscriptions_are_restored(any_board, server, subject):
    """More than fit the transmit buffer at once."""
    any_board.connect(server.url, name="many", tx_size=256, **_SOON)
    any_board("for i in range(80): sub(%r %% i)" % (subject + ".number.%d"))
    assert connection(server, "many")["subscriptions"] == 80
    server.restart()
    any_board.until("nc.stats.reconnects == 1")
    assert any_board("nc.flush(20000)")
    assert set(subscriptions(server, "many")) == {"%s.number.%d" % (subject, i) for i in range(80)}


def test_flush_confirms_subscriptions_too(any_board, server, subject):
    """Also more of them than fit the transmit buffer at once."""
    any_board.connect(server.url, name="many", tx_size=256, **_SOON)
    any_board("for i in range(80): nc.subscribe(%r %% i, keep)" % (subject + ".number.%d"))
    assert any_board("nc.flush(20000)")
    assert set(subscriptions(server, "many")) == {"%s.number.%d" % (subject, i) for i in range(80)}


class _Observer:
    """Checks, message by message, that what the board numbers comes whole and in order."""

    def __init__(self, server, subject):
        self._url = server.url
        self._subject = subject
        self.seen = []

    def __enter__(self):
        self.peer = Peer(self._url, allow_reconnect=False)
        self.peer.__enter__()
        self._messages = self.peer.subscribe(self._subject)
        return self

    def __exit__(self, *what):
        self.peer.__exit__(*what)

    def again(self):
        """Go on with a connection of its own to a server that was killed: what is tested is not
        how the observer comes back.
        """
        self.__exit__(None, None, None)
        self.__enter__()

    def take(self, n):
        """Take until n more have come."""
        for _ in range(n):
            data = self._messages.get(timeout=_PATIENCE_S).data
            number, _, rest = data.partition(b":")
            assert rest == pattern(int(number) % 700), "torn: %r" % data
            assert not self.seen or int(number) > self.seen[-1], (number, self.seen[-1])
            self.seen.append(int(number))


_NUMBERED = """
number = 0
def go_on():
    global number
    for i in range(20):
        if nc.publish(%r, str(number).encode() + b':' + pattern(number %% 700)):
            number += 1
    nc.poll(0)
    return got
sub(%r)
"""


@pytest.mark.parametrize("how", ["kill", "fin", "rst"])
def test_nothing_is_torn_by_a_break_while_publishing(any_board, server, proxy, subject, how):
    any_board.connect(proxy.url, tx_size=512, **_SOON)  # some messages are larger than that
    any_board(_NUMBERED, subject, subject + ".stop")
    with _Observer(server, subject) as observer:
        any_board.start("until(go_on, 100)")
        for _ in range(3):
            observer.take(150)
            proxy.up.hold(after=333)
            proxy.up.until_held()
            if how == "kill":
                server.restart()
                observer.again()
            else:
                proxy.cut(reset=how == "rst")
            proxy.up.let_pass()
        observer.take(700)
        observer.peer.publish(subject + ".stop", b"stop")
        any_board.result()
        assert observer.seen[-1] <= any_board("number")
    assert any_board("nc.stats.reconnects") >= 3
    events = _settled_events(any_board)
    assert events == ["connected"] + ["disconnected", "reconnected"] * (len(events) // 2)


@pytest.mark.parametrize("how", ["kill", "fin", "rst"])
def test_a_break_in_the_middle_of_a_large_message(start_board, server, proxy, subject, how):
    board = start_board(heapsize="3M")
    board.connect(proxy.url, tx_size=512, **_SOON)
    board("large = pattern(%d)" % _MEGABYTE)
    with Peer(server.url, reconnect_time_wait=0.02, max_reconnect_attempts=-1) as other:
        messages = other.subscribe(subject)
        proxy.up.hold(after=100000)
        board.start("nc.publish(%r, large), nc.stats.dropped", subject)
        proxy.up.until_held()
        if how == "kill":
            server.kill()
        else:
            proxy.cut(reset=how == "rst")
        proxy.up.let_pass()
        # Where the system takes a megabyte at once the board cannot know that it was not
        # delivered.
        done, dropped = board.result()
        assert done is (dropped == 0)
        if how == "kill":
            server.start()
        board.until("'reconnected' in names()")
        assert _settled_events(board) == ["connected", "disconnected", "reconnected"]
        tries = 0

        def comes():  # unless nats-py is not back yet
            nonlocal tries
            tries += 1
            board("put(%r, b'after %d'); sure(nc.flush(20000))" % (subject, tries))
            return not messages.empty()

        eventually(comes)
        last = b"after %d" % tries
        while True:  # some may have come before nats-py was back
            data = messages.get(timeout=_PATIENCE_S).data
            assert data.startswith(b"after "), len(data)
            if data == last:
                break
        board("put(%r, large); sure(nc.flush(20000))", subject)
        assert messages.get(timeout=_PATIENCE_S).data == pattern(_MEGABYTE)
        assert messages.empty()


@pytest.mark.parametrize("how", ["kill", "fin", "rst"])
def test_a_break_in_the_middle_of_a_message_that_streams(board, server, proxy, subject, how):
    board.connect(proxy.url, **_SOON)
    board("s = nc.subscribe(%r, stream, chunked=True)", subject)
    assert board("nc.flush(20000)")
    proxy.down.hold(after=100000)
    with Peer(server.url) as other:
        other.publish(subject, pattern(_MEGABYTE))
    board.until("streams and streams[-1][1] > 50000")
    proxy.down.until_held()
    if how == "kill":
        server.restart()
    proxy.cut(reset=how == "rst")
    proxy.down.let_pass()
    board.until("'reconnected' in names()")
    assert board("nc.flush(20000)")
    with Peer(server.url) as other:
        other.publish(subject, b"short")
        other.publish(subject, pattern(50000))
    board.until("streams[-1][0] == 50000 and streams[-1][2]")
    found = board("[(total, n, last) for total, n, last, h in streams]")
    assert len(found) == 3
    assert found[0][0] == _MEGABYTE and found[0][1] <= 100000 and found[0][2] is False
    assert found[1:] == [(5, 5, True), (50000, 50000, True)]
    assert board("streams[-1][3].digest()") == hashlib.sha256(pattern(50000)).digest()
    assert board("s.received, nc.stats.in_msgs") == (2, 2)
    assert _settled_events(board) == ["connected", "disconnected", "reconnected"]


@pytest.mark.parametrize("size, kept", [(900, 1), (5000, 0)])
def test_a_break_in_the_middle_of_a_message(any_board, server, proxy, subject, size, kept):
    any_board.connect(proxy.url, rx_size=1024, **_SOON)
    any_board("s = sub(%r)", subject)
    proxy.down.hold(after=size // 2)
    with Peer(server.url) as other:
        other.publish(subject, pattern(size))
    any_board.start("until(lambda: 'reconnected' in names())")
    proxy.down.until_held()
    proxy.cut()
    proxy.down.let_pass()
    any_board.result()
    assert any_board("nc.flush(20000)")
    with Peer(server.url) as other:
        other.publish(subject, pattern(size))
        other.publish(subject, b"end")
    any_board.until("got and got[-1][1] == b'end'")
    expected = [pattern(size)] * kept + [b"end"]
    assert [data for _, data, _, _ in any_board("got")] == expected
    assert any_board("s.received") == len(expected)


# The connection ends otherwise


@pytest.mark.parametrize("reset", [False, True])
def test_the_server_side_closes(any_board, proxy, subject, reset):
    any_board.connect(proxy.url, **_SOON)
    any_board("sub(%r) and None", subject)
    proxy.cut(reset)
    any_board.until("'reconnected' in names()")
    assert any_board.events == ["connected", "disconnected", "reconnected"]
    assert any_board("nc.stats.reconnects") == 1
    any_board("put(%r, b'x')", subject)
    any_board.until("got")


def test_published_while_disconnected_is_refused_and_counted(any_board, server, subject):
    any_board.connect(server.url, **_SOON)
    server.kill()
    any_board.until("'disconnected' in names()")
    assert any_board("nc.publish(%r, b'lost'), nc.stats.dropped", subject) == (False, 1)
    assert any_board("nc.publish(%r, bytes(5000)), nc.stats.dropped", subject) == (False, 2)
    assert any_board("nc.request(%r, handler=got.append), got", subject) == (False, [])
    assert any_board.raised("nc.request(%r)", subject).kinds[:2] == ["NotConnected", "Error"]
    assert any_board("nc.flush(50)") is False


@pytest.mark.parametrize("size", [5, 300, 2000])
@pytest.mark.parametrize("when", ["waiting", "connecting"])
def test_publishing_with_something_left_from_the_last_connection(
    any_board, hostile_server, when, size
):
    """Nothing of it may be written to a closed socket, nor to a new one before CONNECT."""
    reset, go_on = threading.Event(), threading.Event()

    def first(c):
        c.handshake()
        reset.wait(_PATIENCE_S)
        c.reset()

    def second(c):
        go_on.wait(_PATIENCE_S)
        c.handshake()
        c.hold()

    server = hostile_server(first, second)
    any_board.connect(server.url, tx_size=512, reconnect_wait_ms=50)
    any_board("for i in range(4): sure(nc.publish('left', bytes(100)))")
    reset.set()
    any_board.until("'disconnected' in names()")
    if when == "connecting":
        while len(server.connections) < 2:
            any_board("nc.poll(20)")
    for _ in range(10):
        assert any_board("nc.publish('new', bytes(%d))" % size) is False
    go_on.set()
    any_board.until("nc.connected")
    assert server.connections[1].received.startswith(b"CONNECT {")
    assert b"PUB new" not in server.connections[1].received
    assert any_board("nc.stats.dropped") == 10


def test_a_request_outstanding_when_the_connection_breaks(any_board, server, subject):
    any_board.connect(server.url, **_SOON)
    with Peer(server.url) as other:
        asked = other.subscribe(subject)
        any_board("sure(nc.request(%r, timeout_ms=60000, handler=got.append))", subject)
        any_board.start("nc.request(%r, b'', 60000)", subject)
        for _ in range(2):
            asked.get(timeout=_PATIENCE_S)
    server.kill()
    with pytest.raises(Exception) as caught:
        any_board.result()
    assert caught.value.kinds[:3] == ["NotConnected", "Error", "OSError"]
    assert any_board("got") == [None]
    server.start()
    any_board.until("nc.connected")
    with Peer(server.url) as other:
        other.respond(subject, lambda msg: b"now")
        assert any_board("nc.request(%r, b'', 20000).data", subject) == b"now"


def test_flush_and_drain_of_a_connection_that_breaks(any_board, server, proxy, subject):
    any_board.connect(proxy.url, **_SOON)
    for call in ("nc.flush(60000)", "nc.drain(60000)"):
        passed = -1
        while passed != proxy.up.passed:  # it counts a moment after the bytes have passed
            passed = proxy.up.passed
            time.sleep(0.3)
        proxy.down.swallow()  # no PONG
        any_board.start("nc.publish(%r, b'x'), " + call, subject)
        eventually(lambda: proxy.up.passed > passed)
        proxy.cut()
        assert any_board.result() == (True, False)
        proxy.down.let_pass()
        if "flush" in call:
            any_board.until("'reconnected' in names()")
    assert any_board("nc.state == 'closed', names()[-1]") == (True, "closed")


def test_drain_and_flush_give_up_in_time(any_board, server, proxy, subject):
    any_board.connect(proxy.url)
    proxy.up.swallow()
    assert any_board("nc.publish(%r, b'x'), nc.flush(50), nc.connected", subject) == (
        True,
        False,
        True,
    )
    assert any_board("nc.drain(50), nc.state == 'closed'") == (False, True)
    assert any_board.events == ["connected", "closed"]


def test_waits_grow_while_the_server_is_gone(any_board, server, subject):
    any_board.connect(server.url, reconnect_wait_ms=40, reconnect_max_wait_ms=160)
    any_board("sub(%r) and None", subject)
    server.kill()
    any_board.until("names().count('error') >= 6")
    # At least half of each wait, which doubles to its maximum; a slow machine only makes it
    # longer.
    gaps = any_board("[utime.ticks_diff(b, a) for a, b in zip(moments[2:], moments[3:])]")
    assert all(gap >= least for gap, least in zip(gaps, (20, 40, 80, 80))), gaps
    assert any_board("issubclass(type(nc.last_error), OSError)")
    server.start()
    any_board.until("nc.connected")
    assert _settled_events(any_board) == ["connected", "disconnected", "reconnected"]
    any_board("put(%r, b'x')", subject)
    any_board.until("got")


def test_it_gives_up_after_max_reconnects(any_board, server):
    any_board.connect(server.url, max_reconnects=3, reconnect_wait_ms=5, reconnect_max_wait_ms=10)
    files = any_board.files()
    server.kill()
    any_board.until("nc.state == 'closed'")
    events = any_board.events
    assert events[:2] == ["connected", "disconnected"] and events[-1] == "closed"
    assert 3 <= events.count("error") <= 4
    assert any_board.files() == files - 1
    assert any_board("nc.poll(0), nc.publish('a')") == (0, False)


def test_another_server_of_the_list_takes_over(any_board, start_nats_server, server, subject):
    spare = start_nats_server(MONITORED)
    any_board(
        "client(%r, randomize=False, **%r); nc.connect(20000)", [server.url, spare.url], _SOON
    )
    any_board("sub(%r) and None", subject)
    server.kill()
    any_board.until("'reconnected' in names()")
    with Peer(spare.url) as other:
        assert any_board("nc.flush(20000)")
        other.publish(subject, b"x")
        any_board.until("got")
    spare.kill()
    server.start()
    any_board.until("nc.stats.reconnects == 2")
    assert _settled_events(any_board) == ["connected"] + ["disconnected", "reconnected"] * 2


def test_connecting_goes_on_to_the_next_server(any_board, server):
    nobody = "nats://127.0.0.1:%d" % free_port()
    any_board("client(%r, randomize=False); nc.connect(20000)", [nobody, server.url])
    assert any_board.events == ["error", "connected"]


def test_a_slow_consumer_is_cut_and_comes_back(board, start_nats_server, subject):
    server = start_nats_server('max_payload: 65536\nmax_pending: 100000\nwrite_deadline: "1s"\n')
    board.connect(server.url, **_SOON)
    board("sub(%r) and None", subject + ".flood")
    board("sub(%r) and None", subject)
    with Peer(server.url) as other:
        # More than any socket buffers hold, while the board is busy elsewhere.
        while "Slow Consumer" not in server.log:
            for _ in range(64):
                other.run(other.nc.publish(subject + ".flood", bytes(65536)))
            other.flush()
        board.until("'reconnected' in names()")
        assert [e for e in board.events if e in ("connected", "disconnected", "reconnected")] == [
            "connected",
            "disconnected",
            "reconnected",
        ]
        assert board("nc.flush(20000)")
        other.publish(subject, b"back")
        board.until("got")
        assert board("got") == [(subject, b"back", None, None)]


# Half open


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_bytes_that_vanish_are_found_by_pings(any_board, proxy, subject, direction):
    any_board.connect(proxy.url, **_SHORT_PINGS)
    any_board("sub(%r) and None", subject)
    ways = [proxy.up, proxy.down] if direction == "both" else [getattr(proxy, direction)]
    for way in ways:
        way.swallow()
    any_board.until("'disconnected' in names()")
    assert any_board("events[1][1][0]") == "Timeout"
    for way in ways:
        way.let_pass()
    any_board.until("'reconnected' in names()")
    any_board("put(%r, b'x')", subject)
    any_board.until("got")


def test_bytes_that_vanish_are_found_while_publishing(any_board, proxy, subject):
    any_board.connect(proxy.url, **_SHORT_PINGS)
    proxy.up.swallow()
    any_board("until(lambda: not nc.publish(%r, b'x') or 'disconnected' in names())", subject)
    any_board.until("'disconnected' in names()")
    assert any_board("events[1][1][0]") == "Timeout"


def test_a_quiet_connection_is_kept_up_by_pings(any_board, server):
    """For longer than without a PONG; each has a second to come, for machines may be slow."""
    any_board.connect(server.url, ping_interval_ms=40, max_pings_out=25)
    _poll_for(any_board, 1500)
    assert any_board("nc.flush(20000)")
    assert any_board.events == ["connected"]


def test_the_servers_pings_are_answered(any_board, start_nats_server):
    """For longer than it bears to get no answer; each has a second to come, for machines may be
    slow.
    """
    server = start_nats_server('ping_interval: "100ms"\nping_max: 10\n')
    any_board.connect(server.url)
    _poll_for(any_board, 1700)
    assert any_board.events == ["connected"]
    assert any_board("nc.connected and nc.flush(20000)")


def _poll_for(board, ms):
    """Let the board poll for so long, at least."""
    board("end = utime.ticks_add(utime.ticks_ms(), %d)" % ms)
    board.until("utime.ticks_diff(utime.ticks_ms(), end) > 0")


def test_an_application_that_pauses_for_longer_than_the_server_waits(
    any_board, start_nats_server, subject
):
    """Five minutes, in proportion: the server has asked twice, said why it goes, and gone."""
    server = start_nats_server(MONITORED + 'ping_interval: "300ms"\nping_max: 2\n')
    any_board.connect(server.url, name="paused", **_SOON)
    any_board("sub(%r) and None", subject)
    eventually(lambda: connection(server, "paused") is None, "the server does not mind")
    any_board("sure(nc.publish(%r, b'queued in the dark'))", subject)
    any_board.until("'reconnected' in names()")
    name, text = any_board("[detail for name, detail in events if name == 'disconnected'][0]")
    assert name == "ServerError" and "Stale Connection" in text
    any_board("put(%r, b'x')", subject)
    any_board.until("got and got[-1][1] == b'x'")


@pytest.mark.parametrize("last", ["nc.drain(30000)", "nc.flush(30000)"])
def test_a_board_that_publishes_and_falls_asleep_has_lost_nothing(
    start_board, server, proxy, subject, last
):
    """Deep sleep: from one instant to the next the board is not there any more,
    nor its network.
    """
    with Peer(server.url) as other:
        messages = other.subscribe(subject)
        proxy.up.delay = proxy.down.delay = 0.02
        for turn in range(3):
            board = start_board()
            board.connect(proxy.url)
            board("for i in range(30): put(%r, '%d %%d' %% i)" % (subject, turn))
            assert board(last)
            board.kill()
            proxy.cut(reset=True)
            got = [messages.get(timeout=_PATIENCE_S).data for _ in range(30)]
            assert got == [b"%d %d" % (turn, i) for i in range(30)]
        assert messages.empty()


def test_a_frozen_server(any_board, server, subject):
    any_board.connect(server.url, **_SHORT_PINGS)
    any_board("sub(%r) and None", subject)
    server.signal(signal.SIGSTOP)
    any_board.until("'disconnected' in names()")
    assert any_board("events[1][1][0]") == "Timeout"
    server.signal(signal.SIGCONT)
    any_board.until("'reconnected' in names()")
    any_board("put(%r, b'x')", subject)
    any_board.until("got")


def test_a_server_that_takes_no_more_of_a_large_message(start_board, server, proxy, subject):
    board = start_board(heapsize="3M")
    board.connect(proxy.url, **dict(_SOON, connect_timeout_ms=1000))
    board("large = pattern(%d)" % _MEGABYTE)
    proxy.up.hold()
    # The system's own buffers take some of it, or a few megabytes.
    board("until(lambda: not nc.publish(%r, large))", subject)
    board.until("'disconnected' in names()")
    assert board("events[1][1][0]") == "Timeout"
    proxy.up.let_pass()
    board.until("'reconnected' in names()")


# Connecting fails


def _fails_clearly(board, url, connect_timeout_ms=300):
    """The error of a connect that must fail and leave nothing open."""
    board("client(%r, **%r)", url, dict(_SOON, connect_timeout_ms=connect_timeout_ms))
    files = board.files()
    error = board.raised("nc.connect()")
    assert board.files() == files
    assert "OSError" in error.kinds and error.text
    assert board("nc.state == 'disconnected', nc.connected") == (True, False)
    assert board("str(nc.last_error)") == error.text
    return error


def test_refused(any_board):
    error = _fails_clearly(any_board, "nats://127.0.0.1:%d" % free_port())
    assert error.kinds[:2] == ["NotConnected", "Error"]


# Longer than a name may be, so that the resolver asks nobody.
_NO_NAME = ".".join(["no-such-host"] * 30)


def test_a_name_that_does_not_resolve(any_board):
    error = _fails_clearly(any_board, "nats://%s:4222" % _NO_NAME)
    assert "Error" in error.kinds
    assert _NO_NAME in error.text, "which name it was"


def test_a_name_that_does_not_resolve_is_tried_again(any_board, server):
    any_board("client(%r, **%r)", "nats://%s:4222" % _NO_NAME, _SOON)
    any_board("nc.connect(wait=False)")
    any_board.until("names().count('error') == 3")
    assert set(any_board.events) == {"error"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_names_of_this_machine(any_board, server, host):
    any_board.connect("nats://%s:%d" % (host, server.port))
    assert any_board.events == ["connected"]


def test_an_ipv6_address(any_board, server):
    """Through a listener of its own that forwards to the server's IPv4 one."""
    with Proxy(server.port, host="::1") as proxy:
        any_board.connect("nats://[::1]:%d" % proxy.port)
        assert any_board.events == ["connected"]


def test_a_black_hole(any_board):
    """A listener whose backlog is full: the system answers no further SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        while True:
            s = socket.socket()
            s.settimeout(0.3)
            fillers.append(s)
            try:
                s.connect(listener.getsockname())
            except TimeoutError:
                break
        try:
            error = _fails_clearly(any_board, "nats://127.0.0.1:%d" % listener.getsockname()[1])
            assert error.kinds[0] == "Timeout"
        finally:
            for s in fillers:
                s.close()


def test_a_server_that_never_sends_info(any_board, hostile_server, subject):
    silent = hostile_server(
        lambda c: c.hold(), lambda c: c.hold(), lambda c: (c.handshake(), c.hold())
    )
    error = _fails_clearly(any_board, silent.url, 1500)  # in which the third one is to answer
    assert error.kinds[0] == "Timeout"
    any_board("nc.connect(wait=False)")
    any_board.until("nc.connected")
    assert any_board.events[-2:] == ["error", "connected"] and len(silent.connections) == 3


def test_a_server_that_never_answers_the_first_ping(any_board, hostile_server):
    server = hostile_server(lambda c: (c.send(b'INFO {"max_payload":100}\r\n'), c.hold()))
    assert _fails_clearly(any_board, server.url).kinds[0] == "Timeout"


def test_a_server_that_closes_at_once(any_board, hostile_server):
    server = hostile_server(lambda c: None)
    assert _fails_clearly(any_board, server.url).kinds[:2] == ["NotConnected", "Error"]


def test_something_that_is_no_nats_server(any_board, hostile_server):
    server = hostile_server(lambda c: (c.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), c.hold()))
    assert _fails_clearly(any_board, server.url).kinds[:2] == ["ProtocolError", "Error"]


def test_polling_until_the_server_is_there(any_board, start_nats_server):
    port = free_port()
    any_board("client(%r, **%r); nc.connect(wait=False)", "nats://127.0.0.1:%d" % port, _SOON)
    any_board.until("'error' in names()")
    start_nats_server(port=port)
    any_board.until("nc.connected")
    assert any_board.events[-1] == "connected"
    assert any_board("nc.stats.reconnects") == 0


def test_a_client_can_connect_again_after_a_failure(any_board, server, subject):
    server.kill()
    any_board("client(%r)", server.url)
    any_board("nc.subscribe(%r, keep) and None", subject)
    assert "OSError" in any_board.raised("nc.connect()").kinds
    server.start()
    any_board("nc.connect(20000)")
    any_board("put(%r, b'x')", subject)
    any_board.until("got")


def test_a_client_can_connect_again_after_close(any_board, server, subject):
    any_board.connect(server.url)
    any_board("sub(%r) and None", subject)
    any_board("nc.close(); nc.connect(20000)")
    any_board("put(%r, b'x')", subject)
    any_board.until("got")
    assert any_board.events == ["connected", "closed", "connected"]
