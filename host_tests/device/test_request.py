"""Requests, waiting for the reply and not; flush and drain, which wait too."""

import unittest

import unats
from played import Case, message, pattern  # before the client: it gives it its clock

BARE_503 = b"NATS/1.0 503\r\n\r\n"


class Requests(Case):
    """`answer(n, payload)`: what the script feeds when the n-th request has been written."""

    def setUp(self):
        super().setUp()
        self.nc = self.connected()
        self.begin()

    def begin(self):
        self.inboxes = []  # reply subjects of the requests, in order
        self.seen = 0
        self.answer = None
        self.net.on_write = self.look

    def look(self, net):
        """Find the requests among what was written."""
        sent = bytes(net.sent())
        while True:
            at = min(self.found(sent, b"PUB q"), self.found(sent, b"HPUB q"))
            if at == len(sent):
                return
            line = sent[at : sent.find(b"\r\n", at)]
            self.seen = at + len(line)
            self.inboxes.append(line.split(b" ")[2].decode())
            if self.answer:
                self.answer(self.inboxes[-1])

    def found(self, sent, text):
        at = sent.find(text, self.seen)
        return at if at >= 0 and sent.find(b"\r\n", at) >= 0 else len(sent)

    def sid(self):
        """Of the inbox subscription, from the wire."""
        sent = self.sent()
        at = sent.find(b"SUB _INBOX.")
        return int(sent[at : sent.find(b"\r\n", at)].split(b" ")[-1])

    def reply(self, payload, inbox, headers=None):
        self.net.feed(message(self.sid(), payload, inbox, None, headers))


class Refused(Requests):
    """The server does not let this client subscribe to its inbox: no reply can come."""

    def refuse(self, inbox):
        subject = inbox[: inbox.rfind(".") + 1] + "*"
        text = "-ERR 'Permissions Violation for Subscription to \"%s\"'\r\n" % subject
        self.net.feed(text.encode())

    def test_a_waiting_one_fails_at_once_and_so_do_later_ones(self):
        self.answer = self.refuse
        for _ in range(2):
            before = self.clock.ticks_ms()
            try:
                self.nc.request("q")
                self.fail("there was a reply")
            except unats.ServerError as e:
                self.assertEqual(e.operation, "subscribe")
            self.assertEqual(self.elapsed(before), 0)
        self.assertTrue(self.nc.connected)

    def test_the_others_have_no_reply(self):
        self.answer = self.refuse
        self.assertTrue(self.nc.request("q", handler=self.got.append))
        self.settle(self.nc)
        self.assertEqual(self.got, [None])
        self.assertFalse(self.nc.request("q", handler=self.got.append))

    def test_another_connection_may_have_other_permissions(self):
        self.answer = self.refuse
        self.assertRaises(unats.ServerError, self.nc.request, "q")
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.poll_until(self.nc, lambda: not self.nc.connected)
        self.poll_until(self.nc, lambda: self.nc.connected)
        self.begin()
        self.answer = lambda inbox: self.reply(b"yes", inbox)
        self.assertEqual(self.nc.request("q").data, b"yes")


