"""Outboxes on a client and a stream that are played, in time that moves when it is told to."""

import os
import unittest

import unats.outbox
import unats.outbox.core_sender
import unats.outbox.dedup
import unats.outbox.held
import unats.outbox.jetstream_sender
import unats.outbox.spool
import unats.outbox.stream
from fake_stream import FakeClient
from scripted import Clock
from unats.nuid import random_hex
from unats.outbox import Outbox

TEMP = "sensors.dev.temp"
BLOCK = max(os.statvfs("/tmp")[0], 512)


def texts(*numbers):
    return [b"r%d" % n for n in numbers]


class WithClient(unittest.TestCase):
    looks = False  # whether the outbox asks what the stream says of itself

    def setUp(self):
        self.clock = Clock().install(
            unats.outbox.spool,
            unats.outbox,
            unats.outbox.jetstream_sender,
            unats.outbox.core_sender,
            unats.outbox.dedup,
            unats.outbox.held,
            unats.outbox.stream,
        )
        self.path = "/tmp/unats-" + random_hex(12)
        self.nc = FakeClient()

    def tearDown(self):
        self.clock.remove()
        for path in (self.path + "/held", self.path):
            try:
                names = os.listdir(path)
            except OSError:
                continue
            for name in names:
                os.remove(path + "/" + name)
            os.rmdir(path)

    def begin_again(self):
        self.tearDown()
        self.setUp()

    def outbox(self, **options):
        options.setdefault("ring", bytearray(512))
        outbox = Outbox(self.nc, "dev", **options)
        if not self.looks and outbox.acknowledged:
            outbox._sender._may_look = False
        return outbox

    def in_flash(self, **options):
        return self.outbox(path=self.path, **options)

    def restarted(self, **options):
        """The power was cut, and came back."""
        self.nc.down()
        self.nc.on_refusal = ()  # as of another client
        return self.in_flash(**options)

    def files(self):
        return sorted([n for n in os.listdir(self.path) if n != "held" and not n.endswith(".id")])

    def put(self, outbox, *numbers):
        for n in numbers:
            self.assertTrue(outbox.put(TEMP, b"r%d" % n))

    def run_until_empty(self, outbox, turns=1000):
        for _ in range(turns):
            if not len(outbox):
                return
            outbox.poll()
            self.nc.serve()
            self.clock.sleep_ms(10)
        outbox.poll()
        self.assertEqual(len(outbox), 0)

    def check_stored(self, *numbers):
        self.assertEqual(self.nc.texts(), texts(*numbers))
        self.assertEqual(len({m.id for m in self.nc.stored}), len(numbers))
