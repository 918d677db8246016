"""What a client puts on the wire: the same script on every interpreter.

`play()` returns the bytes of each scene, (name, bytes), with what is random masked; `main()`
prints them in hexadecimal. test_same_bytes says what they have to be.
"""

import binascii

import unats
from played import Case, message  # before the client: it gives it its clock

BLOCK = b"NATS/1.0\r\nReady: made\r\n\r\n"
URLS = (
    "nats://host:4222",
    "nats://user:password@host:4222",
    "nats://us%40er:p%3Ass%2Fw%25rd%20%22%5C@host:4222",
    "nats://%C3%BCser:gr%C3%BC%C3%9Fe@host:4222",
    "nats://t0ken@host:4222",
    "nats://t%22k%C3%A9n@host:4222",
)
OPTIONS = (
    {},
    {"name": "greenhouse-7"},
    {"name": 'Gewächshaus "7" \\ 温室'},
    {"user": "user", "password": "password"},
    {"user": 'ü"ser', "password": "p\\ß"},
    {"user": "", "password": ""},
    {"token": "t0ken"},
    {"token": 't"ökén'},
    {"verbose": True, "pedantic": True, "echo": False},
    {"name": "all", "user": "u", "password": "p", "verbose": True},
)


class Scenes(Case):
    def runTest(self):
        """CPython wants one, to make an instance."""

    def play(self):
        self.scenes = []
        for i, url in enumerate(URLS):
            self.handshake("url %d" % i, url, {})
        for i, options in enumerate(OPTIONS):
            self.handshake("options %d" % i, URLS[0], options)
        self.handshake("url before options", URLS[1], {"user": "other", "password": "secret"})
        self.handshake("no headers", URLS[0], {}, headers=False)
        self.talk()
        self.large()
        self.requests()
        self.again()
        self.drain()
        self.tearDown()
        return self.scenes

    def keep(self, name):
        self.scenes.append((name, masked(self.sent())))

    def handshake(self, name, url, options, **info):
        self.setUp()
        nc = self.client(url, **options)
        self.net.handshake(**info)
        nc.connect()
        self.keep(name)

    def talk(self):
        """Subscribing and publishing in every way."""
        self.setUp()
        nc = self.connected()
        nc.subscribe("a", self.take)
        nc.subscribe(b"b.*", self.take, queue="workers")
        nc.subscribe("c.>", self.take, max_msgs=3)
        nc.subscribe("größe.>", self.take)
        gone = nc.subscribe("d", self.take)
        limited = nc.subscribe("e", self.take)
        nc.poll()
        self.keep("subscribe")
        self.forget()
        gone.unsubscribe()
        limited.unsubscribe(5)
        nc.poll()
        self.keep("unsubscribe")
        self.forget()
        p = unats.Payload(64)
        p.clear().text('{"t":').fixed(-2153, 2).text(',"n":').int(1 << 40).text(',"ß":"').hex(
            b"\x00\xff"
        ).text('"}')
        for payload in (
            b"bytes",
            bytearray(b"bytearray"),
            memoryview(b"view"),
            "text",
            "Grüße, 温度",
            p,
            b"",
            "",
        ):
            nc.publish("x.y", payload)
            nc.publish(b"x.y", payload, "reply.to")
            nc.publish("größe", payload, "r.ß", BLOCK)
            nc.publish("x", payload, headers={"Kind": "temp"})
            nc.publish("x", payload, None, {"Ort": ["Köln", "b"]}, 0)
            nc.poll()
        nc.publish("x", b"hello", n=2)
        nc.publish("x", p, n=5)
        nc.poll()
        self.keep("publish")
        self.forget()
        nc.subscribe("q", lambda msg: [msg.respond(b"yes"), msg.respond("ä", {"k": "v"})])
        nc.poll()
        self.net.feed(message(7, b"?", "q", "_INBOX.other.1") + b"PING\r\n")
        self.settle(nc)
        self.keep("respond")
        self.forget()
        nc.flush()
        self.keep("flush")

    def large(self):
        """More than the transmit buffer, and short writes."""
        self.setUp()
        nc = self.connected(tx_size=64)
        self.net.write_limit = 29
        for size in (20, 40, 41, 42, 43, 44, 45, 60, 64, 100, 500):
            nc.publish("x", bytes(65 + i % 26 for i in range(size)))
            nc.publish("x", bytes(65 + i % 26 for i in range(size)), "r", BLOCK)
            nc.flush()
        self.keep("large")

    def requests(self):
        self.setUp()
        nc = self.connected()
        nc.request("q", b"1", handler=self.take)
        nc.poll()
        nc.request("q", "zwölf", handler=self.take, max_msgs=3, headers={"k": "v"})
        nc.poll()
        try:
            nc.request("q", b"3", 10)
        except unats.Timeout:
            pass
        self.keep("request")

    def again(self):
        """After a lost connection."""
        self.setUp()
        nc = self.connected()
        for i in range(12):
            nc.subscribe("s.%d" % i, self.take, "q" if i % 3 == 0 else None, i % 2 * 5)
        self.net.feed(message(2, b"x", "s.1") * 2)
        self.settle(nc)
        self.net.write_limit = 0
        nc.publish(b"a", b"1")
        nc.publish(b"b", b"2", "r", BLOCK)
        nc.publish(b"c", b"\r\nPUB c 3\r\n")
        self.net.end()
        self.net.next_connection()
        self.net.handshake()
        self.settle(nc)
        self.net.write_limit = 1 << 20
        self.poll_until(nc, lambda: nc.connected)
        nc.poll()
        self.keep("again")

    def drain(self):
        self.setUp()
        nc = self.connected()
        nc.subscribe("a", self.take)
        nc.subscribe("b", self.take)
        nc.poll()
        self.forget()
        nc.publish(b"x", b"last")
        nc.drain()
        self.keep("drain")


def masked(sent):
    """The random part of inbox subjects as stars."""
    parts = sent.split(b"_INBOX.")
    for i in range(1, len(parts)):
        token = parts[i].split(b".")[0]
        if token != b"other":
            parts[i] = b"*" * len(token) + parts[i][len(token) :]
    return b"_INBOX.".join(parts)


def main():
    for name, sent in Scenes().play():
        print(name + "=" + binascii.hexlify(sent).decode())
