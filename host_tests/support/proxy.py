"""A TCP proxy on loopback between a client and its server, for failures that neither can act out."""

import contextlib
import socket
import struct
import threading

_PATIENCE_S = 60
_PASS, _HOLD, _SWALLOW = range(3)


class Direction:
    """The bytes one way, of all connections: `up` is from the client to the server."""

    def __init__(self):
        self._changed = threading.Condition()
        self._mode = _PASS
        self._left = 0  # how many bytes pass before they are held
        self.passed = 0  # bytes so far

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

    def until_held(self):
        """Return when as many bytes have passed as `hold` lets through."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._left, _PATIENCE_S), "nothing to hold"

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

    def _wake(self):
        with self._changed:
            self._changed.notify_all()


class Proxy:
    """Forwards connections to the port on loopback, while its `with` block lasts. `host`: its own."""

    def __init__(self, port, host="127.0.0.1"):
        self._target = port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=50)
        self.port = self._listener.getsockname()[1]
        self.up = Direction()
        self.down = Direction()
        self.accepted = 0  # connections so far
        self._pairs = []
        self._threads = []
        self._refusing = False
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self):
        return "nats://127.0.0.1:%d" % self.port

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._thread.join()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # stopped
            self.accepted += 1
            try:
                if self._refusing or self._stopping:
                    raise ConnectionError("not now")
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            pair = [client, server]
            self._pairs.append(pair)
            for pump in ((pair, client, server, self.up), (pair, server, client, self.down)):
                thread = threading.Thread(target=self._pump, args=pump, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, pair, source, sink, direction):
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                while data and pair in self._pairs:
                    n, lost = direction._share(len(data), lambda: pair in self._pairs)
                    sink.sendall(data[:n])
                    data = data[n + lost :]
        except OSError:
            pass  # one side has gone; so must the other
        self._end(pair)

    def _end(self, pair, reset=False):
        if pair in self._pairs:
            with contextlib.suppress(ValueError):
                self._pairs.remove(pair)
            for sock in pair:
                with contextlib.suppress(OSError):
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # wakes recv
                sock.close()
            self.up._wake()
            self.down._wake()

    def cut(self, reset=False):
        """End all connections, by FIN or by RST."""
        for pair in list(self._pairs):
            self._end(pair, reset)

    def refuse(self, refusing=True):
        """Close new connections as soon as they come; or no longer."""
        self._refusing = refusing
