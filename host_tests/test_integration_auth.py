"""Real nats-servers in each way of authentication: who gets in, who does not, what is said, what
goes on.
"""

import time

import pytest

from support.live import Board, subject  # noqa: F401
from support.nats_server import NatsServer
from support.peer import Peer
from tools.fleet import nats_jwt

_PATIENCE_S = 20
_HASHED = "$2a$04$abcdefghijklmnopqrstuuPWRtT5yx7FBi4dcf6ROhboeNunUrLQ."  # of "geheim"
_FAST = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 200}


@pytest.fixture(scope="module")
def nkey_user():
    """A user whose public key the server of `mixed` knows."""
    return nats_jwt.User(None, "board")


@pytest.fixture(scope="module")
def mixed(nkey_user):
    """A server with users of every kind but JWTs."""
    users = ['{user: "board", password: "s3cret"}', '{user: "hashed", password: "%s"}' % _HASHED]
    users.append("{nkey: %s}" % nkey_user.public)
    users.append(
        '{user: "narrow", password: "n", permissions: {publish: {allow: ["may.>"]}, subscribe: {allow: ["may.>"]}}}'  # noqa: E501
    )
    with NatsServer("authorization { users: [\n%s\n] }\n" % "\n".join(users)) as server:
        yield server


class Fleet:
    """Operator, system account and account, and the configuration that goes with them."""

    def __init__(self):
        self.operator = nats_jwt.Operator("tests")
        self.system = self.operator.account("SYS")
        self.account = self.operator.account("fleet")

    def config(self):
        return self.operator.server_config([self.account], self.system)

    def user(self, **options):
        return self.account.user("board", **options)


@pytest.fixture(scope="module")
def fleet():
    """A Fleet that the module's tests leave as it is."""
    return Fleet()


@pytest.fixture(scope="module")
def operated(fleet):
    """A server in operator mode that the module's tests share."""
    with NatsServer(fleet.config()) as server:
        yield server


@pytest.fixture
def own_fleet(start_nats_server):
    """A Fleet and a server of the test's own."""
    fleet = Fleet()
    return fleet, start_nats_server(fleet.config())


@pytest.fixture(params=["micropython", "cpython"])
def auth_board(request):
    """A Board on MicroPython and one on CPython. It compiles all it uses from
    source, signing too.
    """
    board = Board(request.param, heapsize="320K")
    request.addfinalizer(board.stop)
    board("from unats import auth")
    return board


def _round_trip(board, subject):
    board("sub(%r) and None", subject)
    board("sure(nc.publish(%r, b'x'))", subject)
    board.until("got and got.pop()[1] == b'x'")
    assert board.events == ["connected"]


def _connect(board, url, credentials, *values, **options):
    """Connect with the credentials that this expression makes on the board."""
    board("connect(%r, auth=" + credentials + ", **%r)", url, *values, options)


def _refused(board, url, credentials, *values):
    """The text of the AuthError that connecting raises; nothing is left open."""
    board("client(%r, auth=" + credentials + ")", url, *values)
    files = board.files()
    error = board.raised("nc.connect(20000)")
    assert error.kinds[0] == "AuthError", error
    assert board.files() == files
    assert board("nc.state == 'disconnected'")
    assert board("nc.poll(0)") == 0
    return error.text


def _file(tmp_path, data):
    path = tmp_path / "secret"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


# Without JWTs


def test_no_authentication_needs_none(auth_board, start_nats_server, subject):
    _connect(auth_board, start_nats_server().url, "auth.UserInfo('board', 's3cret')")
    _round_trip(auth_board, subject)


def test_a_seed_for_a_server_that_asks_for_no_signature(auth_board, start_nats_server, nkey_user):
    text = _refused(auth_board, start_nats_server().url, "auth.Nkey(%r)", nkey_user.seed)
    assert "no nonce" in text


@pytest.mark.parametrize("user, password", [("board", "s3cret"), ("hashed", "geheim")])
def test_user_and_password(auth_board, mixed, subject, user, password):
    _connect(auth_board, mixed.url, "auth.UserInfo(%r, %r)", user, password)
    _round_trip(auth_board, subject)


