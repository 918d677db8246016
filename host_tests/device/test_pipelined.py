"""Readings that leave along with CONNECT: what is in the one piece, and that nothing is lost or
sent twice.
"""

import os
import unittest

import unats
from scripted import Scripted
from unats.nuid import random_hex
from unats.outbox import Outbox
from unats.outbox.pipelined import Pipelined

ACK = b'{"stream":"S","seq":1}'
REFUSED = b"-ERR 'Authorization Violation'\r\n"


def publications(sent):
    """(subject, reply, message id, payload) of each HPUB that was sent."""
    found = []
    at = sent.find(b"HPUB ")
    while at >= 0:
        line = sent.find(b"\r\n", at)
        _, subject, reply, head, whole = sent[at:line].split(b" ")
        body = sent[line + 2 : line + 2 + int(whole)]
        id = body[: int(head)].split(b"Nats-Msg-Id: ")[1].split(b"\r\n")[0]
        found.append((subject, reply, id, body[int(head) :]))
        at = sent.find(b"HPUB ", line + 2 + int(whole))
    return found


class EarlyTest(unittest.TestCase):
    def setUp(self):
        self.path = "/tmp/unats-early-" + random_hex(12)
        self.begin()

    def tearDown(self):
        self.nc.close()
        try:
            names = os.listdir(self.path)
        except OSError:
            return
        for name in names:
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)

    def begin(self, ack_at_once=False, **options):
        self.net = Scripted()
        self.pieces = []  # what each write took
        self.seen = 0, 0  # which connection, how much of what was sent on it
        self.ack_at_once = ack_at_once
        self.net.on_write = self.wrote
        self.nc = unats.Client(
            "nats://h",
            transport=self.net,
            reconnect_wait_ms=1,
            reconnect_max_wait_ms=1,
            max_reconnects=9,
        )
        self.outbox = Outbox(self.nc, "dev", ring=bytearray(4096), **options)
        Pipelined(self.nc, self.outbox)

    def wrote(self, net):
        sent = net.sent()
        start = self.seen[1] if self.seen[0] == net.opens else 0
        self.pieces.append(sent[start:])
        self.seen = net.opens, len(sent)
        if self.ack_at_once:
            self.acknowledge(publications(self.pieces[-1]))

    def acknowledge(self, published):
        for _, reply, _, _ in published:
            self.net.feed(
                b" ".join((b"MSG", reply, b"1", b"%d" % len(ACK))) + b"\r\n" + ACK + b"\r\n"
            )

    def put(self, *texts):
        for text in texts:
            self.assertTrue(self.outbox.put("sensors.dev.temp", text))

    def payloads(self):
        return [payload for _, _, _, payload in publications(b"".join(self.pieces))]

    def settle(self):
        for _ in range(10):
            self.nc.poll()
            self.outbox.poll()

    # The one piece

    def test_connect_subscription_readings_and_ping_leave_in_one_piece(self):
        self.put(b"1", b"2", b"3", b"4")
        self.net.handshake()
        self.nc.connect()
        self.assertEqual(len(self.pieces), 1)
        piece = self.pieces[0]
        places = [
            piece.find(word)
            for word in (b"CONNECT {", b"SUB _INBOX.", b"HPUB sensors", b"PING\r\n")
        ]
        self.assertEqual(places, sorted(places))
        self.assertEqual(places[0], 0)
        self.assertEqual(piece.find(b"PING\r\n") + 6, len(piece))
        self.assertEqual(self.payloads(), [b"1", b"2", b"3", b"4"])
        self.assertEqual(len({id for _, _, id, _ in publications(piece)}), 4)
        self.assertEqual(self.nc.stats.out_msgs, 4)

    def test_acknowledged_before_the_pong_it_is_all_done_when_connect_returns(self):
        self.begin(ack_at_once=True)
        self.put(b"1", b"2")
        self.net.handshake()
        self.nc.connect()
        self.settle()
        self.assertEqual(len(self.outbox), 0)
        self.assertEqual(self.outbox.stats.acked, 2)
        self.assertEqual(len(self.pieces), 1)

    def test_what_has_left_is_not_sent_once_more_when_connected(self):
        self.put(b"1", b"2")
        self.net.handshake()
        self.nc.connect()
        self.settle()
        self.assertEqual(self.payloads(), [b"1", b"2"])
        self.acknowledge(publications(self.pieces[0]))
        self.settle()
        self.assertEqual((len(self.outbox), self.outbox.stats.resent), (0, 0))

    def test_turns_of_the_loop_between_info_and_pong_change_nothing(self):
        self.put(b"1", b"2")
        self.net.handshake()
        self.net.answer_pings = False
        self.nc.connect(wait=False)
        self.settle()
        self.assertFalse(self.nc.connected)
        self.assertTrue(self.nc.publish("a", b"too soon") is False)
        self.assertEqual(self.payloads(), [b"1", b"2"])
        self.net.feed(b"PONG\r\n")
        self.settle()
        self.assertTrue(self.nc.connected)
        self.assertEqual(self.payloads(), [b"1", b"2"])

    def test_without_readings_it_is_the_usual_greeting(self):
        self.net.handshake()
        self.nc.connect()
        self.assertEqual(self.payloads(), [])
        self.assertTrue(self.pieces[0].find(b"PING\r\n") > 0)
        self.put(b"1")
        self.settle()
        self.assertEqual(self.payloads(), [b"1"])

    def test_what_does_not_fit_follows_when_connected(self):
        self.begin(ack_at_once=True)
        large = bytes(200)
        for _ in range(6):
            self.put(large)
        self.net.handshake()
        self.nc.connect()
        early = len(publications(self.pieces[0]))
        self.assertTrue(0 < early < 6, early)
        self.assertTrue(len(self.pieces[0]) < 1460, len(self.pieces[0]))
        for _ in range(4):
            self.settle()
        self.assertEqual(len(self.payloads()), 6)
        self.assertEqual(len(self.outbox), 0)

    def test_a_reading_over_the_servers_limit_is_rejected_and_the_others_go(self):
        self.begin(ack_at_once=True)
        self.put(b"1", bytes(200), b"3")
        self.net.handshake(max_payload=150)
        self.nc.connect()
        self.settle()
        self.assertEqual(self.payloads(), [b"1", b"3"])
        self.assertEqual((len(self.outbox), self.outbox.stats.rejected), (0, 1))

    def test_a_server_without_headers_gets_none(self):
        self.put(b"1")
        self.net.handshake(headers=False)
        self.nc.connect()
        self.settle()
        self.assertEqual(self.payloads(), [])
        self.assertEqual(len(self.outbox), 1)
        self.assertTrue("headers" in str(self.outbox.last_error), self.outbox.last_error)

    # Attempts that fail, connections that break

    def test_refused_credentials_lose_nothing(self):
        self.put(b"1", b"2")
        self.net.handshake()
        self.net.answer_pings = False
        self.net.feed(REFUSED)
        self.net.end()
        self.assertRaises(unats.AuthError, self.nc.connect)
        self.assertEqual(len(self.outbox), 2)
        self.pieces = []
        self.net.next_connection()
        self.net.handshake()
        self.ack_at_once = True
        self.nc.connect()
        self.settle()
        self.assertEqual(self.payloads(), [b"1", b"2"])
        self.assertEqual(len(self.outbox), 0)

    def test_a_lost_connection_is_greeted_with_what_was_not_acknowledged(self):
        self.put(b"1", b"2", b"3")
        self.net.handshake()
        self.nc.connect()
        first = publications(self.pieces[0])
        self.acknowledge(first[:1])
        self.net.end()
        self.settle()
        self.pieces = []
        self.net.next_connection()
        self.net.handshake()
        self.nc.poll(100)
        self.settle()
        again = publications(self.pieces[0])
        self.assertEqual([payload for _, _, _, payload in again], [b"2", b"3"])
        self.assertEqual([id for _, _, id, _ in again], [id for _, _, id, _ in first[1:]])
        self.assertEqual(self.payloads(), [b"2", b"3"])
        self.acknowledge(again)
        self.settle()
        self.assertEqual(len(self.outbox), 0)

    def test_readings_of_an_earlier_start_wait_until_the_stream_was_asked(self):
        self.begin(path=self.path)
        self.put(b"old")
        self.assertTrue(self.outbox.sync())
        self.begin(path=self.path)
        self.put(b"new")
        self.net.handshake()
        self.nc.connect()
        self.assertEqual(self.payloads(), [])
        self.assertEqual(len(self.outbox), 2)
        self.settle()
        self.assertTrue(self.net.sent().find(b"$JS.API.STREAM.NAMES") > 0)

    def test_only_with_acknowledgements(self):
        nc = unats.Client("nats://h", transport=Scripted())
        self.assertRaises(ValueError, Pipelined, nc, Outbox(nc, "dev", ack="none"))


if __name__ == "__main__":
    unittest.main()
