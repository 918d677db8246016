"""The outbox: order, exactly once, what is dropped and counted, the window, lost acknowledgements,
restarts.
"""

import gc
import os
import unittest

import micropython

import unats
import unats.outbox
import unats.outbox.core_sender
import unats.outbox.dedup
import unats.outbox.held
import unats.outbox.jetstream_sender
import unats.outbox.spool
from fake_stream import Sent
from outboxes import BLOCK, TEMP, WithClient, texts
from scripted import Scripted
from unats import kernels
from unats.nuid import random_hex
from unats.outbox import Outbox


class Arguments(WithClient):
    def test_bad_ones(self):
        for options in (
            {"ack": "maybe"},
            {"policy": "random"},
            {"window": 0},
            {"window": 17},
            {"ack_ms": 0},
            {"ring": bytearray(10)},
            {"ring": bytearray(70000)},
        ):
            with self.assertRaises(ValueError):
                self.outbox(**options)
        for device in ("a b", "a.b", "a\r\nb", "a:b", "\xe4"):
            with self.assertRaises(ValueError):
                Outbox(self.nc, device)
            with self.assertRaises(ValueError):
                self.outbox(stream=device)

    def test_confirmations_come_to_the_clients_own_inbox(self):
        for ack in ("stream", "none"):
            for prefix in ("in", "_INBOX.dev", "a.b.c"):
                self.begin_again()
                self.nc.inbox_prefix = prefix
                outbox = self.outbox(ack=ack)
                self.put(outbox, 0, 1, 2)
                self.nc.up()
                self.run_until_empty(outbox)
                for _ in range(3):
                    outbox.poll()
                    self.nc.serve()
                self.assertEqual((outbox.stats.acked, outbox.stats.resent), (3, 0))
                self.assertEqual(self.nc.texts(), texts(0, 1, 2))

    def test_bad_readings_are_refused_and_nothing_is_kept_of_them(self):
        outbox = self.outbox(ring=bytearray(300), max_payload=100)
        for subject in ("", "a b", "a..b", ".a", "a.", "a\r\nPUB b 0", "a\x7f", "s" * 201):
            with self.assertRaises(ValueError):
                outbox.put(subject, b"x")
        with self.assertRaises(ValueError):
            outbox.put(TEMP, bytes(101))
        with self.assertRaises(ValueError):
            outbox.put(TEMP, "\xe4" * 51)
        with self.assertRaises(ValueError):
            outbox.put("s" * 190, bytes(100))
        with self.assertRaises(ValueError):
            outbox.put(TEMP, 5)
        self.assertEqual(len(outbox), 0)
        self.put(outbox, 1)
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(1)

    def test_a_folder_that_can_not_be_made(self):
        with self.assertRaises(OSError):
            self.outbox(path="/tmp/unats-missing/outbox")


class Sending(WithClient):
    def test_each_reading_once_and_in_order(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2, 3)
        self.nc.up()
        self.put(outbox, 4)
        self.run_until_empty(outbox)
        self.put(outbox, 5)
        self.run_until_empty(outbox)
        self.check_stored(1, 2, 3, 4, 5)
        self.assertEqual((outbox.stats.acked, outbox.stats.resent), (5, 0))

    def test_every_kind_of_payload(self):
        outbox = self.outbox()
        p = unats.Payload(40)
        for payload in (
            b"a",
            bytearray(b"b"),
            memoryview(b"xc")[1:],
            "d",
            "\xe4",
            b"",
            p.text("e"),
        ):
            outbox.put("s.\xe4", payload)
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts(), [b"a", b"b", b"c", b"d", b"\xc3\xa4", b"", b"e"])
        self.assertEqual({m.subject for m in self.nc.stored}, {b"s.\xc3\xa4"})

    def test_many_subjects(self):
        outbox = self.outbox(ring=bytearray(8192))
        expected = []
        for i in range(60):
            subject = "s.%d" % (i * 7 % 25)
            expected.append((subject.encode(), b"r%d" % i))
            outbox.put(subject, b"r%d" % i)
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual([(m.subject, m.data) for m in self.nc.stored], expected)

    def test_ids_are_made_of_device_start_and_sequence(self):
        outbox = self.in_flash()
        self.put(outbox, 1, 2)
        self.nc.up()
        self.run_until_empty(outbox)
        mark = os.listdir(self.path)[0][:6].encode()
        ids = [b"dev-" + mark + b"000001-%08x" % n for n in (1, 2)]
        self.assertEqual([m.id for m in self.nc.stored], ids)

    def test_the_header_is_one_that_the_protocol_knows(self):
        outbox = self.outbox()
        self.put(outbox, 1)
        self.nc.up()
        outbox.poll()
        id = self.nc.sent[0].id
        self.assertEqual(len(id), 25)
        self.assertEqual(self.nc.sent[0].headers, b"NATS/1.0\r\nNats-Msg-Id: " + id + b"\r\n\r\n")

    def test_one_goes_ahead_and_then_a_window_full(self):
        outbox = self.outbox(window=4)
        self.put(outbox, *range(10))
        self.nc.up()
        sizes = []
        while len(outbox):
            outbox.poll()
            sizes.append(len(self.nc.sent))
            self.nc.serve()
        self.assertEqual(sizes, [1, 4, 4, 1])
        self.check_stored(*range(10))

    def test_the_window_moves_with_each_acknowledgement(self):
        outbox = self.outbox(window=3)
        self.put(outbox, *range(8))
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        self.assertEqual([m.data for m in self.nc.sent], texts(1, 2, 3))
        self.nc.acknowledge(self.nc.sent[0])
        outbox.poll()
        self.assertEqual([m.data for m in self.nc.sent], texts(1, 2, 3, 4))

    def test_a_full_transmit_buffer_only_delays(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2, 3)
        self.nc.up()
        self.nc.full = True
        for _ in range(5):
            outbox.poll()
        self.nc.full = False
        self.run_until_empty(outbox)
        self.check_stored(1, 2, 3)
        self.assertEqual(outbox.stats.resent, 0)

    def test_flush_polls_until_all_is_acknowledged(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2, 3)
        self.nc.up()
        self.assertTrue(outbox.flush())
        self.check_stored(1, 2, 3)
        self.assertTrue(outbox.flush())

    def test_flush_gives_up_in_time(self):
        outbox = self.outbox()
        self.put(outbox, 1)
        clock = self.clock

        def poll(timeout_ms=0):
            clock.sleep_ms(timeout_ms)

        self.nc.poll = poll
        self.assertFalse(outbox.flush(300))
        self.assertEqual(clock.ticks_ms(), 300)

    def test_after_close_acknowledgements_are_not_taken_any_more(self):
        outbox = self.in_flash()
        self.put(outbox, 1)
        self.nc.up()
        outbox.poll()
        outbox.close()
        self.nc.serve()
        self.assertEqual(len(outbox), 1)
        self.assertEqual(len(self.files()), 1)


