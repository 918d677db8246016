"""lib/unats weighs what the committed table says, keeps its budgets, and the tool can count."""

import copy
import json

import pytest

from tools import toolchain
from tools.size import heap, mpy, size, source

SAMPLE = '''"""Module docstring
on two lines."""

import os  # a comment beside code counts as code

# a comment alone does not


class A:
    """Class docstring."""

    text = """a string
that is no docstring"""

    def f(self): "docstring on a line of code"

    def g(self):
        """Docstring."""
        return (
            1,

            # a comment inside
            2,
        )
'''


# --- counting


def test_code_lines_leave_out_blanks_comments_and_docstrings():
    # import, class, text (2), f, g, return, 1, 2, )
    assert source.code_lines(SAMPLE) == 10


def test_modules_are_imported_after_those_they_import():
    names = source.modules()
    order = source.import_order(names)
    assert sorted(order) == sorted(names)
    assert order[-1] == "__init__"
    assert order.index("kernels") < order.index("client")


def test_imports_inside_functions_wait_until_they_are_called():
    text = """
from . import a
from .b import c
try:
    from .d import e
except SyntaxError:
    import unats.f
def g():
    from .h import i
import json
"""
    assert source.imports("client", text) == {"a", "b", "b/c", "d", "d/e", "f"}


@pytest.mark.parametrize(
    "statement, taken",
    [
        ("from .sha512 import digest", {"auth/sha512", "auth/sha512/digest"}),
        ("from . import sha512", {"auth", "auth/sha512"}),
        ("from ..errors import Error", {"errors", "errors/Error"}),
        ("from .. import errors", {"errors"}),
        ("from unats.outbox.ring import Ring", {"outbox/ring", "outbox/ring/Ring"}),
        ("import unats.outbox, json", {"outbox"}),
        ("from json import loads", set()),
    ],
)
@pytest.mark.parametrize("name", ["auth/nkey", "auth/__init__"])
def test_what_a_module_of_a_sub_package_imports(name, statement, taken):
    assert source.imports(name, statement) == taken


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a sub-package, instead of the library."""
    files = {
        "__init__.py": "from .errors import Error",
        "errors.py": "class Error(OSError): pass",
        "auth/__init__.py": "from ..errors import Error\ndef check(): pass",
        "auth/nkey.py": "from .. import errors\nfrom . import check\ndef sign(): return 'a b'",
    }
    for name, text in files.items():
        path = tmp_path / "unats" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(source, "PACKAGE", tmp_path / "unats")


@pytest.mark.parametrize("port", [heap.unix, heap.wasm])
def test_modules_of_sub_packages_are_weighed_too(package, port):
    names = source.modules()
    assert names == ["__init__", "auth/__init__", "auth/nkey", "errors"]
    assert source.import_order(names) == ["errors", "auth/__init__", "auth/nkey", "__init__"]
    weights = heap.each_module(port(), names)
    assert weights.keys() == set(names) and min(weights.values()) > 0


@pytest.mark.parametrize("port", [heap.unix, heap.wasm])
def test_what_constants_take_is_what_loading_them_takes(port, tmp_path):
    port = port()
    took, said = [], []
    texts = (f'"some text, number {i}", {i}.25, ("{i}", {i}, {1 << 65}),' for i in range(99))
    for items in ("", "".join(texts)):
        package = tmp_path / "m"
        package.mkdir()
        code = toolchain.compile_mpy(f"def f():\n    return ({items})\n", "m.py")
        (package / "m.mpy").write_bytes(code)
        heap.into_rom(package)
        _, before, after = port.run([heap.MOUNT, "from m import m"], tmp_path)
        took.append(after.heap - before.heap - (after.table - before.table))
        said.append(mpy.constants(code, port.word))
    assert said[0] < 100 and said[1] > 99 * 7 * port.word
    assert took[1] - took[0] == pytest.approx(said[1] - said[0], abs=128)


# --- the table


@pytest.fixture(scope="module")
def committed():
    return json.loads(size.TABLE.read_text())


def test_size_is_what_the_table_says(committed):
    found = size.differences(committed, size.measure())
    remedy = "\nif that is meant: make size ARGS=--write, and commit the table"
    assert not found, "\n".join(found) + remedy


def test_the_budgets_are_kept(committed):
    found = size.excesses(committed)
    assert not found, "\n".join(found)


def test_a_budget_that_is_broken_is_found(committed):
    kept = copy.deepcopy(committed)
    kept["loaded"].update(lines=850, armv6m=16384)
    for total, most in (("connected", 23 * 1024), ("romfs", 14 * 1024), ("frozen", 10 * 1024)):
        kept[total]["heap32"] = most
    assert size.excesses(kept) == []
    kept["loaded"]["lines"] += 1
    kept["romfs"]["heap32"] += 1
    assert len(size.excesses(kept)) == 2
    for label, _, most in size.PARTS:
        over = copy.deepcopy(committed)
        over["parts"][label]["heap32"] += most
        assert [label in text for text in size.excesses(over)] == [True]


def test_one_more_code_line_is_found(committed):
    changed = copy.deepcopy(committed)
    changed["modules"]["client"]["lines"] += 1
    assert len(size.differences(committed, changed)) == 1


def test_one_more_byte_of_flash_is_found(committed):
    changed = copy.deepcopy(committed)
    changed["modules"]["kernels"]["armv6m"] += 1
    assert len(size.differences(committed, changed)) == 1


@pytest.mark.parametrize("total", ["connected", "romfs", "frozen"])
def test_heap_may_differ_by_the_stated_tolerance_only(committed, total):
    changed = copy.deepcopy(committed)
    changed[total]["heap32"] += size.tolerance(committed[total]["heap32"])
    assert size.differences(committed, changed) == []
    changed[total]["heap32"] += 1
    assert len(size.differences(committed, changed)) == 1


def test_new_and_gone_modules_are_found(committed):
    changed = copy.deepcopy(committed)
    changed["modules"]["jetpack"] = changed["modules"].pop("tidy")
    assert len(size.differences(committed, changed)) == 2


def test_one_more_module_that_is_loaded_is_found(committed):
    changed = copy.deepcopy(committed)
    changed["loaded"]["modules"].append("request")
    assert len(size.differences(committed, changed)) == 1


def test_what_a_connected_client_loads_is_no_feature(committed):
    loaded = set(committed["loaded"]["modules"])
    assert {"__init__", "client", "kernels", "state", "tcp"} <= loaded
    assert not loaded & {"connection", "errors", "headers", "payload", "request", "tls"}
    assert not loaded & {"jetstream", "outbox/__init__", "auth/__init__"}


def test_the_table_shows_every_module_and_every_budget(committed):
    shown = size.show(committed)
    for name in [*source.modules(), "**loaded**", "**all**", "connected", "romfs", "frozen"]:
        assert f"| {name} " in shown
    for label, most in size.BUDGETS.values():
        assert f"| {label} " in shown and f" {most} |" in shown
    for label, _, most in size.PARTS:
        assert f"| heap, {label} " in shown and f" {most} |" in shown