def test_token(auth_board, start_nats_server, subject):
    server = start_nats_server('authorization { token: "t0k/en" }\n')
    _connect(auth_board, server.url, "auth.Token(%r)", "t0k/en")
    _round_trip(auth_board, subject)
    assert "Authorization Violation" in _refused(auth_board, server.url, "auth.Token(%r)", "t0k")


def test_nkey(auth_board, mixed, nkey_user, subject):
    _connect(auth_board, mixed.url, "auth.Nkey(bytearray(%r))", nkey_user.seed)
    _round_trip(auth_board, subject)


def test_nkey_from_a_file(auth_board, mixed, nkey_user, subject, tmp_path):
    _connect(auth_board, mixed.url, "auth.Nkey(%r)", _file(tmp_path, nkey_user.seed + b"\n"))
    _round_trip(auth_board, subject)


def test_an_nkey_that_the_server_does_not_know(auth_board, mixed):
    text = _refused(auth_board, mixed.url, "auth.Nkey(%r)", nats_jwt.new_seed("user"))
    assert "Authorization Violation" in text


def test_nkey_at_every_reconnection(auth_board, start_nats_server, nkey_user):
    server = start_nats_server("authorization { users: [{nkey: %s}] }\n" % nkey_user.public)
    _connect(auth_board, server.url, "auth.Nkey(%r)", nkey_user.seed, **_FAST)
    for n in (1, 2, 3):
        server.restart()
        auth_board.until("nc.stats.reconnects == %d and nc.connected" % n)
    assert "ed25519" not in auth_board("' '.join(__import__('sys').modules)")


# Operator mode


def test_creds(auth_board, operated, fleet, subject):
    _connect(auth_board, operated.url, "auth.UserCredentials(%r)", fleet.user().creds().encode())
    _round_trip(auth_board, subject)


def test_a_creds_file(auth_board, operated, fleet, subject, tmp_path):
    path = _file(tmp_path, fleet.user().creds())
    _connect(auth_board, operated.url, "auth.UserCredentials(%r)", path)
    _round_trip(auth_board, subject)


def test_jwt_and_seed(auth_board, operated, fleet, subject):
    user = fleet.user()
    _connect(auth_board, operated.url, "auth.UserJWT(%r, %r)", user.jwt().encode(), user.seed)
    _round_trip(auth_board, subject)


def test_bearer_jwt(auth_board, operated, fleet, subject):
    _connect(auth_board, operated.url, "auth.UserJWT(%r)", fleet.user(bearer=True).jwt().encode())
    _round_trip(auth_board, subject)
    text = _refused(auth_board, operated.url, "auth.UserJWT(%r)", fleet.user().jwt().encode())
    assert "Authorization Violation" in text


def test_callback(auth_board, operated, fleet, subject):
    auth_board("kept = [None, %r]", fleet.user().creds().encode())
    auth_board("def fresh(): return kept[0] and auth.UserCredentials(kept.pop())")
    assert "Authorization Violation" in _refused(auth_board, operated.url, "auth.Callback(fresh)")
    auth_board("kept[0] = True; events.clear()")
    _connect(auth_board, operated.url, "auth.Callback(fresh)")
    _round_trip(auth_board, subject)


def test_another_operators_creds(auth_board, operated):
    text = _refused(
        auth_board, operated.url, "auth.UserCredentials(%r)", Fleet().user().creds().encode()
    )
    assert "Authorization Violation" in text


def test_a_jwt_that_the_account_did_not_sign(auth_board, operated, fleet):
    user = fleet.user()
    head, claims, signature = user.jwt().split(".")
    forged = ".".join((head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]))
    text = _refused(auth_board, operated.url, "auth.UserJWT(%r, %r)", forged.encode(), user.seed)
    assert "Authorization Violation" in text


def test_a_wrong_seed_is_found_before_the_server_sees_it(auth_board, operated, fleet):
    user, other = fleet.user(), fleet.user()
    mixed_up = user.creds().replace(user.seed.decode(), other.seed.decode())
    text = _refused(auth_board, operated.url, "auth.UserCredentials(%r)", mixed_up.encode())
    assert "another key" in text


