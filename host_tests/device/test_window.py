"""What the client writes never waits for lwIP's memory, whatever becomes of it: see `lwip`.

Each call has its time: `poll(50)` takes 50 ms at most, `publish` none at all. With a write that
waits it would be 10 s, and an RP2040's watchdog has 8.3.
"""

import sys

import unats
from lwip import HEAP, LINGER_MS, LOST, MUTE, PER_WRITE, SEGMENTS, SEND_BUFFER, UP, Lwip
from played import Case  # before the client: it gives it its clock

try:
    from unats.tcp import Tcp
except ImportError:  # a port without sockets
    Tcp = None

TOLERANCE_MS = 10
TURN_MS = 50
SIZES = 64, 700
ENOUGH = SEND_BUFFER * 3 // 4  # bytes in flight, more than there are with a window
IS_SLOW = sys.maxsize < 1 << 40 or sys.implementation.name == "cpython"
ONE, ALL = 1, 1000  # messages that are published in a turn, if there is room


class Board(Case):
    """A client over the model, whose calls are timed."""

    def start(self, now=0):
        super().start(now)
        self.net = Lwip(self.clock)
        self.net.on_message = self.on_message
        self.published = self.losses = 0
        self.came = {}  # of each connection, how many numbered messages, and the last one's number
        self.wrong = []
        self.large = None

    def judge(self, asked, took):
        """Of a call that may take so many ms."""
        self.assertTrue(took <= asked + TOLERANCE_MS, "%d ms instead of %d" % (took, asked))

    def timed(self, ms, call, *args, **options):
        """Call it; it has so many ms."""
        before = self.clock.ticks_ms()
        try:
            return call(*args, **options)
        finally:
            self.judge(ms, self.elapsed(before))

    def connected(self, **options):
        options.setdefault("reconnect_wait_ms", 300)
        options.setdefault("reconnect_max_wait_ms", 300)
        nc = self.client(**options)
        self.timed(5000, nc.connect)
        return nc

    def turn(self, nc):
        self.timed(TURN_MS, nc.poll, TURN_MS)

    def publish(self, nc, size):
        """Publish a message that tells its number; whether it was taken."""
        payload = (b"%06d" % self.published + b"." * size)[:size] if size > 1 else b"x"
        taken = self.timed(0, nc.publish, "s.t", payload)
        self.published += taken
        return taken

    def work(self, nc, ms, size, pace=ONE):
        """An application that publishes in each turn, for so long."""
        before = self.clock.ticks_ms()
        while self.elapsed(before) < ms:
            for _ in range(pace):
                if not self.publish(nc, size):
                    break
            self.turn(nc)

    def until(self, nc, condition, ms, size=0, pace=ONE):
        """Take turns until the condition holds, for so long at most; how long it took."""
        before = self.clock.ticks_ms()
        while not condition():
            self.assertTrue(self.elapsed(before) < ms, "not within %d ms" % ms)
            if size:
                self.work(nc, 1, size, pace)
            else:
                self.turn(nc)
        return self.elapsed(before)

    def until_lost(self, nc, ms, size=0, pace=ONE):
        """Until it has noticed one loss more; it may be on its next connection by then."""
        self.losses += 1
        return self.until(nc, self.has_noticed, ms, size, pace)

    def has_noticed(self):
        return self.kinds().count("disconnected") >= self.losses

    def until_up(self, nc, ms, size=0, pace=ONE):
        return self.until(nc, lambda: nc.connected, ms, size, pace)

    def lose(self, nc):
        """What is under way never arrives, and the connection ends; the next one is a good one."""
        self.net.path = UP
        self.net.end()
        self.until_lost(nc, 1000)

    def goes_on(self, nc, size, pace=ONE):
        """It connects again, and what is published from then on arrives, also after 10 s."""
        self.net.path = UP
        self.until_up(nc, 15000, size, pace)
        self.work(nc, 100, size, pace)
        self.work(nc, LINGER_MS, SIZES[0])
        self.work(nc, 100, size, pace)
        self.all_arrives(nc)

    def all_arrives(self, nc):
        self.assertTrue(self.timed(5000, nc.flush, 5000))
        self.check()
        self.assertEqual(self.came[len(self.net.connections)][1], self.published - 1)

    def on_message(self, session, subject, payload):
        """The server got it. (There are too many of them to keep them all.)"""
        if subject != "s.t":
            self.large = payload
        elif len(payload) > 1:
            count, last = self.came.get(session.number, (0, -1))
            number = int(payload[:6])
            if number <= last:
                self.wrong.append((session.number, last, number))
            self.came[session.number] = count + 1, number

    def check(self):
        """No write stalled, the window was kept to; on each connection all came in order, once."""
        self.assertEqual(self.net.stalls, 0)
        if self.net.window:
            counted = self.net.most_counted
            self.assertTrue(counted <= self.net.window + PER_WRITE, "%d bytes" % counted)
        self.assertEqual(self.wrong, [])

    def each(self, scenario):
        """With small and large messages, one a turn or as many as there is room for. (Half of that
        with 32-bit words and on CPython, where this takes several times as long.)
        """
        for size in SIZES:
            for pace in (ONE, ALL):
                if IS_SLOW and (pace is ONE) is (size == SIZES[0]):
                    continue
                self.start()
                scenario(size, pace)
                self.check()


