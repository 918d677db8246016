"""Every command of every README is run as it stands there, in a copy of the project.

Put in its place are only: the board's port by that of a stand-in board, addresses and ports by
free ones on loopback, and for what takes minutes an argument that has it say what it would do.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from fake_board import FakeBoard
from support.nats_server import NatsServer
from support.ports import free_port
from support.serial_line import SerialLine
from support.terminal import Terminal
from support.web import Web
from tools import package, readme, toolchain
from tools.toolchain import ROOT

_PATIENCE_S = 120
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMENT = re.compile(r"  +# .*")
_PROGRAMS = ("make", "build/", "mpremote", "cp ", "MICROPYPATH=", "UNATS", "nats ")
_MADE = ("base", "bench", "valgrind", "page", "browser")
_MAKE = f"make -o lint {' '.join(f'-o build/{name}.stamp' for name in _MADE)} "
_COLLECT = "--collect-only -q -n 0"

# NATS' own command line, which is no part of this project.
_FOREIGN = {
    "nats micro ls board", "nats micro stats board", "nats micro ls",
    "nats stream add READINGS --subjects 'sensors.>' --defaults",
}  # fmt: skip
# What is no command, but begins like one.
_NAMES = {"build/", "make", "mpremote", "build/dist/unats-VERSION"}


def commands(text):
    """The commands of a README: of blocks without a language, and of its prose."""
    found, spans, block = [], [], None
    for line in text.splitlines():
        if line.strip().startswith("```"):
            block = None if block is not None else [line.strip()]
        elif block is None:
            spans += _INLINE.findall(line)
        elif block[0] == "```":
            block.append(line)
            if len(block) > 2 and found and found[-1].count('"') % 2:
                found[-1] += "\n" + line  # it goes on
            elif block[1].strip().startswith(_PROGRAMS):
                found.append(_COMMENT.sub("", line).strip())
    for span in spans:
        if span.startswith(_PROGRAMS) and span not in _NAMES and "OWNER" not in span:
            found.append(span)
    return [command for command in dict.fromkeys(found) if command not in _FOREIGN]


READMES = {
    path.relative_to(ROOT).as_posix(): commands(path.read_text()) for path in readme.readmes()
}


class User:
    """Somebody with a clone, a board, and a server. `values`: what is theirs in a command."""

    def __init__(self, folder):
        self.root = folder / "project"
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
            capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        for name in names:
            if (ROOT / name).exists():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        (self.root / "build").mkdir()
        for path in toolchain.BUILD.iterdir():
            if path.name not in ("dist", "plain"):
                (self.root / "build" / path.name).symlink_to(path)
        self.flash = folder / "flash"
        self.flash.mkdir()
        self.values = []
        self._env = dict(os.environ, UNATS="")
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def enter(self, context):
        return self._stack.enter_context(context)

    def mine(self, command):
        """The command with what is theirs in it."""
        for theirs, mine in self.values:
            command = command.replace(theirs, mine)
        return re.sub(r"\bmake ", _MAKE, command)

    def run(self, command):
        """Run it to its end, which has to be a good one; what it says."""
        if re.fullmatch(r"[A-Z]+=\S+", command):  # for the commands behind it
            name, value = self.mine(command).split("=", 1)
            self._env[name] = value
            return ""
        done = subprocess.run(
            ["bash", "-c", self.mine(command)], cwd=self.root, env=self._env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def start(self, command, text):
        """Run it until it says this; it goes on until the end of the test, or `stop`."""
        process = subprocess.Popen(
            ["bash", "-c", "exec " + self.mine(command)] if "=" not in command.split()[0]
            else ["bash", "-c", self.mine(command)],
            cwd=self.root, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._stack.callback(self.stop, process)
        said = [""]
        reader = threading.Thread(target=lambda: said.extend(process.stdout), daemon=True)
        reader.start()
        until = time.monotonic() + _PATIENCE_S
        while text not in "".join(said):
            assert reader.is_alive() and time.monotonic() < until, (command, said)
            time.sleep(0.05)
        process.said, process.reader = said, reader
        return process

    def stop(self, process):
        """Ctrl-C; all that it has said."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if hasattr(process, "reader"):
            process.reader.join(_PATIENCE_S)
            return "".join(process.said)
        return ""


