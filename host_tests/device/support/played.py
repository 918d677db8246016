"""A client on the scripted transport, in time that moves only while the client waits.

class Something(Case):
    def test_it(self):
        nc = self.connected(rx_size=64)
        nc.subscribe("a", self.take)
        self.net.feed(b"MSG a 1 2\\r\\nhi\\r\\n")
        self.settle(nc)
        self.assertEqual(self.got, [("a", None, b"hi")])
"""

import sys
import unittest

import utime

from scripted import Clock, Scripted


class MovedClock(Clock):
    def set(self, now):
        self._now = now % self._period


_clock = MovedClock()
# kernels that run as bytecode are in no module: they keep what they find here
sys.modules["utime"] = _clock
import unats  # noqa: E402
import unats.discover  # noqa: E402
import unats.servers  # noqa: E402

_TURNS = 20000


def _set_clock(clock):
    """Every module of the client's has this clock, also those that are imported later on."""
    for name, module in sys.modules.items():
        if name.startswith("unats.") and hasattr(module, "utime"):
            module.utime = clock
    sys.modules["utime"] = clock


_set_clock(utime)


class Forgetting(Scripted):
    """Keeps only what is still to be played, so that a script may be as long as it likes."""

    def _done(self, step):
        super()._done(step)
        if self._at >= 32:
            del self._steps[: self._at]
            self._at = 0


class Case(unittest.TestCase):
    """`net`, `clock`; `events`: (event, detail) in order; `got`: what `take` was
    given, in order.
    """

    def setUp(self):
        self.start()

    def tearDown(self):
        _set_clock(utime)

    def start(self, now=0):
        """A new script, from that time on; nothing is recorded yet."""
        self.clock = _clock
        self.clock.set(now)
        _set_clock(self.clock)
        self.net = Forgetting(clock=self.clock)
        self.events = []
        self.got = []

    def assertEqual(self, first, second, msg=""):
        """As ever, but what is equal is not made into text first: there is no room for that."""
        if not first == second:
            super().assertEqual(first, second, msg)

    def client(self, url="nats://host:4222", **options):
        """A client that is not connected."""
        return unats.Client(url, transport=self.net, on_event=self.on_event, **options)

    def connected(self, info=None, **options):
        """A client that is; what it sent for that is forgotten, and so is the event."""
        nc = self.client(**options)
        self.net.handshake(**(info or {}))
        nc.connect()
        nc.poll()
        self.forget()
        return nc

    def forget(self):
        self.net.forget()
        self.events.clear()
        self.got.clear()

    def feed_before_pong(self, data):
        """What the server sends before it answers the client's next PING, and those after it."""
        self.net.answer_pings = False
        self.net.feed(data)
        for i in range(3):
            self.net.after_pings(self.net.pings + 1 + i)
            self.net.feed(b"PONG\r\n")

    def on_event(self, nc, event, detail):
        self.events.append((event, detail))

    def take(self, msg):
        self.got.append((msg.subject, msg.reply, msg.data))

    def settle(self, nc):
        """Poll until there is nothing left to read, or the connection has ended."""
        before = self.net.waited_ms
        for _ in range(_TURNS):
            if self.net.waited_ms != before or not nc.connected:
                break
            nc.poll(1)
        else:
            self.fail("there is no end to what is to be read")
        nc.poll(0)

    def poll_until(self, nc, condition, step_ms=10):
        """Poll until the condition holds."""
        for _ in range(_TURNS):
            if condition():
                return
            nc.poll(step_ms)
        self.fail("it never happened")

    def elapsed(self, since):
        return self.clock.ticks_diff(self.clock.ticks_ms(), since)

    def sent(self):
        return bytes(self.net.sent())

    def kinds(self):
        """The events without their details."""
        return [event for event, _ in self.events]

    def errors(self):
        """The exceptions that events told of."""
        return [detail for _, detail in self.events if isinstance(detail, Exception)]

    def assert_protocol_error(self, nc):
        """The connection was ended for what came, this was told, and the client tries again."""
        told = self.errors()
        self.assertTrue(
            len(told) == 1 and isinstance(told[0], unats.ProtocolError),
            "told of %r" % (self.events,),
        )
        self.assertTrue(isinstance(nc.last_error, unats.ProtocolError), repr(nc.last_error))
        self.assertFalse(nc.connected)
        self.assertFalse(self.net.is_open)


class Servers:
    """As much of a client as knows servers."""

    def __init__(self, urls, randomize):
        self._servers = unats.servers.read_urls(urls)

        self._order = [0, 0, 0, len(self._servers), True, 0]
        self.randomize = randomize
        self.current = self._servers[0]
        unats.servers.shuffle(self, 0)

    def next(self):
        return unats.servers.next_server(self)

    def discovered(self, urls, randomize):
        self.randomize = randomize
        unats.discover.discover(self, urls)

    def __len__(self):
        return len(self._servers)


def message(sid, payload, subject="a", reply=None, headers=None):
    """The bytes of MSG or HMSG."""
    words = [subject, str(sid)]
    if reply:
        words.append(reply)
    if headers is not None:
        words.append(str(len(headers)))
    words.append(str(len(headers or b"") + len(payload)))
    line = ("MSG " if headers is None else "HMSG ") + " ".join(words) + "\r\n"
    return line.encode() + (headers or b"") + payload + b"\r\n"


def pattern(n, first=0):
    """n bytes, of which each tells its place, and CR LF among them."""
    return bytes((first + i * 7 + i // 251) & 255 for i in range(n))
