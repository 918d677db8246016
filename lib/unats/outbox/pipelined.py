"""Readings that leave along with CONNECT: for a board that wakes, sends what it has, and sleeps
again.

    outbox = Outbox(nc, "greenhouse-7", path="/outbox")
    Pipelined(nc, outbox)
    outbox.put("sensors.greenhouse-7.temp", b"21.53")
    nc.connect()
    outbox.flush() or outbox.sync()

Once the server has said INFO, everything is known that a message has to fit. So CONNECT, the
subscriptions, the readings and PING go out in one piece, in this order, and the acknowledgements
come back with the PONG: three round trips from the first byte of TCP to the last acknowledgement,
where one that waits for the first PONG takes four. `connect`, `publish` and `connected` stay as
they are: the client counts as connected when that PONG has come, and takes messages from then on
only.

What it costs. The readings leave before the server has accepted the credentials; over TLS, after
the handshake. If it does not accept them, it drops the readings, and the outbox has them still:
that is why it works with `ack="stream"` only, where nothing leaves the queue but by its
acknowledgement. And a window of readings goes at once, where otherwise a single one is sent first
to see whether it is taken. Readings that the stream may have already (the board was restarted
before they were acknowledged) are not sent early, since the stream has to be asked first; nor are
those behind them.

Source: the NATS client protocol, where a client may send as soon as it has sent CONNECT.
Allocates.
"""


class Pipelined:
    """Has the client `nc` send early what waits in `outbox`, up to `size` bytes, at each
    connection.

    With CONNECT, 1024 bytes fit one TCP segment on Ethernet and Wi-Fi. ValueError: an outbox
    without acknowledgements.
    """

    def __init__(self, nc, outbox, size=1024):
        if not outbox.acknowledged:
            raise ValueError("early: give an Outbox with ack='stream'")
        self._nc = nc
        self._outbox = outbox
        self._size = size
        self._left = 0
        self._parts = []
        nc.on_connect += (self._collect,)

    def _collect(self):
        """The messages, as CONNECT wants them."""
        self._left = self._size
        try:
            self._outbox.connecting(self)
            return b"".join(self._parts)
        finally:
            self._parts = []

    # What the outbox takes for the client

    @property
    def server(self):
        return self._nc.server

    def publish(self, subject, payload, reply, headers, n):
        whole = len(headers) + n
        if whole > self.server.max_payload > 0:
            raise ValueError("payload: larger than the server's max_payload")
        head = b" ".join((b"HPUB", subject, reply, b"%d" % len(headers), b"%d" % whole))
        size = len(head) + whole + 4
        if size > self._left:
            return False
        self._left -= size
        self._parts += (head, b"\r\n", bytes(headers), bytes(memoryview(payload)[:n]), b"\r\n")
        self._nc.stats.sent(whole)
        return True
