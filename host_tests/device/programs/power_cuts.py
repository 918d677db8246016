"""Runs an outbox on MicroPython's own littlefs or FAT, and cuts the power after every single
write.

    micropython power_cuts.py lfs|full|fat|held BLOCK_SIZE BLOCKS RING_SIZE [SEED]

The board fills its outbox while there is no connection, syncs now and then, is restarted, sends
with acknowledgements lost, fills it again, and ends with all sent; with a seed it does so at
random. After every write and every erasure of a block, and with every write half done, the flash
as it is then is given to a board that starts with it and sends all it finds. Then the stream must
hold, each once and in order,

    every reading that was synced, or was in the stream already;
    of the others put, any; nothing else

and the number of the start must be a new one. With "held" some subjects are refused now and then,
and the order is that of each subject. With "full" littlefs is too small, so that readings
must be dropped: they may be missing. FAT can lose and bring back files in a power cut, so there
only this much is asked: nothing is raised, and nothing but readings is in the stream.
"""

import gc
import os
import random
import sys

from fake_stream import FakeClient
from flash import Flash
from unats.outbox import Outbox

SUBJECTS = "sensors.dev.temp", "sensors.dev.heap", "sensors.dev.rssi"


class Cuts:
    """The board, and what is known of its readings."""

    def __init__(self, fs, block_size, blocks, ring_size):
        self.fs = os.VfsFat if fs == "fat" else os.VfsLfs2
        self.ordered = fs != "fat"
        self.held = fs == "held"
        self.complete = fs == "lfs" or fs == "held"
        self.ring_size = ring_size
        self.flash = Flash(block_size, blocks)
        self.fs.mkfs(self.flash)
        os.mount(self.fs(self.flash), "/flash")
        self.nc = FakeClient()
        self.put = self.synced = 0  # how many readings
        self.lost = set()  # those that were only in RAM when the board was restarted
        self.starts = []
        self.cuts = self.found = 0
        self.images = []  # of the flash at a cut, with what was known then
        self.outbox = None

    # The board

    def start(self):
        self.lost.update(range(self.synced + 1, self.put + 1))
        self.nc.down()
        self.nc.on_refusal = ()
        self.outbox = self.new_outbox("/flash/outbox", self.nc)
        self.starts.append(self.outbox._spool.log.start)
        self.examine()

    def new_outbox(self, path, nc):
        return Outbox(nc, "dev", ring=bytearray(self.ring_size), path=path, flash_size=1 << 20)

    def take(self, n):
        for _ in range(n):
            # Only once put has returned it is one that may be found; during it, it may be, too.
            self.put += 1
            assert self.outbox.put(SUBJECTS[self.put % 3], b"reading %d" % self.put)
            self.examine()
            self.send(1)

    def sync(self):
        synced = self.outbox.sync()
        assert synced or not self.complete
        if synced:
            self.synced = self.put
        self.examine()

    def send(self, turns):
        for _ in range(turns):
            self.outbox.poll()
            self.nc.serve()
            self.examine()

    def send_all(self):
        while len(self.outbox):
            self.send(1)

    def run(self, seed):
        """The board's life, and what must be there at its end."""
        self.flash.on_change = self.cut
        self.start()
        if seed is None:
            self.fill_drain_refill()
        else:
            random.seed(seed)
            for _ in range(35 if self.held else 150):
                self.do_something()
        self.nc.refusals.clear()
        self.nc.up()
        self.nc.lose_acks = 0
        self.send_all()
        self.flash.on_change = None
        self.check(self.nc, self.put)
        left = [name for name in os.listdir("/flash/outbox") if not name.endswith(".id")]
        if "held" in left:
            left.remove("held")
            left += os.listdir("/flash/outbox/held")
        assert not left, left

    def do_something(self):
        if self.held and random.getrandbits(2) == 0:
            subject = SUBJECTS[random.getrandbits(6) % 3].encode()
            self.nc.refusals[subject] = ("permission", "no responders", None)[
                random.getrandbits(6) % 3
            ]
        what = random.getrandbits(4)
        if what < 7:
            self.take(1 + random.getrandbits(3))
        elif what < 11:
            self.sync()
        elif what < 13:
            self.nc.up()
            self.send(random.getrandbits(3))
        elif what < 14:
            self.nc.lose_acks = random.getrandbits(2)
        elif what < 15:
            self.nc.down()
            self.outbox.poll()
        else:
            self.start()
            self.nc.forget_ids()

    def fill_drain_refill(self):
        for n in (
            3,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            1,
            12,
            25,
        ):  # small ones, to be put together; large ones
            self.take(n)
            self.sync()
        self.take(9)
        self.start()
        self.take(20)
        self.sync()
        self.nc.up()
        self.send(7)
        self.nc.lose_acks = 5
        self.send(1)
        self.start()
        self.nc.forget_ids()
        self.nc.up()
        self.take(12)
        self.sync()
        self.send(9)
        self.start()
        self.take(30)
        self.sync()

    # The cuts

    def cut(self, data):
        """The power is cut now. What follows from that is seen to later: FatFs
        is not reentrant.
        """
        self.images.append((bytearray(data), list(self.nc.stored), self.synced, list(self.starts)))

    def examine(self):
        """What does a board find that starts with the flash of one of these moments?"""
        images, self.images = self.images, []
        for data, stored, synced, starts in images:
            self.cuts += 1
            nc = FakeClient()
            nc.stored = stored
            nc.forget_ids()
            try:
                os.mount(self.fs(Flash(self.flash.block_size, 0, data)), "/cut")
            except OSError:
                assert not self.ordered, "no file system any more"
                continue
            try:
                self.restart(nc, synced, starts)
            finally:
                os.umount("/cut")
        if images:
            gc.collect()

    def restart(self, nc, synced, starts):
        try:
            outbox = self.new_outbox("/cut/outbox", nc)
        except OSError as error:
            assert not self.ordered, error
            return
        self.found += len(outbox)
        nc.up()
        turns = 0
        while len(outbox):
            outbox.poll()
            nc.serve()
            turns += 1
            assert turns < 10000, "it does not come to an end"
        self.check(nc, synced)
        log = outbox._spool.log
        if self.ordered:
            assert outbox.stats.damaged == 0, outbox.stats.damaged
            assert log.start not in starts, "the number of an earlier start"
        if self.complete:
            assert log.last_error is None, log.last_error

    def check(self, nc, sure):
        """The stream holds readings put, in order, each once; of the first `sure` ones, all not
        lost.
        """
        found = []
        for message in nc.stored:
            word, number = message.data.split(b" ")
            number = int(number)
            assert word == b"reading" and 0 < number <= self.put, message.data
            assert message.subject.decode() == SUBJECTS[number % 3], message.data
            found.append(number)
        for subject in range(3) if self.held else ():
            numbers = [n for n in found if n % 3 == subject]
            assert numbers == sorted(set(numbers)), numbers
        if self.ordered and not self.held:
            assert found == sorted(set(found)), found
        if self.complete:
            missing = [n for n in range(1, sure + 1) if n not in found and n not in self.lost]
            assert not missing, missing


def main(fs, block_size, blocks, ring_size, seed=None):
    cuts = Cuts(fs, int(block_size), int(blocks), int(ring_size))
    cuts.run(seed and int(seed))
    print(
        "cuts %d readings %d stored %d found %d starts %d written %d erased %d"
        % (
            cuts.cuts,
            cuts.put,
            len(cuts.nc.stored),
            cuts.found,
            len(cuts.starts),
            cuts.flash.written,
            cuts.flash.erased,
        )
    )


main(*sys.argv[1:])
