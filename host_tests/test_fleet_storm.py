"""A fleet is updated again and again, well and badly, while its server and its boards are killed.

Every board ends in the right version, and has never confirmed one that is bad; every reading is in
the stream once, in order, but for the last ones of a start that ended by a kill: they were in RAM.
Each board keeps a journal of the readings that it takes.

What breaks comes from a number that is printed; UNATS_SEED=number repeats it.
"""

import json
import random
import time

import pytest

from support.home import Config, Home, package, updating
from support.peer import try_often
from tools import toolchain
from tools.fleet import nats_jwt, stores
from tools.run.simulation import MARCH
from tools.run.stream import Record, Stream
from tools.toolchain import ROOT

_HEAP = "384K"  # the names of a first update's modules stay, and a second one needs its room, too
_STUCK_S = 300  # without a board that gets on
_TRIES = 4  # of a good version, for a board that was killed twice while it was on trial
_AWAY_S = (0.1, 3)  # that the server is
_APART_S = (0.2, 3)  # two kills


def _is_cut(made):
    made.content = made.content[: len(made.content) * 2 // 3]


def _is_altered(made):
    made.content = made.content[:9000] + bytes([made.content[9000] ^ 1]) + made.content[9001:]


# The application, which notes each reading in the file `taken` of the board's flash.
_JOURNAL = """

_publish = App._publish
def _noted(self, channel):
    _publish(self, channel)
    with open("taken", "a") as file:
        file.write("%d %s %d\\n" % (self.boot, channel.kind, channel.seq))
App._publish = _noted
"""
_STRANGER = nats_jwt.Signer("update")
# What is wrong with a version: (the change of its files, what is done to it, who signs it).
_BAD = {
    "raises": ({"app.mpy": None, "app.py": b"raise KeyError(1)"}, None, None),
    "lacks the client": ({"lib/unats/client.mpy": None}, None, None),
    "cut": ({}, _is_cut, None),
    "altered": ({}, _is_altered, None),
    "forged": ({}, None, _STRANGER.sign_bytes),
}


class Storm:
    """seed: of the plan. updates: how many, of which a third is bad; kills: of the server, and of
    boards, in the midst of them.
    """

    def __init__(self, seed, home, names, updates, kills):
        self._rng = random.Random(seed)
        self._home, self._names = home, names
        bad = [list(_BAD)[i % len(_BAD)] for i in range(updates // 3)]
        plan = bad + [None] * (updates - len(bad) - 1)
        self._rng.shuffle(plan)
        self._plan = [*plan, None]
        what = ["server", "board"] * kills
        self._rng.shuffle(what)
        share = -(-len(what) // updates)
        self._kills = [what[i * share : (i + 1) * share] for i in range(updates)]
        self._version = "0.2.0"
        self._killed = set()  # (board, boot)
        app = (ROOT / "firmware/app.py").read_text() + _JOURNAL
        self._app = {"app.mpy": toolchain.compile_mpy(app, "app.py", MARCH)}
        (home.code / "app.mpy").write_bytes(self._app["app.mpy"])
        self.figures = dict.fromkeys(("good", "bad", "server kills", "board kills", "again"), 0)

    def run(self):
        for name in self._names:
            self._home.board(name, _HEAP, logs=True, period_s=1, **updating(self._home))
        for number, (wrong, kills) in enumerate(zip(self._plan, self._kills), 1):
            begin = time.monotonic()
            self._update(f"0.3.{number}", wrong, kills)
            took = time.monotonic() - begin
            print(f"0.3.{number}: {wrong or 'good'}, kills: {', '.join(kills)}, {took:.0f} s")
        for board in self._home.boards:
            assert board.ended is None, board.tail()

    def _with_server(self, do):
        """What do(peer) gives. On a connection of its own: nats-py's do not outlive each kill."""

        def once():
            with self._home.observer() as peer:
                return do(peer)

        return try_often(once)

    def _update(self, version, wrong, kills):
        change, damage, key = _BAD.get(wrong, ({}, None, None))
        made = package(self._home, version, self._app | change, key)
        if damage:
            damage(made)
        self._with_server(lambda peer: peer.run(made.put(peer.nc)))
        told = self._settled(version, self._names, kills)
        for _ in range(_TRIES):
            failed = [name for name, last in told.items() if last.get("error")]
            if wrong or not failed:
                break
            self.figures["again"] += len(failed)
            told.update(self._settled(version, failed))
        self._version = self._version if wrong else version
        for name, last in told.items():
            assert last["value"] == self._version, (version, wrong, name, last)
            assert bool(last.get("error")) is bool(wrong), (version, wrong, name, last)
        self.figures["bad" if wrong else "good"] += 1

    def _settled(self, version, names, kills=()):
        """Have boards wish for it, kill meanwhile, and wait: {name: what it reports}."""
        revisions = self._with_server(lambda peer: self._want(Config(peer), version, names))
        told, kills = {}, list(kills)
        kill_at = 0
        end = time.monotonic() + _STUCK_S
        while kills or len(told) < len(names):
            if kills and time.monotonic() > kill_at:
                self._kill(kills.pop())
                kill_at = time.monotonic() + self._rng.uniform(*_APART_S)
            reports = self._with_server(lambda peer: self._reports(Config(peer), names))
            for name, found in reports.items():
                if found.get("revision") != revisions[name] or found.get("trial"):
                    continue
                if found.get("error") or found["value"] == version:
                    end = end if name in told else time.monotonic() + _STUCK_S
                    told[name] = found
            left = {name: reports[name] for name in names if name not in told}
            assert time.monotonic() < end, left
            time.sleep(0.1)
        return told

    def _want(self, config, version, names):
        return {name: config.want("version", json.dumps(version), name) for name in names}

    def _reports(self, config, names):
        return {name: config.reported("version", name) for name in names}

    def _kill(self, what):
        if what == "board":
            board = self._rng.choice(self._home.boards)
            self._home.cut_power(board)
            self._killed |= {(board.name, boot) for boot in list(_taken(board))[-1:]}
        else:
            self._home.server.kill()
            time.sleep(self._rng.uniform(*_AWAY_S))
            self._home.server.again()
        self.figures[what + " kills"] += 1

    def check(self):
        """Every reading is in the stream once, in order."""
        with self._home.observer() as peer:
            self._check(peer)

    def _check(self, peer):
        infos = {name: self._info(peer, name) for name in self._names}
        records = {}
        stream = Stream(peer.nc)

        def take(msg):
            what, name, kind = msg.subject.split(".")
            if what == "sensors":
                record = records.setdefault((name, kind), Record())
                record.take(kind, json.loads(msg.data), msg.headers["Nats-Msg-Id"])

        peer.run(stream.read(take))
        end = time.monotonic() + _STUCK_S
        while any((left := self._missing(records, infos)).values()):
            assert time.monotonic() < end, left
            time.sleep(0.5)
        for (name, kind), record in records.items():
            assert (record.twice, record.late) == (0, 0), (name, kind)
            tops = {place: max(seqs) for place, seqs in record.seqs.items()}
            assert record.missing(tops) == 0, (name, kind)
        lost = 0
        for board in self._home.boards:
            for boot, kinds in _taken(board).items():
                for kind, seq in kinds.items():
                    last = max(records[board.name, kind].seqs.get((boot, kind), {0}))
                    lost += max(seq - last, 0)
                    ended = boot != infos[board.name]["boot"]
                    killed = (board.name, boot) in self._killed
                    assert last >= seq or killed or not ended, (board.name, boot, kind, last, seq)
        self.figures["lost with RAM"] = lost
        self.figures["readings"] = sum(record.count for record in records.values())
        self.figures["starts"] = sum(info["boot"] for info in infos.values())

    def _info(self, peer, name):
        return json.loads(try_often(lambda: peer.request(f"devices.{name}.info", b"", 5)).data)

    def _missing(self, records, infos):
        """How many readings of each board are not in the stream, of those that it has told of."""
        return {
            name: sum(
                records.get((name, kind), Record()).missing({(info["boot"], kind): count})
                for kind, count in info["readings"].items()
            )
            for name, info in infos.items()
        }


def _taken(board):
    """{boot: {kind: how many}} of the readings that a board has taken, by its journal."""
    found = {}
    path = board.folder / "taken"
    for line in path.read_text().splitlines() if path.exists() else ():
        boot, kind, seq = line.split()
        found.setdefault(int(boot), {})[kind] = int(seq)
    return found


def _go_through(seed, folder, boards, updates, kills):
    names = [f"board-{number:02}" for number in range(1, boards + 1)]
    home = Home(folder, names)
    try:
        with home.observer() as peer:
            peer.run(stores.make(peer.nc))
        storm = Storm(seed, home, names, updates, kills)
        storm.run()
        storm.check()
    finally:
        home.stop()
    print("".join("\n%24s  %s" % figure for figure in storm.figures.items()))
    return storm.figures


def test_a_small_storm(seed, tmp_path):
    figures = _go_through(seed, tmp_path, boards=2, updates=3, kills=2)
    assert figures["good"] == 2 and figures["bad"] == 1


@pytest.mark.soak
def test_a_long_storm(seed, tmp_path):
    figures = _go_through(seed, tmp_path, boards=20, updates=30, kills=50)
    assert figures["good"] == 20 and figures["bad"] == 10
    assert figures["server kills"] == figures["board kills"] == 50