class PeerStopsReading(Board):
    """The server takes in no more: what is beyond its window is not acknowledged."""

    def test_and_then_the_connection_is_lost(self):
        self.each(self.scenario)

    def scenario(self, size, pace):
        nc = self.connected()
        self.net.stop_reading()
        self.work(nc, 10000, size, pace)
        self.assertTrue(nc.connected)
        self.lose(nc)
        self.goes_on(nc, size, pace)

    def test_and_then_reads_again(self):
        nc = self.connected()
        self.net.stop_reading()
        self.work(nc, 5000, 64, ALL)
        self.net.read_again()
        self.goes_on(nc, 64)
        self.assertEqual(self.kinds(), ["connected"])


class AllVanishes(Board):
    """Nothing that the board sends arrives, until after the client has noticed."""

    def test_and_the_client_connects_again(self):
        self.each(self.scenario)

    def scenario(self, size, pace):
        nc = self.connected(ping_interval_ms=1000)
        self.net.path = LOST
        self.until_lost(nc, 5000, size, pace)
        self.goes_on(nc, size, pace)

    def test_and_goes_on_doing_so_while_it_tries_to(self):
        nc = self.connected(ping_interval_ms=1000, connect_timeout_ms=700)
        self.net.path = LOST
        self.work(nc, 30000, 64, ALL)
        self.assertFalse(nc.connected)
        self.goes_on(nc, 64, ALL)

    def test_where_all_connections_share_32_segments(self):
        for size in SIZES:
            self.start()
            self.net.segments = SEGMENTS
            self.scenario(size, ONE)
            self.check()

    def test_right_behind_a_ping(self):
        """Its PONG comes, and vouches for nothing that was written after it."""
        self.net.rtt_ms = 200
        nc = self.connected()
        for _ in range(50):
            if self.net.session.pings < 2:
                self.publish(nc, 64)
                self.timed(0, nc.poll, 0)
        self.assertEqual(self.net.session.pings, 2)
        self.net.path = LOST
        self.work(nc, 2000, 64, ALL)
        self.check()

    def test_and_the_processor_rests_meanwhile(self):
        """What does not fit in the window is not waited for as if it could be written."""
        nc = self.connected()
        self.net.path = LOST
        self.work(nc, 5000, 64, ALL)
        self.assertTrue(self.net.spins < 5, self.net.spins)

    def test_for_a_short_while(self):
        for size in SIZES:
            self.start()
            nc = self.connected()
            self.work(nc, 500, size)
            self.net.path = LOST
            self.work(nc, 2500, size)
            self.net.path = UP
            self.work(nc, 10000, size)
            self.all_arrives(nc)
            self.assertEqual(self.kinds(), ["connected"])
            self.assertEqual(self.net.messages, self.published)

    def test_and_what_waits_has_its_time(self):
        nc = self.connected()
        self.net.path = LOST
        self.work(nc, 1000, 64, ALL)
        self.assertFalse(self.timed(500, nc.flush, 500))
        with self.assertRaises(unats.Error):
            self.timed(500, nc.request, "s.r", b"", 500)
        self.assertFalse(self.timed(500, nc.drain, 500))
        self.timed(0, nc.close)
        with self.assertRaises(unats.Error):
            self.timed(500, nc.connect, 500)
        self.check()


