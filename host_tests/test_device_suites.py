"""Every suite in device/ on MicroPython: the Unix port, the plain flavour, and 32-bit words.

Plain: lib/ without the decorators that ask for machine code. With 32-bit words there are no
sockets, and on neither of these two is there viper: a suite that needs them says so by
`NEEDS_SOCKETS = True` or `NEEDS_VIPER = True` at its top level. On CPython pytest collects the
same files by itself.
"""

import ast
import importlib
import re
import unittest

import pytest

from support.interpreters import run_suite
from support.paths import DEVICE

_SUITES = sorted(path.stem for path in DEVICE.glob("test_*.py"))


def _needs(source):
    """The names of what a suite of this source says it needs."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            name = ast.unparse(node.targets[0])
            if name.startswith("NEEDS_") and ast.literal_eval(node.value):
                yield name


def interpreters(source):
    """Where a suite of this source runs."""
    needs = set(_needs(source))
    assert needs <= {"NEEDS_SOCKETS", "NEEDS_VIPER"}, needs
    if "NEEDS_VIPER" in needs:
        return ["unix"]
    return ["unix", "plain"] if needs else ["unix", "plain", "wasm32"]


def _runs():
    for name in _SUITES:
        for interpreter in interpreters((DEVICE / (name + ".py")).read_text()):
            yield name, interpreter


def count(output):
    """How many tests MicroPython's unittest says it ran, and how many of those it skipped."""
    said = re.search(r"^Ran (\d+) tests(?: \((\d+) skipped\))?$", output, re.MULTILINE)
    return (int(said[1]), int(said[2] or 0)) if said else (0, 0)


def test_there_are_suites():
    assert _SUITES


_RANDOM = [name for name in _SUITES if "played(" in (DEVICE / (name + ".py")).read_text()]


@pytest.mark.soak
@pytest.mark.parametrize("interpreter", ["unix", "plain"])
@pytest.mark.parametrize("name", _RANDOM)
def test_all_rounds_of_what_is_random(name, interpreter, monkeypatch):
    assert len(_RANDOM) >= 3
    monkeypatch.setenv("UNATS_ROUNDS", "all")
    test_suite(name, interpreter)


@pytest.mark.parametrize("name, interpreter", list(_runs()))
def test_suite(name, interpreter):
    module = importlib.import_module(name)
    expected = unittest.defaultTestLoader.loadTestsFromModule(module).countTestCases()
    result = run_suite(name, interpreter)
    assert result.code == 0, repr(result)
    ran, skipped = count(result.output)
    assert ran == expected and ran > skipped, repr(result)