def test_malformed_creds(auth_board, operated, fleet, tmp_path):
    creds = fleet.user().creds()
    path = _file(tmp_path, creds[:200])
    assert "cut off" in _refused(auth_board, operated.url, "auth.UserCredentials(%r)", path)
    (tmp_path / "secret").unlink()
    assert "cannot read" in _refused(auth_board, operated.url, "auth.UserCredentials(%r)", path)


def test_a_jwt_that_has_expired(auth_board, operated, fleet):
    expired = fleet.user(expires=time.time() - 60, issued=time.time() - 120)
    text = _refused(auth_board, operated.url, "auth.UserCredentials(%r)", expired.creds().encode())
    assert "Authorization Violation" in text


def test_a_jwt_that_expires_while_connected_and_is_renewed(
    auth_board, operated, fleet, subject, tmp_path
):
    path = _file(tmp_path, fleet.user(expires=time.time() + 3).creds())
    _connect(auth_board, operated.url, "auth.UserCredentials(%r)", path, **_FAST)
    auth_board("sub(%r) and None", subject)
    auth_board.until("events[-1] == ('error', ('AuthError', 'Authorization Violation'))")
    # In the second of its expiry the server takes it once more, and ends that connection as well.
    assert auth_board("events[1]") == (
        "disconnected",
        ("AuthError", "User Authentication Expired"),
    )
    assert auth_board("{detail[0] for _, detail in events if detail}") == {"AuthError"}
    assert auth_board("nc.state == 'reconnecting'")
    (tmp_path / "secret").write_text(fleet.user().creds())
    auth_board.until("nc.connected")
    assert auth_board.events[-1] == "reconnected"
    auth_board("sure(nc.publish(%r, b'again'))", subject)
    auth_board.until("got")


def test_a_user_revoked_while_connected(auth_board, own_fleet):
    fleet, server = own_fleet
    user = fleet.user()
    _connect(auth_board, server.url, "auth.UserCredentials(%r)", user.creds().encode(), **_FAST)
    fleet.account.revoke(user.public)
    time.sleep(1.2)  # the server looks at an account once a second at most
    server.reload(fleet.config())
    auth_board.until("names().count('error') >= 2")
    assert auth_board("events[1]") == (
        "disconnected",
        ("AuthError", "User Authentication Revoked"),
    )
    assert auth_board("events[2][1]") == ("AuthError", "Authorization Violation")
    assert auth_board("nc.state == 'reconnecting'")


def test_a_user_revoked_before(auth_board, own_fleet):
    fleet, server = own_fleet
    user = fleet.user()
    creds = user.creds().encode()  # issued no later than what is revoked
    fleet.account.revoke(user.public)
    server.configure(fleet.config())
    server.restart()
    text = _refused(auth_board, server.url, "auth.UserCredentials(%r)", creds)
    assert "Authorization Violation" in text
    later = fleet.account.user("board", seed=user.seed, issued=time.time() + 5)  # issued anew
    _connect(auth_board, server.url, "auth.UserCredentials(%r)", later.creds().encode())


def test_an_account_that_has_expired(auth_board, own_fleet):
    fleet, server = own_fleet
    user = fleet.user()
    fleet.account.expires = time.time() + 5  # a restart takes some of it
    server.configure(fleet.config())
    server.restart()
    _connect(auth_board, server.url, "auth.UserCredentials(%r)", user.creds().encode(), **_FAST)
    auth_board.until("names().count('error') >= 2")
    assert auth_board("events[1]") == (
        "disconnected",
        ("AuthError", "Account Authentication Expired"),
    )
    assert auth_board("{detail[0] for _, detail in events if detail}") == {"AuthError"}


# Permissions


def _narrow(fleet):
    allowed = ["may.>", "_INBOX.>"]
    return fleet.user(publish=allowed, subscribe=allowed).creds().encode()


def _last_error(board):
    return board("nc.last_error.operation, nc.last_error.subject")


