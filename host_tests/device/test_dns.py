"""Names to addresses: what a resolver asks, whom it believes, what hostile answers do to it.

Name servers are UDP sockets on loopback, served between two polls; time is a number that the test
moves. The seed of the random part is printed; `UNATS_FUZZ_SEED=... pytest` plays the same again.
"""

import errno
import gc
import os
import random
import struct
import sys
import unittest

import uselect
import usocket
import utime

import unats
from unats import dns

NEEDS_SOCKETS = True

_WAIT_MS = 5000  # only a failing test waits that long
_GOOD = ["192.0.2.1"]
_EVIL = "6.6.6.6"  # never to be believed
_NO_SUCH_NAME = -2
_A = 1
_NS = 2
_CNAME = 5
_AAAA = 28
_ASKED = b"\xc0\x0c"  # a pointer to the name in the question
_PERIOD = 1 << 30


class Clock:
    """As utime on a 32-bit board, but that it stands still."""

    def __init__(self, now=0):
        self.now = now

    def ticks_ms(self):
        return self.now % _PERIOD

    def ticks_add(self, ticks, delta):
        return (ticks + delta) % _PERIOD

    def ticks_diff(self, end, start):
        return (end - start + _PERIOD // 2) % _PERIOD - _PERIOD // 2


# --- messages as RFC 1035 draws them ------------------------------------------------------------


def name(text):
    labels = [label.encode() for label in text.split(".") if label]
    return b"".join([bytes([len(label)]) + label for label in labels]) + b"\0"


def pointer(at):
    return struct.pack(">H", 0xC000 | at)


def record(owner, kind, data, cls=1):
    return owner + struct.pack(">HHIH", kind, cls, 60, len(data)) + data


def ip(text):
    return bytes([int(part) for part in text.split(".")])


def a(address, owner=_ASKED):
    return record(owner, _A, ip(address))


def cname(target, owner=_ASKED):
    return record(owner, _CNAME, target)


def question(host, kind=_A, cls=1):
    return name(host) + struct.pack(">HH", kind, cls)


def reply(asked, *records, **header):
    """An answer to what was asked; header: another flags, number of questions or answers."""
    flags = header.get("flags", 0x8180)
    counts = header.get("questions", 1), header.get("answers", len(records))
    begin = asked[:2] + struct.pack(">HHHHH", flags, counts[0], counts[1], 0, 0)
    return begin + header.get("question", asked[12:]) + b"".join(records)


# --- name servers -------------------------------------------------------------------------------


def bound(hosts):
    """A port, and a socket at it for each of the hosts."""
    for port in range(21000, 30000, 7):
        sockets = []
        try:
            for host in hosts:
                sockets.append(usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM))
                sockets[-1].bind(usocket.getaddrinfo(host, port)[0][-1])
            return port, sockets
        except OSError:
            for s in sockets:
                s.close()
    raise OSError("no port is free")


def arrived(sock, timeout_ms=_WAIT_MS):
    """Whether a datagram is there, or comes in time."""
    poller = uselect.poll()
    poller.register(sock, uselect.POLLIN)
    return bool(poller.poll(timeout_ms))


class Server:
    """A name server: `asked` is the last question that it was asked, whole."""

    def __init__(self, sock):
        self.sock = sock
        self.asked = self.asker = None

    def receive(self):
        """The next question; it becomes the last one."""
        if not arrived(self.sock):
            raise AssertionError("nothing was asked")
        self.asked, self.asker = self.sock.recvfrom(600)
        return self.asked

    def was_asked(self):
        """Whether there is a question not received."""
        return arrived(self.sock, 20)

    def send(self, data, sock=None):
        (sock or self.sock).sendto(data, self.asker)

    def answer(self, *records, **header):
        self.send(reply(self.asked, *records, **header))


class Case(unittest.TestCase):
    hosts = ("127.0.0.1",)
    timeout_ms = 6000

    def setUp(self):
        self.clock = dns.utime = Clock()
        self.port, sockets = bound(self.hosts)
        self.servers = [Server(sock) for sock in sockets]
        self.server = self.servers[0]
        self.resolver = dns.Resolver(list(self.hosts), self.timeout_ms, port=self.port)

    def tearDown(self):
        dns.utime = utime
        self.resolver.close()
        for server in self.servers:
            server.sock.close()

    def ask(self, host="broker.example"):
        """Start a question, and let every server receive it."""
        self.resolver.start(host)
        for server in self.servers:
            server.receive()

    def assert_waits(self):
        for _ in range(3):
            self.assertEqual(self.resolver.poll(), None)

    def result(self):
        """The addresses; what has been sent must not take longer than a second to be there."""
        for _ in range(1000):
            found = self.resolver.poll()
            if found is not None:
                return found
            utime.sleep_ms(1)
        return None

    def error(self):
        """The errno with which the question fails, or what it leads to instead."""
        try:
            return self.result()
        except OSError as e:
            return e.errno

    def assert_found(self, *addresses):
        self.assertEqual(self.result(), list(addresses))

    def assert_refused(self):
        self.assertEqual(self.error(), errno.ECONNREFUSED)

    def assert_ignored(self, data):
        """What the server sends changes nothing: the next answer is the one."""
        self.server.send(data)
        self.assert_waits()
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def refuse(self, server, code=5):
        server.answer(flags=0x8180 | code)


# --- what MicroPython's datagrams are like, and so the shim's ------------------------------------


