"""Credentials: what each adds to CONNECT, what is wrong with them, and that nothing of them is
left or told.
"""

import errno
import json
import os
import sys

import unats
from identities import CREDS, creds, jwt, public, seed
from played import Case
from unats import auth
from unats.auth import nkey
from unats.nuid import random_hex

NONCE = "PXoWU7zWAMt75FY"
_PATH = "test_auth.%s.tmp" % random_hex(12)


def write(data, path=_PATH):
    with open(path, "wb") as file:
        file.write(data)


def remove():
    try:
        os.remove(_PATH)
    except OSError:
        pass


class AuthCase(Case):
    def tearDown(self):
        remove()
        super().tearDown()

    def refused(self, credentials, nonce=NONCE):
        """The text of the AuthError that calling the credentials must raise."""
        try:
            credentials(nonce)
        except unats.AuthError as e:
            return str(e)
        self.fail("no AuthError")

    def misuse(self, make, *args):
        """The text of the ValueError that making them must raise."""
        try:
            make(*args)
        except ValueError as e:
            return str(e)
        self.fail("no ValueError")

    def sent_connect(self, nonce=NONCE, url="nats://host:4222", **options):
        """The fields of CONNECT that a client with these options sends."""
        self.start()
        self.net.handshake(nonce=nonce)
        nc = self.client(url, **options)
        nc.connect()
        line = self.sent().split(b"\r\n")[0]
        self.assertEqual(line[:8], b"CONNECT ")
        nc.close()
        return json.loads(line[8:])


