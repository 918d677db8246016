"""Readings outlast power cuts: the outbox on MicroPython's littlefs and FAT, cut after every
single write.

See device/programs/power_cuts.py for what is done and what must hold. The random runs come from a
number that a failing test prints; UNATS_SEED=number repeats them.
"""

import re

import pytest

from support.interpreters import run_micropython
from support.paths import PROGRAMS

HEAP = "128M"  # for the flash as it was at every cut
TIMEOUT_S = 300


def _long(value):
    """A case of the long tests."""
    return pytest.param(value, marks=pytest.mark.soak)


def cut_everywhere(*words):
    """The figures that the run prints at its end."""
    output = run_micropython(
        PROGRAMS / "power_cuts.py", *words, heapsize=HEAP, timeout_s=TIMEOUT_S
    ).check()
    said = re.search(r"cuts (\d+) readings (\d+) stored (\d+) found (\d+) starts (\d+)", output)
    return {
        name: int(n)
        for name, n in zip(("cuts", "readings", "stored", "found", "starts"), said.groups())
    }


@pytest.mark.parametrize("sizes", ["4096 32 1024", _long("512 200 2000"), "512 200 500"])
def test_littlefs_over_a_fill_drain_refill_cycle(sizes):
    figures = cut_everywhere("lfs", *sizes.split())
    assert figures["cuts"] > 150
    assert figures["found"] > 3000
    assert figures["starts"] == 4


@pytest.mark.parametrize("sizes", ["4096 16 1024", _long("4096 32 1024"), _long("512 200 600")])
def test_littlefs_at_random(sizes, seed):
    figures = cut_everywhere("lfs", *sizes.split(), seed)
    assert figures["cuts"] > 50


@pytest.mark.parametrize("sizes", ["4096 20 1024", _long("4096 40 1024"), _long("512 300 600")])
def test_readings_that_are_refused(sizes, seed):
    figures = cut_everywhere("held", *sizes.split(), seed)
    assert figures["cuts"] > 50


@pytest.mark.soak
def test_a_littlefs_that_is_full(seed):
    figures = cut_everywhere("full", 512, 20, 1000, seed)
    assert figures["cuts"] > 50


def test_a_full_littlefs_drops_the_oldest_readings():
    figures = cut_everywhere("full", 512, 12, 1000)
    assert 30 < figures["stored"] < figures["readings"]


@pytest.mark.parametrize("seeded", [False, _long(True)])
def test_fat(seeded, seed):
    figures = cut_everywhere("fat", 512, 128, 1024, *([seed] if seeded else []))
    assert figures["cuts"] > 50