class Datagrams(Case):
    def setUp(self):
        super().setUp()
        self.to = usocket.getaddrinfo("127.0.0.1", self.port)[0][-1]
        self.sock = usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM)
        self.sock.setblocking(False)

    def tearDown(self):
        self.sock.close()
        super().tearDown()

    def receive_error(self):
        try:
            self.sock.recvfrom(8)
        except OSError as e:
            return e.errno
        return None

    def test_one_by_one_cut_to_what_is_asked_for_and_whoever_sent_them(self):
        self.assertEqual(self.sock.sendto(b"question", self.to), 8)
        data, sender = self.server.sock.recvfrom(5)
        self.assertEqual(data, b"quest")
        self.server.sock.sendto(b"answer", sender)
        self.server.sock.sendto(b"", sender)
        self.assertTrue(arrived(self.sock))
        data, sender = self.sock.recvfrom(512)
        self.assertEqual((data, sender == self.to), (b"answer", True))
        self.assertEqual(self.sock.recvfrom(512)[0], b"")

    def test_nothing_there_is_eagain(self):
        self.assertEqual(self.receive_error(), errno.EAGAIN)

    def test_a_connected_one_hears_that_nobody_listens(self):
        self.server.sock.close()
        self.sock.connect(self.to)
        self.assertEqual(self.sock.send(b"x"), 1)
        self.assertTrue(arrived(self.sock))
        self.assertEqual(self.receive_error(), errno.ECONNREFUSED)
        self.assertEqual(self.receive_error(), errno.EAGAIN)

    def test_a_tuple_is_no_address(self):
        with self.assertRaises(TypeError):
            self.sock.sendto(b"x", ("127.0.0.1", self.port))


# --- asking -------------------------------------------------------------------------------------


class Questions(Case):
    def test_are_as_the_rfc_has_them(self):
        self.ask("Broker.Example.org")
        self.assertEqual(self.server.asked[2:4], b"\1\0")  # recursion desired
        self.assertEqual(self.server.asked[4:12], b"\0\1\0\0\0\0\0\0")
        self.assertEqual(self.server.asked[12:], b"\6broker\7example\3org\0\0\1\0\1")

    def test_have_an_id_that_nobody_can_guess(self):
        ids = []
        for _ in range(8):
            self.ask()
            ids.append(self.server.asked[:2])
        self.assertTrue(len(set(ids)) > 4)

    def test_a_dot_at_the_end_changes_nothing(self):
        self.ask("broker.example.")
        self.assertEqual(self.server.asked[12:], question("broker.example"))
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_one_label_is_a_name(self):
        self.ask("broker")
        self.assertEqual(self.server.asked[12:], question("broker"))

    def test_the_longest_name(self):
        host = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
        self.ask(host)
        self.assertEqual(self.server.asked[12:], question(host))
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_the_most_labels(self):
        self.ask(".".join(["a"] * 127))
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_letters_beyond_ascii_are_utf8(self):
        self.ask("caf\xe9.example")
        self.assertEqual(self.server.asked[12:], b"\5caf\xc3\xa9\7example\0\0\1\0\1")

    def test_what_can_be_no_name_is_not_asked_for(self):
        labels = ["a" * 63, "b" * 63, "c" * 63, "d" * 62]
        hosts = ["", ".", "..", "a..b", ".a", "a..", "a" * 64, "x." + "a" * 64, ".".join(labels)]
        for host in hosts:
            self.resolver.start(host)
            self.assertEqual((host, self.error()), (host, _NO_SUCH_NAME))
        self.assertFalse(self.server.was_asked())

    def test_an_address_is_its_own_answer(self):
        for host in ("10.1.2.3", "255.255.255.255", "::1", "fe80::1", "::ffff:10.0.0.1"):
            self.resolver.start(host)
            self.assertEqual(self.resolver.poll(), [host])
        self.assertFalse(self.server.was_asked())

    def test_what_is_almost_an_address_is_a_name(self):
        almost = ("10.1.2.256", "10.1.2", "10.1.2.3.4", "10.1.2.x", "10.1.2.0003", "10.1.2.-1")
        for host in almost:
            self.ask(host)
            self.assertEqual(self.server.asked[12:], question(host))


class Retransmission(Case):
    def asked_at(self, until):
        """The times up to `until`, in tenths of a second, at which a question came."""
        times = []
        for tenths in range(until + 1):
            self.clock.now = self.begin + tenths * 100
            try:
                self.resolver.poll()
            except OSError:
                pass
            while arrived(self.server.sock, 0):
                self.questions.append(self.server.receive())
                times.append(tenths)
        return times

    def begin_at(self, now):
        self.begin = self.clock.now = now
        self.questions = []
        self.resolver.start("broker.example")

    def test_after_1_2_and_4_seconds(self):
        self.resolver = dns.Resolver("127.0.0.1", 12000, port=self.port)
        self.begin_at(0)
        self.assertEqual(self.asked_at(119), [0, 10, 30, 70])
        self.assertEqual(len(set(self.questions)), 1)

    def test_not_beyond_the_deadline(self):
        self.begin_at(0)
        self.assertEqual(self.asked_at(300), [0, 10, 30])

    def test_when_the_clock_wraps(self):
        self.begin_at(_PERIOD - 1500)
        self.assertEqual(self.asked_at(59), [0, 10, 30])

    def test_a_lost_question_is_made_good(self):
        self.ask()
        self.clock.now = 1000
        self.assert_waits()
        self.server.receive()
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_a_late_answer_to_the_first_question_counts(self):
        self.ask()
        asked = self.server.asked
        self.clock.now = 3500
        self.assert_waits()
        self.server.send(reply(asked, a(_GOOD[0])))
        self.assert_found(*_GOOD)

    def test_starting_asks_at_once(self):
        self.ask()  # without a poll


