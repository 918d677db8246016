"""TLS: `Client("tls://host:4222", tls=Tls(ca="/ca.der"))`.

A NATS server says INFO in clear, and then both go over to TLS; or TLS comes first, if both are
set so (`handshake_first`). Nothing but that INFO is ever taken, and nothing at all is ever sent,
in clear. `Secure` is the transport:

    open -> _SILENT -> first byte -> _CLEAR -> secure() -> _SHAKING -> first byte -> _SECURED

mbedTLS does the handshake in `readinto` and `write`, a step in each call, and fails there if the
server is not who it should be; so no byte of the client's can leave before that is known.
"""

import errno

import utime
from micropython import const

from .checks import check
from .errors import AuthError, Error, NotConnected, ProtocolError, Timeout
from .tcp import Tcp

_SILENT = const(0)
_CLEAR = const(1)
_SHAKING = const(2)
_SECURED = const(3)

_FIRST_YEAR = const(2024)  # no clock that was ever set is before that
_UNTRUSTED = const(-0x2700)  # codes of mbedTLS, which come as errno
_NO_CA = const(-0x7680)
_ALERT = const(-0x7780)
_NO_MEMORY = const(-0x7F00)
_CLOSED = -0x7280, -0x7880
_TROUBLES = {
    -0x7200: "that is no TLS; handshake_first must be as the server has it",
    -0x6E00: "no protocol version or cipher in common",
}
_FAILURES = (OSError, ValueError, MemoryError)
_RESTS = errno.ENOBUFS, errno.ENOMEM  # for TCP only for now, but a TLS object is broken then
_GONE = 32, -32, errno.ECONNRESET, -errno.ECONNRESET  # 32: EPIPE, which has no name
_SYSTEM = const(256)  # below: not of mbedTLS, but of the socket under it, often negative


class Tls:
    """How to speak TLS; for `Client(tls=...)`. Keeps nothing of a private key but in its
    SSLContext.

    ca: the certificate (or several in one PEM) that the server's must be signed by.
    cert, key: the board's own certificate and private key, for servers that want one.
    Each is the path (str) of a file, or bytes, or PEM text; DER or PEM.
    server_hostname: whom the server's certificate must be made out to, and what it is told (SNI);
    of all servers. None: the host of the URL; of a server that was discovered by its address, the
    host of the URL that led to it.
    handshake_first: TLS from the first byte, if the server is set so.
    handshake_timeout_ms: for the handshake, within the client's `connect_timeout_ms`.
    insecure_skip_verify: take any server for the right one, whoever it is. In place of `ca`.
    context: an SSLContext of your own, in place of ca, cert, key; it must verify by itself.
    ValueError: what is missing, or cannot be read. Allocates; certificates stay in memory.
    """

    def __init__(
        self,
        ca=None,
        *,
        cert=None,
        key=None,
        server_hostname=None,
        handshake_first=False,
        handshake_timeout_ms=4000,
        insecure_skip_verify=False,
        context=None,
    ):
        check("handshake_timeout_ms", handshake_timeout_ms, 1)
        if type(handshake_first) is not bool or type(insecure_skip_verify) is not bool:
            raise ValueError("tls: handshake_first and insecure_skip_verify are True or False")
        if not (server_hostname is None or isinstance(server_hostname, str)):
            raise ValueError("tls: server_hostname is a str, or None: the name in the URL")
        if context is None:
            context = _context(ca, cert, key, insecure_skip_verify)
        elif ca is not None or cert is not None or key is not None or insecure_skip_verify:
            raise ValueError("tls: an SSLContext has its own ca, cert, key and verify_mode")
        self.context = context
        self.server_hostname = server_hostname
        self.handshake_first = handshake_first
        self.handshake_timeout_ms = handshake_timeout_ms

    @property
    def verifies(self):
        """Whether the server has to prove who it is."""
        return getattr(self.context, "verify_mode", 2) != 0


def _context(ca, cert, key, insecure):
    """The SSLContext; everything that can be wrong with certificates and key is found here."""
    if (ca is None) != bool(insecure):
        raise ValueError(
            "tls: give ca, the certificate to trust; insecure_skip_verify=True trusts anybody"
        )
    if (cert is None) != (key is None):
        raise ValueError("tls: give cert and key together")
    try:
        import tls
    except ImportError:
        import ssl as tls  # its name before MicroPython 1.23

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    if insecure:
        context.verify_mode = tls.CERT_NONE
    else:
        _load(context.load_verify_locations, ca)
    if cert is not None:
        _load_own(context, cert, key)
    return context


