"""NKeys: every kind of seed, what is said about bad ones, signatures as CONNECT wants them,
secrecy.
"""

import sys
import unittest

from unats.auth import nkey

# All of the same 32 bytes (1 to 32), hence of the same public key but for its kind and checksum.
SEEDS = {
    "account": (
        "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IFO3A",
        "AB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGIFW3",
    ),
    "cluster": (
        "SCAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IFMDY",
        "CB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGJXUH",
    ),
    "server": (
        "SNAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IHBB4",
        "NB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGJYZP",
    ),
    "operator": (
        "SOAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IHCVI",
        "OB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGIT25",
    ),
    "user": (
        "SUAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC5CQ",
        "UB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGJBFE",
    ),
}
CURVE = "SXAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC6WE"
UNKNOWN = "SDAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IFNPU"
PRIVATE = "PUAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6ICM6U"
SEED, PUBLIC = SEEDS["user"]

NONCE = "PXoWU7zWAMt75FY"
SIGNATURE = (
    "RkyUfhj0hZV4SGosA4w8Z2jQjAdZCALBJzhNdhfW6581WHG7tdqsG6pGlr5MATr_YsnnyJOjpr9o2S3IT6iUBA"
)
URL_SAFE = "nonce-4"  # a nonce whose signature has both of the characters that differ from base64
URL_SAFE_SIGNATURE = (
    "XS_ruDNyKgx0jD56sX6JS3NJj64kZjjkybRLMEJIOpGyYaSu_ETQIX-HCAQamiWe33tMrX-GqOGfNNN9RFKSBA"
)
EMPTY_SIGNATURE = (
    "2UUr1MyAvOz0oYiVCUZG6Rpam78bJwfgU5ayz2fJwrfZuEeg1WJCXMu3EDjHZJ_cv9du4OgkfI7JMmmZtiVqCw"
)


def said_about(seed):
    """The error text that a bad seed raises; None if it does not."""
    try:
        nkey.from_seed(seed)
    except ValueError as error:
        return str(error)
    return None


class Seeds(unittest.TestCase):
    def test_each_kind_has_its_public_key(self):
        for kind, (seed, public) in SEEDS.items():
            key = nkey.from_seed(seed)
            self.assertEqual((key.kind, key.public), (kind, public))

    def test_str_bytes_bytearray_and_memoryview(self):
        for seed in (SEED, SEED.encode(), bytearray(SEED.encode()), memoryview(SEED.encode())):
            self.assertEqual(nkey.from_seed(seed).public, PUBLIC)

    def test_white_space_around_it(self):
        self.assertEqual(nkey.from_seed(SEED + "\n").public, PUBLIC)
        self.assertEqual(nkey.from_seed(b" \t\r\n" + SEED.encode() + b"\r\n").public, PUBLIC)

    def test_the_caller_s_seed_stays_as_it_was(self):
        seed = bytearray(SEED.encode())
        nkey.from_seed(seed).wipe()
        self.assertEqual(seed, SEED.encode())


class BadSeeds(unittest.TestCase):
    def test_length(self):
        for seed in ("", "S", SEED[:-1], SEED + "A", b"", " \n", SEED[:20] + " " + SEED[20:]):
            self.assertIn("58 characters", said_about(seed))
        self.assertIn("not 56", said_about(PUBLIC))

    def test_type(self):
        for seed in (None, 7, [SEED], nkey):
            self.assertIn("bytes or str", said_about(seed))

    def test_characters_out_of_the_alphabet(self):
        for bad in "0189su=-@[\x00\xff ":
            for at in (1, 30, 56):
                seed = SEED[:at] + bad + SEED[at + 1 :]
                if bad != "\xff":  # two bytes as text
                    self.assertIn("character %d " % (at + 1), said_about(seed))
                seed = bytearray(SEED.encode())
                seed[at] = ord(bad)
                self.assertIn("character %d " % (at + 1), said_about(seed))
        self.assertIn("base32", said_about(SEED.lower()))

    def test_any_character_changed_is_found(self):
        for at in range(58):
            seed = SEED[:at] + ("B" if SEED[at] == "A" else "A") + SEED[at + 1 :]
            said = said_about(seed)
            self.assertTrue(said)
            if 0 < at < 57:
                self.assertIn("checksum", said)

    def test_characters_swapped(self):
        self.assertIn("checksum", said_about(SEED[:10] + SEED[11] + SEED[10] + SEED[12:]))

    def test_the_two_bits_left_over_at_the_end(self):
        self.assertEqual(SEED[-1], "Q")
        for last in "RST":  # decode to the same 36 bytes
            self.assertIn("cannot stand there", said_about(SEED[:-1] + last))

    def test_not_a_seed(self):
        self.assertIn("starts with S", said_about(PRIVATE))

    def test_kinds_that_do_not_sign(self):
        self.assertIn("cannot sign", said_about(CURVE))
        self.assertIn("unknown kind", said_about(UNKNOWN))


