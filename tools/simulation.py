"""Simulated boards and a server of our own: child processes that never outlive this one.

Each child runs in a session of its own, so that Ctrl-C in the terminal reaches this program only,
which can then still ask the boards for their figures before it ends them, each by its id.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from toolchain import LIB, ROOT, ToolError, binary

# A board has 110 KB (ESP32) to 190 KB (Pico) of heap for Python. Words have 64 bits here and heap
# blocks 32 bytes, twice what a board has; with 32-bit words the client takes 0.7 of what it takes
# here (`make size`). So 192 KB here are about 135 KB there, in the lower half of what boards have.
# Most of it is needed for a moment only: when the client is compiled from .py at the start.
HEAP = "192K"

_FIRMWARE = ROOT / "firmware"
_STOP_S = 3
_SERVER_START_S = 20
_TAIL_LINES = 12

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
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if _libc else None,
            )

    @property
    def pid(self):
        return self._process.pid

    @property
    def ended(self):
        """The exit code, or None while it runs."""
        return self._process.poll()

    def tail(self):
        """The last lines that it printed."""
        text = self._log.read_text(errors="replace")
        return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:])

    def ask_to_stop(self):
        if self._process.poll() is None:
            self._process.terminate()

    def stop(self):
        """End it, by force if it takes too long, and wait until it is gone."""
        self.ask_to_stop()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server(Child):
    """A nats-server on a free port of loopback; `url` says where."""

    def __init__(self, folder):
        folder = Path(folder)
        command = [binary("nats-server"), "--addr", "127.0.0.1", "--port", "-1"]
        super().__init__("nats-server", folder, [*command, "--ports_file_dir", str(folder)])
        try:
            self.url = self._await_port()
        except BaseException:
            self.stop()
            raise

    def _await_port(self):
        ports = self.folder / f"nats-server_{self.pid}.ports"
        deadline = time.monotonic() + _SERVER_START_S
        while self.ended is None and time.monotonic() < deadline:
            try:
                return json.loads(ports.read_text())["nats"][0]
            except (OSError, ValueError):  # not there yet, or not written to its end
                time.sleep(0.02)
        raise ToolError(f"nats-server did not start:\n{self.tail()}")


class Board(Child):
    """firmware/main.py, as it is, on MicroPython's Unix port with the heap of a board."""

    def __init__(self, name, folder, server, period_s, heap=HEAP):
        folder = Path(folder)
        settings = {"server": server, "device": name, "period_s": period_s}
        with open(os.open(folder / "settings.json", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            json.dump(settings, file)
        env = dict(os.environ, MICROPYPATH=f"{LIB}:{_FIRMWARE}:.frozen")
        command = [binary("micropython"), "-X", f"heapsize={heap}", str(_FIRMWARE / "main.py")]
        super().__init__(name, folder, command, env)

    @property
    def lit(self):
        """Whether the LED is lit, as one who looks at the board sees it."""
        return (self.folder / "led").read_text() == "1"
