"""Refused readings: those of other subjects go on, order holds for each subject, nothing is given
up that could still be stored and has room, and all is counted.
"""

import os
import random

import unats
from fake_stream import Sent
from outboxes import WithClient
from rounds import played

BAD, GOOD, OTHER = "s.bad", "s.good", "s.other"
FULL = {"code": 503, "err_code": 10077, "description": "maximum messages per subject exceeded"}
SEALED = {"code": 400, "err_code": 10109, "description": "invalid operation on sealed stream"}
KINDS = "no responders", "permission", FULL, SEALED


def data(first, *numbers):
    return [b"%s%d" % (first.encode(), n) for n in numbers]


class Case(WithClient):
    def setUp(self):
        super().setUp()
        self.base = 0
        self.taken = 0

    def begin(self, outbox=None, **options):
        """An outbox whose sums are looked at."""
        self.box = self.outbox(**options) if outbox is None else outbox
        self.base = len(self.box)
        self.taken = 0
        return self.box

    def give(self, subject, *texts):
        for text in texts:
            taken = self.box.put(subject, text)
            self.taken += taken or self.box.stats.dropped > 0
            self.check_sum()
        return taken

    def check_sum(self):
        s = self.box.stats
        done = s.acked + s.rejected + s.dropped + s.unconfirmed + s.damaged
        if self.base:  # a power cut leaves some in two places, which are known for one later on
            self.assertTrue(done + len(self.box) <= self.base + self.taken)
        else:
            self.assertEqual(done + len(self.box), self.taken)

    def turns(self, n=1, ms=10):
        for _ in range(n):
            self.box.poll()
            self.check_sum()
            self.nc.serve()
            self.check_sum()
            self.clock.sleep_ms(ms)

    def refuse(self, kind, *subjects):
        for subject in subjects:
            self.nc.refusals[subject.encode()] = kind

    def hold(self, n):
        """Begin with n readings of BAD that are refused."""
        self.begin()
        self.refuse(FULL, BAD)
        self.nc.up()
        self.give(BAD, *data("b", *range(n)))
        self.turns(20)

    def stored(self, subject):
        return [m.data for m in self.nc.stored if m.subject == subject.encode()]

    def attempts(self, subject, ms):
        """When it was tried, in tenths of a second."""
        before = self.clock.ticks_ms()
        found = []
        for _ in range(ms // 100):
            n = len([m for m in self.nc.log if m.subject == subject.encode()])
            self.box.poll()
            if len([m for m in self.nc.log if m.subject == subject.encode()]) > n:
                found.append((self.clock.ticks_ms() - before) // 100)
            self.nc.serve()
            self.clock.sleep_ms(100)
        return found


class Others(Case):
    def test_go_on_whatever_the_reason(self):
        for kind in KINDS:
            for window in (1, 4):
                self.begin_again()
                self.begin(window=window)
                self.refuse(kind, BAD)
                self.give(BAD, *data("b", 0, 1))
                self.give(GOOD, *data("g", 0, 1, 2))
                self.nc.up()
                self.give(BAD, *data("b", 2))
                self.give(GOOD, *data("g", 3))
                self.turns(20)
                self.assertEqual(self.stored(GOOD), data("g", 0, 1, 2, 3))
                self.assertEqual(self.stored(BAD), [])
                self.assertEqual((len(self.box), self.box.stats.acked), (3, 4))
                text = str(self.box.last_error)
                self.assertTrue(BAD in text and GOOD not in text, text)
                self.refuse(None, BAD)
                self.give(BAD, *data("b", 3))
                self.turns(20, 1000)
                self.assertEqual(self.stored(BAD), data("b", 0, 1, 2, 3))
                self.assertEqual((len(self.box), self.box.stats.acked), (0, 8))
                self.assertTrue(self.box._spool.held is None)  # its memory is given back

    def test_of_several_held_subjects_each_is_tried_by_itself(self):
        self.begin()
        self.refuse(FULL, BAD, OTHER)
        self.nc.up()
        for i in range(3):
            self.give(BAD, *data("b", i))
            self.give(OTHER, *data("o", i))
            self.give(GOOD, *data("g", i))
        self.turns(50)
        self.refuse(None, OTHER)
        self.turns(50, 1000)
        self.assertEqual(self.stored(OTHER), data("o", 0, 1, 2))
        self.assertEqual((self.stored(BAD), len(self.box)), ([], 3))
        self.refuse(None, BAD)
        self.turns(50, 1000)
        self.assertEqual(self.stored(BAD), data("b", 0, 1, 2))
        self.assertEqual(len(self.box), 0)

    def test_waits_grow_to_half_a_minute(self):
        self.begin()
        self.refuse(FULL, BAD)
        self.give(BAD, b"b0")
        self.nc.up()
        self.assertEqual(self.attempts(BAD, 130000), [0, 10, 30, 70, 150, 310, 610, 910, 1210])
        self.nc.up()  # another connection
        self.assertEqual(self.attempts(BAD, 5000)[:3], [0, 10, 30])

    def test_one_that_fails_again_when_it_is_its_turn(self):
        self.hold(3)
        self.refuse(None, BAD)
        while not self.stored(BAD):
            self.turns(1, 100)
        self.refuse(FULL, BAD)
        self.turns(100, 1000)
        n = len(self.stored(BAD))
        self.assertEqual(len(self.box), 3 - n)
        self.refuse(None, BAD)
        self.turns(100, 1000)
        self.assertEqual(self.stored(BAD), data("b", 0, 1, 2))

    def test_acknowledgements_that_get_lost(self):
        for lost in range(1, 8):
            self.begin_again()
            self.begin()
            self.refuse(FULL, BAD)
            self.nc.up()
            self.give(BAD, *data("b", 0, 1, 2))
            self.give(GOOD, *data("g", 0, 1))
            self.turns(20)
            self.refuse(None, BAD)
            self.nc.window = 0  # it recognises no id
            self.nc.lose_acks = lost
            self.turns(200, 500)
            self.assertEqual(self.stored(BAD), data("b", 0, 1, 2))
            self.assertEqual(self.stored(GOOD), data("g", 0, 1))
            self.assertEqual(len(self.box), 0)

    def test_one_that_was_stored_without_an_answer_and_then_refused(self):
        self.begin(ack_ms=1000)
        self.nc.window = 0
        self.nc.lose_acks = 1
        self.nc.up()
        self.give(BAD, b"b0")
        self.turns(1)
        self.refuse(FULL, BAD)
        self.turns(20, 200)
        self.assertEqual(len(self.box), 0 if self.box.stats.acked else 1)
        self.refuse(None, BAD)
        self.turns(50, 500)
        self.assertEqual((self.stored(BAD), len(self.box)), ([b"b0"], 0))

    def test_one_that_was_stored_without_an_answer_in_a_stream_that_is_away_now(self):
        self.begin(ack_ms=1000)
        self.nc.window = 0
        self.nc.lose_acks = 1
        self.nc.up()
        self.give(BAD, b"b0")
        self.turns(1)
        self.refuse("no responders", BAD)
        self.turns(50, 200)
        self.assertEqual(len(self.box), 1)
        self.refuse(None, BAD)
        self.turns(50, 500)
        self.assertEqual((self.stored(BAD), len(self.box)), ([b"b0"], 0))

    def test_of_an_earlier_life_in_a_stream_that_is_away_now(self):
        for number in (1, 2, 3):
            self.begin_again()
            self.begin(self.in_flash())
            self.nc.window = 0
            self.nc.up()
            self.give(GOOD, b"g0")
            self.turns(3)
            self.give(BAD, *data("b", *range(number)))
            self.assertTrue(self.box.sync())
            self.nc.lose_acks = number
            self.turns(2)
            self.assertEqual(self.stored(BAD), data("b", *range(number)))
            self.begin(self.restarted())
            self.refuse("no responders", BAD)
            self.nc.up()
            self.turns(50, 200)
            self.assertEqual(len(self.box), number)
            self.refuse(None, BAD)
            self.turns(50, 500)
            self.assertEqual(self.stored(BAD), data("b", *range(number)))
            self.assertEqual(len(self.box), 0)

    def test_what_was_sent_with_it_does_not_look_younger_when_it_is_held(self):
        self.begin(ack_ms=1500, duplicate_window_ms=4000)
        self.nc.window = 0
        self.nc.up()
        self.give(GOOD, b"g0")
        self.turns(1)
        self.give(BAD, b"b0")
        self.give(GOOD, b"g1")
        self.box.poll()
        bad, good = self.nc.sent
        self.nc.sent = []
        self.nc.stored.append(good)  # and no answer comes
        self.clock.sleep_ms(1400)
        self.refuse("no responders", BAD)
        self.nc.acknowledge(bad, b"", 503)
        self.turns(50, 200)
        self.assertEqual(self.stored(GOOD), data("g", 0, 1))

    def test_connections_that_get_lost(self):
        for turns in range(1, 12):
            self.begin_again()
            self.hold(3)
            self.refuse(None, BAD)
            self.nc.window = 0
            self.turns(1, 1000)
            for i in range(turns):
                self.box.poll()
                if i + 1 == turns:
                    sent = self.nc.sent
                    for message in sent:
                        self.nc.stored.append(message)  # but nothing comes back
                    self.nc.down()
                self.nc.serve()
            self.nc.up()
            self.turns(100, 500)
            self.assertEqual(self.stored(BAD), data("b", 0, 1, 2))
            self.assertEqual(len(self.box), 0)

    def test_one_that_is_too_large_is_rejected(self):
        self.begin()
        self.refuse({"code": 400, "err_code": 10054, "description": "too large"}, BAD)
        self.nc.up()
        self.give(BAD, b"b0")
        self.give(GOOD, b"g0")
        self.turns(5)
        self.assertEqual((self.box.stats.rejected, self.stored(GOOD)), (1, [b"g0"]))

    def test_one_that_is_too_large_behind_one_that_was_refused(self):
        large = {"code": 400, "err_code": 10054, "description": "too large"}
        for which in (0, 1, 2):
            self.begin_again()
            self.hold(3)
            self.refuse(
                lambda msg, which=which: large if msg.data == b"b%d" % which else None, BAD
            )
            self.turns(100, 500)
            left = [n for n in (0, 1, 2) if n != which]
            self.assertEqual(self.stored(BAD), data("b", *left))
            stats = self.box.stats
            self.assertEqual((stats.rejected, stats.acked, len(self.box)), (1, 2, 0))
            self.assertTrue("too large" in str(self.box.last_error))

    def test_flush_waits_for_what_is_held(self):
        self.begin()
        self.refuse(FULL, BAD)
        self.nc.up()
        self.give(BAD, b"b0")
        self.turns(3)
        poll = self.nc.poll

        def poll_and_wait(ms):
            self.clock.sleep_ms(ms)
            return poll()

        self.nc.poll = poll_and_wait
        self.assertFalse(self.box.flush(50))
        self.refuse(None, BAD)
        self.clock.sleep_ms(5000)
        self.assertTrue(self.box.flush(50))


class Room(Case):
    def test_what_is_refused_goes_first(self):
        self.begin(ring=bytearray(400), max_payload=50)
        self.refuse(FULL, BAD)
        self.nc.up()
        for i in range(50):
            self.give(BAD, *data("b", i))
            self.give(GOOD, *data("g", i))
            self.turns(4)
        self.assertEqual(self.stored(GOOD), data("g", *range(50)))
        stats = self.box.stats
        self.assertEqual((stats.dropped, stats.rejected), (0, 50 - len(self.box)))
        self.assertTrue(0 < len(self.box) < 50)
        self.refuse(None, BAD)
        left = len(self.box)
        self.turns(100, 500)
        # (The copy in RAM of what had to be given up was tried all the same.)
        self.assertEqual(self.stored(BAD), data("b", 0, *range(50 - left, 50)))
        self.assertEqual((stats.acked, stats.rejected), (50 + 1 + left, 50 - 1 - left))

    def test_without_any_stream_all_waits(self):
        for policy in ("refuse", "newest", "oldest"):
            self.begin_again()
            self.begin(ring=bytearray(400), max_payload=50, policy=policy)
            self.nc.refuse = "no responders"
            self.nc.up()
            put = 0
            for i in range(100):
                put += self.box.put((BAD, GOOD)[i % 2], b"r%d" % i)
                self.taken = put if policy == "refuse" else i + 1
                self.turns(3, 100)
            self.assertEqual(self.box.stats.rejected, 0)
            left = len(self.box)
            self.assertTrue(10 < left < 40, left)
            self.nc.refuse = None
            self.turns(100, 1000)
            self.assertEqual(len(self.box), 0)
            found = sorted([int(m.data[1:]) for m in self.nc.stored])
            self.assertEqual(len(found), left)
            if policy != "oldest":
                self.assertEqual(found, list(range(left)))
            for subject in (BAD, GOOD):
                numbers = [int(text[1:]) for text in self.stored(subject)]
                self.assertEqual(numbers, sorted(numbers))

    def test_more_subjects_than_are_held(self):
        self.begin(ring=bytearray(4096))
        self.nc.up()
        self.give(GOOD, b"g0")
        self.turns(3)
        for i in range(20):
            self.refuse(FULL, "s.%d" % i)
            self.give("s.%d" % i, b"r")
        self.give(GOOD, b"g1")
        self.turns(30)
        self.assertEqual(self.stored(GOOD), data("g", 0, 1))
        self.assertEqual((self.box.stats.rejected, len(self.box)), (4, 16))
        self.nc.refusals.clear()
        self.turns(100, 1000)
        self.assertEqual(len(self.nc.stored), 18)

    def test_in_flash_too(self):
        block = max(os.statvfs("/tmp")[0], 512)
        self.begin(self.in_flash(ring=bytearray(512), flash_size=6 * block))
        self.refuse(FULL, BAD)
        self.nc.up()
        self.give(GOOD, b"g0")
        self.turns(3)
        for i in range(200):
            self.give(BAD, *data("b", i))
            self.turns(3)
        self.assertEqual(self.box.stats.dropped, 0)
        self.nc.down()
        for i in range(1, 200):
            self.give(GOOD, *data("g", i))
            self.turns()
        stats = self.box.stats
        self.assertTrue(stats.rejected > 100, stats.rejected)
        self.nc.up()
        self.turns(100, 100)
        n = stats.dropped
        self.assertEqual(self.stored(GOOD), data("g", 0, *range(1 + n, 200)))
        self.refuse(None, BAD)
        self.turns(300, 500)
        self.assertEqual(len(self.box), 0)


class Restart(Case):
    def restart(self):
        self.nc.down()
        self.begin(self.restarted())

    def test_what_is_held_in_flash_is_there_afterwards(self):
        self.begin(self.in_flash())
        self.refuse(FULL, BAD)
        self.nc.up()
        self.give(BAD, *data("b", 0, 1))
        self.give(GOOD, *data("g", 0))
        self.turns(10)
        self.assertTrue(self.box.sync())
        self.restart()
        self.assertEqual(len(self.box), 2)
        self.give(GOOD, b"g1")
        self.give(BAD, b"b2")
        self.nc.up()
        self.turns(10)
        self.assertEqual((self.stored(GOOD), self.stored(BAD)), (data("g", 0, 1), []))
        self.assertTrue(self.box.sync())
        self.restart()
        self.refuse(None, BAD)
        self.nc.up()
        self.give(BAD, b"b3")
        self.turns(50, 100)
        self.assertEqual(self.stored(BAD), data("b", 0, 1, 2, 3))
        self.assertEqual(len(self.box), 0)

    def test_readings_from_flash_are_held_in_flash(self):
        self.begin(self.in_flash(ring=bytearray(256)))
        for i in range(60):
            self.give((BAD, GOOD)[i % 2], b"%d" % i)
        self.assertTrue(self.box.sync())
        self.restart()
        self.refuse(FULL, BAD)
        self.nc.up()
        self.turns(100)
        self.assertEqual(self.stored(GOOD), [b"%d" % i for i in range(1, 60, 2)])
        self.restart()  # with no sync
        self.refuse(None, BAD)
        self.nc.up()
        self.turns(200, 100)
        self.assertEqual(self.stored(BAD), [b"%d" % i for i in range(0, 60, 2)])


class Random(Case):
    """Whatever happens."""

    SUBJECTS = ["s.%d" % i for i in range(5)]

    def check(self):
        for subject in self.SUBJECTS:
            numbers = [int(text) for text in self.stored(subject)]
            self.assertEqual(numbers, sorted(set(numbers)), subject)

    def run_once(self, seed, flash, **options):
        random.seed(seed)
        window = options.get("window", 8)  # of which the server may lose one: see unats.outbox
        self.begin(self.in_flash(**options) if flash else self.outbox(**options))
        self.nc.up()
        put = counted = 0
        for _ in range(300):
            what = random.getrandbits(5)
            subject = self.SUBJECTS[random.getrandbits(8) % 5]
            if what < 14:
                put += 1
                self.give(subject, b"%d" % put)
            elif what < 18:
                self.refuse(KINDS[random.getrandbits(2)], subject)
            elif what < 22:
                self.refuse(None, subject)
            elif what < 23:
                self.nc.lose_acks = random.getrandbits(2)
            elif what < 24:
                self.nc.lose_messages = random.getrandbits(2) if window == 1 else 0
            elif what < 26:
                self.nc.down()
            elif what < 29:
                self.nc.up()
            elif what < 30 and flash and self.box.sync():
                stats = self.box.stats
                counted += stats.rejected + stats.dropped + stats.unconfirmed
                self.nc.down()
                self.begin(self.restarted(**options))
            else:
                self.clock.sleep_ms(random.getrandbits(13))
            self.turns(1 + random.getrandbits(2))
            self.check()
        self.nc.refusals.clear()
        self.nc.lose_acks = self.nc.lose_messages = 0
        self.nc.up()
        self.turns(500, 500)
        self.check()
        self.assertEqual(len(self.box), 0)
        stats = self.box.stats
        counted += stats.rejected + stats.dropped + stats.unconfirmed
        self.assertEqual(stats.damaged, 0)
        self.assertTrue(put - len(self.nc.stored) <= counted, (put, len(self.nc.stored), counted))
        return put, counted

    def runs(self, n, flash, **options):
        for seed in played(n):
            self.begin_again()
            try:
                self.run_once(seed, flash, **options)
            except AssertionError:
                print("seed", seed, flash, options)
                raise

    def test_in_ram(self):
        self.runs(15, False, window=1)
        self.runs(15, False, window=4)

    def test_in_little_ram(self):
        self.runs(20, False, ring=bytearray(200), max_payload=30)

    def test_in_flash(self):
        self.runs(15, True, ring=bytearray(256), max_payload=30, window=1)
        self.runs(15, True, ring=bytearray(256), max_payload=30)

    def test_in_little_flash(self):
        block = max(os.statvfs("/tmp")[0], 512)
        self.runs(15, True, ring=bytearray(128), max_payload=30, flash_size=5 * block)


class Duplicates(Case):
    """The stream takes one for a duplicate that was never sent."""

    def take_id(self, subject, text, n=2):
        """The id of the outbox's n-th reading is taken, by this message."""
        self.begin(window=1)
        self.nc.up()
        self.give(BAD, b"b0")
        self.turns(2)
        headers = self.nc.log[0].headers.replace(b"-00000001", b"-%08x" % n)
        self.nc.stored.append(Sent(subject.encode(), text, b"", headers))

    def test_by_another_message(self):
        for subject, text in ((BAD, b"other"), (OTHER, b"b1")):
            self.begin_again()
            self.take_id(subject, text)
            self.give(BAD, b"b1", b"b2")
            self.give(GOOD, b"g0")
            self.turns(20)
            self.assertEqual(self.stored(GOOD), [b"g0"])
            self.turns(50, 200)
            mine = [m for m in self.stored(BAD) if m != b"other"]
            self.assertEqual(mine, data("b", 0, 1, 2))
            self.assertEqual((len(self.box), self.box.stats.acked), (0, 4))
            self.assertTrue("taken" in str(self.box.last_error))

    def test_by_itself(self):
        self.take_id(BAD, b"b1")
        self.give(BAD, b"b1", b"b2")
        self.turns(50, 200)
        self.assertEqual(self.stored(BAD), data("b", 0, 1, 2))
        self.assertEqual((self.box.stats.acked, self.box.stats.unverified), (3, 0))

    def test_where_it_can_not_be_looked_into(self):
        self.take_id(OTHER, b"other")
        self.nc.no_api = True
        self.give(BAD, b"b1")
        self.turns(50, 200)
        self.assertEqual((self.box.stats.acked, self.box.stats.unverified), (2, 1))

    def test_one_that_was_sent_before_is_one(self):
        self.begin(ack_ms=1000)
        self.nc.up()
        self.nc.lose_acks = 1
        self.give(BAD, b"b0")
        self.turns(20, 200)
        self.assertEqual((self.stored(BAD), self.box.stats.acked), ([b"b0"], 1))
        self.assertEqual(self.nc.questions, [])


class Unknown(Case):
    def test_what_else_lies_there_is_counted(self):
        self.begin(self.in_flash())
        self.refuse(FULL, BAD)
        self.nc.up()
        self.give(BAD, b"b0")
        self.turns(3)
        held = self.box._spool.held.spool
        held.put(BAD, b"short")  # by somebody else
        self.taken += 1
        self.refuse(None, BAD)
        self.turns(20, 500)
        self.assertEqual((self.stored(BAD), self.box.stats.damaged), ([b"b0"], 1))
        self.assertTrue(isinstance(self.box.last_error, unats.Error))
