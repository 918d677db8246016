"""unats_simple: what it publishes arrives, and what goes wrong is told in time."""

import pytest

from support.hostile import HostileServer
from support.live import any_board, board, start_board, subject
from support.paths import LIB
from tools.size.source import code_lines

__all__ = ["any_board", "board", "start_board", "subject"]  # fixtures

_INFO = b'INFO {"server_id":"H","version":"2.15.1","max_payload":1048576,"headers":true}\r\n'


@pytest.fixture
def simple(any_board):
    any_board("import unats_simple")
    return any_board


def _client(board, server, more=""):
    board("simple = unats_simple.Client('127.0.0.1', %d%s)" % (server.port, more))


def test_what_it_publishes_arrives(simple, nats_server, peer, subject):
    messages = peer.subscribe(subject)
    _client(simple, nats_server)
    for code, expected in (
        ("b'21.53'", b"21.53"), ("'21.5 \\u00b0C'", "21.5 \u00b0C".encode()), ("b''", b""),
        ("bytearray(b'\\r\\nPING\\r\\n')", b"\r\nPING\r\n"), ("bytes(3000)", bytes(3000)),
    ):  # fmt: skip
        simple("simple.publish(%r, %s)" % (subject, code))
        simple("simple.flush()")
        assert messages.get(timeout=30).data == expected
    simple("simple.publish(%r, 'last')", subject)
    simple("simple.close()")
    assert messages.get(timeout=30).data == b"last"


def test_credentials(simple, start_nats_server):
    for config, right in (
        ('user: "ann", password: "s3cret"', ", user='ann', password='s3cret'"),
        ('token: "s3cret"', ", token='s3cret'"),
    ):
        server = start_nats_server("authorization { %s }\n" % config)
        _client(simple, server, right)
        simple("simple.close()")
        for wrong in ("", right.replace("s3cret", "t0psecret")):
            files = simple.files()
            error = simple.raised("unats_simple.Client('127.0.0.1', %d%s)" % (server.port, wrong))
            assert "OSError" in error.kinds and "Authorization Violation" in error.text
            assert "t0psecret" not in error.text and simple.files() == files


def test_bad_subjects_are_refused(simple, nats_server, peer):
    messages = peer.subscribe(">")
    _client(simple, nats_server)
    for bad in ("", "a b", "a\r\nPUB b 0", "a\t"):
        assert simple.raised("simple.publish(%r, b'')", bad).kinds[0] == "ValueError"
    simple("simple.publish('good', b'')")
    simple("simple.close()")
    assert messages.get(timeout=30).subject == "good"


def test_a_permissions_violation_is_told(simple, start_nats_server):
    config = "authorization { users = [{ user: u, password: p, permissions: { publish: good } }] }"
    _client(simple, start_nats_server(config + "\n"), ", user='u', password='p'")
    simple("simple.publish('bad', b'')")
    assert "Permissions Violation" in simple.raised("simple.close()").text


@pytest.mark.parametrize(
    "script", [(), (_INFO,), (_INFO, b"PING\r\n"), (b"\xff" * 9,)], ids=range(4)
)
def test_servers_that_say_nothing_more(simple, script):
    def play(connection):
        for part in script:
            connection.send(part)
        connection.hold()

    with HostileServer(play) as server:
        error = simple.raised("unats_simple.Client('127.0.0.1', %d, timeout_s=0.3)" % server.port)
        assert "OSError" in error.kinds


def test_nobody_is_there(simple):
    assert "OSError" in simple.raised("unats_simple.Client('127.0.0.1', 9)").kinds


def test_it_is_small():
    assert code_lines((LIB / "unats_simple.py").read_text()) <= 50
