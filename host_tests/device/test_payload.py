"""Readings built in a fixed buffer."""

import unittest

from unats import Payload


def built(size=64):
    return Payload(size)


class Building(unittest.TestCase):
    def check(self, payload, expected):
        self.assertEqual(bytes(payload.buffer[: payload.size]), expected)

    def test_a_reading(self):
        p = built()
        p.clear().text('{"t":').fixed(2153, 2).text(',"n":').int(7).text("}")
        self.check(p, b'{"t":21.53,"n":7}')

    def test_starts_empty_and_is_cleared(self):
        p = built()
        self.check(p, b"")
        p.text("abc").clear()
        self.check(p, b"")
        self.check(p.text("x"), b"x")

    def test_every_call_returns_the_payload(self):
        p = built()
        for result in (
            p.clear(),
            p.text("a"),
            p.int(1),
            p.fixed(1, 1),
            p.bytes(b"a"),
            p.hex(b"a"),
        ):
            self.assertTrue(result is p)

    def test_text(self):
        self.check(built().text("Grüße"), "Grüße".encode())
        self.check(built().text("温度 🌡"), "温度 🌡".encode())
        self.check(built().text(""), b"")

    def test_bytes_like(self):
        for data in (b"\x00\xff\r\n", bytearray(b"\x00\xff\r\n"), memoryview(b"\x00\xff\r\n")):
            self.check(built().bytes(b"<").bytes(data).bytes(b">"), b"<\x00\xff\r\n>")
        self.check(built().bytes(b""), b"")

    def test_bytes_of_text_are_utf_8(self):
        self.check(built().bytes("größe").bytes("x"), "größex".encode())

    def test_hex(self):
        self.check(built().hex(b"\x00\x0f\xa5\xff"), b"000fa5ff")
        self.check(built().hex(bytearray(b"\x10")), b"10")
        self.check(built().hex(memoryview(b"\x10\x20\x30")[1:]), b"2030")
        self.check(built().hex(b""), b"")

    def test_ints(self):
        for value in (0, 1, -1, 9, 10, -10, 99, 100, 123456789, -123456789):
            self.check(built().int(value), b"%d" % value)

    def test_ints_around_the_sizes_of_words(self):
        for bits in (29, 30, 31, 32, 62, 63, 64, 100):
            for value in ((1 << bits) - 1, 1 << bits, (1 << bits) + 1):
                self.check(built().int(value), b"%d" % value)
                self.check(built().int(-value), b"%d" % -value)

    def test_fixed(self):
        for value, decimals, expected in (
            (2153, 2, b"21.53"),
            (-2153, 2, b"-21.53"),
            (5, 2, b"0.05"),
            (-5, 2, b"-0.05"),
            (-5, 1, b"-0.5"),
            (50, 2, b"0.50"),
            (100, 2, b"1.00"),
            (0, 3, b"0.000"),
            (7, 0, b"7"),
            (-7, 0, b"-7"),
            (1000, 3, b"1.000"),
            (999, 3, b"0.999"),
            (-999, 3, b"-0.999"),
            (101325, 3, b"101.325"),
        ):
            self.check(built().fixed(value, decimals), expected)

    def test_fixed_with_every_number_of_decimals(self):
        for decimals in range(1, 9):
            for value in (
                0,
                1,
                -1,
                7,
                10**decimals,
                10**decimals - 1,
                -(10**decimals) - 1,
                123456789,
                -1073741823,
            ):
                digits = str(abs(value))
                digits = "0" * (decimals + 1 - len(digits)) + digits
                expected = (
                    ("-" if value < 0 else "") + digits[:-decimals] + "." + digits[-decimals:]
                )
                self.check(built().fixed(value, decimals), expected.encode())

    def test_fixed_of_large_numbers(self):
        self.check(built().fixed(1 << 31, 2), b"21474836.48")
        self.check(built().fixed(-(1 << 31) - 1, 8), b"-21.47483649")
        self.check(built().fixed((1 << 63) + 7, 3), b"9223372036854775.815")
        self.check(built().fixed(-(10**20), 8), b"-1000000000000.00000000")
        self.check(built().fixed(1 << 30, 8), b"10.73741824")
        self.check(built().fixed((1 << 30) - 1, 8), b"10.73741823")

    def test_size(self):
        self.assertEqual(built().size, 0)
        self.assertEqual(built().text("äbc").size, 4)


class Full(unittest.TestCase):
    """What does not fit raises and leaves the payload as it was; what just fits does fit."""

    APPENDS = (
        (lambda p: p.text("abcd"), 4),
        (lambda p: p.text("äöü"), 6),
        (lambda p: p.bytes(b"abcde"), 5),
        (lambda p: p.bytes(bytearray(9)), 9),
        (lambda p: p.hex(b"abc"), 6),
        (lambda p: p.int(0), 1),
        (lambda p: p.int(-1), 2),
        (lambda p: p.int(123), 3),
        (lambda p: p.int(-1234), 5),
        (lambda p: p.int(999999), 6),
        (lambda p: p.int(1000000), 7),
        (lambda p: p.int(1 << 40), 13),
        (lambda p: p.fixed(0, 0), 1),
        (lambda p: p.fixed(2153, 2), 5),
        (lambda p: p.fixed(-5, 2), 5),
        (lambda p: p.fixed(1, 8), 10),
        (lambda p: p.fixed(-1, 8), 11),
        (lambda p: p.fixed(1 << 40, 2), 14),
    )

    def test_at_every_fill(self):
        for append, needed in self.APPENDS:
            for room in range(needed + 2):
                p = Payload(16 + room).bytes(b"0123456789ABCDEF")
                before = bytes(p.buffer)
                if room >= needed:
                    append(p)
                    self.assertEqual(p.size, 16 + needed)
                else:
                    self.assertRaises(ValueError, append, p)
                    self.assertEqual(p.size, 16)
                    self.assertEqual(bytes(p.buffer)[:16], before[:16])
                    self.assertEqual(bytes(p.buffer[: p.size]), b"0123456789ABCDEF")

    def test_goes_on_afterwards(self):
        p = Payload(4).text("ab")
        self.assertRaises(ValueError, p.text, "cde")
        self.assertEqual(bytes(p.text("cd").buffer), b"abcd")
        self.assertRaises(ValueError, p.int, 1)
        self.assertEqual(bytes(p.clear().int(1).buffer[:1]), b"1")

    def test_no_room_at_all(self):
        p = Payload(0)
        self.assertRaises(ValueError, p.int, 0)
        self.assertEqual(p.text("").size, 0)


class Misuse(unittest.TestCase):
    def refused(self, call, *arguments):
        p = built().text("x")
        try:
            call(p, *arguments)
            self.fail("%r was taken" % (arguments,))
        except (TypeError, ValueError):
            pass
        self.assertEqual(bytes(p.buffer[: p.size]), b"x")

    def test_a_number_of_decimals_that_cannot_be(self):
        self.refused(Payload.fixed, 1, -1)
        self.refused(Payload.fixed, 1, "2")

    def test_the_wrong_type_leaves_it_as_it_was(self):
        for argument in (5, None):
            self.refused(Payload.text, argument)
            self.refused(Payload.bytes, argument)
            self.refused(Payload.hex, argument)
        self.refused(Payload.int, "5")
        self.refused(Payload.int, None)


if __name__ == "__main__":
    unittest.main()