class Deadline(Case):
    timeout_ms = 700

    def test_is_the_last_moment(self):
        self.ask()
        self.clock.now = 699
        self.assert_waits()
        self.clock.now = 700
        self.assertEqual(self.error(), errno.ETIMEDOUT)
        self.assertEqual(self.error(), errno.ETIMEDOUT)

    def test_what_came_in_time_counts_if_the_application_was_away(self):
        self.ask()
        self.server.answer(a(_GOOD[0]))
        utime.sleep_ms(20)  # it has crossed the loopback
        self.clock.now = 60000
        self.assertEqual(self.resolver.poll(), _GOOD)

    def test_holds_after_a_pause_of_any_length(self):
        for days in (1, 5, 7, 9, 12):
            self.clock.now = 0
            self.ask()
            self.clock.now = days * 86400000
            self.assertEqual((days, self.error()), (days, errno.ETIMEDOUT))
            self.assertFalse(self.server.was_asked())

    def test_bad_answers_do_not_put_it_off(self):
        self.ask()
        for self.clock.now in range(100, 700, 100):
            self.server.send(b"garbage")
            self.assert_waits()
        self.clock.now = 700
        self.assertEqual(self.error(), errno.ETIMEDOUT)


# --- believing ----------------------------------------------------------------------------------


class Answers(Case):
    def test_one_address(self):
        self.ask()
        self.assert_waits()
        self.server.answer(a("10.20.30.40"))
        self.assert_found("10.20.30.40")
        self.assert_found("10.20.30.40")  # until the next question

    def test_several_addresses_in_their_order(self):
        self.ask()
        self.server.answer(a("192.0.2.3"), a("192.0.2.1"), a("192.0.2.2"))
        self.assert_found("192.0.2.3", "192.0.2.1", "192.0.2.2")

    def test_as_many_as_a_datagram_holds(self):
        addresses = ["192.0.2.%d" % i for i in range(29)]
        self.ask("b.example")
        self.server.answer(*[a(address) for address in addresses])
        self.assert_found(*addresses)

    def test_names_that_are_not_compressed(self):
        self.ask()
        self.server.answer(a(_GOOD[0], name("broker.example")))
        self.assert_found(*_GOOD)

    def test_names_compressed_in_part(self):
        self.ask("broker.example.org")
        self.server.answer(a(_GOOD[0], b"\6broker" + pointer(12 + 7)))
        self.assert_found(*_GOOD)

    def test_upper_and_lower_case_are_the_same(self):
        self.ask("brOker.eXample")
        owner = name("BROKER.example")
        self.server.answer(a(_GOOD[0], owner), question=question("Broker.EXAMPLE"))
        self.assert_found(*_GOOD)

    def test_other_records_are_passed_over(self):
        self.ask()
        self.server.answer(
            record(_ASKED, _AAAA, bytes(16)),
            record(_ASKED, 16, b"\3abc"),
            record(_ASKED, _A, ip(_EVIL), 3),  # of another class
            record(_ASKED, _A, ip(_EVIL) + b"\1"),
            record(_ASKED, _A, b""),
            record(_ASKED, _NS, name("ns.example")),
            a(_GOOD[0]),
        )
        self.assert_found(*_GOOD)

    def test_records_of_other_names_are_passed_over(self):
        self.ask()
        self.server.answer(
            a(_EVIL, name("example")),
            a(_EVIL, name("xbroker.example")),
            a(_EVIL, name("x.broker.example")),
            a(_EVIL, name("broker.example.org")),
            a(_EVIL, name("broker.exampl")),
            a(_EVIL, b"\0"),
            a(_EVIL, b"\x0ebroker.example\0"),
            a(_GOOD[0]),
        )
        self.assert_found(*_GOOD)

    def test_what_follows_the_answers_is_not_read(self):
        self.ask()
        extra = record(_ASKED, _A, ip(_EVIL)) + b"\xff" * 20
        self.server.send(reply(self.server.asked, a(_GOOD[0])) + extra)
        self.assert_found(*_GOOD)

    def test_no_such_name(self):
        self.ask()
        self.server.answer(flags=0x8183)
        self.assertEqual(self.error(), _NO_SUCH_NAME)
        self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_a_name_without_addresses_is_no_such_name(self):
        self.ask()
        self.server.answer(record(_ASKED, _AAAA, bytes(16)))
        self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_of_the_server_of_the_zone_too(self):
        self.ask()
        self.server.answer(flags=0x8400)
        self.assertEqual(self.error(), _NO_SUCH_NAME)


class Aliases(Case):
    def test_lead_to_addresses(self):
        self.ask()
        self.server.answer(
            cname(name("a.cdn.example")),
            cname(name("b.cdn.example"), name("a.cdn.example")),
            a(_GOOD[0], name("b.CDN.example")),
            a("192.0.2.2", name("b.cdn.example")),
        )
        self.assert_found(_GOOD[0], "192.0.2.2")

    def test_compressed_as_servers_do_it(self):
        self.ask()
        alias = 12 + len(self.server.asked[12:]) + 12  # where the first record's data are
        self.server.answer(cname(b"\3www" + pointer(12 + 7)), a(_GOOD[0], pointer(alias)))
        self.assert_found(*_GOOD)

    def test_far_behind(self):
        self.ask("b.example")
        others = [record(_ASKED, _AAAA, bytes(16)) for _ in range(10)]
        alias = len(reply(self.server.asked, *others)) + 12
        self.server.answer(*(others + [cname(name("www.example")), a(_GOOD[0], pointer(alias))]))
        self.assertTrue(alias > 256)
        self.assert_found(*_GOOD)

    def test_in_any_order(self):
        self.ask()
        self.server.answer(
            a(_GOOD[0], name("c.example")),
            cname(name("c.example"), name("b.example")),
            cname(name("b.example"), name("a.example")),
            cname(name("a.example")),
        )
        self.assert_found(*_GOOD)

    def test_to_which_the_chain_does_not_lead_do_not_count(self):
        self.ask()
        self.server.answer(
            a(_EVIL, name("other.example")),
            cname(name("evil.example"), name("other.example")),
            a(_EVIL, name("evil.example")),
            cname(name("good.example")),
            a(_GOOD[0], name("good.example")),
        )
        self.assert_found(*_GOOD)

    def test_that_lead_nowhere_are_no_such_name(self):
        self.ask()
        self.server.answer(cname(name("gone.example")))
        self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_that_lead_nowhere_though_there_is_an_address(self):
        self.ask()
        self.server.answer(cname(name("gone.example")), a(_EVIL, name("gone.exampl")))
        self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_whose_name_does_not_exist(self):
        self.ask()
        self.server.answer(cname(name("gone.example")), flags=0x8183)
        self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_in_a_circle_lead_nowhere(self):
        circle = [cname(name("a.example")), cname(_ASKED, name("a.example"))]
        for records in (circle, circle[::-1], [cname(_ASKED)]):
            self.ask()
            self.server.answer(*records)
            self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_a_long_chain_has_an_end(self):
        self.ask("b.example")
        chain = [cname(name("0"))] + [cname(name(str(i + 1)), name(str(i))) for i in range(20)]
        chain.append(a(_GOOD[0], name("20")))
        chain.reverse()
        self.assert_ignored(reply(self.server.asked, *chain))


