"""Signatures checked: the vectors of RFC 8032, what is altered in them, and keys that are none."""

import unittest
from binascii import unhexlify

import identities
from test_ed25519 import VECTORS
from unats.auth import ed25519, nkey
from unats.auth.verify import verify

SEED = bytes(identities.seed("user", bytes(32))).decode()


def public_of(point):
    """The text of a user's public key."""
    raw = bytearray(35)
    raw[0] = 160
    raw[1:33] = point
    crc = nkey._crc16(raw, 33)
    raw[33], raw[34] = crc & 0xFF, crc >> 8
    return nkey._encode(raw)


class Vectors(unittest.TestCase):
    def test_signatures(self):
        for _, public, message, point, scalar in VECTORS:
            key = public_of(unhexlify(public))
            signature = unhexlify(point + scalar)
            self.assertTrue(verify(key, unhexlify(message), signature))
            self.assertFalse(verify(key, unhexlify(message) + b"x", signature))

    def test_a_scalar_that_is_not_reduced(self):
        _, public, message, point, scalar = VECTORS[0]
        s = int.from_bytes(unhexlify(scalar), "little") + ed25519._ORDER
        signature = unhexlify(point) + s.to_bytes(32, "little")
        self.assertFalse(verify(public_of(unhexlify(public)), unhexlify(message), signature))

    def test_signatures_of_another_length(self):
        _, public, message, point, scalar = VECTORS[0]
        key, signature = public_of(unhexlify(public)), unhexlify(point + scalar)
        for wrong in (b"", signature[:32], signature[:63], signature + b"\0", bytes(64)):
            self.assertFalse(verify(key, unhexlify(message), wrong))

    def test_another_s_signature(self):
        one, two = VECTORS[0], VECTORS[1]
        signature = unhexlify(two[3] + two[4])
        self.assertFalse(verify(public_of(unhexlify(one[1])), unhexlify(two[2]), signature))


class Keys(unittest.TestCase):
    def test_those_that_are_none(self):
        good = public_of(unhexlify(VECTORS[0][1]))
        for wrong in (
            "",
            "U",
            good[:-1],
            good + "A",
            good[:-1] + "1",
            SEED,
            good[:20] + "A" + good[21:],
            None,
        ):
            try:
                verify(wrong, b"", bytes(64))
                self.fail(wrong)
            except ValueError as e:
                self.assertFalse(SEED[2:] in str(e))

    def test_what_is_no_point(self):
        for point in (b"\x02" + bytes(31), b"\xff" * 32, b"\x01" + bytes(30) + b"\x80"):
            with self.assertRaises(ValueError):
                verify(public_of(point), b"", bytes(64))

    def test_white_space_around_one(self):
        _, public, message, point, scalar = VECTORS[0]
        key = " " + public_of(unhexlify(public)) + "\n"
        self.assertTrue(verify(key, unhexlify(message), unhexlify(point + scalar)))


if __name__ == "__main__":
    unittest.main()
