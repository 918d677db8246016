"""The NATS client: one connection, driven by `poll()`.

It goes through these phases, one step a turn, and never blocks in one of them:

    IDLE -> OPENING -> INFO -> GREETING -> UP
      ^        |         |        |         |      any failure: `_lost`, a wait, the next attempt
      +--------+---------+--------+---------+

The protocol is that of the NATS documentation (reference: nats-protocol), the connection's
behaviour that of ADR-40.
"""

import errno

import utime
from micropython import const

from .errors import (
    CLOSED, CONNECTED, CONNECTING, DISCONNECTED, DRAINING, ERROR, LAME_DUCK, RECONNECTED,
    RECONNECTING, AuthError, Error, NotConnected, ProtocolError, Timeout,
)
from .framer import ERR, INFO, PING, PONG, WRONG, Framer
from .handshake import check, connect_line, refused, secure, server_error
from .octets import octets
from .servers import Servers
from .stats import Stats
from .wire import _BUFFERS, RESERVE, Outgoing

try:
    from .loop import dispatch, fill, once, poll, publish, push, receive, write
except SyntaxError:  # see wire.py
    from .plain import load

    load("loop", globals())

_IDLE = const(0)
_OPENING = const(1)
_INFO = const(2)
_GREETING = const(3)
_UP = const(4)

_POS = const(0)
_END = const(1)  # the frames: see kernels.py, loop.py and scanner.py
_ROOM = const(2)
_BUSY = const(35)
_MORE = const(36)
_PONGS = const(37)
_UNANSWERED = const(38)
_WRAP = const(0x3FFFFFFF)
_HALF = const(0x20000000)

_LONGEST_WAIT_MS = const(0x0FFFFFFF)  # ticks_add takes no more
_SETTLED_MS = const(2000)  # a connection that broke before that counts as a failed attempt
_FAILURES = (OSError, MemoryError)
_RESTS = (errno.ENOBUFS, errno.ENOMEM)  # the network stack is out of memory, but will have some


def _no_hurry(now):
    """For a transport that always sends at once."""


class Guard:
    """`with guard:` around the transport's calls: what it raises is kept in `error` for the turn.

    (A `try` with `except ... as` has a frame too large to be made without the heap.)
    """

    def __init__(self):
        self.error = self.refusal = None  # the latter: this connection's last -ERR
        self.leave = False  # the server wants to be left, once what it sent is handled

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, _FAILURES):
            self.keep(error)
            return True

    def keep(self, error):
        """Note a failure, unless there is one already, or it is only for now."""
        if self.error is None and not (error.args and error.args[0] in _RESTS):
            self.error = error


