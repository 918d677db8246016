"""The floor: the same bytes on a socket, with no client at all.

Receiving counts bytes and looks at none of them. Publishing writes bytes made beforehand.
"""

import usocket

_PONG = b"PONG\r\n"


class Driver:
    def __init__(self, port, buffer):
        self.buffer = bytearray(buffer)
        self.pong = bytearray(len(_PONG))
        self.socket = usocket.socket()
        self.socket.connect(usocket.getaddrinfo("127.0.0.1", port)[0][-1])
        self.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
        self.socket.readline()
        self.socket.write(b'CONNECT {"verbose":false,"pedantic":false}\r\n')
        self.cycle = []

    def sync(self):
        self.socket.write(b"PING\r\n")
        self.socket.readinto(self.pong)
        if self.pong != _PONG:
            raise OSError("out of step")

    def subscribe(self, subjects, size):
        for sid, subject in enumerate(subjects, 1):
            self.socket.write("SUB %s %d\r\n" % (subject, sid))
            self.cycle.append(len("MSG %s %d %d\r\n" % (subject, sid, size)) + size + 2)

    def receive(self, count):
        left = sum(self.cycle) * (count // len(self.cycle))
        stream = self.socket
        stream.setblocking(False)
        read, buffer, wait = stream.readinto, self.buffer, _waiter(stream)
        while left:
            n = read(buffer)
            if n:
                left -= n
            else:
                wait(10000)
        stream.setblocking(True)

    def prepare(self, subject, payload):
        self.message = b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload)
        self.block = max(1, len(self.buffer) // len(self.message))

    def written(self, count):
        write, message = self.socket.write, self.message
        for _ in range(count):
            write(message)

    def confirmed(self, count):
        write, read, pong = self.socket.write, self.socket.readinto, self.pong
        message = self.message + b"PING\r\n"
        for _ in range(count):
            write(message)
            read(pong)

    def coalesced(self, count):
        write, block = self.socket.write, self.message * self.block
        for _ in range(count // self.block):
            write(block)
        write(self.message * (count % self.block))
        self.sync()


def _waiter(stream):
    import uselect

    poll = uselect.poll()
    poll.register(stream, uselect.POLLIN)
    return poll.poll
