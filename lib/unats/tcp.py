"""TCP, without ever waiting but in `wait` and in name resolution.

A transport is any object with the methods of `Tcp` (but `resolve`); TLS, a UART and the scripted
one in the tests are the same to the client.
"""

import errno
import sys

import uselect
import usocket


class Tcp:
    """A TCP connection. Once it is open, nothing here allocates but what the platform does.

    `readinto(buf)`: how many bytes came to the start of buf, None for nothing now, 0 when closed.
    `write(buf, off, n)`: how many of n bytes of buf from off on were taken, or None. OSError. Both
    are the socket's own. `poll`: what `wait` waits with; a client under asyncio stands before it.
    """

    # Bytes that may be with the network stack and not yet confirmed by a PONG, each write counting
    # 96 more;
    # 0: any number. On the RP2040 a write blocks for 10 s when lwIP's heap of 8,000 bytes is full.
    window = 3000 if sys.platform == "rp2" else 0

    def __init__(self):
        self.poll = uselect.poll()
        self._sock = None
        self._flags = 0

    def resolve(self, host, port):
        """All addresses of a host, each to be given to `open` in the place of it. Blocks. OSError:
        no such name.
        """
        return usocket.getaddrinfo(host, port, 0, usocket.SOCK_STREAM)

    def open(self, host, port):
        """Start connecting to host (name, address, or what `resolve` gave) and port; return at
        once. OSError.
        """
        self.close()
        address = self.resolve(host, port)[0] if isinstance(host, str) else host
        self._sock = sock = usocket.socket(address[0], usocket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            try:
                sock.setsockopt(6, getattr(usocket, "TCP_NODELAY", 1), 1)  # IPPROTO_TCP
            except OSError:
                pass  # a port without the option
            sock.connect(address[-1])
        except OSError as e:
            if e.errno != errno.EINPROGRESS and e.errno != errno.EAGAIN:
                self.close()
                raise
        self._flags = uselect.POLLIN | uselect.POLLOUT
        self.poll.register(sock, self._flags)
        if type(self) is Tcp:  # and nothing built upon it
            self.readinto, self.write = sock.readinto, sock.write

    def ready(self):
        """Whether the connection is up. OSError: it failed."""
        for _, events in self.poll.ipoll(0):
            if events & ~(uselect.POLLIN | uselect.POLLOUT):
                self._sock.readinto(bytearray(1))  # raises what happened, where the port tells
                raise OSError(errno.EAGAIN)
            return True
        return False

    def wait(self, timeout_ms, writing):
        """Sleep until there is something to read (or room to write, if asked), or time is up."""
        flags = uselect.POLLIN | uselect.POLLOUT if writing else uselect.POLLIN
        if flags != self._flags:
            self._flags = flags
            self.poll.modify(self._sock, flags)
        for _ in self.poll.ipoll(timeout_ms):
            break

    def close(self):
        """Close the socket, if there is one; may be called twice."""
        if self._sock:
            try:
                self.poll.unregister(self._sock)
            except (OSError, KeyError):
                pass  # it was not there yet
            self._sock.close()
            self._sock = None
