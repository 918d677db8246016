"""Consumers: the messages of a stream, each until it is acknowledged.

    js = JetStream(nc)
    jobs = js.consumer("JOBS", durable="greenhouse-7", filter="jobs.greenhouse-7.>")
    jobs.consume(on_job)                       # by poll(), until .stop()
    jobs.fetch(5, on_job, timeout_ms=1000)     # waits for up to five

    def on_job(msg):
        do(msg.data)
        msg.ack()

A pull consumer (ADR-37, and the JetStream API reference); how it is made: `making.py`. The handler
is given the client's own `Msg`, which has these beside what every message has, once this module
is loaded; also for messages of push consumers:

    msg.ack()                     it is done
    msg.nak(delay_ms=0)           deliver it again, after so long
    msg.term(reason=None)         never deliver it again; text that goes into the server's advisory
    msg.in_progress()             it takes longer: `ack_wait_ms` begins anew
    msg.ack_sync(timeout_ms=5000, handler=None)       it is done: True, once the server has said so
    msg.seq .consumer_seq         its number in the stream, in the consumer;
    msg.delivered .pending        how often it was delivered, how many come behind it

The first four return False if they could not be queued. Receiving and `ack`, `nak()`,
`in_progress` allocate nothing. A message that is larger than the receive buffer comes in
fragments, as with `chunked=True`, if the handler takes them: `fetch` and `consume` have
`chunked=True`. Otherwise it is skipped, and counted as `nc.stats.oversize`; it is delivered again,
as often as `max_deliver` has it.

So many messages are asked for at a time that there are always some on their way; the server tells
by heartbeats that it is there, and by a status why it sends no more.
"""

from micropython import const

from unats.checks import check
from unats.errors import NotConnected
from unats.kernels import Msg
from unats.nuid import unique

from . import JetStream, JetStreamError, check_handler, load

_LONG_MS = const(0x0FFFFFFF)
_HEARTBEAT_MS = const(5000)
_EXPIRES_MS = const(30000)
_RETRY_MS = const(500)
_FATAL = ("consumer deleted", "consumer is push", "exceeded maxrequest")


class Consumer:
    """A consumer; `stream`, `name`, `info`: what the server said of it, a dict."""

    def __init__(self, js, stream, name, info):
        self._js = js
        self.stream, self.name, self.info = stream, name, info

    def fetch(self, n, handler, timeout_ms=5000, done=None, max_bytes=None, chunked=False):
        """Call handler(msg) for up to n messages that come in that time: how many came.

        done: instead of waiting return at once, and have `poll()` call done(count, error).
        max_bytes: of all of them. JetStreamError: there is no such consumer any more.
        NotConnected: there is no connection, or it was lost before anything came.
        """
        check("n", n, 1)
        check("timeout_ms", timeout_ms, 1)
        if done is None:
            return self._js.wait(
                lambda done: self.fetch(n, handler, timeout_ms, done, max_bytes, chunked)
            )

        def ended(error):
            done(pull.came, None if pull.came else error)

        if not self._js.nc.connected:
            return False
        pull = self._pull(handler, ended, n, max_bytes, timeout_ms, chunked)
        return True

    def consume(self, handler, window=8, max_bytes=None, chunked=False):
        """Have `poll()` call handler(msg) for each message, from now on; returns what has
        `stop()`, `came`, and `error`.

        window: how many messages may be on their way. max_bytes: of half of them. If the consumer
        is deleted handler(None) is called, and `error` says so. Goes on by itself on another
        connection: what was on its way is delivered again after `ack_wait_ms`.
        """
        check("window", window, 1)
        ended = lambda error: handler(None)  # noqa: E731
        return self._pull(handler, ended, window, max_bytes, None, chunked)

    def _pull(self, handler, *more):
        check_handler(handler)
        return Pull(self._js, "%s.%s" % (self.stream, self.name), handler, *more)

    def delete(self, handler=None):
        """Delete the consumer: True."""
        return load("making").delete(self._js, self.stream, self.name, handler)


