"""SHA-512: the vectors of FIPS 180-4, and every length at which the padding changes shape."""

import unittest
from binascii import hexlify

from unats.auth.sha512 import sha512

EMPTY = (
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)
ABC = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
TWO_BLOCKS = (
    b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
    b"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
)
TWO_BLOCKS_DIGEST = (
    "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
    "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
)

# Length of a message, and its digest (by another implementation). Byte i of it is 7*i + length.
LENGTHS = (
    (
        1,
        "7b54b66836c1fbdd13d2441d9e1434dc62ca677fb68f5fe66a464baadecdbd00576f8d6b5ac3bcc80844b7d50b1cc6603444bbe7cfcf8fc0aa1ee3c636d9e339",
    ),
    (
        111,
        "df79e18538ec82120d0eb59f92ade93fc786e47b5c622121a065503708882f7801fa4b115197504b74feb420ee58fb85718ab98a5bf461bf7f8897472c26be4d",
    ),
    (
        112,
        "d7377bc7047400daa33483946a6e2ec47609bc5f64b8309effd8d38b764b6ef250086511cc4cc9b4e5806613ecdf2a7b86ffcf0b9c88a571b869b32dfeca4b0a",
    ),
    (
        113,
        "69a127d193a5bd3239535d093dc71c32c34df13d2b1982a7f46035a1f8a984308cd559257dbde17c8ddd8299bee7018b832e45c47ec7135055176579797c40bd",
    ),
    (
        127,
        "82b7fc0e1e5d1bb8e56e25cef83ba1205d3b3b44c9efacb33b11b13ffc47d1502beb4b9cc885239d9a03a255757c582ee9aaa270c742f8bfd959228443704bf5",
    ),
    (
        128,
        "eb5119a4c3e176a3e0cb2bf8a6237bdc1e474f9f501f27c84284d2289b1ade3a5a1913236a2b771e0f435f2a9b17792eb23eb92248a199f991228ff65de55d09",
    ),
    (
        129,
        "06e68bf71185b1fda1d64bc8dc221aeaa9040b40d202d6030f840940ff2e530056550e68bd5d7a68d6fcf910077cd5b6c0befa877a436ddae766dd278592d2b6",
    ),
    (
        239,
        "511f3b02317c383e27eb7064cc6e1d721d2c0ffd7efb5cb70647f0655ea93288052d566892f4a1b14342adf14f96740e7433346b58d521d84fa8bcfae11ca9f8",
    ),
    (
        240,
        "774d6a1206485a1c2342cfddc586d2b0af9e78f4ed95b69ff18bf6fa3ecbe59fd7ae11bdc5afd460f44fd84b5af08016e8986b0474d1515148ef9d8068e8dede",
    ),
    (
        255,
        "eeca349bbe7fea8643043b6beedfe770fc596b69ab3c8ee5a4ef8e6fc9b96c50acaa19db9a1d3608c6e1e98ca3069fb8228fb0ed600934d1d9319aa9cfbee30b",
    ),
    (
        256,
        "ca6e7d0c2e4ae8774b65b1353a44154f9858ff2c6eb8c50c645eb37b39e37ad98184883dddacf1557a791307ad592e31e9d824c2c3e2da33b0f5e5a90d779316",
    ),
    (
        1000,
        "5c9833a6b6d14cabd5256ae50e9217163760d44bafa40d2e0e64ee13a2b74ec3f10d965a04c7381d12383c59ee449c75241303eb3806dcf1d8ca0c566fe1ed6a",
    ),
)


def hexdigest(*parts):
    return hexlify(sha512(*parts)).decode()


class Sha512(unittest.TestCase):
    def test_the_standard_s_own_messages(self):
        self.assertEqual(hexdigest(b""), EMPTY)
        self.assertEqual(hexdigest(b"abc"), ABC)
        self.assertEqual(hexdigest(TWO_BLOCKS), TWO_BLOCKS_DIGEST)

    def test_lengths_around_the_end_of_a_block(self):
        for length, digest in LENGTHS:
            message = bytes([(7 * i + length) & 0xFF for i in range(length)])
            self.assertEqual(hexdigest(message), digest)

    def test_parts_are_hashed_as_one_message(self):
        self.assertEqual(hexdigest(), EMPTY)
        self.assertEqual(hexdigest(b"", b"abc", b""), ABC)
        for cut in (1, 55, 111):
            parts = TWO_BLOCKS[:cut], TWO_BLOCKS[cut:]
            self.assertEqual(hexdigest(*parts), TWO_BLOCKS_DIGEST)

    def test_any_bytes_like_part_which_stays_as_it_was(self):
        part = bytearray(b"xabcx")
        self.assertEqual(hexdigest(memoryview(part)[1:4]), ABC)
        self.assertEqual(part, b"xabcx")
        self.assertEqual(hexdigest(bytearray(b"ab"), b"c"), ABC)

    def test_the_digest_belongs_to_the_caller(self):
        digest = sha512(b"abc")
        self.assertEqual((type(digest), len(digest)), (bytearray, 64))
        digest[0] = 0
        self.assertEqual(hexdigest(b"abc"), ABC)


if __name__ == "__main__":
    unittest.main()