class NothingIsAcknowledged(Board):
    """What the board sends arrives, and nothing comes back: no acknowledgement, no PONG."""

    def test_and_the_client_connects_again(self):
        self.each(self.scenario)

    def scenario(self, size, pace):
        nc = self.connected(ping_interval_ms=2000)
        self.net.path = MUTE
        self.until_lost(nc, 10000, size, pace)
        self.goes_on(nc, size, pace)

    def test_for_a_short_while(self):
        nc = self.connected()
        self.net.path = MUTE
        self.work(nc, 2500, 64)
        self.net.path = UP
        self.work(nc, 10000, 64)
        self.all_arrives(nc)
        self.assertEqual(self.kinds(), ["connected"])
        self.assertEqual(self.net.messages, self.published)


class NextConnection(Board):
    """It begins 0.3 s after one that ended with data in flight, which stay in memory for 10 s."""

    def filled(self, size, pace):
        nc = self.connected()
        self.net.path = LOST
        self.work(nc, 3000, size, pace)
        return nc

    def one_byte(self, nc):
        self.assertTrue(self.publish(nc, 1))
        self.turn(nc)
        self.assertTrue(self.timed(1000, nc.flush, 1000))
        self.check()

    def test_after_close(self):
        self.each(self.closed)

    def closed(self, size, pace):
        nc = self.filled(size, pace)
        self.timed(0, nc.close)
        self.net.path = UP
        self.clock.sleep_ms(300)
        self.timed(2000, nc.connect, 2000)
        self.one_byte(nc)
        self.goes_on(nc, size, pace)

    def test_after_reconnect(self):
        self.each(self.left)

    def left(self, size, pace):
        nc = self.filled(size, pace)
        self.net.path = UP
        self.timed(0, nc.reconnect)
        self.until_lost(nc, 1000)
        self.until_up(nc, 1000)
        self.one_byte(nc)
        self.goes_on(nc, size, pace)

    def test_after_the_server_has_closed(self):
        self.each(self.ended)

    def ended(self, size, pace):
        nc = self.filled(size, pace)
        self.lose(nc)
        self.until_up(nc, 1000)
        self.one_byte(nc)
        self.goes_on(nc, size, pace)

    def test_after_a_restart_of_the_server(self):
        self.each(self.restarted)

    def restarted(self, size, pace):
        nc = self.filled(size, pace)
        self.net.path = UP
        self.net.restart(1000)
        self.until_lost(nc, 1000, size, pace)
        self.goes_on(nc, size, pace)


