"""Several servers: in which order they are tried, those that a cluster names, lame ducks, what
waits for whom.
"""

import errno

import unats
from played import Case, Servers  # before the client: it gives it its clock
from unats.outbox import Outbox
from unats.servers import read_url

THREE = ["nats://one", "nats://two", "nats://three"]


def refused():
    return OSError(errno.ECONNREFUSED, "ECONNREFUSED")


class Urls(Case):
    def test_every_form(self):
        for url, host, port, text in (
            ("nats://broker:4333", "broker", 4333, "broker:4333"),
            ("nats://broker", "broker", 4222, "broker:4222"),
            ("broker", "broker", 4222, "broker:4222"),
            ("broker:1", "broker", 1, "broker:1"),
            ("10.0.0.7:65535", "10.0.0.7", 65535, "10.0.0.7:65535"),
            ("nats://10.0.0.7/", "10.0.0.7", 4222, "10.0.0.7:4222"),
            ("[::1]:99", "::1", 99, "[::1]:99"),
            ("nats://[fe80::1]", "fe80::1", 4222, "[fe80::1]:4222"),
            ("nats://me:it@[fe80::1]:7", "fe80::1", 7, "[fe80::1]:7"),
        ):
            server = read_url(url)
            self.assertEqual((server.host, server.port, str(server)), (host, port, text))


class Pool(Case):
    def order(self, servers, n):
        return [str(servers.next()) for _ in range(n)]

    def test_in_a_circle(self):
        servers = Servers(["a:1", "b:2", "c:3"], False)
        self.assertEqual(self.order(servers, 7), ["a:1", "b:2", "c:3"] * 2 + ["a:1"])

    def test_shuffled_in_every_order(self):
        seen = set()
        for _i in range(300):
            seen.add(tuple(self.order(Servers(["a:1", "b:2", "c:3"], True), 3)))
        self.assertEqual(len(seen), 6)

    def test_a_discovered_one_is_next_and_not_the_one_at_hand(self):
        for randomize in (False, True):
            servers = Servers(["a:1"], randomize)
            servers.next()
            servers.discovered(["a:1", "b:2"], randomize)
            self.assertEqual(self.order(servers, 3), ["b:2", "a:1", "b:2"])

    def test_those_named_before_go_and_the_given_ones_stay(self):
        servers = Servers(["a:1"], False)
        servers.next()
        servers.discovered(["b:2", "c:3"], False)
        self.assertEqual(self.order(servers, 1), ["b:2"])
        servers.discovered(["c:3", "d:4", "a:1"], False)
        self.assertEqual(len(servers), 3)
        self.assertEqual(sorted(self.order(servers, 3)), ["a:1", "c:3", "d:4"])

    def test_the_one_at_hand_stays_behind_the_others_when_they_are_named_again(self):
        servers = Servers(["a:1"], True)
        servers.next()
        for _ in range(50):
            servers.discovered(["b:2", "c:3", "d:4"], True)
            current = str(servers.current)
            self.assertEqual(len(set(self.order(servers, 3)) | {current}), 4)

    def test_discovered_ones_are_shuffled_and_the_given_ones_are_not(self):
        orders = set()
        for _ in range(100):
            servers = Servers(["a:1", "b:2"], False)
            servers.next()
            servers.discovered(["c:3", "d:4"], True)
            order = tuple(self.order(servers, 4))
            self.assertEqual((order[0], order[3]), ("b:2", "a:1"))
            orders.add(order)
        self.assertEqual(len(orders), 2)

    def test_what_is_no_url_is_left_out(self):
        servers = Servers(["a:1"], False)
        servers.next()
        servers.discovered(
            ["", ":", "x y:1", "b:0", "b:99999", "user:secret@b:2", "http://c"], False
        )
        self.assertEqual([(s.host, s.user) for s in servers._servers], [("a", None), ("b", None)])