@pytest.fixture
def user(tmp_path):
    with User(tmp_path) as user:
        yield user


@pytest.fixture
def take(user):
    """Takes a README's commands one by one, so that each is seen to be run. Targets alone, of
    which the prose tells, need not be taken: that there are such ones is all that is looked at.
    """
    left = []

    def begin(name):
        left.extend(READMES[name])

        def one(start):
            found = [c for c in left if c == start] or [c for c in left if c.startswith(start)]
            command = found[0] if found else None
            assert command is not None, f"{name} has no command {start!r} any more"
            left.remove(command)
            return command

        return one

    yield begin
    targets = [command for command in left if re.fullmatch(r"make [a-z]+", command)]
    for target in targets:
        user.run(target.replace("make", "make -n"))
        left.remove(target)
    assert not left, f"no test runs {left}: add them here"


def fill_in(user, **fields):
    """The settings, as somebody fills them in."""
    path = user.root / "firmware/settings.json"
    values = json.loads(path.read_text())
    values.update(wifi_ssid="lab", wifi_password="long enough", period_s=0.5, **fields)
    path.write_text(json.dumps(values))


def test_the_first_readme(user, take):
    one = take("README.md")
    run = user.start(one("make run"), "LED is lit")
    assert "in stream" in user.stop(run) and "run: " not in user.stop(run)
    user.run(one("make test").replace("make", "make -n"))
    user.run(one("make env"))
    port = free_port()
    user.values = [("nats-server", f"nats-server -a 127.0.0.1 -p {port}"), ("4222", str(port))]
    user.start(one("build/venv/bin/nats-server"), "Server is ready")
    user.run(one("cp firmware"))
    fill_in(user, server=f"nats://127.0.0.1:{port}", device="greenhouse-7", outbox="none")
    with FakeBoard(toolchain.binary("micropython"), user.flash) as board:
        user.values += [("/dev/ttyACM0", board.port)]
        assert "are on the board" in user.run(one("make deploy PORT"))
        user.start(one("MICROPYPATH=lib"), "sensors.greenhouse-7.")
        see(user, board, one("make repl"))
        url = user.enter(Web(user.root)).url + "/"
        user.values += [
            ("github:OWNER/REPOSITORY", url),
            ("mip install", f"connect {board.port} mip install --target lib"),
        ]
        user.run(one("UNATS="))
        shutil.rmtree(user.flash / "lib")
        assert "Done" in user.run(one("build/venv/bin/mpremote mip install $UNATS"))
        assert (user.flash / "lib/unats/client.py").exists()
        shutil.rmtree(user.flash / "lib")
        user.run(one("make dist"))
        last = one("build/venv/bin/mpremote mip install --index")
        assert f"unats-{package.version()}" in last
        assert "Done" in user.run(last)
        assert (user.flash / "lib/unats/kernels.mpy").exists()
    for start in ("make run SECONDS=10", "make run DEVICES=5"):
        user.run(one(start).replace("make", "make -n"))


def see(user, board, command):
    """The board's prompt, on a terminal, until Ctrl-X."""
    command = user.mine(command)
    terminal = Terminal(["bash", "-c", command], user.root, typed=True)
    terminal.read_until("Connected to MicroPython")
    time.sleep(0.5)
    terminal.write(b"\x18")
    assert terminal.finish() == 0


