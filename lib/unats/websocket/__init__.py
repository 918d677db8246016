"""NATS over WebSocket: where only HTTP gets through, as to a server behind a reverse proxy.

    nc = unats.Client("wss://nats.example.com/nats?room=7", tls=Tls(ca="/ca.der"))
    nc = unats.Client("ws://192.168.1.10:8080", transport=WebSocket(headers={"X-Key": "..."}))

URLs: `ws://` (port 80) and `wss://` (443), with path and query. A transport: see `unats.tcp`. Each
frame that goes out has up to 512 bytes; data, of frames of any length, comes in where the client
wants it. Source: RFC 6455. Once open it allocates nothing but what the platform does. Heap: some
4 KB, and 0.7 KB of buffers.
"""

from random import getrandbits

from unats.errors import NotConnected, ProtocolError

from .kernels import AT, LONGEST, SIZE, TO, WRONG, frame, positions, unframe

_FRAME = 512  # payload of a frame that goes out, at most
_HEAD = 8  # its head, at most
_DATA = 2  # kinds of frames
_CLOSE = 8
_PING = 9


def read_url(text):
    """The `Server` of a URL, with `path`. ValueError: it is none."""
    from unats.servers import read_url as read

    scheme, _, address = text.strip().partition("://")
    scheme = scheme.lower()
    if scheme not in ("ws", "wss"):
        raise ValueError("server URL: it must begin with nats://, tls://, ws:// or wss://")
    end = min([address.find(c) for c in "/?" if c in address] or [len(address)])
    path, address = address[end:], address[:end]
    for c in path:
        if not "!" <= c <= "~" or c == "#":
            raise ValueError("server URL: a path of ASCII, with %20 for a blank, and no #")
    last = address[address.rfind("@") + 1 :]
    if ":" not in last[last.rfind("]") + 1 :]:
        address += ":443" if scheme == "wss" else ":80"
    server = read(("tls://" if scheme == "wss" else "nats://") + address)
    server.path = path if path[:1] == "/" else "/" + path
    return server


def secured(tls, transport, nc):
    """The transport for servers with such URLs: `unats.servers` asks for it."""
    if transport is None:
        transport = WebSocket()
    elif not isinstance(transport, WebSocket):
        raise ValueError("transport: for ws:// and wss:// give a WebSocket, or none")
    transport.prepare(nc, tls)
    return transport


class WebSocket:
    """The transport. headers: a dict of further ones for the request that opens it, str or bytes;
    they are never shown. ValueError: that is none.
    """

    def __init__(self, headers=None):
        from .opening import lines

        self.headers = lines(headers or {})
        self._nc = self._tcp = None
        self._f, self._head, self._control = positions()
        self._key = bytearray(5)  # of the frame that is made: its mask, and its kind
        self._out = bytearray(_HEAD + _FRAME)
        self._answer = bytearray(6 + LONGEST)  # a control frame that goes out
        self._reset()

    def prepare(self, nc, tls):
        """It is for this client; over TLS, if a server wants that, or tls is given."""
        self._nc = nc
        if tls is None and not nc.current.tls:
            from unats.tcp import Tcp

            self._tcp = Tcp()
        else:
            from unats.tls import Tls, secured

            if hasattr(tls, "wrap_socket"):
                tls = Tls(context=tls, handshake_first=True)
            elif isinstance(tls, Tls):
                tls = Tls(
                    context=tls.context, server_hostname=tls.server_hostname,
                    handshake_first=True, handshake_timeout_ms=tls.handshake_timeout_ms,
                )  # fmt: skip
            self._tcp = secured(tls, None, nc)
            self.secure = _is_secure
        self.window = self._tcp.window
        self.resolve = self._tcp.resolve

    @property
    def poll(self):
        return self._tcp.poll

    @poll.setter
    def poll(self, poll):
        self._tcp.poll = poll

    def _reset(self):
        for i in range(len(self._f)):
            self._f[i] = 0
        self._sent = self._end = 0  # of what is in _out
        self._answered = self._due = 0  # of what is in _answer
        self._open = False
        self._opening = None
        self._early = b""  # what came behind the answer to the opening

    def open(self, host, port):
        """As `Tcp`."""
        self.close()
        self._reset()
        self._tcp.open(host, port)

    def ready(self):
        """As `Tcp`: once the server has agreed."""
        if self._opening is None:
            if not self._tcp.ready():
                return False
            from .opening import Opening

            self._opening = Opening(self._nc.current, self.headers)
        if self._opening.step(self._tcp):
            self._early = self._opening.rest
            self._opening = None
            self._open = True
        return self._open

    def readinto(self, buf):
        """As `Tcp`."""
        self._flush()
        if self._early:
            return self._take_early(buf)
        n = self._tcp.readinto(buf)
        if not n:
            return n
        return self._unframe(buf, n)

    def _take_early(self, buf):
        n = min(len(self._early), len(buf))
        buf[:n] = self._early[:n]
        self._early = self._early[n:]
        return self._unframe(buf, n)

    def _unframe(self, buf, n):
        """What is data of n bytes, moved to the start of buf; None: nothing of it is."""
        self._f[AT] = self._f[TO] = 0
        while True:
            kind = unframe(buf, n, self._f, self._head, self._control)
            if kind == 0:
                return self._f[TO] or None
            if kind == WRONG:
                raise ProtocolError("%s: a frame that WebSocket does not allow" % self._nc.current)
            if kind == _CLOSE:
                self._closed()
            if kind == _PING and self._answered == 0:
                self._answer_with(kind + 1, self._f[SIZE])

    def _closed(self):
        from .opening import reason

        size = self._f[SIZE]
        if self._answered == 0:
            self._answer_with(_CLOSE, size)
        raise NotConnected("%s closed: %s" % (self._nc.current, reason(self._control, size)))

    def _answer_with(self, kind, size):
        """Have a control frame go out, with `size` bytes of the one that came."""
        self._new_key(kind)
        self._due = frame(self._answer, self._key, self._control, 0, size)
        self._flush()

    def _new_key(self, kind):
        for i in range(4):
            self._key[i] = getrandbits(8)
        self._key[4] = kind

    def write(self, buf, off, n):
        """As `Tcp`. What was taken may still be here: `readinto` sends it."""
        if not self._flush():
            return None
        n = min(n, _FRAME)
        self._sent = 0
        self._new_key(_DATA)
        self._end = frame(self._out, self._key, buf, off, n)
        self._flush()
        return n

    def _flush(self):
        """Send what is left of frames; whether all has gone."""
        while self._sent < self._end:
            n = self._tcp.write(self._out, self._sent, self._end - self._sent)
            if not n:
                return False
            self._sent += n
        while self._answered < self._due:
            n = self._tcp.write(self._answer, self._answered, self._due - self._answered)
            if not n:
                return False
            self._answered += n
        self._answered = self._due = 0
        return True

    def wait(self, timeout_ms, writing):
        """As `Tcp`."""
        if self._opening is not None:
            writing = self._opening.request != b""
        elif self._early:
            timeout_ms = 0
        self._tcp.wait(timeout_ms, writing or self._sent < self._end or self._due > 0)

    def close(self):
        """As `Tcp`; says so to the server, if there is room for that."""
        if self._open:
            self._open = False
            self._control[:2] = b"\x03\xe8"  # 1000: normal
            try:
                if self._flush():
                    self._answer_with(_CLOSE, 2)
            except OSError:
                pass
        self._tcp.close()


def _is_secure(info, in_clear):
    """INFO came over TLS."""
