"""A serial line by two pseudo-terminals, with faults between them, and the bridge at its end."""

import contextlib
import os
import pty
import queue
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tty

from .paths import ROOT

_PATIENCE_S = 60
_MOST_BYTES = 4096


class SerialLine:
    """`board` and `computer`: the paths of its two ends, which stay the same. `chances`: how
    likely a byte is "lost", "altered", or has "noise" before it, either way, by seed. `passed`:
    bytes that came out at the other end, towards "board" and "computer"; `hurt`: faults so far.
    """

    def __init__(self, seed=0):
        self._folder = tempfile.TemporaryDirectory(prefix="unats-line-")
        self.board = os.path.join(self._folder.name, "board")
        self.computer = os.path.join(self._folder.name, "computer")
        self._random = random.Random(seed)
        self.chances = {}
        self.passed = {"board": 0, "computer": 0}
        self.hurt = 0
        self._ends = {}
        self._lock = threading.Lock()
        self._over = False
        for name in ("board", "computer"):
            self._open(name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join()
        for name in list(self._ends):
            self._close(name)
        self._folder.cleanup()

    def _open(self, name):
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        os.symlink(os.ttyname(theirs), getattr(self, name))
        self._ends[name] = ours, theirs  # kept open: else whoever closes it last ends the line

    def _close(self, name):
        os.unlink(getattr(self, name))
        for fd in self._ends.pop(name):
            os.close(fd)

    def unplug(self):
        """The computer's port goes away."""
        with self._lock:
            self._close("computer")

    def plug(self):
        """It is there again."""
        with self._lock:
            self._open("computer")

    def _run(self):
        while not self._over:
            with self._lock:
                self._turn()
            time.sleep(0.0005)

    def _turn(self):
        ours = {fds[0]: name for name, fds in self._ends.items()}
        for fd in select.select(list(ours), [], [], 0)[0]:
            with contextlib.suppress(OSError):
                self._pass(
                    "board" if ours[fd] == "computer" else "computer", os.read(fd, _MOST_BYTES)
                )

    def _pass(self, name, data):
        data = self._hurt(data)
        if name not in self._ends:
            return
        fd = self._ends[name][0]
        self.passed[name] += len(data)
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                time.sleep(0.001)
                if self._over:
                    return

    def _hurt(self, data):
        if not any(self.chances.values()):
            return data
        out = bytearray()
        for c in data:
            draw = self._random.random
            if draw() < self.chances.get("noise", 0):
                out += self._random.randbytes(self._random.randrange(1, 20))
                self.hurt += 1
            if draw() < self.chances.get("lost", 0):
                self.hurt += 1
                continue
            if draw() < self.chances.get("altered", 0):
                c ^= 1 << self._random.randrange(8)
                self.hurt += 1
            out.append(c)
        return bytes(out)


class Bridge:
    """tools.bridge as a process; a context manager. `said`: its lines so far."""

    def __init__(self, lines, server, *options):
        self._ports = [line.computer for line in lines]
        self._server = server
        self._options = options
        self.said = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        command = [sys.executable, "-m", "tools.bridge", "--server", self._server]
        self._process = subprocess.Popen(
            [*command, *self._options, *self._ports], cwd=ROOT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.said.append(line)
            self._lines.put(line)
        self._process.stdout.close()

    def says(self, text):
        """Wait until it prints a line with this text, after those that were waited for."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                raise AssertionError((text, self.said)) from None
            if text in line:
                return line

    def stop(self, number=signal.SIGTERM):
        """End it; its exit code."""
        self._process.send_signal(number)
        code = self._process.wait(_PATIENCE_S)
        self._reader.join()
        return code

    def kill(self):
        self.stop(signal.SIGKILL)
