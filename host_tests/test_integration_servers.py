"""What a real nats-server demands and refuses: credentials, permissions, limits."""

import signal

import pytest

from support.live import (  # noqa: F401  fixtures too
    MONITORED,
    any_board,
    board,
    connection,
    pattern,
    start_board,
    subject,
)
from support.nats_server import NatsServer
from support.peer import Peer
from support.proxy import Proxy

_PATIENCE_S = 20
_HASHED = "$2a$04$abcdefghijklmnopqrstuuPWRtT5yx7FBi4dcf6ROhboeNunUrLQ."  # of "geheim"
_USERS = (
    """
authorization {
  users: [
    {user: "board", password: "s3cret"}
    {user: "b@ard/1", password: "p:a%%s s?"}
    {user: "hashed", password: "%s"}
    {user: "narrow", password: "n", permissions: {
      publish: {allow: ["may.>", "_INBOX.>"]}, subscribe: {allow: ["may.>", "_INBOX.>"]}}}
  ]
}
"""
    % _HASHED
)


@pytest.fixture(scope="module")
def guarded():
    """A server with users and permissions, which the module's tests share."""
    with NatsServer(MONITORED + _USERS) as server:
        yield server


@pytest.fixture(scope="module")
def with_token():
    """A server that wants a token, which the module's tests share."""
    with NatsServer('authorization { token: "t0k/en" }\n') as server:
        yield server


@pytest.fixture
def other(guarded):
    with Peer(guarded.url, user="board", password="s3cret") as peer:
        yield peer


def _with(server, credentials):
    return "nats://%s@127.0.0.1:%d" % (credentials, server.port)


def _round_trip(board):
    """That the connection is of use."""
    board("sub('may.echo') and None")
    board("sure(nc.publish('may.echo', b'x'))")
    board.until("got and got.pop()[1] == b'x'")
    assert board.events == ["connected"]


# Credentials

_RIGHT = [("board", "s3cret"), ("b@ard/1", "p:a%s s?"), ("hashed", "geheim"), ("narrow", "n")]


@pytest.mark.parametrize("user, password", _RIGHT)
def test_user_and_password(any_board, guarded, user, password):
    any_board.connect(guarded.url, user=user, password=password)
    _round_trip(any_board)


@pytest.mark.parametrize(
    "credentials", ["board:s3cret", "b%40ard%2F1:p%3aa%25s%20s%3F", "hashed:geheim"]
)
def test_user_and_password_in_the_url(any_board, guarded, credentials):
    any_board.connect(_with(guarded, credentials))
    _round_trip(any_board)


def test_the_url_goes_before_the_arguments(any_board, guarded):
    any_board.connect(_with(guarded, "board:s3cret"), user="nobody", password="none")
    _round_trip(any_board)


def test_token(any_board, with_token):
    any_board.connect(with_token.url, token="t0k/en")
    _round_trip(any_board)


def test_token_in_the_url(any_board, with_token):
    any_board.connect(_with(with_token, "t0k%2Fen"))
    _round_trip(any_board)


def test_credentials_that_nobody_asks_for_do_no_harm(any_board, start_nats_server):
    any_board.connect(start_nats_server().url, user="board", password="s3cret")
    _round_trip(any_board)


_WRONG = [
    {},
    {"user": "board", "password": "wrong"},
    {"user": "board"},
    {"user": "nobody", "password": "s3cret"},
    {"user": "hashed", "password": _HASHED},
    {"token": "s3cret"},
]


@pytest.mark.parametrize("options", _WRONG)
def test_wrong_credentials_raise_and_leave_nothing_open(any_board, guarded, options):
    any_board("client(%r, **%r)", guarded.url, options)
    files = any_board.files()
    error = any_board.raised("nc.connect(20000)")
    assert error.kinds[:4] == ["AuthError", "ServerError", "Error", "OSError"]
    assert "Authorization Violation" in error.text
    assert any_board.files() == files
    assert any_board("nc.state == 'disconnected', nc.connected") == (True, False)
    assert any_board("type(nc.last_error) is unats.AuthError")
    assert any_board("nc.poll(0)") == 0


@pytest.mark.parametrize("options", [{}, {"token": "wrong"}, {"user": "t0k/en", "password": ""}])
def test_wrong_tokens(any_board, with_token, options):
    error = any_board.raised("connect(%r, **%r)", with_token.url, options)
    assert error.kinds[0] == "AuthError"


