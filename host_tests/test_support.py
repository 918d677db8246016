"""The tests' own tools: servers that really start and die, interpreters that really report."""

import queue
import signal
import socket

import pytest

from support.interpreters import run_micropython, run_suite, run_wasm32
from support.nats_server import NatsServer
from test_device_suites import count, runs_on_wasm32


def _first_line(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        return s.makefile("rb").readline()


def test_server_accepts_once_started_and_is_gone_once_killed(nats_server):
    assert _first_line(nats_server.port).startswith(b"INFO {")
    nats_server.kill()
    assert not nats_server.running
    with pytest.raises(ConnectionRefusedError):
        _first_line(nats_server.port)


def test_server_restarts_on_its_port_with_its_streams(start_nats_server):
    server = start_nats_server(jetstream=True)
    port, pid = server.port, server.pid
    assert b'"jetstream":true' in _first_line(port)
    server.restart()
    assert (server.port, server.pid != pid) == (port, True)
    assert (server.folder / "jetstream").exists()
    assert _first_line(port).startswith(b"INFO {")


def test_a_frozen_server_can_be_ended(start_nats_server):
    server = start_nats_server()
    server.signal(signal.SIGSTOP)
    server.kill()
    assert not server.running


def test_server_takes_a_configuration(start_nats_server):
    server = start_nats_server('server_name: "greta"\nauthorization { token: "s3" }\n')
    line = _first_line(server.port)
    assert b'"server_name":"greta"' in line and b'"auth_required":true' in line


def test_server_that_cannot_start_says_why():
    server = NatsServer("nonsense: {")
    with pytest.raises(AssertionError, match="did not start"):
        server.start()
    server.stop()
    assert not server.folder.exists()


def test_a_taken_port_is_left_for_another_one(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1]]
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
        monkeypatch.setattr("support.nats_server.free_port", lambda: ports.pop(0))
        with NatsServer() as server:
            assert server.port != taken.getsockname()[1]
            assert _first_line(server.port).startswith(b"INFO {")


def test_two_servers_at_once(start_nats_server):
    assert start_nats_server().port != start_nats_server().port


def test_peer_publishes_subscribes_and_requests(peer):
    messages = peer.subscribe("a.*")
    peer.publish("a.b", b"hi", headers={"K": "v"})
    msg = messages.get(timeout=30)
    assert (msg.subject, msg.data, msg.headers) == ("a.b", b"hi", {"K": "v"})
    peer.respond("ask", lambda msg: msg.data.upper())
    assert peer.request("ask", b"x").data == b"X"
    with pytest.raises(queue.Empty):
        messages.get_nowait()


def test_hostile_server_plays_one_script_per_connection(hostile_server):
    def first(c):
        c.send(b"one")
        c.until(b"\r\n")
        c.send_each(b"two")
        c.hold()

    def others(c):
        c.until(b"\n")
        c.reset()

    server = hostile_server(first, others)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        stream = s.makefile("rb")
        assert stream.read(3) == b"one"
        s.sendall(b"x\r\ny")
        assert stream.read(3) == b"two"
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
            s.sendall(b"\n")
            with pytest.raises(ConnectionResetError):
                s.recv(1)
    assert server.connections[0].received.startswith(b"x\r\n")
    assert len(server.connections) == 3


def test_hostile_server_reports_a_script_that_fails(hostile_server):
    from support.hostile import HostileServer

    def broken(c):
        raise AssertionError("the script's own")

    with pytest.raises(AssertionError, match="the script's own"):
        with HostileServer(broken) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
                s.recv(1)


def test_unix_port_runs_scripts_with_arguments_and_reports_their_end(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys, unats, unittest\nprint(sys.argv[1:])\nsys.exit(int(sys.argv[1]))")
    assert run_micropython(script, 0, "b c").check() == "['0', 'b c']\n"
    assert run_micropython(script, 3).code == 3
    with pytest.raises(AssertionError, match="b c"):
        run_micropython(script, 1, "b c").check()


def test_unix_port_keeps_to_its_heap():
    code = "bytearray(100000)"
    assert run_micropython("-c", code, heapsize="1M").code == 0
    failed = run_micropython("-c", code, heapsize="64K")
    assert failed.code == 1 and "MemoryError" in failed.output


def test_an_interpreter_that_hangs_is_ended_with_what_it_said():
    with pytest.raises(AssertionError, match="(?s)no end.*begun"):
        run_micropython("-c", "print('begun')\nwhile True: pass", timeout_s=2)


def test_wasm_port_has_32_bit_words_and_reports_the_end_of_scripts(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("import sys, unittest, unats.errors\nx = sys.maxsize\nprint(sys.argv[1:])")
    two.write_text("print(x)\nsys.exit(4)")
    result = run_wasm32(one, two, "--", "a b")
    assert (result.code, result.output) == (4, "['a b']\n2147483647\n")
    one.write_text("1 / 0")
    failed = run_wasm32(one, two)
    assert failed.code == 1 and "ZeroDivisionError" in failed.output and "NameError" not in failed.output
    assert run_wasm32("--no-such-option").code == 2


_SUITE = """
import unittest
class T(unittest.TestCase):
    def test_a(self):
        pass
    def test_b(self):
        self.assertEqual(1, %d)
unittest.main()
"""


@pytest.mark.parametrize("run", [run_micropython, run_wasm32])
@pytest.mark.parametrize("value, code, ran", [(1, 0, 2), (2, 1, 0)])
def test_suites_fail_and_pass_by_their_exit_code(run, value, code, ran, tmp_path):
    path = tmp_path / "suite.py"
    path.write_text(_SUITE % value)
    result = run(path)
    assert (result.code, count(result.output)) == (code, (ran, 0)), repr(result)


@pytest.mark.parametrize("interpreter", ["unix", "wasm32"])
def test_a_suite_that_is_missing_fails(interpreter):
    result = run_suite("test_no_such_suite", interpreter)
    assert result.code == 1 and "ImportError" in result.output


def test_suites_say_what_they_need():
    assert not runs_on_wasm32("import a\nNEEDS_SOCKETS = True\n")
    assert not runs_on_wasm32("NEEDS_SOCKETS = False\nNEEDS_VIPER = True\n")
    assert runs_on_wasm32("import a\nNEEDS_SOCKETS = False\n")
    assert runs_on_wasm32("def f():\n    NEEDS_SOCKETS = True\n")


def test_tests_that_ran_and_were_skipped_are_counted():
    assert count("test_a ... ok\nRan 12 tests\n") == (12, 0)
    assert count("Ran 3 tests (2 skipped)\n") == (3, 2)
    assert count("AssertionError\n") == (0, 0)