class Waiting(Requests):
    def test_the_reply(self):
        self.answer = lambda inbox: self.reply(b"yes", inbox)
        msg = self.nc.request("q", b"really?")
        self.assertEqual((msg.data, msg.subject), (b"yes", self.inboxes[0]))
        self.assertTrue(b"PUB q %s 7\r\nreally?\r\n" % self.inboxes[0].encode() in self.sent())

    def test_the_reply_is_detached(self):
        self.answer = lambda inbox: self.reply(b"yes", inbox, b"NATS/1.0\r\nk: v\r\n\r\n")
        msg = self.nc.request("q")
        self.nc.subscribe("a", self.take)
        self.net.feed(message(2, b"\xee" * 500))
        self.settle(self.nc)
        self.assertEqual((msg.data, msg.headers, msg.last), (b"yes", {"k": "v"}, True))

    def test_one_inbox_for_all(self):
        self.answer = lambda inbox: self.reply(inbox.encode(), inbox)
        for _ in range(5):
            msg = self.nc.request("q")
            self.assertEqual(msg.text, self.inboxes[-1])
        self.assertEqual(self.sent().count(b"SUB "), 1)
        self.assertEqual(len(set(self.inboxes)), 5)
        self.assertEqual(len({inbox[: inbox.rfind(".")] for inbox in self.inboxes}), 1)

    def test_every_kind_of_payload_and_headers(self):
        self.answer = lambda inbox: self.reply(b"", inbox)
        for payload in (
            b"hi",
            bytearray(b"hi"),
            memoryview(b"hi"),
            "hi",
            unats.Payload(8).text("hi"),
        ):
            self.nc.request("q", payload)
            self.assertTrue(self.sent().endswith(b" 2\r\nhi\r\n"))
        self.nc.request("q", b"hi", headers={"k": "v"})
        self.assertTrue(self.sent().endswith(b" 18 20\r\nNATS/1.0\r\nk: v\r\n\r\nhi\r\n"))

    def test_no_responders_at_once(self):
        self.answer = lambda inbox: self.reply(b"", inbox, BARE_503)
        start = self.clock.ticks_ms()
        self.assertRaises(unats.NoResponders, self.nc.request, "q", b"", 60000)
        self.assertTrue(self.elapsed(start) < 1000)

    def test_timeout(self):
        for now in (0, -1000):
            self.start(now)
            self.nc = self.connected()
            self.begin()
            start = self.clock.ticks_ms()
            self.assertRaises(unats.Timeout, self.nc.request, "q", b"", 2500)
            self.assertTrue(2500 <= self.elapsed(start) < 2600, "%d ms" % self.elapsed(start))
            self.assertTrue(self.nc.connected)

    def test_a_reply_after_the_timeout_is_dropped_and_counted(self):
        self.assertRaises(unats.Timeout, self.nc.request, "q", b"", 100)
        self.reply(b"late", self.inboxes[0])
        self.settle(self.nc)
        self.assertEqual(self.nc.stats.dropped, 1)
        self.answer = lambda inbox: self.reply(b"in time", inbox)
        self.assertEqual(self.nc.request("q").data, b"in time")

    def test_other_messages_are_handled_meanwhile(self):
        self.nc.subscribe("a", self.take)

        def answer(inbox):
            self.net.feed(message(1, b"other") + message(2, b"yes", inbox))

        self.answer = answer
        self.assertEqual(self.nc.request("q").data, b"yes")
        self.assertEqual([data for _, _, data in self.got], [b"other"])

    def test_a_lost_connection_fails_it_at_once(self):
        self.answer = lambda inbox: self.net.end()
        start = self.clock.ticks_ms()
        self.assertRaises(unats.NotConnected, self.nc.request, "q", b"", 60000)
        self.assertTrue(self.elapsed(start) < 1000)

    def test_not_connected(self):
        self.assertRaises(unats.NotConnected, self.client().request, "q")
        self.nc.close()
        self.assertRaises(unats.NotConnected, self.nc.request, "q")

    def test_misuse(self):
        for subject in ("", "a b", "a\r\nb", "a..b"):
            self.assertRaises(ValueError, self.nc.request, subject)
        self.answer = lambda inbox: self.reply(b"yes", inbox)
        self.assertEqual(self.nc.request("q").data, b"yes")

    def test_an_oversize_reply_is_no_silence(self):
        self.start()
        self.nc = self.connected(rx_size=64)
        self.begin()
        self.answer = lambda inbox: self.reply(pattern(1000), inbox)
        try:
            self.nc.request("q", b"", 500)
            self.fail("there was no reply that fits")
        except unats.Timeout as e:
            self.assertTrue("rx_size" in str(e), repr(e))
        self.assertEqual(self.nc.stats.oversize, 1)
        self.answer = lambda inbox: self.reply(b"small", inbox)
        self.assertEqual(self.nc.request("q").data, b"small")

    def test_after_a_reconnection(self):
        self.answer = lambda inbox: self.reply(b"yes", inbox)
        self.nc.request("q")
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(self.nc)
        self.seen = 0
        self.poll_until(self.nc, lambda: self.nc.connected)
        self.assertEqual(self.nc.request("q").data, b"yes")
        self.assertEqual(self.sent().count(b"SUB _INBOX."), 1)


