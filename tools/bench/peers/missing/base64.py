"""The least that micro-nats needs of a `base64` module; no job of the benchmark calls it."""

from binascii import a2b_base64 as b64decode
from binascii import b2a_base64 as b64encode
