"""lib/unats weighs what tools/size/table.json says, and the tool that weighs it can count."""

import copy
import json

import pytest

from tools.size import size

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


def test_code_lines_leave_out_blanks_comments_and_docstrings():
    # import, class, text (2), f, g, return, 1, 2, )
    assert size.code_lines(SAMPLE) == 10


def test_modules_are_imported_after_those_they_import():
    order = size.import_order(size.modules())
    assert sorted(order) == sorted(size.modules())
    for name in order:
        needed = size.imports((size.PACKAGE / f"{name}.py").read_text()) & set(order)
        assert all(order.index(other) <= order.index(name) for other in needed), name


def test_imports_inside_functions_wait_until_they_are_called():
    source = "from . import a\nfrom .b import c\ntry:\n    from .d import e\nexcept SyntaxError:\n    from . import f\n"
    assert size.imports(source + "def g():\n    from .h import i\nimport json\n") == {
        "a",
        "b",
        "d",
        "f",
    }


@pytest.fixture(scope="module")
def committed():
    return json.loads(size.TABLE.read_text())


def test_size_is_what_the_table_says(committed):
    found = size.differences(committed, size.measure())
    assert not found, (
        "\n".join(found) + "\nif that is meant: make size ARGS=--write, and commit the table"
    )


def test_one_more_code_line_is_found(committed):
    changed = copy.deepcopy(committed)
    changed["modules"]["client"]["lines"] += 1
    assert len(size.differences(committed, changed)) == 1


def test_one_more_byte_of_flash_is_found(committed):
    changed = copy.deepcopy(committed)
    changed["modules"]["kernels"]["armv6m"] += 1
    assert len(size.differences(committed, changed)) == 1


def test_heap_may_differ_by_the_stated_tolerance_only(committed):
    changed = copy.deepcopy(committed)
    slack = int(
        max(size.HEAP_TOLERANCE, size.HEAP_TOLERANCE_SHARE * committed["client"]["heap32"])
    )
    changed["client"]["heap32"] += slack
    assert size.differences(committed, changed) == []
    changed["client"]["heap32"] += 1
    assert len(size.differences(committed, changed)) == 1


def test_new_and_gone_modules_are_found(committed):
    changed = copy.deepcopy(committed)
    changed["modules"]["jetpack"] = changed["modules"].pop("msg")
    assert len(size.differences(committed, changed)) == 2


def test_the_core_stays_under_its_limit_of_code_lines(committed):
    assert size.excesses(committed) == []


def test_a_core_that_grew_too_long_is_found(committed):
    changed = copy.deepcopy(committed)
    changed["core"]["lines"] = size.CORE_LINES
    assert len(size.excesses(changed)) == 1


def test_what_the_core_loads_is_no_feature():
    loaded = size.loaded_modules()
    assert {*size.CORE, "handshake", "kernels", "servers"} <= loaded
    assert not loaded & {"headers", "payload", "request", "subscription", "jetstream", "outbox"}


def test_the_table_shows_every_module_and_both_totals(committed):
    shown = size.show(committed)
    for name in [*size.modules(), "**core**", "**loaded**", "**all**", "connected"]:
        assert f"| {name} " in shown