class Ignored(Case):
    """Each is as if it had not come; the good answer after it counts."""

    def setUp(self):
        super().setUp()
        self.ask()
        self.asked = self.server.asked

    def evil(self, *records, **header):
        return reply(self.asked, *(records + (a(_EVIL),)), **header)

    def test_another_id(self):
        for at in (0, 1):
            evil = bytearray(self.evil())
            evil[at] ^= 1
            self.server.send(bytes(evil))
        self.assert_ignored(evil)

    def test_no_response(self):
        self.assert_ignored(self.evil(flags=0x0100))

    def test_another_kind_of_query(self):
        self.assert_ignored(self.evil(flags=0x8980))  # inverse
        self.ask()
        self.asked = self.server.asked
        self.assert_ignored(self.evil(flags=0xA980))  # update

    def test_another_name_was_asked_for(self):
        for other in ("broker.exampl", "xbroker.example", "broker.example.org", "", "b"):
            self.server.send(self.evil(question=question(other)))
        self.assert_ignored(reply(self.asked, question=question("broker.exampld"), flags=0x8183))

    def test_another_type_or_class_was_asked_for(self):
        self.server.send(self.evil(question=question("broker.example", 257)))
        self.server.send(self.evil(question=question("broker.example", _AAAA)))
        self.assert_ignored(self.evil(question=question("broker.example", _A, 3)))

    def test_a_failure_that_answers_another_question(self):
        other = question("broker.exampld")
        for code in (1, 2, 3, 5):
            self.server.send(reply(self.asked, question=other, flags=0x8180 | code))
        self.assert_ignored(b"")

    def test_no_question_or_several(self):
        self.server.send(self.evil(questions=0, question=b""))
        for code in (1, 2, 3, 5):
            self.server.send(reply(self.asked, questions=0, question=b"", flags=0x8180 | code))
        self.server.send(self.evil(questions=256, question=self.asked[12:] * 2))
        self.assert_ignored(self.evil(questions=2, question=self.asked[12:] * 2))

    def test_cut_off_by_its_own_word(self):
        self.assert_ignored(reply(self.asked, flags=0x8380))
        self.ask()
        self.assert_ignored(reply(self.server.asked, cname(name("a.example")), flags=0x8380))

    def test_cut_off_by_its_own_word_but_with_addresses(self):
        self.server.answer(a("192.0.2.1"), a("192.0.2.2"), flags=0x8380)
        self.assert_found("192.0.2.1", "192.0.2.2")

    def test_more_records_are_promised_than_come(self):
        self.assert_ignored(reply(self.asked, answers=1))
        self.ask()
        self.server.answer(a("192.0.2.1"), answers=255)
        self.assert_found("192.0.2.1")

    def test_more_records_are_promised_than_a_datagram_holds(self):
        for answers in (256, 257, 65535):
            self.server.send(self.evil(answers=answers))
        self.assert_ignored(b"")

    def loops(self, at):
        """Names that never end, if they begin there."""
        yield pointer(at)
        yield b"\1a" + pointer(at)
        yield b"\1a" + pointer(at + 4) + pointer(at + 2)
        yield b"\x3f" + b"a" * 63 + pointer(at)
        yield b"\1a" * 100 + pointer(at)

    def test_pointers_that_loop(self):
        owner = len(reply(self.asked))
        for loop in self.loops(owner):
            self.server.send(reply(self.asked, a(_EVIL, loop)))
            self.server.send(reply(self.asked, a(_EVIL, loop), flags=0x8400))
            self.assert_waits()
        for loop in self.loops(owner + 12):
            target = pointer(owner + 12)
            self.server.send(reply(self.asked, cname(loop), a(_EVIL, target)))
            self.assert_waits()
        for loop in self.loops(12):
            self.server.send(reply(self.asked, question=loop + b"\0\1\0\1", flags=0x8183))
            self.server.send(reply(self.asked, question=loop + b"\0\1\0\1", flags=0x8185))
        self.assert_ignored(b"")

    def test_pointers_out_of_the_message(self):
        for target in (0x3FFF, 512, 100, len(reply(self.asked, a(_EVIL)))):
            self.server.send(reply(self.asked, a(_EVIL, pointer(target))))
        for target in (0x3FFF, 512, 100):
            self.server.send(reply(self.asked, cname(pointer(target)), a(_EVIL, pointer(target))))
        self.assert_ignored(reply(self.asked, b"\xc0"))

    def test_labels_of_reserved_kinds(self):
        for kind in (b"\x40", b"\x80", b"\xbf"):
            self.server.send(reply(self.asked, a(_EVIL, kind + self.asked[12:-4])))
        self.assert_ignored(b"")

    def test_names_that_are_too_long(self):
        long = (b"\x3f" + b"a" * 63) * 4 + b"\0"
        alias = pointer(len(self.asked) + 12)
        self.assert_ignored(reply(self.asked, cname(long), a(_EVIL, alias)))

    def test_garbage(self):
        for n in range(40):
            self.server.send(self.asked[:2] + b"\xff" * n)
            self.server.send(self.asked[:2] + bytes(n))
            self.server.send(bytes(n))
            self.assert_waits()
        self.assert_ignored(self.asked[:2] + b"\x81\x80" + b"\xff" * 600)

    def test_the_question_itself(self):
        self.assert_ignored(self.asked)

    def test_from_another_port(self):
        _port, others = bound(("127.0.0.1",))
        self.server.send(self.evil(), others[0])
        others[0].close()
        self.assert_ignored(b"")

    def test_from_another_address(self):
        _port, others = bound(("127.0.0.9",))
        self.server.send(self.evil(), others[0])
        others[0].close()
        self.assert_ignored(b"")

    def test_from_another_address_with_the_right_port(self):
        other = usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM)
        other.bind(usocket.getaddrinfo("127.0.0.9", self.port)[0][-1])
        self.server.send(self.evil(), other)
        other.close()
        self.assert_ignored(b"")