def _load(load, ca):
    for der in _ders(ca, b"CERTIFICATE", "ca"):
        try:
            load(der)
        except ValueError:
            raise ValueError(
                "ca: not a certificate, or of a kind this port does not know"
            ) from None


def _load_own(context, cert, key):
    certs = _ders(cert, b"CERTIFICATE", "cert")
    keys = _ders(key, b"PRIVATE KEY", "key")
    if len(certs) > 1 or len(keys) > 1:
        raise ValueError("cert, key: one each; MicroPython takes no chain of certificates")
    try:
        context.load_cert_chain(certs[0], keys[0])
    except ValueError:
        raise ValueError("cert, key: not those, or of a kind this port does not know") from None


def _ders(given, label, what):
    """The DER blocks of a file, or of bytes. ValueError, which never shows what was given."""
    if isinstance(given, str) and "-----BEGIN" in given:
        given = given.encode()
    if isinstance(given, str):
        try:
            with open(given, "rb") as f:
                given = f.read()
        except OSError:
            raise ValueError("%s: there is no such file" % what) from None
    given = bytes(given)
    if b"-----BEGIN" in given:
        from .pem import blocks

        return blocks(given, label, what)
    if given[:1] != b"\x30":  # an ASN.1 SEQUENCE
        raise ValueError("%s: neither DER nor PEM" % what)
    return [given]


def secured(tls, transport, nc):
    """The transport for `Client(tls=...)`, to `nc.current`. ValueError: misuse."""
    if transport is not None:
        raise ValueError(
            "tls: it does not go over a transport of your own, which has to do that itself"
        )
    if hasattr(tls, "wrap_socket"):
        tls = Tls(context=tls)
    if not isinstance(tls, Tls):
        raise ValueError('tls: give unats.tls.Tls(ca="/ca.der"); MicroPython itself trusts nobody')
    return Secure(tls, nc)