class Pull:
    """Gives what the consumer at `path`, "STREAM.NAME", has for us to take(msg), until `stop` or
    ended(error), which is called when the consumer is gone.

    batch: how many messages may be on their way. expires_ms: for this long at most, and for one
    batch only; None: for ever. chunked: take gets fragments of messages that are larger than the
    receive buffer, which are skipped otherwise. lost: called, instead of looking whether the
    consumer is there, when no heartbeat has come. `came`: how many messages have; `error`: why it
    has ended, or None.
    """

    def __init__(
        self, js, path, take, ended, batch, max_bytes=None, expires_ms=None, chunked=False,
        *, lost=None
    ):  # fmt: skip
        nc = self._nc = js.nc
        self.js, self.path, self.take, self.ended = js, path, take, ended
        self.chunked, self.lost = chunked, lost or self._look
        self._once = expires_ms is not None
        size = batch if self._once or batch < 2 else batch // 2
        self._size, self._low = size, batch - size
        ms = _EXPIRES_MS if expires_ms is None else max(expires_ms * 9 // 10, 1)
        body = '{"batch":%d,"expires":%d000000' % (size, ms)
        if ms > 2 * _HEARTBEAT_MS:
            body += ',"idle_heartbeat":%d000000' % _HEARTBEAT_MS
        if max_bytes is not None:
            body += ',"max_bytes":%d' % max_bytes
        reply = "%s.%s" % (nc.inbox_prefix, unique())
        line = "PUB %sCONSUMER.MSG.NEXT.%s %s %d\r\n%s}\r\n"
        # (As a control line, since `publish` allocates for what begins with $.)
        self._line = (line % (js.prefix, path, reply, len(body) + 1, body)).encode()
        self.came = self._left = 0  # messages; those that may still come of what was asked for
        self._heard = True  # something since the last look
        self._silent_at = nc.deadline(2 * _HEARTBEAT_MS if expires_ms is None else expires_ms)
        self._retry_at = None
        self.error = None
        self._hook = self._turn
        self._inbox = nc.subscribe(reply, self._on_msg, chunked=True)
        nc.on_turn += (self._hook,)
        if self._once:
            self._ask()

    def stop(self):
        """End it; what is on its way is dropped, and sent again to others."""
        if self._inbox is not None:
            self._inbox.unsubscribe()
            self._inbox = None
            without(self._nc, self._hook)

    def _end(self, error):
        if self._inbox is not None:
            self.stop()
            self.error = error
            self.ended(error)

    # Each turn

    def _turn(self):
        """Ask for more when it is time; in how many ms to look again."""
        nc = self._nc
        if not nc.connected:  # nothing that was asked for comes any more
            self._left = 0
            self._retry_at = None
            if self._once:
                self._end(NotConnected("the connection was lost"))
            return _LONG_MS
        left = nc.left(self._silent_at)
        if left == 0:
            if self._once:
                self._end(None)
                return 0
            self._silent_at = nc.deadline(2 * _HEARTBEAT_MS)
            if not self._heard:  # what was asked for may be forgotten
                self._left = 0
                self.lost()
            self._heard = False
            return 0
        if self._left <= self._low:
            if self._retry_at is not None:
                wait = nc.left(self._retry_at)
                if wait:
                    return min(left, wait)
                self._retry_at = None
            self._ask()
        return left

    def _ask(self):
        if self._inbox.sent < 2:  # the subscription must be first
            self._nc.resubscribe()
        if self._inbox.sent == 2 and self._nc.control(self._line):
            self._left += self._size

    # What comes

    def _on_msg(self, msg):
        self._heard = True
        last = msg.last
        if last:
            if msg.total == 0 and msg.reply_int(4) < 0:
                self._on_status(msg.status, msg)
                return
            self._left -= 1
            self.came += 1
        if self.chunked or (last and msg.offset == 0):
            self.take(msg)
        elif last:
            self._nc.stats.oversize += 1
            self._nc.event("oversize", self._inbox)
        if last and self._once and self._left <= 0:
            self._end(None)

    def _on_status(self, status, msg):
        if status == 100 or status is None:
            return
        text = msg.status_text.lower()
        try:
            pending = int((msg.headers or {}).get("Nats-Pending-Messages", self._size))
        except (ValueError, TypeError):
            pending = self._size
        self._left = max(self._left - pending, 0)
        if status == 503:
            self._left = 0
            self._look()
        elif status == 400 or text.startswith(_FATAL):
            text = "%s: %s" % (self.path, text)
            self._end(JetStreamError({"code": status, "description": text}))
        elif self._once:
            self._end(None)
        elif status == 409:
            self._retry_at = self._nc.deadline(_RETRY_MS)

    def _look(self):
        """Is the consumer there at all?"""
        self._retry_at = self._nc.deadline(_RETRY_MS)
        self.js.call("CONSUMER.INFO." + self.path, None, self._found)

    def _found(self, answer, error):
        if error is not None and (self._once or getattr(error, "code", 0) == 404):
            self._end(error)


def without(nc, hook):
    """Have `nc` call this hook no more."""
    hooks = list(nc.on_turn)
    hooks.remove(hook)
    nc.on_turn = tuple(hooks)


# What a message has


def number(msg, i):
    """The i-th of the numbers in the reply subject: 0 delivered, 1 stream, 2 consumer, 4 pending.

    `$JS.ACK.<stream>.<consumer>.<numbers>`, or with domain and account behind ACK.
    """
    return msg.reply_int(i + (4 if msg.reply_int(10) < 0 else 6))


def nak(msg, delay_ms=0):
    return msg.respond(b'-NAK {"delay":%d000000}' % delay_ms if delay_ms else b"-NAK")


def term(msg, reason=None):
    return msg.respond(b"+TERM" if reason is None else "+TERM " + reason)


def ack_sync(msg, timeout_ms=5000, handler=None):
    js = JetStream(msg.nc)
    return js.ask(msg.reply, b"+ACK", handler, lambda answer: True, timeout_ms)


Msg.ack = lambda msg: msg.respond(b"+ACK")
Msg.in_progress = lambda msg: msg.respond(b"+WPI")
Msg.nak, Msg.term, Msg.ack_sync = nak, term, ack_sync
Msg.delivered = property(lambda msg: number(msg, 0))
Msg.seq = property(lambda msg: number(msg, 1))
Msg.consumer_seq = property(lambda msg: number(msg, 2))
Msg.pending = property(lambda msg: number(msg, 4))