class Makes(AuthCase):
    """What a client with them says in CONNECT."""

    def has(self, fields, **expected):
        names = ("user", "pass", "auth_token", "nkey", "jwt", "sig")
        self.assertEqual({name: fields[name] for name in names if name in fields}, expected)

    def test_user_and_password(self):
        self.has(
            self.sent_connect(auth=auth.UserInfo("board", b'p"\\w')),
            user="board",
            **{"pass": 'p"\\w'},
        )

    def test_token(self):
        self.has(self.sent_connect(auth=auth.Token("t0k/en")), auth_token="t0k/en")

    def test_nkey(self):
        of = seed()
        key = nkey.from_seed(of)
        for given in (of, bytes(of), memoryview(of), bytearray(b" \r\n" + of + b"\n")):
            fields = self.sent_connect(auth=auth.Nkey(given))
            self.has(fields, nkey=key.public, sig=key.signature(NONCE))

    def test_nkey_from_a_file(self):
        of = seed()
        write(of + b"\n")
        key = nkey.from_seed(of)
        self.has(
            self.sent_connect(auth=auth.Nkey(_PATH)), nkey=key.public, sig=key.signature(NONCE)
        )

    def test_jwt_and_seed(self):
        of = seed()
        token = jwt(public(of))
        credentials = auth.UserJWT(token.encode() + b"\r\n", of)
        self.has(
            self.sent_connect(auth=credentials), jwt=token, sig=nkey.from_seed(of).signature(NONCE)
        )

    def test_a_bearer_jwt_is_not_signed_for(self):
        token = jwt(public(seed()))
        self.has(self.sent_connect(auth=auth.UserJWT(token.encode())), jwt=token)
        self.has(self.sent_connect(auth=auth.UserJWT(token.encode()), nonce=""), jwt=token)

    def test_creds(self):
        of = seed()
        text = creds(of)
        signature = nkey.from_seed(of).signature(NONCE)
        for given in (
            text,
            text.replace(b"\n", b"\r\n"),
            text.rstrip(),
            b"\n\n" + text.replace(b"SEED---", b"X---"),
        ):
            self.has(
                self.sent_connect(auth=auth.UserCredentials(given)),
                jwt=jwt(public(of)),
                sig=signature,
            )

    def test_creds_as_people_have_them(self):
        of = seed()
        text = creds(of)
        token, secret = jwt(public(of)), bytes(of).decode()
        for given in (
            b"\xef\xbb\xbf" + text,
            b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
            text.replace(b"\n", b"\n\n"),
            text.replace(b"\n", b" \t\n"),
            b"# made by ops\n; eyes.only.please here\nSUMMARY\n" + text,
            text.replace(b"------END", b"---END").replace(b"-----", b"---"),
            text.replace(b"-----", b"-" * 40),
            text.replace(b"USER NKEY SEED", b"user private key"),
            text.replace(b"-----BEGIN", b"=====BEGIN").replace(b"------END", b"=====END"),
            text + b"\n" + public(of).encode(),
            ("%s\n%s" % (token, secret)).encode(),
            ("%s\n--- old ---\n%s\n%s" % (bytes(seed()).decode(), secret, token)).encode(),
            text[: text.rfind(b"\n------END")],
        ):
            self.has(
                dict(auth.UserCredentials(given)(NONCE)),
                jwt=token,
                sig=nkey.from_seed(of).signature(NONCE),
            )

    def test_seeds_as_people_have_them(self):
        of = seed()
        other = public(of).encode()
        expected = auth.Nkey(of)(NONCE)
        for given in (
            b"\xef\xbb\xbf" + of,
            of + b"\n" + other + b"\n",
            other + b"\r\n" + of + b"\r\n",
            b"# greenhouse-7\n\n" + of,
            b"SUMMARY\nSUBJECTS and more of what is no seed, though it begins as one\n" + of,
            b"-----BEGIN USER NKEY SEED-----\n" + of + b"\n------END USER NKEY SEED------\n",
            b"---x---\r\n" + of + b"\r\n---y---",
            creds(of),
        ):
            self.assertEqual(auth.Nkey(bytes(given))(NONCE), expected)
            write(given)
            self.assertEqual(auth.Nkey(_PATH)(NONCE), expected)
            token = jwt(public(of)).encode()
            self.assertEqual(auth.UserJWT(token, _PATH)(NONCE)[1], expected[1])

    def test_a_jwt_file_with_decorations(self):
        token = jwt(public(seed())).encode()
        for given in (b"\xef\xbb\xbf" + token, b"# x\n---a---\n" + token + b"\r\n---b---\n"):
            self.has(dict(auth.UserJWT(given)(NONCE)), jwt=token.decode())

    def test_a_creds_file_is_read_again_at_every_connection(self):
        first, second = seed(), seed()
        write(creds(first))
        credentials = auth.UserCredentials(_PATH)
        self.assertEqual(self.sent_connect(auth=credentials)["jwt"], jwt(public(first)))
        write(creds(second))
        fields = self.sent_connect(auth=credentials)
        self.has(fields, jwt=jwt(public(second)), sig=nkey.from_seed(second).signature(NONCE))

    def test_callback(self):
        of = seed()
        later = [
            auth.Token("1"),
            auth.UserInfo("u", "2"),
            None,
            auth.UserCredentials(creds(of)),
            auth.Nkey(of),
        ]
        fresh = auth.Callback(lambda: later.pop(0))
        self.has(self.sent_connect(auth=fresh), auth_token="1")
        self.has(self.sent_connect(auth=fresh), user="u", **{"pass": "2"})
        self.has(self.sent_connect(auth=fresh))
        self.assertEqual(self.sent_connect(auth=fresh)["jwt"], jwt(public(of)))
        self.assertEqual(self.sent_connect(auth=fresh)["nkey"], public(of))

    def test_a_function_of_ones_own(self):
        seen = []
        self.has(
            self.sent_connect(
                auth=lambda nonce: seen.append(nonce) or [("user", "u"), ("pass", None)]
            ),
            user="u",
        )
        self.assertEqual(seen, [NONCE])

    def test_credentials_of_a_url_go_before_and_nothing_beside_them(self):
        fields = self.sent_connect(url="nats://u:p@host", auth=auth.Token("not for this one"))
        self.has(fields, user="u", **{"pass": "p"})

    def test_the_public_key_is_worked_out_once(self):
        of = seed()
        credentials = auth.Nkey(of)
        first = credentials(NONCE)
        calls = []
        from unats.auth import ed25519

        real = ed25519.public
        ed25519.public = lambda key: calls.append(1) or real(key)
        try:
            self.assertEqual(credentials(NONCE), first)
            self.assertEqual(calls, [])
        finally:
            ed25519.public = real

    def test_another_seed_in_the_file_gets_a_public_key_of_its_own(self):
        first, second = seed(), seed()
        write(first)
        credentials = auth.Nkey(_PATH)
        credentials(NONCE)
        write(second)
        key = nkey.from_seed(second)
        self.assertEqual(credentials(NONCE), (("nkey", key.public), ("sig", key.signature(NONCE))))


