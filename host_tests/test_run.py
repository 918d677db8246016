"""tools/run.py from outside: what it prints, how it ends, and that it leaves nothing behind."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"
sys.path.insert(0, str(TOOLS))

import address  # noqa: E402
import settings  # noqa: E402
from simulation import Board, Child, Server  # noqa: E402
from toolchain import binary, free_port  # noqa: E402

HANGS_S = 90  # only a run that hangs takes that long

READING = re.compile(r"^ +\d+\.\d s  (board-\d)  #\d+ +temp +\d+\.\d\d °C   heap +\d+\.\d KB   uptime +\d+ s   rssi", re.M)
COMMAND = re.compile(r"^ +\d+\.\d s  (board-\d)  led on -> on, LED is lit, \d+\.\d ms$", re.M)


class Running:
    """run.py as a child, in a directory for temporary files of its own."""

    def __init__(self, folder, *options, **environment):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(TOOLS / "run.py"), *options],
            env=dict(os.environ, TMPDIR=str(folder), PYTHONUNBUFFERED="1", **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen = ""

    def read_until(self, pattern):
        while not re.search(pattern, self.seen):
            line = self.process.stdout.readline()
            assert line, f"ended without {pattern}:\n{self.seen}\n{self.process.stderr.read()}"
            self.seen += line

    def children(self):
        """Ids of its child processes, by command name."""
        table = subprocess.run(["ps", "-axwwo", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
        found = {}
        for line in table.stdout.splitlines():
            pid, parent, command = line.split(None, 2)
            if int(parent) == self.process.pid:
                found.setdefault("nats-server" if command.split()[0].endswith("nats-server") else "board", []).append(int(pid))
        return found

    def end(self):
        """End it and wait; for tests that did not get that far."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=HANGS_S)

    def finish(self):
        """Wait for the end; (exit code, what it printed, what it complained about)."""
        try:
            out, complaints = self.process.communicate(timeout=HANGS_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, self.seen + out, complaints

    def assert_nothing_left(self, children):
        assert len(children["board"]) >= 1
        for pid in [pid for pids in children.values() for pid in pids]:
            assert not is_running(pid)
        assert list(self.folder.iterdir()) == []


def is_running(pid):
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")  # one that was killed may wait to be buried


def eventually(condition):
    """Wait until `condition()` holds; only for what has to happen, however long it takes."""
    until = time.monotonic() + HANGS_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def run(folder, *options, **environment):
    return Running(folder, *options, **environment).finish()


@pytest.fixture
def start(tmp_path):
    """Starts run.py; what still runs at the end of the test is ended."""
    started = []

    def start(*options, **environment):
        started.append(Running(tmp_path, *options, **environment))
        return started[-1]

    yield start
    for running in started:
        running.end()


# What it shows


def test_two_boards_are_shown_commanded_and_summed_up(tmp_path):
    code, out, complaints = run(tmp_path, "--seconds", "3", "--devices", "2", "--period", "0.5")
    assert (code, complaints) == (0, "")
    assert "2 simulated boards with 192 KB of heap, nats-server 2." in out
    assert {"board-1", "board-2"} == set(READING.findall(out)) == set(COMMAND.findall(out))
    for name in ("board-1", "board-2"):
        assert re.search(rf"{name}  hello from a unix board, last reset: power-on", out)
        published, received, lost = map(int, re.search(rf"^{name} +(\d+) +(\d+) +(\d+) +2 of 2 ", out, re.M).groups())
        assert published == received >= 4 * 5
        assert lost == 0
    assert re.search(r"^all boards +\d+ +\d+ +0 +4 of 4 +\d+\.\d KB +\d+\.\d KB  at most$", out, re.M)


def test_one_board_is_the_default(tmp_path):
    code, out, _ = run(tmp_path, "--seconds", "1")
    assert code == 0
    assert re.search(r"^board-1 +\d+ +\d+ +0 +1 of 1 ", out, re.M)
    assert "all boards" not in out


def test_the_heap_of_a_board_does_not_grow(tmp_path):
    code, out, _ = run(tmp_path, "--seconds", "4", "--period", "0.1")
    assert code == 0
    first, last = re.search(r"^board-1 .* (\d+\.\d) KB +(\d+\.\d) KB$", out, re.M).groups()
    assert float(last) <= float(first) + 0.5


def test_many_boards_are_added_up(tmp_path):
    code, out, complaints = run(tmp_path, "--seconds", "2", "--devices", "9")
    assert (code, complaints) == (0, "")
    assert re.search(r"^ +\d+\.\d s  9 boards, \d+ readings   temp \d+\.\d\d to \d+\.\d\d °C", out, re.M)
    assert re.search(r"^ +\d+\.\d s  led on -> 9 of 9 answered and obeyed", out, re.M)
    assert "board-1" not in out
    assert re.search(r"^all boards +\d+ +\d+ +0 +9 of 9 ", out, re.M)


def test_plain_when_piped_coloured_on_a_terminal_unless_told_otherwise(tmp_path):
    assert "\033" not in run(tmp_path, "--period", "0.01")[1]
    assert "\033[1m1 simulated board" in on_terminal(tmp_path)
    assert "\033" not in on_terminal(tmp_path, NO_COLOR="1")


def on_terminal(folder, **environment):
    main, side = pty.openpty()
    command = [sys.executable, str(TOOLS / "run.py"), "--period", "0.01"]
    environment = dict(os.environ, TMPDIR=str(folder), TERM="xterm", **environment)
    process = subprocess.Popen(command, env=environment, stdout=side, stderr=side, stdin=subprocess.DEVNULL)
    os.close(side)
    text = b""
    with contextlib.suppress(OSError):  # Linux: the end of a terminal is an error
        while chunk := os.read(main, 4096):
            text += chunk
    os.close(main)
    process.wait(HANGS_S)
    return text.decode()


# How it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_its_summary(start, number):
    running = start("--devices", "2", "--period", "0.5")
    running.read_until(COMMAND)
    children = running.children()
    running.process.send_signal(number)
    code, out, complaints = running.finish()
    assert (code, complaints) == (0, "")
    assert re.search(r"^all boards +\d+ +\d+ +0 ", out, re.M)
    assert len(children["board"]) == 2 and len(children["nats-server"]) == 1
    running.assert_nothing_left(children)


def test_stopped_before_anything_arrived_is_a_failure(start):
    running = start()
    running.read_until("simulated board")
    running.process.send_signal(signal.SIGSTOP)  # hears nothing any more, then the signal first
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGCONT)
    code, out, complaints = running.finish()
    if READING.search(out):  # the board was faster than the first line
        assert "not answered" in complaints
    else:
        assert "readings from board-1" in complaints
    assert code == 1


