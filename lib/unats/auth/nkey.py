"""NKeys: signing the server's nonce with the Ed25519 key of a seed ("SUA...").

    from unats.auth import nkey
    key = nkey.from_seed(seed)  # bytes, bytearray or str
    key.public                  # "UABC...": what CONNECT calls `nkey`
    key.signature(nonce)        # what it calls `sig`
    key.wipe()
    nkey.release()              # gives back the memory of the arithmetic

A seed is base32 without padding of 36 bytes: five bits for the letter S, eight for the kind of
key, three of nothing, the 32 bytes of the Ed25519 seed, and a CRC16 of all these (low byte first).
A public key is one byte for the kind, the 32 bytes, and the CRC16.

What is secret is kept in one bytearray, which repr() and errors never show and `wipe()`
overwrites. Out of its reach are the caller's own seed (pass a bytearray and wipe that too; a str
or bytes object cannot be wiped) and the numbers on the heap that signing went through.

Heap, with 32-bit words and modules in .mpy: 3.6 KB for this module, 7.2 KB for the arithmetic,
which the first key loads, of which release() gives back 6.1 KB.
"""

import sys
from binascii import b2a_base64

# What a public key's first byte says; its upper five bits are the letter it starts with.
_KINDS = {0: "account", 16: "cluster", 104: "server", 112: "operator", 160: "user"}
_CURVE = 184
_SEED = 18  # the letter S

_SEED_CHARS = 58
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SPACE = b" \t\r\n"


def from_seed(seed):
    """The `NKey` of an encoded seed: bytes-like or str, with or without white space around it.

    Raises ValueError saying what is wrong with the seed, without quoting any of it. Allocates, and
    loads `unats.ed25519` and `unats.sha512` once the seed has proved sound.
    """
    raw = bytearray(36)
    try:
        _decode(seed, raw)
        if raw[0] >> 3 != _SEED:
            raise ValueError("an NKey seed starts with S")
        if _crc16(raw, 34) != raw[34] | raw[35] << 8:
            raise ValueError("NKey seed does not match its checksum (mistyped?)")
        prefix = (raw[0] & 7) << 5 | raw[1] >> 3
        if prefix == _CURVE:
            raise ValueError("NKey seed is of a curve key, which encrypts and cannot sign")
        if prefix not in _KINDS:
            raise ValueError("NKey seed is of an unknown kind of key")
        from .ed25519 import expand

        return NKey(prefix, expand(memoryview(raw)[2:34]))
    finally:
        _zero(raw)


def public_bytes(public):
    """The 32 bytes of a public key ("UABC..."), bytes-like or str. ValueError: it is none."""
    raw = bytearray(35)
    _decode(public, raw, 56, "public key")
    if raw[0] not in _KINDS:
        raise ValueError("an NKey public key starts with A, C, N, O or U; a seed (S) is secret")
    if _crc16(raw, 33) != raw[33] | raw[34] << 8:
        raise ValueError("NKey public key does not match its checksum (mistyped?)")
    return bytes(raw[1:33])


def release():
    """Unloads the arithmetic: what its import took of the heap becomes free at the next
    collection.

    Keys stay usable and load it again when they next need it.
    """
    package = sys.modules["unats.auth"]
    for name in ("ed25519", "sha512"):
        if sys.modules.pop("unats.auth." + name, None) and hasattr(package, name):
            delattr(package, name)


class NKey:
    """A key pair that signs; made by `from_seed()`."""

    def __init__(self, prefix, expanded):
        self._prefix = prefix
        self._key = expanded  # ours alone, and the only lasting copy
        # The public key's 32 bytes, once they were needed. May be set, which spares the work, but
        # to what it was for the same seed only: signing with another one gives the secret away.
        self.point = None

    def __repr__(self):
        if self.point:
            return "<NKey %s %s>" % (self.kind, self.public)
        return "<NKey %s>" % self.kind

    @property
    def kind(self):
        """What it is a key of: user, account, operator, server or cluster."""
        return _KINDS[self._prefix]

    @property
    def public(self):
        """The public key as text. At first takes nearly as long as a signature; allocates."""
        raw = bytearray(35)
        raw[0] = self._prefix
        raw[1:33] = self._public()
        crc = _crc16(raw, 33)
        raw[33] = crc & 0xFF
        raw[34] = crc >> 8
        return _encode(raw)

    def sign(self, nonce):
        """The signature, 64 bytes, of a bytes-like or str nonce. ValueError after `wipe()`."""
        from .ed25519 import sign

        if isinstance(nonce, str):
            nonce = nonce.encode()
        secret = self._secret()
        return sign(secret, self._public(), nonce)

    def signature(self, nonce):
        """The same as text: base64 of the URL-safe kind without padding, as CONNECT's `sig`."""
        text = b2a_base64(self.sign(nonce)).decode().rstrip("=\n")
        return text.replace("+", "-").replace("/", "_")

    def wipe(self):
        """Overwrites the secret. The public key stays if it was asked for; signing is over."""
        if self._key:
            _zero(self._key)
            self._key = None

    def _secret(self):
        if not self._key:
            raise ValueError("this NKey has been wiped")
        return self._key

    def _public(self):
        if not self.point:
            from .ed25519 import public

            self.point = public(self._secret())
        return self.point


def _zero(secret):
    for i in range(len(secret)):
        secret[i] = 0


def _decode(seed, raw, chars=_SEED_CHARS, what="seed"):
    """Decodes the base32 characters of a seed into the 36 bytes of `raw`, or those of something
    else.
    """
    if isinstance(seed, str):
        seed = seed.encode()
    elif not isinstance(seed, (bytes, bytearray, memoryview)):
        raise ValueError("an NKey %s is bytes or str, not %s" % (what, type(seed).__name__))
    start = 0
    end = len(seed)
    while start < end and seed[start] in _SPACE:
        start += 1
    while start < end and seed[end - 1] in _SPACE:
        end -= 1
    if end - start != chars:
        text = "an NKey %s has %d characters, not %d"
        raise ValueError(text % (what, chars, end - start))
    bits = 0
    have = 0
    at = 0
    for i in range(start, end):
        bits = bits << 5 | _value(seed[i], i - start, what)
        have += 5
        if have >= 8:
            have -= 8
            raw[at] = bits >> have
            bits &= (1 << have) - 1
            at += 1
    if bits:  # 58 characters hold two bits more than 36 bytes
        raise ValueError("NKey seed ends in a character that cannot stand there (mistyped?)")


def _value(char, at, what):
    """What a base32 character (its code) stands for."""
    if 65 <= char <= 90:
        return char - 65
    if 50 <= char <= 55:
        return char - 24
    raise ValueError("character %d of the NKey %s is not base32 (A-Z, 2-7)" % (at + 1, what))


def _encode(raw):
    """The base32 text of 35 bytes, a multiple of five: nothing to pad."""
    text = ""
    bits = 0
    have = 0
    for byte in raw:
        bits = bits << 8 | byte
        have += 8
        while have >= 5:
            have -= 5
            text += _ALPHABET[bits >> have]
            bits &= (1 << have) - 1
    return text


def _crc16(raw, n):
    """CRC-16/XMODEM (polynomial 0x1021, start 0) of the first n bytes."""
    crc = 0
    for i in range(n):
        crc ^= raw[i] << 8
        for _ in range(8):
            crc <<= 1
            if crc & 0x10000:
                crc ^= 0x11021
    return crc
