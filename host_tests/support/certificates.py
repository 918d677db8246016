"""Certificates, made anew in each run: an authority, and what it signs, as files for servers and
boards.
"""

import base64
import datetime
import pathlib

import trustme

_EC = trustme.KeyType.ECDSA


class Identity:
    """A certificate and its key, as the paths (str) `cert`, `key` in PEM, `cert_der`, `key_der` in
    DER.
    """

    def __init__(self, folder, name, issued):
        cert, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
        self.cert, self.key = (
            _write(folder, name + ".pem", cert),
            _write(folder, name + ".key", key),
        )
        self.cert_der = _write(folder, name + ".der", der(cert))
        self.key_der = _write(folder, name + ".key.der", der(key))


def _write(folder, name, data):
    (folder / name).write_bytes(data)
    return str(folder / name)


def der(pem):
    """The DER of the one block in PEM (bytes)."""
    return base64.b64decode(b"".join(pem.strip().splitlines()[1:-1]))


class Authority:
    """A certificate authority; `pem` and `der` are the paths (str) of its certificate."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self._ca = trustme.CA(key_type=_EC)
        self._issued = 0
        pem = self._ca.cert_pem.bytes()
        self.pem, self.der = (
            _write(self.folder, "ca.pem", pem),
            _write(self.folder, "ca.der", der(pem)),
        )

    def issue(self, *names, days=(-1, 365), rsa=False):
        """An Identity for hosts, addresses, or a user@host; valid from and to so many days from
        now.
        """
        self._issued += 1
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = (now + datetime.timedelta(days=n) for n in days)
        kind = trustme.KeyType.RSA if rsa else _EC
        issued = self._ca.issue_cert(*names, not_before=begin, not_after=end, key_type=kind)
        return Identity(self.folder, "%d" % self._issued, issued)


def tls_config(identity, ca=None, **options):
    """The tls block of a nats-server's configuration; with ca, clients must have a certificate of
    its.
    """
    options.update(cert_file=identity.cert, key_file=identity.key)
    if ca:
        options.update(ca_file=ca.pem, verify=True)
    lines = ["  %s: %s" % (name, _value(value)) for name, value in options.items()]
    return "tls {\n%s\n}\n" % "\n".join(lines)


def _value(value):
    return str(value).lower() if isinstance(value, (bool, float)) else '"%s"' % value
