"""Publishing a message that is larger than the transmit buffer: from where its parts lie."""

from micropython import const

from .errors import NotConnected, Timeout

_END = const(1)  # the frame: see kernels.py
_HURRIES = const(7)


class Large:
    """Sends a large message here and now, waiting; if that fails in the middle the connection ends."""

    def __init__(self, client):
        self._client = client
        self._out = client._out
        self._net = client._net
        self._until = self._head = 0
        self._done = False  # the message at hand is sent whole

    def send(self, source, start, n):
        """Send what `Outgoing.take` was given to source[start:start + n]; whether it went.

        ValueError: the control line does not fit the transmit buffer, where it is made.
        """
        out = self._out
        if out.needs(n) - out.body() > out.limit:
            raise ValueError("subject: too long for tx_size")
        self._client._hurry(1)  # its end is not to wait until the rest is acknowledged
        out.frame[_HURRIES] = 1
        if not self._send_queue():
            return False
        self._head = out.head(source, start, n)
        return self._send_whole()

    def _send_whole(self):
        self._done = False
        with self:
            self._send_parts()
        return self._done

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        """Whatever was raised in the middle, nothing may follow half a message."""
        if not self._done and self._net.error is None:
            self._net.error = NotConnected("a message was cut off")

    def _send_parts(self):
        """Send control line, headers and payload, and count the message."""
        out = self._out
        if not self._send(out.buf, self._head):
            return
        if out.headers is not None and not self._send(out.headers, len(out.headers)):
            return
        if self._send(out.data, out.size) and self._send(b"\r\n", 2):
            out.count()
            self._done = True

    def _send_queue(self):
        """Send what was queued before."""
        self._until = self._client._in(self._client._connect_timeout)
        while self._out.frame[_END]:
            if not self._goes_on(self._client._write()):
                return False
        return True

    def _send(self, part, n):
        """Send the first n bytes of part."""
        sent = 0
        while sent < n:
            moved = self._client._push(part, sent, n - sent)
            sent += moved
            if not self._goes_on(moved):
                return False
        return True

    def _sleep(self):
        with self._net:
            self._client._wait(100, True)

    def _goes_on(self, moved):
        """Between two writes: wait for room; False if there is none to come."""
        if moved:
            self._until = self._client._in(self._client._connect_timeout)
        elif self._client._left(self._until) > 0:
            self._sleep()
        elif self._net.error is None:
            self._net.error = Timeout("%s takes nothing more" % self._client._servers.current)
        return self._net.error is None