class Signing(unittest.TestCase):
    def test_the_signature_as_text_is_base64url_without_padding(self):
        key = nkey.from_seed(SEED)
        self.assertEqual(key.signature(NONCE), SIGNATURE)
        self.assertEqual(key.signature(URL_SAFE), URL_SAFE_SIGNATURE)
        self.assertEqual(key.signature(b""), EMPTY_SIGNATURE)

    def test_nonces_of_every_type(self):
        key = nkey.from_seed(SEED)
        expected = key.sign(NONCE)
        self.assertEqual((type(expected), len(expected)), (bytes, 64))
        self.assertEqual(key.sign(bytearray(NONCE.encode())), expected)
        self.assertEqual(key.sign(memoryview(NONCE.encode())), expected)

    def test_the_arithmetic_can_be_unloaded_at_any_time(self):
        key = nkey.from_seed(SEED)
        for _ in range(2):
            self.assertTrue("unats.auth.ed25519" in sys.modules)
            nkey.release()
            nkey.release()
            for name in ("ed25519", "sha512"):
                self.assertFalse("unats." + name in sys.modules)
                self.assertFalse(name in sys.modules["unats"].__dict__)
            self.assertEqual(key.signature(NONCE), SIGNATURE)


class Secrecy(unittest.TestCase):
    def assert_hides_the_seed(self, text):
        for at in range(1, 54):
            self.assertFalse(SEED[at : at + 5] in text)

    def test_repr_and_str_show_public_things_only(self):
        key = nkey.from_seed(SEED)
        self.assertEqual(repr(key), "<NKey user>")
        self.assertEqual(key.public, PUBLIC)
        for text in (repr(key), str(key), "%s %r" % (key, key)):
            self.assertIn(PUBLIC, text)
            self.assert_hides_the_seed(text)

    def test_errors_do_not_quote_the_seed(self):
        for at in range(58):
            for bad in ("A", "B", "0"):
                if bad != SEED[at]:
                    self.assert_hides_the_seed(said_about(SEED[:at] + bad + SEED[at + 1 :]))
        for seed in (SEED[:-1], SEED + SEED, SEED.lower()):
            self.assert_hides_the_seed(said_about(seed))

    def test_wiped_it_holds_zeros_and_signs_no_more(self):
        key = nkey.from_seed(SEED)
        secret = key._key
        self.assertEqual(key.public, PUBLIC)
        key.wipe()
        key.wipe()
        self.assertEqual(secret, bytes(64))
        self.assertEqual(key.public, PUBLIC)
        for sign in (key.sign, key.signature):
            with self.assertRaises(ValueError):
                sign(NONCE)

    def test_wiped_before_its_public_key_was_asked_for(self):
        key = nkey.from_seed(SEED)
        key.wipe()
        self.assertEqual(repr(key), "<NKey user>")
        with self.assertRaises(ValueError):
            key.public  # noqa: B018

    def test_the_decoded_seed_is_wiped_whether_sound_or_not(self):
        wiped = []
        zero = nkey._zero

        def spy(secret):
            zero(secret)
            wiped.append(bytes(secret))

        nkey._zero = spy
        try:
            nkey.from_seed(SEED)
            said_about(SEED[:30] + "A" + SEED[31:])
        finally:
            nkey._zero = zero
        self.assertEqual(wiped, [bytes(36), bytes(36)])


if __name__ == "__main__":
    unittest.main()
