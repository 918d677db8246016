"""Runs a program on a terminal of its own, and sees what it draws there."""

import contextlib
import os
import pty
import re
import subprocess
import time

HANGS_S = 120
COLUMNS = 80


class Terminal:
    """A program on a terminal of 80 columns. `text`: all that it has drawn so far. typed: whether
    it reads from there, too, what `write` types.
    """

    def __init__(self, command, cwd, typed=False, **environment):
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS), **environment}
        self._fd, side = pty.openpty()
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            env=environment,
            stdin=side if typed else subprocess.DEVNULL,
            stdout=side,
            stderr=side,
        )
        os.close(side)
        self._bytes = b""

    @property
    def text(self):
        return self._bytes.decode(errors="replace")

    @property
    def lines(self):
        """What was drawn, line by line, without colours and the like."""
        drawn = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", self.text)
        return re.split(r"[\r\n]+", drawn)

    def _read(self):
        with contextlib.suppress(OSError):  # Linux: the end of a terminal is an error
            chunk = os.read(self._fd, 4096)
            self._bytes += chunk
            return bool(chunk)
        return False

    def read_until(self, pattern):
        """Wait for a line that has this."""
        deadline = time.monotonic() + HANGS_S
        while not re.search(pattern, "\n".join(self.lines)):
            assert self._read() and time.monotonic() < deadline, self.text

    def write(self, keys):
        os.write(self._fd, keys)

    def finish(self):
        """Wait for the end; the exit code."""
        while self._read():
            pass
        os.close(self._fd)
        return self.process.wait(HANGS_S)
