"""A serial port of this computer with the methods of `machine.UART` that a transport uses."""

import fcntl
import os
import struct
import termios


class UART:
    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)

    def fileno(self):
        return self._fd

    def any(self):
        return struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, b"\0\0\0\0"))[0]

    def readinto(self, buf, n):
        try:
            return os.readv(self._fd, [memoryview(buf)[:n]]) or None
        except BlockingIOError:
            return None

    def write(self, buf, off, n):
        try:
            return os.write(self._fd, memoryview(buf)[off : off + n])
        except BlockingIOError:
            return None
