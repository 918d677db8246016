"""Requests: one inbox for all of them, `<inbox_prefix>.<random>.*`, whose last token is the
request's.
"""

from micropython import const

from .checks import check
from .errors import Error, NoResponders, NotConnected, Timeout
from .kernels import drained
from .nuid import unique

_FOREVER = const(0x0FFFFFFF)
_FULL_MS = const(10)  # between looks whether there is room
_TOKENS = const(0x3FFFFFF)


def request(nc, *arguments):
    """See `Client.request`; with one more, chunked: the handler takes a reply that is larger than
    the receive buffer in fragments, of which the last counts.
    """
    if "requests" not in nc.features:
        nc.features["requests"] = Requests(nc)
    return nc.features["requests"].request(*arguments)


class Request:
    """One that is outstanding: `handler(msg)` is to be called up to `left` times until `until`;
    below 0 `left` is no limit.

    Without a handler somebody waits for `result`: a message, None, or an Error.
    """

    def __init__(self, token, subject, handler, until, left, chunked):
        self.token = token
        self.subject = subject
        self.handler = handler
        self.until = until
        self.left = left
        self.chunked = chunked
        self.result = self

    def finish(self, result):
        if self.handler is None:
            self.result = result
        else:
            self.handler(None)


class Requests:
    """The outstanding requests of a client."""

    def __init__(self, nc):
        self._nc = nc
        self._prefix = "%s.%s." % (nc.inbox_prefix, unique())
        self._token_at = nc.inbox_prefix.count(".") + 2
        self._pending = []
        self._next = 0
        self._inbox = nc.subscribe(self._prefix + "*", self._on_reply, chunked=True)
        nc.on_turn += (self._expire,)
        nc.on_refusal += (self._on_refusal,)

    def request(self, subject, payload, timeout_ms, headers, handler, max_msgs, chunked=False):
        """See `Client.request`."""
        check("max_msgs", max_msgs, 0)
        check("timeout_ms", timeout_ms, 0)
        if handler is not None:
            if not callable(handler):
                raise ValueError("handler: give a function of one argument, the message or None")
            what = subject, payload, headers, timeout_ms, handler, max_msgs, chunked
            return self._start(*what) is not None
        from .waiting import wait

        return wait(self._nc, self._waiting(subject, payload, headers, timeout_ms))

    def _start(self, subject, payload, headers, timeout_ms, handler, max_msgs, chunked=False):
        """Publish a request; None, with nothing outstanding, if that could not be queued."""
        nc = self._nc
        until = nc.deadline(timeout_ms)
        if nc.connected and self._inbox.sent < 2:  # the subscription to the inbox must be first
            drained(nc)
            nc.resubscribe()
        if nc.connected and (self._inbox.sent < 2 or self._inbox.error is not None):
            nc.stats.dropped += 1
            return None
        self._next = (self._next + 1) & _TOKENS
        token = str(self._next)
        if not nc.publish(subject, payload, self._prefix + token, headers):
            return None
        subject = subject if isinstance(subject, str) else bytes(subject).decode()
        request = Request(token, subject, handler, until, max_msgs or -1, chunked)
        self._pending.append(request)
        return request

    def _waiting(self, subject, payload, headers, timeout_ms):
        """The steps of publishing a request and waiting until it is answered: the reply."""
        nc = self._nc
        skipped = self._inbox.dropped
        until = nc.deadline(timeout_ms)
        request = None
        while request is None:
            if not nc.connected:
                raise NotConnected("request: not connected")
            request = self._start(subject, payload, headers, nc.left(until), None, 1)
            if request is None:
                if self._inbox.error or nc.left(until) == 0:
                    raise self._inbox.error or Error("request: the transmit buffer is full")
                nc.stats.dropped -= 1
                yield min(nc.left(until), _FULL_MS)
        try:
            while request.result is request:
                yield nc.left(request.until)
        finally:  # also when a handler raises, or nobody waits any more
            self._drop(request)
        msg = request.result
        if isinstance(msg, Error):
            raise msg
        if msg is None:
            if not nc.connected:
                raise NotConnected("request: the connection was lost")
            if self._inbox.dropped != skipped:
                raise Timeout("request: what was replied is larger than rx_size")
            raise Timeout("request: no reply within %d ms" % timeout_ms)
        if msg.status == 503 and not msg.size:
            raise NoResponders("request: no responders on %s" % request.subject)
        return msg

    def _drop(self, request):
        if request in self._pending:
            self._pending.remove(request)

    def _on_reply(self, msg):
        for request in self._pending:
            if msg.token_equals(self._token_at, request.token):
                if msg.size < msg.total and self._passes_by(request, msg):
                    return
                request.left -= msg.last
                if request.left == 0 or (msg.status == 503 and not msg.size):
                    self._drop(request)
                if request.handler is None:
                    request.result = msg.copy()
                else:
                    request.handler(msg)
                return
        self._nc.stats.dropped += 1  # too late, or one too many

    def _passes_by(self, request, msg):
        """Whether a fragment is not for the request: then the message counts as too large."""
        if not request.chunked and msg.offset == 0:
            self._inbox.dropped += 1
            self._inbox.received -= 1
            self._nc.stats.oversize += 1
            self._nc.event("oversize", self._inbox)
        return not request.chunked

    def _on_refusal(self, error):
        """The server refuses a subject, or the inbox: a request there that waits fails with that;
        one with a handler has no reply.
        """
        for request in self._pending[:]:
            refused = error.operation == "publish" and error.subject == request.subject
            if refused or error.subscription is self._inbox:
                self._drop(request)
                request.finish(error)

    def _expire(self):
        """A turn of the client: end those whose time is up, or whose connection is gone; in how
        many ms the next one's is (0: one has ended, `poll` is not to wait).
        """
        nc = self._nc
        soonest = _FOREVER
        i = 0
        while i < len(self._pending):
            left = nc.left(self._pending[i].until) if nc.connected else 0
            if left == 0:
                self._pending.pop(i).finish(None)  # which may call this, or add others
                i = soonest = 0
            else:
                soonest = min(left, soonest)
                i += 1
        return soonest
