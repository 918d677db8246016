"""Publishing, and nothing else: for a board that wakes, sends a few readings and sleeps again.

    nc = unats_simple.Client("192.168.1.10", user="board-7", password="...")
    nc.publish("sensors.board-7.temp", b"21.53")
    nc.close()                               # returns once the server has all of it

It waits, and raises OSError when something fails: for what is to go on by itself, take `unats`.
Each call waits for the network at most `timeout_s` at a time. IPv4 or IPv6, no TLS. Allocates.
"""

import json

import usocket


class Client:
    """A connection. user and password, or token: credentials. OSError: there is none."""

    def __init__(self, host, port=4222, user=None, password=None, token=None, timeout_s=5):
        options = {"verbose": False, "pedantic": False, "lang": "micropython"}
        for name, value in ("user", user), ("pass", password), ("auth_token", token):
            if value is not None:
                options[name] = value
        address = usocket.getaddrinfo(host, port, 0, usocket.SOCK_STREAM)[0]
        self._sock = usocket.socket(address[0], usocket.SOCK_STREAM)
        try:
            self._sock.settimeout(timeout_s)
            self._sock.connect(address[-1])
            self._wait_for(b"INFO")
            self._send(b"CONNECT %s\r\n" % json.dumps(options).encode())
            self.flush()
        except Exception:
            self._sock.close()
            raise

    def publish(self, subject, payload):
        """Send a message. subject: str. payload: bytes, bytearray or str."""
        subject = subject.encode()
        if not subject or min(subject) <= 32:
            raise ValueError("subject: no blanks and line ends")
        payload = payload.encode() if isinstance(payload, str) else payload
        self._send(b"PUB %s %d\r\n%s\r\n" % (subject, len(payload), bytes(payload)))

    def flush(self):
        """Wait until the server has taken all that was published. OSError: it has not."""
        self._send(b"PING\r\n")
        self._wait_for(b"PONG")

    def close(self):
        """As `flush`, and close."""
        try:
            self.flush()
        finally:
            self._sock.close()

    def _send(self, data):
        if self._sock.write(data) != len(data):
            raise OSError("not sent in time")

    def _wait_for(self, verb):
        line = b""
        while line[:4] != verb:
            line = self._sock.readline()
            if not line or line[:4] == b"-ERR":
                raise OSError(line[5:].decode().strip() if line else "no answer in time")
            if line[:4] == b"PING":
                self._send(b"PONG\r\n")
