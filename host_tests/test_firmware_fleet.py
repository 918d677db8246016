"""What lets a fleet look after itself, with boards as they are and a real server."""

import contextlib
import json

import nats.errors
import nats.js.errors
import pytest

from support.live import PATIENCE_S, eventually
from support.peer import Peer
from tools import deploy
from tools.fleet import stores
from tools.run.secure import Secured
from tools.run.simulation import MARCH, SECURE_HEAP, Board, Server

EVERY_S = 5


NAMES = ("b", "c")


class Home:
    """The server of a fleet, with its boards `b` and `c`, each with its own credentials."""

    def __init__(self, folder):
        self._folder = folder
        self.secured = Secured(folder, NAMES)
        (folder / "server").mkdir()
        self.server = Server(folder / "server", *self.secured.server_options)
        self.boards = []

    def board(self, name="b", heap=SECURE_HEAP, **settings):
        """Start a board; again, with its flash as it was left."""
        flash = self._folder / name
        if not flash.exists():
            flash.mkdir()
            self.secured.equip(name, flash)
        code = self._folder / "code"
        if not code.exists():
            code.mkdir()
            deploy.stage(code, None, MARCH, True)
        fields = self.secured.settings(name, self.server.url)
        if "sleep_s" not in settings:
            fields["period_s"] = 0.5
        fields.update(settings)
        self.boards.append(Board(name, flash, fields.pop("server"), heap, code, **fields))
        return self.boards[-1]

    def stop(self):
        for board in self.boards:
            board.stop()
        self.server.stop()


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    yield home
    home.stop()


@pytest.fixture
def peer(home):
    """Who may see and command all boards."""
    with Peer(home.server.url, **home.secured.observer()) as peer:
        peer.run(stores.make(peer.nc))
        yield peer


class Watching:
    """What a watcher of a bucket is told: `seen` has (when, key, value), the server's time and
    None for a value that is gone.
    """

    def __init__(self, peer, bucket, keys=">"):
        self.seen = []
        self._peer = peer
        kv = peer.run(peer.nc.jetstream().key_value(bucket))
        self._watcher = peer.run(kv.watch(keys))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._peer.run(self._watcher.stop())

    def of(self, key):
        """What was told of a key up to now: a list of (when, value)."""
        with contextlib.suppress(nats.errors.TimeoutError):
            while True:
                entry = self._peer.run(self._watcher.updates(timeout=0.05))
                if entry is not None:
                    value = json.loads(entry.value) if entry.value else None
                    self.seen.append((entry.created, entry.key, value))
        return [(when, value) for when, k, value in self.seen if k == key]

    def states(self, key):
        """The states that a board has told, and "gone" where it was missed."""
        return [value["state"] if value else "gone" for _, value in self.of(key)]


# Presence


def test_a_board_that_dies_is_missed_within_one_and_a_half_periods(home, peer):
    with Watching(peer, "presence") as seen:
        board = home.board(presence_s=EVERY_S)
        eventually(lambda: len(seen.states("b")) > 1)
        _, value = seen.of("b")[-1]
        assert (value["state"], value["every_s"], value["reset"]) == ("up", EVERY_S, "power-on")
        assert (value["address"], value["boot"]) == ("127.0.0.1", 1)
        board.kill()
        eventually(lambda: seen.states("b")[-1] == "gone")
        (last, _), (gone, _) = seen.of("b")[-2:]
        assert (gone - last).total_seconds() <= 1.5 * EVERY_S
        home.board(presence_s=EVERY_S)
        eventually(lambda: seen.states("b")[-1] == "up")


def test_it_outlives_the_server(home, peer):
    kv = peer.run(peer.nc.jetstream().key_value("presence"))
    home.board(presence_s=EVERY_S)
    first = eventually(lambda: entry(peer, kv, "b")).revision
    home.server.kill()
    home.server.again()
    eventually(lambda: entry(peer, kv, "b") and entry(peer, kv, "b").revision > first)


def entry(peer, kv, key):
    """What a bucket has of a key, or None."""
    try:
        return peer.run(kv.get(key))
    except (nats.js.errors.KeyNotFoundError, nats.errors.Error, TimeoutError):
        return None


def test_leaving_on_purpose_is_told(home, peer):
    with Watching(peer, "presence") as seen:
        board = home.board(presence_s=EVERY_S, sleep_s=600, awake_s=10)
        assert board.wait(PATIENCE_S) == 0
        _, value = seen.of("b")[-1]
        assert (value["state"], value["wake_s"]) == ("asleep", 600)
        assert value["ttl_s"] >= 600 + 10


def test_a_server_without_the_bucket_costs_nothing_but_a_line(home, peer):
    peer.run(peer.nc.jetstream().delete_key_value("presence"))
    board = home.board(presence_s=EVERY_S)
    eventually(lambda: "its presence is not told" in board.tail())
    assert board.ended is None
