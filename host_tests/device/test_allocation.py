"""What allocates nothing, not even for a moment, once it is connected and subscribed.

Each piece of work is run three times: to warm up, counted, and with the heap locked. (What does
the work is written with care, too: a function of more than five arguments and outer variables
takes them from the heap when it is called, and so does one with more than about eleven words of
its own.) On the Unix port `mem_total` counts every byte ever allocated; with 32-bit words
`mem_alloc` does, the collector being off. In the plain flavour kernels as bytecode take their
frames from the heap there, if they can, and give them back at once: only what is left behind
counts. CPython cannot count; there the work is only done.
"""

import gc
import unittest

import micropython

import unats
from scripted import Scripted
from unats import Payload, kernels

HEADERS = b"NATS/1.0\r\nKind: temp\r\nUnit: C\r\n\r\n"

if hasattr(micropython, "mem_total") and not hasattr(kernels, "ptr8"):
    count, TIMES = micropython.mem_total, 10000
elif hasattr(gc, "mem_alloc"):
    count, TIMES = gc.mem_alloc, 500
else:
    count, TIMES = None, 300
LOCKED = 300  # times, at most, with the heap locked


class Quick(Scripted):
    """Once connected it looks for PINGs in what is sent only if it is to: that is most of its
    work.
    """

    looking = True

    def _look_for_pings(self, buf, at, end):
        if self.looking:
            super()._look_for_pings(buf, at, end)


def allocated(work, times):
    """Bytes that work(times) allocates."""
    gc.collect()
    gc.disable()
    before = count()
    work(times)
    n = count() - before
    gc.enable()
    return n


def locked(work, times):
    micropython.heap_lock()
    try:
        work(times)
    finally:
        micropython.heap_unlock()


class Case(unittest.TestCase):
    def setUp(self):
        self.net = Quick(keep=0)
        self.handled = 0

    def connected(self, looking=False, **options):
        options.setdefault("ping_interval_ms", 1 << 27)
        self.nc = nc = unats.Client("nats://host", transport=self.net, **options)
        self.net.handshake()
        nc.connect()
        nc.poll()
        self.net.looking = looking
        return nc

    def feed(self, data, runs=1):
        """Enough of it for all three runs of `check`, and for what a full buffer reads ahead."""
        self.net.feed(data, times=runs * (TIMES + LOCKED + 300) + 100)

    def check(self, work, times=None, warm_up=100):
        """work(n) does something n times, without allocating."""
        times = times or TIMES
        work(warm_up)
        if count is not None:
            self.assertEqual(allocated(work, times), 0)
        locked(work, min(times, LOCKED))
        self.assertTrue(self.nc.connected, repr(self.nc.last_error))


class Measuring(Case):
    """The measuring itself: it sees what little there is, and adds nothing."""

    def test_nothing_is_nothing(self):
        self.connected()
        self.check(lambda n: None)

    def test_one_slice_is_seen(self):
        if count is None:
            return
        view = memoryview(b"hello")

        def work(n):
            view[1:]

        self.assertTrue(allocated(work, 1) > 0)

    def test_a_handler_that_allocates_is_seen(self):
        if count is None:
            return
        nc = self.connected()
        nc.subscribe("a", lambda msg: msg.data)
        self.net.feed(b"MSG a 1 2\r\nhi\r\n", times=10)
        nc.poll()

        def work(n):
            nc.poll()

        self.assertTrue(allocated(work, 1) > 0)

    def test_a_frame_too_large_for_the_stack_is_seen(self):
        if not hasattr(micropython, "mem_total"):
            return  # only there is a moment's allocation counted

        def large(a):
            b = c = d = e = f = g = h = i = j = k = a
            return [a + b + c + d + e + f + g + h + i + j + k for _ in ()]

        def work(n):
            large(n)

        self.assertTrue(allocated(work, 1) > 0)