class Refused(WithClient):
    """The server does not let the client publish to a subject, and says so before it answers what
    was published behind that.
    """

    def violation(self, subject, operation="publish"):
        error = unats.ServerError("Permissions Violation for Publish to")
        error.operation, error.subject = operation, subject
        for f in self.nc.on_refusal:
            f(error)
        return error

    def counted(self, outbox):
        stats = outbox.stats
        return stats.acked + stats.rejected + stats.unconfirmed + stats.dropped + len(outbox)

    def test_without_acknowledgements_it_is_rejected_and_the_others_are_acked(self):
        for refused in ((1,), (0,), (2,), (0, 1), (1, 2), (0, 1, 2)):
            self.begin_again()
            outbox = self.outbox(ack="none")
            self.nc.up()
            for i in range(3):
                outbox.put("s.denied" if i in refused else "s.good", b"r%d" % i)
            outbox.poll()
            self.assertEqual((len(outbox), self.counted(outbox)), (3, 3))
            for _ in refused:
                error = self.violation("s.denied")
                self.assertEqual(self.counted(outbox), 3)
            self.nc.serve()
            self.assertEqual(
                (outbox.stats.acked, outbox.stats.rejected), (3 - len(refused), len(refused))
            )
            self.assertEqual((len(outbox), self.counted(outbox)), (0, 3))
            self.assertTrue(outbox.last_error is error)

    def test_what_comes_behind_the_marker_is_not_taken_for_what_was_before_it(self):
        outbox = self.outbox(ack="none", window=4)
        self.nc.up()
        outbox.put("s.good", b"1")
        outbox.poll()
        outbox.put("s.denied", b"2")
        outbox.poll()
        self.nc.sent, behind = self.nc.sent[:2], self.nc.sent[2:]
        self.violation("s.denied")
        self.nc.serve()
        self.assertEqual((outbox.stats.acked, outbox.stats.rejected, len(outbox)), (1, 1, 0))
        self.nc.sent = behind
        outbox.put("s.good", b"3")
        outbox.poll()
        self.nc.serve()
        self.assertEqual((outbox.stats.acked, self.counted(outbox)), (2, 3))

    def test_violations_about_other_things(self):
        outbox = self.outbox(ack="none")
        self.nc.up()
        outbox.put("s.good", b"1")
        outbox.poll()
        self.violation("s.other")
        self.violation("s.good", "subscribe")
        self.violation(None)
        self.nc.serve()
        self.assertEqual((outbox.stats.acked, outbox.stats.rejected), (1, 0))
        self.assertTrue(outbox.last_error is None)

    def test_a_subject_that_is_not_ascii(self):
        outbox = self.outbox(ack="none")
        self.nc.up()
        outbox.put("s.\xe4", b"1")
        outbox.poll()
        self.violation("s.??")
        self.assertEqual((outbox.stats.rejected, len(outbox)), (1, 0))

    def test_with_a_stream_it_is_known_at_once_and_tried_again_later(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2)
        self.nc.up()
        outbox.poll()
        self.nc.sent = []
        error = self.violation(TEMP)
        self.assertTrue(outbox.last_error is error)
        outbox.poll()
        self.assertEqual(self.nc.sent, [])
        self.clock.sleep_ms(1000)
        self.run_until_empty(outbox)
        self.check_stored(1, 2)

    def test_after_close_nothing_is_heard_of_it(self):
        for ack in ("stream", "none"):
            outbox = self.outbox(ack=ack)
            outbox.close()
            self.assertEqual(self.nc.on_refusal, ())


