"""Where the interpreters, compilers and servers are, and the few things every tool does with them.

Everything lives under `build/` (made by `make env`); `UNATS_BUILD` names another such folder.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIB = ROOT / "lib"
PACKAGE = LIB / "unats"
BUILD = Path(os.environ.get("UNATS_BUILD", ROOT / "build"))
PEERS = BUILD / "peers"
WASM = BUILD / "npm/node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs"

# Decorators that ask for machine code; wasm.mjs takes out the same.
_NATIVE = re.compile(r"^([ \t]*)@(micropython\.)?(viper|native)[ \t]*(#.*)?$", re.MULTILINE)
_SERVER_START_S = 20


class ToolError(Exception):
    """Something the user has to know: printed without a traceback."""


def binary(name):
    """Path of a command of the project's environment; ToolError when it is missing."""
    for folder in (Path(sys.executable).parent, BUILD / "venv/bin"):
        if (folder / name).exists():
            return str(folder / name)
    raise ToolError(f"{name} is not in {BUILD}/venv: run `make env` first")


def node():
    """Path of Node.js, the environment's own or the machine's (a link that `make env` left)."""
    if not (BUILD / "npm/node").exists():
        raise ToolError(f"{BUILD}/npm/node is missing: run `make env` first")
    return str(BUILD / "npm/node")


def wasm_port():
    """Path of the 32-bit MicroPython (WebAssembly port); ToolError when it is missing."""
    if not WASM.exists():
        raise ToolError(f"{WASM} is missing: run `make env` first")
    return str(WASM)


def library(package=PACKAGE):
    """The library's files as mip and boards name them: ["unats/__init__.py", ...], in order."""
    return sorted(
        f"unats/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")
    )


def valgrind():
    """(command line, environment) of valgrind, the machine's or the one in build/."""
    if shutil.which("valgrind"):
        return ["valgrind"], {}
    own = BUILD / "valgrind/usr"
    if not (own / "bin/valgrind").exists():
        raise ToolError(f"valgrind is not on the PATH and not in {BUILD}: run `make bench`")
    # Debian has moved its parts about once.
    (folder,) = {path.parent for path in own.glob("lib*/**/callgrind-*-linux")}
    return [str(own / "bin/valgrind")], {"VALGRIND_LIB": str(folder)}


def strip_native(source):
    """Source without the viper and native decorators: what a port without an emitter runs.

    The numbers of the lines stay.
    """
    return _NATIVE.sub(r"\1", source)


@functools.cache
def plain_lib():
    """Path of lib/ in the plain flavour, without machine code: a copy in build/.

    It is brought up to date here, which several may do at a time.
    """
    target = BUILD / "plain"
    wanted = {target / path.relative_to(LIB): path for path in LIB.rglob("*.py")}
    for copy, path in wanted.items():
        source = strip_native(path.read_text())
        if not copy.exists() or copy.read_text() != source:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=copy.parent, delete=False) as draft:
                draft.write(source)
            os.replace(draft.name, copy)
    for copy in target.rglob("*.py"):
        if copy not in wanted:
            copy.unlink(missing_ok=True)
    return target


def mpy_cross_version():
    """(major, sub) of the .mpy format that mpy-cross emits, and its own version line."""
    command = [binary("mpy-cross"), "--version"]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    major, sub = re.search(r"mpy v(\d+)\.(\d+)", line).groups()
    return (int(major), int(sub)), line


def compile_mpy(source, name, march=None):
    """The .mpy of `source` (text) as bytes.

    With `march` its kernels are machine code, without it bytecode. `name` is the file's name in
    the tracebacks on the board. What was compiled before is kept in build/compiled.
    """
    compiler = Path(binary("mpy-cross")).resolve()
    what = source, name, march, str(compiler), compiler.stat().st_mtime_ns
    kept = BUILD / "compiled" / hashlib.sha256(repr(what).encode()).hexdigest()
    with contextlib.suppress(OSError):
        return kept.read_bytes()
    code = _compile(compiler, source, name, march)
    with contextlib.suppress(OSError):  # it need not be kept
        kept.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(code)
        os.replace(file.name, kept)
    return code


def _compile(compiler, source, name, march):
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "module.py", Path(folder) / "module.mpy"
        path.write_text(source if march else strip_native(source))
        command = [str(compiler), "-s", name, "-o", str(out), str(path)]
        if march:
            command.insert(1, f"-march={march}")
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ToolError(f"mpy-cross refused {name}: {done.stderr.strip()}")
        return out.read_bytes()


def put(path, content):
    """Write a file (bytes), and make the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def free_port():
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A nats-server of our own on loopback, ended by id when the `with` block ends.

    `mqtt=True` adds the MQTT listener (which needs JetStream and a server name). `.port`,
    `.mqtt_port` and `.monitor_port` say where it listens.
    """

    def __init__(self, mqtt=False):
        self.mqtt = mqtt
        self.port, self.mqtt_port, self.monitor_port = free_port(), free_port(), free_port()

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        config = [f'host: "127.0.0.1"\nport: {self.port}\nhttp: "127.0.0.1:{self.monitor_port}"\n']
        if self.mqtt:
            config.append(f'server_name: "bench"\njetstream {{ store_dir: "{folder}/store" }}\n')
            config.append(f'mqtt {{ listen: "127.0.0.1:{self.mqtt_port}" }}\n')
        (folder / "server.conf").write_text("".join(config))
        self._log = open(folder / "log", "w+")
        self._process = subprocess.Popen(
            [binary("nats-server"), "-c", str(folder / "server.conf")],
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._await()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._log.close()
        self._stack.close()

    def _await(self):
        deadline = time.monotonic() + _SERVER_START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if json.loads(self._get("/healthz")).get("status") == "ok":
                    return
            except OSError:
                time.sleep(0.02)
        self._log.seek(0)
        raise ToolError(f"nats-server did not start:\n{self._log.read()}")

    def _get(self, path):
        url = f"http://127.0.0.1:{self.monitor_port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()

    def messages_in(self):
        """How many messages the server has taken from clients so far."""
        return json.loads(self._get("/varz"))["in_msgs"]