class Refuses(AuthCase):
    """What is wrong is said, with what to do, and quotes no secret."""

    def test_a_server_that_sends_no_nonce(self):
        of = seed()
        for credentials in (
            auth.Nkey(of),
            auth.UserCredentials(creds(of)),
            auth.UserJWT(jwt("U").encode(), of),
        ):
            self.assertTrue("no nonce" in self.refused(credentials, ""))

    def test_a_nonce_that_could_be_something_else(self):
        credentials = auth.Nkey(seed())
        self.assertTrue("more than 128" in self.refused(credentials, "A" * 129))
        for nonce in ("eyJ0.eyJz", "a b", "\x00", "a\n", "\u00e9", "{}"):
            self.assertTrue("not base64" in self.refused(credentials, nonce))
        credentials("A" * 128)

    def test_a_missing_file(self):
        for make in (auth.Nkey, auth.UserCredentials, auth.UserJWT):
            text = self.refused(make("no/such/file"))
            self.assertTrue("no/such/file" in text and "on the board" in text, text)

    def test_a_file_of_an_absurd_size(self):
        for size in (0, 16385):
            write(b"S" * size)
            self.assertTrue("%d bytes" % size in self.refused(auth.Nkey(_PATH)))

    def test_a_file_that_comes_back(self):
        credentials = auth.Nkey(_PATH)
        self.refused(credentials)
        write(seed())
        credentials(NONCE)

    def test_damaged_seeds(self):
        good = seed()
        swapped = bytearray(good)
        swapped[20], swapped[21] = swapped[21] ^ 1 if swapped[21] > 64 else 65, swapped[20]
        for bad in (
            b"",
            good[:-1],
            good + b"A",
            swapped,
            b"\x00" * 58,
            bytes(good).lower(),
            b"\xff" * 58,
        ):
            text = self.refused(auth.Nkey(bad))
            self.assertFalse(bytes(good[10:30]).decode() in text, text)

    def test_seeds_of_the_wrong_kind(self):
        for kind in ("account", "operator"):
            text = self.refused(auth.Nkey(seed(kind)))
            self.assertTrue(kind in text and "SU" in text, text)
        self.assertTrue("curve" in self.refused(auth.Nkey(seed("curve"))))

    def test_a_seed_that_is_not_the_jwts(self):
        one, other = seed(), seed()
        mixed = (CREDS % (jwt(public(one)), bytes(other).decode())).encode()
        self.assertTrue("another key" in self.refused(auth.UserCredentials(mixed)))
        self.assertTrue(
            "another key" in self.refused(auth.UserJWT(jwt(public(one)).encode(), other))
        )

    def test_creds_cut_off_anywhere(self):
        text = creds(seed()).rstrip()
        end = text.rfind(b"\n")  # of the seed: what follows says nothing
        for n in range(0, len(text), 7 if len(text) > 1000 else 5):
            if n < end:
                told = self.refused(auth.UserCredentials(text[:n] or b"\n"))
                self.assertTrue("creds" in told or "JWT" in told or "seed" in told, told)

    def test_malformed_creds(self):
        of = seed()
        good = creds(of).decode()
        for bad in (
            "nothing at all",
            good.replace("\n------END NATS", " "),
            good.replace("ey", "SU", 1),
            good.replace("eyJ", "xyJ", 1),
            good.replace("eyJ", 'e"J', 1),
            good.replace(".", "", 1),
            good.replace("SU", "S\x00", 1),
            "---\n---\n---\n",
            "---\n\n\n",
        ):
            told = self.refused(auth.UserCredentials(bad.encode()))
            self.assertFalse(bytes(of[10:30]).decode() in told, told)

    def test_a_file_without_what_it_is_for_is_named(self):
        of = seed()
        damaged = bytes(of[:30]) + (b"A" if of[30] != 65 else b"B") + bytes(of[31:])
        utf16 = bytes([byte for c in bytes(of) for byte in (c, 0)])
        for data, word in (
            (b"nothing of it\n", "UTF-8"),
            (public(of).encode(), "seed"),
            (b"\xff\xfe" + utf16, "UTF-8"),
            (damaged, "checksum"),
            (seed("account"), "account"),
        ):
            write(data)
            told = self.refused(auth.Nkey(_PATH))
            self.assertTrue(_PATH in told and word in told, told)
            self.assertFalse(bytes(of[10:20]).decode() in told, told)
        for data, jwt_too in ((b"-" * 30, True), (jwt("U").encode(), False)):
            self.assertRaises(ValueError, auth.find, data, jwt_too)
            write(data)
            told = self.refused(auth.UserCredentials(_PATH))
            self.assertTrue(_PATH in told and ("JWT" if jwt_too else "seed") in told, told)

    def test_binary_rubbish(self):
        for byte in range(0, 256, 5):
            self.refused(auth.UserCredentials(bytes([byte]) * 300))
            self.refused(auth.UserJWT(bytes([byte]) * 300))

    def test_a_secret_where_a_path_belongs(self):
        of = seed()
        for make, secret in (
            (auth.Nkey, bytes(of).decode()),
            (auth.UserCredentials, creds(of).decode()),
            (auth.UserJWT, jwt(public(of))),
            (auth.Nkey, "x" * 256),
            (auth.Nkey, ""),
            (auth.Nkey, "a\0b"),
        ):
            told = self.misuse(make, secret)
            self.assertFalse(len(secret) > 5 and secret[:40] in told, told)

    def test_other_misuse(self):
        for make, args in (
            (auth.Nkey, (5,)),
            (auth.Nkey, (None,)),
            (auth.UserCredentials, ([],)),
            (auth.UserJWT, (b"", 7)),
            (auth.UserInfo, ("u", None)),
            (auth.UserInfo, (1, "p")),
            (auth.UserInfo, ("u\n", "p")),
            (auth.Token, (True,)),
            (auth.Token, (b"\xff",)),
            (auth.Token, ("a\x7f",)),
            (auth.Callback, ("x",)),
        ):
            self.misuse(make, *args)

    def test_credentials_twice(self):
        for options in ({"user": "u"}, {"password": "p"}, {"token": "t"}):
            self.misuse(lambda: self.client(auth=auth.Token("t"), **options))
        self.misuse(lambda: self.client(auth="secret.creds"))

    def test_a_callback_of_no_use(self):
        for found in (5, "creds", [("user", "u")], auth.Callback(lambda: None)):
            self.assertTrue("Callback" in self.refused(auth.Callback(lambda: found)))