def test_a_secret_is_in_no_error(any_board, guarded):
    url = _with(guarded, "board:hunter2")
    assert "hunter2" not in any_board.raised("connect(%r)", url).text
    assert "hunter2" not in repr(any_board("events"))
    assert "hunter2" not in any_board.raised("client(%r)", url.replace("127.0.0.1", "")).text


def test_wrong_credentials_are_tried_at_a_bounded_rate(any_board, start_nats_server):
    server = start_nats_server(MONITORED + _USERS)
    any_board("client(%r, user='board', password='old', reconnect_wait_ms=40)", server.url)
    any_board("nc.connect(wait=False)")
    any_board.until("names().count('error') >= 5")
    assert set(any_board.events) == {"error"}
    assert any_board("events[-1][1][0]") == "AuthError"
    # At least half of a wait that doubles. (A slow machine only makes it longer.)
    gaps = any_board("[utime.ticks_diff(b, a) for a, b in zip(moments, moments[1:])]")
    assert all(gap >= least for gap, least in zip(gaps, (20, 40, 80, 160))), gaps

    server.reload(MONITORED + _USERS.replace("s3cret", "old"))
    any_board.until("nc.connected")
    assert any_board.events[-1] == "connected"


def test_a_user_that_is_taken_away_and_given_back(any_board, start_nats_server, subject):
    server = start_nats_server(MONITORED + _USERS)
    any_board.connect(
        server.url,
        user="board",
        password="s3cret",
        reconnect_wait_ms=20,
        reconnect_max_wait_ms=100,
    )
    any_board("sub(%r) and None", subject)
    server.reload(MONITORED + _USERS.replace("s3cret", "new"))
    any_board.until("names()[-1] == 'error'")
    assert any_board.events[:3] == ["connected", "disconnected", "error"]
    assert any_board("{event[1][0] for event in events[1:]}") == {"AuthError"}
    assert any_board("nc.state == 'reconnecting'")
    server.reload(MONITORED + _USERS)
    any_board.until("nc.connected")
    assert any_board.events[-1] == "reconnected"
    with Peer(server.url, user="board", password="s3cret") as other:
        other.publish(subject, b"again")
        any_board.until("got")


def test_the_auth_argument_adds_to_connect(any_board, guarded):
    any_board(
        "connect(%r, auth=lambda nonce: (('user', 'board'), ('pass', 's3cret')))", guarded.url
    )
    _round_trip(any_board)


def test_the_server_tires_of_waiting_for_connect(any_board, start_nats_server):
    config = _USERS.replace("authorization {", "authorization {\n  timeout: 0.3")
    with Proxy(start_nats_server(config).port) as proxy:
        proxy.up.swallow()
        any_board("client(%r, user='board', password='s3cret')", proxy.url)
        error = any_board.raised("nc.connect(20000)")
        assert error.kinds[0] == "AuthError" and "Authentication Timeout" in error.text


# Permissions


def test_publishing_without_permission_is_an_event_and_no_more(any_board, guarded, other, subject):
    messages = other.subscribe(">")
    any_board.connect(guarded.url, user="narrow", password="n")
    any_board("sure(nc.publish('mustnot.x', b'no')); sure(nc.publish('may.x', %r))", subject)
    assert any_board("nc.flush(20000)")
    assert messages.get(timeout=_PATIENCE_S).data == subject.encode()
    assert any_board.events == ["connected", "error"]
    name, text = any_board("events[1][1]")
    assert name == "ServerError" and "Permissions Violation for Publish" in text
    assert "mustnot.x" in text
    assert any_board("str(nc.last_error)") == text
    assert any_board("nc.connected, nc.stats.reconnects") == (True, 0)


def test_subscribing_without_permission_is_an_event_and_no_more(any_board, guarded, other):
    any_board.connect(guarded.url, user="narrow", password="n")
    any_board("sub('mustnot.x') and None")
    any_board("sub('may.x') and None")
    other.publish("mustnot.x", b"no")
    other.publish("may.x", b"yes")
    any_board.until("got")
    assert any_board("got") == [("may.x", b"yes", None, None)]
    assert any_board.events == ["connected", "error"]
    assert "Permissions Violation for Subscription" in any_board("events[1][1][1]")


def test_a_request_without_permission(any_board, guarded):
    any_board.connect(guarded.url, user="narrow", password="n")
    error = any_board.raised("nc.request('mustnot.ask', b'', 300)")
    assert "OSError" in error.kinds
    assert any_board.events == ["connected", "error"]
    any_board("sub('may.echo') and None")
    assert any_board("nc.connected")


