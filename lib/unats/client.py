"""The NATS client: one connection, driven by `poll()`.

Here is what goes on while there is a connection. How one is made and lost is in `connection.py`,
which is loaded for that and given back once the client is up; arguments of the constructor and
URLs are read in `servers.py`, likewise. A reader follows a message from `poll` by `exchange`,
`receive` and `dispatch_all`, all in `kernels.py`, to `dispatch`, which has `scan` read its control
line and calls the handler; and a publication from `publish` by `encode` into the buffer, and with
the next turn by `write` and `push` to the transport.

The protocol is that of the NATS documentation (reference: nats-protocol). What features may use
beside the public API, the seams:

    nc.transport                what carries the bytes: see `tcp.Tcp`
    nc.current                  the `Server` at hand
    nc.subscriptions            {sid: Subscription}
    nc.on_turn += (f,)          f() is called in each turn, also without a connection; it returns
                                in how many ms it wants to be called again at the latest
    nc.on_connect += (f,)       f() is called when CONNECT is made, and returns bytes to be sent
                                with it
    nc.on_refusal += (f,)       f(error) is called for a permissions violation
    nc.no_requeue += (b" x",)   a message with such a beginning of its reply subject (and a blank
                                before) is not sent again on the next connection: whoever published
                                it does that
    nc.control(line)            queues a control line, and says whether there was room
    nc.resubscribe()            queues SUBs and UNSUBs that the server does not know yet
    nc.end(why)                 the connection is to end with this turn
    nc.deadline(ms), nc.left(deadline)
    nc.feature(name)            a module of the library, loaded once; nc.features: where they are
"""

import utime
from micropython import const

from .kernels import control, drained, exchange, ping, publish
from .state import Subscription

_LONGEST = const(0x0FFFFFFF)  # the furthest deadline, ms: ticks wrap
_WRAP = const(0x3FFFFFFF)


