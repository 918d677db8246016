"""A client and a server with one stream, for tests of what publishes through them; no bytes, no
time.

    nc = FakeClient()
    outbox = Outbox(nc, "dev", ...)
    nc.up()
    outbox.poll()          # what it publishes is in nc.sent
    nc.serve()             # the stream stores it, and acknowledges

`serve` does what a server does between two calls of poll. A test sets beforehand what goes wrong:

    nc.full             publish returns False
    nc.lose_messages    so many of the next messages get lost
    nc.lose_acks        so many of the next acknowledgements get lost
    nc.deaf             nothing gets back to the client any more, until the next connection
    nc.refuse           a JetStream error as a dict, or "no responders", for every message
    nc.refusals         {subject (bytes): the same for it alone, or "permission"}
    nc.no_api           questions to the stream time out
    nc.api_error        a JetStream error as a dict, which answers all of them
    nc.config           what the stream says of itself, as JSON has it
    nc.window           how many of the last ids the stream recognises
    nc.on_their_way     messages that nothing is known of before the next one of their subjects
                        comes: the stream's leader has changed
"""

import json

from unats.errors import ServerError

_DIRECT = "$JS.API.DIRECT.GET.S."


def _bytes(data, n=-1):
    data = data.encode() if isinstance(data, str) else bytes(data)
    return data if n < 0 else data[:n]


class FakeMsg:
    headers = None

    def __init__(self, subject, data, status=None):
        self._subject = subject
        self.data = self.buffer = data
        self.start = self.offset = 0
        self.total = self.size = self.end = len(data)
        self.status = status

    def startswith(self, prefix):
        return self.data.startswith(prefix)

    def token_equals(self, i, token):
        return self._subject.split(b".")[i] == bytes(token)

    @property
    def text(self):
        return self.data.decode()

    def json(self):
        return json.loads(self.data)


class Server:
    def __init__(self, headers=True, max_payload=1048576):
        self.headers = headers
        self.max_payload = max_payload


class Stats:
    reconnects = oversize = 0


class Subscription:
    def __init__(self, handler):
        self.handler = handler

    def unsubscribe(self):
        self.handler = None


class Sent:
    """A message that was published."""

    def __init__(self, subject, data, reply, headers):
        self.subject = subject
        self.data = data
        self.reply = reply
        self.headers = headers

    @property
    def id(self):
        return _header(self.headers, b"Nats-Msg-Id: ")

    @property
    def expected(self):
        """The number that the last message of its subject has to have; None: any."""
        found = _header(self.headers, b"Nats-Expected-Last-Subject-Sequence: ")
        return int(found) if found else None


def _header(headers, name):
    start = headers.find(b"\r\n" + name)
    if start < 0:
        return b""
    start += 2 + len(name)
    return headers[start : headers.find(b"\r\n", start)]