class Wipes(AuthCase):
    def test_wiped_credentials_are_of_no_more_use(self):
        of = seed()
        text = bytearray(creds(of))
        for credentials in (
            auth.Nkey(of),
            auth.UserJWT(jwt(public(of)).encode(), seed()),
            auth.UserCredentials(text),
        ):
            credentials.wipe()
            self.assertTrue("wiped" in self.refused(credentials))
        self.assertFalse(any(of) or any(text))

    def test_what_was_read_of_a_file_is_overwritten(self):
        of = seed()
        kept = []
        for make, data in ((auth.Nkey, of), (auth.UserCredentials, creds(of))):
            write(data)
            credentials = make(_PATH)
            secret = credentials._seed if make is auth.Nkey else credentials._creds
            read = secret.read
            secret.read = lambda: kept.append(read()) or kept[-1]
            credentials(NONCE)
            self.refused(credentials, "")  # also when it goes wrong
        self.assertEqual(len(kept), 4)
        for raw in kept:
            self.assertFalse(any(raw))

    def test_a_kept_seed_stays_as_it_is(self):
        of = seed()
        before = bytes(of)
        auth.Nkey(of)(NONCE)
        self.assertEqual(bytes(of), before)

    def test_the_arithmetic_is_gone_afterwards(self):
        for call in (lambda: auth.Nkey(seed())(NONCE), lambda: self.refused(auth.Nkey(b"S" * 58))):
            call()
            self.assertFalse(
                "unats.auth.ed25519" in sys.modules or "unats.auth.sha512" in sys.modules
            )

    def test_repr_tells_nothing(self):
        of = seed()
        secrets = (bytes(of).decode()[4:], "hunter2")
        for thing in (
            auth.Nkey(of),
            auth.UserJWT(b"hunter2", of),
            auth.UserCredentials(creds(of)),
            auth.Token("hunter2"),
            auth.UserInfo("u", "hunter2"),
            auth.Callback(lambda: "hunter2"),
            self.client("nats://u:hunter2@host"),
            self.client(token="hunter2"),
            self.client("nats://u:hunter2@host").current,
        ):
            for secret in secrets:
                self.assertFalse(secret in repr(thing) or secret in str(thing), repr(thing))