class Trouble(WithClient):
    def sending(self, *numbers, **options):
        """An outbox with these readings, the first of which is acknowledged, the
        next ones sent.
        """
        outbox = self.outbox(**options)
        self.put(outbox, *numbers)
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        return outbox

    def test_lost_acknowledgements(self):
        for lost in range(1, 6):
            self.begin_again()
            outbox = self.sending(*range(8), window=4)
            self.nc.lose_acks = lost
            self.nc.serve()
            self.assertEqual(len(outbox) + outbox.stats.acked, 8)
            self.clock.sleep_ms(5001)
            self.run_until_empty(outbox)
            self.check_stored(*range(8))
            self.assertTrue(outbox.stats.resent >= 1)

    def test_an_acknowledgement_missing_in_the_middle(self):
        outbox = self.sending(*range(6), window=4)
        sent = self.nc.sent
        self.nc.lose_messages = 4
        self.nc.serve()
        for i in (3, 1, 2):
            self.nc.stored.append(sent[i])
            self.nc.acknowledge(sent[i])
        self.assertEqual((len(outbox), outbox.stats.acked), (2, 4))
        self.nc.acknowledge(sent[0])
        self.assertEqual(len(outbox), 1)
        self.assertEqual(outbox.stats.acked, 5)

    def test_duplicate_late_and_strange_acknowledgements(self):
        outbox = self.sending(*range(9), window=4)
        first = self.nc.log[0]
        for _ in range(3):
            self.nc.acknowledge(first)
            self.nc.acknowledge(self.nc.sent[2])
        self.assertEqual((len(outbox), outbox.stats.acked), (7, 2))
        for answer in (b"ok", b"", b"{}", b"[1]", b'{"error":1}', b'{"stream'):
            self.nc.acknowledge(self.nc.sent[0], answer)
        self.assertEqual((len(outbox), outbox.stats.acked), (7, 2))
        self.run_until_empty(outbox)
        self.check_stored(*range(9))
        self.assertEqual(outbox.stats.acked, 9)

    def test_every_form_of_an_acknowledgement(self):
        """Whatever JetStream.publish takes for one, and nothing else."""
        for answer, good in (
            (b'{"stream":"S","seq":1}', True),
            (b'{"stream":"S", "seq":123456789012}', True),
            (b'{ "stream" : "S" , "seq" : 1 }', True),
            (b'{"seq":1,"stream":"S"}', True),
            (b'{"domain":"hub","stream":"S","seq":1}', True),
            (b'{"stream":"S","domain":"hub","seq":1,"duplicate":false}', True),
            (b'{"stream":"a\\"b","seq":1}', True),
            (b'{"stream":"S","seq":1', False),
            (b'{"stream":"S","seq":"1"}', False),
            (b'{"stream":"S","seq":1x}', False),
            (b'{"stream":"S","seq":1}}', False),
            (b'{"stream":7,"seq":1}', False),
            (b'{"stream":"S\n","seq":1', False),
        ):
            self.begin_again()
            outbox = self.sending(0, 1)
            self.nc.acknowledge(self.nc.sent[0], answer)
            self.assertEqual(outbox.stats.acked, 2 if good else 1, answer)

    def test_a_duplicate_of_one_that_was_sent_before_is_acknowledged_like_any_other(self):
        outbox = self.sending(0, 1)
        self.nc.lose_messages = 1
        self.nc.serve()
        self.clock.sleep_ms(5001)
        outbox.poll()
        self.nc.acknowledge(self.nc.sent[0], b'{"stream":"S", "seq":2, "duplicate": true}')
        self.assertEqual(len(outbox), 0)

    def test_time_outs_bring_one_reading_until_that_is_acknowledged(self):
        outbox = self.sending(*range(9), window=4)
        self.nc.lose_messages = 4
        self.nc.serve()
        for tries in range(3):
            self.nc.lose_messages = 1
            self.clock.sleep_ms(4999)
            outbox.poll()
            self.assertEqual(self.nc.sent, [])
            self.clock.sleep_ms(1)
            outbox.poll()
            asked = self.nc._asked != []
            self.nc.answer()
            outbox.poll()
            self.assertEqual([m.data for m in self.nc.sent], texts(1))
            self.assertEqual(asked, tries > 0)  # not before it has been sent twice
            self.nc.serve()
        self.run_until_empty(outbox)
        self.check_stored(*range(9))

    def test_no_more_readings_behind_one_that_waits_for_long(self):
        outbox = self.sending(*range(3), window=8)
        self.clock.sleep_ms(999)
        self.put(outbox, 3)
        outbox.poll()
        self.assertEqual([m.data for m in self.nc.sent], texts(1, 2, 3))
        self.clock.sleep_ms(1)
        self.put(outbox, 4)
        outbox.poll()
        self.assertEqual(len(self.nc.sent), 3)
        self.run_until_empty(outbox)
        self.check_stored(*range(5))

    def test_reconnects_in_the_middle_of_a_window(self):
        for served in range(5):
            for acks_lost in range(served + 1):
                self.begin_again()
                outbox = self.sending(*range(9), window=4)
                self.nc.lose_acks = acks_lost
                sent = self.nc.sent
                self.nc.sent = sent[:served]
                self.nc.serve()
                self.nc.down()
                outbox.poll()
                self.put(outbox, 9)
                self.nc.up()
                self.run_until_empty(outbox)
                self.check_stored(*range(10))

    def test_a_reconnect_that_poll_has_not_seen(self):
        for change in ("server", "count"):
            self.begin_again()
            outbox = self.sending(*range(9), window=4)
            self.nc.sent = []
            if change == "server":
                self.nc.up()
            else:
                self.nc.stats.reconnects += 1
            outbox.poll()
            self.assertEqual([m.data for m in self.nc.sent], texts(1))
            self.run_until_empty(outbox)
            self.check_stored(*range(9))

    def test_late_acknowledgements_of_what_is_being_sent_again(self):
        outbox = self.sending(*range(9), window=4)
        sent = self.nc.sent
        self.nc.up()
        outbox.poll()
        self.assertEqual(len(self.nc.sent), 5)
        for message in sent[:4]:
            self.nc.stored.append(message)
            self.nc.acknowledge(message)
        self.nc.sent = []
        self.run_until_empty(outbox)
        self.check_stored(*range(9))

    def test_random_losses_of_everything(self):
        import random

        seed = random.getrandbits(30)
        print("seed", seed)
        random.seed(seed)
        outbox = self.in_flash(ring=bytearray(300), window=5, flash_size=1 << 24)
        n = 0
        for _ in range(500):
            if random.getrandbits(1):
                self.put(outbox, n)
                n += 1
            if not random.getrandbits(4):
                self.nc.down()
            if not self.nc.connected and random.getrandbits(1):
                self.nc.up()
            if not random.getrandbits(4):
                self.nc.deaf = True
            if not random.getrandbits(5):
                outbox.sync()
            if not random.getrandbits(6):
                self.nc.forget_ids()
                self.clock.sleep_ms(70000)
            if not random.getrandbits(3):
                self.clock.sleep_ms(1000)
            outbox.poll()
            self.nc.serve()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(n))
        self.assertEqual(
            (outbox.stats.dropped, outbox.stats.damaged, outbox.stats.unverified), (0, 0, 0)
        )
        self.assertEqual(self.files(), [])

    def test_without_a_stream_it_tries_less_and_less_often_and_forgets_nothing(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2)
        self.nc.up()
        self.nc.refuse = "no responders"
        attempts = []  # in tenths of a second
        for _ in range(1400):
            outbox.poll()
            if self.nc.sent:
                self.assertEqual(len(self.nc.sent), 1)
                attempts.append(self.clock.ticks_ms() // 100)
            self.nc.serve()
            self.clock.sleep_ms(100)
        self.assertEqual(attempts, [0, 10, 30, 70, 150, 310, 610, 910, 1210])
        self.assertTrue(isinstance(outbox.last_error, unats.NoResponders))
        self.nc.refuse = None
        self.clock.sleep_ms(30000)
        self.run_until_empty(outbox)
        self.check_stored(1, 2)

    def test_refusals_keep_the_reading_and_tell_why(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2)
        self.nc.up()
        self.nc.refuse = {
            "code": 503,
            "err_code": 10077,
            "description": "maximum messages exceeded",
        }
        outbox.poll()
        self.nc.serve()
        self.assertEqual(outbox.last_error.code, 503)
        self.assertEqual(outbox.last_error.err_code, 10077)
        self.assertTrue("maximum messages exceeded" in str(outbox.last_error))
        self.nc.refuse = None
        self.clock.sleep_ms(1000)
        self.run_until_empty(outbox)
        self.check_stored(1, 2)

    def test_a_reading_too_large_for_the_stream_does_not_block_the_others(self):
        outbox = self.sending(1, 2, 3)
        too_large = {
            "code": 400,
            "err_code": 10054,
            "description": "message size exceeds maximum allowed",
        }
        self.nc.refuse = too_large
        sent, self.nc.sent = self.nc.sent, self.nc.sent[:1]
        self.nc.serve()
        self.nc.refuse = None
        self.nc.sent = sent[1:]
        self.run_until_empty(outbox)
        self.check_stored(1, 3)
        self.assertEqual((outbox.stats.rejected, outbox.stats.acked), (1, 2))
        self.assertEqual(outbox.last_error.err_code, 10054)

    def test_a_reading_too_large_for_the_server_does_not_block_the_others(self):
        outbox = self.outbox()
        outbox.put(TEMP, b"r1")
        outbox.put(TEMP, bytes(200))
        outbox.put(TEMP, b"r3")
        self.nc.server.max_payload = 100
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(1, 3)
        self.assertEqual(outbox.stats.rejected, 1)
        self.assertTrue(isinstance(outbox.last_error, ValueError))

    def test_a_server_without_headers_is_waited_out(self):
        outbox = self.outbox()
        self.put(outbox, 1)
        self.nc.server.headers = False
        self.nc.up()
        outbox.poll()
        self.assertEqual((self.nc.sent, len(outbox)), ([], 1))

    def test_the_clock_may_wrap_and_the_application_may_pause_for_a_week(self):
        for now in ((1 << 30) - 2000, 12345):
            self.begin_again()
            self.clock.sleep_ms(now)
            outbox = self.sending(*range(6))
            self.nc.sent = []
            self.clock.sleep_ms(5001 if now > 1 << 29 else 7 * 24 * 3600 * 1000)
            outbox.poll()
            self.assertEqual([m.data for m in self.nc.sent], texts(1) if now > 1 << 29 else [])
            self.run_until_empty(outbox)
            self.check_stored(*range(6))


class Looking(WithClient):
    """What the stream says of itself is asked for once on each connection."""

    looks = True
    QUESTIONS = ["$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.S"]

    def test_once_on_each_connection(self):
        outbox = self.outbox()
        for i in range(2):
            self.nc.up()
            self.put(outbox, 2 * i, 2 * i + 1)
            self.run_until_empty(outbox)
            self.assertEqual(self.nc.questions, self.QUESTIONS * (i + 1))
            self.nc.down()
            outbox.poll()
        self.check_stored(*range(4))
        self.assertEqual(outbox.last_error, None)

    def test_without_acknowledgements_it_is_asked_what_it_has(self):
        self.nc.config = {"no_ack": True}
        outbox = self.outbox(ring=bytearray(1024))
        self.put(outbox, *range(20))
        self.nc.up()
        before = self.clock.ticks_ms()
        self.run_until_empty(outbox)
        self.assertTrue(self.clock.ticks_ms() - before < 5000)
        self.check_stored(*range(20))
        stats = outbox.stats
        self.assertEqual((stats.acked + stats.unconfirmed, stats.resent), (20, 0))
        self.assertTrue("no_ack" in str(outbox.last_error))

    def test_one_that_a_stream_without_acknowledgements_did_not_get_is_sent_again(self):
        self.nc.config = {"no_ack": True}
        outbox = self.outbox(window=1)
        self.put(outbox, *range(5))
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        self.nc.lose_messages = 2
        self.run_until_empty(outbox)
        self.check_stored(*range(5))

    def test_what_is_larger_than_the_stream_takes_is_not_even_sent(self):
        outbox = self.outbox()
        self.nc.up()
        self.put(outbox, 0)
        self.run_until_empty(outbox)  # while it has not answered yet
        limit = len(self.nc.stored[0].headers) + 10
        self.nc.config = {"max_msg_size": limit}
        for largest in (limit, None):
            self.nc.down()
            outbox.poll()
            self.nc.up()
            self.put(outbox, 1)
            for _ in range(4):  # until it has answered
                outbox.poll()
                self.nc.serve()
            sent = len(self.nc.log)
            self.assertTrue(outbox.put(TEMP, b"x" * 11) and outbox.put(TEMP, b"y" * 10))
            self.run_until_empty(outbox)
            self.assertEqual(len(self.nc.log) - sent, 1 if largest else 2)
            self.nc.config = {}
        self.assertEqual((outbox.stats.rejected, outbox.stats.acked), (1, 6))
        self.assertTrue(TEMP in str(outbox.last_error) and "larger" in str(outbox.last_error))

    def test_a_short_duplicate_window(self):
        self.nc.config = {"duplicate_window": 100000000}
        self.nc.window = 0
        outbox = self.outbox()
        self.put(outbox, 0, 1, 2)
        self.nc.up()
        outbox.poll()
        self.nc.lose_acks = 1
        self.nc.serve()
        self.clock.sleep_ms(200)
        self.nc.down()
        outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(0, 1, 2)

    def test_nothing_is_sent_again_before_it_is_known(self):
        self.nc.config = {"duplicate_window": 100000000}
        self.nc.window = 0
        outbox = self.outbox()
        self.put(outbox, 0)
        self.nc.up()
        outbox.poll()
        self.nc.deaf = True
        self.nc.serve()  # it is stored, and no answer comes back
        self.clock.sleep_ms(200)
        self.nc.down()
        outbox.poll()
        self.nc.up()
        outbox.poll()
        self.assertEqual(self.nc.sent, [])
        self.run_until_empty(outbox)
        self.check_stored(0)

    def test_a_sealed_one_is_told(self):
        self.nc.config = {"sealed": True}
        outbox = self.outbox()
        self.put(outbox, 0)
        self.nc.up()
        self.run_until_empty(outbox)
        self.nc.serve()
        self.assertTrue("sealed" in str(outbox.last_error))

    def test_where_it_can_not_be_asked(self):
        self.nc.no_api = True
        outbox = self.outbox()
        self.put(outbox, 0, 1)
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(0, 1)

    def test_not_where_only_the_own_readings_may_be_asked_for(self):
        outbox = self.outbox(stream="S")
        self.put(outbox, 0, 1)
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.questions, [])


