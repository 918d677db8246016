"""WebSocket: opening, frames whole and in pieces, hostile ones, and what is allocated."""

import gc
import hashlib
import random
import unittest
from binascii import b2a_base64

import micropython

import unats
from unats.nuid import random_hex
from unats.servers import read_urls
from unats.state import Server
from unats.websocket import WebSocket, kernels, read_url

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Wire:
    """In the place of TCP: gives in pieces what was fed, and takes what there is room for."""

    window = 0

    def __init__(self):
        self.coming, self.sent = b"", b""
        self.piece = self.room = 1 << 20
        self.is_up = True
        self.waits = []
        self.over = False

    def open(self, host, port):
        pass

    def ready(self):
        return self.is_up

    def readinto(self, buf):
        n = min(len(buf), len(self.coming), self.piece)
        if not n:
            return 0 if self.over else None
        buf[:n] = self.coming[:n]
        self.coming = self.coming[n:]
        return n

    def write(self, buf, off, n):
        n = min(n, self.room)
        self.room -= n
        self.sent += bytes(memoryview(buf)[off : off + n])
        return n or None

    def wait(self, timeout_ms, writing):
        self.waits.append((timeout_ms, writing))

    def close(self):
        pass


class Nobody:
    """In the place of the client."""

    def __init__(self, url="ws://host:8080/nats?x=1"):
        self.current = read_url(url)


def error(call, *args):
    """What it raises, as text."""
    try:
        call(*args)
    except (unats.Error, ValueError) as e:
        return str(e)
    raise AssertionError("no error")


def frame(kind, data, fin=True, mask=False, size=None):
    """A frame of a server's; size: what it says its length is, in 10 bytes."""
    head = bytes([kind | 128 if fin else kind])
    n = len(data)
    if size is not None:
        head += bytes([127]) + bytes([size >> 8 * i & 255 for i in range(7, -1, -1)])
    elif n < 126:
        head += bytes([n])
    elif n < 65536:
        head += bytes([126, n >> 8, n & 255])
    else:
        head += bytes([127, 0, 0, 0, 0, n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255])
    if mask:
        head = bytes([head[0], head[1] | 128]) + head[2:] + b"\0\0\0\0"
    return head + data


def unmasked(data):
    """The frames of a client's, as (kind, payload)."""
    found = []
    while data:
        if data[1] < 128:
            raise AssertionError("not masked")
        n, at = data[1] & 127, 2
        if n == 126:
            n, at = data[2] << 8 | data[3], 4
        key, body = data[at : at + 4], data[at + 4 : at + 4 + n]
        found.append((data[0], bytes([c ^ key[i & 3] for i, c in enumerate(body)])))
        data = data[at + 4 + n :]
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.ws, self.wire = WebSocket(), Wire()
        self.ws._nc, self.ws._tcp = Nobody(), self.wire

    def open(self):
        """It is open."""
        self.ws._open = True

    def read(self, size=256, turns=None):
        """All data that comes in buffers of that size."""
        found, buf = b"", bytearray(size)
        while True:
            n = self.ws.readinto(memoryview(buf))
            if n:
                found += buf[:n]
            elif not self.wire.coming:
                return found

    def fails(self, *words):
        try:
            self.read()
        except unats.Error as e:
            for word in words:
                self.assertTrue(word in str(e), str(e))
            return e
        self.fail("no error")