class Fails(AuthCase):
    """Whatever is raised while CONNECT is made ends that attempt, and is never
    raised by poll().
    """

    def attempt(self, credentials):
        self.start()
        for _ in range(3):
            self.net.feed(b'INFO {"nonce":"%s"}\r\n' % NONCE.encode())
            self.net.next_connection()
        nc = self.client(auth=credentials, reconnect_wait_ms=400)
        nc.connect(wait=False)
        self.poll_until(nc, lambda: len(self.events) == 2)
        self.assertEqual(self.kinds(), ["error"] * 2)
        self.assertTrue(self.elapsed(0) >= 200)
        self.assertFalse(nc.connected or b"CONNECT" in self.sent())
        return self.errors()[0]

    def raising(self, error):
        def credentials(nonce):
            raise error

        return credentials

    def test_by_any_exception(self):
        for kind in (
            ValueError,
            OSError,
            RuntimeError,
            KeyError,
            TypeError,
            ZeroDivisionError,
            AttributeError,
        ):
            error = kind("hunter2")
            told = self.attempt(auth.Callback(lambda: self.raising(error)(0)))
            self.assertTrue(type(told) is unats.AuthError, repr(told))
            self.assertFalse("hunter2" in str(told) and kind is not OSError, str(told))
            self.assertTrue(kind.__name__ in str(told) and told.cause is error, str(told))

    def test_by_an_oserror_with_its_number(self):
        self.assertTrue(
            "OSError %d" % errno.EIO in str(self.attempt(self.raising(OSError(errno.EIO, "EIO"))))
        )

    def test_by_an_autherror_as_it_is(self):
        error = unats.AuthError("ask the office for a new one")
        self.assertTrue(self.attempt(self.raising(error)) is error)

    def test_by_another_error_of_the_clients(self):
        told = self.attempt(self.raising(unats.Timeout("the office does not answer")))
        self.assertTrue(type(told) is unats.AuthError and "Timeout" in str(told))

    def test_by_lack_of_memory(self):
        told = self.attempt(self.raising(MemoryError()))
        self.assertTrue(type(told) is unats.Error and "memory" in str(told))

    def test_by_what_it_returns(self):
        for pairs in (
            None,
            5,
            "user",
            [5],
            [("user",)],
            [("user", 5)],
            [("user", "a\nb")],
            [("user", "\x7f")],
            [("user", b"\xff")],
            [(5, "x")],
            [("", "x")],
            [('user":"x","a', "x")],
            [("a b", "x")],
            [("verbose", "x")],
            [("name", "x"), ("name", "y")],
            [("user", "x"), ("user", "y")],
            [("tls_required", "x")],
            [("user", True)],
            [("user", [])],
        ):
            told = self.attempt(lambda nonce: pairs)
            self.assertTrue(type(told) is unats.AuthError, repr(told))

    def test_by_a_missing_file(self):
        self.assertTrue("no/such/file" in str(self.attempt(auth.UserCredentials("no/such/file"))))

    def test_waiting_connect_raises_it(self):
        self.net.feed(b"INFO {}\r\n")
        nc = self.client(auth=auth.Nkey(seed()))
        try:
            nc.connect()
            self.fail("connected")
        except unats.AuthError as e:
            self.assertTrue("no nonce" in str(e))
        self.assertEqual(nc.state, "disconnected")
        self.assertFalse(self.net.is_open)

    def test_a_keyboard_interrupt_gets_through(self):
        self.net.feed(b"INFO {}\r\n")
        nc = self.client(auth=self.raising(KeyboardInterrupt()))
        try:
            nc.connect()
            self.fail("connected")
        except KeyboardInterrupt:
            pass
        self.assertFalse(self.net.is_open)

    def test_slow_signing_does_not_use_up_the_time_to_connect(self):
        self.net.handshake()
        nc = self.client(
            auth=lambda nonce: self.clock.sleep_ms(4900) or (), connect_timeout_ms=5000
        )
        self.net.answer_pings = False
        nc.connect(wait=False)
        self.poll_until(nc, lambda: b"PING" in self.sent())
        self.clock.sleep_ms(4000)
        self.net.feed(b"PONG\r\n")
        self.poll_until(nc, lambda: self.events)
        self.assertEqual(self.kinds(), ["connected"])