class Cut(Case):
    """An answer that ends too early, at each of its bytes, gives its whole records or nothing."""

    def play(self, records, ends):
        """ends: the addresses that there are from that many bytes of the records on."""
        self.ask()
        empty = len(reply(self.server.asked))
        for n in range(len(reply(self.server.asked, *records))):
            self.ask()
            self.server.send(reply(self.server.asked, *records)[:n])
            expected = [address for address, end in ends if n >= empty + end]
            if expected:
                self.assert_found(*expected)
            else:
                self.assertEqual((n, self.resolver.poll()), (n, None))
                self.assert_ignored(b"")

    def test_addresses(self):
        records = [a("192.0.2.%d" % i) for i in range(3)]
        self.play(records, [("192.0.2.%d" % i, 16 * (i + 1)) for i in range(3)])

    def test_an_alias(self):
        alias = cname(b"\3www" + pointer(12 + 7))
        address = a(_GOOD[0], b"\3www" + pointer(12 + 7))
        self.play([alias, address], [(_GOOD[0], len(alias) + len(address))])


class Fuzz(Case):
    """Valid answers with random harm: no exception but OSError, no text that is no address."""

    def setUp(self):
        super().setUp()
        seed = os.getenv("UNATS_FUZZ_SEED")
        seed = int(seed) if seed else int.from_bytes(os.urandom(3), "big")
        print("UNATS_FUZZ_SEED=%d" % seed)
        random.seed(seed)

    def below(self, n):
        return random.getrandbits(16) % n

    def noise(self, n):
        return bytes([random.getrandbits(8) for _ in range(n)])

    def harmed(self, answer):
        answer = bytearray(answer)
        for _ in range(1 + self.below(4)):
            what = self.below(8)
            at = 2 + self.below(len(answer) - 2)
            if what == 0:
                answer = answer[: 12 + self.below(len(answer) - 12)]
            elif what == 1:
                answer = answer[:at] + answer[at + 1 + self.below(4) :]
            elif what == 2:
                answer = answer[:at] + self.noise(1 + self.below(4)) + answer[at:]
            elif what == 3:
                answer[at] = 0xC0
            else:
                answer[at] ^= 1 << self.below(8)
            answer += bytes(max(0, 14 - len(answer)))
        return bytes(answer)

    def check(self, address):
        self.assertEqual(type(address), str)
        self.assertEqual(".".join([str(part) for part in ip(address)]), address)
        self.assertEqual(len(ip(address)), 4)

    def test_random_harm(self):
        self.ask()
        for _ in range(3000):
            whole = reply(
                self.server.asked,
                cname(b"\3www" + pointer(12 + 7)),
                a("192.0.2.1", pointer(len(self.server.asked) + 12)),
                a("192.0.2.2", name("WWW.example")),
                record(_ASKED, _AAAA, bytes(16)),
            )
            self.server.send(self.harmed(whole))
            try:
                found = self.resolver.poll()
            except OSError as e:
                self.assertTrue(e.errno in (_NO_SUCH_NAME, errno.ECONNREFUSED))
                found = []
            for address in found or ():
                self.check(address)
            if found is not None:
                self.ask()

    def test_noise(self):
        self.ask()
        for _ in range(500):
            self.server.send(self.server.asked[:2] + b"\x81\x80" + self.noise(self.below(300)))
            self.assertEqual(self.resolver.poll(), None)
        self.assert_ignored(b"")


class Work(Case):
    """What an answer can cost: a board has 125 MHz, and its watchdog waits for it."""

    def cost(self, *records, **header):
        """Microseconds that the cheapest of some polls took."""
        times = []
        for _ in range(5):
            self.server.send(reply(self.server.asked, *records, **header))
            arrived(self.server.sock, 0)
            start = utime.ticks_us()
            self.assertEqual(self.resolver.poll(), None)
            times.append(utime.ticks_diff(utime.ticks_us(), start))
        return min(times)

    def test_is_bounded_whatever_comes(self):
        self.ask("b.example")
        at = len(reply(self.server.asked)) + 12  # where the first record's data are
        deep = b"\1a" * 110 + b"\0"  # a name of many labels
        users = [a(_EVIL, b"\1x" + pointer(at)) for _ in range(14)]
        other = b"\1b" + pointer(at)
        chain = [cname(other, pointer(at)), cname(pointer(at), other)]
        hop = 12 + len(self.server.asked[12:])
        ladder = b"".join([pointer(at + 2 * i) for i in range(1, 100)]) + pointer(at)
        costs = [
            self.cost(cname(deep), *users, answers=255),
            self.cost(cname(deep), *(chain + users), answers=255),
            self.cost(record(_ASKED, 16, ladder), *[a(_EVIL, pointer(at)) for _ in range(15)]),
            self.cost(*[a(_EVIL, pointer(hop)) for _ in range(29)], answers=255),
            self.cost(*[cname(_ASKED, b"\0") for _ in range(30)], answers=255),
        ]
        self.assertTrue(max(costs) < 20000, repr(costs))


