"""The tests' own tools: servers that really start and die, interpreters that really report."""

import queue
import re
import signal
import socket
import time

import pytest

from support.interpreters import run_micropython, run_plain, run_suite, run_wasm32
from support.nats_server import NatsServer
from support.paths import LIB
from support.proxy import Proxy
from test_device_suites import count, interpreters
from tools import toolchain
from tools.toolchain import plain_lib, strip_native


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


class _Through:
    """A connection through a proxy to a listener: `client` and `server`, the proxy between."""

    def __init__(self, proxy, listener):
        self.client = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        self.server, _ = listener.accept()
        self.server.settimeout(10)
        while not proxy.in_use:
            time.sleep(0.01)

    def closed(self):
        self.client.close()
        self.server.close()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


@pytest.fixture
def proxy(listener):
    with Proxy(listener.getsockname()[1]) as proxy:
        yield proxy


def test_proxy_passes_holds_and_swallows(proxy, listener):
    line = _Through(proxy, listener)
    line.client.sendall(b"one")
    assert line.server.recv(100) == b"one"
    proxy.up.hold(after=2)
    line.client.sendall(b"12345")
    assert line.server.recv(100) == b"12"
    proxy.up.until_held()
    line.server.sendall(b"down goes on")
    assert line.client.recv(100) == b"down goes on"
    proxy.up.let_pass()
    assert line.server.recv(100) == b"345"
    proxy.down.swallow()
    line.server.sendall(b"lost")
    line.client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        line.client.recv(100)
    line.closed()


def test_proxy_delays_and_cuts_into_single_bytes(proxy, listener, monkeypatch):
    slept = []
    monkeypatch.setattr("support.proxy.time.sleep", slept.append)
    line = _Through(proxy, listener)
    slept.clear()
    proxy.up.delay, proxy.up.fragment = 0.25, 1
    line.client.sendall(b"0123456789")
    assert line.server.makefile("rb").read(10) == b"0123456789"
    assert set(slept) == {0.25}
    line.closed()


def test_proxy_half_closes(proxy, listener):
    line = _Through(proxy, listener)
    proxy.half_close()
    assert line.client.recv(100) == b""
    line.server.sendall(b"not heard any more")
    line.client.sendall(b"still heard")
    assert line.server.recv(100) == b"still heard"
    line.closed()


@pytest.mark.parametrize("reset", [False, True])
def test_proxy_cuts(proxy, listener, reset):
    line = _Through(proxy, listener)
    assert proxy.in_use
    proxy.cut(reset)
    if reset:
        with pytest.raises(ConnectionResetError):
            line.client.recv(100)
    else:
        assert line.client.recv(100) == b""
    assert not proxy.in_use
    line.closed()


def test_proxy_leaves_its_port_and_comes_back_to_it(proxy, listener):
    for _ in range(3):
        proxy.leave()
        with pytest.raises(ConnectionRefusedError):
            _Through(proxy, listener)
        proxy.come_back()
        line = _Through(proxy, listener)
        line.client.sendall(b"x")
        assert line.server.recv(100) == b"x"
        line.closed()


def test_proxy_vanishes_and_comes_back(proxy, listener):
    proxy.vanish()
    inside = []
    with pytest.raises(TimeoutError):
        for _ in range(3):  # there is room for one if what filled the backlog was just accepted
            inside.append(socket.create_connection(("127.0.0.1", proxy.port), timeout=0.5))
    for client in inside:
        client.close()
    proxy.come_back()
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    client.sendall(b"x")
    while _heard(listener) != b"x":  # it fails by its time-out
        pass
    client.close()


def _heard(listener):
    """What the next connection says; the one that filled the backlog says nothing."""
    server, _ = listener.accept()
    with server:
        server.settimeout(10)
        return server.recv(100)


def test_unix_port_runs_scripts_with_arguments_and_reports_their_end(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, unats, unittest\nprint(sys.argv[1:])\nsys.exit(int(sys.argv[1]))"
    )
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
    with pytest.raises(AssertionError, match=r"(?s)no end.*begun"):
        run_micropython("-c", "print('begun')\nwhile True: pass", timeout_s=2)


