"""JetStream and the outbox with a real server, and the official client to look at what is stored.

The tests with kills come from a number that a failing one prints; UNATS_SEED=number repeats them.
"""

import os
import queue
import random
import subprocess
import threading
import time

import pytest
from nats.js.api import StreamConfig

from support.interpreters import unix_command, unix_environment
from support.jetstream import SOON, equipped, other, server  # noqa: F401  fixtures too
from support.live import BOARD_HEAP, any_board, board, eventually, start_board  # noqa: F401  fixtures too
from support.paths import PROGRAMS
from support.peer import Peer
from support.proxy import Proxy

_PATIENCE_S = 60

# Defines js, and readings(n, first=0), which lets the outbox take n of them.
_PRELUDE = """
gc.collect()  # compiling takes some room
import unats.outbox.jetstream_sender
gc.collect()
import unats.outbox.flashlog
gc.collect()
from unats.jetstream import JetStream
from unats.outbox import Outbox
gc.collect()
js = JetStream(nc)
answers = []
def answered(ack, error):
    answers.append((ack and ack.seq, error and type(error).__name__))
def readings(n, first=0):
    for i in range(first, first + n):
        sure(outbox.put("readings.board.%d" % (i % 3), "%d" % i))
def turn():
    outbox.poll()
    return len(outbox) == 0
def make(**options):
    global outbox
    outbox = Outbox(nc, "board", **options)
"""


class Stream:
    """A stream on the server, as the official client sees it."""

    def __init__(self, peer, name="READINGS", subjects=("readings.>",), **config):
        self._peer = peer
        self.name = name
        self.js = peer.nc.jetstream()
        peer.run(self.js.add_stream(StreamConfig(name=name, subjects=list(subjects), **config)))

    def messages(self):
        """All that it holds: (subject, payload, headers)."""
        info = self._peer.run(self.js.stream_info(self.name))
        found = []
        for seq in range(info.state.first_seq, info.state.last_seq + 1):
            message = self._peer.run(self.js.get_msg(self.name, seq))
            found.append((message.subject, message.data, message.headers))
        return found

    def payloads(self):
        return [data.decode() for _, data, _ in self.messages()]

    def by_subject(self):
        """What is stored of each of the three subjects of `readings`."""
        found = {"readings.board.%d" % i: [] for i in range(3)}
        for subject, data, _ in self.messages():
            found[subject].append(data.decode())
        return list(found.values())


@pytest.fixture
def stream(other):
    return Stream(other)


@pytest.fixture
def proxy(server):
    with Proxy(server.port) as proxy:
        yield proxy


def with_jetstream(board, url, **options):
    return equipped(board, url, _PRELUDE, **options)


def numbers(n, first=0):
    return [str(i) for i in range(first, first + n)]


def sent(board):
    """Let the board poll until its outbox is empty."""
    board.until("turn()")


# Publishing


def test_publishing_waits_for_the_acknowledgement(any_board, server, stream):
    board = with_jetstream(any_board, server.url)
    board("ack = js.publish('readings.a', b'21.5', msg_id='a-1', headers={'Unit': 'C'})")
    assert board("ack.stream, ack.seq, ack.duplicate") == ("READINGS", 1, False)
    board("ack = js.publish('readings.a', b'21.5', msg_id='a-1')")
    assert board("ack.stream, ack.seq, ack.duplicate") == ("READINGS", 1, True)
    assert board("js.publish('readings.a', b'21.6').seq") == 2
    messages = stream.messages()
    assert [m[:2] for m in messages] == [("readings.a", b"21.5"), ("readings.a", b"21.6")]
    assert messages[0][2] == {"Nats-Msg-Id": "a-1", "Unit": "C"}


def test_several_outstanding(any_board, server, stream):
    board = with_jetstream(any_board, server.url)
    for i in range(20):
        board("sure(js.publish('readings.a', '%d', handler=answered))" % i)
    board.until("len(answers) == 20")
    assert board("answers") == [(i + 1, None) for i in range(20)]
    assert stream.payloads() == numbers(20)


def test_refusals_are_told_apart(any_board, server, other):
    Stream(other, max_msg_size=50)
    board = with_jetstream(any_board, server.url)
    assert "NoResponders" in board.raised("js.publish('elsewhere', b'x')").kinds
    refused = board.raised("js.publish('readings.a', bytes(60))")
    assert "Error" in refused.kinds
    assert refused.text == "message size exceeds maximum allowed (400, 10054)"
    refused = board.raised(
        "js.publish('readings.a', b'', headers={'Nats-Expected-Stream': 'OTHER'})"
    )
    assert "expected stream does not match" in refused.text
    board("js.publish('elsewhere', b'x', handler=answered)")
    board("js.publish('readings.a', bytes(60), handler=answered)")
    board.until("len(answers) == 2")
    assert sorted(board("answers")) == [(None, "JetStreamError"), (None, "NoResponders")]