# Limits


def test_the_servers_max_payload_is_kept(any_board, start_nats_server, subject):
    server = start_nats_server("max_payload: 1000\n")
    any_board.connect(server.url, tx_size=512)
    assert any_board("nc.server.max_payload") == 1000
    with Peer(server.url) as other:
        messages = other.subscribe(subject)
        assert any_board.raised("nc.publish(%r, bytes(1001))", subject).kinds == ["ValueError"]
        assert any_board.raised(
            "nc.publish(%r, bytes(990), headers={'a': 'b'})", subject
        ).kinds == ["ValueError"]
        assert any_board.raised("nc.request(%r, bytes(1001))", subject).kinds == ["ValueError"]
        any_board("put(%r, pattern(1000))", subject)
        assert any_board("nc.flush(20000)")
        assert messages.get(timeout=_PATIENCE_S).data == pattern(1000)
        assert messages.empty()
    assert any_board.events == ["connected"]


def test_a_restarted_server_may_take_less(any_board, start_nats_server, subject):
    server = start_nats_server()
    any_board.connect(server.url, reconnect_wait_ms=20, reconnect_max_wait_ms=100)
    any_board("put(%r, bytes(4000))", subject)
    server.kill()
    server.configure("max_payload: 1000\n")
    server.start()
    any_board.until("'reconnected' in names()")
    assert any_board.raised("nc.publish(%r, bytes(4000))", subject).kinds == ["ValueError"]
    any_board("put(%r, bytes(1000))", subject)
    assert any_board("nc.flush(20000)")


def test_one_connection_too_many(start_board, start_nats_server):
    server = start_nats_server("max_connections: 1\n")
    first, second = start_board(), start_board("cpython")
    first.connect(server.url)
    second("client(%r, reconnect_wait_ms=20, reconnect_max_wait_ms=100)", server.url)
    error = second.raised("nc.connect(20000)")
    assert error.kinds[0] == "ServerError" and "maximum connections exceeded" in error.text
    second("nc.connect(wait=False)")
    second.until("'error' in names()")
    assert "maximum connections exceeded" in second("events[-1][1][1]")
    first("nc.close()")
    second.until("nc.connected")


def test_one_subscription_too_many(any_board, start_nats_server, subject):
    server = start_nats_server("max_subscriptions: 2\n")
    any_board.connect(server.url, reconnect_wait_ms=20, reconnect_max_wait_ms=100)
    any_board("sub(%r) and None", subject + ".1")
    any_board("sub(%r) and None", subject + ".2")
    any_board("nc.subscribe(%r, keep) and None", subject + ".3")
    any_board.until("'error' in names()")
    name, text = any_board("events[1][1]")
    assert name == "ServerError" and "maximum subscriptions exceeded" in text
    any_board.until("nc.connected")
    any_board("put(%r, b'x')", subject + ".1")
    any_board.until("got")


def test_a_subject_longer_than_the_servers_control_line(any_board, start_nats_server, subject):
    server = start_nats_server("max_control_line: 256\n")
    any_board.connect(server.url, tx_size=1024, reconnect_wait_ms=20, reconnect_max_wait_ms=100)
    any_board("sub(%r) and None", subject)
    any_board("nc.publish(%r, b'x')", "a" * 400)
    any_board.until("'disconnected' in names()")
    lost = any_board("[detail for name, detail in events if name == 'disconnected']")
    assert "maximum control line exceeded" in lost[0][1]
    any_board.until("nc.connected")
    any_board("put(%r, b'x')", subject)
    any_board.until("got")


# Lame duck


def test_lame_duck_is_told_before_the_server_goes(any_board, start_nats_server, subject):
    server = start_nats_server('lame_duck_grace_period: "20s"\nlame_duck_duration: "60s"\n')
    any_board.connect(server.url, reconnect_wait_ms=20, reconnect_max_wait_ms=100)
    any_board("sub(%r) and None", subject)
    server.signal(signal.SIGUSR2)
    any_board.until("'lame duck' in names()")
    assert any_board("events") == [("connected", None), ("lame duck", None)]
    any_board("put(%r, b'it still works')", subject)
    any_board.until("got")
    server.restart()
    any_board.until("'reconnected' in names()")
    assert any_board.events[:3] == ["connected", "lame duck", "disconnected"]
