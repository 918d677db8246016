"""MicroPython's `tls` for CPython, with the semantics of its mbedTLS on the Unix port.

What differs from CPython's `ssl`: certificates and keys are DER, in bytes; the handshake is done
by reading and writing, if `do_handshake_on_connect=False`; `readinto` and `write` go on until they
have all, or nothing more goes, and then answer None or less; an error stays; an untrusted
certificate is a ValueError, other failures are OSErrors with mbedTLS's codes; the socket under it
is closed with it, but not after a failed handshake. And two things that a client can fall for:

- After a `write` that did not take all, the next record is encrypted already. The next `write`
  sends that, and takes as many bytes for sent as it is offered.
- Decrypted bytes may be waiting with nothing on the wire: poll this object, not its socket.
"""

import contextlib as _contextlib
import os as _os
import ssl as _ssl
import tempfile as _tempfile

import uselect as _uselect
import usocket as _usocket

PROTOCOL_TLS_CLIENT = 0
PROTOCOL_TLS_SERVER = 1
CERT_NONE = 0
CERT_OPTIONAL = 1
CERT_REQUIRED = 2
MBEDTLS_VERSION = "none: this is CPython's ssl"

_RECORD = 16384
_UNTRUSTED, _ALERT, _EOF, _INVALID = -0x2700, -0x7780, -0x7280, -0x7200
_WRONG_NAME = "The certificate Common Name (CN) does not match with the expected CN"
_REASONS = {  # by OpenSSL's X509_V_ERR
    9: "The certificate validity starts in the future",
    10: "The certificate validity has expired",
    62: _WRONG_NAME,
    64: _WRONG_NAME,
}
_UNKNOWN_CA = "The certificate is not correctly signed by the trusted CA"
_KEY_LABELS = "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"


def _pem(der, label):
    return _ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", label)


@_contextlib.contextmanager
def _file(text):
    fd, path = _tempfile.mkstemp()
    try:
        with _os.fdopen(fd, "w") as f:
            f.write(text)
        yield path
    finally:
        _os.unlink(path)


class SSLContext:
    def __init__(self, protocol):
        self._server = protocol == PROTOCOL_TLS_SERVER
        kind = _ssl.PROTOCOL_TLS_SERVER if self._server else _ssl.PROTOCOL_TLS_CLIENT
        self._context = _ssl.SSLContext(kind)
        self._context.maximum_version = _ssl.TLSVersion.TLSv1_2
        self._context.verify_flags |= _ssl.VERIFY_X509_PARTIAL_CHAIN

    @property
    def verify_mode(self):
        return int(self._context.verify_mode)

    @verify_mode.setter
    def verify_mode(self, mode):
        if mode == CERT_NONE:
            self._context.check_hostname = False
        self._context.verify_mode = _ssl.VerifyMode(mode)

    def load_verify_locations(self, cadata):
        try:
            self._context.load_verify_locations(cadata=bytes(cadata))
        except (_ssl.SSLError, ValueError):
            raise ValueError("invalid cert") from None

    def load_cert_chain(self, cert, key):
        with _file(_pem(cert, "CERTIFICATE")) as cert_path:
            for label in _KEY_LABELS:
                with _file(_pem(key, label)) as key_path, _contextlib.suppress(_ssl.SSLError):
                    return self._context.load_cert_chain(cert_path, key_path)
        raise ValueError("invalid key")

    def wrap_socket(
        self, sock, *, server_side=False, do_handshake_on_connect=True, server_hostname=None
    ):
        if server_hostname is None and self.verify_mode == CERT_REQUIRED and not server_side:
            raise ValueError("CERT_REQUIRED requires server_hostname")
        wrapped = SSLSocket(self._context, sock, server_side, server_hostname)
        if do_handshake_on_connect:
            while not wrapped._handshaken():
                _uselect_wait(wrapped)
        return wrapped


def _uselect_wait(sock):
    poller = _uselect.poll()
    poller.register(sock, _uselect.POLLIN | _uselect.POLLOUT)
    poller.poll()


class _Again(Exception):
    """Nothing goes now."""