class Secure(Tcp):
    """A TCP connection that goes over to TLS. Once it has, as `Tcp`: only the platform allocates.

    `_raw` is the socket under the TLS object, which is `_sock` then and does not always close it.
    """

    def __init__(self, tls, nc):
        super().__init__()
        self._tls = tls
        self._nc = nc
        self._explains = _Explains(nc)
        self._raw = None
        self._stage = _SILENT
        self._until = 0  # the deadline of the handshake
        self._owed = 0  # bytes that mbedTLS may have encrypted, but did not report as taken
        self._off = 0  # where they are in the buffer
        self._full = False  # there may be something to read with nothing on the wire

    def open(self, host, port):
        """As `Tcp`. AuthError: the clock is not set, so that no certificate can be valid."""
        self.close()
        if self._tls.verifies and utime.gmtime()[0] < _FIRST_YEAR:
            raise AuthError("TLS: the clock is not set: %s" % _today())
        super().open(host, port)

    def ready(self):
        """As `Tcp`; TLS begins then, if it comes first."""
        if not super().ready():
            return False
        if self._tls.handshake_first:
            self._begin()
        return True

    def secure(self, info, in_clear):
        """The server has said INFO: begin with TLS, if that was in clear. Error: it cannot be.

        in_clear: bytes that came behind it. They, and what INFO says of other servers, could be
        anybody's, and no server of NATS sends such.
        """
        if self._stage > _CLEAR:
            return
        if in_clear:
            raise ProtocolError("%s sent more than INFO before TLS" % self._nc.current)
        if not (info.tls_required or info.tls_available):
            raise Error("%s has no TLS, which was asked for" % self._nc.current)
        info.connect_urls = []
        info.ldm = False
        self._begin()

    def _begin(self):
        tls, server = self._tls, self._nc.current
        self.poll.unregister(self._sock)
        self._raw, self._sock = self._sock, None
        name = tls.server_hostname or server.tls_name or server.host
        with self._explains:
            self._sock = tls.context.wrap_socket(
                self._raw, server_hostname=name, do_handshake_on_connect=False
            )
        self.poll.register(self._sock, self._flags)
        self._until = utime.ticks_add(utime.ticks_ms(), tls.handshake_timeout_ms)
        self._stage = _SHAKING
        self._full = True  # the client begins: no use to wait for the server before

    def readinto(self, buf):
        """As `Tcp`. Error: also whatever is wrong with the handshake."""
        if self._stage != _SECURED:
            return self._read_early(buf)
        n = self._get(buf)
        self._full = n == len(buf)
        return n

    def _get(self, buf):  # by itself, as `_put`: a frame with all of it would need the heap
        with self._explains:
            return self._sock.readinto(buf)

    def write(self, buf, off, n):
        """As `Tcp`; what was not taken has to be offered again, with as much as you like behind
        it.

        For it may be encrypted already: mbedTLS sends that then, and believes that as many bytes
        have gone as it is offered.
        """
        if self._stage != _SECURED:
            return self._write_early(buf, off, n)
        if self._owed:
            n = min(n, self._owed)
        self._off = off
        self._owed = n
        n = self._put(buf)
        if n:
            self._owed -= n
        return n

    def _put(self, buf):
        try:
            return self._sock.write(buf, self._off, self._owed)
        except OSError:
            return self._fail()

    def _fail(self):
        """Writing failed, and the TLS object with it: reading says the same, and is explained."""
        self._get(bytearray(1))
        raise NotConnected(str(self._nc.current))

    def wait(self, timeout_ms, writing):
        """As `Tcp`."""
        if self._full:  # the wire may be silent, and not every port tells what is decrypted
            timeout_ms = min(timeout_ms, 1)
        elif self._stage == _SHAKING:
            timeout_ms = min(timeout_ms, max(self._left(), 0))
        super().wait(timeout_ms, writing)

    def close(self):
        """As `Tcp`."""
        super().close()
        if self._raw:
            self._raw.close()
            self._raw = None
        self._stage = _SILENT
        self._owed = 0
        self._full = False

    # Before it is secured

    def _left(self):
        return utime.ticks_diff(self._until, utime.ticks_ms())

    def _read_early(self, buf):
        self._full = False
        if self._stage == _SHAKING:
            return self._shake(self._sock.readinto, buf)
        return self._read_clear(buf)

    def _read_clear(self, buf):
        n = self._sock.readinto(buf)
        if n == 0:
            raise NotConnected("%s closed before INFO; is it handshake_first?" % self._nc.current)
        if n and self._stage == _SILENT:
            self._stage = _CLEAR
            if buf[0] | 32 != 105:  # the I of INFO: a message would have found its handler
                raise ProtocolError("%s did not begin with INFO" % self._nc.current)
        return n

    def _write_early(self, buf, off, n):
        if self._stage != _SHAKING:
            raise Error("TLS: nothing is sent in clear")
        taken = self._shake(self._sock.write, buf, off, n)
        self._owed = n - (taken or 0)
        return taken

    def _shake(self, call, *args):
        """A step of the handshake; with the first byte that gets through it is over."""
        if self._left() <= 0:
            raise Timeout("TLS: no end of the handshake with %s in time" % self._nc.current)
        try:
            n = call(*args)
        except _FAILURES as e:
            raise _explained(e, self._nc.current, self._alerted(e))
        if n:
            self._stage = _SECURED
        return n

    def _alerted(self, error):
        """Whether a socket that failed while writing has got an alert (RFC 5246, 7.2), not read
        yet.
        """
        record = bytearray(1)
        if getattr(error, "errno", 0) in _GONE:
            try:
                self._raw.readinto(record)
            except OSError:
                pass
        return record[0] == 21


class _Explains:
    """`with explains:` around the platform's calls: an Error for what they raise. Allocates only
    then.
    """

    def __init__(self, nc):
        self._nc = nc

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, _FAILURES):
            raise _explained(error, self._nc.current)


def _explained(error, server, alerted=False):
    """The Error for what the platform raised on a connection to this server."""
    if isinstance(error, ValueError):  # mbedTLS says why it does not trust the certificate
        text = "; ".join([line for line in str(error).split("\n") if line])
        if "validity" in text:
            text += "; the clock says " + _today()
        return AuthError("TLS: %s is not trusted: %s" % (server, text))
    code = _ALERT if alerted else getattr(error, "errno", None) or 0
    if isinstance(error, MemoryError) or code == _NO_MEMORY or abs(code) in _RESTS:
        return Error("TLS: not enough memory for a connection to %s" % server)
    if 0 < abs(code) < _SYSTEM:
        return NotConnected(abs(code), str(server))
    if code in _CLOSED:
        return NotConnected("%s closed the connection" % server)
    if code == _UNTRUSTED or code == _NO_CA:
        return AuthError("TLS: %s is not trusted" % server)
    if code == _ALERT:
        return AuthError("TLS: %s refused: is there a client certificate that it trusts?" % server)
    return Error("TLS: connection to %s failed: %s" % (server, _TROUBLES.get(code, error)))


def _today():
    return "%04d-%02d-%02d" % utime.gmtime()[:3]
