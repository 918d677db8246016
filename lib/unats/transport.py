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
_NO_DELAY = getattr(usocket, "IPPROTO_TCP", 6), getattr(usocket, "TCP_NODELAY", 1), 1


class Tcp:
    """A TCP connection. Once it is open, nothing here allocates but what the platform does."""

    def __init__(self):
        self._poll = uselect.poll()
        self._sock = self._address = None
        self._name = None  # host and port that _address belongs to
        self._flags = self._failures = 0

    def open(self, host, port):
        """Start connecting to host (name or address, str) and port, and return at once.

        Resolving a name blocks for as long as the platform takes, and nothing can shorten that; so
        the address is kept until a connection fails, and the next of the name's addresses is
        tried then. OSError: no such name, no route, no socket left.
        """
        self.close()
        if self._name != (host, port):
            self._failures, self._address = 0, None
        if self._address is None:
            self._name = host, port
            found = usocket.getaddrinfo(host, port, 0, usocket.SOCK_STREAM)
            self._address = found[self._failures % len(found)]
        self._sock = sock = usocket.socket(self._address[0], usocket.SOCK_STREAM)
        self._failures += 1
        try:
            sock.setsockopt(*_NO_DELAY)  # the client joins what belongs together by itself
        except OSError:
            pass  # a port without the option
        try:
            sock.setblocking(False)
            sock.connect(self._address[-1])
        except OSError as e:
            if e.errno not in _IN_PROGRESS:
                self.close()
                raise
        self._flags = _POLLIN | _POLLOUT
        self._poll.register(sock, self._flags)

    def ready(self):
        """Whether the connection is up. OSError: it failed."""
        for _, events in self._poll.ipoll(0):
            if events & ~(_POLLIN | _POLLOUT):
                self._sock.readinto(bytearray(1))  # raises what happened, where the port tells
                raise OSError(errno.ECONNREFUSED)
            self._failures = 0
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
            if self._failures:
                self._address = None
