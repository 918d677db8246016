"""What the client knows of servers and subscriptions."""


class Server:
    """A server: its `host` and `port`, `user` and `password` of its URL (or None), whether `tls`;
    `addresses` of the host that are still to be tried; `tls_name`, whom its certificate names, if
    only its address is known.
    """

    tls_name = None

    def __init__(self, host, port, user, password, tls):
        self.host, self.port, self.user, self.password, self.tls = host, port, user, password, tls
        self.addresses = ()

    def __str__(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)


class Info:
    """What the server said of itself in INFO; also by subscript. Zero, False, empty: not said."""

    name = version = nonce = ""
    max_payload = client_id = 0
    headers = jetstream = ldm = tls_required = tls_available = False
    connect_urls = ()  # host:port of the cluster's other servers

    def __getitem__(self, name):
        return getattr(self, name)


class Subscription:
    """A subscription, made by `Client.subscribe`.

    `sid`, `subject`, `queue`; `received`: messages given to the handler; `dropped`: messages that
    were larger than `rx_size`; `error`: why this connection's server refused it, or None.
    """

    def __init__(self, nc, sid, subject, handler, queue, max_msgs, chunked):
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.handler = handler  # None: it has ended
        self.direct = None if max_msgs else handler  # for messages that need only be counted
        self.chunked = chunked
        self.max_msgs = max_msgs
        self.received = self.dropped = 0
        self.offset = 0  # messages had before this connection
        self.error = None
        self.sent = 0  # 1: this connection's server has it; 2: and knows all of it
        self.nc = nc

    def unsubscribe(self, max_msgs=0):
        """End it now, or once it has had max_msgs messages in all. Allocates. ValueError:
        max_msgs.
        """
        from .checks import check

        check("max_msgs", max_msgs, 0)
        self.direct = None
        if max_msgs > self.received + self.dropped:
            self.max_msgs = max_msgs
        else:
            self.handler = None
        self.sent = min(self.sent, 1)
        self.nc.resubscribe()

    def lines(self):
        """What the server is to be told now, bytes."""
        if self.handler is None:
            return b"UNSUB %d\r\n" % self.sid if self.sent else b""
        line = ""
        if self.sent == 0:
            self.error = None  # another server, or other permissions, may take it
            self.offset = self.received + self.dropped
            line = "SUB %s %s%d\r\n" % (
                self.subject,
                self.queue + " " if self.queue else "",
                self.sid,
            )
        if self.max_msgs:
            line += "UNSUB %d %d\r\n" % (self.sid, self.max_msgs - self.offset)
        return line.encode()
