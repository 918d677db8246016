"""A board on a serial line: the transport and the bridge, and what lines and people do to them."""

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
from nats.js.api import StreamConfig

from support.certificates import Authority, tls_config
from support.live import (
    MONITORED,
    connection,
    eventually,
    pattern,
    start_board,
    subject,
)  # fmt: skip
from support.nats_server import NatsServer
from support.paths import ROOT
from support.peer import Peer
from support.ports import free_port
from support.serial_line import Bridge, SerialLine
from tools import bridge as bridge_tool

__all__ = ["start_board", "subject"]  # fixtures

_QUICK = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100, "connect_timeout_ms": 20000}


@pytest.fixture(scope="module")
def server():
    with NatsServer(MONITORED, jetstream=True) as server:
        yield server


@pytest.fixture
def line(seed):
    with SerialLine(seed) as line:
        yield line


@pytest.fixture(params=["micropython", "cpython"])
def any_board(start_board, request):
    return start_board(request.param, heapsize="2M")


@pytest.fixture
def board(start_board):
    """One of either kind, where it is the line, or the bridge, that is looked at."""
    return start_board("micropython", heapsize="2M")


@pytest.fixture
def bridge(line, server):
    with Bridge([line], server.url) as bridge:
        yield bridge


def _client(board, line, **options):
    board("from unats.uart import Uart")
    board("port = serial(%r)", line.board)
    board("client('nats://bridge', transport=Uart(port), **%r)", dict(_QUICK, **options))


def _connect(board, line, **options):
    _client(board, line, **options)
    board("nc.connect(20000)")


def test_all_that_goes_over_tcp_goes_over_it(any_board, line, bridge, server, subject):
    board = any_board
    _connect(board, line, name="b")
    assert connection(server, "b")["kind"] == "Client"
    with Peer(server.url) as peer:
        messages = peer.subscribe(subject + ".up")
        board("sub(%r) and None", subject + ".down")
        for size in (0, 1, 100, 127, 128, 129, 500, 900):
            data = pattern(size)
            peer.publish(subject + ".down", data)
            board.until("got")
            assert board("got.pop()[1]") == data
            board("put(%r, %r) or nc.flush(20000)", subject + ".up", data)
            assert messages.get(timeout=30).data == data
        board("put(%r, pattern(20000)) or nc.flush(20000)", subject + ".up")
        assert messages.get(timeout=30).data == pattern(20000)
        board("nc.subscribe(%r, stream, chunked=True) and None", subject + ".large")
        assert board("nc.flush(20000)")
        peer.publish(subject + ".large", pattern(20000))
        board.until("streams and streams[-1][2]")
        assert board("streams.pop()[1]") == 20000
        board("nc.subscribe(%r, lambda m: m.respond(m.data)) and None", subject + ".echo")
        assert board("nc.request(%r, b'hi').data", subject + ".echo") == b"hi"
    assert board("nc.drain()")
    bridge.says("the board has closed it")
    eventually(lambda: connection(server, "b") is None)


def test_under_asyncio(any_board, line, bridge):
    any_board("from unats.uart import Uart")
    any_board("from unats import aio")
    any_board("import asyncio")
    any_board("port = serial(%r)", line.board)
    any_board(
        "async def main():\n"
        "    async with aio.Client('nats://bridge', transport=Uart(port)) as nc:\n"
        "        each = nc.subscribe('a')\n"
        "        for n in range(20):\n"
        "            await nc.publish('a', b'%d' % n)\n"
        "            async for msg in each:\n"
        "                got.append(msg.data)\n"
        "                break\n"
    )
    any_board("asyncio.run(main())")
    assert any_board("list(got)") == [b"%d" % n for n in range(20)]


def test_a_burst_for_a_board_that_is_busy(board, line, bridge, server, subject):
    """More than a port keeps: what is ahead of the board stays within its buffer."""
    _connect(board, line)
    board("sub(%r) and None", subject)
    with Peer(server.url) as peer:
        before = line.passed["board"]
        for n in range(100):
            peer.publish(subject, b"%d" % n * 20)
        peer.flush()
        board("utime.sleep_ms(3000)")  # it reads nothing meanwhile
        assert line.passed["board"] - before <= 256
        board.until("len(got) == 100")
    assert board("[m[1] for m in got]") == [b"%d" % n * 20 for n in range(100)]
    assert board("nc.stats.reconnects") == 0


def test_tls_is_the_bridges(board, line):
    board("from unats.tls import Tls")
    board("from unats.uart import Uart")
    board("port = serial(%r)", line.board)
    error = board.raised("client('tls://bridge', transport=Uart(port), tls=Tls(ca='/no.der'))")
    assert error.kinds[0] == "ValueError"


