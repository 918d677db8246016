"""Many messages and many connections: nothing is lost, nothing leaks."""

import ast
import subprocess
import threading

import pytest

from support.interpreters import unix_command, unix_environment
from support.live import BOARD_HEAP, other, server  # noqa: F401  fixtures
from support.paths import PROGRAMS
from support.ports import free_port

_SCRIPT = PROGRAMS / "live_endurance.py"
_COUNTS = [100000, pytest.param(1000000, marks=pytest.mark.soak)]
_CONNECTIONS = 1000
_PATIENCE_S = 120


@pytest.fixture
def run(request):
    """Starts live_endurance.py; returns once it is ready, with a function that gives what it
    found.
    """

    def start(what, url, count):
        process = subprocess.Popen(
            unix_command(_SCRIPT, what, url, count, heapsize=BOARD_HEAP),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=unix_environment(),
            text=True,
        )
        watchdog = threading.Timer(_PATIENCE_S, process.kill)
        watchdog.start()

        def end():
            process.kill()
            process.wait()
            watchdog.cancel()
            process.stdin.close()
            process.stdout.close()

        request.addfinalizer(end)
        first = process.stdout.readline()
        assert first == "ready\n", first + process.stdout.read()

        def result():
            said, _ = process.communicate("go\n")
            assert process.returncode == 0, said
            return ast.literal_eval(said)

        return result

    return start


@pytest.mark.parametrize("count", _COUNTS)
def test_many_messages_to_the_board(run, server, other, count):
    result = run("receive", server.url, count)

    async def publish():
        for i in range(100):
            await other.nc.publish("warm", b"%d" % i)
        for i in range(count):
            await other.nc.publish("numbers", b"%d" % i)
        await other.nc.flush(timeout=_PATIENCE_S)

    other.run(publish())
    assert result() == {"count": count, "wrong": 0, "used": 0, "total": 0, "files": 0}


@pytest.mark.parametrize("count", _COUNTS)
def test_many_messages_from_the_board(run, server, other, count):
    seen = []
    done = threading.Event()

    async def take(msg):
        seen.append(int(msg.data))
        if len(seen) == count:
            done.set()

    subscription = other.run(other.nc.subscribe("numbers", cb=take, pending_msgs_limit=count))
    other.flush()
    found = run("send", server.url, count)()
    assert found == {"count": count, "flushed": True, "used": 0, "total": 0, "files": 0}
    assert done.wait(_PATIENCE_S)
    other.run(subscription.unsubscribe())
    assert seen == list(range(count))


def test_a_thousand_clients_leave_nothing_behind(run, server):
    found = run("clients", server.url, _CONNECTIONS)()
    assert (found["count"], found["wrong"], found["files"]) == (_CONNECTIONS, 0, 0)
    assert found["used"] <= 128  # the list of what was seen


def test_a_thousand_reconnects_leave_nothing_behind(run, hostile_server):
    server = hostile_server(lambda c: c.handshake())
    found = run("reconnects", server.url, _CONNECTIONS)()
    assert found["count"] >= _CONNECTIONS and found["reconnects"] >= _CONNECTIONS - 1
    assert found["files"] == 0
    assert found["used"] <= 128


@pytest.mark.parametrize("how", ["refused", "closed", "refuses us", "breaks the protocol"])
def test_a_thousand_failures_leave_nothing_behind(run, hostile_server, how):
    scripts = {
        "closed": lambda c: None,
        "refuses us": lambda c: (
            c.send(b"INFO {}\r\n"),
            c.until(b"PING\r\n"),
            c.send(b"-ERR 'Authorization Violation'\r\n"),
        ),
        "breaks the protocol": lambda c: (c.send(b"INFO {}\r\nMSG a -1 -1\r\n"), c.hold()),
    }
    if how == "refused":
        url = "nats://127.0.0.1:%d" % free_port()
    else:
        url = hostile_server(scripts[how]).url
    found = run("failures", url, _CONNECTIONS)()
    assert found["count"] >= _CONNECTIONS
    assert found["files"] == 0
    assert found["used"] <= 128