class BeyondTheDuplicateWindow(WithClient):
    def lost_acks(self, **options):
        """Eight readings, all stored, one acknowledged; then the connection is lost."""
        outbox = self.outbox(window=4, **options)
        for i in range(8):
            outbox.put("s.%d" % (i % 2), b"r%d" % i)
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        self.nc.lose_acks = 4
        self.nc.serve()
        self.nc.down()
        return outbox

    def test_soon_after_the_server_recognises_the_ids(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(30000)
        outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(8))
        self.assertEqual(self.nc.questions, [])

    def test_a_stream_that_is_named_is_asked_for_ones_own_subjects_only(self):
        outbox = self.lost_acks(stream="S")
        for _ in range(70):
            self.clock.sleep_ms(1000)
            outbox.poll()
        self.nc.forget_ids()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(8))
        self.assertEqual(
            sorted(self.nc.questions), ["$JS.API.DIRECT.GET.S.s.%d" % i for i in range(2)]
        )
        self.assertEqual(outbox.stats.unverified, 0)

    def test_a_named_stream_that_holds_nothing_of_it_or_does_not_answer(self):
        for gone in ([], None):
            self.begin_again()
            outbox = self.lost_acks(stream="S")
            for _ in range(70):
                self.clock.sleep_ms(1000)
                outbox.poll()
            self.nc.stored = []
            self.nc.no_api = gone is None
            self.nc.up()
            self.run_until_empty(outbox, 4000)
            self.check_stored(*range(1, 8))
            self.assertEqual(outbox.stats.unverified > 0, self.nc.no_api)

    def test_a_server_that_has_just_started_is_asked_again(self):
        outbox = self.lost_acks(stream="S")
        for _ in range(70):
            self.clock.sleep_ms(1000)
            outbox.poll()
        self.nc.forget_ids()
        self.nc.no_api = True
        self.nc.up()
        outbox.poll()
        self.nc.answer()
        self.nc.no_api = False
        self.run_until_empty(outbox, 4000)
        self.check_stored(*range(8))
        self.assertEqual(outbox.stats.unverified, 0)

    def test_later_the_stream_is_asked_once_for_each_subject(self):
        outbox = self.lost_acks()
        for _ in range(70):
            self.clock.sleep_ms(1000)
            outbox.poll()
        self.nc.forget_ids()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(8))
        self.assertEqual(
            self.nc.questions, ["$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.S"] * 2
        )
        self.assertEqual(outbox.stats.unverified, 0)

    def test_when_only_some_got_there(self):
        for got in range(5):
            self.begin_again()
            outbox = self.outbox(window=4)
            self.put(outbox, *range(8))
            self.nc.up()
            outbox.poll()
            self.nc.serve()
            outbox.poll()
            self.nc.sent = self.nc.sent[:got]
            self.nc.lose_acks = got
            self.nc.serve()
            self.nc.down()
            outbox.poll()
            self.clock.sleep_ms(61000)
            outbox.poll()
            self.nc.forget_ids()
            self.nc.up()
            self.run_until_empty(outbox)
            self.check_stored(*range(8))

    def test_an_earlier_life_of_the_device_is_not_taken_for_this_one(self):
        outbox = self.lost_acks()
        for m in self.nc.stored:
            m.headers = m.headers.replace(m.id, b"dev-ffffffffffff-ffffffff")
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts(), texts(*range(5)) + texts(*range(1, 8)))

    def test_if_it_can_not_be_asked_the_reading_is_sent_and_counted(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.no_api = True
        self.nc.forget_ids()
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts(), texts(*range(5)) + texts(*range(1, 8)))
        self.assertTrue(outbox.stats.unverified > 0)

    def test_it_is_asked_once_if_it_is_known_why_there_is_no_answer(self):
        for reason in ("permissions", "oversize"):
            self.begin_again()
            outbox = self.lost_acks()
            self.clock.sleep_ms(61000)
            outbox.poll()
            self.nc.no_api = True
            self.nc.up()
            outbox.poll()
            if reason == "permissions":
                self.nc.last_error = unats.ServerError(
                    'Permissions Violation for Publish to "$JS.API.STREAM.NAMES"'
                )
            else:
                self.nc.stats.oversize += 1
            self.nc.serve()
            self.assertEqual((outbox.stats.unverified, len(self.nc.questions)), (1, 1))
            self.nc.stats.oversize = 0

    def test_a_connection_that_is_deaf_does_not_count_as_no_answer(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.forget_ids()
        self.nc.up()
        self.nc.deaf = True
        for _ in range(20):
            outbox.poll()
            self.nc.serve()
            self.clock.sleep_ms(4000)
        self.nc.down()
        outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(8))
        self.assertEqual(outbox.stats.unverified, 0)

    def test_a_connection_lost_while_it_is_asked(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.forget_ids()
        for _ in range(3):
            self.nc.up()
            outbox.poll()
            self.nc.down()
            outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(8))

    def test_one_that_the_server_lost_among_others_is_not_taken_for_stored(self):
        outbox = self.outbox(window=4)
        self.put(outbox, 0, 1, 2, 3, 4)
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        for _ in range(14):
            self.nc.lose_messages = 1
            outbox.poll()
            self.nc.serve()
            self.clock.sleep_ms(5000)
        self.nc.lose_messages = 0
        self.run_until_empty(outbox)
        self.check_stored(0, 2, 3, 4, 1)

    def test_a_cluster_that_elects_a_leader_is_asked_again(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.forget_ids()
        self.nc.api_error = {"code": 503, "err_code": 10008, "description": "unavailable"}
        self.nc.up()
        for _ in range(100):
            outbox.poll()
            self.nc.serve()
            self.clock.sleep_ms(500)
        self.assertTrue(2 < len(self.nc.questions) < 20)
        self.nc.api_error = None
        self.run_until_empty(outbox, 4000)
        self.check_stored(*range(8))
        self.assertEqual(outbox.stats.unverified, 0)

    def test_what_is_on_its_way_into_the_stream_is_not_stored_again(self):
        for stream in (None, "S"):
            for got in range(1, 5):
                self.begin_again()
                outbox = self.lost_acks(stream=stream)
                self.nc.on_their_way = self.nc.stored[got:]
                self.nc.stored = self.nc.stored[:got]
                self.clock.sleep_ms(61000)
                outbox.poll()
                self.nc.window = 0
                self.nc.up()
                self.run_until_empty(outbox, 4000)
                for i in range(2):
                    mine = [m.data for m in self.nc.stored if m.subject == b"s.%d" % i]
                    self.assertEqual(mine, texts(*range(i, 8, 2)))
                self.assertEqual(outbox.stats.acked + outbox.stats.unconfirmed, 8)

    def test_several_of_a_subject_are_on_their_way_and_one_of_another_is_lost(self):
        outbox = self.outbox(window=4)
        for subject, text in (("x", "r0"), ("b", "r1"), ("a", "r2"), ("a", "r3"), ("a", "r4")):
            outbox.put(subject, text)
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        self.nc.on_their_way = self.nc.sent[1:]
        self.nc.down()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.window = 0
        self.nc.up()
        self.run_until_empty(outbox, 4000)
        self.check_stored(0, 1, 2, 3, 4)

    def test_a_subject_that_others_publish_to_as_well(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.stored = self.nc.stored[:1]  # the others are lost
        self.nc.window = 0
        self.nc.up()
        strangers = 0
        while len(outbox):
            outbox.poll()
            if self.nc.sent and strangers < 50:
                strangers += 1
                self.nc.on_their_way = [
                    Sent(b"s.%d" % i, b"", b"", b"NATS/1.0\r\n\r\n") for i in range(2)
                ]
            self.nc.serve()
            self.clock.sleep_ms(100)
        self.assertTrue(strangers > 3)
        self.assertEqual(sorted(filter(None, self.nc.texts())), texts(*range(8)))

    def test_with_no_room_for_the_header_it_is_sent_without(self):
        for limit in ("server", "stream"):
            self.begin_again()
            self.looks = limit == "stream"
            outbox = self.lost_acks()
            self.looks = False
            self.nc.stored = self.nc.stored[:1]
            self.clock.sleep_ms(61000)
            outbox.poll()
            size = max([len(m.headers) + len(m.data) for m in self.nc.log])
            if limit == "server":
                self.nc.server.max_payload = size
            else:
                self.nc.config["max_msg_size"] = size
            self.nc.up()
            self.run_until_empty(outbox)
            self.check_stored(*range(8))
            self.assertEqual(outbox.stats.acked, 8)

    def test_an_answer_that_got_lost_in_the_client(self):
        outbox = self.lost_acks()
        self.clock.sleep_ms(61000)
        outbox.poll()
        self.nc.up()
        outbox.poll()
        self.nc._asked.pop()  # its handler raised MemoryError
        self.clock.sleep_ms(10001)
        self.run_until_empty(outbox)
        self.check_stored(*range(8))

    def test_a_reading_that_never_left_needs_no_question(self):
        outbox = self.outbox()
        self.put(outbox, 1, 2)
        self.clock.sleep_ms(100000)
        outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.questions, [])


class Full(WithClient):
    def fill(self, outbox, n):
        return [outbox.put(TEMP, b"r%d" % i) for i in range(n)].count(True)

    def test_oldest_goes(self):
        outbox = self.outbox(policy="oldest")
        self.assertEqual(self.fill(outbox, 40), 40)
        kept = len(outbox)
        self.assertEqual(outbox.stats.dropped, 40 - kept)
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(40 - kept, 40))

    def test_newest_goes(self):
        outbox = self.outbox(policy="newest")
        kept = self.fill(outbox, 40)
        self.assertEqual((len(outbox), outbox.stats.dropped), (kept, 40 - kept))
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(kept))

    def test_the_policy_may_be_set_at_any_time(self):
        outbox = self.outbox(policy="oldest")
        kept = self.fill(outbox, 40) - outbox.stats.dropped
        outbox.policy = "newest"
        self.assertEqual(outbox.policy, "newest")
        self.assertFalse(outbox.put(TEMP, b"r40"))
        with self.assertRaises(ValueError):
            outbox.policy = "all"
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(40 - kept, 40))

    def test_refuse_leaves_it_to_the_caller(self):
        outbox = self.outbox(policy="refuse")
        kept = self.fill(outbox, 40)
        self.assertEqual((len(outbox), outbox.stats.dropped), (kept, 0))
        self.nc.up()
        self.run_until_empty(outbox)
        self.put(outbox, kept)
        self.run_until_empty(outbox)
        self.check_stored(*range(kept + 1))

    def test_oldest_while_it_is_on_its_way(self):
        outbox = self.outbox(policy="oldest", window=4)
        self.put(outbox, *range(6))
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        sent, self.nc.sent = self.nc.sent, []
        n = 6
        while outbox.stats.dropped < 2:
            self.put(outbox, n)
            n += 1
        for message in sent:  # readings 1 and 2 are not waited for any more
            self.nc.acknowledge(message)
        self.nc.stored += sent
        self.run_until_empty(outbox)
        self.check_stored(*range(n))
        self.assertEqual((outbox.stats.dropped, outbox.stats.acked), (2, n - 2))

    def test_all_on_its_way_is_dropped(self):
        outbox = self.outbox(policy="oldest", window=3)
        self.put(outbox, 0, 1, 2, 3)
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        sent, self.nc.sent = self.nc.sent, []
        n = 4
        while outbox.stats.dropped < 9:
            self.put(outbox, n)
            n += 1
        for message in sent:
            self.nc.acknowledge(message)
        self.assertEqual(outbox.stats.acked, 1)
        self.run_until_empty(outbox)
        self.check_stored(0, *range(10, n))


