"""Requests: one inbox for all of them, `<inbox_prefix>.<random>.*`, whose last token is the request's."""

import random

from micropython import const

from .errors import Error, NoResponders, NotConnected, Timeout

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FOREVER = const(0x0FFFFFFF)
_TOKENS = const(0x3FFFFFF)


def unique():
    """22 random letters and digits; from the system's random source where the port has one."""
    try:
        from os import urandom

        return "".join(_ALPHABET[b % 62] for b in urandom(22))
    except ImportError:
        return "".join(_ALPHABET[random.getrandbits(16) % 62] for _ in range(22))


class Request:
    """One that is outstanding: `handler(msg)` is to be called up to `left` times until `until`.

    Below 0 `left` is no limit.
    """

    def __init__(self, token, handler, until, left):
        self.token = token
        self.handler = handler
        self.until = until
        self.left = left


class Reply:
    """The handler of a request that waits: keeps the reply, as a message of its own."""

    def __init__(self):
        self.msg = None
        self.done = False

    def take(self, msg):
        self.msg = msg and msg.copy()
        self.done = True


class Requests:
    """The outstanding requests of a client."""

    def __init__(self, client):
        self._client = client
        self._prefix = "%s.%s." % (client.inbox_prefix, unique())
        self._token_at = client.inbox_prefix.count(".") + 2
        self._pending = []
        self._next = 0
        self._inbox = client.subscribe(self._prefix + "*", self._on_reply)

    def request(self, subject, payload, timeout_ms, headers, handler, max_msgs):
        """See `Client.request`."""
        if handler is None:
            return self._wait(subject, payload, headers, timeout_ms)
        if not callable(handler):
            raise ValueError("handler: give a function of one argument, the message or None")
        if max_msgs < 0:
            raise ValueError("max_msgs: at least 1, or 0 for all that come in time")
        return self._start(subject, payload, headers, timeout_ms, handler, max_msgs)

    def _start(self, subject, payload, headers, timeout_ms, handler, max_msgs):
        """Publish a request; False, with nothing outstanding, if that could not be queued."""
        client = self._client
        if client._news:  # the subscription to the inbox must be first
            client._write()
            client._pay()
            if client._news:
                client.stats.dropped += 1
                return False
        self._next = (self._next + 1) & _TOKENS
        token = str(self._next)
        if not self._client.publish(subject, payload, self._prefix + token, headers):
            return False
        until = self._client._in(timeout_ms)
        self._pending.append(Request(token, handler, until, max_msgs))
        return True

    def _wait(self, subject, payload, headers, timeout_ms):
        """Publish a request and poll until it is answered; return the reply."""
        client = self._client
        client._check_not_busy()
        if not client.connected:
            raise NotConnected("request: not connected")
        reply = Reply()
        skipped = self._inbox.dropped
        until = client._in(timeout_ms)
        if not self._start(subject, payload, headers, timeout_ms, reply.take, 1):
            if client.connected:
                raise Error("request: the transmit buffer is full")
            raise NotConnected("request: the connection was lost")
        while not reply.done:
            client._once(max(client._left(until), 0))
        msg = reply.msg
        if msg is None:
            if client.connected and self._inbox.dropped != skipped:
                raise Timeout("request: what was replied is larger than rx_size")
            if client.connected:
                raise Timeout("request: no reply within %d ms" % timeout_ms)
            raise NotConnected("request: the connection was lost")
        if msg.status == 503 and not msg.size:
            raise NoResponders("request: no responders on %s" % subject)
        return msg

    def _on_reply(self, msg):
        for request in self._pending:
            if msg.token_equals(self._token_at, request.token):
                request.left -= 1
                if request.left == 0 or (msg.status == 503 and not msg.size):
                    self._pending.remove(request)
                request.handler(msg)
                return
        self._client.stats.dropped += 1  # too late, or one too many

    def expire(self):
        """End those whose time is up; return the milliseconds until the next one's is."""
        soonest = _FOREVER
        i = 0
        while i < len(self._pending):
            until = self._pending[i].until
            left = 0 if until is None else self._client._left(until)
            if left <= 0:
                self._pending.pop(i).handler(None)
                i = 0
                soonest = _FOREVER
            else:
                soonest = min(left, soonest)
                i += 1
        return soonest

    def lost(self):
        """The connection broke: no reply to these can come, which they are told in the next turn."""
        for request in self._pending:
            request.until = None
