"""A TCP proxy on loopback between a client and its server, for failures that
neither can act out.
"""

import contextlib
import socket
import struct
import threading
import time

from .ports import free_port

_PATIENCE_S = 60
_PASS, _HOLD, _SWALLOW = range(3)
_BACKLOG = 50
_FILLERS = 4  # connections that fill a backlog of 0


class Direction:
    """The bytes one way, of all connections: `up` is from the client to the server."""

    def __init__(self):
        self._changed = threading.Condition()
        self._mode = _PASS
        self._left = 0  # how many bytes pass before they are held
        self.passed = 0  # bytes so far
        self.delay = 0  # how much later everything comes, in seconds
        self.fragment = 0  # bytes to a segment; 0: as they come

    def _set(self, mode, left=0):
        with self._changed:
            self._mode = mode
            self._left = left
            self._changed.notify_all()

    def swallow(self):
        """Take all that comes, and deliver none of it."""
        self._set(_SWALLOW)

    def hold(self, after=0):
        """Let so many bytes pass, then take nothing more."""
        self._set(_HOLD, after)

    def let_pass(self):
        """Deliver all that comes; what was held first."""
        self._set(_PASS)

    def until_held(self, timeout_s=_PATIENCE_S):
        """Return when as many bytes have passed as `hold` lets through."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._left, timeout_s), "nothing to hold"

    def _share(self, n, alive):
        """How many of n bytes to deliver now (waits for the first), and how many not at all."""
        with self._changed:
            self._changed.wait_for(lambda: self._mode != _HOLD or self._left or not alive())
            if self._mode == _SWALLOW:
                return 0, n
            if self._mode == _HOLD:
                n = min(n, self._left)
                self._left -= n
                self._changed.notify_all()
            self.passed += n
            return n, 0

    def _deliver(self, sink, data):
        if self.delay and data:
            time.sleep(self.delay)
        step = self.fragment or max(len(data), 1)
        for at in range(0, len(data), step):
            sink.sendall(data[at : at + step])

    def _wake(self):
        with self._changed:
            self._changed.notify_all()


class _Pair:
    """A connection: its two sockets; mute: the client hears nothing of the server any more."""

    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.mute = False
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Proxy:
    """Forwards connections to the port on loopback, while its `with` block lasts.
    `host`: its own.
    """

    def __init__(self, port, host="127.0.0.1"):
        self._target = port
        self._listener = _listener(host)
        self.port = self._listener.getsockname()[1]
        self.up = Direction()
        self.down = Direction()
        self.accepted = 0  # connections so far
        self._pairs = []
        self._threads = []
        self._refusing = False
        self._stopping = False
        self._listening = threading.Event()
        self._listening.set()
        self._fillers = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self):
        return "nats://127.0.0.1:%d" % self.port

    @property
    def in_use(self):
        """Whether there is a connection through it."""
        return bool(self._pairs)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._listening.set()
        self._thread.join()
        self._empty()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while not self._stopping:
            self._listening.wait()
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue  # it does not listen any more, for a while or for good
            self.accepted += 1
            try:
                if self._refusing or self._stopping:
                    raise ConnectionError("not now")
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._begin(_Pair(client, server))

    def _begin(self, pair):
        self._pairs.append(pair)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for way in ((pair.client, pair.server, self.up), (pair.server, pair.client, self.down)):
            thread = threading.Thread(target=self._pump, args=(pair,) + way, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pump(self, pair, source, sink, direction):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                while data and pair in self._pairs:
                    n, lost = direction._share(len(data), lambda: pair in self._pairs)
                    if not (pair.mute and sink is pair.client):
                        direction._deliver(sink, data[:n])
                    data = data[n + lost :]
        except OSError:
            pass  # one side has gone; so must the other
        self._end(pair)

    def _end(self, pair, reset=False):
        if pair in self._pairs:
            with contextlib.suppress(ValueError):
                self._pairs.remove(pair)
            for sock in (pair.client, pair.server):
                with contextlib.suppress(OSError):
                    if reset:
                        sock.setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                        )
                    sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # wakes recv
                sock.close()
            self.up._wake()
            self.down._wake()

    def cut(self, reset=False):
        """End all connections, by FIN or by RST."""
        for pair in list(self._pairs):
            self._end(pair, reset)

    def half_close(self):
        """Send the clients a FIN, while all that they still send goes to the server."""
        for pair in list(self._pairs):
            pair.mute = True
            with contextlib.suppress(OSError):
                pair.client.shutdown(socket.SHUT_WR)

    def refuse(self, refusing=True):
        """Close new connections as soon as they come; or no longer."""
        self._refusing = refusing

    # The port itself. On Linux a socket that was told to listen no more keeps its port.

    def leave(self):
        """Listen no more: the system refuses new connections."""
        self._listening.clear()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def vanish(self):
        """Be a black hole: the system answers no SYN, for the backlog is full."""
        self.leave()
        self._listener.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._listener.getsockname())
            self._fillers.append(filler)

    def come_back(self):
        """Listen again, after `leave` or `vanish`."""
        self._empty()
        self._listener.listen(_BACKLOG)
        self._listening.set()

    def _empty(self):
        while self._fillers:
            self._fillers.pop().close()


def _listener(host):
    while True:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, free_port()), family=family, backlog=_BACKLOG)
        except OSError:
            continue  # somebody else was faster