class Flash(WithClient):
    def test_a_full_ring_goes_to_flash_and_comes_back_in_order(self):
        outbox = self.in_flash()
        self.put(outbox, *range(200))
        self.assertEqual(outbox.stats.dropped, 0)
        self.assertEqual(len(outbox), 200)
        self.assertTrue(len(self.files()) > 5)
        self.nc.up()
        for n in range(200, 300):
            outbox.poll()
            self.nc.serve()
            self.put(outbox, n)
        self.run_until_empty(outbox)
        self.check_stored(*range(300))
        self.assertEqual(self.files(), [])

    def test_poll_moves_readings_to_flash_before_put_has_to(self):
        outbox = self.in_flash()
        for n in range(100):
            used = len(self.files())
            self.put(outbox, n)
            self.assertEqual(len(self.files()), used)
            outbox.poll()
        self.assertTrue(len(self.files()) > 3)

    def test_not_while_readings_are_taken_from_the_ring(self):
        outbox = self.in_flash()
        self.nc.up()
        for n in range(14):
            self.put(outbox, n)
            outbox.poll()
        self.assertTrue(outbox._spool.ring.used() * 4 > 512 * 3)
        self.assertEqual(self.files(), [])

    def test_while_some_are_on_their_way(self):
        outbox = self.in_flash(window=4)
        self.put(outbox, *range(10))
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        n = 10
        while len(self.files()) < 2:
            self.put(outbox, n)
            n += 1
        self.run_until_empty(outbox)
        self.check_stored(*range(n))
        self.assertEqual(outbox.stats.resent, 0)
        self.assertEqual(self.files(), [])

    def test_what_sync_has_written_is_there_after_a_restart(self):
        outbox = self.in_flash()
        self.put(outbox, *range(5))
        self.assertTrue(outbox.sync())
        self.assertTrue(outbox.sync())
        self.assertEqual(len(self.files()), 1)
        self.put(outbox, 5)
        outbox = self.restarted()
        self.assertEqual(len(outbox), 5)
        self.put(outbox, 6)
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(0, 1, 2, 3, 4, 6)

    def test_without_flash_sync_says_so(self):
        outbox = self.outbox()
        self.assertTrue(outbox.sync())
        self.put(outbox, 1)
        self.assertFalse(outbox.sync())

    def test_syncing_each_reading_takes_few_files(self):
        outbox = self.in_flash(ring=bytearray(4096))
        for n in range(60):
            self.put(outbox, n)
            self.assertTrue(outbox.sync())
            self.assertTrue(len(self.files()) <= 8, self.files())
        outbox = self.restarted(ring=bytearray(4096))
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(60))

    def test_copies_go_when_their_readings_are_acknowledged(self):
        outbox = self.in_flash()
        for n in range(4):
            self.put(outbox, n)
            outbox.sync()
        self.nc.up()
        for n in range(4):
            outbox.poll()
            sent, self.nc.sent = self.nc.sent, self.nc.sent[:1]
            self.nc.serve()
            self.nc.sent = sent[1:]
            self.assertEqual(len(self.files()), 3 - n)

    def test_copies_go_when_the_ring_goes_to_flash(self):
        outbox = self.in_flash()
        n = 0
        while not outbox._spool.log.segments:
            self.put(outbox, n)
            n += 1
            if n % 4 == 0 and not outbox._spool.log.segments:
                outbox.sync()
        self.assertEqual(len(self.files()), 1)
        outbox.sync()
        outbox = self.restarted()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(n))

    def test_readings_in_two_files_after_a_cut_are_one(self):
        outbox = self.in_flash()
        self.put(outbox, 0, 1, 2)
        outbox.sync()
        self.put(outbox, 3)
        outbox.sync()
        log = outbox._spool.log
        log.remove = lambda name: None  # the power is cut before it
        self.put(outbox, 4)
        outbox._spool._spill(False)
        self.assertEqual(len(self.files()), 3)
        outbox = self.restarted()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(0, 1, 2, 3, 4)
        self.assertEqual(outbox.stats.damaged, 0)

    def test_sync_ms(self):
        outbox = self.in_flash(sync_ms=10000)
        self.put(outbox, 1)
        outbox.poll()
        self.clock.sleep_ms(9000)
        self.put(outbox, 2)
        outbox.poll()
        self.assertEqual(self.files(), [])
        self.clock.sleep_ms(1000)
        outbox.poll()
        self.assertEqual(len(self.files()), 1)
        outbox = self.restarted()
        self.assertEqual(len(outbox), 2)

    def test_sync_ms_writes_nothing_while_all_is_acknowledged(self):
        outbox = self.in_flash(sync_ms=10000)
        self.nc.up()
        for n in range(30):
            self.put(outbox, n)
            outbox.poll()
            self.nc.serve()
            self.clock.sleep_ms(1000)
        self.assertEqual(outbox._spool.log._number, 0)

    def test_restart_with_readings_that_the_stream_has(self):
        for acked in range(7):
            self.begin_again()
            outbox = self.in_flash()
            self.put(outbox, *range(6))
            outbox.sync()
            self.nc.up()
            self.nc.lose_acks = 6
            while len(self.nc.stored) < acked:
                outbox.poll()
                self.nc.sent = self.nc.sent[: acked - len(self.nc.stored)]
                self.nc.serve()
                self.clock.sleep_ms(5001)
                self.nc.lose_acks = 0 if len(self.nc.stored) == 2 else 6
            outbox = self.restarted()
            self.nc.forget_ids()
            self.put(outbox, 6)
            self.nc.up()
            self.nc.lose_acks = 0
            self.run_until_empty(outbox)
            self.check_stored(*range(7))

    def test_restarts_while_draining_a_long_log(self):
        outbox = self.in_flash()
        self.put(outbox, *range(120))
        outbox.sync()
        n = 120
        for turns in range(1, 40):
            outbox = self.restarted()
            self.nc.forget_ids()
            self.put(outbox, n)
            n += 1
            outbox.sync()
            self.nc.up()
            for _ in range(turns % 7):
                outbox.poll()
                self.nc.serve()
        self.run_until_empty(outbox)
        self.check_stored(*range(n))

    def test_flash_is_bounded_oldest(self):
        outbox = self.in_flash(flash_size=4 * BLOCK)
        self.put(outbox, *range(300))
        self.assertEqual(len(self.files()), 4)
        kept = len(outbox)
        self.assertEqual(outbox.stats.dropped, 300 - kept)
        self.assertTrue(kept > 60)
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(300 - kept, 300))

    def test_flash_is_bounded_newest_and_refuse(self):
        for policy in ("newest", "refuse"):
            self.begin_again()
            outbox = self.in_flash(flash_size=4 * BLOCK, policy=policy)
            kept = [outbox.put(TEMP, b"r%d" % n) for n in range(300)].count(True)
            self.assertEqual(len(self.files()), 4)
            self.assertEqual(outbox.stats.dropped, 300 - kept if policy == "newest" else 0)
            self.nc.up()
            self.run_until_empty(outbox)
            self.check_stored(*range(kept))

    def test_the_oldest_segment_is_given_up_while_it_is_being_sent(self):
        outbox = self.in_flash(flash_size=2 * BLOCK, window=4)
        self.put(outbox, *range(30))
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        sent, self.nc.sent = self.nc.sent, []
        n = 30
        while not outbox.stats.dropped:
            self.put(outbox, n)
            n += 1
        dropped = outbox.stats.dropped
        for message in sent:
            self.nc.acknowledge(message)
        self.assertEqual(outbox.stats.acked, 1)
        self.run_until_empty(outbox)
        self.check_stored(0, *range(1 + dropped, n))

    def test_flash_without_room_falls_back_on_ram(self):
        outbox = self.in_flash(flash_size=BLOCK - 1)
        self.put(outbox, *range(60))
        self.assertEqual(self.files(), [])
        kept = len(outbox)
        self.assertEqual(outbox.stats.dropped, 60 - kept)
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(*range(60 - kept, 60))

    def failing(self, outbox, error=28):
        """Writing segments fails from now on; returns how often it was tried."""
        tried = []

        def write(ring, at, count):
            tried.append(count)
            raise OSError(error, "write failed")

        outbox._spool.log.write = write
        return tried

    def test_one_that_was_lost_from_a_window_is_counted_after_a_restart(self):
        """The stream has later ones of its subject, so that nobody can know."""
        outbox = self.in_flash(window=4)
        self.put(outbox, *range(5))
        outbox.sync()
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        self.nc.lose_messages = 1
        self.nc.lose_acks = 3
        self.nc.serve()
        self.assertEqual(self.nc.texts(), texts(0, 2, 3, 4))
        outbox = self.restarted(window=4)
        found = len(outbox)
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts(), texts(0, 2, 3, 4))
        stats = outbox.stats
        self.assertTrue(stats.unconfirmed >= 1)
        self.assertEqual(stats.acked + stats.unconfirmed, found)

    def test_a_full_flash_costs_the_oldest_segments_and_is_then_left_alone(self):
        outbox = self.in_flash()
        self.put(outbox, *range(60))
        segments = len(self.files())
        self.assertTrue(segments >= 2)
        tried = self.failing(outbox)
        self.put(outbox, *range(60, 200))
        self.assertEqual(self.files(), [])
        self.assertEqual(len(tried), segments + 1)
        self.assertEqual(outbox.stats.dropped, 200 - len(outbox))
        self.clock.sleep_ms(30000)
        self.put(outbox, 200)
        self.assertEqual(len(tried), segments + 2)
        self.assertFalse(outbox.sync())
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts()[-1], b"r200")
        numbers = [int(text[1:]) for text in self.nc.texts()]
        self.assertEqual(numbers, list(range(201 - len(numbers), 201)))

    def test_damaged_readings_are_counted_and_the_others_sent(self):
        outbox = self.in_flash()
        self.put(outbox, *range(6))
        outbox.sync()
        file = self.path + "/" + self.files()[0]
        with open(file, "rb") as f:
            data = bytearray(f.read())
        data[data.find(b"r2") + 1] ^= 1
        with open(file, "wb") as f:
            f.write(data)
        outbox = self.restarted()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(0, 1, 3, 4, 5)
        self.assertEqual(outbox.stats.damaged, 1)

    def test_a_segment_that_is_all_damaged_does_not_block_the_others(self):
        outbox = self.in_flash()
        self.put(outbox, 0, 1)
        outbox.sync()
        self.put(outbox, 2)
        outbox.sync()
        with open(self.path + "/" + self.files()[0], "wb") as f:
            f.write(b"\xff" * 70)
        outbox = self.restarted()
        self.nc.up()
        self.run_until_empty(outbox)
        self.check_stored(2)
        self.assertEqual((outbox.stats.damaged, self.files()), (2, []))


