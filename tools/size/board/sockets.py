"""Stands in for `usocket` and `uselect` on a port without sockets: a nats-server from a script.

A connection gives INFO as nats-server sends it (its length matters to nobody's heap afterwards),
takes whatever is written and answers each PING with PONG. One connection at a time.
"""

import sys

_INFO = (
    b'INFO {"server_id":"NDJWZ3QPS2ZTCGBTPBYMPEXYS5JTTRRRXQMDYUO5SQJCR4VG7S4X3CKG",'
    b'"server_name":"scripted","version":"2.15.1","proto":1,"go":"go1.26.0","host":"127.0.0.1",'
    b'"port":4222,"headers":true,"max_payload":1048576,"client_id":7,"client_ip":"127.0.0.1",'
    b'"xkey":""} \r\n'
)

AF_INET = 2
SOCK_STREAM = 1
IPPROTO_TCP = 6
TCP_NODELAY = 1
POLLIN = 1
POLLOUT = 4
POLLERR = 8
POLLHUP = 16


class socket:
    pending = b""

    def __init__(self, *_):
        socket.pending = b""

    def connect(self, address):
        socket.pending = _INFO

    def readinto(self, buf, n=None):
        n = min(len(buf) if n is None else n, len(socket.pending))
        if n == 0:
            return None
        buf[:n] = socket.pending[:n]
        socket.pending = socket.pending[n:]
        return n

    def write(self, buf, start=0, n=None):
        end = len(buf) if n is None else start + n
        for _ in range(bytes(buf[start:end]).count(b"PING\r\n")):
            socket.pending += b"PONG\r\n"
        return end - start

    def setblocking(self, flag):
        pass

    def settimeout(self, seconds):
        pass

    def setsockopt(self, *_):
        pass

    def close(self):
        socket.pending = b""


class poll:
    def register(self, stream, mask=POLLIN | POLLOUT):
        self.ready = [(stream, mask)]

    def modify(self, stream, mask):
        self.ready = [(stream, mask)]

    def unregister(self, stream):
        self.ready = []

    def poll(self, timeout=-1):
        return self.ready

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.ready)


def getaddrinfo(host, port, *_):
    return [(AF_INET, SOCK_STREAM, 0, "", (host, port))]


sys.modules["usocket"] = sys.modules["uselect"] = sys.modules[__name__]
