"""NATS over a serial line, for a board without a network: the transport.

    from machine import UART
    from unats.uart import Uart
    nc = unats.Client("nats://bridge", transport=Uart(UART(0, 115200)))

    nc = unats.Client("nats://bridge", transport=Uart(sys.stdin.buffer, sys.stdout.buffer))

The second one is for the board's USB port. On the computer `make bridge PORT=/dev/ttyACM0
SERVER=nats://...` hands each connection on to a server; which one, and TLS, is its business, so
the URL here says nothing but that there is one.

What was lost or altered on the line is noticed, by checksum and sequence numbers, and ends the
connection; the client makes the next one. So does a bridge that goes away. Nothing that is not
whole gets through. Once open it allocates nothing but what the platform does. Heap: some 4 KB, and
0.8 KB of buffers. A transport: see `unats.tcp`.

Frames: see `kernels.py`. Both sides send

    OPEN    payload: version, and the bytes that may be on their way to the board (2): begins a
            connection of that id; the bridge answers with one, without payload
    DATA    of which at most four of the board's are not acknowledged
    PING    of the bridge, when all is still: to be answered
    ACK     nothing but `seq` and `ack`
    CLOSE   payload: why, UTF-8

In each `seq` is the number of the next DATA, or that of this one, and `ack` that of the one there
is room for, modulo 256. A `seq` that is not the expected one: something was lost.
"""

from random import getrandbits

import uselect
import utime
from micropython import const

from unats.checks import check
from unats.errors import NotConnected
from unats.kernels import copy

from .kernels import (
    AT,
    CRC,
    HEAD,
    HIGH,
    LONGEST,
    LOW,
    STUFFED,
    checksum,
    positions,
    stuff,
    unstuff,
)  # fmt: skip

_VERSION = const(1)
_OPEN = const(79)  # kinds of frames: their letters
_DATA = const(68)
_PING = const(80)
_ACK = const(65)
_CLOSE = const(67)

_AHEAD = const(4)  # DATA that is not acknowledged
_RESERVE = const(112)  # of the port's buffer, for what is no DATA
_RAW = const(64)  # bytes that are read at once
_TAKES = const(256)  # times, a turn
_AGAIN_MS = const(500)  # between two OPENs
_SILENT_MS = const(5000)  # so long nothing comes from a bridge that has gone
_LOOK_MS = const(1000)
_WRITE_MS = const(5)  # between looks whether there is room to write


