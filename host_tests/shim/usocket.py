"""MicroPython's `usocket` for CPython, with the Unix port's semantics.

What differs from CPython's socket: `readinto(buf[, n])` and `read(n)` go on until they have all
they were asked for, the stream ends, or nothing more is there, and answer None for "nothing now";
`write(buf[, off], n)` goes on likewise and may be short; `close` may be called twice; addresses
are the packed ones that `getaddrinfo` gives, and nothing else; a socket error after the first
bytes loses the count of those bytes.
"""

import asyncio as _asyncio
import errno as _errno
import socket as _socket
import struct as _struct

AF_INET = int(_socket.AF_INET)
AF_INET6 = int(_socket.AF_INET6)
SOCK_STREAM = int(_socket.SOCK_STREAM)
SOCK_DGRAM = int(_socket.SOCK_DGRAM)
SOL_SOCKET = _socket.SOL_SOCKET
SO_REUSEADDR = _socket.SO_REUSEADDR
SO_KEEPALIVE = _socket.SO_KEEPALIVE
SO_ERROR = _socket.SO_ERROR
SO_LINGER = _socket.SO_LINGER


def _pack(family, address):
    ip = _socket.inet_pton(family, address[0])
    if family == AF_INET:
        return bytearray(
            _struct.pack("=H", family) + _struct.pack(">H", address[1]) + ip + bytes(8)
        )
    return bytearray(
        _struct.pack("=H", family) + _struct.pack(">HI", address[1], 0) + ip + bytes(4)
    )


def sockaddr(packed):
    """(family, IP bytes, port[, scope]) of an address as getaddrinfo packs it."""
    family = _struct.unpack_from("=H", packed)[0]
    port = _struct.unpack_from(">H", packed, 2)[0]
    if family == AF_INET:
        return family, bytes(packed[4:8]), port
    return family, bytes(packed[8:24]), port, _struct.unpack_from("=I", packed, 24)[0]


def _unpack(packed):
    if not isinstance(packed, (bytes, bytearray, memoryview)):
        raise TypeError("object with buffer protocol required")
    fields = sockaddr(packed)
    return _socket.inet_ntop(fields[0], fields[1]), fields[2]


def getaddrinfo(host, port, family=0, kind=0, protocol=0, flags=0):
    try:
        found = _socket.getaddrinfo(host, port, family, kind, protocol, flags)
    except (_socket.gaierror, UnicodeError) as e:
        raise OSError("[addrinfo error %s]" % getattr(e, "errno", "EAI_NONAME")) from None
    return [(int(f), int(k), p, None, _pack(f, address)) for f, k, p, _, address in found]


class Stream:
    """As MicroPython's `asyncio.StreamReader`, to wait until there is something to read."""

    def __init__(self, sock):
        self._sock = sock

    async def readinto(self, buf):
        loop, fd = _asyncio.get_running_loop(), self._sock.fileno()
        found = loop.create_future()
        loop.add_reader(fd, lambda: found.done() or found.set_result(None))
        try:
            await found
        finally:
            loop.remove_reader(fd)
        return self._sock.readinto(buf) if len(buf) else 0


class socket:
    def __init__(self, family=AF_INET, kind=SOCK_STREAM, protocol=0, fileno=None):
        self._socket = _socket.socket(family, kind, protocol, fileno)
        self._timeout = None

    def __repr__(self):
        return "<_socket %d>" % self.fileno()

    @property
    def stream(self):
        return Stream(self)

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def setsockopt(self, level, option, value):
        self._socket.setsockopt(level, option, value)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)

    def settimeout(self, seconds):
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def bind(self, address):
        self._socket.bind(_unpack(address))

    def listen(self, backlog=0):
        self._socket.listen(backlog)

    def accept(self):
        connection, address = self._try(self._socket.accept)
        family = connection.family
        return socket(family, fileno=connection.detach()), _pack(family, address)

    def connect(self, address):
        self._try(self._socket.connect, _unpack(address))

    @staticmethod
    def _try(call, *args):
        """The call, with its errors as MicroPython reports them."""
        try:
            return call(*args)
        except OSError as e:
            if e.errno is None:  # CPython's own time-out
                raise OSError(_errno.ETIMEDOUT, "ETIMEDOUT") from None
            raise

    def send(self, data):
        return self._try(self._socket.send, _bytes(data))

    def sendall(self, data):
        self._try(self._socket.sendall, _bytes(data))

    def recv(self, n):
        return self._try(self._socket.recv, n)

    def sendto(self, data, address):
        return self._try(self._socket.sendto, _bytes(data), _unpack(address))

    def recvfrom(self, n):
        data, address = self._try(self._socket.recvfrom, n)
        return data, bytes(_pack(self._socket.family, address))

    def _transfer(self, once, view):
        """How much of view went through `once`, which is asked until all has; None for nothing
        now.
        """
        done = 0
        while done < len(view):
            try:
                n = self._try(once, view[done:])
            except OSError as e:
                if e.errno != _errno.EAGAIN:
                    raise
                return done or None
            if n == 0:
                break
            done += n
        return done

    def readinto(self, buf, n=-1):
        view = memoryview(buf).cast("B")
        if view.readonly:
            raise TypeError("object with buffer protocol required")
        return self._transfer(self._socket.recv_into, view if n < 0 else view[:n])

    def readline(self):
        line = b""
        while not line.endswith(b"\n"):
            piece = self.read(1)
            if not piece:
                return line or piece
            line += piece
        return line

    def read(self, n=-1):
        if n < 0:
            return self._read_all()
        buf = bytearray(n)
        n = self.readinto(buf)
        return None if n is None else bytes(buf[:n])

    def _read_all(self):
        data = b""
        while True:
            piece = self.read(256)
            if not piece:
                return data or piece
            data += piece

    def write(self, buf, *limits):
        view = memoryview(_bytes(buf)).cast("B")
        off, n = limits if len(limits) == 2 else (0, limits[0] if limits else -1)
        view = view[off:]
        return self._transfer(self._socket.send, view if n < 0 else view[:n])


def _bytes(data):
    return data.encode() if isinstance(data, str) else data
