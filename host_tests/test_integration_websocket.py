"""WebSocket: nats-server's listener, with and without TLS, behind a reverse proxy, and over lines
with faults.
"""

import contextlib
import pathlib
import random
import subprocess

import pytest

from support.certificates import Authority, tls_config
from support.live import MONITORED, any_board, board, connection, pattern, start_board, subject
from support.nats_server import NatsServer
from support.paths import NODE, needed
from support.peer import Peer
from support.ports import free_port
from support.proxy import Proxy

__all__ = ["any_board", "board", "start_board", "subject"]  # fixtures

_QUICK = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100, "connect_timeout_ms": 20000}


class WebSocketServer(NatsServer):
    """With a WebSocket listener: `ws`, and with an identity `wss`, its URL."""

    def __init__(self, identity=None, config=""):
        port = free_port()
        how = tls_config(identity) if identity else "no_tls: true\n"
        block = 'websocket {\n  listen: "127.0.0.1:%d"\n  %s}\n' % (port, how)
        super().__init__(MONITORED + block + config)
        self.ws_port = port
        self.ws = "ws://127.0.0.1:%d" % port
        self.wss = "wss://localhost:%d" % port


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server():
    with WebSocketServer() as server:
        yield server


@pytest.fixture(scope="module")
def secure_server(authority):
    with WebSocketServer(authority.issue("localhost", "127.0.0.1")) as server:
        yield server


