"""An answer that is larger than the receive buffer: put together of its fragments."""

from json import loads

from unats.errors import Error

_MOST = 65536  # bytes of one


class Whole:
    """What a `Msg` has, of a message that came in fragments; made with the first of them."""

    def __init__(self, msg):
        self.size = self.total = msg.total
        self.headers, self.status = msg.headers, msg.status
        self.offset = 0
        try:
            self._data = bytearray(msg.total if msg.total <= _MOST else 0)
        except MemoryError:
            self._data = b""

    def add(self, msg):
        """Take a fragment; whether it was the last."""
        if self._data:
            msg.copy_into(self._data, msg.offset)
        return msg.last

    @property
    def data(self):
        """The payload. Error: there was no memory for it."""
        if not self._data:
            raise Error("an answer of %d bytes is too large" % self.size)
        return self._data

    @property
    def text(self):
        return bytes(self.data[:200]).decode()

    def copy_into(self, buf, start=0):
        """As `Msg.copy_into`."""
        if not 0 <= start <= len(buf) - self.size:
            raise ValueError("payload: no room for its %d bytes" % self.size)
        buf[start : start + self.size] = self.data
        return self.size

    def json(self):
        return loads(self.data)