class Idle(Case):
    def test_waiting_leaves_nothing_on_the_heap(self):
        self.ask()
        self.resolver.poll()
        gc.collect()
        before = self.in_use()
        gc.disable()
        for _ in range(1000):
            self.resolver.poll()
        taken = self.in_use() - before
        gc.enable()
        self.assertTrue(taken < 1000, taken)

    def in_use(self):
        return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


# --- servers ------------------------------------------------------------------------------------


class Refusal(Case):
    def test_of_the_only_server_ends_it(self):
        for code in (1, 2, 4, 5, 15):
            self.ask()
            self.refuse(self.server, code)
            self.assert_refused()
            self.assert_refused()

    def test_by_a_server_that_only_knows_where_others_are(self):
        self.ask()
        self.server.answer(flags=0x8100)
        self.assert_refused()

    def test_by_the_network(self):
        self.server.sock.close()
        self.resolver.start("broker.example")
        self.assert_refused()

    def test_addresses_in_a_refusal_do_not_count(self):
        self.ask()
        self.server.answer(a(_EVIL), flags=0x8182)
        self.assert_refused()


class TwoServers(Case):
    hosts = ("127.0.0.1", "127.0.0.2")

    def setUp(self):
        super().setUp()
        self.ask()
        self.first, self.second = self.servers

    def test_both_are_asked_each_time(self):
        self.clock.now = 1000
        self.assert_waits()
        self.assertEqual(self.first.receive(), self.second.receive())

    def test_either_may_answer(self):
        for server in self.servers:
            self.ask()
            server.answer(a(_GOOD[0]))
            self.assert_found(*_GOOD)

    def test_the_first_answer_counts(self):
        self.second.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)
        self.first.answer(a(_EVIL))
        self.assert_found(*_GOOD)

    def test_one_that_refuses_is_not_believed(self):
        self.refuse(self.first)
        self.assert_waits()
        self.second.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_the_first_that_is_read_counts(self):
        self.first.answer(a(_GOOD[0]))
        self.second.answer(flags=0x8183)
        self.assert_found(*_GOOD)

    def test_no_such_name_is_believed(self):
        self.second.answer(flags=0x8183)
        self.assertEqual(self.error(), _NO_SUCH_NAME)

    def test_both_refuse(self):
        self.refuse(self.second, 2)
        self.assert_waits()
        self.refuse(self.first)
        self.assert_refused()

    def test_one_refuses_twice(self):
        self.refuse(self.first)
        self.refuse(self.first)
        self.assert_waits()
        self.refuse(self.second)
        self.assert_refused()

    def test_one_that_refused_is_asked_again(self):
        self.refuse(self.first, 2)
        self.assert_waits()
        self.clock.now = 1000
        self.assert_waits()
        self.first.receive()
        self.refuse(self.second)  # but this one is slow
        self.assert_waits()
        self.first.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_one_refuses_and_the_other_is_silent(self):
        for self.clock.now in range(0, 6000, 500):
            self.refuse(self.first)
            self.assert_waits()
        self.clock.now = 6000
        self.assertEqual(self.error(), errno.ETIMEDOUT)

    def test_one_is_not_there(self):
        self.first.sock.close()
        self.resolver.start("broker.example")
        self.second.receive()
        self.assert_waits()
        self.second.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_neither_is_there(self):
        for server in self.servers:
            server.sock.close()
        self.resolver.start("broker.example")
        self.assert_refused()

    def test_one_is_not_there_and_the_other_refuses(self):
        self.first.sock.close()
        self.resolver.start("broker.example")
        self.second.receive()
        self.assert_waits()
        self.refuse(self.second)
        self.assert_refused()

    def test_one_answers_for_the_other(self):
        self.first.asker, self.second.asker = self.second.asker, self.first.asker
        self.first.answer(a(_EVIL))
        self.second.answer(a(_EVIL))
        self.assert_waits()


class Restarting(Case):
    def free_number(self):
        """The number that the next socket gets."""
        sock = usocket.socket()
        number = sock.fileno()
        sock.close()
        return number

    def test_abandons_the_question_before(self):
        self.ask("first.example")
        asker, asked = self.server.asker, self.server.asked
        self.ask("second.example")
        self.server.sock.sendto(reply(asked, a(_EVIL)), asker)
        self.assert_waits()
        self.server.send(reply(asked, a(_EVIL)))
        self.assert_waits()
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_after_each_kind_of_end(self):
        self.ask()
        self.refuse(self.server)
        self.assert_refused()
        self.ask()
        self.server.answer(flags=0x8183)
        self.assertEqual(self.error(), _NO_SUCH_NAME)
        self.ask()
        self.clock.now += 6000
        self.assertEqual(self.error(), errno.ETIMEDOUT)
        self.resolver.start("10.0.0.1")
        self.assert_found("10.0.0.1")
        self.resolver.start("..")
        self.assertEqual(self.error(), _NO_SUCH_NAME)
        self.resolver.close()
        self.ask()
        self.assert_waits()
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)

    def test_has_all_its_time_again(self):
        self.ask()
        self.clock.now = 5999
        self.ask()
        self.clock.now += 5999
        self.assert_waits()
        self.clock.now += 1
        self.assertEqual(self.error(), errno.ETIMEDOUT)

    def test_closing_twice(self):
        self.resolver.close()
        self.ask()
        self.resolver.close()
        self.resolver.close()
        self.assertEqual(self.error(), errno.EINVAL)

    def test_polling_before_a_question(self):
        self.assertEqual(self.error(), errno.EINVAL)

    def test_many_questions_leave_no_socket_behind(self):
        free = self.free_number()
        for _ in range(30):
            self.ask()
        self.assertNotEqual(self.free_number(), free)
        self.server.answer(a(_GOOD[0]))
        self.assert_found(*_GOOD)
        self.assertEqual(self.free_number(), free)  # without closing
        self.ask()
        self.resolver.close()
        self.assertEqual(self.free_number(), free)


