"""`make run` from outside: what it prints, how it ends, and that it leaves nothing behind."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

import settings
from support.paths import ROOT
from support.terminal import COLUMNS, Terminal
from tools.run import address, observer
from tools.run import run as run_tool
from tools.run.simulation import HEAP, SECURE_HEAP, Board, Server
from tools.run.stream import Record
from tools.toolchain import BUILD, free_port

RUN = [sys.executable, "-m", "tools.run"]
HANGS_S = 90  # only a run that hangs takes that long

READING = re.compile(
    r"^ +\d+\.\d s  (board-\d)  #\d+ +"
    r"temp +\d+\.\d\d °C   heap +\d+\.\d KB   uptime +\d+ s   rssi",
    re.M,
)
COMMAND = re.compile(r"^ +\d+\.\d s  (board-\d)  led on -> on, LED is lit, \d+\.\d ms$", re.M)


class Running:
    """run.py as a child, in a directory for temporary files of its own."""

    def __init__(self, folder, *options, **environment):
        self.folder = folder
        self.process = subprocess.Popen(
            [*RUN, *options],
            cwd=ROOT,
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
        table = subprocess.run(
            ["ps", "-axwwo", "pid=,ppid=,command="], capture_output=True, text=True, check=True
        )
        found = {}
        for line in table.stdout.splitlines():
            pid, parent, command = line.split(None, 2)
            if int(parent) == self.process.pid:
                found.setdefault(
                    "nats-server" if command.split()[0].endswith("nats-server") else "board", []
                ).append(int(pid))
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
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")  # one that was killed may wait to be buried


def eventually(condition):
    """Wait until `condition()` holds; only for what has to happen, however long it takes."""
    until = time.monotonic() + HANGS_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def summary(out, name):
    """(published, received, in the stream, lost, commands) of this line of the table."""
    found = re.search(rf"^{name} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+ of \d+) ", out, re.M)
    assert found, out
    return *map(int, found.groups()[:4]), found[5]


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
    assert f"2 simulated boards with {HEAP[:-1]} KB of heap, nats-server 2." in out
    assert {"board-1", "board-2"} == set(READING.findall(out)) == set(COMMAND.findall(out))
    for name in ("board-1", "board-2"):
        assert re.search(rf"{name}  hello from a unix board, last reset: power-on", out)
        published, received, stored, lost, commands = summary(out, name)
        assert published == received == stored >= 4 * 5
        assert (lost, commands) == (0, "2 of 2")
    assert re.search(r"^all boards +\d+ +\d+ +\d+ +0 +4 of 4 +\d+\.\d KB +\d+\.\d KB$", out, re.M)


def test_secure_boards_are_who_they_are_over_an_outage(tmp_path):
    code, out, complaints = run(
        tmp_path, "--secure", "--seconds", "6", "--devices", "2", "--period", "0.5"
    )
    assert (code, complaints) == (0, "")
    assert (
        f"2 simulated boards with {SECURE_HEAP[:-1]} KB of heap" in out
        and "TLS, and an identity for each" in out
    )
    for attempt in (
        "publishes as board-2",
        "listens to the commands for board-2",
        "has the server answer to board-2",
    ):
        assert re.search(rf" s +board-1 {attempt}.* -> refused: ", out)
    assert "all boards are back" in out
    assert "5 of 5 attempts to cheat were refused." in out
    for name in ("board-1", "board-2"):
        published, _, stored, lost, _ = summary(out, name)
        assert published == stored >= 4 * 5 and lost == 0
    assert not re.search(r"S[OAU][A-Z2-7]{56}|eyJ", out)
    assert list(tmp_path.iterdir()) == []


def test_one_board_is_the_default(tmp_path):
    code, out, _ = run(tmp_path, "--seconds", "1")
    assert code == 0
    assert summary(out, "board-1")[3:] == (0, "1 of 1")
    assert "all boards" not in out


def test_with_a_page_for_which_a_fleet_is_looked_after(start):
    running = start("--seconds", "45", "--web", "--devices", "2", "--outage", "5")
    running.read_until(r"In a browser: http")
    url = re.search(r"In a browser: (\S+)", running.seen)[1]
    with urllib.request.urlopen(url, timeout=HANGS_S) as answer:
        assert b"unats fleet" in answer.read()
    with urllib.request.urlopen(url + "fleet.json", timeout=HANGS_S) as answer:
        assert json.load(answer)["server"].startswith("ws://127.0.0.1:")
    code, out, errors = running.finish()
    assert (code, errors) == (0, ""), out
    told = [
        "a setting for all boards: period_s is 0.5 on each, ",
        "board-1  refuses period_s=-1: must be between",
        "board-2  is killed",
        "board-2  is missed, ",
        "board-2  is there again",
        "the server is killed",
        "all boards are back",
        "stage 1: 1 of 2 boards",
        "board-1  0.2.1: it ended twice before it was confirmed: ValueError: this version",
        "the update has stopped: board-1 did not take version 0.2.1",
        "all boards run version 0.2.0 as before",
        "stage 1: 1 of 2 boards",
        "board-1  confirmed",
        "stage 2: 1 of 2 boards",
        "board-2  confirmed",
        "all 2 boards run version 0.2.2",
    ]
    assert re.search(".*".join(map(re.escape, told)), out, re.S), out
    published, _, stored, lost, _ = summary(out, "all boards")
    assert (stored, lost) == (published, 0)


def test_a_signal_ends_what_is_acted_out(start):
    running = start("--seconds", "45", "--web", "--devices", "2")
    running.read_until("board-2  is killed")
    running.process.send_signal(signal.SIGINT)
    code, out, errors = running.finish()
    assert (code, errors) == (0, ""), out
    assert "board-2  is missed" not in out and summary(out, "all boards")[3] == 0


def test_what_is_acted_out_takes_its_time(tmp_path):
    code, out, _ = run(tmp_path, "--seconds", "2", "--web")
    assert code == 0
    assert "(Nothing is acted out for the page: that takes a run of 45 s.)" in out
    assert "period_s" not in out


def test_the_heap_of_a_board_does_not_grow(tmp_path):
    code, out, _ = run(tmp_path, "--seconds", "4", "--period", "0.1")
    assert code == 0
    first, last = re.search(r"^board-1 .* (\d+\.\d) KB +(\d+\.\d) KB$", out, re.M).groups()
    assert float(last) <= float(first) + 0.5


def test_many_boards_are_added_up(tmp_path):
    code, out, complaints = run(tmp_path, "--seconds", "6", "--devices", "9")
    assert (code, complaints) == (0, "")
    assert re.search(
        r"^ +\d+\.\d s  9 boards, \d+ readings   temp \d+\.\d\d to \d+\.\d\d °C", out, re.M
    )
    assert re.search(r"^ +\d+\.\d s  led on -> 9 of 9 answered and obeyed", out, re.M)
    assert re.search(r"^ +\d+\.\d s  all boards are back, \d+\.\d s later$", out, re.M)
    assert "board-1" not in out
    published, _, stored, lost, _ = summary(out, "all boards")
    assert (stored, lost) == (published, 0)


def test_plain_when_piped_coloured_on_a_terminal_unless_told_otherwise(tmp_path):
    assert "\033" not in run(tmp_path, "--seconds", "1")[1]
    assert "\033[1m1 simulated board" in on_terminal(tmp_path).text
    assert "\033" not in on_terminal(tmp_path, NO_COLOR="1").text


def test_on_a_terminal_of_80_columns_nothing_wraps_and_a_table_shows_the_last_values(tmp_path):
    terminal = Terminal([*RUN, "--outage", "3", "--devices", "2"], ROOT, TMPDIR=str(tmp_path))
    terminal.read_until(r"board-1 .* away")
    terminal.read_until(r"board-1 .* no\. 2")
    terminal.process.send_signal(signal.SIGINT)
    terminal.finish()
    lines = terminal.lines
    drawn = "\n".join(lines)
    assert max(map(len, lines)) <= COLUMNS, max(lines, key=len)
    table = r"board +temp +heap +uptime +rssi +age +waiting +link"
    assert re.search(table, drawn)
    assert re.search(
        r"board-2 +\d+\.\d\d °C +\d+\.\d KB +\d+ s +-\d+ dBm +\d+ s +\d+  no\. 1", drawn
    )
    assert re.search(r"board-1 .* away", drawn) and re.search(r"board-1 .* no\. 2", drawn)
    assert not re.search(table, drawn[drawn.rindex("published") :]), "it goes with the run"
    assert re.search(r"^all boards +\d+", drawn, re.M)


def on_terminal(folder, *options, **environment):
    terminal = Terminal(
        [*RUN, *(options or ("--seconds", "1"))], ROOT, TMPDIR=str(folder), **environment
    )
    terminal.finish()
    return terminal


# How it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_its_summary(start, number):
    running = start("--devices", "2", "--period", "0.5")
    running.read_until(COMMAND)
    children = running.children()
    running.process.send_signal(number)
    code, out, complaints = running.finish()
    assert (code, complaints) == (0, "")
    assert summary(out, "all boards")[3] == 0
    assert len(children["board"]) == 2 and len(children["nats-server"]) == 1
    running.assert_nothing_left(children)


@pytest.mark.parametrize("after_s", [0.1, 0.4, 0.7, 1.0, 1.6])
def test_ctrl_c_ends_it_in_order_whenever_it_comes(start, tmp_path, after_s):
    running = start("--devices", "2")
    time.sleep(after_s)
    running.process.send_signal(signal.SIGINT)
    code, _, complaints = running.finish()
    # (On a slow machine it may come while Python itself starts, before any code of ours.)
    if code != -signal.SIGINT or "in main" in complaints:
        assert code in (0, 1, 130) and "Traceback" not in complaints, complaints
    assert list(tmp_path.iterdir()) == []


def test_stopped_before_anything_arrived_is_a_failure(start):
    running = start()
    running.read_until("simulated board")
    running.process.send_signal(signal.SIGSTOP)  # hears nothing any more, then the signal first
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGCONT)
    code, out, complaints = running.finish()
    # (The board may have been faster than the first line, and than what shows its readings.)
    assert "readings from board-1" in complaints or "was not answered" in complaints
    assert "not answered" in complaints or not READING.search(out)
    assert code == 1


def test_nobody_reading_the_output_ends_it(start):
    running = start("--period", "0.2")
    running.read_until(READING)
    children = running.children()
    running.process.stdout.close()
    assert running.process.wait(HANGS_S) == 1
    assert running.process.stderr.read() == ""
    running.assert_nothing_left(children)


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems cannot tie a child's life to its parent's"
)
def test_children_go_when_it_is_killed(start):
    running = start()
    running.read_until(READING)
    children = running.children()
    running.process.kill()
    running.finish()
    for pid in children["board"] + children["nats-server"]:
        eventually(lambda pid=pid: not is_running(pid))


@pytest.mark.parametrize(
    "victim, words",
    [("board", "board-1 ended; its output:"), ("nats-server", "nats-server ended")],
)
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
    root = tmp_path / "project"
    copy_project(root)
    replace(root / "tools/run/observer.py", '"period_s": self._options.period', '"period_s": 0.01')
    folder = tmp_path / "files"
    folder.mkdir()
    done = run_copy(root, "--devices", "2", TMPDIR=str(folder))
    assert done.returncode == 1
    assert "ended" in done.stderr
    assert "settings.json: 1 mistake" in done.stderr
    assert "period_s: must be between" in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "right, wrong, words",
    [
        ("lit = led(True)", "lit = True", "a command was not obeyed by board-1"),
        ('msg.respond(b"on" if lit else b"off")', "pass", "a command was not answered by board-1"),
        ("msg.respond(json.dumps(self.info()))", "pass", "no answer to info from board-1"),
        (
            "if not self._put(",
            "if channel.seq != 2 and not self._put(",
            "readings were lost from board-1",
        ),
        ("channel.seq += 1", "channel.seq = 1", "readings came twice from board-1"),
    ],
)
def test_a_board_that_misbehaves_is_a_failure(tmp_path, right, wrong, words):
    root = tmp_path / "project"
    copy_project(root)
    replace(root / "firmware/app.py", right, wrong)
    replace(
        root / "tools/run/observer.py", "_ANSWER_S = 5", "_ANSWER_S = 1"
    )  # for the sake of time
    done = run_copy(root, "--seconds", "2", "--period", "0.5")
    assert done.returncode == 1
    assert words in done.stderr, done.stdout


def run_copy(root, *options, **environment):
    """Run the copy of the project; what was made stays where it is."""
    env = dict(os.environ, UNATS_BUILD=str(BUILD), **environment)
    return subprocess.run(
        [*RUN, *options], cwd=root, env=env, capture_output=True, text=True, timeout=HANGS_S
    )


def copy_project(root):
    """What a test changes."""
    for name in ("tools", "firmware", "lib"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))


def replace(path, right, wrong):
    source = path.read_text()
    assert source.count(right) == 1
    path.write_text(source.replace(right, wrong))


def test_a_heap_that_is_too_small_is_a_failure(tmp_path):
    code, _, complaints = run(tmp_path, "--heap", "40K")
    assert code == 1
    assert "MemoryError" in complaints


@pytest.mark.parametrize(
    "wrong",
    [
        ("--seconds", "0"),
        ("--seconds", "x"),
        ("--seconds", "nan"),
        ("--seconds", "inf"),
        ("--devices", "-1"),
        ("--devices", "0"),
        ("--devices", "1.5"),
        ("--devices", "100000000"),
        ("--period", "0"),
        ("--period", "nan"),
        ("--heap", "40"),
        ("--heap", "x"),
        ("--heap", "1000000M"),
        ("--server", "http://host"),
        ("--outage", "-1"),
        ("--outage", "3", "--seconds", "5"),
        ("--outage", "3", "--server", "h"),
        ("--web", "--server", "h"),
    ],
)
def test_a_wrong_option_is_refused(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        run_tool.options_from(wrong)
    complaints = capsys.readouterr().err
    assert ended.value.code == 2
    assert wrong[0] in complaints and complaints.count("\n") == 1
    others = {"--outage", "--server", "--web"}
    assert repr(wrong[1]) in complaints or others & set(wrong)


def test_a_wrong_option_of_make_is_named_as_it_was_typed(tmp_path):
    code, _, complaints = run(tmp_path, "--make", "--devices=100000000")
    assert code == 2
    assert complaints.startswith("run: DEVICES: '100000000': give a number of boards, 1 to ")
    code, _, complaints = run(tmp_path, "--make", "--outage=3", "--seconds=5")
    assert (code, complaints) == (2, "run: OUTAGE: at most half of SECONDS\n")


# The outage


def test_the_server_is_killed_and_every_reading_is_in_the_stream(tmp_path):
    options = ("--seconds", "6", "--outage", "2", "--devices", "2", "--period", "0.5")
    code, out, complaints = run(tmp_path, *options)
    assert (code, complaints) == (0, "")
    assert "The server is killed after 1.8 s, for 2 s." in out
    assert re.search(
        r" s +the server is killed, for 2 s\n(.*\n)* .* s +the server is there again\n", out
    )
    assert re.search(r" s +all boards are back, \d+\.\d s later$", out, re.M)
    for name in ("board-1", "board-2"):
        shown = re.search(rf"{name}  #\d+ .*   taken [2-9] s ago$", out, re.M)
        assert shown or "the subscriber itself had no connection" in out
        published, _, stored, lost, _ = summary(out, name)
        assert published == stored >= 4 * 12
        assert lost == 0


def test_a_signal_during_the_outage_still_ends_it_in_order(start):
    running = start("--seconds", "9", "--outage", "3", "--period", "0.5")
    running.read_until("the server is killed, for 3 s")
    running.process.send_signal(signal.SIGINT)
    code, out, complaints = running.finish()
    assert (code, complaints) == (0, "")
    published, _, stored, lost, _ = summary(out, "board-1")
    assert (stored, lost) == (published, 0)


def test_a_server_that_forgets_what_it_has_acknowledged_is_a_failure(tmp_path):
    root = tmp_path / "project"
    copy_project(root)
    replace(
        root / "tools/run/simulation.py",
        "        self.start()\n        if not self._await():",
        FORGET,
    )
    done = run_copy(root, "--seconds", "6", "--period", "0.5")
    assert done.returncode == 1
    assert "run: " in done.stderr


FORGET = """        import shutil
        shutil.rmtree(self.folder / "store")
        self.start()
        if not self._await():"""


@pytest.mark.parametrize(
    "options, words",
    [
        (("--seconds", "1"), "that takes a run of 6 s"),
        (("--seconds", "1", "--outage", "0"), "for 1 s."),
    ],
)
def test_without_an_outage_it_is_said_or_wanted(tmp_path, options, words):
    code, out, _ = run(tmp_path, *options)
    assert code == 0
    assert words in "\n".join(out.splitlines()[1:3])
    assert "is killed" not in out


def outage(*arguments):
    return observer._outage(run_tool.options_from(arguments))


def test_when_the_outage_is():
    assert outage() == (10, 5)
    assert outage("--outage", "2") == (10, 2)
    assert outage("--seconds", "10") == (3, 2)
    assert outage("--seconds", "100") == (30, 5)
    assert outage("--seconds", "5") is None
    assert outage("--seconds", "4", "--outage", "2") == (pytest.approx(1.2), 2)
    assert outage("--outage", "0") is None
    assert outage("--server", "nats://h") is None


def test_what_the_record_of_a_stream_finds():
    record = Record()

    def take(seq, boot, message_id):
        record.take("temp", {"seq": seq, "boot": boot}, message_id)

    for n in (1, 2, 4):
        take(n, 1, "dev-a-%08x" % n)
    first, other = (1, "temp"), (1, "heap")
    assert (record.missing({first: 4, other: 2}), record.twice, record.late) == (3, 0, 0)
    take(3, 1, "dev-a-00000003")
    assert (record.missing({first: 4}), record.twice, record.late) == (0, 0, 1)
    take(4, 1, "dev-a-00000005")
    assert (record.twice, record.late) == (1, 1)
    take(1, 2, "dev-0-00000000")  # the board has started again
    assert (record.missing({first: 4, (2, "temp"): 2}), record.twice, record.late) == (1, 1, 1)
    take(5, 1, "dev-a-00000009")
    assert (record.twice, record.late) == (1, 2)


# A server that is there already


@pytest.fixture
def guarded(tmp_path):
    """A server that asks for a password; (URL without it, the password)."""
    folder = tmp_path / "guarded"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        server = Server(folder, "--user", "fleet", "--pass", "kept-secret")
        stack.callback(server.stop)
        yield server.url.removeprefix("nats://"), "kept-secret"


def test_a_server_with_a_password_which_is_not_printed(tmp_path, guarded):
    host, password = guarded
    folder = tmp_path / "run"
    folder.mkdir()
    code, out, complaints = run(
        folder, "--server", f"nats://fleet:{password}@{host}", "--seconds", "1"
    )
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
    code, out, complaints = run(
        tmp_path, "--server", f"nats://someone:some-secret@127.0.0.1:{free_port()}"
    )
    assert (code, out) == (1, "")
    assert "cannot connect to 127.0.0.1" in complaints
    assert "some-secret" not in complaints


@pytest.mark.parametrize(
    "text", ["http://h", "nats://", "h:x", "h:0", "h:70000", "nats://h/path", "tls://h", ""]
)
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
    example = json.loads((ROOT / "firmware/settings.example.json").read_text())
    assert settings.check(example) == []


def test_a_board_outlives_its_network_and_its_server(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM_WIFI_AWAY", "0-0.5")
    for name in ("server", "board"):
        (tmp_path / name).mkdir()
    with contextlib.ExitStack() as stack:
        server = Server(tmp_path / "server")
        stack.callback(server.stop)
        board = Board("b", tmp_path / "board", server.url, period_s=0.2)
        stack.callback(board.stop)
        eventually(lambda: "connected" in board.tail() or board.ended is not None)
        assert re.search(r"network is away\n.*network is up\n.*connected", board.tail())
        server.kill()
        eventually(lambda: "disconnected" in board.tail() or board.ended is not None)
        server.again()
        eventually(lambda: board.tail().count(" connected") == 2 or board.ended is not None)
        assert board.ended is None, board.tail()