class Client:
    """A connection to NATS. Nothing happens before `connect()`; then call `poll()` all the time.

    servers: a URL `nats://[user:password@|token@]host[:port]`, several with commas between them,
    or a list of such; or `tls://`, `ws://`, `wss://`.
    name: told to the server. user, password, token: credentials, where the URL has none.
    auth: instead of these, credentials of `unats.auth`.
    tls: `unats.tls.Tls(ca=...)`, or an SSLContext: TLS with every server, and nothing without it.
    rx_size: the largest message, headers and payload, that is delivered in one piece, in bytes.
    tx_size: bytes of messages that can be queued.
    transport: see `unats.tcp` (None: TCP). resolver: see `unats.dns` (None: the platform's, which
    blocks).
    on_event: called as on_event(nc, event, detail): "connected", "reconnected", "lame duck",
    "closed"; "disconnected" and "error", of which detail is the exception; "oversize", with the
    Subscription.
    inbox_prefix: what the subjects of replies begin with; one that only this client may subscribe
    to keeps them from the others of its account.
    ping_interval_ms, max_pings_out: a PING goes out that often, and if so many are unanswered when
    the next is due the connection is given up. connect_timeout_ms: for one attempt, and for a
    write of a large message to get on. reconnect_wait_ms, reconnect_max_wait_ms: the wait before
    the second attempt, which doubles up to the maximum; half of each is random.
    max_reconnects: failed attempts in a row before it gives up (-1: never).
    randomize: shuffle the servers. echo: receive what this client itself publishes. verbose,
    pedantic: as in CONNECT. ignore_discovered_servers: do not use those of the cluster that the
    server names in INFO.
    ValueError: a bad URL, or value.
    """

    on_turn = on_connect = on_refusal = no_requeue = ()

    def __init__(
        self, servers, *, name=None, user=None, password=None, token=None, auth=None, tls=None,
        rx_size=1024, tx_size=1024, transport=None, resolver=None, on_event=None,
        inbox_prefix="_INBOX", ping_interval_ms=30000, max_pings_out=2,
        connect_timeout_ms=5000, reconnect_wait_ms=250, reconnect_max_wait_ms=30000,
        max_reconnects=-1, randomize=True, echo=True, verbose=False, pedantic=False,
        ignore_discovered_servers=False
    ):  # fmt: skip
        from .servers import prepare

        self.rx_size, self.tx_size = rx_size, tx_size
        self.transport, self.resolver = transport, resolver
        self.on_event, self.inbox_prefix, self.auth = on_event, inbox_prefix, auth
        self.ping_interval_ms, self.max_pings_out = ping_interval_ms, max_pings_out
        self.connect_timeout_ms = connect_timeout_ms
        self.reconnect_wait_ms = reconnect_wait_ms
        self.reconnect_max_wait_ms = reconnect_max_wait_ms
        self.max_reconnects, self.randomize = max_reconnects, randomize
        self.ignore_discovered_servers = ignore_discovered_servers
        prepare(self, servers, tls, name, (user, password, token), (echo, verbose, pedantic))

    # What is going on

    @property
    def connected(self):
        """Whether messages can be published. Does not allocate."""
        return not self._phase and self._broken is None

    def event(self, kind, why=None):
        """Tell the application."""
        if self.on_event is not None:
            self.on_event(self, kind, why)

    def deadline(self, ms):
        """The deadline that is so many milliseconds away, at most 3 days."""
        ms = int(min(max(ms, 0), _LONGEST))
        return (utime.ticks_ms() - (-ms & _WRAP)) & _WRAP  # (a sum could need the heap)

    def left(self, deadline):
        """Milliseconds until a deadline, 0 if it is past, also by days: half the ticks' range
        behind looks like ahead.
        """
        left = (deadline - utime.ticks_ms()) & _WRAP
        return left if left <= _LONGEST else 0

    def connection(self):
        """The module that makes and loses connections. MemoryError: try again in the next turn."""
        from . import connection

        return connection

    def connect(self, timeout_ms=None, wait=True):
        """Connect; return once the server has answered the first PING. Allocates.

        timeout_ms: for all servers together (None: `connect_timeout_ms` for each of their
        addresses). wait=False: return at once, `poll()` carries on, and goes on trying.
        Error: every address of every server failed (of the last, why), or `Timeout`; nothing is
        left open then.
        """
        self.connection().connect(self, timeout_ms, wait)

    def reconnect(self):
        """Leave this server for the next one, or try at once instead of waiting: by `poll()`.

        What is queued stays queued; requests that are outstanding fail.
        """
        self.connection().reconnect(self)

    def close(self):
        """Close at once. What is queued is dropped and counted; subscriptions stay known."""
        if self.state != "closed":
            self.connection().close(self)

    def end(self, why, kind="NotConnected"):
        """The connection is to end with this turn, if that is not settled already: nothing more is
        read. Returns -1.
        """
        self._deaf = self._todo = True
        if self._broken is None:
            self._broken = why  # should there be no room for more
            self._broken = self.connection().error(kind, "%s: %s" % (self.current, why))
        return -1

    # One turn

    def poll(self, timeout_ms=0):
        """One turn: do what is to be done, wait at most timeout_ms for more of it; return how many
        messages came.

        Connects and reconnects, keeps alive, sends, receives, calls the handlers. Returns as soon
        as something has happened, be it no message. Waits longer than asked only for name
        resolution without a `resolver`. Does not allocate while connected. What a handler raises
        comes out of here; the next `poll()` goes on with the next message. A handler may call it,
        and has lost its own message then. MemoryError: not even a few bytes for a lost connection;
        the next `poll()` goes on with that.
        """
        if timeout_ms != 0:
            timeout_ms = max(int(timeout_ms), 0)
        left = (self._deadline - utime.ticks_ms()) & _WRAP
        if self._todo or left == 0 or left > _LONGEST:
            left = self._work(left if left <= _LONGEST else 0)
            if self._phase:
                return self.connection().turn(self, left, timeout_ms)
        n = exchange(self, left if left < timeout_ms else timeout_ms)
        if self._broken is not None and n == 0 and not self._phase:
            self.connection().lost(self, self._broken)
        return n

    def _work(self, left):
        """What is not to be done in every turn; return the ms until the next of that."""
        if not self._phase:
            if left == 0:
                left = self._keep_alive()
            if self._pong and control(self, b"PONG\r\n"):
                self._pong = False
            while self._pending:
                self.resubscribe()
                if self._pending and not drained(self):
                    break
        for f in self.on_turn:
            left = min(left, f())
        self._todo = self._phase or self._pending or self._pong or self.on_turn != ()
        return left

    def _keep_alive(self):
        """Time for a PING, or, with too many unanswered, to give up; return how long to wait."""
        self._silent += 1  # also if there is no room for the PING
        late = self._silent - self.max_pings_out
        if late > 0:  # what has come meanwhile, long ago perhaps, is read first
            if late > 8:
                self.end("no PONG came", "Timeout")
            return 0
        self._deadline = self.deadline(self.ping_interval_ms)
        if self._settled is not None and self.left(self._settled) == 0:
            self._settled = None  # for good: the ticks wrap
        ping(self)
        return self.ping_interval_ms

    # Sending

    publish = publish  # see kernels.py

    def _failed(self, error, n):
        from .errors import failed

        return failed(self, error, n)

    def feature(self, name):
        """A module of the library; loaded when it is first asked for, from then on without
        allocating.
        """
        if name not in self.features:
            self.features[name] = __import__("unats." + name, None, None, (name,))
        return self.features[name]

    def control(self, line):
        """Queue a control line (bytes); False if there is no room."""
        return control(self, line)

    def _publish(self):
        return self.feature("arguments").publish(self)

    def flush(self, timeout_ms=2000):
        """Send all that is queued; whether the server has confirmed it (by PONG) in that time.

        False also if the connection broke meanwhile. Handlers are called while it waits.
        """
        return self.feature("flush").flush(self, timeout_ms)

    # Subscribing

    def subscribe(self, subject, handler, queue=None, max_msgs=0, chunked=False):
        """Call handler(msg) for each message on the subject; return the `Subscription`. Allocates.

        Works at any time, also before connecting; survives reconnecting. queue: share the messages
        with the other members of this queue group. max_msgs: end after so many (0: never).
        chunked: messages larger than `rx_size` come in fragments of up to `rx_size` bytes
        (`msg.offset .size .total .last`), instead of being skipped and counted.
        ValueError: not a valid subject or queue, or too long for tx_size.
        """
        from .servers import check_subscription

        subject, queue = check_subscription(self, subject, handler, queue, max_msgs, chunked)
        sub = Subscription(self, self._sid + 1, subject, handler, queue, max_msgs, chunked)
        if len(sub.lines()) + 24 > self.tx_size:
            raise ValueError("subject: too long for tx_size")
        self._sid += 1
        self.subscriptions[sub.sid] = sub
        self.resubscribe()
        return sub

    def count(self, sub):
        """It has had a message; after its last one it is over, and the server knows."""
        if 0 < sub.max_msgs <= sub.received + sub.dropped:
            self.subscriptions.pop(sub.sid, None)

    def resubscribe(self):
        """Queue what the server does not know of subscriptions, as far as there is room; the rest
        later.
        """
        self._pending = self._todo = True
        for sid in sorted(self.subscriptions) if not self._phase else ():
            sub = self._lookup(sid)
            if sub is not None and sub.sent < 2:
                lines = sub.lines()
                if lines and not control(self, lines):
                    return
                sub.sent = 2
                if sub.handler is None:
                    self.subscriptions.pop(sid, None)
        self._pending = self._phase > 0

    def request(
        self, subject, payload=b"", timeout_ms=2000, headers=None, handler=None, max_msgs=1
    ):
        """Publish with a reply subject of this client's own, and get what is answered. Allocates.

        Without a handler it waits and returns the reply, a `Msg` of its own; `NoResponders` at
        once if nobody listens there, the server's error at once if it refuses the subject,
        `Timeout`, `NotConnected` if the connection is or gets lost.
        With one it returns True (or False, as `publish`); `poll()` calls handler(msg) for each of
        up to max_msgs replies (one with `msg.status` 503 if nobody listens; 0: for all that come
        in time), and handler(None) when no more can come: time is up, or the connection was lost.
        ValueError: as `publish`.
        """
        return self.feature("request").request(
            self, subject, payload, timeout_ms, headers, handler, max_msgs
        )

    def drain(self, timeout_ms=5000):
        """Unsubscribe, handle what is under way, send what is queued, close.

        Returns whether the server has confirmed all that was published.
        """
        return self.feature("flush").drain(self, timeout_ms)
