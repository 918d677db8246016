"""Runs updates on MicroPython's own littlefs, and cuts the power after every single write.

    micropython update_cuts.py BLOCK_SIZE BLOCKS

A board takes a version, confirms it, takes one that ends twice and comes back, one that the
watchdog ends, another good one, and begins one that it does not get to the end of. After every
write and every erasure of a block, and with every write half done, the flash as it is then is
given to a board that starts with it. boot.py must choose a version that is whole, each file as its
manifest has it, and one of those that may be: the one before, or the new one once it counted. Some
of these boards go on from there, and must get to the version that is wanted.
"""

import gc
import os
import sys
from binascii import hexlify
from hashlib import sha256

import kept
import packages
import update
from app import App
from config import Settings
from firmware_fakes import FakeBoard, FakeClient, FakeClock, FakeOutbox, FakeSensor, source
from flash import Flash
from parts import Parts
from unats.jetstream import objectstore

BOOT = source("boot.py")
ROOT = packages.files("1.0.0")
MORE = {"big.mpy": bytes(range(256)) * 12}
_GO_ON_EVERY = 16  # images from which a board goes on to the end
_TURNS = 3000


cut_off = []  # open files of boards without power, lest the collector closes them


class Machine:
    WDT_RESET = 3
    cause = 1

    @classmethod
    def reset_cause(cls):
        return cls.cause


class Life:
    """A board in the folder `home`, from one start to the next."""

    path = list(sys.path)

    def __init__(self, home, store):
        self.home = home
        self.store = store

    def boot(self):
        """The folder that boot.py chooses, or "" for the root."""
        os.chdir(self.home)
        sys.path[:] = self.path
        exec(BOOT, {"__name__": "__main__"})
        slot = os.getcwd()[len(self.home) + 1 :]
        os.chdir(self.home)
        return slot

    def begin(self, wanted=None):
        """What starts: the version, with what is wanted of it."""
        sys.modules.pop("fetching", None)
        cut_off.append(self.store._going)
        self.store._going = None
        self.boot()
        client = FakeClient(FakeClock())
        self.app = App(
            client, client._clock, FakeBoard(client._clock), "dev", 1000, [("a", FakeSensor(1))],
            FakeOutbox(client),
        )  # fmt: skip
        client.app = self.app
        self.app.version = "1.0.0"
        self.app.say = lambda text, level=None: None
        self.app.parts = Parts(self.app)
        self.twin = packages.FakeTwin()
        settings = {"server": "x", "update_key": packages.KEY, "outbox_flash": 0}
        self.app.parts._parts.append(update.Update(self.app, self.twin, Settings(settings)))
        self.app.start()
        if wanted:
            self.twin.takers["version"](*wanted)
        return self.app.version

    def turns(self, n, examine=None):
        """Turn so often; True: the board has started anew."""
        for _ in range(n):
            try:
                self.app.turn()
                self.store.pump()
            except SystemExit:
                return True
            if examine:
                examine()
        return False


class Cuts:
    def __init__(self, block_size, blocks):
        self.flash = Flash(block_size, blocks)
        os.VfsLfs2.mkfs(self.flash)
        os.mount(os.VfsLfs2(self.flash), "/flash")
        self.store = packages.FakeStore()
        objectstore.ObjectStore = self.store
        self.files = {"1.0.0": ROOT}
        for version in ("1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0"):
            self.files[version] = packages.files(version, MORE)
            self.store.put(version, self.files[version])
        for path, content in ROOT.items():
            folder = "/flash"
            for name in path.split("/")[:-1]:
                folder += "/" + name
                try:
                    os.mkdir(folder)
                except OSError:
                    pass
            with open("/flash/" + path, "wb") as file:
                file.write(content)
        self.images = []
        self.cuts = self.went_on = 0
        self.allowed = ("1.0.0",)
        self.wanted = None
        self.board = Life("/flash", self.store)
        self.flash.on_change = self.cut

    def cut(self, data):
        self.images.append(bytearray(data))

    def examine(self):
        """What does a board find that starts with the flash of one of these moments?"""
        images, self.images = self.images, []
        going = self.store._going
        cut_off.append(going)
        self.store._going = None
        path = list(sys.path)
        for data in images:
            self.cuts += 1
            os.mount(os.VfsLfs2(Flash(self.flash.block_size, 0, data)), "/cut")
            try:
                self.restart()
            finally:
                os.chdir("/flash")
                os.umount("/cut")
        sys.path[:] = path
        self.store._going = going
        if images:
            gc.collect()

    def restart(self):
        life = Life("/cut", self.store)
        slot = life.boot()
        version = self.check(slot)
        assert version in self.allowed, (version, self.allowed)
        if self.cuts % _GO_ON_EVERY or self.wanted is None:
            return
        self.went_on += 1
        for _ in range(6):
            life.begin(self.wanted)
            life.twin.acknowledged = True
            if not life.turns(_TURNS):
                break
        assert life.app.version == self.wanted[0], (life.app.version, life.twin.told)
        assert "starts" not in kept.load(update.PATH)
        self.check(life.boot())

    def check(self, slot):
        """The version in that folder; AssertionError: it is not whole."""
        version = update.version_of(slot) if slot else "1.0.0"
        for path, content in self.files[version].items():
            with open((slot + "/" if slot else "") + path, "rb") as file:
                found = file.read()
            assert sha256(found).digest() == sha256(content).digest(), (
                slot, path, hexlify(found[:20]),
            )  # fmt: skip
        return version

    # The board's life

    def fetch(self, version, revision):
        """Take a version, up to its first start."""
        before = self.board.app.version
        self.allowed = (before, version)
        self.wanted = version, revision
        self.board.twin.takers["version"](version, revision)
        assert self.board.turns(_TURNS, self.examine), self.board.twin.told
        self.examine()
        self.wanted = None

    def start(self, version):
        """Start; it must be that version."""
        found = self.board.begin()
        self.examine()
        assert found == version, (found, version)

    def confirm(self):
        self.board.twin.acknowledged = True
        assert not self.board.turns(20, self.examine)
        assert "starts" not in kept.load(update.PATH)
        self.allowed = (self.board.app.version,)

    def run(self):
        self.start("1.0.0")
        self.fetch("1.1.0", 1)
        self.start("1.1.0")
        self.confirm()

        self.fetch("1.2.0", 2)  # it ends twice
        self.start("1.2.0")
        self.start("1.2.0")
        self.start("1.1.0")
        self.allowed = ("1.1.0",)
        assert "twice" in kept.load(update.PATH)["failed"]["why"]

        self.fetch("1.3.0", 3)  # the watchdog ends it
        self.start("1.3.0")
        Machine.cause = 3
        self.start("1.1.0")
        Machine.cause = 1
        self.allowed = ("1.1.0",)

        self.fetch("1.4.0", 4)
        self.start("1.4.0")
        self.confirm()

        self.allowed = ("1.4.0", "1.5.0")
        self.wanted = "1.5.0", 5
        self.board.twin.takers["version"]("1.5.0", 5)
        self.board.turns(5, self.examine)  # a power cut in the middle, and again
        for _ in range(3):
            self.start("1.4.0")
            self.board.twin.takers["version"]("1.5.0", 5)
            self.board.turns(3, self.examine)
        self.start("1.4.0")
        self.fetch("1.5.0", 5)
        self.start("1.5.0")
        self.confirm()


def main(block_size, blocks):
    sys.modules["machine"] = Machine
    cuts = Cuts(int(block_size), int(blocks))
    cuts.run()
    print("cuts %d went on %d" % (cuts.cuts, cuts.went_on))


main(*sys.argv[1:])
