"""TLS with a real nats-server in each of its modes, and with servers that try to get round it."""

import pathlib
import random
import socket
import ssl
import time

import pytest

from support.certificates import Authority, tls_config
from support.hostile import HostileServer
from support.live import (
    MONITORED,
    PATIENCE_S,
    any_board,
    board,
    connection,
    pattern,
    start_board,
    subject,
)
from support.nats_server import NatsServer
from support.peer import Peer
from support.ports import free_port
from support.proxy import Proxy

__all__ = ["any_board", "board", "start_board", "subject"]  # fixtures

_QUICK = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100, "connect_timeout_ms": 20000}
_PLAIN_INFO = b'INFO {"server_id":"H","version":"2.15.1","max_payload":1048576,"headers":true}\r\n'
_TLS_INFO = _PLAIN_INFO.replace(b'"headers"', b'"tls_required":true,"headers"')


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def identity(authority):
    """The server's."""
    return authority.issue("localhost", "127.0.0.1", "server.example")


@pytest.fixture(scope="module")
def server(identity):
    """A nats-server that requires TLS, shared: tests leave it as it is."""
    with NatsServer(MONITORED + tls_config(identity)) as server:
        yield server


@pytest.fixture(params=["micropython", "cpython"])
def roomy_board(request, start_board):
    """As any_board, with room for a test's own data."""
    return start_board(request.param, heapsize="4M")


@pytest.fixture
def server_context(identity):
    """For hostile servers that have the right certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.cert, identity.key)
    return context


def _url(server, host="localhost"):
    return "tls://%s:%d" % (host, server.port)


def _client(board, url, tls, **options):
    """Make the board's client; tls: the arguments of Tls, as a dict."""
    board("from unats.tls import Tls")
    board("client(%r, tls=Tls(**%r), **%r)", url, tls, dict(_QUICK, **options))


def _connect(board, url, tls, **options):
    _client(board, url, tls, **options)
    board("nc.connect(20000)")


def _refused(board, url, tls, **options):
    """The error of a connect() that must fail; nothing is left open, and the secret is nowhere."""
    _client(board, url, tls, user="ann", password="s3cret", **options)
    files = board.files()
    error = board.raised("nc.connect(20000)")
    assert board("nc.state == 'disconnected'") and board.files() == files
    assert "s3cret" not in error.text + repr(board("events"))
    return error


def _echo(board, subject):
    """A message goes to the server and comes back."""
    board("sub(%r) and None", subject)
    board("put(%r, b'21.53')", subject)
    board.until("got")
    assert board("got[0][:2]") == (subject, b"21.53")


def _plain(connection):
    """What a hostile server got in clear holds nothing of the client's."""
    for secret in (b"CONNECT", b"s3cret", b"ann", b"PUB", b"SUB"):
        assert secret not in connection.received


# Each mode of a real server


@pytest.mark.parametrize("form", ["der", "pem", "der bytes", "pem bytes", "pem text"])
def test_upgrade_after_info(any_board, server, authority, subject, form):
    path = authority.der if form.startswith("der") else authority.pem
    ca = path if form in ("der", "pem") else pathlib.Path(path).read_bytes()
    _connect(
        any_board, _url(server), {"ca": ca.decode() if form == "pem text" else ca}, name=subject
    )
    _echo(any_board, subject)
    assert connection(server, subject)["tls_version"]


def test_tls_without_the_scheme(any_board, server, authority, subject):
    _connect(any_board, "localhost:%d" % server.port, {"ca": authority.der}, name=subject)
    assert connection(server, subject)["tls_version"]


def test_an_address_in_the_url_is_verified(any_board, server, authority, subject):
    _connect(any_board, _url(server, "127.0.0.1"), {"ca": authority.der})
    _echo(any_board, subject)


def test_an_sslcontext_of_the_applications_own(any_board, server, authority, subject):
    any_board("import tls; context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)")
    any_board("context.load_verify_locations(open(%r, 'rb').read())", authority.der)
    any_board("connect(%r, tls=context)", _url(server))
    _echo(any_board, subject)


def test_handshake_first(any_board, start_nats_server, identity, authority, subject):
    server = start_nats_server(tls_config(identity, handshake_first=True))
    _connect(any_board, _url(server), {"ca": authority.der, "handshake_first": True})
    _echo(any_board, subject)