class Frames(Case):
    def test_of_every_length(self):
        for n in (0, 1, 125, 126, 127, 300, 65535, 65536, 70000):
            data = (bytes(range(256)) * (n // 256 + 1))[:n]
            self.setUp()
            self.wire.coming = frame(2, data) + frame(2, b"behind")
            self.assertEqual(self.read(1000), data + b"behind")

    def test_split_at_every_offset(self):
        frames = (
            frame(2, b"one") + frame(9, b"ping") + frame(2, b"") + frame(1, b"x" * 130)
            + frame(2, b"first", fin=False) + frame(10, b"") + frame(0, b"second", fin=False)
            + frame(0, b"third") + frame(2, b"a" * 300) + frame(9, b"")
        )  # fmt: skip
        expected = b"one" + b"x" * 130 + b"firstsecondthird" + b"a" * 300
        for piece in (1, 2, 3, 7):
            self.setUp()
            self.wire.coming, self.wire.piece = frames, piece
            self.assertEqual(self.read(), expected)
            self.assertEqual([k for k, _ in unmasked(self.wire.sent)], [0x8A, 0x8A])
        for at in range(len(frames)):
            self.setUp()
            found = b""
            for part in (frames[:at], frames[at:]):
                self.wire.coming = part
                found += self.read(64)
            self.assertEqual(found, expected)

    def test_random_ones_in_random_pieces(self):
        seed = random.getrandbits(28)
        print("seed", seed)
        random.seed(seed)
        for _ in range(100):
            self.setUp()
            expected, pings, part = b"", [], False
            for _ in range(random.randrange(1, 12)):
                data = bytes([random.getrandbits(8) for _ in range(random.randrange(200))])
                if random.getrandbits(2):
                    fin = bool(random.getrandbits(1))
                    self.wire.coming += frame(0 if part else 2, data, fin)
                    part = not fin
                    expected += data
                else:
                    pings.append(data[:125])
                    self.wire.coming += frame(9, data[:125])
            self.wire.piece = random.randrange(1, 99)
            self.assertEqual(self.read(random.randrange(16, 300)), expected)
            self.assertEqual(unmasked(self.wire.sent), [(0x8A, ping) for ping in pings])

    def test_hostile_ones(self):
        good = frame(2, b"good")
        for bad in (
            frame(2, b"masked", mask=True),
            b"\x82\x80\x82\x02ab",  # masked, and the mask looks like a frame
            frame(2 | 64, b"reserved"),
            frame(2 | 32, b"bits"),
            frame(2 | 16, b""),
            frame(0, b"goes on with nothing"),
            frame(0, b"", fin=False),
            frame(2, b"begins", fin=False) + frame(2, b"again"),
            frame(2, b"begins", fin=False) + frame(1, b"again"),
            frame(3, b"unknown"), frame(7, b""), frame(11, b""), frame(15, b""),
            frame(9, b"", fin=False), frame(8, b"", fin=False),
            frame(9, b"x" * 126), frame(8, b"x" * 200), frame(10, b"", size=1 << 62),
            frame(2, b"", size=1 << 63), frame(2, b"", size=1 << 32), frame(2, b"", size=1 << 30),
            b"\xff" * 30,
        ):  # fmt: skip
            for piece in (1, 1000):
                self.setUp()
                self.wire.coming, self.wire.piece = good + bad, piece
                self.assertTrue(isinstance(self.fails("host:8080"), unats.ProtocolError))

    def test_garbage_breaks_nothing(self):
        seed = random.getrandbits(28)
        print("seed", seed)
        random.seed(seed)
        for _ in range(200):
            self.setUp()
            self.wire.coming = bytes([random.getrandbits(8) for _ in range(100)])
            self.wire.piece = random.randrange(1, 40)
            try:
                self.assertTrue(len(self.read(random.randrange(9, 60))) < 100)
            except unats.Error:
                pass

    def test_the_longest_that_may_be(self):
        self.wire.coming = frame(2, b"x" * 50, size=(1 << 30) - 1)
        self.assertEqual(self.read(20), b"x" * 50)

    def test_the_end(self):
        self.wire.over = True
        self.assertEqual(self.ws.readinto(bytearray(9)), 0)


class Control(Case):
    def test_close_says_why_and_is_answered(self):
        for data, words in (
            (b"", ("no reason",)), (b"\x03", ("no reason",)), (b"\x03\xe9", ("1001 going away",)),
            (b"\x03\xf0Bad\nkey", ("1008 policy", "Bad?key")), (b"\x0f\xa0", ("4000",)),
        ):  # fmt: skip
            self.setUp()
            self.wire.coming = frame(2, b"data") + frame(8, data) + frame(2, b"more")
            self.assertTrue(isinstance(self.fails(*words), unats.NotConnected))
            self.assertEqual(unmasked(self.wire.sent), [(0x88, data)])

    def test_pings_while_nothing_can_be_sent(self):
        self.wire.room = 0
        self.wire.coming = frame(9, b"one") + frame(9, b"two") + frame(2, b"data")
        self.assertEqual(self.read(), b"data")
        self.ws.wait(5, False)
        self.assertEqual(self.wire.waits, [(5, True)])
        for _ in range(9):
            self.wire.room = 3
            self.ws.readinto(bytearray(9))
        self.assertEqual(unmasked(self.wire.sent), [(0x8A, b"two")])

    def test_a_ping_in_the_middle_of_an_answer(self):
        self.wire.room = 4
        self.wire.coming = frame(9, b"x" * 100)
        while self.wire.coming:
            self.ws.readinto(bytearray(300))
        self.wire.room = 0
        sent = self.wire.sent
        self.assertTrue(0 < len(sent))
        self.wire.coming = frame(9, b"y" * 50)
        self.read()
        self.wire.room = 1 << 20
        self.ws.readinto(bytearray(9))
        self.assertEqual(unmasked(self.wire.sent), [(0x8A, b"x" * 100)])

    def test_closing_says_so(self):
        self.open()
        self.ws.close()
        self.ws.close()
        self.assertEqual(unmasked(self.wire.sent), [(0x88, b"\x03\xe8")])
        self.setUp()
        self.open()
        self.wire.room = 1
        self.ws.write(b"data", 0, 4)
        self.wire.room = 0
        self.ws.close()  # not in the middle of a frame
        self.assertTrue(len(self.wire.sent) < 10)


class Writing(Case):
    def test_frames_are_masked_each_with_a_mask_of_its_own(self):
        data = bytes(range(250)) * 12
        at = 0
        while at < len(data):
            n = self.ws.write(data, at, min(len(data) - at, 700))
            self.assertTrue(0 < n <= 512)
            at += n
        frames = unmasked(self.wire.sent)
        self.assertEqual(b"".join([body for _, body in frames]), data)
        self.assertEqual({kind for kind, _ in frames}, {0x82})
        for n in (1, 125, 126, 512):
            self.setUp()
            masks = set()
            for _ in range(20):
                self.wire.sent = b""
                self.assertEqual(self.ws.write(bytearray(600), 3, n), n)
                self.assertEqual(unmasked(self.wire.sent), [(0x82, bytes(n))])
                masks.add(self.wire.sent[-n - 4 : -n])
            self.assertTrue(len(masks) > 15)

    def test_what_can_be_sent_in_part_only(self):
        for room in (1, 3, 100):
            self.setUp()
            self.wire.room = room
            data, at, turns = bytes(range(250)) * 4, 0, 0
            while at < len(data):
                at += self.ws.write(data, at, len(data) - at) or 0
                turns += 1
                self.assertTrue(turns < 9000)
                self.wire.room = 0 if turns % 3 else room
            for _ in range(2000):
                self.wire.room = room
                self.ws.readinto(bytearray(9))
            self.assertEqual(b"".join([body for _, body in unmasked(self.wire.sent)]), data)

    def test_nothing_is_taken_while_a_frame_is_under_way(self):
        self.wire.room = 0
        self.assertEqual(self.ws.write(b"abc", 0, 3), 3)
        self.assertEqual(self.ws.write(b"def", 0, 3), None)
        self.ws.wait(7, False)
        self.assertEqual(self.wire.waits, [(7, True)])
        self.wire.room = 99
        self.ws.readinto(bytearray(9))
        self.ws.wait(7, False)
        self.assertEqual(self.wire.waits[1:], [(7, False)])
        self.assertEqual(unmasked(self.wire.sent), [(0x82, b"abc")])


class Opening(Case):
    def answer(self, text=None, behind=b"", **fields):
        """Have it open, and answer with these lines in the place of the right ones."""
        if not self.ws.ready() and not self.wire.sent:
            self.fail("nothing was sent")
        lines = self.wire.sent.split(b"\r\n")
        (key,) = [line[19:] for line in lines if line.startswith(b"Sec-WebSocket-Key: ")]
        accept = b"x" * 28
        if hasattr(hashlib, "sha1"):
            accept = b2a_base64(hashlib.sha1(key + GUID).digest()).strip()
        right = {"Upgrade": b"websocket", "Connection": b"Upgrade", "Accept": accept}
        for name, value in fields.items():
            right[name] = value
        if text is None:
            text = b"HTTP/1.1 101 Switching Protocols\r\n"
            for name, value in right.items():
                name = "Sec-WebSocket-Accept" if name == "Accept" else name
                if value is not None:
                    text += b"%s: %s\r\n" % (name.encode(), value)
        self.wire.coming += text + b"\r\n" + behind
        return text

    def until_ready(self, turns=2000):
        for _ in range(turns):
            if self.ws.ready():
                return True
        return False

    def test_the_request(self):
        self.ws.headers = WebSocket(headers={"X-Key": "secret", "Cookie": b"a=b"}).headers
        self.assertEqual(self.ws.ready(), False)
        lines = self.wire.sent.split(b"\r\n")
        self.assertEqual(lines[0], b"GET /nats?x=1 HTTP/1.1")
        for line in (
            b"Host: host:8080", b"Upgrade: websocket", b"Connection: Upgrade", b"X-Key: secret",
            b"Sec-WebSocket-Version: 13", b"Cookie: a=b",
        ):  # fmt: skip
            self.assertTrue(line in lines, line)
        self.assertEqual(lines[-2:], [b"", b""])

    def test_with_what_comes_behind_it(self):
        for piece in (1, 10, 1000):
            self.setUp()
            self.wire.piece = piece
            self.answer(behind=frame(2, b"INFO {}\r\n"))
            self.assertTrue(self.until_ready())
            self.ws.wait(1000, False)
            found = b""
            buf = bytearray(5)
            for _ in range(30):
                n = self.ws.readinto(memoryview(buf))
                found += buf[: n or 0]
            self.assertEqual(found, b"INFO {}\r\n")

    def test_waits_to_send_and_then_to_read(self):
        self.wire.room = 10
        self.ws.ready()
        self.ws.wait(1000, True)
        self.wire.room = 1 << 20
        self.ws.ready()
        self.ws.wait(1000, True)
        self.assertEqual([writing for _, writing in self.wire.waits], [True, False])

    def test_names_in_any_case(self):
        self.answer(Upgrade=b"WebSocket", Connection=b"keep-alive, upgrade")
        self.assertTrue(self.until_ready())

    def test_answers_that_are_none(self):
        for fields in (
            {"Upgrade": b"h2c"}, {"Upgrade": None}, {"Connection": b"close"},
            {"Connection": None}, {"Sec-WebSocket-Extensions": b"permessage-deflate"},
            {"Sec-WebSocket-Protocol": b"chat"},
        ):  # fmt: skip
            self.setUp()
            self.answer(**fields)
            with self.assertRaises(unats.ProtocolError):
                self.until_ready()
        if hasattr(hashlib, "sha1"):
            for accept in (b"x" * 28, b"", None):
                self.setUp()
                self.answer(Accept=accept)
                with self.assertRaises(unats.ProtocolError):
                    self.until_ready()

    def test_what_other_answers_mean(self):
        for text, words in (
            (b"HTTP/1.1 404 Not Found\r\n", ("HTTP 404 Not Found", "path")),
            (b"HTTP/1.1 301 Moved\r\nLocation: https://else\r\n", ("301", "https://else")),
            (b"HTTP/1.0 502 Bad Gateway\r\n", ("502", "proxy")),
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n", ("407", "headers=")),
            (b"HTTP/1.1 200 OK\r\n", ("HTTP 200 OK",)),
            (b"HTTP/1.1 500\r\n", ("HTTP 500",)),
            (b"HTTP/1.1\r\n", ("HTTP",)),
            (b"HTTP/1.1 \xff\xfe\r\n", ("??",)),
        ):
            for piece in (1, 1000):
                self.setUp()
                self.wire.piece = piece
                self.answer(text)
                said = error(self.until_ready)
                for word in words:
                    self.assertTrue(word in said, said)

    def test_what_is_no_http(self):
        for text in (b'INFO {"server_id":"N"}\r\n', b"\x15\x03\x01", b"HTTQ", b"\0"):
            self.setUp()
            self.answer(text)
            with self.assertRaises(unats.ProtocolError):
                self.until_ready()

    def test_an_answer_without_end(self):
        self.answer(b"HTTP/1.1 101 X\r\nA: " + b"x" * 5000)
        with self.assertRaises(unats.ProtocolError):
            self.until_ready()

    def test_the_end_instead(self):
        self.ws.ready()
        self.wire.over = True
        with self.assertRaises(unats.NotConnected):
            self.until_ready()

    def test_tcp_first(self):
        self.wire.is_up = False
        self.assertEqual((self.ws.ready(), self.wire.sent), (False, b""))


class Arguments(unittest.TestCase):
    def test_urls(self):
        for text, expected in (
            ("ws://host", ("host", 80, False, "/")),
            ("WSS://host", ("host", 443, True, "/")),
            (" ws://host:8080/a/b?c=d ", ("host", 8080, False, "/a/b?c=d")),
            ("wss://host?x", ("host", 443, True, "/?x")),
            ("ws://[::1]/", ("::1", 80, False, "/")),
            ("ws://[::1]:81", ("::1", 81, False, "/")),
        ):
            (server,) = read_urls(text)
            self.assertTrue(isinstance(server, Server))
            self.assertEqual((server.host, server.port, server.tls, server.path), expected)
        server = read_url("ws://u%40v:p@host/x")
        self.assertEqual((server.user, server.password, server.port), ("u@v", "p", 80))

    def test_bad_urls(self):
        for text in (
            "http://host", "ws://", "ws:///path", "ws://host:0", "ws://host/a b", "ws://host/#x",
            "ws://host/\r\nX: y", "ws://host/\u00e4",
        ):  # fmt: skip
            with self.assertRaises(ValueError):
                read_urls(text)

    def test_what_does_not_go_together(self):
        try:
            import usocket
        except ImportError:
            return
        self.assertTrue(usocket)
        for arguments in (
            {"servers": "ws://a,nats://b"},
            {"servers": "nats://b,ws://a"},
            {"servers": "wss://a"},
            {"servers": "ws://a", "transport": Wire()},
            {"servers": "ws://a", "tls": "no"},
        ):
            with self.assertRaises(ValueError):
                unats.Client(**arguments)

    def test_headers(self):
        secret = random_hex(12)
        for headers in (
            "X: y", {"A": "b\r\n" + secret}, {"A\n": secret}, {"": secret}, {"A:": secret},
            {"A": None}, {"A b": secret}, {1: secret}, ["A"],
        ):  # fmt: skip
            said = error(WebSocket, headers)
            self.assertTrue("headers: give" in said and secret not in said)


class Allocations(Case):
    def test_reading_and_writing(self):
        if not hasattr(micropython, "mem_total") or hasattr(kernels, "ptr8"):
            return  # not counted there
        buf = bytearray(200)
        view = memoryview(buf)
        data = frame(2, b"x" * 100) + frame(9, b"ping")
        ws = self.ws

        class Quick:
            def readinto(self, buf):
                n = 0
                while n < 108:
                    buf[n] = data[n]
                    n += 1
                return 108

            def write(self, buf, off, n):
                return n

        self.ws._tcp = Quick()

        def work(n):
            while n:
                if ws.readinto(view) != 100 or ws.write(buf, 0, 200) != 200:
                    raise ValueError
                n -= 1

        work(3)
        gc.collect()
        before = micropython.mem_total()
        work(1000)
        self.assertEqual(micropython.mem_total() - before, 0)
        micropython.heap_lock()
        work(100)
        micropython.heap_unlock()


if __name__ == "__main__":
    unittest.main()
