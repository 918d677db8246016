"""Whatever fails in the middle of a reconnection: it is survived, and what was queued arrives
whole and once.
"""

import errno

import micropython

from played import Case, message  # before the client: it gives it its clock

CALLS = "open", "ready", "readinto", "write", "wait", "close"
ERRORS = (
    MemoryError("memory allocation failed"),
    OSError(errno.ENOBUFS, "ENOBUFS"),
    OSError(errno.ENOMEM, "ENOMEM"),
    OSError(errno.ECONNRESET, "ECONNRESET"),
    OSError(errno.EIO, "EIO"),
)


class Faults(Case):
    """A connection that breaks with something queued, and what must have come of that."""

    def fail_at(self, n, error):
        """Count the transport's calls from now on, and raise at the n-th."""
        self.calls = 0
        self.failed = None
        self.streams = []  # what was sent on each connection but the last
        for name in CALLS:
            self.wrap(name, getattr(self.net, name), n, error)

    def wrap(self, name, method, n, error):
        def call(*args):
            self.calls += 1
            if name == "open":
                self.streams.append(self.sent())
            if self.calls == n:
                self.failed = name
                if name == "close":
                    method(*args)
                raise error
            return method(*args)

        setattr(self.net, name, call)

    def queue(self, nc):
        """Three messages, of which one and a half get away before the connection breaks."""
        nc.subscribe("a", self.take)
        nc.poll()
        self.forget()
        self.net.on_writes(17, OSError(errno.ECONNRESET, "ECONNRESET"))
        for i in range(3):
            nc.publish("p", b"%d23" % i)  # 14 bytes each
        nc.poll()

    def handshakes(self, count):
        for _ in range(count):
            self.net.next_connection()
            self.net.handshake()
            self.net.feed(message(1, b"welcome"))

    def come_back(self, nc):
        self.net.write_limit = 1 << 20
        self.poll_until(nc, lambda: self.got and nc.connected)
        for _ in range(5):
            nc.poll(10)
        self.poll_until(nc, lambda: nc.connected)

    def check(self, nc, is_write_without_memory=False):
        """All subscribed again, and the two messages that had not left whole: each once, and
        behind that.

        But where a write failed for want of memory: it may have taken them, so they are not sent
        twice.
        """
        published = b""
        for sent in self.streams[1:] + [self.sent()]:
            handshake, ping, rest = sent.partition(b"PING\r\n")
            if ping:
                self.assertEqual(handshake[handshake.find(b"\r\n") + 2 :], b"SUB a 1\r\n")
            published += rest
        whole = b"PUB p 3\r\n123\r\nPUB p 3\r\n223\r\n"
        self.assertTrue(
            published == whole or (is_write_without_memory and published in (b"", whole[14:])),
            repr(published),
        )
        self.assertEqual(self.got[-1:], [("a", None, b"welcome")])
        self.assertEqual((nc.stats.dropped, nc.stats.out_msgs), (0, 3))


class Failing(Faults):
    """The n-th call of the transport since the connection broke fails, for every n."""

    def test_every_call_of_the_transport(self):
        for error in ERRORS:
            n = seen = 0
            while seen >= n:
                n += 1
                self.start()
                nc = self.connected(reconnect_wait_ms=1, reconnect_max_wait_ms=2)
                self.queue(nc)
                self.handshakes(4)
                self.fail_at(n, error)
                self.come_back(nc)
                self.check(
                    nc,
                    is_write_without_memory=error.args[0] == errno.ENOMEM
                    and self.failed == "write",
                )
                seen = self.calls
            self.assertTrue(n > 10, "%d calls" % n)


class NoHeap(Faults):
    """Nothing can be allocated for some turns, from every turn on. (On CPython
    nothing is locked.)
    """

    def locked_for(self, nc, turns):
        on_event, nc.on_event = nc.on_event, self.ignore  # the test's own takes memory
        micropython.heap_lock()
        try:
            while turns:
                turns -= 1
                try:
                    nc.poll(0)
                except MemoryError:
                    self.raised += 1
        finally:
            micropython.heap_unlock()
            nc.on_event = on_event

    def ignore(self, nc, event, detail):
        pass

    def test_from_every_turn_on_for_so_many_turns(self):
        self.raised = 0
        for begin in range(12):
            for turns in range(1, 6):
                self.start()
                nc = self.connected(reconnect_wait_ms=1, reconnect_max_wait_ms=2)
                self.queue(nc)
                self.handshakes(12)
                for _ in range(begin):
                    nc.poll(1)
                self.fail_at(0, None)
                self.locked_for(nc, turns)
                self.come_back(nc)
                self.check(nc)
        self.assertEqual(self.raised > 0, hasattr(micropython, "mem_info"), "nothing was locked")


if __name__ == "__main__":
    import unittest

    unittest.main()
