"""Opening a WebSocket (RFC 6455, 4.1), and what the other side says when it closes one.

On a port whose `hashlib` has no SHA-1 an answer need not prove that it is one to this request. All
of this allocates.
"""

import hashlib
from binascii import b2a_base64

from unats.errors import Error, NotConnected, ProtocolError
from unats.nuid import random_hex

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MOST = 4096  # bytes of an answer
_HINTS = {
    400: "is this the server's WebSocket port?",
    401: "give credentials for the proxy in WebSocket(headers=...)",
    403: "the proxy lets nobody in there",
    404: "there is no WebSocket at this path",
    407: "give credentials for the proxy in WebSocket(headers=...)",
    426: "there is no WebSocket at this path",
    502: "the proxy has no connection to the NATS server",
    503: "the proxy has no connection to the NATS server",
    504: "the proxy has no answer from the NATS server",
}
_CODES = {
    1000: "done", 1001: "going away", 1002: "protocol error", 1003: "unsupported data",
    1007: "bad payload", 1008: "policy", 1009: "message too big", 1011: "internal error",
    1012: "restarting", 1013: "try again later",
}  # fmt: skip


def lines(headers):
    """The lines of these headers (a dict), bytes. ValueError, which shows none of them."""
    found = b""
    try:
        for name, value in headers.items():
            name = name.encode() if isinstance(name, str) else bytes(name)
            value = value.encode() if isinstance(value, str) else bytes(value)
            for c in name + value:
                if c < 32 or c == 127:
                    raise ValueError
            if not name or b":" in name or b" " in name:
                raise ValueError
            found += b"%s: %s\r\n" % (name, value)
    except (AttributeError, TypeError, ValueError):
        raise ValueError("headers: give a dict of str, without line ends") from None
    return found


class Opening:
    """The request, of which `request` is still to be sent; `rest`: what came behind the answer."""

    def __init__(self, server, headers):
        self._server = server
        key = b2a_base64(random_hex(16).encode()).strip()
        self._accept = None
        if hasattr(hashlib, "sha1"):
            self._accept = b2a_base64(hashlib.sha1(key + _GUID).digest()).strip()
        host = "[%s]" % server.host if ":" in server.host else server.host
        self.request = (
            b"GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
            % (
                getattr(server, "path", "/").encode(), host.encode(), server.port, key, headers
            )
        )  # fmt: skip
        self._answer = b""
        self.rest = b""

    def step(self, tcp):
        """Send and receive what is possible; whether it is open. Error: it never will be."""
        while self.request:
            n = tcp.write(self.request, 0, len(self.request))
            if not n:
                return False
            self.request = self.request[n:]
        buf = bytearray(256)
        while True:
            n = tcp.readinto(buf)
            if n == 0:
                raise NotConnected("%s closed instead of opening a WebSocket" % self._server)
            if n is None:
                return False
            self._answer += buf[:n]
            end = self._answer.find(b"\r\n\r\n")
            if not b"HTTP/".startswith(self._answer[:5]):
                raise ProtocolError("%s: no HTTP; is it a WebSocket port?" % self._server)
            if end >= 0:
                self.rest = self._answer[end + 4 :]
                self._check(self._answer[:end].split(b"\r\n"))
                return True
            if len(self._answer) > _MOST:
                raise ProtocolError("%s: an answer without end" % self._server)

    def _check(self, answer):
        """Error: the answer (lines) does not open a WebSocket, or it is not this one's."""
        first = answer[0].split(None, 2)
        code = int(first[1]) if len(first) > 1 and first[1].isdigit() else 0
        fields = {}
        for line in answer[1:]:
            name, _, value = line.partition(b":")
            fields[bytes(name).lower()] = bytes(value).strip()
        if code != 101:
            where = fields.get(b"location")
            hint = "it has moved to " + _text(where) if where else _HINTS.get(code, "")
            text = _text(b" ".join(first[1:]))
            raise Error("%s: HTTP %s%s" % (self._server, text, "; " + hint if hint else ""))
        accept = fields.get(b"sec-websocket-accept", b"")
        if (
            fields.get(b"upgrade", b"").lower() != b"websocket"
            or b"upgrade" not in fields.get(b"connection", b"").lower()
            or accept != (self._accept or accept)
            or b"sec-websocket-extensions" in fields
            or b"sec-websocket-protocol" in fields
        ):
            raise ProtocolError("%s: not the answer to this request" % self._server)


def reason(control, size):
    """Why the other side closes: a close frame's payload (RFC 6455, 7.4)."""
    if size < 2:
        return "no reason was given"
    code = control[0] << 8 | control[1]
    text = _text(control[2:size])
    return "%d %s%s" % (code, _CODES.get(code, ""), ", " + text if text else "")


def _text(data):
    return "".join([chr(c) if 31 < c < 127 else "?" for c in data[:200]])
