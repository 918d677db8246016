"""What a pull consumer is asked for, and what comes of it: see `consumer.py`, `ordered.py`.

So many messages are asked for at a time that there are always some on their way; the server tells
by heartbeats that it is there, and by a status why it sends no more (ADR-37). What is delivered
costs no allocation here, statuses do.
"""

from micropython import const

from unats.errors import Error, NotConnected
from unats.nuid import unique

from . import JetStreamError

_LONG_MS = const(0x0FFFFFFF)
_HEARTBEAT_MS = const(5000)
_EXPIRES_MS = const(30000)
_RETRY_MS = const(250)  # doubles, up to
_MAX_RETRY_MS = const(8000)
_FATAL = ("consumer deleted", "consumer is push", "exceeded maxrequest")


class Pull:
    """Gives what the consumer at `path`, "STREAM.NAME", has for us to take(msg), until `stop` or
    ended(error), which is called when the consumer is gone.

    batch: how many messages may be on their way. expires_ms: for this long at most, and for one
    batch only; None: for ever. lost: called, instead of asking again, when messages may have been
    lost. `came`: how many messages have; `error`: why it has ended, or None.
    """

    def __init__(
        self, js, path, take, ended, batch, max_bytes=None, expires_ms=None, lost=None
    ):  # fmt: skip
        nc = self._nc = js.nc
        self._js, self._path, self._take, self._ended, self._lost = js, path, take, ended, lost
        self._once = expires_ms is not None
        size = batch if self._once or batch < 2 else batch // 2
        self._size, self._low = size, batch - size
        ms = _EXPIRES_MS if expires_ms is None else max(expires_ms * 9 // 10, 1)
        body = '{"batch":%d,"expires":%d000000' % (size, ms)
        if ms > 2 * _HEARTBEAT_MS:
            body += ',"idle_heartbeat":%d000000' % _HEARTBEAT_MS
        if max_bytes is not None:
            body += ',"max_bytes":%d' % max_bytes
        body += "}"
        reply = "%s.%s" % (nc.inbox_prefix, unique())
        line = "PUB %sCONSUMER.MSG.NEXT.%s %s %d\r\n%s\r\n"
        # (As a control line, since `publish` allocates for what begins with $.)
        self._line = (line % (js.prefix, path, reply, len(body), body)).encode()
        self.came = self._left = 0  # messages; those that may still come of what was asked for
        self._heard = True  # something since the last look
        self._silent_at = nc.deadline(2 * _HEARTBEAT_MS if expires_ms is None else expires_ms)
        self._wait_ms = 0
        self._retry_at = None
        self.over = False
        self.error = None
        self._hooks = self._turn, self._connecting
        self._inbox = nc.subscribe(reply, self._on_msg, chunked=True)
        nc.on_turn += (self._hooks[0],)
        nc.on_connect += (self._hooks[1],)
        if self._once:
            self._ask()

    def stop(self):
        """End it; what is on its way is dropped, and sent again to others."""
        if not self.over:
            self.over = True
            self._inbox.unsubscribe()
            nc = self._nc
            nc.on_turn = without(nc.on_turn, self._hooks[0])
            nc.on_connect = without(nc.on_connect, self._hooks[1])

    def _end(self, error):
        if not self.over:
            self.stop()
            self.error = error
            self._ended(error)

    # Each turn

    def _turn(self):
        """Ask for more when it is time; in how many ms to look again."""
        nc = self._nc
        if self.over or not nc.connected:
            return _LONG_MS
        left = nc.left(self._silent_at)
        if left == 0:
            return self._silence()
        if self._left > self._low:
            return left
        if self._retry_at is not None:
            if nc.left(self._retry_at):
                return min(left, nc.left(self._retry_at))
            self._retry_at = None
        self._ask()
        return left

    def _ask(self):
        if self._inbox.sent < 2:  # the subscription must be first
            self._nc.resubscribe()
        if self._inbox.sent == 2 and self._nc.control(self._line):
            self._left += self._size

    def _silence(self):
        """Time is up; or no heartbeat has come: what was asked for may be forgotten."""
        if self._once:
            self._end(None)
            return 0
        self._silent_at = self._nc.deadline(2 * _HEARTBEAT_MS)
        if not self._heard:
            self._may_have_lost()
        self._heard = False
        return 0

    def _may_have_lost(self):
        self._left = 0
        if self._lost is not None:
            self._lost()
        elif self._nc.connected:
            self._look()

    def _connecting(self):
        """Another connection is made: nothing that was asked for comes any more."""
        if self._once:
            self._end(NotConnected("the connection was lost"))
        else:
            self._left = 0
            self._retry_at = None
            if self._lost is not None:
                self._lost()
        return b""

    # What comes

    def _on_msg(self, msg):
        self._heard = True
        if msg.total == 0 and msg.reply_int(4) < 0:
            self._on_status(msg.status, msg)
            return
        if msg.last:
            self._left -= 1
            self.came += 1
            self._wait_ms = 0
        self._take(msg)
        if self._once and self._left <= 0 and msg.last:
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
            self._end(
                JetStreamError({"code": status, "description": "%s: %s" % (self._path, text)})
            )
        elif self._once:
            self._end(None)
        elif status == 409:
            self._later()

    def _later(self):
        """Ask again after a while, a longer one each time."""
        self._retry_at = self._nc.deadline(self._wait_ms)
        self._wait_ms = longer(self._wait_ms)

    def _look(self):
        """Is the consumer there at all?"""
        self._retry_at = self._nc.deadline(_MAX_RETRY_MS)

        def found(answer, error):
            if self.over:
                return
            if getattr(error, "code", 0) == 404 or (self._once and error is not None):
                self._end(error)
            else:
                self._later()

        if not self._js.call("CONSUMER.INFO." + self._path, None, found) and self._once:
            self._end(Error("the transmit buffer is full"))


def without(hooks, hook):
    """The hooks of a client without this one."""
    return tuple([f for f in hooks if f is not hook])


def longer(ms):
    """The wait that follows a wait of so many ms."""
    return min(max(2 * ms, _RETRY_MS), _MAX_RETRY_MS)
