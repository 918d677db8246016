"""Boards as processes that a test commands, and what the integration tests share.

board.connect(server.url)
board("nc.publish(%r, %r)", subject, b"21.53")     # done when it returns; the value comes back
board.start("until(lambda: got)")                  # goes on meanwhile, until
board.result()
"""

import ast
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from .interpreters import unix_command, unix_environment
from .nats_server import NatsServer
from .paths import LIB, PROGRAMS, SHIM
from .peer import Peer

# As much as the simulated boards of `make run` have; there is its reason too.
BOARD_HEAP = "192K"
PATIENCE_S = 60

_numbers = itertools.count()


class BoardError(Exception):
    """What a command raised on the board: `kinds`, its class and its bases by name, and `text`."""

    def __init__(self, kinds, text, said):
        super().__init__("%s: %s\n%s" % (kinds[0], text, said))
        self.kinds = kinds
        self.text = text


class Board:
    """live_board.py on MicroPython's Unix port ("micropython"), or on CPython's
    shim ("cpython").
    """

    def __init__(self, interpreter="micropython", heapsize=BOARD_HEAP):
        script = str(PROGRAMS / "live_board.py")
        if interpreter == "micropython":
            command, environment = unix_command(script, heapsize=heapsize), unix_environment()
        else:
            command = [sys.executable, "-u", script]
            environment = dict(os.environ, PYTHONPATH=":".join(map(str, (SHIM, LIB))))
        self.interpreter = interpreter
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="backslashreplace",
        )
        self._due = False  # an answer is
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def start(self, code, *values):
        """Have the board run the code, with values put in for its %r; `result`
        waits for the end.
        """
        code = code % values if values else code
        try:
            compile(code, "", "eval")
            how = "eval"
        except SyntaxError:
            how = "exec"
        self._process.stdin.write(repr((how, code)) + "\n")
        self._process.stdin.flush()
        self._due = True

    @property
    def busy(self):
        """Whether what was started goes on, and has said nothing."""
        return self._lines.empty()

    def result(self):
        """The value of the expression that was started; BoardError if it raised."""
        said = ""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError("the board does not answer\n%s" % said) from None
            self._due = not line.startswith(("= ", "! "))
            if line.startswith("= "):
                return ast.literal_eval(line[2:])
            if line.startswith("! "):
                raise BoardError(*ast.literal_eval(line[2:]), said)
            said += line
            assert line, "the board has died: %s\n%s" % (self._process.wait(), said)

    def __call__(self, code, *values):
        self.start(code, *values)
        return self.result()

    def raised(self, code, *values):
        """The BoardError of code that must raise."""
        with pytest.raises(BoardError) as caught:
            self(code, *values)
        return caught.value

    def connect(self, url, **options):
        self("connect(%r, **%r)" % (url, options))

    def until(self, condition):
        """Let the board poll until the expression is true."""
        self("until(lambda: %s)" % condition)

    @property
    def events(self):
        """The names of the client's events so far."""
        return self("names()")

    def files(self):
        """How many files and sockets the process has open."""
        return len(os.listdir("/proc/%d/fd" % self._process.pid))

    def kill(self):
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        if self._due:
            self.kill()  # nobody waits for that
        self._process.stdin.close()  # ends its loop
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


def eventually(condition, what="what is waited for does not come", every_s=0.005):
    """What `condition()` gives once it is true, looked at so often, however long that takes;
    AssertionError, in the end.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, what
        time.sleep(every_s)


def seldom(condition, what="what is waited for does not come"):
    """As `eventually`, for what takes seconds, and costs something to be looked at."""
    return eventually(condition, what, 0.1)


def pattern(n):
    """As live_board.pattern."""
    return (bytes(range(251)) * (n // 251 + 1))[:n]


def monitoring(server, path):
    """What the server says on its monitoring port; its configuration must have MONITORED."""
    ports = json.loads((server.folder / ("nats-server_%d.ports" % server.pid)).read_text())
    with urllib.request.urlopen(ports["monitoring"][0] + "/" + path, timeout=PATIENCE_S) as answer:
        return json.load(answer)


MONITORED = 'http: "127.0.0.1:-1"\n'


def connection(server, name):
    """What the server knows of the open connection with this name, or None."""
    found = [
        c for c in monitoring(server, "connz?subs=detail")["connections"] if c.get("name") == name
    ]
    assert len(found) < 2
    return found[0] if found else None


def subscriptions(server, name):
    """The subjects that this connection is subscribed to, each with what the
    server counts down.
    """
    details = connection(server, name).get("subscriptions_list_detail", [])
    return {detail["subject"]: detail.get("max", 0) for detail in details}


@pytest.fixture
def start_board(request):
    """Starts Boards; each ends with the test."""

    def start(*args, **options):
        board = Board(*args, **options)
        request.addfinalizer(board.stop)
        return board

    return start


@pytest.fixture
def board():
    """A Board on MicroPython."""
    board = Board()
    yield board
    board.stop()


@pytest.fixture(params=["micropython", "cpython"])
def any_board(request):
    """A Board on MicroPython and one on CPython, for what is cheap enough."""
    board = Board(request.param)
    yield board
    board.stop()


@pytest.fixture(scope="module")
def server():
    """A running NatsServer that the module's tests share: they leave it as it is."""
    with NatsServer(MONITORED) as server:
        yield server


@pytest.fixture(scope="module")
def other(server):
    """The other side, the official Python client, on `server`."""
    with Peer(server.url) as peer:
        yield peer


@pytest.fixture
def subject():
    """A subject that no other test uses."""
    return "test.%d" % next(_numbers)