def test_handshake_first_auto_also_says_info_in_clear(
    any_board, start_nats_server, identity, authority, subject
):
    server = start_nats_server(tls_config(identity, handshake_first="auto"))
    _connect(any_board, _url(server), {"ca": authority.der})
    _echo(any_board, subject)


def test_tls_that_the_client_asks_for(any_board, start_nats_server, identity, authority, subject):
    server = start_nats_server(MONITORED + "allow_non_tls: true\n" + tls_config(identity))
    _connect(any_board, _url(server), {"ca": authority.der}, name=subject)
    assert connection(server, subject)["tls_version"]
    any_board("nc.close()")
    any_board.connect(server.url, name=subject)
    assert not connection(server, subject).get("tls_version")


@pytest.mark.parametrize("rsa", [False, True])
@pytest.mark.parametrize("form", ["der", "pem"])
def test_client_certificate(any_board, start_nats_server, identity, authority, subject, form, rsa):
    server = start_nats_server(tls_config(identity, authority))
    own = authority.issue("board@example.com", rsa=rsa)
    pair = (own.cert, own.key) if form == "pem" else (own.cert_der, own.key_der)
    _connect(any_board, _url(server), {"ca": authority.der, "cert": pair[0], "key": pair[1]})
    _echo(any_board, subject)


@pytest.mark.parametrize("whose", ["nobody's", "a stranger's", "an expired one"])
def test_a_client_certificate_that_the_server_refuses(
    any_board, start_nats_server, identity, authority, stranger, whose
):
    server = start_nats_server(tls_config(identity, authority))
    tls = {"ca": authority.der}
    if whose != "nobody's":
        issuer, days = (stranger, (-1, 1)) if whose == "a stranger's" else (authority, (-9, -2))
        own = issuer.issue("board@example.com", days=days)
        tls.update(cert=own.cert, key=own.key)
    error = _refused(any_board, _url(server), tls)
    assert error.kinds[0] == "AuthError" and "refused: is there a client certificate" in error.text


# Servers that are not to be trusted


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "why, names, days, said",
    [
        ("wrong host", ["other.example"], (-1, 9), "does not match with the expected CN"),
        ("wrong address", ["127.0.0.9"], (-1, 9), "does not match with the expected CN"),
        ("expired", ["localhost"], (-9, -2), "validity has expired; the clock says 20"),
        ("future", ["localhost"], (3, 9), "validity starts in the future; the clock says 20"),
    ],
)
def test_a_certificate_that_is_wrong(
    any_board, start_nats_server, authority, why, names, days, said, first
):
    server = start_nats_server(
        tls_config(authority.issue(*names, days=days), handshake_first=first)
    )
    error = _refused(any_board, _url(server), {"ca": authority.der, "handshake_first": first})
    assert error.kinds == ["AuthError", "ServerError", "Error", "OSError"]
    assert "localhost:%d is not trusted" % server.port in error.text and said in error.text


def test_an_unknown_authority(any_board, server, stranger):
    error = _refused(any_board, _url(server), {"ca": stranger.der})
    assert error.kinds[0] == "AuthError" and "not correctly signed by the trusted CA" in error.text


def test_only_the_ugly_argument_takes_anybody(any_board, server, subject):
    _connect(any_board, _url(server), {"insecure_skip_verify": True})
    _echo(any_board, subject)


def test_a_given_host_name_is_what_the_certificate_must_be_made_out_to(
    any_board, server, authority, subject
):
    error = _refused(
        any_board, _url(server), {"ca": authority.der, "server_hostname": "else.example"}
    )
    assert "does not match" in error.text
    _connect(any_board, _url(server), {"ca": authority.der, "server_hostname": "server.example"})
    _echo(any_board, subject)