class Multicast(Case):
    def setUp(self):
        super().setUp()
        self.resolver = dns.Resolver([], port=1)
        self.resolver.mdns = ("127.0.0.1", self.port)
        self.ask("Greenhouse.LOCAL")

    def test_where_to(self):
        self.assertEqual(dns.Resolver.mdns, ("224.0.0.251", 5353))

    def test_a_question_for_an_answer_to_this_socket_only(self):
        self.assertEqual(self.server.asked[:12], bytes(5) + b"\1" + bytes(6))
        self.assertEqual(self.server.asked[12:], b"\x0agreenhouse\5local\0\0\1\x80\1")

    def test_asked_again(self):
        for self.clock.now in (1000, 3000):
            self.assert_waits()
            self.assertEqual(self.server.receive()[12:], question("greenhouse.local", _A, 0x8001))

    def test_an_answer_as_to_any_resolver(self):
        self.server.answer(a(_GOOD[0]), flags=0x8400)
        self.assert_found(*_GOOD)

    def test_an_answer_without_the_question(self):
        flush = record(name("Greenhouse.local"), _A, ip(_GOOD[0]), 0x8001)
        self.server.answer(flush, flags=0x8400, questions=0, question=b"")
        self.assert_found(*_GOOD)

    def test_a_name_within_a_name(self):
        self.ask("a.b.local.")
        self.assertEqual(self.server.asked[12:], question("a.b.local", _A, 0x8001))

    def test_other_names_are_not_asked_for_here(self):
        for host in ("local.example", "local", "greenhouselocal", "greenhouse.locals"):
            self.resolver.start(host)
            self.assertEqual((host, self.error()), (host, errno.EHOSTUNREACH))  # no name server
        self.assertFalse(self.server.was_asked())

    def test_from_another_port_than_it_was_sent_to(self):
        _port, others = bound(("127.0.0.1",))
        self.server.send(reply(self.server.asked, a(_EVIL), flags=0x8400), others[0])
        others[0].close()
        self.assert_ignored(b"")

    def test_from_another_address_with_the_right_port(self):
        other = usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM)
        other.bind(usocket.getaddrinfo("127.0.0.9", self.port)[0][-1])
        self.server.send(reply(self.server.asked, a(_GOOD[0]), flags=0x8400), other)
        other.close()
        self.assert_found(*_GOOD)

    def test_what_others_are_told_is_ignored(self):
        self.server.answer(flags=0x8403)
        self.server.answer(a(_EVIL), flags=0x8405)
        self.server.answer(flags=0x8400)
        self.server.answer(a(_EVIL, name("other.local")), flags=0x8400)
        self.assert_ignored(self.server.asked)

    def test_nobody_answers(self):
        self.clock.now = 6000
        self.assertEqual(self.error(), errno.ETIMEDOUT)

    def test_after_a_question_to_a_name_server(self):
        self.resolver = dns.Resolver("127.0.0.1", port=self.port)
        self.resolver.mdns = ("127.0.0.1", self.port)
        for host in ("broker.example", "greenhouse.local", "broker.example"):
            self.ask(host)
            self.server.answer(a(_GOOD[0]))
            self.assert_found(*_GOOD)


# --- a network of the other kind ----------------------------------------------------------------


class Net:
    """`usocket` and `uselect` of a board: addresses are tuples, sockets are few, sending fails."""

    AF_INET = SOCK_DGRAM = 2
    POLLIN = 1

    def __init__(self):
        self.room = 4
        self.sockets = []
        self.sent = []
        self.errors = {}  # of sending, by address

    def getaddrinfo(self, host, port):
        return [(2, 2, 0, "", (host, port))]

    def socket(self, family, kind):
        if len(self.sockets) == self.room:
            raise OSError(errno.ENOMEM, "ENOMEM")
        self.sockets.append(NetSocket(self))
        return self.sockets[-1]

    def poll(self):
        return NetPoll()


class NetSocket:
    def __init__(self, net):
        self.net = net
        self.to = None
        self.blocking = True
        self.queue = []

    def setblocking(self, flag):
        self.blocking = flag

    def connect(self, to):
        self.to = to

    def send(self, data):
        return self.sendto(data, self.to)

    def sendto(self, data, to):
        if to[0] in self.net.errors:
            raise OSError(self.net.errors[to[0]], "no way")
        self.net.sent.append((to, data))
        return len(data)

    def recvfrom(self, n):
        assert n <= 512 and not self.blocking
        if not self.queue:
            raise OSError(errno.EAGAIN, "EAGAIN")
        return self.queue.pop(0)

    def close(self):
        if self in self.net.sockets:
            self.net.sockets.remove(self)


class NetPoll:
    def __init__(self):
        self.registered = []

    def register(self, sock, events):
        self.registered.append(sock)

    def ipoll(self, timeout_ms):
        assert timeout_ms == 0
        return iter([(sock, 1) for sock in self.registered if sock.queue])


