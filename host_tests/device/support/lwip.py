"""lwIP's memory on an RP2040, as a transport for the client, with a small NATS server behind it.

    net = Lwip(clock, rtt_ms=50)
    nc = unats.Client("nats://host", transport=net)
    net.path = LOST           # all that the board sends vanishes from now on
    nc.poll(50)               # takes up to 10 s more, if it writes where there is no room
    net.stalls, net.longest_stall_ms, net.most_used

Time is a `scripted.Clock`'s: it moves in `wait`, when the test sleeps, and while a write stalls.

What is written is copied to pbufs on one heap, which all connections share, and stays there until
it is acknowledged. With TCP_NODELAY a write is a segment of its own, or several if it is longer
than one may be. A pbuf takes 100 bytes beside its data: 76 for the headers of Ethernet, IPv6 and
TCP, 16 for itself, 8 for the heap. A write that finds no room tries again for 10 s, although the
socket does not block, and then raises ENOMEM; only where the connection's send buffer is full does
it take nothing and return at once. What a closed connection has in flight stays for 10 s, and so
does its socket. Connecting takes a pbuf, too.

Where lwIP may do better or worse, this does worse: nothing is joined with what waits to be sent,
and what was lost is sent again by open connections only. In three ways it is kinder: the heap has
no holes, nothing else is on it, and there are as many segments as are wanted. lwIP has 32 of them
for all connections together, which two windows of tiny messages exceed: `segments=SEGMENTS`.

How near it comes to the longest turns that were measured on real firmware, without a window: where
messages of 64 bytes are not acknowledged, 10,000 ms (measured 10,007); with 700 bytes the next
connection is the first to stall, for 9,000 to 10,000 ms (measured 10,000; after other faults
9,737 and 6,588); on a connection 0.3 s after another 9,650 ms (measured 9,500). With a window of
3,000 no write stalls, here or there; the heap holds 4,860 bytes at most with a message a turn,
6,924 with as many as there is room for (measured 5,480). With 4,000 some stall. Where four
connections are lost within 10 s, and nothing is waited for, it holds 7,940 bytes (measured 7,864),
or a write stalls.
"""

import errno

HEAP = 8000  # bytes, for all connections together
QUEUE = 32  # pbufs of one connection
SEGMENTS = 32  # of all connections together; there is no such limit unless it is set
SEND_BUFFER = 6400  # bytes of one connection; at these a write takes nothing, and returns at once
MSS = 800  # bytes of data that a segment has at most
OVERHEAD = 100  # bytes of a pbuf on the heap, beside its data
PER_WRITE = 96  # bytes that the client's window counts for a write, beside its data
SOCKETS = 5
LINGER_MS = 10000  # so long a closed connection keeps what is not acknowledged, and its socket
STALL_MS = 10000  # so long a write tries to find room

UP = "up"
LOST = "lost"  # what the board sends vanishes; what is sent to it arrives
MUTE = "mute"  # what it sends arrives, and nothing comes back, no acknowledgement either

INFO = b'INFO {"server_id":"LWIP","version":"2.15.1","max_payload":1048576,"headers":true}\r\n'

_TRY_MS = 50
_RESEND_MS = 1000  # doubles each time
_NEVER = _ANY = 1 << 28
_RESET = None  # in place of bytes that come


