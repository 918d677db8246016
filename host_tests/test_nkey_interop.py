"""NKeys against other implementations: hashlib, PyNaCl (libsodium) and the official nkeys package.

Random cases, worked on CPython and, by a process of its own with a board's heap, on the
MicroPython Unix port. They come from a number that a failing test prints; UNATS_SEED=number
repeats them. Also the tables of constants, from their definitions.
"""

import base64
import binascii
import hashlib
import json
import os
import random
import subprocess
from math import isqrt

import nkeys
import pytest
from nacl.signing import SigningKey

from support.paths import LIB, MICROPYTHON, needed
from unats.auth import ed25519, nkey, sha512, verify

TIMEOUT_S = 120
BOARD_HEAP = "160K"

PREFIXES = {
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "cluster": nkeys.PREFIX_BYTE_CLUSTER,
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "server": nkeys.PREFIX_BYTE_SERVER,
    "user": nkeys.PREFIX_BYTE_USER,
}

# Reads cases from standard input, a JSON object a line, and writes what came out of each likewise.
WORKER = """
import json, sys
from binascii import hexlify, unhexlify
from unats.auth import nkey
from unats.auth.sha512 import sha512
for line in sys.stdin:
    case = json.loads(line)
    nonce = unhexlify(case["nonce"])
    key = nkey.from_seed(case["seed"])
    digest = hexlify(sha512(nonce)).decode()
    print(json.dumps([key.kind, key.public, key.signature(nonce), digest]))
"""