class OneByte(Board):
    """Each message is written at once: what counts is how many, for lwIP's queue has 32 places."""

    def burst(self, nc, messages, ms=10):
        """How many of them were taken."""
        taken = 0
        for _ in range(messages):
            taken += self.publish(nc, 1)
            self.timed(0, nc.poll, 0)
            self.clock.sleep_ms(ms)
        return taken

    def test_on_a_good_link(self):
        for rtt_ms in (5, 50):
            self.start()
            self.net.rtt_ms = rtt_ms
            nc = self.connected()
            taken = self.burst(nc, 500)
            self.assertTrue(self.timed(2000, nc.flush, 2000))
            self.check()
            self.assertEqual(self.net.messages, taken)
            self.assertEqual(taken, 500)

    def test_into_the_void(self):
        for path in (LOST, MUTE):
            self.start()
            nc = self.connected()
            self.net.path = path
            self.burst(nc, 200)
            self.check()

    def test_and_so_on_the_next_connection(self):
        nc = self.connected()
        for _ in range(2):
            self.net.path = LOST
            self.burst(nc, 100)
            self.lose(nc)
            self.until_up(nc, 15000)
            self.burst(nc, 100)
        self.assertTrue(self.timed(2000, nc.flush, 2000))
        self.check()


class Losses(Board):
    """Connections that end one after another, each with data in flight."""

    def test_four_within_ten_seconds(self):
        self.each(self.four)

    def four(self, size, pace):
        self.net.rtt_ms = 50
        nc = self.connected()
        for _ in range(4):
            self.until_up(nc, 15000)
            self.work(nc, 200, size, pace)
            self.net.path = LOST
            self.work(nc, 500, size, pace)
            self.lose(nc)
        self.goes_on(nc, size, pace)
        self.memory_is_free_again()

    def memory_is_free_again(self):
        """Two may lie there; the third connection begins when that of the second is free."""
        c = self.net.connections
        self.assertEqual(len(c), 5)
        for i in (0, 2):
            self.assertTrue(c[i + 1].opened_ms - c[i].closed_ms < 1000)
            wait = c[i + 2].opened_ms - c[i + 1].closed_ms
            self.assertTrue(LINGER_MS < wait < LINGER_MS + 1500, "%d ms" % wait)
        self.assertTrue(self.net.most_used < HEAP)

    def test_with_nothing_in_flight_are_not_waited_for(self):
        nc = self.connected()
        for _ in range(4):
            self.work(nc, 500, 64)
            self.assertTrue(self.timed(1000, nc.flush, 1000))
            self.lose(nc)
            self.until_up(nc, 1000)
        self.check()

    def test_far_apart_are_not_waited_for(self):
        nc = self.connected()
        for _ in range(3):
            self.work(nc, LINGER_MS + 1000, 64)
            self.net.path = LOST
            self.work(nc, 500, 64, ALL)
            self.lose(nc)
            self.until_up(nc, 1000)
        self.check()

    def test_no_socket_is_left(self):
        nc = self.connected()
        self.net.sockets = 0
        self.lose(nc)
        self.work(nc, 3000, 64)
        self.assertFalse(nc.connected)
        self.net.sockets = 5
        self.goes_on(nc, 64)


class Subscriptions(Board):
    """They are made again on each connection, and fill the window by themselves."""

    def subscribed(self, count, **options):
        self.subjects = ["devices.greenhouse-7.command.%d" % i for i in range(count)]
        nc = self.connected(**options)
        for subject in self.subjects:
            self.timed(0, nc.subscribe, subject, self.take)
            self.turn(nc)
        self.are_there(nc)
        return nc

    def are_there(self, nc):
        self.until(nc, lambda: len(self.net.session.subjects) >= len(self.subjects), 10000)
        self.assertEqual(sorted(self.net.session.subjects), sorted(self.subjects))
        self.assertTrue(self.timed(2000, nc.flush, 2000))
        self.check()

    def test_are_made_again(self):
        for count in (60, 200):
            for rtt_ms in (5, 50):
                self.start()
                self.net.rtt_ms = rtt_ms
                nc = self.subscribed(count)
                self.lose(nc)
                self.until_up(nc, 10000)
                self.are_there(nc)
                self.goes_on(nc, 64)

    def test_are_made_again_with_data_in_flight(self):
        for size in SIZES:
            self.start()
            nc = self.subscribed(60)
            self.net.path = LOST
            self.work(nc, 1000, size, ALL)
            self.lose(nc)
            self.until_up(nc, 10000, size, ALL)
            self.work(nc, 1000, size, ALL)
            self.are_there(nc)

    def test_vanish(self):
        nc = self.subscribed(60, ping_interval_ms=1000)
        self.lose(nc)
        self.until_up(nc, 10000)
        self.net.path = LOST
        self.until_lost(nc, 5000, 64, ALL)
        self.net.path = UP
        self.until_up(nc, 15000)
        self.are_there(nc)