class WithoutJetStream(WithClient):
    def test_each_reading_is_published_plainly_and_confirmed_by_a_marker(self):
        outbox = self.outbox(ack="none", window=3)
        self.put(outbox, *range(7))
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts(), texts(*range(7)))
        self.assertEqual({(m.headers, m.reply) for m in self.nc.stored}, {(b"", b"")})
        self.assertEqual((outbox.stats.acked, outbox.stats.unconfirmed), (7, 0))

    def test_no_more_than_a_window_full_before_the_marker_is_back(self):
        outbox = self.outbox(ack="none", window=3)
        self.put(outbox, *range(5))
        self.nc.up()
        for _ in range(3):
            outbox.poll()
        self.assertEqual([m.data for m in self.nc.sent], texts(0, 1, 2) + [b""])
        self.assertEqual(outbox.stats.acked, 0)
        self.assertTrue(outbox.flush())
        self.assertEqual(outbox.stats.acked, 5)

    def test_nothing_is_sent_twice(self):
        outbox = self.outbox(ack="none", window=3)
        self.put(outbox, *range(9))
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox.poll()
        self.nc.down()
        outbox.poll()
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertEqual(self.nc.texts(), texts(0, 1, 2, 6, 7, 8))
        self.assertEqual(outbox.stats.unconfirmed, 3)
        published = [m.data for m in self.nc.log if m.data]
        self.assertEqual(published, texts(*range(9)))

    def test_a_marker_that_does_not_come_back(self):
        outbox = self.outbox(ack="none")
        self.put(outbox, 0, 1)
        self.nc.up()
        for _ in range(3):
            outbox.poll()
            self.nc.sent = []
            self.clock.sleep_ms(5001)
        outbox.poll()
        self.assertEqual((len(outbox), outbox.stats.unconfirmed), (0, 2))

    def test_a_marker_that_could_not_be_queued_follows(self):
        outbox = self.outbox(ack="none")
        self.put(outbox, 0)
        self.nc.up()
        publish = self.nc.publish
        self.nc.publish = lambda subject, payload=b"", reply=None, headers=None, n=-1: (
            not bytes(subject).startswith(b"_INBOX")
            and publish(subject, payload, reply, headers, n)
        )
        outbox.poll()
        self.nc.publish = publish
        self.assertTrue(outbox.flush())
        self.assertEqual(outbox.stats.acked, 1)

    def test_a_segment_is_not_sent_twice_over_a_restart(self):
        outbox = self.in_flash(ack="none")
        self.put(outbox, *range(30))
        outbox.sync()
        total = len(outbox)
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        first = len(self.nc.stored)
        outbox = self.restarted(ack="none")
        lost = outbox.stats.unconfirmed
        self.nc.up()
        self.run_until_empty(outbox)
        self.assertTrue(lost > 0)
        numbers = [int(text[1:]) for text in self.nc.texts()]
        self.assertEqual(numbers, list(range(first)) + list(range(lost, total)))

    def test_copies_are_not_sent_twice_over_a_restart(self):
        outbox = self.in_flash(ack="none")
        self.put(outbox, 0, 1, 2)
        outbox.sync()
        self.nc.up()
        outbox.poll()
        self.nc.serve()
        outbox = self.restarted(ack="none")
        self.nc.up()
        self.run_until_empty(outbox)
        published = [m.data for m in self.nc.log if m.data]
        self.assertEqual(len(published), len(set(published)))