class Client:
    """A connection to NATS. Nothing happens before `connect()`; then call `poll()` all the time.

    servers: a URL `nats://[user:password@|token@]host[:port]`, or a list of them; or `tls://`.
    name: told to the server. user, password, token: credentials, where the URL has none.
    auth: instead of these, credentials of `unats.auth`.
    tls: `unats.tls.Tls(ca=...)`, or an SSLContext: TLS with every server, and nothing without it.
    rx_size: the largest message, headers and payload, that is delivered in one piece, in bytes.
    tx_size: bytes of messages that can be queued.
    ping_interval_ms, max_pings_out: a PING goes out that often, and if so many are unanswered when
    the next is due the connection is given up. connect_timeout_ms: for one attempt, and for a
    write of a large message to get on. reconnect_wait_ms, reconnect_max_wait_ms: the wait before
    the second attempt, which doubles up to the maximum; half of each is random.
    max_reconnects: failed attempts in a row before it gives up (-1: never).
    randomize: shuffle the servers. ignore_discovered_servers: do not use those of the cluster that
    the server names in INFO (host and port; credentials are the client's own).
    echo: receive what this client itself publishes. verbose, pedantic: as in CONNECT. transport: see `unats.transport` (None: TCP).
    inbox_prefix: what the subjects of replies begin with; one that only this client may subscribe to
    keeps them from the others of its account.
    on_event: called as on_event(nc, event, detail); detail is the exception of DISCONNECTED and
    ERROR, the Subscription of OVERSIZE, otherwise None.
    ValueError: a bad URL or number.
    """

    def __init__(
        self, servers, *, name=None, user=None, password=None, token=None, auth=None, tls=None,
        rx_size=1024, tx_size=1024, ping_interval_ms=30000, max_pings_out=2,
        connect_timeout_ms=5000, reconnect_wait_ms=250, reconnect_max_wait_ms=30000,
        max_reconnects=-1, randomize=True, echo=True, verbose=False, pedantic=False,
        transport=None, on_event=None, ignore_discovered_servers=False, inbox_prefix="_INBOX"
    ):
        if min(rx_size, tx_size) < 64 or min(ping_interval_ms, connect_timeout_ms, max_pings_out) < 1:
            raise ValueError("rx_size, tx_size: 64 or more; ping_interval_ms and such: 1 or more")
        if min(reconnect_wait_ms, reconnect_max_wait_ms) < 0 or not (on_event is None or callable(on_event)):
            raise ValueError("reconnect_wait_ms and such: 0 or more; on_event: a function, or None")
        check(name, user, password, token, auth)
        if inbox_prefix != "_INBOX":
            from .ids import checked_prefix

            inbox_prefix = checked_prefix(inbox_prefix)
        self.inbox_prefix = inbox_prefix
        self._servers = Servers(servers, randomize)
        if tls is not None or self._servers.tls:
            from .tls import secured

            transport = secured(tls, transport, self._servers)
        elif transport is None:
            from .transport import Tcp

            transport = Tcp()
        self._transport = transport
        self._readinto, self._send, self._wait = transport.readinto, transport.write, transport.wait
        self._hurry = getattr(transport, "hurry", _no_hurry)
        self._discover = None if ignore_discovered_servers else self._servers.discovered, randomize
        self._options = ("verbose", verbose), ("pedantic", pedantic), ("echo", echo), ("name", name)
        self._credentials = user, password, token, auth
        self._keep = ping_interval_ms, max_pings_out
        self._connect_timeout = connect_timeout_ms
        self._retry = reconnect_wait_ms, reconnect_max_wait_ms, max_reconnects
        self._on_event = on_event
        self._framer, self._out = Framer(rx_size), Outgoing(tx_size)
        self._frame, self._tx, self._tx_frame = self._framer.frame, self._out.buf, self._out.frame
        self._rx, self._views = self._framer.buf, self._framer.views
        self._line = self._out.line
        self._net = Guard()
        self._subs = self._requests = None  # features, once they are used
        self.stats = Stats(self._frame, self._tx_frame)
        self.state = DISCONNECTED
        self.last_error = None
        self._phase = _IDLE
        # MicroPython fills an object's table to the brim, where each look-up is slow, before it
        # enlarges it: the number of attributes should be just above one of 29, 37, 47 or 59.
        # IDLE: of the next attempt; until UP: of this one; UP: of the next PING
        self._deadline = 0
        self._settled = self._failures = 0  # when a connection counts as good; attempts in a row
        self._greeting, self._chunk = None, b""  # what is to be sent before UP; the chunk at hand
        self._owed = self._news = False  # PING, PONG, or, if _news, subscriptions are to be queued
        self._owed_pings = self._owed_pongs = 0
        self._pings = 0  # sent on this connection

    early = bytes  # called for messages that leave with CONNECT: none, but see `unats.early`

    # What is going on

    @property
    def connected(self):
        """Whether messages can be published. Does not allocate."""
        return self._phase == _UP and self._net.error is None

    @property
    def server(self):
        """The server's INFO: `max_payload`, `headers`, `version`, `name`, `client_id`, ..."""
        return self._framer.info

    def _event(self, event, detail=None):
        if self._on_event is not None:
            self._on_event(self, event, detail)

    def _in(self, ms):
        """The deadline that is so many milliseconds away."""
        return utime.ticks_add(utime.ticks_ms(), ms if ms < _LONGEST_WAIT_MS else _LONGEST_WAIT_MS)

    def _left(self, until):
        """Milliseconds until a deadline of `_in`; below 0, also after a pause of days: it is past.

        (Half the ticks' range behind looks like ahead, but no deadline is that far ahead.)
        """
        left = utime.ticks_diff(until, utime.ticks_ms())
        return left if left <= _LONGEST_WAIT_MS else -1

    # Connecting

    def connect(self, timeout_ms=None, wait=True):
        """Connect; return once the server has answered the first PING. Allocates.

        timeout_ms: for all servers together (None: `connect_timeout_ms` for each).
        wait=False: return at once, `poll()` carries on, and goes on trying.
        Error: every server failed (of the last, why), or `Timeout`; nothing is left open then.
        """
        self._check_not_busy()
        if self._phase == _UP:
            return
        if self.state != RECONNECTING:
            self.state = CONNECTING
        self._failures = 0
        if self._phase == _IDLE:
            self._deadline = utime.ticks_ms()
        if wait:
            if timeout_ms is None:
                timeout_ms = self._connect_timeout * len(self._servers)
            self._wait_connected(timeout_ms)

    def _wait_connected(self, timeout_ms):
        until = self._in(timeout_ms)
        try:
            while self._phase != _UP:
                if self.state == CLOSED or self._failures >= len(self._servers):
                    raise self.last_error or NotConnected("closed while connecting")
                left = self._left(until)
                if left <= 0:
                    self.last_error = Timeout("no connection within %d ms" % timeout_ms)
                    raise self.last_error
                once(self, left)
        finally:
            if self._phase != _UP:
                self._disconnect()
                self.state = CLOSED if self.state == CLOSED else DISCONNECTED

    def _advance(self, wait):
        """A turn of a client that is not up, or has just failed."""
        if self._requests is not None:
            self._requests.expire()
        if self._net.error is not None:
            return self._failed()
        if self._phase == _IDLE and self.state not in (CONNECTING, RECONNECTING):
            utime.sleep_ms(wait)
            return 0
        left = self._left(self._deadline)
        if self._phase == _IDLE:
            if left > 0:
                utime.sleep_ms(min(left, wait))
            else:
                self._open()
        elif left <= 0:
            self._lost(Timeout("%s did not answer in time" % self._servers.current))
        elif self._phase == _OPENING:
            self._await_open(min(left, wait))
        else:
            self._greet()
            wait = min(left, wait)
            return receive(self, wait) if self._subs is None else self._subs.hear(wait)
        return 0

    def _open(self):
        server = self._servers.next()
        self._deadline = self._in(self._connect_timeout)
        self._phase = _OPENING
        transport = self._transport
        try:
            self._framer.info.reset()
            transport.open(server.host, server.port)
            self._readinto, self._send = transport.readinto, transport.write
        except _FAILURES as e:
            self._lost(e)

    def _await_open(self, wait):
        with self._net:
            if self._transport.ready():
                self._phase = _INFO
            else:
                self._wait(wait, True)

    def _greet(self):
        """Send CONNECT, the subscriptions and PING, as far as the transport takes them now."""
        with self._net:
            while self._chunk:
                n = self._send(self._chunk, 0, len(self._chunk))
                if not n:
                    return
                self._chunk = self._chunk[n:] or next(self._greeting, b"")

    def _introduce(self):
        """Make CONNECT, and begin to send it; what the credentials raise ends this attempt alone."""
        self._greeting = self._greeting_chunks()
        try:
            self._chunk = next(self._greeting)
        except Exception as e:
            self._net.error = refused(e)
        self._deadline = self._in(self._connect_timeout)  # signing may have taken long
        self._greet()

    def _greeting_chunks(self):
        chunk = connect_line(self, self._servers.current, self.server)
        for lines in self._subs.connected() if self._subs is not None else ():
            if len(chunk) + len(lines) > 512:
                yield chunk
                chunk = b""
            chunk += lines
        yield chunk + self.early() + b"PING\r\n"

    def _up(self):
        """The server answered the first PING."""
        first = self.state != RECONNECTING
        self._phase, self.state = _UP, CONNECTED
        self._out.open(self.server.max_payload)
        self._deadline = self._in(self._keep[0])
        self._settled = self._in(_SETTLED_MS)
        self._pings = self._frame[_PONGS] = self._frame[_UNANSWERED] = 0
        self._owed = self._news = True
        if not first:
            self.stats.reconnects += 1
        self._event(CONNECTED if first else RECONNECTED)

    # Losing the connection

    def _failed(self):
        """The transport failed, or the server did; hear its last words before giving up."""
        error = self._net.error
        n = dispatch(self) if self._frame[_MORE] else 0
        if n:
            return n
        if not isinstance(error, Error) and self._phase > _OPENING and fill(self):
            return dispatch(self)
        self._lost(self._net.error or error)
        return 0

    def _lost(self, error):
        """Give the connection or the attempt up, and plan the next one."""
        if isinstance(error, MemoryError):
            error = Error("out of memory: gave up the connection to %s" % self._servers.current)
        elif not isinstance(error, Error):
            error = NotConnected(error.args[0] if error.args else None, str(self._servers.current))
        if isinstance(error, NotConnected) and self._net.refusal is not None:
            error = self._net.refusal
        self.last_error = error
        was_up = self._phase == _UP
        settled = was_up and (self._settled is None or self._left(self._settled) <= 0)
        give_up = self.state == DRAINING
        self._failures = 0 if settled else self._failures + 1
        self._deadline = self._in(self._servers.wait(self._failures, self._retry))
        if was_up:
            self.state = RECONNECTING
        try:
            self._disconnect()
            self._event(DISCONNECTED if was_up else ERROR, error)
        finally:
            if give_up or 0 <= self._retry[2] < self._failures:
                self.close()
        if self._requests is not None:
            self._requests.expire()  # they are lost, and told so

    def _disconnect(self):
        """Close the transport; forget all that belonged to the connection but whole messages."""
        self._phase = _IDLE
        with self._net:
            self._transport.close()
        self._net.error = self._net.refusal = self._greeting = None
        self._net.leave = False
        self._chunk = b""
        self._owed_pings = self._owed_pongs = 0
        self._framer.reset()
        self._out.rewind()
        if self._requests is not None:
            self._requests.lost()

    def reconnect(self):
        """Leave this server for the next one, or try at once instead of waiting: by `poll()`.

        What is queued stays queued; requests that are outstanding fail.
        """
        if self._phase == _IDLE:
            self._deadline = utime.ticks_ms()
        elif self._net.error is None:
            self._settled = utime.ticks_ms()
            self._net.error = NotConnected("%s was left" % self._servers.current)

    def close(self):
        """Close at once. What is queued is dropped and counted; subscriptions stay known."""
        if self.state != CLOSED:
            self.state = CLOSED
            self._disconnect()
            self.stats.dropped += self._out.rewind()
            self._tx_frame[_END] = 0
            try:
                self._event(CLOSED)
            finally:
                if self._requests is not None:
                    self._requests.expire()

    # One turn

    def _poll(self, timeout_ms):
        until = self._in(timeout_ms)
        while True:
            n = once(self, timeout_ms)
            if n:
                return n
            timeout_ms = self._left(until)
            if timeout_ms <= 0:
                return 0

    def _check_not_busy(self):
        if self._frame[_BUSY]:
            raise ValueError("not from a handler: it would wait for the poll() that called it")

    def _keep_alive(self):
        """Time for a PING, or, with too many unanswered, to give up; return how long to wait."""
        if self._frame[_UNANSWERED] >= self._keep[1]:
            self._net.error = Timeout("stale connection: no PONG from %s" % self._servers.current)
            return 0
        self._frame[_UNANSWERED] += 1
        self._deadline = self._in(self._keep[0])
        if self._settled is not None and self._left(self._settled) <= 0:
            self._settled = None  # for good: the ticks wrap
        self._ping()
        return self._keep[0]

    def _ping(self):
        """Send a PING; return which one it is."""
        if not self._owed and self._line(b"PING\r\n", RESERVE):
            self._pings = (self._pings + 1) & _WRAP
            return self._pings
        self._owed = True
        self._owed_pings += 1
        return self._pings + self._owed_pings

    def _pay(self):
        """Queue what the server is owed, as far as it fits: a PING last, for it is to confirm."""
        if self._owed_pongs and self._line(b"PONG\r\n", RESERVE):
            self._owed_pongs = 0
        if self._news:
            self._news = self._subs is not None and not self._subs.tell(self._out)
        while self._owed_pings and not self._news and self._line(b"PING\r\n", RESERVE):
            self._owed_pings -= 1
            self._pings = (self._pings + 1) & _WRAP
        if self._net.leave and self._frame[_POS] == self._frame[_END] and not self._frame[_MORE]:
            self.reconnect()
        self._owed = self._news or self._owed_pings + self._owed_pongs > 0

    def _owe_news(self):
        """A subscription changed: tell the server; False if there is none to be told."""
        if self._phase < _GREETING:
            return False
        self._owed = self._news = True
        if self._phase == _UP:
            self._pay()
        return True

    # Kernels: see there.
    poll, _once, _push, _write = poll, once, push, write

    def _no_room(self):
        return self._framer.shorten() or self._wrong(-5)

    def _read_failed(self, error):
        self._net.keep(error)
        text = self._framer.salvage() if self._net.error is not None else None
        if text:
            self._net.refusal = server_error(text)
        return False

    def _closed(self):
        if self._net.error is None:
            self._net.error = NotConnected("%s closed the connection" % self._servers.current)
        return False

    def _wrong(self, code):
        self._net.error = ProtocolError("%s from %s" % (WRONG[-code], self._servers.current))
        return False

    def _operation(self, kind):
        """Act on anything but a message, and a PONG while up; whether to go on."""
        if kind == PING:
            self._owed_pongs = 1
            self._owed = True
        elif kind == PONG:
            if self._phase == _GREETING and not self._chunk:
                self._up()
        elif kind == INFO:
            self._on_info()
        elif kind == ERR:
            self._on_err()
        elif kind < 0:
            self._wrong(kind)
        return not isinstance(self._net.error, Error)

    def _on_info(self):
        info = self.server
        if self._phase == _INFO:
            safe = False
            with self._net:
                safe = secure(self._transport, info, self._frame[_END] - self._frame[_POS])
            if not safe:
                return
        if self._discover[0] is not None and info._new_urls:
            info._new_urls = False
            self._discover[0](info.connect_urls, self._discover[1])
        if self._phase == _INFO:
            self._phase = _GREETING
            self.stats.dropped += self._out.resume(info.max_payload)
            self._introduce()
            return
        if self._phase == _UP:
            self._out.open(info.max_payload)
        if info.ldm:
            info.ldm = False
            self._event(LAME_DUCK)
            if len(self._servers) > 1:
                self._net.leave = self._owed = True  # to be gone before the server closes

    def _on_err(self):
        """-ERR: most of them are the server's last words, and then it closes the connection."""
        text = self._framer.text()
        error = server_error(text)
        self.last_error = error
        # whether the connection goes on
        stays = text.startswith(("Permissions Violation", "Invalid ", "maximum subscriptions"))
        if not stays:
            self._net.refusal = error
        elif self._subs is not None:
            self._subs.refused(error)
        if isinstance(error, AuthError):
            self._net.error = error
        elif stays or self._phase == _UP:
            self._event(ERROR, error)

    # Messages

    def subscribe(self, subject, handler, queue=None, max_msgs=0, stream=False):
        """Call handler(msg) for each message on the subject; return the `Subscription`. Allocates.

        Works at any time, also before connecting; survives reconnecting. queue: share the messages
        with the other members of this queue group. max_msgs: end after so many (0: never).
        stream: messages larger than `rx_size` come in fragments of up to `rx_size` bytes
        (`msg.offset .size .total .last`), instead of being skipped and counted.
        ValueError: not a valid subject or queue.
        """
        if self._subs is None:
            from .subscription import Subscriptions

            self._subs = Subscriptions(self)
        return self._subs.add(subject, handler, queue, max_msgs, stream)

    publish = publish  # what is simple is done by a kernel, which falls back on:

    def _publish(self, subject, payload, reply, headers, n):
        self._out.take(payload, headers, n)
        self._out.reply = octets(reply) if reply else None
        return self._queue(octets(subject), 0, -1)

    def _queue(self, source, start, n):
        """Queue what `_out.take` was given, to the subject source[start:start + n] (-1: all)."""
        if n < 0:
            n = len(source)
        if self._out.headers is not None:
            self._check_headers()
        if self._out.body() > self.server.max_payload > 0:
            raise ValueError("payload: larger than the server's max_payload")
        if self._tx_frame[_ROOM]:  # if not for long, what fits is kept for the next connection
            if self._out.message(source, start, n) or self.connected and self._crowded(source, start, n):
                return True
        elif self._out.room(self._out.needs(n) - self._out.body()):
            self._out.head(source, start, n)  # for its ValueError: misuse is that also now
        self.stats.dropped += 1
        return False

    def _check_headers(self):
        if self._phase == _UP and not self.server.headers:
            raise ValueError("headers: this server does not know them")
        if not isinstance(self._out.headers, _BUFFERS):  # a block that is ready-made
            from .headers import encode

            self._out.headers = encode(self._out.headers)

    def _crowded(self, source, start, n):
        """`_queue`, when the buffer has no room: make some, or send a large message past it."""
        self._write()
        if self._out.message(source, start, n):
            return True
        if self._out.needs(n) <= self._out.limit:
            return False
        if self._out.large is None:
            from .large import Large

            self._out.large = Large(self)
        return self._out.large.send(source, start, n)

    def flush(self, timeout_ms=2000):
        """Send all that is queued; whether the server has confirmed it (by PONG) in that time.

        False also if the connection broke meanwhile. Handlers are called while it waits.
        ValueError: called by a handler.
        """
        self._check_not_busy()
        until = self._in(timeout_ms)
        while not self.connected:
            left = self._left(until)
            if left <= 0 or self.state not in (CONNECTING, RECONNECTING):
                return False
            once(self, left)
        number = self._ping()
        while (self._frame[_PONGS] - number) & _WRAP >= _HALF:
            left = self._left(until)
            if left <= 0 or not self.connected:
                return False
            once(self, left)
        return True

    def drain(self, timeout_ms=5000):
        """Unsubscribe, handle what is under way, send what is queued, close.

        Returns whether the server has confirmed all that was published. ValueError: as `flush`.
        """
        from .drain import drain

        return drain(self, timeout_ms)

    def request(
        self, subject, payload=b"", timeout_ms=2000, headers=None, handler=None, max_msgs=1
    ):
        """Publish with a reply subject of this client's own, and get what is answered. Allocates.

        Without a handler it waits and returns the reply, a `Msg` of its own; `NoResponders` at
        once if nobody listens there, `Timeout`, `NotConnected` if the connection is or gets lost.
        With one it returns True (or False, as `publish`); `poll()` calls handler(msg) for each of
        up to max_msgs replies (one with `msg.status` 503 if nobody listens; 0: for all that come in
        time), and handler(None) when no more can come: time is up, or the connection was lost.
        ValueError: as `publish`; or waiting for it in a handler.
        """
        if self._requests is None:
            from .request import Requests

            self._requests = Requests(self)
        return self._requests.request(subject, payload, timeout_ms, headers, handler, max_msgs)