def test_the_api_and_the_last_id(any_board, server, stream):
    board = with_jetstream(any_board, server.url)
    assert board("js.call('STREAM.INFO.READINGS')['config']['name']") == "READINGS"
    board("ids = []")
    for subject in ("readings.a", "readings.b", "elsewhere"):
        board("js.publish('readings.a', b'x', msg_id='a-7').seq")
        board(
            "js.last_id(%r, lambda id, e: ids.append((id, getattr(e, 'err_code', e))))" % subject
        )
        board.until("ids")
        last = b"a-7" if subject == "readings.a" else b""
        assert board("ids.pop()") == (last, 10059 if subject == "elsewhere" else None)


def test_the_last_id_of_a_stream_that_may_be_asked_directly(any_board, server, other):
    Stream(other, allow_direct=True)
    board = with_jetstream(any_board, server.url)
    board("ids = []")
    for subject in ("readings.a", "readings.b"):
        board("js.publish('readings.a', b'x', msg_id='a-7').seq")
        board(
            "js.last_id(%r, lambda id, error: ids.append((id, error)), stream='READINGS')"
            % subject
        )
        board.until("ids")
        assert board("ids.pop()") == ((b"a-7" if subject == "readings.a" else b""), None)
    board(
        "js.last_id('readings.a', lambda id, error: ids.append((id, type(error).__name__)), stream='OTHER')"  # noqa: E501
    )
    board.until("ids")
    assert board("ids.pop()") == (b"", "NoResponders")


# The outbox


def test_what_was_put_before_and_after_connecting_is_stored_in_order(any_board, server, stream):
    any_board("client(%r)" % server.url)
    any_board.start(_PRELUDE)
    any_board.result()
    any_board("make(ring=bytearray(4096))")
    any_board("readings(60)")
    any_board("nc.connect()")
    any_board("readings(60, 60)")
    sent(any_board)
    messages = stream.messages()
    assert [data.decode() for _, data, _ in messages] == numbers(120)
    assert [subject for subject, _, _ in messages] == [
        "readings.board.%d" % (i % 3) for i in range(120)
    ]
    assert len({headers["Nats-Msg-Id"] for _, _, headers in messages}) == 120
    assert any_board("outbox.stats.acked, outbox.stats.resent, outbox.stats.dropped") == (
        120,
        0,
        0,
    )


def test_without_a_stream_nothing_is_lost(board, server, other):
    with_jetstream(board, server.url)
    board("make()")
    board("readings(5)")
    board.until("turn() or outbox.last_error")
    assert board("type(outbox.last_error).__name__, len(outbox)") == ("NoResponders", 5)
    stream = Stream(other)
    sent(board)
    assert stream.by_subject() == [["0", "3"], ["1", "4"], ["2"]]


def test_a_stream_that_is_full_for_a_while(board, server, other):
    stream = Stream(other, max_msgs=3, discard="new")
    with_jetstream(board, server.url)
    board("make(window=1)")
    board("readings(6)")
    board.until("turn() or outbox.last_error")
    assert "maximum messages exceeded" in board("str(outbox.last_error)")
    config = StreamConfig(name="READINGS", subjects=["readings.>"], max_msgs=100, discard="new")
    other.run(stream.js.update_stream(config))
    sent(board)
    assert stream.by_subject() == [["0", "3"], ["1", "4"], ["2", "5"]]


def test_a_reading_that_the_stream_never_takes_does_not_block_the_others(board, server, other):
    stream = Stream(other, max_msg_size=100)
    with_jetstream(board, server.url)
    board("make()")
    board("readings(2)")
    board("outbox.put('readings.board.0', bytes(200))")
    board("readings(2, 2)")
    sent(board)
    assert stream.payloads() == numbers(4)
    assert board("outbox.stats.rejected") == 1


@pytest.mark.soak
def test_server_kills_while_readings_are_sent(board, server, stream, tmp_path):
    with_jetstream(board, server.url)
    board("make(ring=bytearray(1000), path=%r, ack_ms=1000)" % str(tmp_path / "outbox"))
    board("first = 0")
    for _ in range(5):
        board("readings(60, first)")
        board("first += 60")
        board.until("turn() or outbox.stats.acked > first - 40")
        server.kill()
        board("readings(10, first)")
        board("first += 10")
        server.start()
    sent(board)
    assert stored(server) == numbers(350)
    assert board("outbox.stats.dropped") == 0


def stored(server):
    """What the stream holds, seen by a new client of a server that was killed."""
    with Peer(server.url) as peer:
        return Stream(peer).payloads()


