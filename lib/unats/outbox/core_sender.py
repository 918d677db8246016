"""Sending without JetStream: each reading at most once.

A reading leaves the queue when it is published. Behind each window full of them goes a message to
this client itself, a marker; when that comes back the server has them all.
"""

import utime

from unats.nuid import random_hex, write_hex

from .spool import is_over, is_refused

_NUMBERS = 0x3FFFFFFF
_MOST = 16  # readings on their way


class CoreSender:
    """Sends the readings of `spool`, `window` at a time. See `unats.outbox`."""

    def __init__(self, nc, spool, window, wait_ms):
        self._nc = nc
        self._spool = spool
        self._window = window
        self._wait_ms = wait_ms
        self.last_error = None
        self.out = 0  # how many were published and not confirmed,
        self._subjects = [b""] * _MOST  # ... and where to, the oldest first
        self._marked = 0  # ... and how many of them before the marker that is on its way
        self._until = 0  # when it is given up
        inbox = "%s.%s" % (nc.inbox_prefix, random_hex(22))
        self._marker = bytearray((inbox + ".00000000").encode())
        self._token_at = inbox.count(".") + 1
        self._number = 0
        self._token = memoryview(self._marker)[-8:]
        self._inbox = nc.subscribe(inbox + ".*", self._on_marker)
        self._hook = self._on_refusal
        nc.on_refusal += (self._hook,)

    def close(self):
        self._inbox.unsubscribe()
        nc = self._nc
        nc.on_refusal = tuple([f for f in nc.on_refusal if f is not self._hook])

    def is_idle(self):
        """Whether all readings are sent, and confirmed or given up."""
        return not self.out and not len(self._spool)

    def gave_up(self, n):
        """The oldest n readings are gone: none of those that were published."""

    def reconnected(self):
        """What was on its way may have arrived, and is not sent again."""
        self._spool.stats.unconfirmed += self.out
        self.out = self._marked = 0

    def poll(self, connected):
        """Publish what may be published."""
        if self._marked and is_over(self._until, self._wait_ms):
            self.reconnected()
        if connected:
            while self.out < self._window and self._publish():
                pass
            if self.out and not self._marked:
                self._send_marker()

    def _publish(self):
        """Publish the oldest reading; False if there is none, or it has to wait."""
        spool = self._spool
        spool.choose()
        if not spool.source.count:
            return False
        spool.take(spool.source.head)
        spool.claim()
        if not self._try():
            return False
        spool.pop()
        return True

    def _try(self):
        try:
            return self._queue(self._spool)
        except ValueError:
            return self._reject()

    def _queue(self, spool):
        if not self._nc.publish(spool.subject, spool.body, None, None, spool.size):
            return False
        self._subjects[self.out] = spool.subject
        self.out += 1
        return True

    def _reject(self):
        self.last_error = self._spool.reject()
        return True

    def _send_marker(self):
        self._number = (self._number + 1) & _NUMBERS
        write_hex(self._token, 0, self._number, 8)
        if self._nc.publish(self._marker, b""):
            self._marked = self.out
            self._until = utime.ticks_add(utime.ticks_ms(), self._wait_ms)

    def _on_marker(self, msg):
        if self._marked and msg.token_equals(self._token_at, self._token):
            self._spool.stats.acked += self._marked
            while self._marked:
                self._marked -= 1
                self._remove(0)

    def _remove(self, i):
        """The i-th reading is not on its way any more."""
        self.out -= 1
        while i < self.out:
            self._subjects[i] = self._subjects[i + 1]
            i += 1

    def _on_refusal(self, error):
        """The server refuses to take what is published to a subject: one for each reading, and
        before the marker behind it comes back.
        """
        for i in range(self.out):
            if is_refused(error, self._subjects[i]):
                self.last_error = error
                self._spool.stats.rejected += 1
                self._marked -= i < self._marked
                self._remove(i)
                return