def test_the_readme_of_tools(user, take):
    one = take("tools/README.md")
    port = free_port()
    user.run("cp firmware/settings.example.json firmware/settings.json")
    fill_in(user, device="greenhouse-7")
    user.values = [("192.168.1.10", "127.0.0.1")]
    user.run(one("make fleet DEVICES"))
    for path in (user.root / "fleet").rglob("*"):
        if path.is_file() and path.suffix in (".json", ".conf", ".creds"):
            path.write_text(path.read_text().replace("4222", str(port)))
    server = user.start(one("build/venv/bin/nats-server -c"), "Server is ready")
    watch = user.start(
        one("build/venv/bin/python -m tools.fleet.provision watch"), "takes readings"
    )
    with FakeBoard(toolchain.binary("micropython"), user.flash) as board:
        user.values += [("/dev/ttyACM0", board.port)]
        user.run(one("make deploy PORT=/dev/ttyACM0"))
        user.run(one("make credentials"))
        assert "greenhouse-7.creds" in os.listdir(user.flash)
        user.run(one("make deploy PORT=/dev/ttyACM0 DEVICE"))
        answer = user.run(one("build/venv/bin/python -m tools.fleet.provision ask"))
        assert answer.strip() in ("on", "off")
    user.stop(watch)
    look_after(user, one)
    user.run(one("build/venv/bin/python -m tools.fleet.provision add"))
    assert (user.root / "fleet/devices/greenhouse-9.creds").exists()
    for verb in ("renew", "revoke", "server"):
        user.run(one("build/venv/bin/python -m tools.fleet.provision " + verb))
    user.stop(server)
    with SerialLine() as first, SerialLine() as second, NatsServer() as nats:
        user.values = [
            ("/dev/ttyACM0", first.computer), ("/dev/ttyUSB0", second.computer),
            ("nats://192.168.1.10:4222", nats.url),
        ]  # fmt: skip
        user.start(one("make bridge"), second.computer + "  open; waiting for the board")
    user.values = []
    for command in ("make help", "build/venv/bin/python -m tools.deploy --help", "make package"):
        user.run(one(command))
    user.values = [("heap", "heap --help")]
    user.run(one("build/venv/bin/python -m tools.run.heap"))
    user.run(one("make size ARGS=--write").replace("make", "make -n"))


def look_after(user, one):
    """The fleet, whose board has gone: what waits for one is told so."""
    fleet = "build/venv/bin/python -m tools.fleet "
    assert "has what boards need" in user.run(one(fleet + "setup"))
    assert "greenhouse-7  away" in user.run(one(fleet + "status"))
    user.values += [("period_s=5 sensors.heap=false", "period_s=5 --wait 0.1 || true")]
    user.run(one(fleet + "config set"))
    assert "period_s" in user.run(one(fleet + "config get"))
    user.values += [("config unset greenhouse-7", "config unset --wait 0.1 greenhouse-7")]
    user.run(one(fleet + "config unset") + " || true")
    user.run(one(fleet + "logs"))
    user.values += [("make update", "make -n update")]
    user.run(one("make update DEVICE"))
    user.run(one("make update STAGES"))
    for gate in ("web", "mqtt"):
        user.run(one("build/venv/bin/python -m tools.fleet.provision admit " + gate))
    user.values += [("make web", "make -n web")]
    user.run(one("make web"))
    user.run(one("make web"))


def test_the_readme_of_the_tests(user, take):
    """These run the suite that this is a part of: so what they would run is looked at."""
    one = take("host_tests/README.md")
    user.values = [("-m pytest", f"-m pytest {_COLLECT}")]
    assert "test_kernels" in user.run(one("build/venv/bin/python -m pytest"))
    user.values = [("=number", "=5"), ("make", "make -n")]
    for start in (
        "make test ARGS=\"-k 'test_kernels and plain'", 'make test ARGS="-k test_kernels',
        "make test ARGS=\"-k 'test_kernels and unix'",
        "make test ARGS=\"-k 'test_kernels and wasm32'", "UNATS_SEED=number make soak",
    ):  # fmt: skip
        assert "pytest" in user.run(one(start))


def test_the_readmes_of_lib_and_firmware(user, take):
    one = take("lib/unats/DESIGN.md")
    user.run(one("make size ARGS=--write").replace("make", "make -n"))
    one = take("lib/unats/README.md")
    user.values = [("nkey", "nkey --help")]
    user.run(one("build/venv/bin/python -m tools.bench.nkey"))
    assert one("make bridge") in READMES["lib/unats/README.md"]  # as in that of tools
    one = take("firmware/README.md")
    user.values = [("heap", "heap --help")]
    assert "--parts" in user.run(one("build/venv/bin/python -m tools.run.heap"))
    assert one("make deploy SOURCES=1") == "make deploy SOURCES=1"  # ... and the first one
    one = take("lib/unats/jetstream/README.md")


def test_no_readme_is_forgotten():
    tried = {
        "README.md", "tools/README.md", "host_tests/README.md", "lib/unats/README.md",
        "lib/unats/DESIGN.md", "lib/unats/jetstream/README.md", "firmware/README.md",
    }  # fmt: skip
    assert {name for name, found in READMES.items() if found} == tried
