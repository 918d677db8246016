"""What the kernels rely on in viper: the same in MicroPython's machine code and in the shim."""

import unittest
from array import array

NEEDS_VIPER = True


def viper(source):
    """The function f of the source, which is one of viper's."""
    names = {}
    exec("import micropython\n@micropython.viper\n" + source, names)
    return names["f"]


class Reads(unittest.TestCase):
    def test_bytes_of_whatever_holds_them(self):
        at = viper("def f(p: ptr8, i: int) -> int:\n    return p[i]\n")
        self.assertEqual(at(b"ab", 1), 98)
        self.assertEqual(at(bytearray(b"\xff"), 0), 255)
        self.assertEqual(at(memoryview(b"abc")[1:], 0), 98)
        self.assertEqual(at(array("H", [258]), 0), 2)

    def test_a_str_is_its_utf8_bytes(self):
        at = viper("def f(p: ptr8, i: int) -> int:\n    return p[i]\n")
        self.assertEqual([at("h\u00e9", i) for i in range(3)], [0x68, 0xC3, 0xA9])

    def test_words_and_half_words(self):
        half = viper("def f(p: ptr16, i: int) -> int:\n    return p[i]\n")
        self.assertEqual(half(array("h", [1, -5]), 1), 0xFFFB)
        word = viper("def f(p: ptr32, i: int) -> int:\n    return p[i]\n")
        self.assertEqual(word(array("i", [1, 0x7FFFFFFF]), 1), 0x7FFFFFFF)

    def test_a_negative_word_is_negative_with_32_bit_words_and_cut_off_with_64(self):
        word = viper("def f(p: ptr32) -> int:\n    return p[0]\n")
        self.assertIn(word(array("i", [-5])), (-5, 0xFFFFFFFB))

    def test_none_and_floats_are_no_memory(self):
        at = viper("def f(p: ptr8) -> int:\n    return p[0]\n")
        for wrong in (None, 1.5):
            with self.assertRaises(TypeError):
                at(wrong)


class Writes(unittest.TestCase):
    def test_only_the_low_bits_are_stored(self):
        store = viper("def f(p: ptr8, v: int):\n    p[1] = v\n")
        buf = bytearray(3)
        store(buf, 0x1234)
        self.assertEqual(buf, b"\x00\x34\x00")
        store(buf, -1)
        self.assertEqual(buf, b"\x00\xff\x00")

    def test_words(self):
        store = viper("def f(p: ptr32, v: int):\n    p[1] = v\n    p[0] = p[1] + 1\n")
        words = array("i", [0, 0])
        store(words, -7)
        self.assertEqual(list(words), [-6, -7])
        half = viper("def f(p: ptr16, v: int):\n    p[1] = v\n")
        halves = array("H", [0, 0])
        half(halves, 0x12345)
        self.assertEqual(list(halves), [0, 0x2345])

    def test_through_a_view_at_its_own_start(self):
        store = viper("def f(p: ptr8):\n    p[0] = 65\n")
        buf = bytearray(3)
        store(memoryview(buf)[1:])
        self.assertEqual(buf, b"\x00A\x00")


class Integers(unittest.TestCase):
    def test_arguments(self):
        same = viper("def f(a: int) -> int:\n    return a\n")
        self.assertEqual([same(v) for v in (3, -1, True, 0x7FFFFFFF)], [3, -1, 1, 0x7FFFFFFF])
        for wrong in (None, 1.0, "1"):
            with self.assertRaises(TypeError):
                same(wrong)

    def test_results(self):
        self.assertTrue(viper("def f(a: bool) -> bool:\n    return a\n")(7) is True)
        self.assertTrue(viper("def f(a: bool) -> bool:\n    return a\n")(None) is False)
        self.assertEqual(viper("def f(a):\n    return a\n")("x"), "x")
        self.assertIsNone(viper("def f(a: int):\n    pass\n")(1))
        self.assertEqual(viper("def f(a: int) -> int:\n    pass\n")(1), 0)

    def test_a_result_needs_its_type(self):
        # SyntaxError's relative in MicroPython, TypeError in the shim; either way no result
        with self.assertRaises(Exception):  # noqa: B017
            viper("def f(a: int):\n    return a\n")(1)
        with self.assertRaises(Exception):  # noqa: B017
            viper("def f(a: int) -> int:\n    return a > 3\n")(1)

    def test_division_and_remainder_round_down(self):
        self.assertEqual(viper("def f(a: int, b: int) -> int:\n    return a // b\n")(-7, 2), -4)
        self.assertEqual(viper("def f(a: int, b: int) -> int:\n    return a % b\n")(-7, 2), 1)

    def test_shift_keeps_the_sign(self):
        self.assertEqual(viper("def f(a: int) -> int:\n    return a >> 1\n")(-3), -2)

    def test_words_wrap(self):
        # the square of 2**16 is 0 in a 32-bit word, the square of 2**32 in a 64-bit one
        square = viper("def f(a: int) -> int:\n    return a * a\n")
        self.assertIn(0, (square(1 << 16), square(1 << 32)))
        sums = viper(
            "def f(p: ptr8) -> int:\n    n = 1\n    i = 0\n    while i < 5:\n        n = n * 256 * int(p[0])\n        i += 1\n    return n\n"  # noqa: E501
        )
        self.assertIn(sums(b"\xff"), (0, 0xFF**5 << 40 & 0xFFFFFFFF, wrapped(0xFF**5 << 40, 64)))

    def test_arguments_are_positional_and_complete(self):
        f = viper("def f(a: int, b: int) -> int:\n    return a\n")
        for call in (lambda: f(1), lambda: f(1, 2, 3), lambda: f(1, b=2)):
            with self.assertRaises(TypeError):
                call()

    def test_six_arguments(self):
        f = viper(
            "def f(a: ptr8, b: int, c: int, d: int, e: int, g: int) -> int:\n    return b + g\n"
        )
        self.assertEqual(f(b"", 1, 2, 3, 4, 5), 6)

    def test_unsigned_words(self):
        self.assertEqual(viper("def f(a: uint) -> uint:\n    return a + a\n")(3), 6)


def wrapped(value, bits):
    half = 1 << (bits - 1)
    return (value + half & (1 << bits) - 1) - half


class Calls(unittest.TestCase):
    def test_a_kernel_calls_another_with_its_pointers(self):
        names = {}
        exec(
            "import micropython\n"
            "@micropython.viper\n"
            "def at(p: ptr8, i: int) -> int:\n    return p[i]\n"
            "@micropython.viper\n"
            "def f(p: ptr8) -> int:\n    return int(at(p, 1)) + 1\n",
            names,
        )
        self.assertEqual(names["f"](b"abc"), 99)

    def test_an_exception_passes_through(self):
        f = viper(
            "def f(a: int) -> int:\n    if a > 0:\n        raise ValueError('x')\n    return 1\n"
        )
        self.assertEqual(f(0), 1)
        with self.assertRaises(ValueError):
            f(1)


if __name__ == "__main__":
    unittest.main()
