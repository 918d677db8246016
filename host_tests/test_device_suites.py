"""Every suite in device/ on MicroPython: the Unix port, and the one with 32-bit words.

The latter has no sockets and no viper: a suite that needs them says so by `NEEDS_SOCKETS = True` or
`NEEDS_VIPER = True` at its top level. On CPython pytest collects the same files by itself.
"""

import ast
import importlib
import re
import unittest

import pytest

from support.interpreters import run_suite
from support.paths import DEVICE

_SUITES = sorted(path.stem for path in DEVICE.glob("test_*.py"))


_NEEDS = ("NEEDS_SOCKETS", "NEEDS_VIPER")


def runs_on_wasm32(source):
    """Whether a suite of this source needs nothing that is not there."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in _NEEDS:
            if ast.literal_eval(node.value):
                return False
    return True


def _runs():
    for name in _SUITES:
        yield name, "unix"
        if runs_on_wasm32((DEVICE / (name + ".py")).read_text()):
            yield name, "wasm32"


def count(output):
    """How many tests MicroPython's unittest says it ran, and how many of those it skipped."""
    said = re.search(r"^Ran (\d+) tests(?: \((\d+) skipped\))?$", output, re.MULTILINE)
    return (int(said[1]), int(said[2] or 0)) if said else (0, 0)


def test_there_are_suites():
    assert _SUITES


@pytest.mark.parametrize("name, interpreter", list(_runs()))
def test_suite(name, interpreter):
    module = importlib.import_module(name)
    expected = unittest.defaultTestLoader.loadTestsFromModule(module).countTestCases()
    result = run_suite(name, interpreter)
    assert result.code == 0, repr(result)
    ran, skipped = count(result.output)
    assert ran == expected and ran > skipped, repr(result)