class FakeClient:
    def __init__(self):
        self.on_refusal = ()
        self.no_requeue = ()  # of the transmit buffer, of which `down` forgets all anyway
        self.connected = False
        self.inbox_prefix = "_INBOX"
        self.server = Server()
        self.stats = Stats()
        self.full = self.no_api = self.deaf = False
        self.lose_messages = self.lose_acks = 0
        self.refuse = self.last_error = self.api_error = None
        self.refusals = {}
        self.config = {"duplicate_window": 120000000000}
        self.window = 1000000
        self.sent = []  # published, not yet served
        self.log = []  # every message ever published
        self.stored = []  # what the stream holds
        self.on_their_way = []
        self.questions = []  # API names that were called
        self.polls = 0
        self._forgotten = 0  # stored messages whose ids are not known any more
        self._sub = None
        self._asked = []

    # The client

    def up(self):
        """A connection is there, another one than before."""
        self.connected = True
        self.deaf = False
        self.server = Server(self.server.headers, self.server.max_payload)

    def down(self):
        """It is lost, with all that was on its way."""
        self.connected = False
        self.sent = []
        asked, self._asked = self._asked, []
        for _, _, handler in asked:
            handler(None)

    def subscribe(self, subject, handler):
        self._sub = Subscription(handler)
        return self._sub

    def publish(self, subject, payload=b"", reply=None, headers=None, n=-1):
        if not self.connected or self.full:
            return False
        size = len(payload) if n < 0 else n
        if size + len(headers or b"") > self.server.max_payload:
            raise ValueError("payload: larger than the server's max_payload")
        message = Sent(
            _bytes(subject), _bytes(payload, n), _bytes(reply or b""), _bytes(headers or b"")
        )
        self.sent.append(message)
        self.log.append(message)
        return True

    def feature(self, name):
        return self

    def request(self, nc, subject, payload, timeout_ms, headers, handler, max_msgs, chunked):
        if not self.connected or self.full:
            return False
        self._asked.append((subject, payload, handler))
        return True

    def poll(self, timeout_ms=0):
        self.polls += 1
        self.serve()
        return 0

    # The server

    def serve(self):
        """Handle all that has been published, and answer."""
        sent, self.sent = self.sent, []
        for message in sent:
            if self.lose_messages:
                self.lose_messages -= 1
            else:
                self._handle(message)
        self.answer()

    def answer(self):
        """Answer the questions, the answers to which are further questions."""
        while self._asked and not self.deaf:
            name, body, handler = self._asked.pop(0)
            self.questions.append(name)
            if name.startswith(_DIRECT):
                handler(
                    FakeMsg(b"", b"", 503) if self.no_api else self._direct(name[len(_DIRECT) :])
                )
                continue
            answer = None if self.no_api else self._answer(name, json.loads(body or "{}"))
            handler(None if answer is None else FakeMsg(b"", answer))

    def _direct(self, subject):
        seq = self._last(subject.encode())
        if not seq:
            return FakeMsg(b"", b"", 404)
        found = self.stored[seq - 1]
        answer = FakeMsg(b"", found.data)
        answer.headers = {"Nats-Msg-Id": found.id.decode(), "Nats-Sequence": str(seq)}
        return answer

    def _last(self, subject):
        """The number of the last message stored of it, from 1; 0: there is none."""
        return max([i + 1 for i, m in enumerate(self.stored) if m.subject == subject] or [0])

    def forget_ids(self):
        """The duplicate window is over for all that is stored."""
        self._forgotten = len(self.stored)

    def acknowledge(self, message, data=None, status=None):
        """Answer a message; data: with something else than its PubAck."""
        if data is None:
            data = b'{"stream":"S", "seq":%d}' % len(self.stored)
        if message.reply and self._sub.handler and not self.deaf:
            self._sub.handler(FakeMsg(message.reply, data, status))

    def _handle(self, message):
        if not message.headers:  # no stream
            self.stored.append(message)
            if self._sub.handler and message.subject.startswith(self.inbox_prefix.encode() + b"."):
                self.stored.pop()
                self._sub.handler(FakeMsg(message.subject, b""))
        else:
            refuse = self.refusals.get(message.subject, self.refuse)
            if callable(refuse):
                refuse = refuse(message)
            if refuse == "permission":
                self._forbid(message.subject)
            elif refuse == "no responders":
                self.acknowledge(message, b"", 503)
            elif refuse:
                self.acknowledge(
                    message, json.dumps({"error": refuse, "stream": "S", "seq": 0}).encode()
                )
            else:
                self._store(message)

    def _forbid(self, subject):
        error = ServerError('Permissions Violation for Publish to "%s"' % subject.decode())
        error.operation, error.subject = "publish", subject.decode()
        self.last_error = error
        for f in self.on_refusal:
            f(error)

    def _store(self, message):
        waiting, self.on_their_way = self.on_their_way, []
        for m in waiting:
            (self.stored if m.subject == message.subject else self.on_their_way).append(m)
        first = max(self._forgotten, len(self.stored) - self.window)
        known = [m.id for m in self.stored]
        answer = None
        if message.id in known[first:]:
            seq = first + known[first:].index(message.id) + 1
            answer = b'{"stream":"S","seq":%d,"duplicate":true}' % seq
        elif message.expected not in (None, self._last(message.subject)):
            answer = b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}'
        else:
            self.stored.append(message)
        if self.config.get("no_ack"):
            pass
        elif self.lose_acks:
            self.lose_acks -= 1
        else:
            self.acknowledge(message, answer)

    def _answer(self, name, body):
        if self.api_error:
            return json.dumps({"error": self.api_error}).encode()
        if name == "$JS.API.STREAM.INFO.S":
            return json.dumps({"config": self.config}).encode()
        if name == "$JS.API.STREAM.NAMES":
            if self.refusals.get(body["subject"].encode()) == "no responders":
                return b'{"total":0,"streams":null}'
            return b'{"total":1,"streams":["S"]}'
        seq = body.get("seq") or self._last(body["last_by_subj"].encode())
        if not 0 < seq <= len(self.stored):
            return b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}'
        from binascii import b2a_base64

        found = self.stored[seq - 1]
        headers, data = [
            bytes(b2a_base64(part)).strip().decode() for part in (found.headers, found.data)
        ]
        subject = found.subject.decode()
        message = {"hdrs": headers, "subject": subject, "data": data, "seq": seq}
        return json.dumps({"message": message}).encode()

    def texts(self):
        """The payloads in the stream."""
        return [m.data for m in self.stored]
