"""How many rounds of something random are played: a part of them, or with UNATS_ROUNDS=all, as
`make soak` has it, all.
"""

import os
import sys

_ALL = hasattr(os, "getenv") and os.getenv("UNATS_ROUNDS") == "all"
# 32-bit words are tried on a port without machine code.
_IS_SLOW = sys.maxsize < 1 << 40 or sys.implementation.name == "cpython"


def played(n):
    """The numbers, below n, of the rounds that are played."""
    return range(0, n, 1 if _ALL else 9 if _IS_SLOW else 3)
