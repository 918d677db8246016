"""TLS without a network: certificates as they are given, misuse, the clock, and the order of
stages.
"""

import errno
import unittest
from binascii import b2a_base64

import utime

import unats
from played import Servers  # before the client
from unats import pem, tls
from unats.servers import read_urls
from unats.tls import Secure, Tls

NEEDS_SOCKETS = True

_DER = b"\x30\x03\x02\x01\x07"
_SECRET = b"\x30\x82\x01secret"


def _os(code):
    return OSError(code, "what mbedTLS calls it")


def _pem(label, der, headers=b"", ends=b"\n"):
    """PEM with short lines."""
    text = b2a_base64(der).strip()
    lines = [
        b"-----BEGIN " + label + b"-----",
        headers,
        text[:8],
        text[8:],
        b"-----END " + label + b"-----",
        b"",
    ]
    return ends.join(lines)


class Socket:
    """What the platform's TLS object does, by script: each step a number to return, or what to
    raise.
    """

    def __init__(self, *steps):
        self.steps = list(steps)
        self.offered = []
        self.closed = 0

    def _step(self):
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def readinto(self, buf):
        return self._step()

    def write(self, buf, off, n):
        self.offered.append((off, n))
        return self._step()

    def close(self):
        self.closed += 1


class Context:
    """An SSLContext."""

    def __init__(self, made=None, verify_mode=2):
        self.verify_mode = verify_mode
        self.made = made
        self.hostname = None

    def wrap_socket(self, sock, server_hostname=None, do_handshake_on_connect=True):
        if do_handshake_on_connect:
            raise ValueError("it would wait")
        self.hostname = server_hostname
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


class Poll:
    def register(self, sock, flags):
        pass

    def unregister(self, sock):
        pass


class Info:
    def __init__(self, required=True, available=False):
        self.tls_required = required
        self.tls_available = available
        self.connect_urls = ["evil.example:1"]
        self.ldm = True


def _transport(made=None, url="tls://board.example:4222", raw=None, **options):
    """A Secure whose TCP connection is up, on Sockets of this file's."""
    servers = Servers(url, False)
    servers.next()
    transport = Secure(Tls(context=Context(made), **options), servers)
    transport.poll = Poll()
    transport._sock = raw or Socket()
    return transport


def _secured(*steps):
    """One that has had its handshake, with those steps to come."""
    made = Socket(1, *steps)
    transport = _transport(made)
    transport.secure(Info(), 0)
    transport.readinto(bytearray(4))
    return transport, made


class Clock:
    """utime, but for the date."""

    def __init__(self, year):
        self._year = year

    def gmtime(self):
        return (self._year, 1, 2, 0, 0, 0, 0, 0)

    def __getattr__(self, name):
        return getattr(utime, name)


class Case(unittest.TestCase):
    def refused(self, error, text, call, *args, **options):
        """The call raises exactly this class, with the text in it; returns the whole text."""
        try:
            call(*args, **options)
        except Exception as e:
            self.assertTrue(type(e) is error, repr(e))
            self.assertTrue(text in str(e), repr(e))
            return str(e)
        self.fail("nothing was raised")


