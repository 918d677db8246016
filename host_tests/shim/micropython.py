"""MicroPython's `micropython` for CPython.

`viper` gives what a function compiled for a board gives, as far as its results can tell:

- a `ptr8` argument is the memory behind it, so of a str its UTF-8 bytes; what is stored is cut to
  8, 16 or 32 bits;
- `int` and `uint` are 32-bit words that wrap, also in the middle of an expression;
- arguments are positional and exactly as many as there are parameters.

Where machine code would silently read or write somewhere else (an index outside the memory, a
store into bytes), the shim raises. Importing this module adds viper's names to the builtins.

There is no `mem_total`, as on ports without memory statistics: a test that needs to know what was
allocated asks `hasattr(micropython, "mem_total")`. `heap_lock` only counts, it locks nothing.
"""

import builtins
import sys
import types

_locked = 0


def const(value):
    return value


def native(function):
    return function


def heap_lock():
    global _locked
    _locked += 1


def heap_unlock():
    global _locked
    _locked -= 1
    return _locked


def _operation(name, operation):
    def method(self, other):
        kind = type(self)
        if not isinstance(other, int):
            return NotImplemented
        if isinstance(other, _Word) and type(other) is not kind:
            raise TypeError("can't do binary op between 'int' and 'uint'")
        return int.__new__(kind, kind._cut(operation(self, other)))

    method.__name__ = name
    return method


class _Word(int):
    """A machine word; the result of every operation is cut to 32 bits again."""

    def __new__(cls, value):
        if not isinstance(value, int):
            raise TypeError("can't convert %s to int" % type(value).__name__)
        return int.__new__(cls, cls._cut(int(value)))

    def __neg__(self):
        return type(self)(-int(self))

    def __invert__(self):
        return type(self)(~int(self))

    def __pos__(self):
        return self

    def __truediv__(self, other):
        if not isinstance(sys._getframe(1).f_globals, _Globals):
            return int(self) / other  # handed on to other code, a word is an int like any
        raise TypeError("viper has no '/' for int")

    def __pow__(self, other):
        raise TypeError("viper has no '**' for int")

    __rtruediv__ = __rpow__ = __pow__


class _Int(_Word):
    @staticmethod
    def _cut(value):
        return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000


class uint(_Word):
    @staticmethod
    def _cut(value):
        return value & 0xFFFFFFFF


for _name in ("add", "sub", "mul", "floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
    for _prefix in ("__", "__r"):
        _method = _prefix + _name + "__"
        setattr(_Word, _method, _operation(_method, getattr(int, _method)))


class _Pointer:
    """The memory behind a buffer, seen as unsigned bytes, half words, or words."""

    def __init__(self, target):
        if isinstance(target, _Pointer):
            target = target._bytes
        elif isinstance(target, str):
            target = target.encode()
        try:
            memory = memoryview(target).cast("B")
        except TypeError:
            raise TypeError("can't convert %s to int" % type(target).__name__) from None
        self._bytes = memory
        self._items = memory[: len(memory) // self._size * self._size].cast(self._format)

    def _check(self, index):
        if not 0 <= index < len(self._items):
            raise IndexError("%s[%d] of %d items" % (type(self).__name__, index, len(self._items)))
        return index

    def __getitem__(self, index):
        return int.__new__(_Int, self._items[self._check(index)])

    def __setitem__(self, index, value):
        self._items[self._check(index)] = self._cut(value)


class ptr8(_Pointer):
    _size = 1
    _format = "B"

    @staticmethod
    def _cut(value):
        return value & 0xFF


class ptr16(_Pointer):
    _size = 2
    _format = "H"

    @staticmethod
    def _cut(value):
        return value & 0xFFFF


class ptr32(_Pointer):
    _size = 4
    _format = "i"
    _cut = staticmethod(_Int._cut)


for _type in (ptr8, ptr16, ptr32, uint):
    setattr(builtins, _type.__name__, _type)

_CONVERT = {int: _Int, uint: uint, bool: bool, ptr8: ptr8, ptr16: ptr16, ptr32: ptr32}


class _Globals(dict):
    """A module's own globals, but for `int`, which makes a word."""

    def __init__(self, module):
        super().__init__(__builtins__=builtins, __name__=module.get("__name__"))
        self._module = module

    def __getitem__(self, name):
        return _Int if name == "int" else self._module[name]


def _returned(annotation, value):
    """What the caller gets for what the function returned."""
    if annotation in (int, uint):
        if value is None:
            return 0  # the end was reached without a return
        if isinstance(value, bool):
            raise TypeError("return expected 'int' but got 'bool'")
        return int(_CONVERT[annotation](value))
    if annotation is bool:
        return bool(value)
    if isinstance(value, int) and not isinstance(value, bool):
        raise TypeError("return expected 'object' but got 'int'")
    return value


def viper(function):
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    annotations = function.__annotations__
    convert = [_CONVERT.get(annotations.get(name), lambda value: value) for name in names]
    body = types.FunctionType(code, _Globals(function.__globals__), function.__name__)
    result = annotations.get("return")

    def call(*args):
        if len(args) != len(convert):
            raise TypeError(
                "function takes %d positional arguments but %d were given"
                % (len(convert), len(args))
            )
        return _returned(result, body(*[to(arg) for to, arg in zip(convert, args)]))

    call.__name__ = function.__name__
    call.__doc__ = function.__doc__
    return call
