"""What the shim does beyond MicroPython, and where it is stricter.

That it is like MicroPython elsewhere is shown by device/test_platform_*.py, which pass on both.
"""

import builtins
from array import array

import micropython
import pytest


def _viper(source):
    names = {}
    exec("import micropython\n@micropython.viper\n" + source, names)
    return names["f"]


def test_the_clock_can_be_put_just_before_the_wrap(ticks):
    ticks.set_ticks_ms((1 << 30) - 2)
    start = ticks.ticks_ms()
    assert start >= (1 << 30) - 2
    ticks.sleep_ms(5)
    assert ticks.ticks_ms() < 1 << 20
    assert ticks.ticks_diff(ticks.ticks_ms(), start) >= 5


def test_heap_lock_counts_and_mem_total_is_not_there():
    assert not hasattr(micropython, "mem_total")
    micropython.heap_lock()
    micropython.heap_lock()
    assert (micropython.heap_unlock(), micropython.heap_unlock()) == (1, 0)


def test_decorators_and_const_change_nothing_else():
    assert micropython.const(5) == 5

    @micropython.native
    def f(a):
        """doc"""
        return a

    assert f(3) == 3
    assert _viper("def f(a):\n    'doc'\n    return a\n").__doc__ == "doc"


def test_vipers_names_are_known_everywhere():
    for name in ("ptr8", "ptr16", "ptr32", "uint"):
        assert hasattr(builtins, name)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_the_memory_is_an_error(index):
    with pytest.raises(IndexError):
        _viper("def f(p: ptr8, i: int) -> int:\n    return p[i]\n")(b"abc", index)
    with pytest.raises(IndexError):
        _viper("def f(p: ptr8, i: int):\n    p[i] = 1\n")(bytearray(3), index)


def test_bytes_and_str_cannot_be_written():
    for fixed in (b"abc", "abc"):
        with pytest.raises(TypeError):
            _viper("def f(p: ptr8):\n    p[0] = 1\n")(fixed)


def test_words_have_32_bits_as_on_a_board():
    assert _viper("def f(a: int) -> int:\n    return a + 1\n")(0x7FFFFFFF) == -0x80000000
    assert _viper("def f(a: uint) -> uint:\n    return a + a\n")(0xFFFFFFFF) == 0xFFFFFFFE
    assert _viper("def f(p: ptr32) -> int:\n    return p[0]\n")(array("i", [-5])) == -5
    assert _viper("def f(a: int) -> int:\n    return 1 + 65536 * a\n")(65536) == 1


def test_words_wrap_inside_int_too():
    source = "def f(p: ptr8) -> int:\n    n = 0\n    i = 0\n    while i < 10:\n        n = n * 10 + int(p[i]) - 48\n        i += 1\n    return n\n"  # noqa: E501
    assert _viper(source)(b"4294967297") == 1


def test_int_and_uint_do_not_mix():
    with pytest.raises(TypeError):
        _viper("def f(a: int, b: uint) -> int:\n    return a + b\n")(1, 2)


def test_pointers_have_no_arithmetic_and_ints_no_true_division():
    with pytest.raises(TypeError):
        _viper("def f(p: ptr8) -> int:\n    q = p + 1\n    return q[0]\n")(b"abc")
    with pytest.raises(TypeError):
        _viper("def f(a: int) -> int:\n    return a / 2\n")(4)
