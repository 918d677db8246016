"""A board always starts, in a version that is whole: updates on MicroPython's littlefs, with the
power cut after every single write. See device/programs/update_cuts.py for what must hold.
"""

import re

import pytest

from support.interpreters import run_micropython
from support.paths import PROGRAMS


@pytest.mark.parametrize("sizes", ["4096 64", pytest.param("512 320", marks=pytest.mark.soak)])
def test_the_power_is_cut_at_every_write(sizes):
    output = run_micropython(
        PROGRAMS / "update_cuts.py", *sizes.split(), heapsize="256M", timeout_s=300
    ).check()
    cuts, went_on = map(int, re.search(r"cuts (\d+) went on (\d+)", output).groups())
    assert cuts > 300 and went_on > 10
