"""Ordered consumers: messages of a stream in their order, without gaps, and without acknowledging.

An ephemeral consumer that is made anew behind the last message had when one is missing, the
connection was lost, or the server says nothing (ADR-17). What key-value and object stores read
with.
"""

from micropython import const

from unats.checks import check
from unats.errors import Timeout
from unats.nuid import unique

from . import check_handler, check_name, load
from .consumer import Pull, number, without

_INACTIVE_NS = 60000000000
_TOO_MANY = const(10026)  # err_code: consumers; which may be fewer later
_RETRY_MS = const(250)  # doubles, up to
_MAX_RETRY_MS = const(8000)
_LONG_MS = const(0x0FFFFFFF)


def ordered(
    js, stream, handler, filter=None, deliver="all", window=8, headers_only=False, ready=None,
    timeout_ms=None,
):  # fmt: skip
    """Have `poll()` call handler(msg) for each message, from now on, in order; returns at once
    what has `stop()`, `seq` (of the last message), and `error`.

    filter, deliver: as of `js.consumer`. headers_only: without payloads. window: messages on their
    way. A message that is larger than the receive buffer comes in fragments (`msg.offset`,
    `msg.last`), the first of them again if the connection is lost in the middle. If the stream is
    gone handler(None) is called, and `error` says so. ready: ready(pending) is called when the
    consumer is made, with how many messages are there for it, and again each time that it had to
    be made anew. timeout_ms: it ends with `Timeout` when nothing comes for so long (None: never).
    """
    check_handler(handler)
    check("window", window, 1)
    stream = check_name(stream, "stream")
    what = filter, deliver, window, headers_only, ready, timeout_ms
    return Ordered(js, stream, handler, *what)


class Ordered:
    """See `ordered`."""

    def __init__(
        self, js, stream, handler, filter, deliver, window, headers_only, ready, timeout_ms
    ):  # fmt: skip
        self._js, self._stream, self._handler, self._ready = js, stream, handler, ready
        self._window = window
        self._timeout_ms = timeout_ms
        self._until = 0
        self._config = load("making").config_of(deliver, filter)
        self._config.update(
            {"ack_policy": "none", "max_deliver": 1, "mem_storage": True, "num_replicas": 1,
             "inactive_threshold": _INACTIVE_NS, "headers_only": headers_only}
        )  # fmt: skip
        self.seq = 0
        self.error = None
        self.over = False
        self._next = 0  # the number in the consumer that the next message has to have
        self._skipping = False  # what came out of turn
        self._inside = False  # a message of which not all has come
        self._heard = True  # anything in this turn
        self._pull = None
        self._wait_ms = 0
        self._again_at = js.nc.deadline(0)  # when it is to be made; None: it is, or being made
        self._making = 0  # how often it was begun, so that answers to former ones do not count
        self._hook = self._turn
        js.nc.on_turn += (self._hook,)

    def stop(self):
        """End it."""
        if self.over:
            return
        self.over = True
        without(self._js.nc, self._hook)
        self._drop()

    def _drop(self):
        """Drop the consumer; where it can't be deleted the server does that after a minute."""
        pull, self._pull = self._pull, None
        if pull is not None:
            pull.stop()
            if self._js.nc.connected:
                self._js.call("CONSUMER.DELETE." + pull.path, None, lambda answer, error: None)

    def _again(self):
        """Make it anew, with this turn or, if that fails, later and later."""
        self._drop()
        self._making += 1
        self._skipping = True
        self._again_at = self._js.nc.deadline(self._wait_ms)
        self._wait_ms = min(max(2 * self._wait_ms, _RETRY_MS), _MAX_RETRY_MS)

    def _turn(self):
        nc, most = self._js.nc, _LONG_MS
        if self._timeout_ms is not None:
            if self._heard:
                self._until = nc.deadline(self._timeout_ms)
            self._heard = False
            most = nc.left(self._until)
            if most == 0:
                self._end(Timeout("nothing comes of stream " + self._stream))
                return 0
        if not nc.connected and self._pull is not None:
            self._again()
        if self._again_at is None or not nc.connected:
            return most
        left = nc.left(self._again_at)
        if left == 0:
            self._make()
        return min(left or 1, most)

    def _make(self):
        number = self._making
        self._again_at = None
        config = self._config
        if self.seq:
            self._begin_at(self.seq + 1)
        name = unique()

        def made(answer, error):
            if self.over or number != self._making:
                return
            if error is None:
                self._begin(name, answer)
            elif getattr(error, "code", 0) in (400, 404) and error.err_code != _TOO_MANY:
                self._end(error)
            else:
                self._again()

        if not load("making").create(self._js, self._stream, name, config, made):
            self._again()

    def _begin_at(self, seq):
        self._config["deliver_policy"] = "by_start_sequence"
        self._config["opt_start_seq"] = seq

    def _begin(self, name, answer):
        self._next, self._skipping, self._inside = 1, False, False
        if self._config["deliver_policy"] == "new":  # what it is made anew from
            there = answer.get("delivered")
            there = there.get("stream_seq") if isinstance(there, dict) else 0
            self.seq = there if type(there) is int else 0
            self._begin_at(self.seq + 1)
        path = "%s.%s" % (self._stream, name)
        self._pull = Pull(
            self._js, path, self._take, self._gone, self._window, chunked=True, lost=self._again
        )  # fmt: skip
        if self._ready is not None:
            pending = answer.get("num_pending", 0)
            self._ready(pending if type(pending) is int else 0)

    def _gone(self, error):
        """The consumer is; perhaps it was idle for too long."""
        if not self.over:
            self._again()

    def _end(self, error):
        self.stop()
        self.error = error
        self._handler(None)

    def _take(self, msg):
        if not self._inside:
            if number(msg, 2) != self._next:
                self._again()
                return
            self._next += 1
        last = msg.last
        self._inside = not last
        if self._skipping or self.over:
            return
        if last:
            self.seq = number(msg, 1)
            self._wait_ms = 0
        self._heard = True
        self._handler(msg)
