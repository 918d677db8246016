"""Simulated boards and a server of our own: child processes that never outlive this one.

Each child runs in a session of its own, so that Ctrl-C in the terminal reaches this program only,
which can then still ask the boards for their figures before it ends them, each by its id.
"""

import ctypes
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tools.toolchain import LIB, ROOT, ToolError, binary

# A board has 110 KB (ESP32) to 190 KB (Pico) of heap for Python, and runs what `make deploy`
# puts on it. Words have 64 bits here and heap blocks 32 bytes, twice what a board has; with 32-bit
# words the client takes 0.64 of what it takes here (`make size`): 192 KB are about 123 KB there.
# `python -m tools.run.heap` says what would do.
HEAP = "192K"
SOURCES_HEAP = "212K"  # of one that compiles its modules itself

# With TLS and an identity there are two modules more, and for each signature three others are
# loaded for the moment. (The buffers of TLS are not in this heap, here as on an ESP32; on a Pico
# they take up to 40 KB of it.)
SECURE_HEAP = "240K"

# With presence, configuration from afar, logs and updates.
FLEET_HEAP = "320K"

MARCH = "x64" if platform.machine() == "x86_64" else None  # what kernels are compiled for

_FIRMWARE = ROOT / "firmware"
_STOP_S = 3
_SERVER_START_S = 20
_TAIL_LINES = 12
_RESET = 3  # exit code of a board that was reset, see firmware/boards/unix.py

# Where the server listens. Not among the ports that systems give to outgoing connections (Linux:
# from 32768 on): while the server is away one of its own boards could get its port, or even
# connect to itself.
_PORTS = range(10000, 32000)
_PORTS_TO_TRY = 10
_PORT_TAKEN = "address already in use"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent():
    """Runs in the child: have Linux end it if this program is killed without a chance to."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A child process whose output goes to a file in `folder`."""

    def __init__(self, name, folder, command, env=None):
        self.name = name
        self.folder = Path(folder)
        self._log = self.folder / "output.log"
        self._command = command
        self._env = env
        self.start()

    def start(self):
        """Start it, or start it again after its end; its folder is as it has left it."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if _libc else None,  # noqa: PLW1509  calls libc only
            )

    @property
    def pid(self):
        return self._process.pid

    @property
    def ended(self):
        """The exit code, or None while it runs."""
        return self._process.poll()

    def output(self):
        """All that it printed."""
        return self._log.read_text(errors="replace")

    def tail(self):
        """The last lines that it printed."""
        text = self.output()
        return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:])

    def ask_to_stop(self):
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self):
        """End it without a chance to do anything, as a power cut does."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds):
        """Wait until it has ended by itself; ToolError if it takes longer than that."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"{self.name} did not end within {seconds} s:\n{self.tail()}"
            ) from None

    def stop(self):
        """End it, by force if it takes too long, and wait until it is gone."""
        self.ask_to_stop()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server(Child):
    """A nats-server on loopback, with JetStream if `jetstream`; `url` says where.

    `options`: further words of its command line. `port`: one that is given, instead of a free one.
    After `kill` it can be started `again`, with what it had stored.
    """

    def __init__(self, folder, *options, port=None, jetstream=False):
        self._options = [*options, "--ports_file_dir", str(folder)]
        if jetstream:
            self._options += ["--jetstream", "--store_dir", str(Path(folder) / "store")]
        ports = [port] if port else random.sample(_PORTS, _PORTS_TO_TRY)
        while not self._starts(folder, ports.pop()):
            if not ports:
                raise ToolError(f"nats-server did not start:\n{self.tail()}")

    def _starts(self, folder, port):
        """Whether it listens at the port; False if somebody else does."""
        command = [
            binary("nats-server"),
            "--addr",
            "127.0.0.1",
            "--port",
            str(port),
            *self._options,
        ]
        super().__init__("nats-server", folder, command)
        self.url = f"nats://127.0.0.1:{port}"
        return self._await()

    def _await(self):
        ports = self.folder / f"nats-server_{self.pid}.ports"
        deadline = time.monotonic() + _SERVER_START_S
        try:
            while self.ended is None and time.monotonic() < deadline:
                if ports.exists():  # it writes this file once it listens
                    return True
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        if self.ended is not None and _PORT_TAKEN in self.tail():
            return False
        self.stop()
        raise ToolError(f"nats-server did not start:\n{self.tail()}")

    def again(self):
        """Start it again, at the same port."""
        self.start()
        if not self._await():
            raise ToolError(f"nats-server did not start again:\n{self.tail()}")


class Board(Child):
    """The application as it is, on MicroPython's Unix port with the heap of a board.

    `settings`: further fields of its settings.json. Its folder is the board's flash. `code`: a
    folder with what `make deploy` copies onto a board, instead of the sources here.
    """

    def __init__(self, name, folder, server, heap=None, code=None, **settings):
        folder = Path(folder)
        settings = {"server": server, "device": name, **settings}
        with open(
            os.open(folder / "settings.json", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w"
        ) as file:
            json.dump(settings, file)
        path = f"{code}/lib:{code}" if code else f"{LIB}:{_FIRMWARE}"
        env = dict(os.environ, MICROPYPATH=f"{path}:.frozen")
        self._asleep = folder / "asleep"
        start = str(Path(__file__).with_name("power_on.py")), str(code or _FIRMWARE)
        heap = heap or (HEAP if code else SOURCES_HEAP)
        command = [binary("micropython"), "-X", f"heapsize={heap}", *start]
        super().__init__(name, folder, command, env)

    @property
    def asleep_s(self):
        """For how many seconds it sleeps from its end on; None if it has not ended asleep."""
        if self.ended != 0 or not self._asleep.exists():
            return None
        return int(self._asleep.read_text()) / 1000

    @property
    def was_reset(self):
        """Whether it has ended to be started again, which is up to whoever simulates it."""
        return self.ended == _RESET

    def start(self):
        self._asleep.unlink(missing_ok=True)
        super().start()

    @property
    def lit(self):
        """Whether the LED is lit, as one who looks at the board sees it."""
        return (self.folder / "led").read_text() == "1"