class Publishing(Case):
    # As an application calls it: no argument is packed on the way.

    def two(self, n):
        while n:
            self.nc.publish(self.subject, self.payload)
            n -= 1
        self.nc.poll()

    def three(self, n):
        while n:
            self.nc.publish(self.subject, self.payload, self.reply)
            n -= 1
        self.nc.poll()

    def four(self, n):
        while n:
            self.nc.publish(self.subject, self.payload, self.reply, self.headers)
            n -= 1
        self.nc.poll()

    def five(self, n):
        while n:
            self.nc.publish(self.subject, self.payload, self.reply, self.headers, self.length)
            n -= 1
        self.nc.poll()

    def publish(self, subject, payload, reply=None, headers=None, length=-1, **options):
        nc = self.connected(**options)
        self.subject, self.payload, self.reply, self.headers, self.length = (
            subject,
            payload,
            reply,
            headers,
            length,
        )
        self.check(
            self.five
            if length >= 0
            else self.four
            if headers
            else self.three
            if reply
            else self.two
        )
        self.assertEqual(
            nc.stats.out_msgs, 100 + min(TIMES, LOCKED) + (0 if count is None else TIMES)
        )
        self.assertEqual(nc.stats.dropped, 0)

    PAYLOADS = (b"21.53", bytearray(b"21.53"), memoryview(b"21.53"), Payload(10).text("21.53"))

    def each(
        self,
        *args,
        subjects=("sensors.greenhouse-7.temp", b"sensors.greenhouse-7.temp"),
        **options,
    ):
        for subject in subjects:
            for payload in self.PAYLOADS:
                self.setUp()
                self.publish(subject, payload, *args, **options)

    def test_every_kind_of_payload_and_subject(self):
        self.each()

    def test_with_a_reply_subject(self):
        self.each("_INBOX.abc.1")
        self.each(b"_INBOX.abc.1", subjects=("a",))

    def test_with_a_block_of_headers(self):
        self.each(None, HEADERS)
        self.each("_INBOX.abc.1", bytearray(HEADERS), subjects=("a",))

    def test_the_first_n_bytes(self):
        self.each(None, None, 3)

    def test_without_payload(self):
        self.publish("a", b"")

    def test_a_buffer_that_is_always_full(self):
        self.publish("a", b"x" * 20, tx_size=64)

    def test_short_writes(self):
        self.net.write_limit = 7
        nc = self.connected(tx_size=256)

        def work(n):
            while n:
                nc.publish("a", b"hello")
                nc.poll()
                nc.poll()
                nc.poll()
                n -= 1

        self.check(work, TIMES // 5)
        self.assertEqual(nc.stats.dropped, 0)

    def test_when_there_is_no_room(self):
        nc = self.connected(tx_size=64)
        self.net.write_limit = 0

        def work(n):
            while n:
                nc.publish("a", b"x" * 0)
                nc.publish("a", b"hello hello hello")
                n -= 1

        self.check(work)
        self.assertTrue(nc.stats.dropped > TIMES)

    def test_larger_than_the_transmit_buffer(self):
        for payload in (
            b"x" * 300,
            bytearray(300),
            memoryview(b"x" * 300),
            Payload(300).bytes(bytes(300)),
        ):
            self.setUp()
            nc = self.connected(tx_size=64)
            large = payload

            def work(n):
                while n:
                    nc.publish("a", large)
                    n -= 1

            self.check(work, TIMES // 10)
            self.assertEqual(nc.stats.dropped, 0)

    def test_larger_than_the_transmit_buffer_with_everything(self):
        nc = self.connected(tx_size=64)
        payload = bytes(300)

        def work(n):
            while n:
                nc.publish("a.subject", payload, "reply.to", HEADERS)
                n -= 1

        self.net.write_limit = 100
        self.check(work, TIMES // 10)
        self.assertEqual(nc.stats.dropped, 0)

    def check_subjects(self, subjects, times):
        """The first warms up; then come as many as `times` says, counted, and as many again."""
        nc = self.connected()
        subjects = iter(subjects)

        def work(n):
            while n:
                nc.publish(next(subjects), b"hi")
                n -= 1
            nc.poll()

        self.check(work, times, 1)

    def test_subjects_never_seen_before(self):
        self.check_subjects(["sensors.board-%d.t" % i for i in range(200)], 40)

    def test_characters_never_seen_before(self):
        """MicroPython interns each str of one character, also what is taken out of another."""
        fresh = [bytes(range(*run)).decode() for run in ((43, 46), (47, 62), (63, 127))]
        self.check_subjects(["a"] + 2 * fresh, 3)
        self.assertEqual(self.nc.stats.out_msgs, 4 if count is None else 7)

    def test_replies_never_seen_before(self):
        nc = self.connected()
        replies = iter(["_INBOX.board-%d.t" % i for i in range(200)])

        def work(n):
            while n:
                nc.publish("a", b"hi", next(replies))
                n -= 1
            nc.poll()

        self.check(work, 40, 1)

    def test_a_reading_built_anew_each_time(self):
        nc = self.connected()
        p = Payload(64)

        def work(n):
            while n:
                p.clear().text('{"t":').fixed(-n, 2).text(',"n":').int(n).text(',"b":"').hex(
                    b"\x0f\xa0"
                ).bytes(b'"}')
                nc.publish("sensors.a", p)
                n -= 1
            nc.poll()

        self.check(work)


class Polling(Case):
    def test_without_traffic(self):
        nc = self.connected()

        def work(n):
            while n:
                nc.poll()
                n -= 1

        self.check(work)

    def test_waiting(self):
        nc = self.connected()

        def work(n):
            while n:
                nc.poll(1)
                n -= 1

        self.check(work, 30)

    def test_pings_of_the_server(self):
        nc = self.connected()
        self.feed(b"PING\r\n")

        def work(n):
            while n:
                nc.poll()
                n -= 1

        sent = self.net.out_bytes
        self.check(work)
        self.assertTrue(self.net.out_bytes - sent > TIMES)

    def test_pings_of_the_client(self):
        nc = self.connected(True, ping_interval_ms=1)

        def work(n):
            while n:
                nc.poll(2)
                n -= 1

        pings = self.net.pings
        self.check(work, 100)
        self.assertTrue(self.net.pings - pings > 30)

    def test_ok_of_a_verbose_server(self):
        nc = self.connected()
        self.feed(b"+OK\r\n")

        def work(n):
            while n:
                nc.poll()
                n -= 1

        self.check(work)

    def test_flush(self):
        nc = self.connected(True)

        def work(n):
            while n:
                nc.publish("a", b"hello")
                if not nc.flush():
                    raise RuntimeError
                n -= 1

        self.check(work, TIMES // 5)

    def test_flush_that_fails(self):
        nc = self.connected()
        self.net.answer_pings = False

        def work(n):
            while n:
                if nc.flush(0):
                    raise RuntimeError
                n -= 1

        self.check(work, 50)


class Looked(Case):
    """`look(msg)` is what the handler does."""

    def look(self, msg):
        pass

    def on_message(self, msg):
        self.handled += 1
        self.look(msg)

    def receive(self, data, limit=1 << 20, times=None, **options):
        """Handle so many messages, of which data is one or some."""
        chunked = options.pop("chunked", False)
        nc = self.connected(**options)
        nc.subscribe("a.b", self.on_message, chunked=chunked)
        nc.poll()
        self.net.read_limit = limit
        self.feed(data)

        def work(n):
            until = self.handled + n
            while self.handled < until:
                nc.poll()

        self.check(work, times)
        self.assertTrue(self.handled >= (times or TIMES))


class Receiving(Looked):
    def test_messages(self):
        self.receive(b"MSG a.b 1 5\r\nhello\r\n")

    def test_many_in_a_piece(self):
        self.receive(b"MSG a.b 1 5\r\nhello\r\n" * 30)

    def test_byte_by_byte(self):
        self.receive(b"MSG a.b 1 5\r\nhello\r\n", 1, TIMES // 10)

    def test_in_pieces_of_odd_sizes(self):
        self.receive(b"HMSG a.b 1 r 16 21\r\nNATS/1.0 503\r\n\r\nhello\r\n" * 20, 37, TIMES // 2)

    def test_with_reply_and_headers(self):
        self.receive(
            b"HMSG a.b 1 r.s %d %d\r\n" % (len(HEADERS), len(HEADERS) + 5) + HEADERS + b"hello\r\n"
        )

    def test_without_payload(self):
        self.receive(b"MSG a.b 1 0\r\n\r\n")

    def test_max_msgs(self):
        nc = self.connected()
        nc.subscribe("a.b", self.on_message, max_msgs=1 << 29)
        nc.poll()
        self.feed(b"MSG a.b 1 5\r\nhello\r\n")

        def work(n):
            until = self.handled + n
            while self.handled < until:
                nc.poll()

        self.check(work)

    def test_many_subscriptions(self):
        nc = self.connected()
        for _ in range(200):
            nc.subscribe("a.b", self.on_message)
            nc.poll()
        self.feed(b"".join(b"MSG a.b %d 1\r\nx\r\n" % i for i in range(1, 201, 7)))

        def work(n):
            until = self.handled + n
            while self.handled < until:
                nc.poll()

        self.check(work)

    def test_for_nobody(self):
        nc = self.connected()
        nc.subscribe("a.b", self.on_message)
        nc.poll()
        self.feed(b"MSG a.b 77 5\r\nhello\r\n")

        def work(n):
            while n:
                nc.poll()
                n -= 1

        self.check(work)
        self.assertTrue(nc.stats.dropped > TIMES)

    def test_skipping_oversize(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a.b", self.on_message)
        nc.poll()
        self.net.read_limit = 150
        self.feed(b"MSG a.b 1 200\r\n" + bytes(200) + b"\r\n")

        def work(n):
            while n:
                nc.poll()
                n -= 1

        self.check(work)
        self.assertTrue(nc.stats.oversize > TIMES // 5)
        self.assertEqual(self.handled, 0)

    def test_streaming(self):
        self.receive(b"MSG a.b 1 r 500\r\n" + bytes(500) + b"\r\n", 130, chunked=True, rx_size=64)

    def test_streaming_with_headers(self):
        line = b"HMSG a.b 1 r %d %d\r\n" % (len(HEADERS), len(HEADERS) + 500)
        self.receive(line + HEADERS + bytes(500) + b"\r\n", 70, chunked=True, rx_size=64)

    def test_a_handler_that_publishes(self):
        self.look = lambda msg: self.nc.publish("c", b"seen")
        self.receive(b"MSG a.b 1 5\r\nhello\r\n" * 5)

    def test_respond(self):
        self.look = lambda msg: msg.respond(b"yes")
        self.receive(b"MSG a.b 1 r.s 5\r\nhello\r\n")

    def test_respond_with_a_payload_of_ones_own(self):
        answer = Payload(16)
        self.look = lambda msg: msg.respond(answer.clear().int(self.handled))
        self.receive(b"MSG a.b 1 r.s 5\r\nhello\r\n" * 3)

    def test_respond_without_reply_subject(self):
        self.look = lambda msg: msg.respond(b"yes")
        self.receive(b"MSG a.b 1 5\r\nhello\r\n")

    def test_respond_with_more_than_the_transmit_buffer(self):
        large = bytes(300)
        self.look = lambda msg: msg.respond(large)
        self.receive(b"MSG a.b 1 r.s 5\r\nhello\r\n", times=TIMES // 10, tx_size=64)


class Looking(Looked):
    """The half of Msg that allocates nothing."""

    MESSAGE = (
        b"HMSG a.b 1 r.s %d %d\r\n" % (len(HEADERS), len(HEADERS) + 6) + HEADERS + b"-21530\r\n"
    )

    def check_look(self, look, expected):
        found = []

        def checked(msg):
            if look(msg) != expected:
                found.append(False)

        self.look = checked
        self.receive(self.MESSAGE * 4, times=TIMES // 4)
        self.assertEqual(found, [])

    def test_sizes(self):
        self.check_look(
            lambda msg: msg.size + msg.total + msg.offset + msg.sid + (msg.end - msg.start), 19
        )
        self.check_again(lambda msg: msg.last, True)

    def check_again(self, look, expected):
        self.setUp()
        self.check_look(look, expected)

    def test_payload(self):
        self.check_look(lambda msg: msg.equals(b"-21530"), True)
        self.check_again(lambda msg: msg.equals("-21530"), True)
        self.check_again(lambda msg: msg.startswith(b"-21"), True)
        self.check_again(lambda msg: msg.startswith("-21"), True)
        self.check_again(lambda msg: msg.equals("another"), False)
        self.check_again(lambda msg: msg.buffer[msg.start], 45)

    def test_subject(self):
        self.check_look(lambda msg: msg.subject_equals(b"a.b"), True)
        self.check_again(lambda msg: msg.subject_equals("a.b"), True)
        self.check_again(lambda msg: msg.token_equals(1, b"b"), True)
        self.check_again(lambda msg: msg.token_equals(1, "b"), True)
        self.check_again(lambda msg: msg.token_equals(2, "b"), False)

    def test_headers(self):
        self.check_look(lambda msg: msg.header_equals("Unit", "C"), True)
        self.check_again(lambda msg: msg.header_equals(b"Kind", b"temp"), True)
        self.check_again(lambda msg: msg.header_equals("Kind", "hum"), False)
        self.check_again(lambda msg: msg.header_equals("None", "x"), False)

    def test_to_int(self):
        self.check_look(lambda msg: msg.to_int(), -21530)

    def test_copy_into(self):
        target = bytearray(20)
        self.check_look(lambda msg: msg.copy_into(target), 6)
        self.check_again(lambda msg: msg.copy_into(target, 10), 6)
        self.assertEqual(target[:16], b"-21530\x00\x00\x00\x00-21530")

    def test_stats(self):
        self.check_look(
            lambda msg: self.nc.stats.in_msgs >= 0 and self.nc.connected and self.nc.state,
            "connected",
        )


if __name__ == "__main__":
    unittest.main()