def test_nobody_reading_the_output_ends_it(start):
    running = start("--period", "0.2")
    running.read_until(READING)
    children = running.children()
    running.process.stdout.close()
    assert running.process.wait(HANGS_S) == 1
    assert running.process.stderr.read() == ""
    running.assert_nothing_left(children)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tie a child's life to its parent's")
def test_children_go_when_it_is_killed(start):
    running = start()
    running.read_until(READING)
    children = running.children()
    running.process.kill()
    running.finish()
    for pid in children["board"] + children["nats-server"]:
        eventually(lambda pid=pid: not is_running(pid))


@pytest.mark.parametrize("victim, words", [("board", "board-1 ended; its output:"), ("nats-server", "nats-server ended")])
def test_a_child_that_ends_by_itself_is_a_failure(start, victim, words):
    running = start()
    running.read_until(COMMAND)
    children = running.children()
    os.kill(children[victim][0], signal.SIGKILL)
    code, _, complaints = running.finish()
    assert code == 1
    assert words in complaints
    running.assert_nothing_left(children)


def test_a_board_that_cannot_start_is_shown_with_its_output(tmp_path):
    code, _, complaints = run(tmp_path, "--period", "0.01", "--devices", "2")
    assert code == 1
    assert "ended" in complaints
    assert "settings.json: 1 mistake" in complaints
    assert "period_s: must be between" in complaints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "right, wrong, words",
    [
        ("lit = led(True)", "lit = True", "a command was not obeyed by board-1"),
        ('msg.respond(b"on" if lit else b"off")', "pass", "a command was not answered by board-1"),
        ("msg.respond(json.dumps(self.info()))", "pass", "no answer to info from board-1"),
        ("if not self._put(", "if channel.seq != 2 and not self._put(", "readings were lost from board-1"),
        ("channel.seq += 1", "channel.seq = 1", "readings came twice from board-1"),
    ],
)
def test_a_board_that_misbehaves_is_a_failure(tmp_path, right, wrong, words):
    root = tmp_path / "project"
    for name in ("tools", "firmware", "lib"):
        shutil.copytree(TOOLS.parent / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    replace(root / "firmware/app.py", right, wrong)
    replace(root / "tools/observer.py", "_ANSWER_S = 5", "_ANSWER_S = 1")  # for the sake of time
    command = [sys.executable, str(root / "tools/run.py"), "--seconds", "2", "--period", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S)
    assert done.returncode == 1
    assert words in done.stderr, done.stdout


def replace(path, right, wrong):
    source = path.read_text()
    assert source.count(right) == 1
    path.write_text(source.replace(right, wrong))


def test_a_heap_that_is_too_small_is_a_failure(tmp_path):
    code, _, complaints = run(tmp_path, "--heap", "40K")
    assert code == 1
    assert "MemoryError" in complaints


@pytest.mark.parametrize("wrong", [("--seconds", "0"), ("--devices", "-1"), ("--server", "http://host"), ("--seconds", "x")])
def test_a_wrong_option_is_refused(tmp_path, wrong):
    code, _, complaints = run(tmp_path, *wrong)
    assert code == 2
    assert wrong[0] in complaints


# A server that is there already


@pytest.fixture
def guarded(tmp_path):
    """A server that asks for a password; (URL without it, the password)."""
    folder = tmp_path / "guarded"
    folder.mkdir()
    options = ["--addr", "127.0.0.1", "--port", "-1", "--user", "fleet", "--pass", "kept-secret"]
    with contextlib.ExitStack() as stack:
        server = ServerWith(folder, options)
        stack.callback(server.stop)
        yield server.url.removeprefix("nats://"), "kept-secret"


class ServerWith(Server):
    def __init__(self, folder, options):
        self.name = "nats-server"
        Child.__init__(self, "nats-server", folder, [binary("nats-server"), *options, "--ports_file_dir", str(folder)])
        self.url = self._await_port()


def test_a_server_with_a_password_which_is_not_printed(tmp_path, guarded):
    host, password = guarded
    folder = tmp_path / "run"
    folder.mkdir()
    code, out, complaints = run(folder, "--server", f"nats://fleet:{password}@{host}", "--seconds", "1")
    assert (code, complaints) == (0, "")
    assert host in out
    assert password not in out and "fleet" not in out
    assert re.search(r"^sim-[0-9a-f]{6}-1 +\d+ +\d+ +0 +1 of 1 ", out, re.M)


def test_a_wrong_password_is_told_and_not_printed(tmp_path, guarded):
    host, _ = guarded
    folder = tmp_path / "run"
    folder.mkdir()
    code, out, complaints = run(folder, "--server", f"nats://fleet:mistaken@{host}")
    assert code == 1
    assert "cannot connect to " + host in complaints
    assert "authorization violation" in complaints.lower()
    assert "mistaken" not in out + complaints


def test_a_server_that_is_not_there(tmp_path):
    code, out, complaints = run(tmp_path, "--server", f"nats://someone:some-secret@127.0.0.1:{free_port()}")
    assert (code, out) == (1, "")
    assert "cannot connect to 127.0.0.1" in complaints
    assert "some-secret" not in complaints


@pytest.mark.parametrize("text", ["http://h", "nats://", "h:x", "h:0", "h:70000", "nats://h/path", "tls://h", ""])
def test_what_is_no_address(text):
    with pytest.raises(ValueError):
        address.parse(text)


def test_addresses():
    assert address.parse("h:4222") == "nats://h:4222"
    assert address.shown("nats://u:p@h:4222") == "h:4222"
    assert address.shown(address.parse("nats://[::1]:4222/")) == "[::1]:4222"
    assert address.secrets("nats://h:4222") == []
    assert set(address.secrets("nats://u:p%40q@h")) == {"u:p%40q", "u:p@q", "p%40q", "p@q"}
    assert address.secrets("nats://token@h") == ["token"]


# The simulated board


def test_the_example_of_settings_needs_no_more_than_filling_in():
    example = json.loads((TOOLS.parent / "firmware/settings.example.json").read_text())
    assert settings.check(example) == []


def test_a_board_outlives_its_network_and_its_server(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM_WIFI_AWAY", "0-0.5")
    for name in ("server", "again", "board"):
        (tmp_path / name).mkdir()
    with contextlib.ExitStack() as stack:
        server = Server(tmp_path / "server")
        stack.callback(server.stop)
        board = Board("b", tmp_path / "board", server.url, 0.2)
        stack.callback(board.stop)
        eventually(lambda: "connected" in board.tail() or board.ended is not None)
        assert re.search(r"network is away\n.*network is up\n.*connected", board.tail())
        server.stop()
        eventually(lambda: "disconnected" in board.tail() or board.ended is not None)
        port = server.url.rpartition(":")[2]
        again = ServerWith(tmp_path / "again", ["--addr", "127.0.0.1", "--port", port])
        stack.callback(again.stop)
        eventually(lambda: board.tail().count(" connected") == 2 or board.ended is not None)
        assert board.ended is None, board.tail()