def test_a_refused_publish_says_which(auth_board, operated, fleet, subject):
    with Peer(operated.url, user_credentials=_creds_for_peer(fleet)) as other:
        messages = other.subscribe(">")
        _connect(auth_board, operated.url, "auth.UserCredentials(%r)", _narrow(fleet))
        for refused in ('mustnot."quoted"', "mustnot.back\\slash", "sensors.other.temp"):
            auth_board("sure(nc.publish(%r, b'no')); sure(nc.publish('may.x', b'yes'))", refused)
            assert auth_board("nc.flush(20000)")
            assert messages.get(timeout=_PATIENCE_S).data == b"yes"
            assert _last_error(auth_board) == ("publish", refused)
        assert auth_board.events == ["connected"] + ["error"] * 3
        assert auth_board("nc.connected, nc.last_error.subscription, nc.stats.reconnects") == (
            True,
            None,
            0,
        )


def _creds_for_peer(fleet):
    """nats-py takes a file, or the text in this wrapper."""
    from nats.aio.client import RawCredentials

    return RawCredentials(fleet.user().creds())


def test_a_refused_subscription_is_marked(auth_board, operated, fleet):
    _connect(auth_board, operated.url, "auth.UserCredentials(%r)", _narrow(fleet))
    auth_board("good = sub('may.x')")
    for options in ("", ", queue='q'", ", queue='r'"):
        auth_board("bad = sub('mustnot.x'%s)" % options)
        assert auth_board("bad.error is nc.last_error and bad is nc.last_error.subscription")
        assert _last_error(auth_board) == ("subscribe", "mustnot.x")
    assert auth_board("good.error") is None
    assert auth_board("nc.connected") and auth_board.events == ["connected"] + ["error"] * 3
    auth_board("sure(nc.publish('may.x', b'yes'))")
    auth_board.until("got")


def test_a_subscription_refused_while_connecting_is_told_too(auth_board, operated, fleet):
    auth_board("client(%r, auth=auth.UserCredentials(%r))", operated.url, _narrow(fleet))
    auth_board("bad = nc.subscribe('mustnot.x', keep); good = nc.subscribe('may.x', keep)")
    auth_board("nc.connect(20000)")
    assert auth_board.events == ["error", "connected"]
    assert auth_board("bad.error is nc.last_error") and auth_board("good.error") is None


def test_permissions_that_are_given_later(auth_board, start_nats_server):
    config = 'authorization { users: [{user: u, password: p, permissions: {subscribe: {allow: ["%s"]}}}] }\n'  # noqa: E501
    server = start_nats_server(config % "may.>")
    auth_board("client(%r, user='u', password='p', **%r)", server.url, _FAST)
    auth_board("one = nc.subscribe('mustnot.x', keep)")
    auth_board("nc.connect(20000)")
    assert auth_board("one.error is not None")
    server.kill()
    server.configure(config % ">")
    server.start()
    auth_board.until("nc.stats.reconnects == 1 and nc.connected")
    assert auth_board("nc.flush(20000) and one.error is None")
    auth_board("sure(nc.publish('mustnot.x', b'now'))")
    auth_board.until("got")


def test_a_board_cannot_publish_as_another(auth_board, operated, fleet):
    boards = [
        fleet.account.user(
            name, publish=["sensors.%s.>" % name], subscribe=["devices.%s.>" % name]
        )
        for name in ("a", "b")
    ]
    with Peer(operated.url, user_credentials=_creds_for_peer(fleet)) as other:
        messages = other.subscribe("sensors.>")
        _connect(auth_board, operated.url, "auth.UserCredentials(%r)", boards[0].creds().encode())
        auth_board(
            "sure(nc.publish('sensors.b.temp', b'forged')); sure(nc.publish('sensors.a.temp', b'own'))"  # noqa: E501
        )
        assert auth_board("nc.flush(20000)")
        assert messages.get(timeout=_PATIENCE_S).data == b"own"
        assert _last_error(auth_board) == ("publish", "sensors.b.temp")


# Nothing of a secret is told


def test_secrets_are_in_no_event_and_no_log(auth_board, operated, fleet, tmp_path):
    user = fleet.user(expires=time.time() - 60, issued=time.time() - 120)
    secret = user.seed.decode()
    for source in (user.creds().encode(), _file(tmp_path, user.creds())):
        text = _refused(auth_board, operated.url, "auth.UserCredentials(%r)", source)
        told = text + repr(auth_board("[repr(nc), repr(events), str(nc.last_error)]"))
        told += auth_board("repr([(name, getattr(nc, name)) for name in dir(nc)])")
        assert secret[10:20] not in told
    assert secret not in operated.log