class SSLSocket:
    def __init__(self, context, sock, server_side, server_hostname):
        self._raw = sock
        self._in, self._out = _ssl.MemoryBIO(), _ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side, server_hostname)
        self._done = False  # with the handshake
        self._wants = 0  # what the handshake waits for, POLLIN or POLLOUT
        self._unsent = b""  # encrypted
        self._begun = False  # a record of `write` is encrypted, and not all of it sent
        self._error = None

    @property
    def stream(self):
        return _usocket.Stream(self)

    def fileno(self):
        return self._raw.fileno() if self._raw else -1

    def setblocking(self, flag):
        self._raw.setblocking(flag)

    def close(self):
        if self._raw and not self._dead():
            self._raw.close()
        self._raw = None

    def cipher(self):
        return self._object.cipher()[0], self._object.version()

    def _dead(self):
        return self._error is not None and not self._done

    def _ready(self, events):
        """For `uselect`: what can be done without the wire, and what the wire has
        to be asked for.
        """
        if self._raw is None or self._error is not None:
            return 32, 0
        if events & _uselect.POLLIN and self._object.pending():
            return _uselect.POLLIN, events
        return 0, self._wants or events

    def _flush(self):
        """Send what is encrypted; _Again if not all of it goes."""
        self._unsent += self._out.read()
        while self._unsent:
            n = self._raw.write(self._unsent)
            if n is None:
                raise _Again
            self._unsent = self._unsent[n:]

    def _fill(self):
        """Receive what there is; _Again if there is nothing."""
        buf = bytearray(_RECORD)
        n = self._raw.readinto(buf)
        if n is None:
            raise _Again
        if n == 0:
            raise OSError(_EOF, "MBEDTLS_ERR_SSL_CONN_EOF")
        self._in.write(buf[:n])

    def _try(self, operation, *args):
        """What the operation on the TLS object returns, which gets all that it needs from the
        wire.
        """
        while True:
            try:
                return operation(*args)
            except _ssl.SSLWantReadError:
                self._flush()
                self._fill()

    def _handshaken(self):
        self._once(lambda: None)
        return self._done

    def _shake(self):
        self._wants = 0
        if self._done:
            return
        try:
            self._try(self._object.do_handshake)
            self._wants = _uselect.POLLOUT
            self._flush()
        except _Again:
            self._wants = self._wants or (_uselect.POLLOUT if self._unsent else _uselect.POLLIN)
            raise
        self._done = True
        self._wants = 0

    def _once(self, operation, *args):
        """Do the handshake, and then the operation; None if it has to wait."""
        if self._error is not None:
            raise self._error
        try:
            self._shake()
            return operation(*args)
        except _Again:
            return None
        except _ssl.SSLError as e:
            raise self._failed(e) from None
        except OSError as e:
            self._error = OSError(-abs(e.errno), "")
            raise self._error from None

    def _failed(self, error):
        with _contextlib.suppress(_Again, OSError):
            self._flush()  # the alert
        if isinstance(error, _ssl.SSLCertVerificationError):
            self._error = OSError(_UNTRUSTED, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED")
            return ValueError("\n%s\n" % _REASONS.get(error.verify_code, _UNKNOWN_CA))
        alert = "ALERT" in (error.reason or "")
        self._error = OSError(_ALERT if alert else _INVALID, error.reason)
        return self._error

    def _read_record(self, view):
        try:
            return self._try(self._object.read, len(view), view)
        except _ssl.SSLZeroReturnError:
            return 0

    def _write_record(self, view):
        if not self._begun:
            self._object.write(view[:_RECORD])
            self._begun = True
        self._flush()
        self._begun = False
        return min(len(view), _RECORD)

    def _transfer(self, once, view):
        done = 0
        while done < len(view):
            n = self._once(once, view[done:])
            if n is None:
                return done or None
            if n == 0:
                break
            done += n
        return done

    def readinto(self, buf, n=-1):
        view = memoryview(buf).cast("B")
        return self._transfer(self._read_record, view if n < 0 else view[:n])

    def read(self, n):
        buf = bytearray(n)
        n = self.readinto(buf)
        return None if n is None else bytes(buf[:n])

    def write(self, buf, *limits):
        view = memoryview(buf).cast("B")
        off, n = limits if len(limits) == 2 else (0, limits[0] if limits else -1)
        view = view[off:]
        return self._transfer(self._write_record, view if n < 0 else view[:n])