class Rates(AuthCase):
    """Refusals of every kind: reported with the server's words, tried again at a bounded rate."""

    TEXTS = (
        "Authorization Violation",
        "User Authentication Expired",
        "User Authentication Revoked",
        "Account Authentication Expired",
        "Authentication Timeout",
        "Authentication Expired",
    )

    def test_while_connecting(self):
        for text in self.TEXTS:
            self.start()
            for _ in range(40):
                self.net.feed(b"INFO {}\r\n")
                self.net.after_pings(1)
                self.net.feed(("-ERR '%s'\r\n" % text).encode())
                self.net.end()
                self.net.next_connection()
            nc = self.client(
                reconnect_wait_ms=100, reconnect_max_wait_ms=3000, password="p", user="u"
            )
            nc.connect(wait=False)
            self.poll_until(nc, lambda: len(self.events) == 30, 100)
            for kind, detail in self.events:
                self.assertTrue(
                    kind == "error" and type(detail) is unats.AuthError and str(detail) == text
                )
            self.assertTrue(
                self.elapsed(0) >= 50 + 100 + 200 + 400 + 800 + 24 * 1500, self.elapsed(0)
            )
            self.assertEqual(nc.state, "connecting")

    def test_while_connected(self):
        for text in self.TEXTS:
            self.start()
            nc = self.connected(max_reconnects=3, reconnect_wait_ms=200)
            self.clock.sleep_ms(5000)
            self.net.feed(("-ERR '%s'\r\n" % text).encode())
            self.net.end()
            for _ in range(9):
                self.net.next_connection()
                self.net.feed(("INFO {}\r\n-ERR '%s'\r\n" % text).encode())
            self.poll_until(nc, lambda: nc.state == "closed")
            self.assertEqual(self.kinds(), ["disconnected"] + ["error"] * 4 + ["closed"])
            for error in self.errors():
                self.assertTrue(type(error) is unats.AuthError and str(error) == text)

    def test_renewed_credentials_are_used_at_once(self):
        write(creds(seed()))
        self.net.handshake(nonce=NONCE)
        nc = self.client(auth=auth.UserCredentials(_PATH))
        nc.connect()
        self.clock.sleep_ms(5000)
        self.net.feed(b"-ERR 'User Authentication Expired'\r\n")
        self.net.end()
        self.net.next_connection()
        self.net.handshake(nonce=NONCE)
        renewed = seed()
        write(creds(renewed))
        self.poll_until(nc, lambda: "reconnected" in self.kinds())
        self.assertTrue(jwt(public(renewed)).encode() in self.sent())
        self.assertTrue(self.elapsed(5000) < 100)

    def test_a_server_cannot_put_off_the_wait_by_announcing_others(self):
        for i in range(300):
            urls = ",".join(['"10.0.0.%d:4222"' % n for n in range(1 + i * 7 % 16)])
            self.net.feed(
                (
                    "INFO {\"connect_urls\":[%s]}\r\n-ERR 'Authorization Violation'\r\n" % urls
                ).encode()
            )
            self.net.end()
            self.net.next_connection()
        nc = self.client(reconnect_wait_ms=1000, reconnect_max_wait_ms=1000)
        nc.connect(wait=False)
        self.poll_until(nc, lambda: len(self.events) >= 200)
        self.assertTrue(self.elapsed(0) >= 200 // 18 * 500, self.elapsed(0))


class Discovered(AuthCase):
    """Who gets which credentials, when a server has announced others."""

    def hosts(self, url, **options):
        """What the given server and the announced one are told: user, password, token."""
        told = {}

        def note(net):
            fields = json.loads(self.sent().split(b"\r\n")[0][8:])
            told[net.host] = [fields.get(name) for name in ("user", "pass", "auth_token")]

        self.start()
        self.net.on_write = note
        for _ in range(3):
            self.net.handshake(connect_urls=["10.0.0.9:4222"], nonce=NONCE)
            self.net.end()
            self.net.next_connection()
        nc = self.client(url, randomize=False, **options)
        nc.connect(wait=False)
        self.poll_until(nc, lambda: len(told) == 2)
        return told

    def test_those_of_a_url_stay_with_its_server(self):
        told = self.hosts("nats://u:p@host")
        self.assertEqual(told, {"host": ["u", "p", None], "10.0.0.9": [None, None, None]})
        told = self.hosts("nats://t@host")
        self.assertEqual(told, {"host": [None, None, "t"], "10.0.0.9": [None, None, None]})

    def test_those_of_the_client_go_to_all(self):
        told = self.hosts("nats://host", user="u", password="p")
        self.assertEqual(told, {"host": ["u", "p", None], "10.0.0.9": ["u", "p", None]})
        told = self.hosts("nats://host", auth=auth.Token("t"))
        self.assertEqual(told, {"host": [None, None, "t"], "10.0.0.9": [None, None, "t"]})

    def test_those_in_an_announcement_are_nobodys(self):
        self.net.handshake(connect_urls=["evil:x@10.0.0.9:4222"])
        nc = self.client("nats://host", user="u", password="p")
        nc.connect()
        self.assertEqual([str(s) for s in nc._servers], ["host:4222", "10.0.0.9:4222"])
        self.assertEqual([s.user for s in nc._servers], [None, None])