class Client(Case):
    """The client with several servers."""

    def start(self, now=0):
        super().start(now)
        self.tried = []
        connect = self.net.open

        def noted(host, port):
            self.tried.append((host, self.clock.ticks_ms()))
            connect(host, port)

        self.net.open = noted

    def hosts(self):
        return [host for host, _ in self.tried]

    def waits(self):
        """From each attempt to the next."""
        moments = [moment for _, moment in self.tried]
        return [self.clock.ticks_diff(b, a) for a, b in zip(moments, moments[1:])]

    def settled(self, servers, info=None, **options):
        """Connected for so long that it counts as a good connection."""
        nc = self.client(servers, **options)
        self.net.handshake(**(info or {}))
        nc.connect()
        self.clock.sleep_ms(60000)
        nc.poll()
        nc.poll()
        self.assertTrue(nc.connected)
        self.forget()
        self.tried.clear()
        return nc

    def test_the_first_retry_is_immediate_and_goes_to_the_next_server(self):
        nc = self.settled(THREE, randomize=False)
        at = self.clock.ticks_ms()
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.poll_until(nc, lambda: self.tried and nc.connected, 1)
        self.assertEqual(self.hosts(), ["two"])
        self.assertTrue(self.clock.ticks_diff(self.tried[0][1], at) <= 1)

    def test_the_first_retry_of_a_single_server_is_immediate_too(self):
        nc = self.settled("nats://one")
        at = self.clock.ticks_ms()
        self.net.end()
        self.net.refuse(refused(), 3)
        self.poll_until(nc, lambda: len(self.tried) == 2, 1)
        self.assertTrue(self.clock.ticks_diff(self.tried[0][1], at) <= 1)
        self.assertTrue(125 <= self.waits()[0] <= 251, repr(self.waits()))

    def test_each_server_is_left_alone_for_longer_and_longer(self):
        nc = self.settled(
            THREE, randomize=False, reconnect_wait_ms=100, reconnect_max_wait_ms=1600
        )
        self.net.end()
        self.net.refuse(refused(), 40)
        self.poll_until(nc, lambda: len(self.tried) >= 24, 1)
        self.assertEqual(self.hosts()[:24], ["two", "three", "one"] * 8)
        for k in range(3):
            mine = [moment for _, moment in self.tried[k::3]]
            waits = [b - a for a, b in zip(mine, mine[1:])]
            for wait, most in zip(waits, (100, 200, 400, 800, 1600, 1600, 1600)):
                self.assertTrue(most // 2 <= wait <= most + 20, "%s of %s" % (wait, waits))

    def test_a_round_of_wrong_credentials_waits_like_any_other(self):
        nc = self.client(THREE, reconnect_wait_ms=100, reconnect_max_wait_ms=1000)
        for _ in range(100):
            self.net.feed(b"INFO {}\r\n")
            self.net.after_pings(1)
            self.net.feed(b"-ERR 'Authorization Violation'\r\n")
            self.net.end()
            self.net.next_connection()
        nc.connect(wait=False)
        while self.elapsed(0) < 10000:
            nc.poll(10)
        self.assertTrue(3 * 8 <= self.net.opens <= 3 * 25, "%d attempts in 10 s" % self.net.opens)

    def test_servers_that_take_us_and_drop_us_are_not_hammered(self):
        nc = self.client(THREE, reconnect_wait_ms=100, reconnect_max_wait_ms=1000)
        for _ in range(100):
            self.net.handshake()
            self.net.end()
            self.net.next_connection()
        nc.connect(wait=False)
        while self.elapsed(0) < 10000:
            nc.poll(10)
        self.assertTrue(3 * 8 <= self.net.opens <= 3 * 25, "%d attempts in 10 s" % self.net.opens)

    def test_it_fails_over_to_a_server_that_it_was_told_of(self):
        for randomize in (False, True):
            self.start()
            nc = self.settled(
                "nats://one", {"connect_urls": ["one:4222", "two:2"]}, randomize=randomize
            )
            self.net.end()
            self.net.next_connection()
            self.net.handshake()
            self.poll_until(nc, lambda: self.tried and nc.connected)
            self.assertEqual(self.hosts(), ["two"])

    def test_a_later_info_names_others(self):
        nc = self.settled("nats://one", {"connect_urls": ["two:2"]})
        self.net.feed(b'INFO {"max_payload":1000,"connect_urls":["three:3"]}\r\n')
        nc.poll()
        self.net.end()
        self.net.refuse(refused(), 20)
        self.poll_until(nc, lambda: len(self.tried) >= 6)
        self.assertEqual(self.hosts()[:6], ["three", "one"] * 3)

    def test_they_are_ignored_if_asked_for(self):
        nc = self.settled(
            "nats://one", {"connect_urls": ["two:2"]}, ignore_discovered_servers=True
        )
        self.net.end()
        self.net.refuse(refused(), 20)
        self.poll_until(nc, lambda: len(self.tried) >= 4)
        self.assertEqual(set(self.hosts()), {"one"})

    def test_a_lame_duck_is_left_for_another_before_it_closes(self):
        for servers, info in ((THREE, {}), ("nats://one", {"connect_urls": ["two:2"]})):
            self.start()
            nc = self.settled(servers, info, randomize=False)
            nc.subscribe("a", self.take)
            nc.publish("b", b"queued")
            self.net.feed(b'INFO {"max_payload":1000,"ldm":true,"connect_urls":["two:2"]}\r\n')
            self.net.next_connection()
            self.net.handshake()
            self.poll_until(nc, lambda: self.net.opens == 2 and nc.connected)
            self.assertEqual(self.hosts(), ["two"])
            self.assertEqual(self.kinds(), ["lame duck", "disconnected", "reconnected"])
            self.assertTrue(b"SUB a 1\r\n" in self.sent())

    def test_a_lame_duck_is_kept_as_long_as_there_is_no_other(self):
        nc = self.settled("nats://one")
        self.net.feed(b'INFO {"max_payload":1000,"ldm":true}\r\n')
        for _ in range(10):
            nc.poll(10)
        self.assertEqual((self.kinds(), nc.connected), (["lame duck"], True))

    def test_reconnect_on_demand_goes_to_another_server_at_once(self):
        nc = self.settled(THREE, randomize=False)
        asked = []
        nc.request("q", handler=asked.append)
        nc.poll()
        self.net.next_connection()
        self.net.handshake()
        nc.reconnect()
        self.poll_until(nc, lambda: self.net.opens == 2 and nc.connected, 0)
        self.assertEqual((self.hosts(), asked), (["two"], [None]))
        self.assertEqual(self.kinds(), ["disconnected", "reconnected"])

    def test_reconnect_on_demand_ends_a_wait(self):
        nc = self.settled("nats://one", reconnect_wait_ms=10000, reconnect_max_wait_ms=20000)
        self.net.end()
        self.net.refuse(refused())
        self.poll_until(nc, lambda: len(self.tried) == 1)
        nc.poll(1000)
        self.assertEqual(len(self.tried), 1)
        self.net.next_connection()
        self.net.handshake()
        nc.reconnect()
        self.poll_until(nc, lambda: nc.connected, 0)
        self.assertEqual(len(self.tried), 2)

    def test_giving_up_counts_the_attempts_at_all_servers(self):
        nc = self.settled(THREE, max_reconnects=5)
        self.net.end()
        self.net.refuse(refused(), 100)
        self.poll_until(nc, lambda: nc.state == "closed", 1000)
        self.assertEqual(len(self.tried), 6)


class Addresses(Case):
    """An address is good once NATS has answered there; before that the next one of its name is
    tried, then the name again.
    """

    def start(self, now=0):
        super().start(now)
        self.names = {}  # name: addresses, or an error
        self.works = []  # addresses where NATS answers; TCP comes up at all
        self.asked = []
        self.tried = []
        self.net.resolve = self.resolve
        self.really = self.net.open
        self.net.open = self.open

    def resolve(self, host, port):
        self.asked.append(host)
        found = self.names[host]
        if isinstance(found, Exception):
            raise found
        return [(address, port) for address in found]

    def open(self, address, port):
        self.tried.append(address[0])
        self.net.next_connection()
        if address[0] in self.works:
            self.net.handshake()
        self.net._played = len(self.net._scripts) - 1
        self.really(address[0], port)

    def lose(self, nc):
        """The connection breaks, after it has lasted, and comes back."""
        self.clock.sleep_ms(60000)
        nc.poll()
        nc.poll()
        self.forget()
        self.tried.clear()
        self.net.end()
        self.poll_until(nc, lambda: "reconnected" in self.kinds())

    def test_all_are_tried_before_connect_gives_up(self):
        self.names["a"] = ["1", "2", "3"]
        nc = self.client("a", connect_timeout_ms=1000)
        self.assertRaises(unats.Timeout, nc.connect)
        self.assertEqual((self.tried, self.asked), (["1", "2", "3"], ["a"]))
        self.assertTrue(3000 <= self.elapsed(0) < 3100)
        self.assertFalse(self.net.is_open)

    def test_of_several_servers_too(self):
        self.names["a"] = ["1", "2"]
        self.names["b"] = ["3", "4"]
        self.works = ["4"]
        nc = self.client(["a", "b"], randomize=False, connect_timeout_ms=1000)
        nc.connect()
        self.assertEqual(self.tried, ["1", "2", "3", "4"])

    def test_the_one_that_works_is_kept(self):
        self.names["a"] = ["1", "2", "3"]
        self.works = ["2"]
        nc = self.client("a", connect_timeout_ms=1000)
        nc.connect()
        for _ in range(3):
            self.lose(nc)
            self.assertEqual(self.tried, ["2"])
        self.assertEqual(self.asked, ["a"])

    def test_when_it_fails_the_others_are_tried_and_then_the_name_again(self):
        self.names["a"] = ["1", "2"]
        self.works = ["1"]
        nc = self.client("a", connect_timeout_ms=1000)
        nc.connect()
        self.works = ["9"]
        self.names["a"] = ["9"]
        self.lose(nc)
        self.assertEqual((self.tried, self.asked), (["1", "2", "9"], ["a", "a"]))

    def test_a_reset_or_an_error_of_the_server_is_no_answer_either(self):
        for last_words in (
            b"",
            b"INFO {}\r\n",
            b"INFO {}\r\n-ERR 'Authorization Violation'\r\n",
            b"HTTP/1.1 400\r\n",
        ):
            self.start()
            self.names["a"] = ["1", "2"]
            self.works = ["2"]

            def open(address, port, last_words=last_words):
                Addresses.open(self, address, port)
                if address[0] == "1":
                    self.net.feed(last_words)
                    self.net.fail(OSError(errno.ECONNRESET, "ECONNRESET"))

            self.net.open = open
            nc = self.client("a", connect_timeout_ms=1000)
            nc.connect()
            self.assertEqual(self.tried, ["1", "2"])

    def test_a_name_that_does_not_resolve_is_a_failed_attempt(self):
        self.names["a"] = OSError(-2)
        nc = self.client("a")
        self.assertRaises(unats.Error, nc.connect)
        self.names["a"] = ["1"]
        self.works = ["1"]
        nc.connect()
        self.assertEqual(self.asked, ["a", "a"])

    def test_addresses_of_one_name_cost_no_wait_and_no_failure(self):
        self.names["a"] = ["%d" % i for i in range(20)]
        self.works = ["19"]
        nc = self.client("a", connect_timeout_ms=100, max_reconnects=1)
        nc.connect(wait=False)
        self.poll_until(nc, lambda: nc.connected)
        self.assertTrue(self.elapsed(0) < 2100, self.elapsed(0))


class Resolver:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def start(self, host):
        self.asked.append(host)

    def poll(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Resolving(Case):
    """With a resolver of the application's, names cost `poll()` no wait."""

    def test_it_is_polled_and_every_address_tried(self):
        resolver = Resolver(None, None, ["10.0.0.1", "10.0.0.2"])
        self.net.refuse(refused())
        self.net.handshake()
        nc = self.client("broker:99", resolver=resolver)
        nc.connect(wait=False)
        while not nc.connected:
            at = self.clock.ticks_ms()
            nc.poll(5)
            self.assertTrue(self.elapsed(at) <= 5)
        self.assertEqual(
            (resolver.asked, self.net.host, self.net.port, self.net.opens),
            (["broker"], "10.0.0.2", 99, 2),
        )

    def test_addresses_are_not_asked_for(self):
        for url in ("10.0.0.7", "[fe80::1]:4222"):
            self.start()
            self.net.handshake()
            resolver = Resolver()
            self.client(url, resolver=resolver).connect()
            self.assertEqual(resolver.asked, [])

    def test_its_failure_is_a_failed_attempt(self):
        nc = self.client("broker", resolver=Resolver(None, OSError(-2, "no such name")))
        self.assertRaises(unats.NotConnected, nc.connect)
        self.assertEqual(nc.state, "disconnected")

    def test_one_that_never_answers(self):
        nc = self.client("broker", resolver=Resolver(*[None] * 1000), connect_timeout_ms=700)
        self.assertRaises(unats.Timeout, nc.connect)
        self.assertTrue(700 <= self.elapsed(0) < 750)


class Queued(Case):
    """What was queued when the connection broke, and then meets another server."""

    def break_with(self, nc, cut, **info):
        """Let so many bytes leave, break, and connect again; what was sent then, behind the
        handshake.
        """
        self.net.on_writes(*([cut] if cut else []) + [OSError(errno.ECONNRESET, "ECONNRESET")])
        self.net.next_connection()
        self.net.handshake(**info)
        self.poll_until(nc, lambda: nc.connected and self.net.opens == 2)
        nc.poll()
        sent = self.sent()
        return sent[sent.rfind(b"PING\r\n") + 6 :]

    def test_a_message_that_the_new_server_would_not_take_is_dropped_and_counted(self):
        for cut in (0, 1, 30):
            self.start()
            nc = self.connected()
            for n in (10, 200, 20, 201, 30):
                nc.publish("a", bytes(n))
            sent = self.break_with(nc, cut, max_payload=100)
            first = b"" if cut == 30 else b"PUB a 10\r\n" + bytes(10) + b"\r\n"
            self.assertEqual(
                sent, first + b"PUB a 20\r\n%s\r\nPUB a 30\r\n%s\r\n" % (bytes(20), bytes(30))
            )
            self.assertEqual((nc.stats.dropped, nc.stats.out_msgs), (2, 5))

    def test_headers_count(self):
        nc = self.connected()
        nc.publish("a", bytes(60), None, b"NATS/1.0\r\n" + bytes(40) + b"\r\n\r\n")
        nc.publish("a", b"x")
        self.assertEqual(self.break_with(nc, 0, max_payload=100), b"PUB a 1\r\nx\r\n")
        self.assertEqual(nc.stats.dropped, 1)

    def test_readings_of_an_outbox_come_in_order_whatever_was_queued(self):
        """Those that had left are lost; a later one that had not must not go before them."""
        for cut in range(0, 900, 53):
            self.start()
            nc = self.connected(tx_size=2048)
            outbox = Outbox(nc, "dev", ring=bytearray(1024), stream="S")
            nc.poll()
            nc.publish("other", b"kept")
            for i in range(8):
                outbox.put("r", b"%d" % i)
            outbox._sender._single = False
            outbox.poll()
            self.net.on_writes(*([cut] if cut else []) + [OSError(errno.ECONNRESET, "ECONNRESET")])
            self.net.next_connection()
            self.net.handshake()
            self.poll_until(nc, lambda: nc.connected and self.net.opens == 2)
            outbox.poll()
            nc.poll()
            sent = self.sent()
            sent = sent[sent.rfind(b"PING\r\n") + 6 :]
            self.assertEqual(sent.count(b"HPUB r "), 1, "cut at %d" % cut)
            self.assertTrue(b"\r\n\r\n0\r\n" in sent, "the oldest first")
            self.assertEqual(sent.count(b"PUB other"), 1 if cut < 19 else 0)

    def test_of_two_outboxes_and_after_they_are_closed(self):
        nc = self.connected()
        boxes = [Outbox(nc, "dev%d" % i, ring=bytearray(256)) for i in range(2)]
        self.assertEqual(len(nc.no_requeue), 2)
        for box in boxes + boxes:
            box.close()
        self.assertEqual(nc.no_requeue, ())


if __name__ == "__main__":
    import unittest

    unittest.main()
