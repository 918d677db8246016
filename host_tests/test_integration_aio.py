"""The client under asyncio, MicroPython's and CPython's, against a real server."""

import ast
import os
import subprocess
import sys

import pytest

from support.interpreters import unix_command, unix_environment
from support.nats_server import NatsServer
from support.paths import DEVICE_PATH, LIB, PROGRAMS, SHIM
from support.ports import free_port
from tools.toolchain import plain_lib

_PROGRAM = PROGRAMS / "live_aio.py"


def _names():
    tree = ast.parse(_PROGRAM.read_text())
    found = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
    return sorted(name.removeprefix("check_") for name in found if name.startswith("check_"))


def _start(interpreter, url):
    if interpreter == "cpython":
        path = os.pathsep.join(map(str, (LIB, SHIM, *DEVICE_PATH)))
        command, env = [sys.executable, _PROGRAM, url], dict(os.environ, PYTHONPATH=path)
    else:
        lib = plain_lib() if interpreter == "plain" else LIB
        command, env = unix_command(_PROGRAM, url), unix_environment(lib)
    return subprocess.Popen(
        list(map(str, command)), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "interpreter, scheme",
    [("cpython", "nats"), ("unix", "nats"), ("plain", "nats"), ("cpython", "ws"), ("unix", "ws")],
)
def test_all_of_it(interpreter, scheme):
    """Each check of the program's, among them a server that is killed."""
    said = []
    port = free_port()
    config = 'websocket { listen: "127.0.0.1:%d", no_tls: true }\n' % port
    with NatsServer(config, jetstream=True) as server:
        board = _start(interpreter, server.url if scheme == "nats" else "ws://127.0.0.1:%d" % port)
        try:
            for line in board.stdout:
                said.append(line.rstrip())
                if said[-1] == "kill":
                    server.kill()
                elif said[-1] == "start":
                    server.start()
        finally:
            board.kill()
            board.wait()
            board.stdout.close()
    assert said == [
        line
        for name in _names()
        for line in ["kill", "start"] * (name == "a_server_that_is_killed") + [name + " ok"]
    ], "\n".join(said)