class Board(unittest.TestCase):
    def setUp(self):
        self.clock = dns.utime = Clock()
        self.net = dns.usocket = dns.uselect = Net()
        self.resolver = dns.Resolver(("10.0.0.1", "10.0.0.2"))

    def tearDown(self):
        dns.utime, dns.usocket, dns.uselect = utime, usocket, uselect

    def error(self):
        try:
            return self.resolver.poll()
        except OSError as e:
            return e.errno

    def test_addresses_are_tuples(self):
        self.resolver.start("broker.example")
        self.assertEqual([to for to, _ in self.net.sent], [("10.0.0.1", 53), ("10.0.0.2", 53)])
        answer = reply(self.net.sent[1][1], a(_GOOD[0]))
        self.net.sockets[1].queue.append((answer, ("10.0.0.2", 53)))
        self.assertEqual(self.resolver.poll(), _GOOD)
        self.assertEqual(self.net.sockets, [])

    def test_mdns_from_anyone_at_its_port(self):
        self.resolver.start("greenhouse.local")
        ((to, asked),) = self.net.sent
        self.assertEqual(to, ("224.0.0.251", 5353))
        queue = self.net.sockets[0].queue
        queue.append((reply(asked, a(_EVIL)), ("10.0.0.7", 5354)))
        self.assertEqual(self.resolver.poll(), None)
        queue.append((reply(asked, a(_GOOD[0])), ("10.0.0.7", 5353)))
        self.assertEqual(self.resolver.poll(), _GOOD)

    def test_at_most_four_datagrams_a_poll(self):
        self.resolver.start("broker.example")
        queues = [sock.queue for sock in self.net.sockets]
        for queue in queues:
            queue.extend([(b"garbage", None)] * 10)
        left = 20
        while left:
            self.assertEqual(self.resolver.poll(), None)
            taken = left - len(queues[0]) - len(queues[1])
            self.assertTrue(0 < taken <= 4)
            left -= taken

    def test_a_flood_of_one_does_not_silence_the_other(self):
        self.resolver.start("broker.example")
        self.net.sockets[0].queue.extend([(b"garbage", None)] * 10)
        self.net.sockets[1].queue.append((reply(self.net.sent[1][1], a(_GOOD[0])), None))
        self.assertEqual(self.resolver.poll(), _GOOD)

    def test_no_way_there_ends_it(self):
        self.net.errors = {"10.0.0.1": errno.EHOSTUNREACH, "10.0.0.2": errno.EHOSTUNREACH}
        self.resolver.start("broker.example")
        self.assertEqual(self.error(), errno.EHOSTUNREACH)
        self.assertEqual(self.net.sockets, [])

    def test_no_way_to_one(self):
        self.net.errors = {"10.0.0.1": errno.EHOSTUNREACH}
        self.resolver.start("broker.example")
        self.assertEqual(self.resolver.poll(), None)
        self.net.sockets[1].queue.append((reply(self.net.sent[0][1], a(_GOOD[0])), None))
        self.assertEqual(self.resolver.poll(), _GOOD)

    def test_a_network_that_is_busy_may_have_room_later(self):
        for busy in (errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN):
            self.net.errors = {"10.0.0.1": busy, "10.0.0.2": busy}
            self.net.sent.clear()
            self.resolver.start("broker.example")
            self.assertEqual((busy, self.error()), (busy, None))
            self.net.errors = {}
            self.clock.now += 1000
            self.assertEqual(self.error(), None)
            self.assertEqual(len(self.net.sent), 2)

    def test_as_many_servers_as_there_are_sockets_for(self):
        self.net.room = 1
        self.resolver.start("broker.example")
        self.assertEqual([to for to, _ in self.net.sent], [("10.0.0.1", 53)])
        self.assertEqual(self.resolver.poll(), None)
        self.resolver.start("broker.example")
        self.assertEqual(len(self.net.sockets), 1)

    def test_no_socket_at_all(self):
        self.net.room = 0
        for host in ("broker.example", "greenhouse.local"):
            self.resolver.start(host)
            self.assertEqual(self.error(), errno.ENOMEM)


# --- misuse -------------------------------------------------------------------------------------


class Misuse(unittest.TestCase):
    def refused(self, *args):
        try:
            dns.Resolver(*args)
        except ValueError as e:
            return str(e)
        return ""

    def test_servers(self):
        five = ["10.0.0.%d" % i for i in range(5)]
        texts = ["", "dns.example", "10.0.0", "::1", " 10.0.0.1", "10.0.0.256", "10.0.0.1\n"]
        lists = [[None], [5], ["10.0.0.1", "dns"], [["10.0.0.1"]], [b"10.0.0.1"], five]
        for bad in texts + lists + [[text] for text in texts] + [None, 5, b"10.0.0.1", {}]:
            self.assertTrue("name servers" in self.refused(bad), repr(bad))
        for good in ("10.0.0.1", [], (), ["10.0.0.1"], five[:4]):
            dns.Resolver(good)

    def test_timeout(self):
        for bad in (0, -1, None, "6000", 1.5, 1 << 29, 1 << 40):
            self.assertTrue("timeout_ms" in self.refused("10.0.0.1", bad), repr(bad))
        dns.Resolver("10.0.0.1", (1 << 29) - 1)

    def test_no_name_server_is_told_by_poll(self):
        for servers in ([], ()):
            resolver = dns.Resolver(servers)
            resolver.start("broker.example")
            with self.assertRaises(OSError):
                resolver.poll()
            resolver.start("10.0.0.1")
            self.assertEqual(resolver.poll(), ["10.0.0.1"])


class Randomness(unittest.TestCase):
    def tearDown(self):
        unats.dns = sys.modules["unats.dns"] = dns
        sys.modules["os"] = os

    def test_a_port_without_urandom(self):
        del sys.modules["unats.dns"]
        sys.modules["os"] = Clock()
        import unats.dns as other

        self.assertTrue(other is not dns)
        self.assertEqual(len(other.urandom(2)), 2)
        ids = [other.urandom(2) for _ in range(20)]
        for i in (0, 1):
            self.assertTrue(len({given[i] for given in ids}) > 5)


if __name__ == "__main__":
    unittest.main()
