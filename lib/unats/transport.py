"""TCP, without ever waiting but in `wait` and in name resolution.

A transport is any object with the methods of `Tcp`; TLS, a UART and the scripted one in the tests
are the same to the client.
"""

import errno

import uselect
import usocket

_POLLIN = uselect.POLLIN
_POLLOUT = uselect.POLLOUT
_IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY)
_TCP = getattr(usocket, "IPPROTO_TCP", 6)
_NODELAY = getattr(usocket, "TCP_NODELAY", 1)
_MAX_KNOWN = 32


class Tcp:
    """A TCP connection. Once it is open, nothing here allocates but what the platform does."""

    def __init__(self):
        self._poll = uselect.poll()
        self._sock = None
        self._known = {}  # of each host and port: [address or None, failures in a row]
        self._entry = [None, 0]  # the one of them at hand
        self._flags = 0

    def open(self, host, port):
        """Start connecting to host (name or address, str) and port, and return at once.

        Resolving a name blocks for as long as the platform takes, and nothing can shorten that; so
        the address is kept until a connection fails, and the next of the name's addresses is
        tried then. OSError: no such name, no route, no socket left.
        """
        self.close()
        address = self._resolve(host, port)
        self._sock = sock = usocket.socket(address[0], usocket.SOCK_STREAM)
        self._setsockopt = sock.setsockopt
        self.hurry(1)
        try:
            sock.setblocking(False)
            sock.connect(address[-1])
        except OSError as e:
            if e.errno not in _IN_PROGRESS:
                self.close()
                raise
        self._flags = _POLLIN | _POLLOUT
        self._poll.register(sock, self._flags)
        if type(self) is Tcp:  # and nothing built upon it: the client may call the socket itself
            self.readinto, self.write = sock.readinto, sock.write

    def hurry(self, now):
        """Whether what is written next, and all before it, has to leave at once (1 or 0).

        Otherwise it may wait, and be joined by more, until the other side has acknowledged what is
        on its way already (TCP_NODELAY off). A transport need not have this method.
        """
        try:
            self._setsockopt(_TCP, _NODELAY, now)
        except OSError:
            pass  # a port without the option

    def _resolve(self, host, port):
        """The address to try, which counts as one that failed until there is a connection."""
        if len(self._known) >= _MAX_KNOWN:  # clusters come and go
            self._known.clear()
        self._entry = entry = self._known.setdefault((host, port), [None, 0])
        if entry[0] is None:
            found = usocket.getaddrinfo(host, port, 0, usocket.SOCK_STREAM)
            entry[0] = found[entry[1] % len(found)]
        entry[1] += 1
        return entry[0]

    def ready(self):
        """Whether the connection is up. OSError: it failed."""
        for _, events in self._poll.ipoll(0):
            if events & ~(_POLLIN | _POLLOUT):
                self._sock.readinto(bytearray(1))  # raises what happened, where the port tells
                raise OSError(errno.ECONNREFUSED)
            self._entry[1] = 0
            return True
        return False

    def readinto(self, buf):
        """Receive into buf: how many bytes came, None for nothing now, 0 when closed. OSError."""
        return self._sock.readinto(buf)

    def write(self, buf, off, n):
        """Send n bytes of buf from off on: how many were taken, or None. OSError."""
        return self._sock.write(buf, off, n)

    def wait(self, timeout_ms, writing):
        """Sleep until there is something to read (or room to write, if asked), or time is up."""
        flags = _POLLIN | _POLLOUT if writing else _POLLIN
        if flags != self._flags:
            self._flags = flags
            self._poll.modify(self._sock, flags)
        for _ in self._poll.ipoll(timeout_ms):
            break

    def close(self):
        """Close the socket, if there is one."""
        if self._sock:
            self._poll.unregister(self._sock)
            self._sock.close()
            self._sock = None
        if self._entry[1]:
            self._entry[0] = None