class LargeMessage(Board):
    """One that is larger than the buffer goes through it while `publish` waits."""

    def publish_large(self, nc, size, ms):
        """Publish one, in so long; whether it was taken, and then it has arrived."""
        payload = bytes([i & 255 for i in range(size)])
        taken = self.timed(ms, nc.publish, "large", payload)
        if taken:
            self.assertTrue(self.timed(2000, nc.flush, 2000))
            self.assertTrue(self.large == payload)
        self.check()
        return taken

    def test_on_a_good_link(self):
        for rtt_ms in (5, 50):
            for size in (600, 2000):
                self.start()
                self.net.rtt_ms = rtt_ms
                nc = self.connected(tx_size=512)
                self.work(nc, 200, 64, ALL)
                for _ in range(3):
                    self.assertTrue(self.publish_large(nc, size, 1000))
                self.goes_on(nc, 64)
                self.assertEqual(self.kinds(), ["connected"])

    def test_without_a_window(self):
        self.net.window = 0
        nc = self.connected(tx_size=512)
        self.assertTrue(self.publish_large(nc, 20000, 1000))

    def test_larger_than_the_window(self):
        """No PING can go in the middle of it: it arrives, or it is not taken."""
        nc = self.connected(tx_size=512, connect_timeout_ms=1000)
        self.publish_large(nc, 20000, 2000)
        self.goes_on(nc, 64)

    def test_into_the_void(self):
        for path in (LOST, MUTE):
            for size in (600, 2000, 20000):
                self.start()
                nc = self.connected(tx_size=512, connect_timeout_ms=1000, ping_interval_ms=1000)
                self.net.path = path
                self.work(nc, 200, 64, ALL)
                self.timed(1000, nc.publish, "large", bytes(size))
                self.until_lost(nc, 5000, 64)
                self.net.path = UP
                self.until_up(nc, 15000, 64)
                self.goes_on(nc, 64)
                self.assertTrue(self.publish_large(nc, 2000, 1000))


class KeepAlive(Board):
    """It counts what the server does not answer, also where its PING found no room."""

    def test_notices_with_buffer_and_window_full(self):
        self.each(self.scenario)

    def scenario(self, size, pace):
        for pings in (1, 4):
            self.start()
            nc = self.connected(ping_interval_ms=500, max_pings_out=pings)
            self.work(nc, 700, size, pace)
            self.net.path = LOST
            took = self.until_lost(nc, 5000, size, pace)
            self.assertTrue(500 * pings <= took <= 500 * (pings + 2), "%d ms" % took)
            self.check()

    def test_notices_with_many_tiny_messages(self):
        nc = self.connected(ping_interval_ms=100, max_pings_out=20)
        self.net.path = MUTE
        took = self.until_lost(nc, 5000, 1, ALL)
        self.assertTrue(2000 <= took <= 2400, "%d ms" % took)
        self.check()

    def test_takes_a_slow_link_for_what_it_is(self):
        self.net.rtt_ms = 700
        nc = self.connected(ping_interval_ms=1000, max_pings_out=2)
        self.work(nc, 20000, 64, ALL)
        self.all_arrives(nc)
        self.assertEqual(self.kinds(), ["connected"])