def test_several_boards_at_once(start_board, server):
    with SerialLine() as one, SerialLine() as two, Bridge([one, two], server.url):
        boards = [start_board("micropython"), start_board("cpython")]
        for number, (board, line) in enumerate(zip(boards, (one, two))):
            _connect(board, line, name="b%d" % number)
            board("sub('to.%d') and None" % number)
        for number, board in enumerate(boards):
            board("put('to.%d', b'from %d') or nc.flush(20000)" % (1 - number, number))
        for number, board in enumerate(boards):
            board.until("got")
            assert board("got[0][1]") == b"from %d" % (1 - number)


def test_a_board_that_is_reset(start_board, line, bridge, server):
    for interpreter in ("micropython", "cpython"):
        board = start_board(interpreter)
        _connect(board, line, name="b")
        bridge.says("connected to nats://")
        board.kill()
        board = start_board(interpreter)
        _connect(board, line, name="b")
        bridge.says("the board was reset")
        bridge.says("connected to nats://")
        eventually(lambda: connection(server, "b"), "the old connection stays")
        board("sub('a') and put('a', b'1')")
        board.until("got")
        board("nc.close()")
        bridge.says("the board has closed it")


def test_what_a_board_prints_is_shown_and_does_no_harm(board, line, bridge):
    _connect(board, line)
    board("say = lambda text: port.write(text) and None")
    board("say(b'Traceback: ~}\\x1b[1m and more\\r\\n')")
    bridge.says("board: Traceback: ")
    board("sub('a') and put('a', b'1')")
    board.until("got")
    assert board("nc.stats.reconnects") == 0


@pytest.mark.parametrize(
    "way, interpreter",
    [("lost", "micropython"), ("altered", "cpython"), ("noise", "micropython")],
)
def test_never_a_wrong_message(start_board, line, bridge, server, subject, way, interpreter):
    """Whatever the line does: what arrives is what was sent, in its order, each at most once; and
    it heals.
    """
    board = start_board(interpreter, heapsize="2M")
    _connect(board, line, ping_interval_ms=300)
    board("nc.subscribe(%r, lambda msg: got.append(msg.data)) and None", subject)
    line.chances = {way: 0.0005}
    board(
        "for n in range(150):\n"
        "    data = b'%%d ' %% n * 10\n"
        "    until(lambda: nc.publish(%r, data))\n"
        "    nc.poll(0)\n",
        subject,
    )
    line.chances = {}
    board.until("nc.connected and nc.flush(1000)")
    found = board("list(got)")
    numbers = [int(data.split()[0]) for data in found]
    assert found == [b"%d " % n * 10 for n in numbers]
    assert numbers == sorted(set(numbers))
    board("until(lambda: nc.connected and nc.publish(%r, b'end') and nc.flush(1000))", subject)
    assert board("got[-1]") == b"end"
    assert line.hurt


@pytest.mark.parametrize(
    "interpreter", ["micropython", pytest.param("cpython", marks=pytest.mark.soak)]
)
def test_readings_of_an_outbox_come_once_and_in_order(
    start_board, line, bridge, server, tmp_path, interpreter
):
    with Peer(server.url) as peer:
        js = peer.nc.jetstream()
        peer.run(js.add_stream(StreamConfig(name="SERIAL", subjects=["serial.>"])))
        try:
            board = start_board(interpreter, heapsize="1M")
            _client(board, line, ping_interval_ms=300)
            board("nc.connect(wait=False)")
            board("from unats.outbox import Outbox")
            folder = str(tmp_path / interpreter)
            board("outbox = Outbox(nc, %r, path=%r, ack_ms=500)", interpreter, folder)
            line.chances = {"lost": 0.0004, "altered": 0.0004, "noise": 0.0002}
            for start in range(0, 120, 40):
                board(
                    "for n in range(%d, %d):\n"
                    "    outbox.put('serial.%s', b'%%d' %% n)\n"
                    "    nc.poll(5)\n"
                    "    outbox.poll()\n" % (start, start + 40, interpreter)
                )
                bridge.kill()
                bridge.start()
            board("outbox.flush(5000)")
            line.chances = {}
            assert board("outbox.flush(30000)")
            info = peer.run(js.stream_info("SERIAL", subjects_filter="serial." + interpreter))
            assert info.state.subjects == {"serial." + interpreter: 120}
            messages = peer.run(js.pull_subscribe("serial." + interpreter, stream="SERIAL"))
            found = [m.data for m in peer.run(messages.fetch(120, timeout=30))]
            assert found == [b"%d" % n for n in range(120)]
            board.stop()
        finally:
            peer.run(js.delete_stream("SERIAL"))


def test_a_bridge_that_goes_away(board, line, server):
    with Bridge([line], server.url) as bridge:
        _connect(board, line)
        bridge.kill()
        board.until("not nc.connected")
        assert "the bridge does not answer" in board("str(nc.last_error)")
        bridge.start()
        board.until("nc.connected")


def test_a_bridge_that_was_started_again_knows_of_no_connection(board, line, server):
    with Bridge([line], server.url) as bridge:
        _connect(board, line)
        bridge.kill()
        bridge.start()
        bridge.says("open")
        board.until("nc.stats.reconnects == 1 and nc.connected")
        assert any("no such connection" in str(e) for e in board("events"))


