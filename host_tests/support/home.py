"""A fleet at home: its server, its boards as they are, and who looks after them."""

import json
import subprocess
import threading

import nats.errors
import nats.js.errors

from tools import deploy, toolchain
from tools.fleet.package import Package
from tools.run.secure import Secured
from tools.run.simulation import MARCH, Board, Server

from .live import seldom
from .peer import Peer

EVERY_S = 5
HEAP = "320K"  # with all parts, and an update that comes


class Home:
    """The server of a fleet, with its boards, each with its own credentials."""

    def __init__(self, folder, names=("b", "c"), gates=None):
        """gates: {name: port} of those that the server listens for, see tools.fleet.gates."""
        self._folder = folder
        self.secured = Secured(folder, names)
        for gate, port in (gates or {}).items():
            self.secured.fleet.admit(gate, port)
        self.secured.fleet.save()
        self.code = folder / "code"  # what is deployed onto each board
        for path in (self.code, folder / "server"):
            path.mkdir()
        deploy.stage(self.code, None, MARCH, True)
        self.server = Server(folder / "server", *self.secured.server_options)
        self.boards = []
        self._lock = threading.Lock()  # of who starts boards again
        self._over = threading.Event()
        self._tending = threading.Thread(target=self._tend)
        self._tending.start()

    def _tend(self):
        """What was reset starts again."""
        while not self._over.wait(0.02):
            with self._lock:
                for board in self.boards:
                    if board.was_reset:
                        board.start()

    def cut_power(self, board):
        """At any instant; it starts again at once."""
        with self._lock:
            board.kill()
            board.start()

    def board(self, name="b", heap=HEAP, **settings):
        """Start a board; again, with its flash as it was left."""
        flash = self._folder / name
        if not flash.exists():
            flash.mkdir()
            self.secured.equip(name, flash)
        fields = self.secured.settings(name, self.server.url)
        if "sleep_s" in settings:
            (flash / "reset-cause").write_text("deep sleep")  # so it does not wait for Ctrl-C
        else:
            fields["period_s"] = 0.5
        fields.update(settings)
        if fields["outbox"] != "stream":
            del fields["stream"]
        self.boards.append(Board(name, flash, fields.pop("server"), heap, self.code, **fields))
        return self.boards[-1]

    def observer(self):
        """A Peer who may see and command all boards."""
        return Peer(self.server.url, **self.secured.observer())

    def stop(self):
        print(*[board.output() for board in self.boards])
        self._over.set()
        self._tending.join()
        for board in self.boards:
            board.stop()
        self.server.stop()


def entry(peer, kv, key):
    """What a bucket has of a key, or None."""
    try:
        return peer.run(kv.get(key))
    except (nats.js.errors.KeyNotFoundError, nats.errors.Error, TimeoutError):
        return None


class Config:
    """The bucket of configurations, as somebody at a computer uses it."""

    def __init__(self, peer):
        self._peer = peer
        self._kv = peer.run(peer.nc.jetstream().key_value("config"))

    def want(self, field, value, whose="b"):
        """Set what is wanted: the revision."""
        return self._peer.run(self._kv.put(f"{whose}.desired.{field}", value.encode()))

    def reported(self, field, name="b"):
        """What a board reports of a field, or {}."""
        found = entry(self._peer, self._kv, f"{name}.reported.{field}")
        return json.loads(found.value) if found else {}

    def applied(self, field, revision, name="b"):
        """Wait until a board has answered: what it says."""
        told = seldom(lambda: self.reported(field, name).get("revision") == revision)
        return told and self.reported(field, name)


def package(home, version, change=None, key=None):
    """A version for boards like these."""
    command = [toolchain.binary("micropython"), "-c", "import sys; print(sys.implementation._mpy)"]
    mpy = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Package(version, mpy, key or home.secured.fleet.sign, change)


def put(peer, home, version, change=None):
    """Put a version into the store."""
    peer.run(package(home, version, change).put(peer.nc))


def updating(home):
    """Settings of a board that takes updates."""
    return {"config": True, "presence_s": EVERY_S, **home.secured.fleet.update_settings()}


def slot(board):
    """What counts on a board."""
    path = board.folder / "slot.json"
    return json.loads(path.read_text()) if path.exists() else {}