class InboxPrefix(Requests):
    """Where others of the same account may not listen."""

    def test_replies_come_to_an_inbox_of_ones_own(self):
        for prefix in ("_INBOX.dev-1", "in", b"a.b.c.d"):
            self.start()
            self.nc = self.connected(inbox_prefix=prefix)
            self.begin()
            self.answer = lambda inbox: self.net.feed(message(1, inbox[-1:].encode(), inbox))
            for number in b"1", b"2":
                self.assertEqual(self.nc.request("q").data, number)
            prefix = prefix if isinstance(prefix, str) else prefix.decode()
            sub = ("SUB %s." % prefix).encode()
            self.assertTrue(sub in self.sent())
            for inbox in self.inboxes:
                self.assertTrue(inbox.startswith(prefix + "."))
                self.assertEqual(len(inbox.split(".")), len(prefix.split(".")) + 2)

    def test_prefixes_that_are_none(self):
        for prefix in (
            "",
            "a b",
            "a..b",
            ".a",
            "a.",
            "_INBOX.*",
            "_INBOX.>",
            ">",
            "*.a",
            "a\r\nb",
            "a\x7f",
            None,
            5,
        ):
            self.assertRaises(ValueError, lambda: self.client(inbox_prefix=prefix))


class NotWaiting(Requests):
    def ask(self, *args, **options):
        return self.nc.request("q", *args, handler=self.on_reply, **options)

    def on_reply(self, msg):
        self.got.append(msg and msg.data)

    def test_the_reply(self):
        self.assertTrue(self.ask(b"?") is True)
        self.nc.poll()
        self.assertEqual(self.got, [])
        self.reply(b"yes", self.inboxes[0])
        self.settle(self.nc)
        self.assertEqual(self.got, [b"yes"])

    def test_several_at_once_each_to_its_own(self):
        found = []
        for i in range(12):
            self.nc.request("q", handler=lambda msg, i=i: found.append((i, msg.data)))
        self.nc.poll()
        for i in reversed(range(12)):
            self.reply(b"%d" % i, self.inboxes[i])
        self.settle(self.nc)
        self.assertEqual(found, [(i, b"%d" % i) for i in reversed(range(12))])

    def test_several_replies(self):
        self.ask(max_msgs=3)
        self.nc.poll()
        for i in range(5):
            self.reply(b"%d" % i, self.inboxes[0])
        self.settle(self.nc)
        self.assertEqual(self.got, [b"0", b"1", b"2"])
        self.assertEqual(self.nc.stats.dropped, 2)
        self.poll_until(self.nc, lambda: self.elapsed(0) > 10000, 1000)
        self.assertEqual(self.got, [b"0", b"1", b"2"], "it was complete, so no None")

    def test_all_replies_that_come_in_time(self):
        self.ask(max_msgs=0, timeout_ms=500)
        self.nc.poll()
        for i in range(5):
            self.reply(b"%d" % i, self.inboxes[0])
        self.settle(self.nc)
        self.assertEqual(self.got, [b"0", b"1", b"2", b"3", b"4"])
        self.poll_until(self.nc, lambda: len(self.got) == 6)
        self.assertEqual(self.got[5], None)

    def test_none_on_timeout(self):
        for now in (0, -1000):
            self.start(now)
            self.nc = self.connected()
            self.begin()
            start = self.clock.ticks_ms()
            self.ask(timeout_ms=1500)
            self.poll_until(self.nc, lambda: self.got, 100)
            self.assertEqual(self.got, [None])
            self.assertTrue(1500 <= self.elapsed(start) < 1700, "%d ms" % self.elapsed(start))

    def test_none_after_too_few_replies(self):
        self.ask(max_msgs=3, timeout_ms=500)
        self.nc.poll()
        self.reply(b"0", self.inboxes[0])
        self.poll_until(self.nc, lambda: len(self.got) == 2)
        self.assertEqual(self.got, [b"0", None])

    def test_a_long_poll_wakes_for_the_timeout(self):
        self.ask(timeout_ms=300)
        start = self.clock.ticks_ms()
        while not self.got:
            self.nc.poll(1000)
        self.assertEqual(self.got, [None])
        self.assertEqual(self.elapsed(start), 300)

    def test_each_at_its_own_time(self):
        for ms in (900, 300, 600):
            self.nc.request(
                "q",
                b"",
                ms,
                handler=lambda msg, ms=ms: self.got.append((ms, self.elapsed(0) // 300)),
            )
        self.poll_until(self.nc, lambda: len(self.got) == 3)
        self.assertEqual(self.got, [(300, 1), (600, 2), (900, 3)])

    def test_no_responders_is_told(self):
        found = []
        self.nc.request("q", b"", 1000, handler=lambda msg: found.append(msg and msg.status))
        self.nc.poll()
        self.reply(b"", self.inboxes[0], BARE_503)
        self.settle(self.nc)
        self.poll_until(self.nc, lambda: self.elapsed(0) > 5000, 1000)
        self.assertEqual(found, [503])

    def test_a_lost_connection_ends_all_at_once(self):
        for _ in range(3):
            self.ask(timeout_ms=60000)
        self.net.end()
        self.settle(self.nc)
        self.assertEqual(self.got, [None] * 3)

    def test_close_ends_all_at_once(self):
        self.ask(timeout_ms=60000)
        self.nc.close()
        self.assertEqual(self.got, [None])

    def test_not_connected(self):
        nc = self.client()
        self.assertFalse(nc.request("q", handler=self.on_reply))
        self.nc.poll(10000)
        self.assertEqual(self.got, [])

    def test_a_handler_that_asks_again(self):
        def on_reply(msg):
            self.on_reply(msg)
            if len(self.got) < 3:
                self.nc.request("q", handler=on_reply)

        self.answer = lambda inbox: self.reply(b"yes", inbox)
        self.nc.request("q", handler=on_reply)
        self.poll_until(self.nc, lambda: len(self.got) == 3)
        self.assertEqual(self.got, [b"yes"] * 3)

    def test_a_handler_that_raises_on_timeout(self):
        def on_reply(msg):
            self.on_reply(msg)
            raise RuntimeError

        self.nc.request("q", b"", 100, handler=on_reply)
        self.ask(timeout_ms=100)
        self.assertRaises(RuntimeError, self.poll_until, self.nc, lambda: False, 1000)
        self.poll_until(self.nc, lambda: len(self.got) == 2, 1000)
        self.assertEqual(self.got, [None, None])

    def test_from_a_handler(self):
        self.answer = lambda inbox: self.net.feed(message(2, b"yes", inbox))
        self.nc.subscribe("a", lambda msg: self.ask())
        self.net.feed(message(1, b"go"))
        self.poll_until(self.nc, lambda: self.got)
        self.assertEqual(self.got, [b"yes"])

    def test_waiting_inside_a_handler_is_refused_or_works(self):
        def handler(msg):
            try:
                self.got.append(self.nc.request("q", b"", 100).data)
            except ValueError:
                self.got.append("refused")

        self.answer = lambda inbox: self.net.feed(message(2, b"yes", inbox))
        self.nc.subscribe("a", handler)
        self.net.feed(message(1, b"go") + message(1, b"go"))
        self.settle(self.nc)
        self.assertEqual(len(self.got), 2)
        self.assertTrue(self.got[0] in (b"yes", "refused"))
        self.assertTrue(self.nc.connected)

    def test_misuse(self):
        self.assertRaises(ValueError, self.nc.request, "q", handler=5)
        self.assertRaises(ValueError, self.nc.request, "q", handler=self.on_reply, max_msgs=-1)
        self.assertRaises(ValueError, self.nc.request, "a b", handler=self.on_reply)
        self.poll_until(self.nc, lambda: self.elapsed(0) > 5000, 1000)
        self.assertEqual(self.got, [])


class Flushing(Case):
    def test_true_when_the_server_has_it_all(self):
        nc = self.connected()
        nc.publish("a", b"hi")
        self.assertTrue(nc.flush() is True)
        self.assertEqual(self.sent(), b"PUB a 2\r\nhi\r\nPING\r\n")

    def test_false_when_no_pong_comes(self):
        for now in (0, -500):
            self.start(now)
            nc = self.connected()
            self.net.answer_pings = False
            start = self.clock.ticks_ms()
            self.assertTrue(nc.flush(1200) is False)
            self.assertTrue(1200 <= self.elapsed(start) < 1300, "%d ms" % self.elapsed(start))
            self.assertTrue(nc.connected)

    def test_an_older_pong_is_not_the_answer(self):
        nc = self.connected()
        self.net.answer_pings = False
        self.assertFalse(nc.flush(100))
        self.net.feed(b"PONG\r\n")
        self.assertFalse(nc.flush(100))
        self.net.feed(b"PONG\r\n")
        self.net.answer_pings = True
        self.assertTrue(nc.flush(100))

    def test_false_when_the_connection_breaks(self):
        nc = self.connected()
        self.net.end()
        self.net.answer_pings = False
        self.assertTrue(nc.flush(60000) is False)
        self.assertTrue(self.elapsed(0) < 10000)

    def test_false_when_there_is_no_connection(self):
        self.assertTrue(self.client().flush(100) is False)
        nc = self.connected()
        nc.close()
        self.assertTrue(nc.flush(100) is False)

    def test_messages_are_handled_meanwhile(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.feed_before_pong(message(1, b"x") * 3)
        self.assertTrue(nc.flush())
        self.assertEqual(len(self.got), 3)

    def test_by_short_writes(self):
        nc = self.connected()
        self.net.write_limit = 1
        nc.publish("a", pattern(100))
        self.assertTrue(nc.flush())
        self.assertEqual(self.sent(), b"PUB a 100\r\n" + pattern(100) + b"\r\nPING\r\n")


class Draining(Case):
    def test_unsubscribes_handles_what_is_under_way_sends_what_is_queued_and_closes(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        nc.subscribe("b", self.take)
        nc.poll()
        self.forget()
        states = []

        def under_way(net):
            if b"UNSUB 1\r\n" in net.sent() and not states:
                states.append(nc.state)
                net.feed(message(1, b"under way"))
                for pings in (2, 3, 4):
                    net.after_pings(pings)
                    net.feed(b"PONG\r\n")

        self.net.answer_pings = False
        self.net.on_write = under_way
        nc.publish("x", b"queued")
        self.assertTrue(nc.drain() is True)
        self.assertEqual(self.got, [("a", None, b"under way")])
        sent = self.sent()
        self.assertTrue(sent.startswith(b"PUB x 6\r\nqueued\r\n"))
        unsubs = sorted(
            sent[len(b"PUB x 6\r\nqueued\r\n") : -len(b"PING\r\n")].split(b"\r\n")[:-1]
        )
        self.assertEqual(unsubs, [b"UNSUB 1", b"UNSUB 2"])
        self.assertTrue(sent.endswith(b"PING\r\n"))
        self.assertEqual(states, ["draining"])
        self.assertEqual(nc.state, "closed")
        self.assertEqual(self.kinds(), ["closed"])
        self.assertFalse(self.net.is_open)

    def test_what_a_handler_publishes_meanwhile_is_sent_too(self):
        nc = self.connected()
        nc.subscribe("a", lambda msg: msg.respond(b"yes"))
        nc.poll()
        self.feed_before_pong(message(1, b"?", "a", "r"))
        self.assertTrue(nc.drain())
        self.assertTrue(b"PUB r 3\r\nyes\r\n" in self.sent())

    def test_more_subscriptions_than_the_buffer_holds(self):
        nc = self.connected(tx_size=64)
        for i in range(50):
            nc.subscribe("a.%d" % i, self.take)
            nc.poll()
        self.forget()
        self.assertTrue(nc.drain())
        self.assertEqual(self.sent().count(b"UNSUB "), 50)

    def test_false_but_closed_when_the_server_does_not_answer(self):
        nc = self.connected()
        self.net.answer_pings = False
        start = self.clock.ticks_ms()
        self.assertTrue(nc.drain(700) is False)
        self.assertTrue(700 <= self.elapsed(start) < 900)
        self.assertEqual(nc.state, "closed")

    def test_false_but_closed_when_the_connection_breaks(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.net.answer_pings = False
        self.net.end()
        self.assertTrue(nc.drain(60000) is False)
        self.assertEqual(nc.state, "closed")
        self.assertTrue(self.elapsed(0) < 10000)

    def test_not_connected(self):
        for connect in (False, True):
            self.start()
            nc = self.client()
            if connect:
                nc.connect(wait=False)
            nc.drain(100)
            self.assertEqual(nc.state, "closed")
            self.assertFalse(self.net.is_open)


if __name__ == "__main__":
    unittest.main()
