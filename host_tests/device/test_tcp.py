"""TCP: when names are resolved, which of their addresses is tried, and what
failures leave behind.
"""

import errno
import unittest

import uselect
import usocket

from unats import tcp as transport

NEEDS_SOCKETS = True

_STREAM = usocket.SOCK_STREAM
_INET = usocket.AF_INET


class FakeSocket:
    def __init__(self, net):
        self.net = net
        self.open = True
        net.sockets += 1
        self.address = None

    def setsockopt(self, *_):
        pass

    def setblocking(self, _):
        pass

    def connect(self, address):
        self.address = address
        self.net.tried.append(address)
        raise OSError(self.net.errno, "")

    def readinto(self, buf):
        raise OSError(errno.ECONNREFUSED, "")

    def write(self, buf, off, n):
        raise OSError(errno.ECONNREFUSED, "")

    def close(self):
        if self.open:
            self.open = False
            self.net.sockets -= 1


class FakePoll:
    def __init__(self, net):
        self.net = net
        self.registered = []

    def register(self, sock, flags):
        self.registered.append(sock)

    def unregister(self, sock):
        if sock in self.registered:
            self.registered.remove(sock)

    def ipoll(self, _):
        for sock in list(self.registered):
            if sock.address in self.net.works:
                yield sock, uselect.POLLOUT
            elif sock.address in self.net.refuses:
                yield sock, uselect.POLLOUT | uselect.POLLERR


class Net:
    """Stands in for usocket and uselect."""

    POLLIN, POLLOUT = uselect.POLLIN, uselect.POLLOUT
    SOCK_STREAM = _STREAM

    def __init__(self, **names):
        self.names = names  # name: addresses, or an error
        self.asked = []
        self.tried = []
        self.works, self.refuses = [], []
        self.errno = errno.EINPROGRESS
        self.sockets = 0

    def poll(self):
        return FakePoll(self)

    def socket(self, *_):
        return FakeSocket(self)

    def getaddrinfo(self, host, port, *_):
        self.asked.append(host)
        found = self.names[host]
        if isinstance(found, Exception):
            raise found
        return [(_INET, _STREAM, 0, "", address) for address in found]


class Names(unittest.TestCase):
    def begin(self, **names):
        self.net = Net(**names)
        self.saved = transport.usocket, transport.uselect
        transport.usocket = transport.uselect = self.net
        self.tcp = transport.Tcp()

    def tearDown(self):
        transport.usocket, transport.uselect = self.saved

    def connect(self, host="a", port=1):
        """Whether that worked; then the connection is closed again."""
        try:
            self.tcp.open(host, port)
            return self.tcp.ready()
        except OSError:
            return False
        finally:
            self.tcp.close()

    def test_all_addresses_of_a_name(self):
        self.begin(a=["1", "2"])
        found = self.tcp.resolve("a", 1)
        self.assertEqual([address[-1] for address in found], ["1", "2"])
        self.net.works = ["2"]
        self.assertFalse(self.connect(found[0]))
        self.assertTrue(self.connect(found[1]))
        self.assertEqual((self.net.asked, self.net.tried), (["a"], ["1", "2"]))

    def test_a_name_is_resolved_where_it_is_opened(self):
        self.begin(a=["1"])
        self.net.works = ["1"]
        self.assertTrue(self.connect("a"))
        self.net.names["a"] = OSError(-2)
        self.assertRaises(OSError, self.tcp.open, "a", 1)

    def test_failures_leave_no_socket_open(self):
        self.begin(a=["1"])
        for number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOBUFS, errno.EINPROGRESS):
            self.net.errno = number
            for _ in range(3):
                self.assertFalse(self.connect())
        self.assertEqual(self.net.sockets, 0)
        self.assertEqual(self.tcp.poll.registered, [])

    def test_closing_twice_and_opening_without_closing(self):
        self.begin(a=["1"])
        self.tcp.close()
        self.tcp.open("a", 1)
        self.tcp.open("a", 1)
        self.assertEqual(self.net.sockets, 1)
        self.tcp.close()
        self.tcp.close()
        self.assertEqual(self.net.sockets, 0)


if __name__ == "__main__":
    unittest.main()
