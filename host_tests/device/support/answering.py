"""A scripted server that answers what is published, for JetStream's parts and services.

class Consuming(Answering):
    def test_it(self):
        self.rules["$JS.API.CONSUMER.CREATE."] = {"name": "d"}      # as JSON; bytes as they are;
        self.rules["$JS.API.CONSUMER.MSG.NEXT."] = self.deliver     # or called with
                                                                    # (subject, reply, payload)

The rule of the longest subject that a publication begins with counts; a list of answers is used up
one by one. What has no rule is not answered. `seen` has all publications, (subject, reply,
headers, payload).
"""

import json
import unittest

import unats
from scripted import Scripted


class Answering(unittest.TestCase):
    def setUp(self):
        self.net = Scripted()
        self.net.handshake()
        self.net.on_write = self._look
        self.nc = unats.Client("nats://host", transport=self.net)
        self.rules = {}
        self.seen = []
        self._at = 0  # bytes written that were looked at
        self._sids = {}
        self.nc.connect()

    def turns(self, n=20):
        for _ in range(n):
            self.nc.poll(0)

    def until(self, condition):
        for _ in range(1000):
            if condition():
                return
            self.nc.poll(1)
        self.fail("it does not come")

    def assert_misuse(self, *calls):
        """Each raises a ValueError, and nothing is published."""
        before = len(self.seen)
        for call in calls:
            with self.assertRaises(ValueError):
                call()
        self.assertEqual(len(self.seen), before)

    def tell(self, subject, payload=b"", reply="", status=None, to=None):
        """Have a message come, or a status: "404 No", or headers alone, "\\r\\nA: b"; to: the
        subject that was subscribed to.
        """
        sid = self._sid(to or subject)
        if status is None:
            line = "MSG %s %s %s %d\r\n" % (subject, sid, reply, len(payload))
            self.net.feed(line.encode() + payload + b"\r\n")
        else:
            gap = "" if status.startswith("\r\n") else " "
            head = ("NATS/1.0%s%s\r\n\r\n" % (gap, status)).encode()
            what = subject, sid, reply, len(head), len(head) + len(payload)
            line = "HMSG %s %s %s %d %d\r\n" % what
            self.net.feed(line.encode() + head + payload + b"\r\n")

    def _sid(self, subject):
        for name in self._sids:
            if name == subject or (name[-2:] == ".*" and subject.startswith(name[:-1])):
                return self._sids[name]
        self.fail("nobody has subscribed to " + subject)

    def _look(self, net):
        """Take what is whole of what was written."""
        data = bytes(net.sent())
        while True:
            end = data.find(b"\r\n", self._at)
            if end < 0:
                return
            words = data[self._at : end].decode().split(" ")
            after = end + 2
            if words[0] in ("PUB", "HPUB"):
                size = int(words[-1])
                if len(data) < after + size + 2:
                    return
                self._at = after + size + 2
                head = int(words[-2]) if words[0] == "HPUB" else 0
                reply = words[2] if len(words) > (3 if words[0] == "PUB" else 4) else ""
                body = data[after : after + size]
                self._published(words[1], reply, body[:head], body[head:])
            else:
                self._at = after
                if words[0] == "SUB":
                    self._sids[words[1]] = words[-1]

    def _published(self, subject, reply, headers, payload):
        self.seen.append((subject, reply, headers, payload))
        rules = [name for name in self.rules if subject.startswith(name)]
        if not rules:
            return
        rule = self.rules[max(rules, key=len)]
        if isinstance(rule, list):
            if not rule:
                return
            rule = rule.pop(0)
        if callable(rule):
            rule(subject, reply, payload)
        elif reply:
            self.tell(reply, rule if isinstance(rule, bytes) else json.dumps(rule).encode())
