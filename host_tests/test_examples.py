"""Each program of lib/examples, as it stands there but for its constants, with a real server."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time

import pytest
from nats.js.api import ObjectStoreConfig, StreamConfig

from support.certificates import Authority, tls_config
from support.interpreters import unix_command, unix_environment
from support.nats_server import NatsServer
from support.paths import LIB, SHIM
from support.peer import Peer
from support.ports import free_port
from support.serial_line import Bridge, SerialLine
from tools import readme
from tools.fleet import nats_jwt
from tools.size.source import code_lines

_PATIENCE_S = 60
_RUN = "import micropython, runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
_EXAMPLES = sorted(path.stem for path in (LIB / "examples").glob("*.py"))


class Program:
    """A running example; ends with the `with` block."""

    def __init__(self, name, interpreter, folder, constants):
        text = (LIB / "examples" / (name + ".py")).read_text()
        for constant, value in constants.items():
            text, n = re.subn(
                "^%s = .*$" % constant, "%s = %r" % (constant, value), text, flags=re.M
            )
            assert n == 1, constant
        script = folder / (name + ".py")
        script.write_text(text)
        if interpreter == "unix":
            command, env = unix_command(script), unix_environment()
        else:
            command = [sys.executable, "-u", "-c", _RUN, script]
            env = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, (LIB, SHIM))))
        self._process = subprocess.Popen(
            list(map(str, command)), env=env, cwd=folder, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def says(self, *texts):
        """Wait until it has printed lines with these texts, in this order."""
        said = []
        for text in texts:
            while not said or text not in said[-1]:
                line = self._process.stdout.readline()
                assert line, (text, said)
                said.append(line)

    def ends(self):
        """What it prints to its end."""
        said = self._process.communicate(timeout=_PATIENCE_S)[0]
        assert self._process.returncode == 0, said
        return said


@pytest.fixture(scope="module")
def server():
    config = 'websocket { listen: "127.0.0.1:%d", no_tls: true }\n'
    port = free_port()
    with NatsServer(config % port, jetstream=True) as server:
        server.ws = "ws://127.0.0.1:%d" % port
        yield server


@pytest.fixture(scope="module")
def peer(server):
    with Peer(server.url) as peer:
        yield peer


@pytest.fixture(params=["unix", "cpython"])
def run(request, tmp_path, server):
    """Starts an example, with the server's URL."""
    with contextlib.ExitStack() as stack:

        def start(name, **constants):
            if "HOST" not in constants:
                constants.setdefault("SERVER", server.url)
            return stack.enter_context(Program(name, request.param, tmp_path, constants))

        yield start