def test_a_port_that_goes_away(board, line, bridge):
    _connect(board, line)
    line.unplug()
    bridge.says("the port has gone")
    bridge.says("not there, waiting")
    line.plug()
    board.until("nc.stats.reconnects == 1 and nc.connected")


def test_a_server_that_is_away_is_named(board, line):
    with NatsServer() as server, Bridge([line], server.url) as bridge:
        server.kill()
        _client(board, line)
        error = board.raised("nc.connect(20000)")
        assert server.url in error.text and "refused" in error.text.lower()
        server.start()
        board("nc.connect(20000)")
        server.kill()
        board.until("not nc.connected")
        bridge.says("the server has closed the connection")
        server.start()
        board.until("nc.connected")


def test_the_first_server_that_answers(board, line, server):
    urls = "nats://127.0.0.1:%d,%s" % (free_port(), server.url)
    with Bridge([line], urls) as bridge:
        _connect(board, line)
        assert server.url in bridge.says("connected to")


def test_the_bridge_speaks_tls(board, line, tmp_path):
    authority = Authority(tmp_path)
    config = tls_config(authority.issue("localhost", "127.0.0.1"))
    config += 'authorization { user: "ann", password: "s3cret" }\n'
    with NatsServer(config) as server:
        url = "tls://localhost:%d" % server.port
        with Bridge([line], url, "--ca", authority.pem) as bridge:
            _connect(board, line, user="ann", password="s3cret")
            board("sub('a') and put('a', pattern(900))")
            board.until("got")
            board("nc.close()")
            bridge.says("the board has closed it")
            assert "s3cret" not in "".join(bridge.said)
        with Bridge([line], url) as bridge:  # nobody it knows has signed for that server
            assert "unable to get" in board.raised("nc.connect(20000)").text.lower()


class Talker:
    """A board of frames alone."""

    def __init__(self, line):
        self._fd = os.open(line.board, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._came = b""

    def close(self):
        os.close(self._fd)

    def say(self, *what):
        os.write(self._fd, bridge_tool.frame(*what))

    def hears(self, kind):
        """Wait for a frame of that kind; (id, seq, ack, payload)."""

        def found():
            with contextlib.suppress(BlockingIOError):
                self._came += os.read(self._fd, 4096)
            while b"~" in self._came:
                part, _, self._came = self._came.partition(b"~")
                frame = bridge_tool.unframe(part)
                if frame and frame[0] == kind:
                    return frame[1:]

        return eventually(found)


@pytest.fixture
def talker(line, bridge):
    talker = Talker(line)
    bridge.says("waiting for the board")
    yield talker
    talker.close()


_ROOM = bytes([bridge_tool.VERSION, 0, 144])


def test_a_board_that_asks_again_while_the_answer_is_on_its_way(talker, line, bridge):
    talker.say(bridge_tool.OPEN, 7, 0, 0, _ROOM)
    talker.hears(bridge_tool.DATA)  # INFO
    talker.say(bridge_tool.OPEN, 7, 0, 0, _ROOM)
    assert talker.hears(bridge_tool.OPEN)[0] == 7
    talker.say(bridge_tool.ACK, 7, 0, 255)
    assert b"lost" in talker.hears(bridge_tool.CLOSE)[3]
    talker.say(bridge_tool.DATA, 7, 0, 0, b"PING\r\n")
    assert b"no such connection" in talker.hears(bridge_tool.CLOSE)[3]
    assert "".join(bridge.said).count("connected to") == 1


def test_a_board_of_another_version_is_told(talker, line, bridge):
    for payload in (b"", b"\2\0\x90", b"\1\0"):
        talker.say(bridge_tool.OPEN, 9, 0, 0, payload)
        assert b"version" in talker.hears(bridge_tool.CLOSE)[3]


def test_a_server_that_is_none(board, line, tmp_path):
    with Bridge([line], "nats://127.0.0.1:%d" % free_port()):
        _client(board, line, max_reconnects=1)
        assert "127.0.0.1" in board.raised("nc.connect(20000)").text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--server", "http://host", "/dev/null"), "nats://host:4222"),
        (("--server", "nats://ann:s3cret@host", "/dev/null"), "boards log in themselves"),
        (("--server", "nats://host:x", "/dev/null"), "nats://host:4222"),
        (("--server", "tls://host", "--ca", "nowhere", "/dev/null"), "CA: nowhere"),
    ],
)
def test_misuse(arguments, words):
    done = subprocess.run(
        [sys.executable, "-m", "tools.bridge", *arguments], cwd=ROOT, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and words in done.stderr and "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_it_ends_in_order(line, server):
    with Bridge([line], server.url) as bridge:
        bridge.says("waiting for the board")
    assert bridge.stop() == 0
    assert pathlib.Path(line.computer).exists()
