"""NKey seeds, JWTs and creds made at run time, in plain MicroPython, for tests of credentials."""

import json
import random
from binascii import b2a_base64

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_KINDS = {"user": 160, "account": 0, "operator": 112, "curve": 184}

CREDS = """-----BEGIN NATS USER JWT-----
%s
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
%s
------END USER NKEY SEED------
"""


def _crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _base32(data):
    bits = have = 0
    out = bytearray()
    for byte in data:
        bits = bits << 8 | byte
        have += 8
        while have >= 5:
            have -= 5
            out.append(_ALPHABET[bits >> have & 31])
    if have:
        out.append(_ALPHABET[bits << 5 - have & 31])
    return bytes(out)


def seed(kind="user", raw=None):
    """The encoded seed (a bytearray) of a random key, or of 32 given bytes."""
    prefix = _KINDS[kind]
    raw = raw or bytes([random.getrandbits(8) for _ in range(32)])
    body = bytes([144 | prefix >> 5, (prefix & 31) << 3]) + raw
    crc = _crc16(body)
    return bytearray(_base32(body + bytes([crc & 255, crc >> 8])))


def public(of):
    """The public key (str) of a seed."""
    from unats.auth import nkey

    return nkey.from_seed(of).public


def _part(value):
    text = b2a_base64(json.dumps(value).encode()).decode().strip()
    return text.rstrip("=").replace("+", "-").replace("/", "_")


def jwt(subject):
    """What looks like a JWT (str) for this public key; nobody signed it."""
    claims = {
        "sub": subject,
        "name": "board",
        "nats": {"type": "user", "version": 2, "pub": {}, "sub": {}},
    }
    return _part({"typ": "JWT", "alg": "ed25519-nkey"}) + "." + _part(claims) + "." + "c2ln" * 21


def creds(seed):
    """The creds (bytes) of this seed."""
    return (CREDS % (jwt(public(seed)), bytes(seed).decode())).encode()