@pytest.fixture
def rng():
    """Random numbers from a seed that is printed (pytest shows it when the test fails)."""
    number = int(os.environ.get("UNATS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"UNATS_SEED={number}")
    return random.Random(number)


def encode_seed(raw, prefix):
    """An encoded seed, by the standard library's base32 and CRC."""
    body = bytes([nkeys.PREFIX_BYTE_SEED | prefix >> 5, (prefix & 31) << 3]) + raw
    crc = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + crc).rstrip(b"=").decode()


def make_cases(rng, count):
    """Random seeds of every kind, the raw 32 bytes beside, and nonces of 0 to 300 bytes."""
    cases = []
    for _ in range(count):
        kind = rng.choice(sorted(PREFIXES))
        raw = rng.randbytes(32)
        seed = encode_seed(raw, PREFIXES[kind])
        nonce = rng.randbytes(rng.choice((0, 11, 15, 16, rng.randrange(301))))
        cases.append({"kind": kind, "raw": raw.hex(), "seed": seed, "nonce": nonce.hex()})
    return cases


def expected(case):
    """What the other implementations make of a case: kind, public key, signature, SHA-512."""
    nonce = bytes.fromhex(case["nonce"])
    theirs = nkeys.from_seed(bytearray(case["seed"].encode()))
    signature = theirs.sign(nonce)
    assert signature == SigningKey(bytes.fromhex(case["raw"])).sign(nonce).signature
    text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    return [case["kind"], theirs.public_key.decode(), text, hashlib.sha512(nonce).hexdigest()]


def on_micropython(cases, worker=WORKER):
    """What the Unix port makes of the cases, in a process of its own."""
    done = subprocess.run(
        [needed(MICROPYTHON), "-X", f"heapsize={BOARD_HEAP}", "-c", worker],
        input="".join(json.dumps(case) + "\n" for case in cases),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "MICROPYPATH": f"{LIB}:.frozen"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_signatures_agree_on_cpython(rng):
    for case in make_cases(rng, 100):
        nonce = bytes.fromhex(case["nonce"])
        key = nkey.from_seed(case["seed"])
        digest = sha512.sha512(nonce).hex()
        assert [key.kind, key.public, key.signature(nonce), digest] == expected(case)


def test_signatures_agree_on_micropython_with_a_board_s_heap(rng):
    cases = make_cases(rng, 40)
    assert on_micropython(cases) == [expected(case) for case in cases]


def test_the_server_side_takes_what_was_signed(rng):
    for case in make_cases(rng, 20):
        key = nkey.from_seed(case["seed"])
        nonce = bytes.fromhex(case["nonce"])
        verifier = nkeys.KeyPair(
            public_key=key.public.encode(), keys=SigningKey(bytes.fromhex(case["raw"]))
        )
        assert verifier.verify(nonce, key.sign(nonce))


VERIFIER = """
import json, sys
from binascii import unhexlify
from unats.auth.verify import verify
for line in sys.stdin:
    key, message, signature = json.loads(line)
    print(json.dumps(verify(key, unhexlify(message), unhexlify(signature))))
"""


def make_signed(rng, count):
    """Random messages with signatures that are good, or altered in a bit: what a verifier gets,
    and what it has to say.
    """
    cases = []
    for case in make_cases(rng, count):
        theirs = nkeys.from_seed(bytearray(case["seed"].encode()))
        message = bytes.fromhex(case["nonce"]) + b"."
        signed = bytearray(message + theirs.sign(message))
        key = theirs.public_key.decode()
        cases.append(([key, message.hex(), signed[-64:].hex()], True))
        bit = rng.randrange(8 * len(signed))
        signed[bit >> 3] ^= 1 << (bit & 7)
        cases.append(([key, signed[:-64].hex(), signed[-64:].hex()], False))
    return cases


def test_what_others_have_signed_is_verified_on_cpython(rng):
    for (key, message, signature), good in make_signed(rng, 40):
        assert verify.verify(key, bytes.fromhex(message), bytes.fromhex(signature)) is good


def test_and_on_micropython_with_a_board_s_heap(rng):
    cases = make_signed(rng, 20)
    assert on_micropython([case for case, _ in cases], VERIFIER) == [good for _, good in cases]


def test_random_messages_hash_as_with_hashlib(rng):
    for _ in range(50):
        message = rng.randbytes(rng.randrange(600))
        cut = rng.randrange(len(message) + 1)
        assert sha512.sha512(message[:cut], message[cut:]) == hashlib.sha512(message).digest()


def test_random_scalars_at_the_ends_of_the_range(rng):
    order = ed25519._ORDER
    for k in [rng.getrandbits(rng.randrange(1, 256)) for _ in range(40)] + [
        order - 1,
        order - 2,
        order // 2,
    ]:
        assert ed25519._times_base(k) == encode(multiply(k, BASE))


# --- the tables, from what they are defined as
# ----------------------------------------------------


def limbs(words):
    """64-bit words as the bytes of sha512's tables: limbs from the top, each little-endian."""
    halves = [word >> shift & 0xFFFF for word in words for shift in (48, 32, 16, 0)]
    return b"".join(half.to_bytes(2, "little") for half in halves)


def cube_root(n):
    low, high = 0, 1 << n.bit_length() // 3 + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= n else (low, middle)
    return low


def test_the_constants_of_sha512_are_fractions_of_roots_of_primes():
    primes = [n for n in range(2, 410) if all(n % q for q in range(2, n))]
    assert len(primes) == 80
    word = (1 << 64) - 1
    assert sha512._K == limbs([cube_root(p << 192) & word for p in primes])
    assert sha512._H == limbs([isqrt(p << 128) & word for p in primes[:8]])


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
BASE_Y = 4 * pow(5, -1, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, BASE_Y)


def add(a, b):
    """The sum of two points of the curve, in plain affine coordinates."""
    t = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P


def multiply(k, point):
    result = (0, 1)
    while k:
        if k & 1:
            result = add(result, point)
        point = add(point, point)
        k >>= 1
    return result


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def test_the_comb_holds_the_sums_of_its_teeth():
    x, y = BASE
    assert (y * y - x * x - 1 - D * x * x * y * y) % P == 0
    assert x % 2 == 0
    table = b""
    for block in range(2):
        teeth = [multiply(1 << 64 * tooth + 32 * block, BASE) for tooth in range(4)]
        for u in range(8):
            point = teeth[3]
            for tooth in range(3):
                x, y = teeth[tooth]
                point = add(point, (x if u >> tooth & 1 else P - x, y))
            x, y = point
            table += b"".join(
                n.to_bytes(32, "little") for n in ((y + x) % P, (y - x) % P, 2 * D * x * y % P)
            )
    assert ed25519._COMB == table