class TestPem(Case):
    def test_one_block(self):
        for ends in (b"\n", b"\r\n"):
            text = b"bag attributes\n" + _pem(b"CERTIFICATE", _DER, ends=ends)
            self.assertEqual(pem.blocks(text, b"CERTIFICATE", "ca"), [_DER])

    def test_several_blocks_and_others_between(self):
        text = (
            _pem(b"CERTIFICATE", _DER)
            + _pem(b"EC PARAMETERS", b"x")
            + _pem(b"CERTIFICATE", _SECRET)
        )
        self.assertEqual(pem.blocks(text, b"CERTIFICATE", "ca"), [_DER, _SECRET])

    def test_each_kind_of_key(self):
        for label in (b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY"):
            text = _pem(b"EC PARAMETERS", b"x") + _pem(label, _SECRET)
            self.assertEqual(pem.blocks(text, b"PRIVATE KEY", "key"), [_SECRET])

    def test_what_is_no_such_thing(self):
        blocks = pem.blocks
        key = b"PRIVATE KEY"
        self.refused(
            ValueError,
            "key: PEM without a PRIVATE KEY",
            blocks,
            _pem(b"CERTIFICATE", _DER),
            key,
            "key",
        )
        encrypted = _pem(b"ENCRYPTED PRIVATE KEY", _SECRET)
        self.refused(ValueError, "key: it is encrypted", blocks, encrypted, key, "key")
        encrypted = _pem(b"EC PRIVATE KEY", _SECRET, b"Proc-Type: 4,ENCRYPTED")
        self.refused(ValueError, "key: it is encrypted", blocks, encrypted, key, "key")
        self.refused(
            ValueError, "key: PEM without its end", blocks, _pem(key, _SECRET)[:50], key, "key"
        )

    def test_every_cut_of_it_is_refused_or_whole(self):
        text = _pem(b"CERTIFICATE", _DER)
        for n in range(len(text)):
            try:
                found = pem.blocks(text[:n], b"CERTIFICATE", "ca")
            except ValueError:
                continue
            self.assertEqual(found, [_DER])


class TestMisuse(Case):
    def test_somebody_has_to_be_trusted(self):
        self.refused(ValueError, "give ca", Tls)
        self.refused(ValueError, "insecure_skip_verify=True", Tls, None)
        self.refused(ValueError, "give ca", Tls, _DER, insecure_skip_verify=True)

    def test_the_ugly_argument_switches_verification_off(self):
        self.assertFalse(Tls(insecure_skip_verify=True).verifies)
        self.assertTrue(Tls(context=Context()).verifies)
        self.assertFalse(Tls(context=Context(verify_mode=0)).verifies)

    def test_certificate_and_key_go_together(self):
        for options in ({"cert": _DER}, {"key": _DER}):
            self.refused(
                ValueError, "cert and key together", Tls, insecure_skip_verify=True, **options
            )

    def test_a_context_has_its_own(self):
        for options in (
            {"ca": _DER},
            {"cert": _DER},
            {"key": _DER},
            {"insecure_skip_verify": True},
        ):
            self.refused(
                ValueError, "an SSLContext has its own", Tls, context=Context(), **options
            )

    def test_what_is_no_certificate(self):
        self.refused(ValueError, "ca: there is no such file", Tls, "/no/such/file.der")
        self.refused(ValueError, "ca: neither DER nor PEM", Tls, b"")
        self.refused(ValueError, "ca: neither DER nor PEM", Tls, b"hello")
        self.refused(ValueError, "ca: not a certificate", Tls, _DER)
        self.refused(ValueError, "ca: not a certificate", Tls, _pem(b"CERTIFICATE", _DER))
        self.refused(ValueError, "ca: PEM without a CERTIFICATE", Tls, _pem(b"PRIVATE KEY", _DER))

    def test_what_is_no_key_is_not_shown(self):
        for key in (
            _SECRET,
            b"secret",
            _pem(b"PRIVATE KEY", _SECRET),
            "secret",
            _pem(b"X", _SECRET).decode(),
        ):
            text = self.refused(
                ValueError, "key", Tls, insecure_skip_verify=True, cert=_DER, key=key
            )
            self.assertFalse("secret" in text or "c2VjcmV0" in text, text)

    def test_one_certificate_and_one_key(self):
        two = _pem(b"CERTIFICATE", _DER) + _pem(b"CERTIFICATE", _DER)
        self.refused(ValueError, "one each", Tls, insecure_skip_verify=True, cert=two, key=_SECRET)

    def test_times(self):
        self.refused(
            ValueError, "handshake_timeout_ms", Tls, context=Context(), handshake_timeout_ms=0
        )

    def test_a_client_says_what_to_give(self):
        self.refused(ValueError, 'Tls(ca="/ca.der")', unats.Client, "tls://a")
        self.refused(ValueError, 'Tls(ca="/ca.der")', unats.Client, ["nats://a", "tls://b"])
        for wrong in (True, False, "/ca.der", Tls):
            self.refused(ValueError, 'Tls(ca="/ca.der")', unats.Client, "nats://a", tls=wrong)
        own = Tls(context=Context())
        self.refused(
            ValueError,
            "a transport of your own",
            unats.Client,
            "tls://a",
            tls=own,
            transport=Poll(),
        )

    def test_a_context_will_do(self):
        nc = unats.Client("nats://a", tls=Context())
        self.assertTrue(isinstance(nc.transport, Secure))

    def test_nothing_secret_is_shown(self):
        self.assertFalse("secret" in repr(Tls(context=Context())))


class TestClock(Case):
    def setUp(self):
        self._utime = tls.utime

    def tearDown(self):
        tls.utime = self._utime

    def test_one_that_is_not_set_is_named_before_anything_is_opened(self):
        for year in (1970, 2000, 2021, 2023):
            tls.utime = Clock(year)
            transport = _transport()
            said = self.refused(
                unats.AuthError, "the clock is not set", transport.open, "127.0.0.1", 9
            )
            self.assertTrue("%d-01-02" % year in said)
            self.assertTrue(transport._sock is None)

    def test_a_client_tries_again_until_it_is_set(self):
        tls.utime = Clock(2000)
        nc = unats.Client(
            "tls://127.0.0.1:9", tls=Context(), reconnect_wait_ms=1, reconnect_max_wait_ms=1
        )
        self.refused(unats.AuthError, "the clock is not set", nc.connect)
        nc.connect(wait=False)
        nc.poll(20)
        self.assertTrue("the clock" in str(nc.last_error))
        tls.utime = Clock(2026)
        end = utime.ticks_add(utime.ticks_ms(), 20000)
        while "the clock" in str(nc.last_error) and utime.ticks_diff(end, utime.ticks_ms()) > 0:
            nc.poll(5)
        self.assertTrue(type(nc.last_error) is unats.NotConnected, repr(nc.last_error))
        nc.close()

    def test_it_does_not_matter_where_nothing_is_verified(self):
        tls.utime = Clock(2000)
        servers = Servers("tls://127.0.0.1:9", False)
        transport = Secure(Tls(context=Context(verify_mode=0)), servers)
        transport.open("127.0.0.1", 9)
        transport.close()

    def test_a_wrong_one_is_told_with_the_certificates_dates(self):
        tls.utime = Clock(2031)
        transport = _transport(Socket(ValueError("\nThe certificate validity has expired\n")))
        transport.secure(Info(), 0)
        said = self.refused(
            unats.AuthError,
            "has expired; the clock says 2031-01-02",
            transport.readinto,
            bytearray(4),
        )
        self.assertFalse("\n" in said)


class TestStages(Case):
    def test_nothing_is_sent_in_clear(self):
        transport = _transport()
        self.refused(unats.Error, "nothing is sent in clear", transport.write, b"CONNECT", 0, 7)
        transport._sock.steps = [5]
        buf = bytearray(b"INFO ")
        transport.readinto(buf)
        self.refused(unats.Error, "nothing is sent in clear", transport.write, b"CONNECT", 0, 7)
        self.assertEqual(transport._sock.offered, [])
        transport.close()
        self.refused(unats.Error, "nothing is sent in clear", transport.write, b"CONNECT", 0, 7)

    def test_only_info_is_read_in_clear(self):
        for first in range(256):
            transport = _transport(raw=Socket(None, 1, 1))
            buf = bytearray((first,))
            self.assertEqual(transport.readinto(buf), None)
            if first in b"iI":
                self.assertEqual(transport.readinto(buf), 1)
                self.assertEqual(
                    transport.readinto(bytearray(b"M")), 1
                )  # the framer sees to the rest of it
            else:
                self.refused(
                    unats.ProtocolError, "did not begin with INFO", transport.readinto, buf
                )

    def test_info_must_offer_tls_and_be_all_that_came(self):
        for required, available in ((True, False), (False, True), (True, True)):
            transport = _transport(Socket())
            info = Info(required, available)
            transport.secure(info, 0)
            self.assertEqual((info.connect_urls, info.ldm), ([], False))
        self.refused(unats.Error, "has no TLS", _transport(Socket()).secure, Info(False), 0)
        self.refused(unats.ProtocolError, "more than INFO", _transport(Socket()).secure, Info(), 1)

    def test_info_under_tls_is_taken_as_it_is(self):
        transport, _ = _secured()
        info = Info(False)
        transport.secure(info, 5)
        self.assertEqual((info.connect_urls, info.ldm), (["evil.example:1"], True))

    def test_whom_the_certificate_must_name(self):
        for url, name in (
            ("tls://a.example", "a.example"),
            ("10.0.0.1:1", "10.0.0.1"),
            ("[::1]:4", "::1"),
        ):
            transport = _transport(Socket(), url)
            transport.secure(Info(), 0)
            self.assertEqual(transport._tls.context.hostname, name)
        transport = _transport(Socket(), server_hostname="b.example")
        transport.secure(Info(), 0)
        self.assertEqual(transport._tls.context.hostname, "b.example")

    def test_a_server_known_by_its_address_has_the_name_that_led_to_it(self):
        servers = Servers("tls://a.example:1", False)
        servers.next()
        servers.discovered(["10.0.0.2:2", "b.example:3", "[fe80::1]:4"], False)
        found = [(server.host, server.tls_name) for server in servers._servers]
        self.assertEqual(
            found,
            [
                ("a.example", None),
                ("10.0.0.2", "a.example"),
                ("b.example", None),
                ("fe80::1", "a.example"),
            ],
        )
        servers.next()
        servers.discovered(["10.0.0.3:2"], False)  # by a server that itself has only an address
        self.assertEqual(servers._servers[1].tls_name, "a.example")
        servers = Servers("tls://10.0.0.1:1", False)
        servers.next()
        servers.discovered(["10.0.0.2:2"], False)
        self.assertEqual(servers._servers[1].tls_name, None)

    def test_the_handshake_has_a_deadline(self):
        transport = _transport(Socket(None, None, None), handshake_timeout_ms=1)
        transport.secure(Info(), 0)
        utime.sleep_ms(3)
        self.refused(unats.Timeout, "no end of the handshake", transport.readinto, bytearray(4))
        self.refused(unats.Timeout, "no end of the handshake", transport.write, b"abc", 0, 3)

    def test_both_sockets_are_closed(self):
        raw = Socket()
        transport = _transport(Socket(), raw=raw)
        transport.secure(Info(), 0)
        transport.close()
        transport.close()
        self.assertEqual((transport._tls.context.made.closed, raw.closed), (1, 1))

    def test_the_socket_is_closed_if_there_is_no_memory_for_tls(self):
        for error in (MemoryError(), _os(errno.ENOMEM), _os(-0x7F00)):
            raw = Socket()
            transport = _transport(error, raw=raw)
            self.refused(unats.Error, "not enough memory", transport.secure, Info(), 0)
            transport.close()
            self.assertEqual(raw.closed, 1)


class TestWriting(Case):
    def test_what_may_be_encrypted_is_offered_again_and_nothing_with_it(self):
        transport, made = _secured(None, None, 10, 50)
        buf = bytearray(100)
        self.assertEqual(transport.write(buf, 0, 10), None)
        self.assertEqual(transport.write(buf, 0, 30), None)  # more was queued
        self.assertEqual(transport.write(buf, 0, 60), 10)
        self.assertEqual(transport.write(buf, 10, 50), 50)
        self.assertEqual(made.offered, [(0, 10), (0, 10), (0, 10), (10, 50)])

    def test_so_is_the_rest_of_a_short_write(self):
        transport, made = _secured(30, 20, None, 50)
        buf = bytearray(200)
        self.assertEqual(transport.write(buf, 0, 100), 30)
        self.assertEqual(transport.write(buf, 30, 150), 20)
        self.assertEqual(transport.write(buf, 50, 150), None)
        self.assertEqual(transport.write(buf, 50, 150), 50)
        self.assertEqual(made.offered, [(0, 100), (30, 70), (50, 50), (50, 50)])

    def test_a_new_connection_owes_nothing(self):
        transport, _made = _secured(None)
        transport.write(bytearray(100), 0, 10)
        transport.close()
        transport._sock, transport._tls.context.made = Socket(), Socket(7, 90)
        transport.secure(Info(), 0)
        transport.readinto(bytearray(7))
        self.assertEqual(transport.write(bytearray(100), 0, 90), 90)


class TestErrors(Case):
    def _shaking(self, error, kind, text):
        transport = _transport(Socket(error))
        transport.secure(Info(), 0)
        said = self.refused(kind, text, transport.readinto, bytearray(4))
        self.assertTrue("board.example:4222" in said, said)

    def test_in_the_handshake(self):
        self._shaking(ValueError("\nA\nB\n"), unats.AuthError, "is not trusted: A; B")
        self._shaking(_os(-0x2700), unats.AuthError, "is not trusted")
        self._shaking(_os(-0x7680), unats.AuthError, "is not trusted")
        self._shaking(_os(-0x7780), unats.AuthError, "client certificate")
        self._shaking(_os(-0x7200), unats.Error, "handshake_first")
        self._shaking(_os(-0x6E00), unats.Error, "cipher in common")
        self._shaking(_os(-0x7280), unats.NotConnected, "closed the connection")
        self._shaking(_os(-0x5A00), unats.Error, "failed")
        self._shaking(MemoryError(), unats.Error, "memory")

    def test_an_alert_that_is_not_read_yet_is_the_reason(self):
        class Alerted(Socket):
            def readinto(self, buf):
                buf[0] = 21
                raise _os(errno.ECONNRESET)

        for code in (32, -32, errno.ECONNRESET):
            transport = _transport(Socket(_os(code)), raw=Alerted())
            transport.secure(Info(), 0)
            self.refused(unats.AuthError, "refused", transport.write, b"abc", 0, 3)
            transport = _transport(Socket(_os(code)), raw=Socket(0))
            transport.secure(Info(), 0)
            self.refused(unats.NotConnected, "board.example:4222", transport.write, b"abc", 0, 3)

    def test_once_secured(self):
        for code, kind in (
            (-0x7280, unats.NotConnected),
            (-errno.ECONNRESET, unats.NotConnected),
            (-0x7180, unats.Error),
        ):
            transport, _ = _secured(_os(code))
            self.refused(kind, "board.example:4222", transport.readinto, bytearray(4))
            transport, _ = _secured(_os(code), _os(code))
            self.refused(kind, "board.example:4222", transport.write, b"abc", 0, 3)

    def test_the_systems_numbers_are_positive(self):
        transport, _ = _secured(_os(-errno.ECONNRESET))
        try:
            transport.readinto(bytearray(4))
        except unats.NotConnected as e:
            self.assertEqual(e.errno, errno.ECONNRESET)

    def test_memory_of_the_network_is_not_waited_for(self):
        # the client would: for TCP that is only for now, but a TLS object does not go on
        for code in (errno.ENOBUFS, -errno.ENOBUFS, errno.ENOMEM):
            transport, _ = _secured(_os(code), _os(code))
            self.refused(unats.Error, "memory", transport.write, b"abc", 0, 3)

    def test_a_handshake_error_is_not_followed_by_waiting(self):
        transport, _ = _secured(_os(32), None)
        self.refused(unats.NotConnected, "board.example:4222", transport.write, b"abc", 0, 3)


class TestUrls(Case):
    def test_tls_in_one_is_tls_in_all(self):
        self.assertEqual(
            [server.tls for server in read_urls(["nats://a", "tls://b", "TLS://c"])],
            [False, True, True],
        )
        self.refused(ValueError, "nats://, tls://", read_urls, "https://a")


class Misuse(unittest.TestCase):
    def test_of_the_client(self):
        for value in (5, True, "ca.pem"):
            self.assertRaises(ValueError, unats.Client, "nats://host", tls=value)

    def test_options(self):
        for options in (
            {},
            {"ca": 5},
            {"ca": b"no certificate"},
            {"server_hostname": 5, "insecure_skip_verify": True},
            {"insecure_skip_verify": "yes"},
            {"insecure_skip_verify": 1},
            {"handshake_first": 5, "insecure_skip_verify": True},
            {"handshake_timeout_ms": 0, "insecure_skip_verify": True},
            {"handshake_timeout_ms": 1.5, "insecure_skip_verify": True},
            {"cert": b"x", "insecure_skip_verify": True},
        ):
            self.assertRaises(ValueError, Tls, **options)


if __name__ == "__main__":
    unittest.main()