class Session:
    """The server's end of a connection.

    number: 1 is the first connection's. subjects: subscribed to. pings, messages, arrived: how
    many PINGs, messages, bytes came. reading; window: bytes that it takes in while it does not.
    """

    def __init__(self, number, on_message):
        self.number = number
        self.arrived = self.messages = 0
        self.subjects = []
        self.pings = 0
        self.reading = True
        self.window = 1000
        self._on_message = on_message
        self._unread = 0  # bytes
        self._data = b""  # what is not acted on yet, in order
        self._at = 0  # where the next operation begins in it

    def has_room(self, n):
        return self.reading or self._unread + n <= self.window

    def arrive(self, data):
        self.arrived += len(data)
        self._unread += len(data)
        self._data += data

    def read(self):
        """Read what has arrived, if it does read; how many PINGs were in it."""
        before = self.pings
        if self.reading:
            self._unread = 0
            while self._operation():
                pass
            self._data = self._data[self._at :]
            self._at = 0
        return self.pings - before

    def _operation(self):
        """Act on the next operation; False if not all of it is there."""
        end = self._data.find(b"\r\n", self._at) + 2
        if end < 2:
            return False
        line = self._data[self._at : end - 2]
        words = line.split(b" ")
        if words[0] in (b"PUB", b"HPUB"):
            end = self._message(words, end)
            if not end:
                return False
        elif words[0] == b"PING":
            self.pings += 1
        elif words[0] == b"SUB":
            self.subjects.append(words[1].decode())
        elif words[0] not in (b"CONNECT", b"PONG", b"UNSUB"):
            raise AssertionError("the server was sent %r" % line)
        self._at = end
        return True

    def _message(self, words, at):
        """Take in a message with its payload at `at`; where it ends, 0 if not all is there."""
        end = at + int(words[-1])
        if len(self._data) < end + 2:
            return 0
        if self._data[end : end + 2] != b"\r\n":
            raise AssertionError("the server was sent %r, and another payload" % words)
        self.messages += 1
        if self._on_message is not None:
            self._on_message(self, words[1].decode(), self._data[at:end])
        return end + 2


class Segment:
    """What is written, while it is in memory."""

    def __init__(self, data=b""):
        self.data = data
        self.counts = 0  # of the window; the first of a write has it all
        self.cost = OVERHEAD + (len(data) + 3 & ~3)
        self.arrived = False
        self.acked_at = None


class Connection:
    """The board's end of a connection; `session`: the other one. writes, opened_ms, closed_ms."""

    def __init__(self, now, session):
        self.session = session
        self.queue = [Segment()]  # SYN; in the order of writing, what is not acknowledged
        self.coming = []  # [when, bytes]
        self.received = b""
        self.up = self.ended = False  # the server's end is up; it is closed
        self.dead = False  # nothing is acknowledged any more
        self.error = None
        self.writes = 0
        self.opened_ms, self.closed_ms = now, None
        self.resend_at, self.resend_ms = None, _RESEND_MS

    @property
    def used(self):
        return sum([segment.cost for segment in self.queue])

    @property
    def in_flight(self):
        return sum([len(segment.data) for segment in self.queue])

    def send(self, now, path, rtt_ms):
        """Let arrive what can, in order, and be acknowledged."""
        self.resend_at = None
        if self.dead:
            return
        for segment in self.queue:
            if not segment.arrived:
                if path == LOST or not self.session.has_room(len(segment.data)):
                    break
                segment.arrived = True
                self.session.arrive(segment.data)
            if segment.acked_at is None and path == UP:
                segment.acked_at = now + rtt_ms
        for _ in range(self.session.read()):
            self.coming.append([now + rtt_ms, b"PONG\r\n"])
        if path != UP:
            self.resend_at = now + self.resend_ms
            self.resend_ms *= 2

    def advance(self, now, path, rtt_ms):
        """Do what was to happen by now."""
        while self.queue and self.queue[0].acked_at is not None and self.queue[0].acked_at <= now:
            self.queue.pop(0)
            self.resend_ms = _RESEND_MS
            if not self.up:
                self.up = True
                self.coming.append([now + rtt_ms, INFO])
        while self.coming and path != MUTE and self.coming[0][0] <= now:
            self._receive(self.coming.pop(0)[1])
        if self.closed_ms is None:
            if self.resend_at is not None and self.resend_at <= now:
                self.send(now, path, rtt_ms)
        elif now - self.closed_ms >= LINGER_MS:
            self.queue.clear()

    def _receive(self, data):
        if data is _RESET:
            self.error = OSError(errno.ECONNRESET, "ECONNRESET")
            self.queue.clear()
        else:
            self.received += data
            while self.queue and self.queue[0].arrived:  # it acknowledges these
                self.queue.pop(0)

    def next_ms(self, path):
        """When something is to happen to it."""
        times = [segment.acked_at for segment in self.queue[:1]] + [self.resend_at]
        if path != MUTE and self.coming:
            times.append(self.coming[0][0])
        return min([_NEVER] + [at for at in times if at is not None])

    def forget(self):
        """The server's end is gone, and says nothing of it."""
        self.dead = True
        self.coming.clear()
        self.resend_at = None
        for segment in self.queue:
            segment.acked_at = None


