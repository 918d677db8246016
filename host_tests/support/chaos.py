"""Everything breaks at once: boards, their links and their servers, by a plan that a seed makes.

    storm = Storm(seed, boards, servers, kills=10)
    storm.run()                # until every board has said that all its readings are acknowledged
    storm.check(messages)      # against the journals that boards have kept; returns the figures

What breaks next comes from the seed, when it breaks from how far the boards are, and so the
figures are always reached. Time is the machine's own: a seed repeats the plan, and not each
microsecond.
"""

import contextlib
import random
import shutil
import subprocess
import threading
import time
from collections import Counter

from .interpreters import unix_command, unix_environment
from .live import BOARD_HEAP
from .paths import PROGRAMS
from .proxy import Proxy

_STUCK_S = 120  # without a single reading acknowledged: something does not come back
_FAULTS = (
    "refuse",
    "black hole",
    "reset",
    "close",
    "half-close",
    "lose up",
    "lose down",
    "lose both",
    "delay",
    "fragments",
    "stall up",
    "stall down",
    "cut up",
    "cut down",
)


# What may happen to a board's stream for a while. Of the last two it comes back empty.
TROUBLES = (
    "one subject less",
    "no subject",
    "full",
    "full per subject",
    "not permitted",
    "another leader",
    "removed",
    "sealed",
)


class Stuck(AssertionError):
    """The boards do not get on; what they and the servers said last."""


class Life:
    """One start of a board, and what its journal says: see device/programs/live_chaos.py."""

    def __init__(self, number):
        self.number = number
        self.tried = self.put = self.synced = 0  # the last reading of which it was said
        self.refused = set()
        self.heap = []
        self.figures = []  # each time it looked
        self.done = False
        self.killed = False
        self.overwritten = False  # its flash was, with an older image, after its end
        self.process = self.reader = None
        self.other = []  # what is no line of a journal

    @property
    def promised(self):
        """Up to which reading all must arrive: see `unats.outbox`."""
        if self.overwritten:
            return 0
        return self.synced if self.killed else self.put

    def take(self, line):
        word, _, rest = line.partition(" ")
        if word == "i":
            self.tried = int(rest)
        elif word == "p":
            self.put = int(rest)
        elif word == "r":
            self.refused.add(int(rest))
        elif word == "s":
            self.synced = int(rest)
        elif word == "h":
            self.heap.append(int(rest))
        elif word == "t":
            self.figures.append(list(map(int, rest.split())))
        elif line == "done":
            self.done = True
        else:
            self.other.append(line)