@pytest.fixture
def reverse_proxy():
    """Starts the proxy in front of a URL's server; its own URL, without the path."""
    with contextlib.ExitStack() as stack:

        def start(url):
            script = pathlib.Path(__file__).with_name("support") / "reverse_proxy.mjs"
            modules = needed(NODE.with_name("node_modules"))
            command = [needed(NODE), script, modules, url.replace("ws", "http", 1)]
            process = subprocess.Popen(
                list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.callback(process.stderr.close)
            stack.callback(process.stdout.close)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return "ws://127.0.0.1:%d" % int(process.stdout.readline())

        yield start


def _connect(board, url, **options):
    board("client(%r, **%r)", url, dict(_QUICK, **options))
    board("nc.connect(20000)")


def _echo(board, subject):
    board("sub(%r) and None", subject)
    board("put(%r, b'21.53')", subject)
    board.until("got")
    assert board("got[0][:2]") == (subject, b"21.53")


def _with_tls(board, authority):
    board("from unats.tls import Tls")
    board("secure = Tls(ca=%r)", pathlib.Path(authority.der).read_bytes())


@pytest.mark.parametrize("secure", [False, True])
def test_all_that_goes_over_tcp_goes_over_it(
    start_board, server, secure_server, authority, subject, secure
):
    for interpreter in ("micropython", "cpython"):
        board = start_board(interpreter, heapsize="4M")
        if secure:
            _with_tls(board, authority)
            board("client(%r, tls=secure, name='b', **%r)", secure_server.wss, _QUICK)
            board("nc.connect(20000)")
        else:
            _connect(board, server.ws, name="b")
        used = secure_server if secure else server
        assert connection(used, "b")["kind"] == "Client"
        assert connection(used, "b")["type"] == "websocket"
        with Peer(used.url) as peer:
            messages = peer.subscribe(subject + ".up")
            board("sub(%r) and None", subject + ".down")
            for size in (0, 1, 125, 126, 127, 500, 511, 512, 513, 900):
                data = pattern(size)
                peer.publish(subject + ".down", data)
                board.until("got")
                assert board("got.pop()[1]") == data
                board("put(%r, %r) or nc.flush(20000)", subject + ".up", data)
                assert messages.get(timeout=30).data == data
            board("large = bytes(range(256)) * 400")
            board("put(%r, large) or nc.flush(20000)", subject + ".up")
            assert messages.get(timeout=30).data == bytes(range(256)) * 400
            board("parts = []")
            board(
                "nc.subscribe(%r, lambda msg: parts.append(msg.data), chunked=True) and None",
                subject + ".large",
            )
            assert board("nc.flush(20000)")
            peer.publish(subject + ".large", bytes(range(256)) * 400)
            board.until("sum(map(len, parts)) == 102400")
            assert board("b''.join(parts) == large")
            board("nc.subscribe(%r, lambda m: m.respond(m.data)) and None", subject + ".echo")
            assert (
                board("nc.request(%r, b'hi', headers={'A': 'b'}).data", subject + ".echo") == b"hi"
            )
        board("nc.drain()")
        board.stop()


def test_a_user_in_the_url(any_board):
    config = 'authorization { user: "ann", password: "s3cret" }\n'
    with WebSocketServer(config=config) as server:
        _connect(any_board, server.ws.replace("://", "://ann:s3cret@"))
        _echo(any_board, "a")
        any_board("client(%r)", server.ws.replace("://", "://ann:wrong@"))
        error = any_board.raised("nc.connect(5000)")
        assert error.kinds[0] == "AuthError" and "wrong" not in error.text


def test_behind_a_reverse_proxy(any_board, server, reverse_proxy, subject):
    url = reverse_proxy(server.ws)
    any_board("from unats.websocket import WebSocket")
    any_board("client(%r, transport=WebSocket(headers={'X-Key': 'open'}))", url + "/nats?a=b")
    any_board("nc.connect(20000)")
    _echo(any_board, subject)
    any_board("nc.close()")
    for path, key, words in (
        ("/", "open", ("HTTP 404", "path")),
        ("/nats", "s3cret", ("HTTP 401", "headers=")),
    ):
        any_board("client(%r, transport=WebSocket(headers={'X-Key': %r}))", url + path, key)
        error = any_board.raised("nc.connect(5000)")
        for word in words:
            assert word in error.text
        assert "s3cret" not in error.text + repr(any_board("events"))


def test_behind_a_reverse_proxy_with_no_server(any_board, reverse_proxy):
    url = reverse_proxy("ws://127.0.0.1:%d" % free_port())
    any_board("from unats.websocket import WebSocket")
    any_board("client(%r, transport=WebSocket(headers={'X-Key': 'open'}))", url + "/nats")
    error = any_board.raised("nc.connect(5000)")
    assert "HTTP 502" in error.text and "proxy" in error.text


def test_the_wrong_port(any_board, server, secure_server, authority):
    """Each kind of server, spoken to as if it were another."""
    _with_tls(any_board, authority)
    for url, words in (
        (server.url.replace("nats://", "ws://"), ("no HTTP", "closed")),
        (server.ws.replace("ws://", "nats://"), ("",)),
        (secure_server.wss.replace("wss://", "ws://"), ("no HTTP", "closed", "HTTP 400")),
        (server.ws.replace("ws://127.0.0.1", "wss://localhost"), ("TLS",)),
    ):
        tls = ", tls=secure" if url.startswith("wss") else ""
        any_board("client(%%r, connect_timeout_ms=1000%s)" % tls, url)
        error = any_board.raised("nc.connect(5000)")
        assert any(word in error.text for word in words), error.text


def test_it_comes_back(any_board, subject):
    with WebSocketServer() as server:
        _connect(any_board, server.ws)
        _echo(any_board, subject)
        for _ in range(3):
            server.kill()
            any_board.until("not nc.connected")
            server.start()
            any_board.until("nc.connected")
            any_board("got.clear()")
            any_board("put(%r, b'again')", subject)
            any_board.until("got")
        assert any_board("nc.stats.reconnects") == 3


def test_a_server_that_leaves_says_why(any_board):
    with WebSocketServer() as server:
        _connect(any_board, server.ws)
        server.stop()
        any_board.until("not nc.connected")
        assert "closed" in any_board("str(nc.last_error)")


def test_lines_with_faults(start_board, server, subject, seed):
    """In pieces of a few bytes, cut anywhere, and silent: what arrives is whole and in order."""
    chance = random.Random(seed)
    for interpreter in ("micropython", "cpython"):
        board = start_board(interpreter)
        with Proxy(server.ws_port) as proxy:
            proxy.up.fragment = proxy.down.fragment = chance.randrange(1, 40)
            url = "ws://127.0.0.1:%d" % proxy.port
            _connect(board, url, ping_interval_ms=200, max_pings_out=2)
            board("nc.subscribe(%r, lambda msg: got.append(msg.data)) and None", subject)
            assert board("nc.flush(20000)")
            n = 0
            for _ in range(8):
                for _ in range(chance.randrange(1, 6)):
                    board("put(%r, b'%%d' %% %d)" % (subject, n))
                    n += 1
                fault = chance.choice(["cut", "swallow", "hold", "none"])
                if fault == "cut":
                    proxy.cut()
                elif fault != "none":
                    getattr(chance.choice([proxy.up, proxy.down]), fault)()
                    board.until("not nc.connected")
                    proxy.up.let_pass()
                    proxy.down.let_pass()
                board.until("nc.connected and nc.flush(1000)")
            found = [int(data) for data in board("list(got)")]
            assert found == sorted(set(found)) and set(found) <= set(range(n))
        board.stop()


def test_nothing_is_left_open(any_board, server):
    _connect(any_board, server.ws)
    any_board("nc.close()")
    files = any_board.files()
    for _ in range(3):
        any_board("nc.connect(20000)")
        any_board("nc.close()")
    assert any_board.files() == files