def test_wasm_port_has_32_bit_words_and_reports_the_end_of_scripts(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("import sys, unittest, unats.errors\nx = sys.maxsize\nprint(sys.argv[1:])")
    two.write_text("print(x)\nsys.exit(4)")
    result = run_wasm32(one, two, "--", "a b")
    assert (result.code, result.output) == (4, "['a b']\n2147483647\n")
    one.write_text("1 / 0")
    failed = run_wasm32(one, two)
    assert (
        failed.code == 1
        and "ZeroDivisionError" in failed.output
        and "NameError" not in failed.output
    )
    assert run_wasm32("--no-such-option").code == 2


def test_decorators_for_machine_code_are_taken_out_and_lines_stay():
    source = (
        "@micropython.viper\n@viper  # fast\n    @micropython.native\n@native\ndef f(): pass\n"
    )
    assert strip_native(source) == "\n\n    \n\ndef f(): pass\n"
    kept = "# @micropython.viper\n@micropython.viper_or_so\n@staticmethod\nx = '@native'\n"
    assert strip_native(kept) == kept


def test_both_ports_get_the_same_plain_library(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print(open('/lib/unats/kernels.py').read(), end='')")
    assert run_wasm32(script).check() == (plain_lib() / "unats/kernels.py").read_text()


def test_the_plain_library_is_what_lib_is(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "LIB", tmp_path / "lib")
    monkeypatch.setattr(toolchain, "BUILD", tmp_path)
    package = tmp_path / "lib" / "unats"
    (package / "auth").mkdir(parents=True)
    (package / "kernels.py").write_text("@micropython.viper\ndef f(): pass\n")
    (package / "auth/nkey.py").write_text("def sign(): pass\n")
    make = plain_lib.__wrapped__  # as the next process does
    assert (make() / "unats/kernels.py").read_text() == "\ndef f(): pass\n"
    assert (make() / "unats/auth/nkey.py").exists()
    (package / "auth/nkey.py").rename(package / "auth/ed25519.py")
    (package / "kernels.py").write_text("def g(): pass\n")
    assert (make() / "unats/kernels.py").read_text() == "def g(): pass\n"
    assert [path.name for path in (make() / "unats/auth").iterdir()] == ["ed25519.py"]


# A function in machine code has no name to show.
_MACHINE_CODE = """
import unats.kernels
print(sum(repr(getattr(unats.kernels, name)) == "<function>" for name in %r))
"""


def test_the_plain_flavour_has_no_machine_code(tmp_path):
    script = tmp_path / "script.py"
    functions = re.findall(r"^def (\w+)", (LIB / "unats/kernels.py").read_text(), re.MULTILINE)
    script.write_text(_MACHINE_CODE % functions)
    assert int(run_micropython(script).check()) > 0
    assert run_plain(script).check() == run_wasm32(script).check() == "0\n"


_SUITE = """
import unittest
class T(unittest.TestCase):
    def test_a(self):
        pass
    def test_b(self):
        self.assertEqual(1, %d)
unittest.main()
"""


@pytest.mark.parametrize("run", [run_micropython, run_plain, run_wasm32])
@pytest.mark.parametrize("value, code, ran", [(1, 0, 2), (2, 1, 0)])
def test_suites_fail_and_pass_by_their_exit_code(run, value, code, ran, tmp_path):
    path = tmp_path / "suite.py"
    path.write_text(_SUITE % value)
    result = run(path)
    assert (result.code, count(result.output)) == (code, (ran, 0)), repr(result)


@pytest.mark.parametrize("interpreter", ["unix", "plain", "wasm32"])
def test_a_suite_that_is_missing_fails(interpreter):
    result = run_suite("test_no_such_suite", interpreter)
    assert result.code == 1 and "ImportError" in result.output


def test_suites_say_what_they_need():
    everywhere = ["unix", "plain", "wasm32"]
    assert interpreters("import a\nNEEDS_SOCKETS = True\n") == ["unix", "plain"]
    assert interpreters("NEEDS_SOCKETS = False\nNEEDS_VIPER = True\n") == ["unix"]
    assert interpreters("import a\nNEEDS_SOCKETS = False\n") == everywhere
    assert interpreters("def f():\n    NEEDS_SOCKETS = True\n") == everywhere
    with pytest.raises(AssertionError, match="NEEDS_A_MIRACLE"):
        interpreters("NEEDS_A_MIRACLE = True\n")


def test_tests_that_ran_and_were_skipped_are_counted():
    assert count("test_a ... ok\nRan 12 tests\n") == (12, 0)
    assert count("Ran 3 tests (2 skipped)\n") == (3, 2)
    assert count("AssertionError\n") == (0, 0)