class Board:
    """A board, over all its lives; behind links of its own to each of the servers.

    goal: readings by which it has gone through all kills and faults. syncs: see live_chaos.py.
    restores: after some of its ends its flash is set back to what it was after an earlier one.
    """

    def __init__(
        self, name, goal, kills, faults, window=8, duplicate_window_s=120, syncs=4, restores=False
    ):
        self.name = name
        self.goal, self.kills, self.faults = goal, kills, faults
        self.window, self.duplicate_window_s, self.syncs = window, duplicate_window_s, syncs
        self.restores = restores
        self.restored = 0
        self.twice = 0  # readings of lives before this one may come twice: they were set back to
        self.lives = []
        self.links = []
        self.folder = None

    @property
    def put(self):
        return sum(life.put for life in self.lives)

    @property
    def done(self):
        return bool(self.lives) and self.lives[-1].done

    def start(self):
        life = Life(len(self.lives))
        words = (
            ",".join(link.url for link in self.links),
            self.name,
            self.folder,
            life.number,
            self.window,
            self.duplicate_window_s * 1000,
            self.syncs,
        )
        self.lives.append(life)
        life.process = subprocess.Popen(
            unix_command(PROGRAMS / "live_chaos.py", *words, heapsize=BOARD_HEAP),
            env=unix_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        life.reader = threading.Thread(target=self._read, args=(life,), daemon=True)
        life.reader.start()

    def _read(self, life):
        for line in life.process.stdout:
            if line.endswith("\n"):  # the last one may have been cut
                life.take(line[:-1])

    @property
    def died(self):
        """Whether it has ended, although nobody killed it and it is not done."""
        life = self.lives[-1]
        if life.reader is None or life.process.poll() is None:
            return False
        life.reader.join()
        return not life.done and not life.killed

    def set_back(self, rng):
        """Keep an image of its flash, or set it back to the one that was kept."""
        image = self.folder.with_suffix(".image")
        if rng.random() < 0.5 and image.exists():
            kept = int((image / "lives").read_text())
            shutil.rmtree(self.folder)
            shutil.copytree(image, self.folder, ignore=shutil.ignore_patterns("lives"))
            for life in self.lives[kept:]:
                life.overwritten = True
            self.twice = max(self.twice, kept)
            self.restored += 1
        else:
            shutil.rmtree(image, ignore_errors=True)
            shutil.copytree(self.folder, image)
            (image / "lives").write_text(str(len(self.lives)))

    def segments(self):
        """The files in its flash, but for the one that counts its starts."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [path.name for path in files if path.suffix != ".id"]

    def finish(self):
        """Have it put nothing more, and end when all is acknowledged."""
        self.folder.with_suffix(".end").touch()

    def kill(self):
        """kill -9; then all that it has written to its journal is read."""
        if not self.lives:
            return
        life = self.lives[-1]
        if not life.done:
            life.killed = True
        life.process.kill()
        life.process.wait()
        life.reader.join()
        life.process.stdout.close()


class Link(Proxy):
    """A board's way to a server, with the faults that it may have."""

    def suffer(self, fault, rng, stop):
        """Have the fault for a while."""
        seconds = rng.uniform(0.05, 1.2)
        getattr(self, "_" + fault.split(" ")[0].replace("-", "_"))(
            fault.rpartition(" ")[2], rng, seconds, stop
        )

    def _refuse(self, _, rng, seconds, stop):
        self.leave()
        self.cut(rng.random() < 0.5)
        stop.wait(seconds)
        self.come_back()

    def _black(self, _, rng, seconds, stop):
        self.vanish()
        self._lose("both", rng, seconds, stop)
        self.come_back()

    def _reset(self, *_):
        self.cut(reset=True)

    def _close(self, *_):
        self.cut()

    def _half_close(self, *_):
        self.half_close()

    def _ways(self, which):
        return {"up": [self.up], "down": [self.down], "both": [self.up, self.down]}[which]

    def _lose(self, which, rng, seconds, stop):
        """Bytes vanish; what follows on the same connection would be nonsense, so it goes with
        them.
        """
        for way in self._ways(which):
            way.swallow()
        stop.wait(seconds)
        self.cut(rng.random() < 0.5)
        for way in self._ways(which):
            way.let_pass()

    def _delay(self, _, rng, seconds, stop):
        self.up.delay, self.down.delay = rng.uniform(0, 0.15), rng.uniform(0, 0.15)
        stop.wait(seconds)
        self.up.delay = self.down.delay = 0

    def _fragments(self, _, rng, seconds, stop):
        self.up.fragment = self.down.fragment = 1
        stop.wait(seconds)
        self.up.fragment = self.down.fragment = 0

    def _stall(self, which, rng, seconds, stop):
        for way in self._ways(which):
            way.hold()
        stop.wait(seconds)
        if seconds > 0.4:  # the board may have given it up
            self.cut(rng.random() < 0.5)
        for way in self._ways(which):
            way.let_pass()

    def _cut(self, which, rng, seconds, stop):
        """In the middle of a message: that many bytes on."""
        (way,) = self._ways(which)
        way.hold(after=rng.randrange(1, 400))
        with contextlib.suppress(AssertionError):
            way.until_held(seconds)
        self.cut(rng.random() < 0.5)
        way.let_pass()


class Storm:
    """Boards that go through it all. `servers`: NatsServers, all of one cluster; `kills`: of
    servers; `troubles`: how often a stream is in trouble for a while, one of `kinds`, by
    trouble(board, what, ends). No server is killed during that call.
    """

    def __init__(self, seed, boards, servers, kills, folder, troubles, trouble, kinds=TROUBLES):
        self.seed, self.boards, self.servers, self.kills = seed, boards, servers, kills
        self.folder = folder
        self.troubles, self._trouble = dict.fromkeys(kinds, 0), trouble
        self._configuring = threading.Lock()
        self._planned_troubles = troubles
        self.goal = sum(board.goal for board in boards)
        self.server_kills = self.board_kills = 0
        self.faults = dict.fromkeys(_FAULTS, 0)
        self._stop = threading.Event()
        self._failures = []
        self._threads = []

    def _rng(self, *what):
        return random.Random("%d %s" % (self.seed, what))

    @property
    def put(self):
        return sum(board.put for board in self.boards)

    def run(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            for board in self.boards:
                board.folder = self.folder / board.name
                board.links = [stack.enter_context(Link(server.port)) for server in self.servers]
                board.start()
                self._act(self._break_links, board)
                self._act(self._kill_board, board)
            self._act(self._kill_servers)
            self._act(self._trouble_streams)
            self._wait()
        if self._failures:
            raise self._failures[0]

    def _act(self, how, *what):
        def act():
            try:
                how(self._rng(how.__name__, *(board.name for board in what)), *what)
            except Exception as e:
                self._failures.append(e)
                self._stop.set()

        self._threads.append(threading.Thread(target=act, daemon=True))
        self._threads[-1].start()

    def _finish(self):
        """All that was planned has come to pass."""
        for board in self.boards:
            board.finish()

    def _end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for board in self.boards:
            board.kill()

    def _wait(self):
        """Until all that is planned is over, the goal is reached and every
        reading acknowledged.
        """
        before, since, finishing = None, time.monotonic(), False
        while not self._all_done():
            if self._stop.wait(0.05):
                return  # something failed
            self._look_for_the_dead()
            busy = any(thread.is_alive() for thread in self._threads)
            if (
                not finishing
                and not busy
                and all(board.put >= board.goal for board in self.boards)
            ):
                finishing = True
                self._finish()
            now = self.put, finishing, self._all_done()
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > _STUCK_S:
                raise Stuck(self._situation())

    def _look_for_the_dead(self):
        for board in self.boards:
            if board.died:
                raise Stuck("%s has died: %s" % (board.name, board.lives[-1].other[-20:]))

    def _all_done(self):
        return all(board.done for board in self.boards)

    def _situation(self):
        said = [
            "%s: life %d put %d done %s %s"
            % (
                board.name,
                len(board.lives),
                board.put,
                board.done,
                board.lives[-1].other[-5:],
            )
            for board in self.boards
        ]
        said += [server.log[-2000:] for server in self.servers]
        return "\n".join(said)

    def _until(self, progress, goal, k, count):
        """Wait until k of `count` parts of the goal are reached; whether they are."""
        while progress() < goal * (k + 1) / (count + 1):
            if self._stop.wait(0.002):
                return False
        return not self._stop.is_set()

    # The three powers

    def _break_links(self, rng, board):
        left = []
        for k in range(board.faults):
            left = left or rng.sample(_FAULTS, len(_FAULTS))
            fault = left.pop()
            if not self._until(lambda: board.put, board.goal, k, board.faults):
                return
            rng.choice(self._links_in_use(board)).suffer(fault, rng, self._stop)
            self.faults[fault] += 1

    def _links_in_use(self, board):
        """Those with a connection; waits a while for one."""
        for _ in range(200):
            found = [link for link in board.links if link.in_use]
            if found or self._stop.wait(0.01):
                return found or board.links
        return board.links

    def _kill_board(self, rng, board):
        for k in range(board.kills):
            wait, pause = rng.uniform(0, 0.02), rng.choice((0, 0, 0.3))
            if not self._until(lambda: board.put, board.goal, k, board.kills):
                return
            self._stop.wait(wait)
            board.kill()
            self.board_kills += 1
            if board.restores:
                board.set_back(rng)
            self._stop.wait(pause)
            board.start()

    def _kill_servers(self, rng):
        """One, or some at once; they come back after a while."""
        k = 0
        while k < self.kills:
            most = min(len(self.servers), self.kills - k)
            victims = rng.sample(self.servers, rng.choice((1, 1, 1, most)))
            pause = rng.choice((0, 0.1, 1))
            if not self._until(lambda: self.put, self.goal, k, self.kills):
                return
            with self._configuring:  # a stream may be gone if its server is killed just then
                for server in victims:
                    server.kill()
                    k += 1
                    self.server_kills += 1
            self._stop.wait(pause)
            for server in victims:
                server.start()

    def _trouble_streams(self, rng):
        """One board's at a time; it is as before after a while."""
        left = []
        for k in range(self._planned_troubles):
            left = left or rng.sample(list(self.troubles), len(self.troubles))
            what, board, pause = left.pop(), rng.choice(self.boards), rng.uniform(0.3, 2)
            if not self._until(lambda: self.put, self.goal, k, self._planned_troubles):
                return
            for ends in (False, True):
                with self._configuring:
                    self._trouble(board, what, ends)
                self._stop.wait(0 if ends else pause)
            self.troubles[what] += 1

    # What must be

    def check(self, messages):
        """messages: for each board by its name what each of its streams holds, one after the
        other, (subject, payload, what else is known) in order.
        """
        lost = again = 0
        for board in self.boards:
            streams = [
                [_reading(board, *m[:2]) for m in stream] for stream in messages[board.name]
            ]
            for found in streams:
                for i in range(3):  # the order is that of each subject
                    its = [r for r in found if r[1] % 3 == i and r[0] >= board.twice]
                    assert len(set(its)) == len(its), _doubles(board, messages[board.name])
                    assert _lateness(its) < board.window, (board.name, _disorder(its))
            assert board.segments() == [], board.name
            found = {reading for stream in streams for reading in stream}
            again += sum(map(len, streams)) - len(found)
            for life in board.lives:
                lost += _check_life(
                    board, life, {n for number, n in found if number == life.number}
                )
        return self._figures(messages, lost, again)

    def _figures(self, messages, lost, again):
        lives = [life for board in self.boards for life in board.lives]
        survivors = [board.lives[0] for board in self.boards if not board.kills]
        figures = [life.figures[-1] for life in lives if life.figures]
        return {
            "seed": self.seed,
            "boards": len(self.boards),
            "readings put": self.put,
            "promised": sum(life.promised for life in lives),
            "stored": sum(len(stream) for streams in messages.values() for stream in streams),
            "... again, in a new stream or from an old image": again,
            "lost with a board's RAM": lost,
            "server kills": self.server_kills,
            "link faults": sum(self.faults.values()),
            "board kills": self.board_kills,
            "streams in trouble": sum(self.troubles.values()),
            "flash set back": sum(board.restored for board in self.boards),
            "rejected": sum(f[4] for f in figures),
            "sent again": sum(f[1] for f in figures),
            "unverified": sum(f[5] for f in figures),
            "reconnects": sum(f[6] for f in figures),
            "heap": [_thirds(life.heap) for life in survivors],
            "reconnects of those": [life.figures[-1][6] for life in survivors],
            # (At first it may have no socket just then.)
            "files open": [
                (max(figures[-1] for figures in life.figures[1:20]), life.figures[-1][-1])
                for life in survivors
            ],
        }


def _thirds(heap):
    """The most in use in the first third of the time, and in the last one."""
    third = max(len(heap) // 3, 1)
    return max(heap[:third]), max(heap[-third:])


def _reading(board, subject, payload):
    """(life, n) of a reading, which must be one that the board was about to put, as it was."""
    life, n, padding = payload.decode().split(" ")
    life, n = int(life), int(n)
    assert subject == "chaos.%s.%d" % (board.name, n % 3), (subject, payload)
    assert padding == "x" * (n % 50), (subject, payload)
    assert 0 < n <= board.lives[life].tried and n not in board.lives[life].refused, (
        subject,
        payload,
    )
    return life, n


def _lateness(found):
    """By how many places a reading comes too late, at most: with a window of more than one those
    that were on their way with it may be taken when it was refused.
    """
    places = {reading: i for i, reading in enumerate(sorted(found))}
    return max((i - places[reading] for i, reading in enumerate(found)), default=0)


def _doubles(board, streams):
    """The messages that are in a stream twice, for the message of a failure."""
    counts = [Counter(message[:2] for message in stream) for stream in streams]
    return board.name, [
        message for i, stream in enumerate(streams) for message in stream
        if counts[i][message[:2]] > 1 and int(message[1].split()[0]) >= board.twice
    ][:6]  # fmt: skip


def _disorder(found):
    """The first places where the readings are not in order, for the message of a failure."""
    return [
        found[max(i - 2, 0) : i + 3] for i in range(1, len(found)) if found[i - 1] >= found[i]
    ][:3]


def _check_life(board, life, found):
    """All that was promised is there; return how many of those put are not."""
    assert not life.other, (board.name, life.other[-20:])
    missing = [n for n in range(1, life.promised + 1) if n not in found and n not in life.refused]
    assert not missing, (board.name, life.number, life.killed, missing[:20], len(missing))
    for _, _, dropped, _damaged, rejected, _, _, _ in life.figures:
        assert (dropped, rejected) == (0, 0), (board.name, life.number, life.figures)
    return sum(n not in found and n not in life.refused for n in range(1, life.put + 1))
