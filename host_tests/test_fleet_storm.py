"""A fleet is updated again and again, well and badly, while its server and its boards are killed.

Every board ends in the right version, and has never confirmed one that is bad; every reading is in
the stream once, in order, but for those that were in the RAM of a board that was killed.

What breaks comes from a number that is printed; UNATS_SEED=number repeats it.
"""

import json
import random
import threading
import time

import pytest

from support.home import Config, Home, package, updating
from support.peer import try_often
from tools.fleet import nats_jwt, stores
from tools.run.stream import Record, Stream

_STUCK_S = 300  # without a board that gets on
_TRIES = 4  # of a good version, for a board that was killed twice while it was on trial
_AWAY_S = (0.1, 3)  # that the server is
_APART_S = (0.2, 3)  # two kills


def _is_cut(made):
    made.content = made.content[: len(made.content) * 2 // 3]


def _is_altered(made):
    made.content = made.content[:9000] + bytes([made.content[9000] ^ 1]) + made.content[9001:]


_STRANGER = nats_jwt.Signer("update")
# What is wrong with a version: (the change of its files, what is done to it, who signs it).
_BAD = {
    "raises": ({"app.mpy": None, "app.py": b"raise KeyError(1)"}, None, None),
    "lacks the client": ({"lib/unats/client.mpy": None}, None, None),
    "cut": (None, _is_cut, None),
    "altered": (None, _is_altered, None),
    "forged": (None, None, _STRANGER.sign_bytes),
}


class Storm:
    """seed: of the plan. updates: how many, of which a third is bad; kills: of the server, and of
    boards, in the midst of them.
    """

    def __init__(self, seed, home, peer, names, updates, kills):
        self._rng = random.Random(seed)
        self._home, self._peer, self._names = home, peer, names
        bad = [list(_BAD)[i % len(_BAD)] for i in range(updates // 3)]
        self._plan = bad + [None] * (updates - len(bad) - 1)
        self._rng.shuffle(self._plan)
        self._plan.append(None)
        what = ["server", "board"] * kills
        self._rng.shuffle(what)
        share = -(-len(what) // updates)
        self._kills = [what[i * share : (i + 1) * share] for i in range(updates)]
        self._version = "0.2.0"
        self.figures = dict.fromkeys(("good", "bad", "server kills", "board kills", "again"), 0)

    def run(self):
        for name in self._names:
            self._home.board(name, logs=True, period_s=1, **updating(self._home))
        config = Config(self._peer)
        for number, (wrong, kills) in enumerate(zip(self._plan, self._kills), 1):
            begin = time.monotonic()
            self._update(config, f"0.3.{number}", wrong, kills)
            took = time.monotonic() - begin
            print(f"0.3.{number}: {wrong or 'good'}, {len(kills)} kills, {took:.0f} s")
        for board in self._home.boards:
            assert board.ended is None, board.tail()

    def _update(self, config, version, wrong, kills):
        change, damage, key = _BAD.get(wrong, (None, None, None))
        made = package(self._home, version, change, key)
        if damage:
            damage(made)
        try_often(lambda: self._peer.run(made.put(self._peer.nc)))
        killing = threading.Thread(target=self._kill, args=(kills,))
        killing.start()
        try:
            told = self._settled(config, version)
            killing.join()
            for _ in range(_TRIES):
                failed = [name for name, last in told.items() if last.get("error")]
                if wrong or not failed:
                    break
                self.figures["again"] += len(failed)
                told.update(self._settled(config, version, failed))
        finally:
            killing.join()
        self._version = self._version if wrong else version
        for name, last in told.items():
            assert last["value"] == self._version, (version, wrong, name, last)
            assert bool(last.get("error")) is bool(wrong), (version, wrong, name, last)
        self.figures["bad" if wrong else "good"] += 1

    def _settled(self, config, version, names=None):
        """Have boards wish for it, and wait: {name: what it reports}."""
        names = names or self._names
        wish = json.dumps(version)
        revisions = {n: try_often(lambda: config.want("version", wish, n)) for n in names}
        told = {}
        end = time.monotonic() + _STUCK_S
        while len(told) < len(names):
            for name in set(names) - set(told):
                found = config.reported("version", name)
                if found.get("revision") != revisions[name] or found.get("trial"):
                    continue
                if found.get("error") or found["value"] == version:
                    told[name] = found
                    end = time.monotonic() + _STUCK_S
            left = set(names) - set(told)
            assert time.monotonic() < end, {n: config.reported("version", n) for n in left}
            time.sleep(0.1)
        return told

    def _kill(self, kills):
        for what in kills:
            time.sleep(self._rng.uniform(*_APART_S))
            if what == "board":
                self._home.cut_power(self._rng.choice(self._home.boards))
            else:
                self._home.server.kill()
                time.sleep(self._rng.uniform(*_AWAY_S))
                self._home.server.again()
            self.figures[what + " kills"] += 1

    def check(self):
        """Every reading is in the stream once, in order."""
        infos = {name: self._info(name) for name in self._names}
        records = {}
        stream = Stream(self._peer.nc)

        def take(msg):
            what, name, kind = msg.subject.split(".")
            if what == "sensors":
                record = records.setdefault((name, kind), Record())
                record.take(kind, json.loads(msg.data), msg.headers["Nats-Msg-Id"])

        self._peer.run(stream.read(take))
        end = time.monotonic() + _STUCK_S
        while any(self._missing(records, name, info) for name, info in infos.items()):
            left = {name: self._missing(records, name, info) for name, info in infos.items()}
            assert time.monotonic() < end, left
            time.sleep(0.5)
        for (name, kind), record in records.items():
            assert (record.twice, record.late) == (0, 0), (name, kind)
            tops = {place: max(seqs) for place, seqs in record.seqs.items()}
            assert record.missing(tops) == 0, (name, kind)
        self.figures["readings"] = sum(record.count for record in records.values())
        self.figures["starts"] = sum(info["boot"] for info in infos.values())

    def _info(self, name):
        return json.loads(
            try_often(lambda: self._peer.request(f"devices.{name}.info", b"", 5)).data
        )

    def _missing(self, records, name, info):
        """How many readings of a board are not in the stream, of those that it has told of."""
        return sum(
            records.get((name, kind), Record()).missing({(info["boot"], kind): count})
            for kind, count in info["readings"].items()
        )


def _go_through(seed, folder, boards, updates, kills):
    names = [f"board-{number:02}" for number in range(1, boards + 1)]
    home = Home(folder, names)
    try:
        with home.observer() as peer:
            peer.run(stores.make(peer.nc))
            storm = Storm(seed, home, peer, names, updates, kills)
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