READING = b"21.53"


class Allocations(unittest.TestCase):
    def connect(self, **options):
        self.net = Scripted(keep=0)
        self.net.handshake()
        self.nc = unats.Client("nats://host", transport=self.net)
        self.outbox = Outbox(self.nc, "dev", **options)
        self.nc.connect()

    def run_locked(self, function):
        """Call it; it must not allocate, not even for a moment.

        Kernels as bytecode take their frames from the heap and give them back at once; there only
        what is left behind counts.
        """
        gc.collect()
        if hasattr(micropython, "mem_total") and not hasattr(kernels, "ptr8"):
            before = micropython.mem_total()
            micropython.heap_lock()
            try:
                function()
            finally:
                micropython.heap_unlock()
            self.assertEqual(micropython.mem_total() - before, 0)
        elif hasattr(gc, "mem_alloc"):
            gc.disable()
            before = gc.mem_alloc()
            function()
            self.assertEqual(gc.mem_alloc() - before, 0)
            gc.enable()
        else:
            function()

    def put_and_fill(self):
        n = 500
        while n:
            self.outbox.put(TEMP, READING)
            self.outbox.put("sensors.dev.heap", self.payload)
            n -= 1

    def test_put_does_not_allocate_also_when_the_ring_is_full(self):
        nc = unats.Client("nats://host", transport=Scripted(keep=0))
        self.payload = unats.Payload(64).text('{"v":1}')
        fill = self.put_and_fill
        for policy in ("oldest", "newest", "refuse"):
            self.outbox = Outbox(nc, "dev", ring=bytearray(1000), policy=policy)
            self.run_locked(fill)
            self.assertTrue(len(self.outbox) > 20)

    def settle(self, turns):
        while turns:
            self.outbox.put(TEMP, READING)
            self.outbox.poll()
            self.nc.poll()
            turns -= 1

    def settle_600(self):
        self.settle(600)

    def acknowledge_all(self):
        inbox = bytes(self.outbox._sender._reply[:-8])
        for i in range(700):
            body = b'{"stream":"S", "seq":%d}' % (1000 + i)
            self.net.feed(b"MSG %s%08x 1 %d\r\n%s\r\n" % (inbox, i, len(body), body))

    def check_settling(self, **options):
        self.connect(**options)
        self.acknowledge_all()
        self.settle(4)
        self.assertTrue(self.outbox.stats.acked > 0)
        settle = self.settle_600
        self.run_locked(settle)
        self.assertTrue(self.outbox.stats.acked > 600)
        self.assertEqual(self.outbox.stats.dropped, 0)

    def test_put_send_and_acknowledgement_do_not_allocate(self):
        self.check_settling(ring=bytearray(1000))

    def test_the_same_with_flash_at_hand(self):
        path = "/tmp/unats-" + random_hex(12)
        try:
            self.check_settling(ring=bytearray(1000), path=path, sync_ms=60000)
        finally:
            for name in os.listdir(path):
                os.remove(path + "/" + name)
            os.rmdir(path)

    def idle(self):
        turns = 300
        while turns:
            self.outbox.poll()
            self.nc.poll()
            turns -= 1

    def test_polling_with_nothing_to_do_does_not_allocate(self):
        self.connect(ring=bytearray(1000))
        self.idle()
        idle = self.idle
        self.run_locked(idle)

    def plain(self):
        turns = 300
        while turns:
            self.outbox.put(TEMP, READING)
            self.outbox.poll()
            self.nc.poll()
            turns -= 1

    def test_sending_without_acknowledgements_does_not_allocate(self):
        self.connect(ring=bytearray(1000), ack="none")
        inbox = bytes(self.outbox._sender._marker[:-8])
        for i in range(400):
            self.net.feed(b"MSG %s%08x 1 0\r\n\r\n" % (inbox, i + 1))
        self.settle(4)
        plain = self.plain
        self.run_locked(plain)
        self.assertEqual(self.outbox.stats.acked, 304)


if __name__ == "__main__":
    unittest.main()