class Lwip:
    """The transport. What a test may set at any time, and look at:

    path            UP, LOST, MUTE
    rtt_ms          from a write to its acknowledgement, and from PING to PONG
    window          the transport's, see the client
    sockets         that there are; segments: for all connections together
    on_message      None, or f(session, subject, payload), called for each message that arrives
    take_and_fail   the next write takes everything and raises ENOMEM
    connections     all that were opened, from the first on
    now             milliseconds since the beginning
    stalls          writes that waited; longest_stall_ms
    most_used       of the heap; most_queued: pbufs of a connection; most_segments: of all
    most_counted    bytes that a connection had in flight, as the client's window counts them
    spins           waits that ended at once, again, for what is then not done; each takes 1 ms
    """

    def __init__(self, clock, rtt_ms=5, window=3000, segments=_ANY):
        self.path = UP
        self.rtt_ms = rtt_ms
        self.window = window
        self.sockets = SOCKETS
        self.segments = segments
        self.on_message = None
        self.take_and_fail = False
        self.connections = []
        self.stalls = self.longest_stall_ms = self.spins = 0
        self.most_used = self.most_queued = self.most_segments = self.most_counted = 0
        self.now = 0
        self._clock = clock
        self._seen = clock.ticks_ms()
        self._current = None
        self._held = []  # connections that have a socket
        self._down_until = 0
        self._in_vain = False  # the last wait ended at once, and nothing came of that yet

    # What befalls it

    @property
    def session(self):
        """The server's end of the connection at hand."""
        return self.connections[-1].session

    def send(self, data):
        """The server sends this."""
        self._advance()
        self._current.coming.append([self.now + self.rtt_ms // 2, data])

    def stop_reading(self):
        """The server reads no more; it still takes in `session.window` bytes."""
        self.session.reading = False

    def read_again(self):
        """It reads what has come, and goes on."""
        self._advance()
        self.session.reading = True
        self._current.send(self.now, self.path, self.rtt_ms)

    def end(self):
        """The server closes; what is not acknowledged by now never will be."""
        self._advance()
        self._current.forget()
        self._current.ended = True

    def restart(self, down_ms):
        """The server ends every connection by a reset, and takes none for so long."""
        self._advance()
        self._down_until = self.now + down_ms
        for connection in self._held:
            connection.forget()
            connection.coming.append([self.now, _RESET])

    @property
    def used(self):
        """Bytes of the heap."""
        return sum([connection.used for connection in self._held])

    @property
    def in_flight(self):
        """Bytes of the connection at hand."""
        return self._current.in_flight

    @property
    def messages(self):
        """How many arrived."""
        return sum([connection.session.messages for connection in self.connections])

    # The transport's contract

    def open(self, host, port):
        self.close()
        self._advance()
        connection = Connection(self.now, Session(len(self.connections) + 1, self.on_message))
        if len(self._held) >= self.sockets or not self._fits(connection, [], connection.queue):
            raise OSError(errno.ENOMEM, "ENOMEM")
        self._current = connection
        self._held.append(connection)
        self.connections.append(connection)
        if self.now < self._down_until:
            connection.forget()
            connection.coming.append([self.now + self.rtt_ms, _RESET])
        else:
            connection.send(self.now, self.path, self.rtt_ms)
        self._note()

    def ready(self):
        connection = self._at_hand()
        if connection.error is not None:
            raise connection.error
        return connection.up

    def readinto(self, buf):
        connection = self._at_hand()
        n = min(len(buf), len(connection.received))
        if n:
            buf[:n] = connection.received[:n]
            connection.received = connection.received[n:]
            self._in_vain = False
            return n
        if connection.error is not None:
            raise connection.error
        return 0 if connection.ended else None

    def write(self, buf, off, n):
        connection = self._at_hand()
        if connection.error is not None:
            raise connection.error
        n = min(n, SEND_BUFFER - connection.in_flight) if connection.up else 0
        if n <= 0:
            return None
        data = bytes(memoryview(buf)[off : off + n])
        segments = [Segment(data[at : at + MSS]) for at in range(0, n, MSS)]
        segments[0].counts = n + PER_WRITE
        self._await_room(connection, segments)
        self._queue(connection, segments)
        connection.writes += 1
        self._in_vain = False
        if self.take_and_fail:
            self.take_and_fail = False
            raise OSError(errno.ENOMEM, "ENOMEM")
        return n

    def wait(self, timeout_ms, writing):
        self._at_hand()
        until = self.now + timeout_ms
        begun = self.now
        while self.now < until and not self._can_go_on(writing):
            times = [connection.next_ms(self.path) for connection in self._held]
            self._sleep(max(1, min([until] + times) - self.now))
        if timeout_ms > 0 and self.now == begun:
            if self._in_vain:
                self.spins += 1
                self._sleep(1)
            self._in_vain = True

    def close(self):
        connection, self._current = self._current, None
        if connection is None:
            return
        self._advance()
        connection.closed_ms = self.now
        if connection.error is not None or not connection.up:
            connection.queue.clear()
        elif self._fits(connection, connection.queue, [Segment()]):
            self._queue(connection, [Segment()])  # FIN
        connection.coming.clear()
        connection.resend_at = None
        self._advance()

    # Memory and time

    def _at_hand(self):
        if self._current is None:
            raise OSError(errno.EBADF, "EBADF")
        self._advance()
        return self._current

    def _fits(self, connection, queue, segments):
        """Whether there is room for these segments behind those."""
        return (
            self.used + sum([segment.cost for segment in segments]) <= HEAP
            and len(queue) + len(segments) <= QUEUE
            and self._segments() + len(segments) <= self.segments
        )

    def _segments(self):
        return sum([len(connection.queue) for connection in self._held])

    def _await_room(self, connection, segments):
        """Return once there is room. OSError: there was none in 10 s."""
        begun = self.now
        while not self._fits(connection, connection.queue, segments):
            self.stalls += self.now == begun
            if self.now - begun >= STALL_MS:
                raise OSError(errno.ENOMEM, "ENOMEM")
            self._sleep(_TRY_MS)
            self.longest_stall_ms = max(self.longest_stall_ms, self.now - begun)

    def _queue(self, connection, segments):
        connection.queue.extend(segments)
        if connection.resend_at is None:
            connection.send(self.now, self.path, self.rtt_ms)
        self._note()

    def _note(self):
        self.most_used = max(self.most_used, self.used)
        self.most_segments = max(self.most_segments, self._segments())
        for connection in self._held:
            self.most_queued = max(self.most_queued, len(connection.queue))
            self.most_counted = max(self.most_counted, sum([s.counts for s in connection.queue]))

    def _can_go_on(self, writing):
        c = self._current
        if c.received or c.ended or c.error is not None:
            return True
        return writing and c.up and c.in_flight < SEND_BUFFER

    def _sleep(self, ms):
        self._clock.sleep_ms(ms)
        self._advance()

    def _advance(self):
        ticks = self._clock.ticks_ms()
        self.now += self._clock.ticks_diff(ticks, self._seen)
        self._seen = ticks
        for connection in self._held:
            connection.advance(self.now, self.path, self.rtt_ms)
        self._held = [c for c in self._held if c is self._current or c.queue]