class Uart:
    """The transport. port: a `machine.UART`, which may be set up with timeout=0 only, or
    `sys.stdin.buffer`. out: what is written to, where that is another (`sys.stdout.buffer`).
    rxbuf: bytes that the port keeps until they are read, from 256 on. ValueError: misuse.
    """

    window = 0

    def __init__(self, port, out=None, rxbuf=256):
        out = out or port
        if not hasattr(port, "readinto") or not hasattr(out, "write"):
            raise ValueError(
                "port: give a machine.UART, or sys.stdin.buffer and sys.stdout.buffer"
            )
        check("rxbuf", rxbuf, 256, 65535)
        self.poll = uselect.poll()
        self._port, self._write = port, out.write
        self._waiting = getattr(port, "any", None)  # a UART says how many bytes it has
        self._raw = bytearray(_RAW if self._waiting else 1)
        self._f, self._in = positions()
        self._data = bytearray(rxbuf - _RESERVE)  # what has come, and was not read
        self._head = bytearray(HEAD)
        self._tail = bytearray(CRC)
        self._out = bytearray(STUFFED)
        self._id = getrandbits(16)
        self._registered = self._up = False
        self._reset()

    def _reset(self):
        self._read = 0  # bytes in _raw
        self._f[AT] = 0
        self._at = self._end = 0  # of what is in _data
        self._sent = self._size = 0  # of a frame in _out
        self._seq = self._acked = self._expected = self._told = 0
        self._due = False  # an ACK is

    def open(self, host, port):
        """As `Tcp`. Who is at the other end does not depend on host and port."""
        self.close()
        self._reset()
        self._id = (self._id + 1 + getrandbits(15)) & 0xFFFF
        self.poll.register(self._port, uselect.POLLIN)
        self._registered = True
        self._ask()

    def _ask(self):
        self._heard = utime.ticks_ms()
        self._frame(_OPEN, bytes((_VERSION,)) + len(self._data).to_bytes(2, "big"), 0, 3)
        self._flush()

    def ready(self):
        """As `Tcp`: once the bridge has a server."""
        if self._flush() and self._silent(_AGAIN_MS):
            self._ask()
        self._receive()
        return self._up

    def readinto(self, buf):
        """As `Tcp`."""
        if self._at == self._end:
            self._receive()
        else:
            self._flush()
        n = min(self._end - self._at, len(buf))
        if n == 0:
            if self._silent(_SILENT_MS):
                raise NotConnected("the bridge does not answer any more")
            return None
        copy(buf, 0, self._data, self._at, n)
        self._at += n
        if self._at == self._end:
            self._at = self._end = 0
            self._told = self._expected
            self._due = True
        return n

    def _silent(self, ms):
        return utime.ticks_diff(utime.ticks_ms(), self._heard) > ms

    def _receive(self):
        """Take what has come."""
        self._flush()
        for _ in range(_TAKES):
            if self._f[AT] == self._read and not self._take():
                break
            n = unstuff(self._raw, self._read, self._f, self._in)
            if n and self._is_good(n):
                self._frame_came(n - CRC)

    def _take(self):
        """How many bytes were read."""
        self._f[AT] = self._read = n = 0
        if self._waiting:
            n = min(self._waiting(), _RAW)
        else:
            for _, events in self.poll.ipoll(0):
                n = 1 if events & uselect.POLLIN else -1
        if n < 0:
            raise NotConnected("the port has gone")
        if n:
            self._read = n = self._port.readinto(self._raw, n) or 0
        return n

    def _is_good(self, n):
        """Whether it is one of this connection's, and has come as it was sent."""
        f, frame = self._f, self._in
        f[LOW] = f[HIGH] = 0xFFFF
        return checksum(f, frame, 0, n) == 0 and frame[1] << 8 | frame[2] == self._id

    def _frame_came(self, end):
        frame, at = self._in, self._end
        kind = frame[0]
        if kind == _CLOSE:
            self._up = False  # it knows
            from unats.msg_extras import text

            raise NotConnected("the bridge: %s" % text(bytes(frame[HEAD:end])))
        if kind == _OPEN:
            self._up = True
        elif not self._up:
            return
        ahead = self._seq - self._acked & 255
        if frame[3] != self._expected or (frame[4] - self._acked & 255) > ahead:
            raise NotConnected("bytes were lost on the line")
        self._heard = utime.ticks_ms()
        self._acked = frame[4]
        if kind == _PING:
            self._due = True
        elif kind == _DATA:
            if at + end - HEAD > len(self._data):
                raise NotConnected("the bridge sends more than there is room for")
            self._expected = self._expected + 1 & 255
            self._end = copy(self._data, at, frame, HEAD, end - HEAD)

    def write(self, buf, off, n):
        """As `Tcp`. What was taken may still be here: `readinto` sends it."""
        if self._seq - self._acked & 255 >= _AHEAD:
            self._receive()
        if not self._flush() or self._seq - self._acked & 255 >= _AHEAD:
            return None
        n = min(n, LONGEST)
        self._frame(_DATA, buf, off, n)
        self._seq = self._seq + 1 & 255
        self._flush()
        return n

    def _frame(self, kind, data, off, n):
        """Have a frame go out."""
        f, head, tail = self._f, self._head, self._tail
        head[0], head[1], head[2] = kind, self._id >> 8, self._id & 255
        head[3], head[4] = self._seq, self._told
        f[LOW] = f[HIGH] = 0xFFFF
        checksum(f, head, 0, HEAD)
        checksum(f, data, off, n)
        for i in range(2):
            tail[i] = (f[LOW] >> 8 * i & 255) ^ 255
            tail[2 + i] = (f[HIGH] >> 8 * i & 255) ^ 255
        self._stuffed(data, off, n)
        self._due = False

    def _stuffed(self, data, off, n):
        out = self._out
        out[0] = 0x7E
        at = stuff(out, 1, self._head, 0, HEAD)
        at = stuff(out, at, data, off, n)
        at = stuff(out, at, self._tail, 0, CRC)
        out[at] = 0x7E
        self._sent, self._size = 0, at + 1

    def _flush(self):
        """Send what is left of a frame, and an ACK that is due; whether all has gone."""
        while self._sent < self._size or self._due:
            if self._sent == self._size:
                self._frame(_ACK, b"", 0, 0)
            n = self._write(self._out, self._sent, self._size - self._sent)
            if not n:
                return False
            self._sent += n
        return True

    def wait(self, timeout_ms, writing):
        """As `Tcp`."""
        self._flush()
        if not writing and (self._at < self._end or self._f[AT] < self._read):
            return
        # (What there is room for once an acknowledgement has come waits for that.)
        timeout_ms = min(timeout_ms, _WRITE_MS if self._sent < self._size else _LOOK_MS)
        for _ in self.poll.ipoll(timeout_ms):
            break

    def close(self):
        """As `Tcp`; says so to the bridge, if there is room for that."""
        if self._up:
            self._up = False
            try:
                if self._flush():
                    self._frame(_CLOSE, b"", 0, 0)
                    self._flush()
            except OSError:
                pass
        if self._registered:
            self._registered = False
            self.poll.unregister(self._port)