def test_servers_that_cannot_be_trusted_are_tried_ever_less_often(any_board, server, stranger):
    _client(
        any_board,
        _url(server),
        {"ca": stranger.der},
        reconnect_wait_ms=40,
        reconnect_max_wait_ms=2000,
    )
    any_board("nc.connect(wait=False)")
    any_board.until("len(events) >= 5")
    assert {name for name, _ in any_board("events")} == {"error"}
    assert {detail[0] for _, detail in any_board("events")} == {"AuthError"}
    gaps = any_board("[utime.ticks_diff(b, a) for a, b in zip(moments, moments[1:])]")
    assert all(gap >= (40 << i) // 2 - 1 for i, gap in enumerate(gaps)), gaps


def test_a_server_that_waits_for_tls_first(any_board, start_nats_server, identity, authority):
    server = start_nats_server(tls_config(identity, handshake_first=True, timeout=0.3))
    error = _refused(any_board, _url(server), {"ca": authority.der})
    assert (
        error.kinds[0] == "NotConnected"
        and "closed before INFO; is it handshake_first?" in error.text
    )


# Downgrades


def test_a_server_without_tls_gets_nothing(any_board, nats_server, authority):
    error = _refused(any_board, _url(nats_server), {"ca": authority.der})
    assert error.kinds[0] == "Error" and "has no TLS, which was asked for" in error.text
    error = _refused(any_board, _url(nats_server), {"ca": authority.der, "handshake_first": True})
    assert (
        error.kinds[0] == "Error" and "handshake_first must be as the server has it" in error.text
    )


def test_a_client_without_tls_says_that_it_is_required(any_board, server):
    any_board("client(%r)", "localhost:%d" % server.port)
    assert "requires TLS" in any_board.raised("nc.connect(20000)").text


def test_tls_required_is_asked_of_the_server_too(
    any_board, hostile_server, server_context, authority
):
    def script(c):
        c.send(_TLS_INFO)
        c.secure(server_context)
        assert b'"tls_required":true' in c.until(b"PING\r\n")
        c.send(b"PONG\r\n")
        c.hold()

    server = hostile_server(script)
    _connect(any_board, _url(server), {"ca": authority.der})


@pytest.mark.parametrize(
    "behind",
    [
        b"MSG cmd 1 2\r\non\r\n",
        b"PONG\r\n",
        b"+OK\r\n",
        _PLAIN_INFO,
        b"\r\n",
        b"-ERR 'Authorization Violation'\r\n",
    ],
)
def test_what_comes_in_clear_behind_info_is_refused(any_board, authority, behind):
    def script(c):
        c.send(_TLS_INFO + behind)
        c.hold()

    with HostileServer(script) as server:
        any_board("from unats.tls import Tls")
        any_board(
            "client(%r, tls=Tls(ca=%r), user='ann', password='s3cret')",
            _url(server),
            authority.der,
        )
        any_board("sub('cmd') and None")
        error = any_board.raised("nc.connect(20000)")
        assert error.kinds[0] == "ProtocolError" and "more than INFO before TLS" in error.text
        assert any_board("got") == []
    for c in server.connections:
        assert c.received == b""


@pytest.mark.parametrize("late", [b"MSG cmd 1 2\r\non\r\n", b"PONG\r\n", _PLAIN_INFO])
def test_what_comes_in_clear_instead_of_the_handshake_ends_it(any_board, authority, late):
    def script(c):
        c.send(_TLS_INFO)
        c.until(b"\x16\x03")  # the client's hello
        c.send(late)
        c.hold()

    with HostileServer(script) as server:
        any_board("from unats.tls import Tls")
        any_board(
            "client(%r, tls=Tls(ca=%r), user='ann', password='s3cret')",
            _url(server),
            authority.der,
        )
        any_board("sub('cmd') and None")
        error = any_board.raised("nc.connect(20000)")
        assert error.kinds[0] == "Error" and "that is no TLS" in error.text
        assert any_board("got") == []
    for c in server.connections:
        _plain(c)


@pytest.mark.parametrize(
    "opening",
    [
        b"MSG cmd 1 2\r\non\r\n",
        b"-ERR 'x'\r\nMSG cmd 1 2\r\non\r\n",
        b"PING\r\n",
        b" ",
        b"\x16\x03\x01",
    ],
)
def test_nothing_but_info_is_taken_in_clear(any_board, authority, opening):
    def script(c):
        c.send(opening + _TLS_INFO)
        c.hold()

    with HostileServer(script) as server:
        any_board("from unats.tls import Tls")
        any_board(
            "client(%r, tls=Tls(ca=%r), user='ann', password='s3cret')",
            _url(server),
            authority.der,
        )
        any_board("sub('cmd') and None")
        error = any_board.raised("nc.connect(20000)")
        assert error.kinds[0] == "ProtocolError" and "did not begin with INFO" in error.text
        assert any_board("got") == []
    for c in server.connections:
        assert c.received == b""


def test_info_in_clear_one_byte_at_a_time(any_board, hostile_server, server_context, authority):
    def script(c):
        c.send_each(_TLS_INFO)
        c.secure(server_context)
        c.until(b"PING\r\n")
        c.send(b"PONG\r\n")
        c.hold()

    _connect(any_board, _url(hostile_server(script)), {"ca": authority.der}, rx_size=64)


def test_other_servers_are_learnt_under_tls_only(
    any_board, hostile_server, server_context, authority
):
    def script(c):
        c.send(_TLS_INFO.replace(b"}", b',"ldm":true,"connect_urls":["evil.example:1"]}'))
        c.secure(server_context)
        c.until(b"PING\r\n")
        c.send(b"PONG\r\n")
        c.until(b"PUB go")
        c.send(_TLS_INFO.replace(b"}", b',"connect_urls":["10.0.0.7:4222","b.example:5"]}'))
        c.hold()

    server = hostile_server(script)
    _connect(any_board, _url(server), {"ca": authority.der})
    assert any_board("len(nc._servers)") == 1
    any_board("put('go', b'')")
    any_board.until("len(nc._servers) > 1")
    found = any_board("sorted([(str(s), s.tls_name) for s in nc._servers])")
    # one that is known by its address only has to have the name that led to it
    assert found == [
        ("10.0.0.7:4222", "localhost"),
        ("b.example:5", None),
        ("localhost:%d" % server.port, None),
    ]
    assert any_board.events == ["connected"]


def _cluster(port, other):
    return 'cluster { name: c, listen: "127.0.0.1:%d", routes: ["nats://127.0.0.1:%d"] }\n' % (
        port,
        other,
    )


def test_discovered_servers_are_talked_to_by_tls(any_board, start_nats_server, authority, subject):
    identity = authority.issue("localhost")  # no address: a discovered one must have the name
    ports = free_port(), free_port()
    first = start_nats_server(_cluster(*ports) + tls_config(identity))
    second = start_nats_server(_cluster(*reversed(ports)) + tls_config(identity))
    _connect(any_board, _url(first), {"ca": authority.der})
    second_name = "127.0.0.1:%d" % second.port
    any_board.until("%r in [str(s) for s in nc._servers]" % second_name)
    any_board("sub(%r) and None", subject)
    first.kill()
    any_board.until("'reconnected' in names()")
    assert any_board("str(nc.current)") == second_name
    any_board("put(%r, b'there')", subject)
    any_board.until("got")


# Handshakes that do not end


def test_a_hundred_stalled_handshakes_leave_nothing_open(roomy_board, authority):
    stages = [b"", b"\x16", b"\x16\x03\x03\x00\x40", b"\x16\x03\x03\x00\x40\x02\x00\x00"]

    def script(c):
        c.send(_TLS_INFO)
        c.until(b"\x16\x03")
        c.send(stages[len(server.connections) % len(stages)])
        c.hold()

    with HostileServer(script) as server:
        tls = {"ca": authority.der, "handshake_timeout_ms": 15}
        _client(roomy_board, _url(server), tls, reconnect_wait_ms=1, reconnect_max_wait_ms=1)
        roomy_board("nc.connect(wait=False)")
        roomy_board.until("len(events) >= 3")
        files = roomy_board.files()
        roomy_board("until(lambda: len(events) >= 100, 60)")
        assert (
            roomy_board.files() <= files + 1
        )  # either may have been counted between two attempts
        assert {detail[0] for _, detail in roomy_board("events")} == {"Timeout"}
        assert "no end of the handshake" in roomy_board("events[-1][1][1]")
        roomy_board("nc.close()")
        assert roomy_board.files() <= files


def test_a_hundred_failed_handshakes_leave_nothing_open(start_board, server, stranger):
    board = start_board(heapsize="1M")
    _client(
        board, _url(server), {"ca": stranger.der}, reconnect_wait_ms=1, reconnect_max_wait_ms=1
    )
    files = board.files()
    board("nc.connect(wait=False)")
    board("until(lambda: len(events) >= 20)")
    heap = board("events.clear() or moments.clear() or heap()")
    board("until(lambda: len(events) >= 100, 60)")
    assert board("events.clear() or moments.clear() or heap()") < heap + 8000
    board("nc.close()")
    assert board.files() == files


def test_poll_does_not_wait_for_the_handshake(any_board, hostile_server, authority):
    def script(c):
        c.send(_TLS_INFO)
        c.hold()

    server = hostile_server(script)
    _client(any_board, _url(server), {"ca": authority.der, "handshake_timeout_ms": 1000})
    any_board("nc.connect(wait=False)")
    any_board("turns = 0")
    any_board("while not events: turns += nc.poll(0) + 1")
    assert any_board("turns") > 20
    assert any_board("events[0][1][0]") == "Timeout"


def test_handshakes_held_at_every_step(any_board, server, authority):
    with Proxy(server.port) as proxy:
        for way in (proxy.down, proxy.up):
            for after in [*range(1, 12), *range(60, 1500, 130)]:
                way.hold(after)
                _client(any_board, _url(proxy), {"ca": authority.der})
                any_board.start("nc.connect(20000)")
                _until_stuck(way, any_board)
                any_board("nc.close()")


def _until_stuck(way, board):
    """Let the rest pass when so much has, or when the whole handshake was less."""
    while way._left and board.busy:
        time.sleep(0.001)
    way.let_pass()
    board.result()


# Once connected


def test_large_messages_and_streams(roomy_board, start_nats_server, identity, authority, subject):
    server = start_nats_server(tls_config(identity))
    context = ssl.create_default_context(cafile=authority.pem)
    with Peer("tls://localhost:%d" % server.port, tls=context) as peer:
        _connect(roomy_board, _url(server), {"ca": authority.der}, rx_size=512, tx_size=512)
        messages = peer.subscribe(subject + ".up")
        roomy_board("put(%r, pattern(300000))", subject + ".up")
        assert roomy_board("nc.flush(20000)")
        assert messages.get(timeout=PATIENCE_S).data == pattern(300000)
        roomy_board("nc.subscribe(%r, stream, chunked=True) and None", subject + ".stream")
        roomy_board("sub(%r) and None", subject + ".down")
        peer.publish(subject + ".stream", pattern(400000))
        peer.publish(subject + ".down", pattern(600))  # too large for it
        peer.publish(subject + ".down", b"the next one")
        roomy_board.until("got")
        assert roomy_board("[(s[0], s[1], s[2]) for s in streams]") == [(400000, 400000, True)]
        assert roomy_board("streams[0][3].digest() == hashlib.sha256(pattern(400000)).digest()")
        assert roomy_board("(got[0][1], nc.stats.oversize)") == (b"the next one", 1)


def test_jetstream(any_board, start_nats_server, identity, authority, subject):
    server = start_nats_server(tls_config(identity), jetstream=True)
    context = ssl.create_default_context(cafile=authority.pem)
    with Peer("tls://localhost:%d" % server.port, tls=context) as peer:
        peer.run(peer.nc.jetstream().add_stream(name="S", subjects=[subject]))
        _connect(any_board, _url(server), {"ca": authority.der})
        any_board("from unats.jetstream import JetStream")
        assert any_board("JetStream(nc).publish(%r, b'1').seq", subject) == 1
        assert any_board("JetStream(nc).publish(%r, b'2').seq", subject) == 2


def test_a_killed_server_is_connected_to_again(
    any_board, start_nats_server, identity, authority, subject
):
    server = start_nats_server(tls_config(identity))
    _connect(any_board, _url(server), {"ca": authority.der})
    any_board("sub(%r) and None", subject)
    files = any_board.files()
    for i in range(3):
        server.restart()
        any_board.until("names().count('reconnected') == %d" % (i + 1))
    assert any_board.files() == files
    any_board("put(%r, b'again')", subject)
    any_board.until("got")
    lost = any_board("[detail for name, detail in events if name == 'disconnected']")
    assert {kind for kind, _ in lost} == {"NotConnected"}


def test_what_is_decrypted_already_is_not_waited_for(
    roomy_board, hostile_server, server_context, authority
):
    """One record holds many buffers full of messages, and nothing comes behind it."""
    many = b"".join(b"MSG cmd 1 %d\r\n%s\r\n" % (n, b"x" * n) for n in range(100, 190))

    def script(c):
        c.send(_TLS_INFO)
        c.secure(server_context)
        c.until(b"PING\r\n")
        c.send(b"PONG\r\n")
        c.until(b"PUB go")
        assert len(many) < 16384
        c.send(many)
        c.hold()

    server = hostile_server(script)
    roomy_board("from unats.tls import Tls")
    roomy_board("client(%r, tls=Tls(ca=%r), rx_size=256)", _url(server), authority.der)
    roomy_board("sub('cmd') and None")
    roomy_board("nc.connect(20000)")
    roomy_board("nc.publish('go') and None")
    roomy_board("while len(got) < 90: nc.poll(600000)")
    assert roomy_board("[len(m[1]) for m in got]") == list(range(100, 190))


_MANY = """
import random
random.seed(%d)
number = 0
payload = None
def one(bits):  # the next message, if there is room for it
    global number, payload
    if payload is None:
        payload = (b"%%d " %% number) + pattern(random.getrandbits(bits))
    if not nc.publish(%r, payload):
        return False
    number += 1
    payload = None
    return True
def many():
    for i in range(160):
        while not one(14 if i == 50 else 9 + i %% 3):
            nc.poll(1)
        nc.poll(0)
def stalls():  # the line takes nothing of a record, and there is no room for more behind it
    while one(11):
        pass
    owed = nc.transport._owed
    nc.poll(20)
    return not one(11) and nc.transport._owed == owed > 0
"""


def test_thousands_of_messages_through_a_line_that_stalls(
    roomy_board, start_nats_server, identity, authority, subject
):
    """The socket takes nothing at all again and again, in mid-record, while more
    is queued behind.
    """
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    server = start_nats_server(tls_config(identity))
    context = ssl.create_default_context(cafile=authority.pem)
    with (
        Peer("tls://localhost:%d" % server.port, tls=context) as peer,
        Proxy(server.port) as proxy,
    ):
        proxy._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        messages = peer.subscribe(subject)
        options = {"ping_interval_ms": 600000, "connect_timeout_ms": 60000}
        _connect(roomy_board, _url(proxy), {"ca": authority.der}, tx_size=4096, **options)
        roomy_board(
            "nc.transport._raw.setsockopt(1, 7, 4096) and None"
        )  # SOL_SOCKET, SO_SNDBUF: it fills sooner
        roomy_board.start(_MANY, rng.randrange(1 << 20), subject)
        roomy_board.result()
        # On CPython, which takes ten times as long, it is the shim that is tried.
        for _ in range(15 if roomy_board.interpreter == "micropython" else 5):
            roomy_board.start("many()")
            while roomy_board.busy:
                proxy.up.hold(rng.choice((0, 1, 5, 300, 5000, 30000)))
                time.sleep(rng.random() * 0.01)
                proxy.up.let_pass()
                time.sleep(rng.random() * 0.001)
            roomy_board.result()
            proxy.up.hold(rng.choice((0, 1, 5, 300, 5000)))
            roomy_board("until(stalls)")
            proxy.up.let_pass()
        assert roomy_board("nc.flush(30000)")
        count = roomy_board("number")
        assert count >= 800
        for i in range(count):
            data = messages.get(timeout=PATIENCE_S).data
            assert data == b"%d " % i + pattern(len(data) - len(b"%d " % i)), (
                "seed %d, message %d" % (seed, i)
            )
        assert roomy_board.events == ["connected"] and messages.empty()


def test_no_allocation_once_connected(board, server, authority, subject):
    _connect(board, _url(server), {"ca": authority.der})
    board(
        "def setup():\n"
        " global work\n"
        " import micropython\n"
        " count = [0]\n"
        " payload = b'x' * 64\n"
        " def handler(msg):\n"
        "  count[0] += 1\n"
        " nc.subscribe(%r, handler)\n"
        " def work(n):\n"
        "  count[0] = 0\n"
        "  before = micropython.mem_total()\n"
        "  i = 0\n"
        "  while i < n:\n"
        "   if nc.publish(%r, payload):\n"
        "    i += 1\n"
        "   nc.poll(0)\n"
        "  while count[0] < n:\n"
        "   nc.poll(10)\n"
        "  nc.flush(20000)\n"
        "  return micropython.mem_total() - before\n",
        subject,
        subject,
    )
    board("setup()")
    board("work(100)")
    assert board("work(10000)") == 0


def test_key_material_is_in_no_text(any_board, authority):
    own = authority.issue("board@example.com")
    text = pathlib.Path(own.key).read_text()
    secret = text.splitlines()[2]
    any_board("from unats.tls import Tls")
    assert secret not in any_board(
        "repr(Tls(ca=%r, cert=%r, key=%r))", authority.der, own.cert, text
    )
    for key in (
        text.replace(secret, secret[5:]),
        text.replace("END", "DNE"),
        text.replace("EC PRIVATE", "NO"),
        secret,
    ):
        error = any_board.raised("Tls(ca=%r, cert=%r, key=%r)", authority.der, own.cert, key)
        assert error.kinds == ["ValueError"] and error.text.startswith(("key: ", "cert, key: "))
        assert secret[5:] not in error.text