@pytest.mark.parametrize("window_s", [120, 0.2])
def test_lost_acknowledgements_and_a_cut_connection(board, proxy, other, window_s):
    stream = Stream(other, duplicate_window=window_s)
    with_jetstream(board, proxy.url, ping_interval_ms=200, connect_timeout_ms=1000)
    board("make(ring=bytearray(4096), ack_ms=60000, duplicate_window_ms=%d)" % (window_s * 1000))
    for i in range(4):
        board("readings(10, %d)" % (20 * i))
        sent(board)
        proxy.down.swallow()
        board("readings(10, %d)" % (20 * i + 10))
        board.until("turn() or not nc.connected")  # since there is no PONG either
        eventually(lambda: len(stream.payloads()) > 20 * i + 10)
        if window_s < 1:
            time.sleep(2 * window_s)
            board("turn()")
        proxy.down.let_pass()
        proxy.cut()
    sent(board)
    assert stream.payloads() == numbers(80)


def test_without_jetstream(any_board, start_nats_server):
    server = start_nats_server()
    with Peer(server.url) as other:
        messages = other.subscribe("readings.>")
        board = with_jetstream(any_board, server.url)
        board("make(ring=bytearray(4096), ack='none')")
        board("readings(50)")
        board("sure(outbox.flush(20000))")
        other.flush()
        got = [messages.get(timeout=_PATIENCE_S) for _ in range(50)]
        assert [m.data.decode() for m in got] == numbers(50)
        assert {m.headers for m in got} == {None}
        assert messages.empty()
        assert board("outbox.stats.acked, outbox.stats.unconfirmed") == (50, 0)


# Boards that are killed


class Killed:
    """live_outbox.py, to be killed at any moment."""

    def __init__(self, url, folder, round, count):
        words = PROGRAMS / "live_outbox.py", url, folder, round, count
        self._process = subprocess.Popen(
            unix_command(*words, heapsize=BOARD_HEAP),
            env=unix_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines = queue.Queue()
        self.said = []
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def until(self, what):
        """Return when it has said this, or has ended."""
        while what not in self.said and not self._ended:
            line = self._lines.get(timeout=_PATIENCE_S)
            self._ended = line is None
            self.said.append(line or "")

    def kill(self):
        """kill -9; return the last reading that was put and the last one that was synced."""
        assert not self._ended, self.said[-20:]
        self._process.kill()
        self.end()
        return self._last("put"), self._last("synced")

    def end(self):
        self.until(object())  # the end
        self._reader.join()
        self._process.stdout.close()
        self._process.wait()

    def _last(self, what):
        found = [int(line.split()[1]) for line in self.said if line.startswith(what + " ")]
        return found[-1] if found else 0


@pytest.fixture
def rng():
    number = int(os.environ.get("UNATS_SEED", random.SystemRandom().getrandbits(28)))
    print("UNATS_SEED=%d" % number)
    return random.Random(number)


def check_rounds(payloads, put, synced):
    """Each synced reading is there once, of the others any, all in order and nothing else."""
    found = [tuple(map(int, payload.split())) for payload in payloads]
    assert found == sorted(set(found))
    for round, (last_put, last_synced) in enumerate(zip(put, synced)):
        of_round = [n for r, n in found if r == round]
        # the process may have been killed before it could say what it had put
        assert not of_round or of_round[-1] <= last_put + 1
        assert of_round[:last_synced] == list(range(1, last_synced + 1))


@pytest.mark.soak
@pytest.mark.parametrize("window_s", [120, 0.1])
def test_boards_killed_at_any_moment(server, other, tmp_path, rng, window_s):
    stream = Stream(other, duplicate_window=window_s)
    folder = tmp_path / "outbox"
    put, synced = [], []
    for round in range(15):
        board = Killed(server.url, folder, round, 1000)
        board.until("put %d" % rng.randrange(1, 120))
        time.sleep(rng.random() * 0.01)
        last_put, last_synced = board.kill()
        put.append(last_put)
        synced.append(last_synced)
        if window_s < 1:
            time.sleep(3 * window_s)
    last = Killed(server.url, folder, len(put), 100)
    last.until("done")
    last.end()
    assert "done" in last.said, last.said[-20:]
    check_rounds(stream.payloads(), put + [100], synced + [100])
    assert sum(synced) > 200


@pytest.mark.soak
def test_boards_and_servers_killed_at_any_moment(server, stream, tmp_path, rng):
    folder = tmp_path / "outbox"
    put, synced = [], []
    for round in range(10):
        board = Killed(server.url, folder, round, 1000)
        board.until("put %d" % rng.randrange(1, 100))
        server.kill()
        board.until("put %d" % rng.randrange(100, 160))
        if rng.random() < 0.5:
            server.start()
            board.until("put %d" % rng.randrange(160, 260))
        last_put, last_synced = board.kill()
        put.append(last_put)
        synced.append(last_synced)
        if not server.running:
            server.start()
    last = Killed(server.url, folder, len(put), 100)
    last.until("done")
    last.end()
    assert "done" in last.said, last.said[-20:]
    check_rounds(stored(server), put + [100], synced + [100])