class GoodLink(Board):
    """All that is published arrives, in order and once, and it does not come to a halt."""

    def test_all_arrives(self):
        for rtt_ms in (5, 50):
            for size in (1,) + SIZES:
                for pace in (ONE, ALL):
                    self.start()
                    self.net.rtt_ms = rtt_ms
                    nc = self.connected()
                    trips = 100 if pace == ONE else 20
                    self.work(nc, trips * rtt_ms, size, pace)
                    self.assertTrue(self.timed(2000, nc.flush, 2000))
                    self.check()
                    self.assertEqual(self.net.messages, self.published)
                    self.assertEqual(self.kinds(), ["connected"])
                    # a kilobyte each round trip, or else each message at once
                    least = 2 * rtt_ms if pace == ONE else trips * 1024 // (size + 100)
                    self.assertTrue(self.published >= least, self.published)

    def test_messages_that_come_are_taken_meanwhile(self):
        nc = self.connected()
        nc.subscribe("a", self.take)
        self.turn(nc)
        for i in range(100):
            self.net.send(b"MSG a 1 2\r\n%02d\r\nPING\r\n" % i)
            self.work(nc, 1, 64, ALL)
        self.all_arrives(nc)
        self.assertEqual([data for _, _, data in self.got], [b"%02d" % i for i in range(100)])


class NoWindow(Board):
    """A transport whose window is 0 is given all that it takes."""

    def start(self, now=0):
        super().start(now)
        self.net.window = 0

    def test_nothing_is_held_back(self):
        nc = self.connected()
        self.net.path = LOST
        for _ in range(200):
            if self.net.in_flight < ENOUGH and not self.publish(nc, 64):
                self.timed(0, nc.poll, 0)
        self.assertTrue(self.net.in_flight >= ENOUGH, self.net.in_flight)
        self.check()

    def test_there_are_no_more_pings(self):
        nc = self.connected()
        self.work(nc, 2000, 700)
        self.assertEqual(self.net.session.pings, 1)
        self.check()


class Arguments(Board):
    def test_a_window_that_is_too_small(self):
        for window, tx_size in ((2047, 1024), (599, 64), (599, 256), (1, 64)):
            self.net.window = window
            with self.assertRaises(ValueError):
                self.client(tx_size=tx_size)

    def test_a_window_that_is_not(self):
        for window, tx_size in ((2300, 1024), (600, 64), (3000, 1024), (3000, 1390), (0, 1024)):
            self.net.window = window
            self.client(tx_size=tx_size)

    def test_one_that_is_taken_is_large_enough(self):
        """Also where the whole buffer goes in one write, of which a PING is the end."""
        for window, tx_size in (
            (600, 300),
            (2048, 1024),
            (2300, 1024),
            (3000, 1390),
            (3000, 1500),
        ):
            for size in (1, 64, 200):
                self.start()
                self.net.window = window
                try:
                    nc = self.connected(tx_size=tx_size)
                except ValueError:
                    continue
                self.work(nc, 100, size, ALL)
                self.assertTrue(self.timed(5000, nc.flush, 5000))
                self.check()
                self.assertEqual(self.net.messages, self.published)

    def test_that_of_tcp_is_for_the_rp2_alone(self):
        if Tcp is not None:
            self.assertEqual(Tcp.window, 3000 if sys.platform == "rp2" else 0)


class Enomem(Board):
    """A write that raises it may have taken the bytes: what comes next can not be known."""

    def test_ends_the_connection(self):
        for size in SIZES:
            self.start()
            nc = self.connected()
            self.work(nc, 500, size)
            self.net.take_and_fail = True
            first = self.net.connections[-1]
            writes = first.writes
            self.publish(nc, size)
            self.until_lost(nc, 1000)
            self.goes_on(nc, size)
            self.assertEqual(first.writes, writes + 1)
            count, last = self.came[1]
            self.assertEqual(count, last + 1)
            self.assertEqual(len(self.net.connections), 2)


if __name__ == "__main__":
    import unittest

    unittest.main()