def _request(peer, subject, data, timeout_s=_PATIENCE_S):
    """Ask until somebody answers."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return peer.request(subject, data, timeout=2).data
        except Exception:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_board(run, peer):
    messages = peer.subscribe("sensors.greenhouse-7.temp")
    program = run("board")
    assert messages.get(timeout=_PATIENCE_S).data == b"21.53"
    for data, text in ((b"1", "led 1"), (b"abc", "failed"), (b"0", "led 0")):
        peer.publish("devices.greenhouse-7.led", data)
        program.says(text)


def test_publish(run, peer):
    messages = peer.subscribe("sensors.greenhouse-7.temp")
    run("publish")
    first = json.loads(messages.get(timeout=_PATIENCE_S).data)
    assert messages.get(timeout=_PATIENCE_S).data == b'{"t":21.53,"n":%d}' % (first["n"] + 1)


def test_subscribe(run, peer):
    program = run("subscribe")
    program.says("connected")
    for data, text in ((b"1", "led on"), (b"abc", "failed"), (b"0", "led off")):
        peer.publish("devices.greenhouse-7.led", data)
        program.says(text)


def test_request_reply(run):
    said = run("request_reply").ends()
    assert "68 F are 20 C" in said and "nobody knows kelvin" in said


def test_tls_credentials(run, tmp_path):
    user = nats_jwt.User(None, "board")
    authority = Authority(tmp_path)
    (tmp_path / "board.nk").write_bytes(user.seed)
    config = tls_config(authority.issue("localhost", "127.0.0.1"))
    config += "authorization { users = [{nkey: %s}] }\n" % user.public
    with NatsServer(config) as server:
        url = "tls://localhost:%d" % server.port
        program = run(
            "tls_credentials", SERVER=url, CA=authority.der, SEED=str(tmp_path / "board.nk")
        )
        assert "confirmed: True" in program.ends()


def test_outbox_sleep(run, peer, tmp_path):
    js = peer.nc.jetstream()
    peer.run(js.add_stream(StreamConfig(name="READINGS", subjects=["sensors.>"])))
    try:
        folder = str(tmp_path / "outbox")
        nobody = "nats://127.0.0.1:%d" % free_port()
        assert "1 wait in flash" in run("outbox_sleep", SERVER=nobody, FOLDER=folder).ends()
        assert "the stream has all of it" in run("outbox_sleep", FOLDER=folder).ends()
        assert peer.run(js.stream_info("READINGS")).state.messages == 2
    finally:
        peer.run(js.delete_stream("READINGS"))


def test_kv_config(run, peer):
    js = peer.nc.jetstream()
    program = run("kv_config")
    program.says("all there is now")
    try:
        peer.run(peer.run(js.key_value("config")).put("greenhouse-7.period_s", b"20"))
        program.says("changed: {'period_s': 20}")
    finally:
        peer.run(js.delete_key_value("config"))


def test_object_download(run, peer, tmp_path):
    js = peer.nc.jetstream()
    store = peer.run(js.create_object_store("files", ObjectStoreConfig()))
    try:
        data = os.urandom(50000)
        peer.run(store.put("firmware.bin", data))
        path = tmp_path / "firmware.bin"
        assert "firmware.bin 50000" in run("object_download", PATH=str(path)).ends()
        assert path.read_bytes() == data
    finally:
        peer.run(js.delete_object_store("files"))


def test_service(run, peer):
    program = run("service")
    program.says("service")
    assert _request(peer, "divide", b"[7, 2]") == b"3"
    assert peer.request("divide", b"[7, 0]").headers["Nats-Service-Error-Code"] == "400"
    assert b"calculator" in _request(peer, "$SRV.PING", b"")


def test_asyncio_echo(run, peer):
    messages = peer.subscribe("sensors.greenhouse-7.count")
    program = run("asyncio_echo")
    for n in (1, 2):
        assert messages.get(timeout=_PATIENCE_S).data == b"%d" % n
    assert _request(peer, "echo", b"hi") == b"hi"
    assert _request(peer, "echo", b"stop") == b"stop"
    assert program.ends() == ""


def test_over_websocket(run, server):
    assert "confirmed: True" in run("over_websocket", SERVER=server.ws + "/nats").ends()


def test_over_serial(server):
    """Over standard input and output, as a board's USB port is: what it prints goes there too."""
    with SerialLine() as line, Bridge([line], server.url) as bridge:
        with open(line.board, "r+b", 0) as port:
            command = unix_command(LIB / "examples/over_serial.py")
            program = subprocess.Popen(command, env=unix_environment(), stdin=port, stdout=port)
        try:
            bridge.says("board: confirmed: True")
            assert program.wait(_PATIENCE_S) == 0
        finally:
            program.kill()
            program.wait()


def test_wake_and_publish(run, server, peer):
    messages = peer.subscribe("sensors.greenhouse-7.temp")
    assert run("wake_and_publish", HOST="127.0.0.1", PORT=server.port).ends() == "sent\n"
    assert messages.get(timeout=_PATIENCE_S).data == b"21.53"
    said = run("wake_and_publish", HOST="127.0.0.1", PORT=free_port()).ends()
    assert said.startswith("not sent")


def test_on_a_computer_with_nothing_installed(tmp_path, server, peer):
    """In a virtual environment that is new and empty."""
    messages = peer.subscribe("sensors.gateway.temp")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    text = (LIB / "examples/on_a_computer.py").read_text()
    text = text.replace('"/opt/unats"', repr(str(LIB.parent)))
    text = text.replace('"nats://192.168.1.10:4222"', repr(server.url))
    (tmp_path / "program.py").write_text(text)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        [tmp_path / "venv/bin/python", "program.py"], cwd=tmp_path, env=env, check=True,
        capture_output=True, text=True, timeout=_PATIENCE_S,
    ).stdout  # fmt: skip
    assert said == "confirmed: True\n"
    assert messages.get(timeout=_PATIENCE_S).data == b"21.53"


def test_readmes_show_each_as_it_is():
    for path in readme.readmes():
        assert readme.filled(path.read_text()) == path.read_text(), "make package writes it anew"
    assert readme.shown() == {"lib/examples/%s.py" % name for name in _EXAMPLES}


@pytest.mark.parametrize("name", _EXAMPLES)
def test_each_is_short_and_has_a_test(name):
    text = (LIB / "examples" / (name + ".py")).read_text()
    assert code_lines(text) <= 40
    assert any(test.startswith("test_" + name) for test in globals())
