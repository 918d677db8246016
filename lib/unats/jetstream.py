"""JetStream: publishing that is acknowledged, once the message is in a stream.

    js = JetStream(nc)
    ack = js.publish("sensors.greenhouse-7.temp", b"21.53", msg_id="greenhouse-7-42")
    print(ack.stream, ack.seq, ack.duplicate)

The server answers a message that a stream takes with a PubAck, and drops one whose `Nats-Msg-Id`
it has stored within the stream's duplicate window (2 minutes, unless the stream was made with
another). See "Publish Acknowledgement" and "JetStream API Headers" in the NATS documentation's
JetStream API reference, and ADR-1 of nats-architecture-and-design for the form of the API's
answers.

All of this allocates. `unats.outbox` publishes without allocating, and keeps what is not
acknowledged.
"""

import json

from .checks import check_subject
from .errors import Error, NoResponders, NotConnected, Timeout

NO_STREAM = 10059  # JetStream's err_code for "stream not found"


def _field(fields, name, default):
    """What is there, if it is of the default's kind."""
    value = fields.get(name)
    return value if type(value) is type(default) else default


class JetStreamError(Error):
    """JetStream refused: `code` as in HTTP, `err_code` of the server's own list, `description`."""

    def __init__(self, error):
        self.code = _field(error, "code", 0)
        self.err_code = _field(error, "err_code", 0)
        self.description = _field(error, "description", "")
        super().__init__("%s (%d, %d)" % (self.description, self.code, self.err_code))


class PubAck:
    """Where a message is stored: `stream`, `seq`; `duplicate`: it was there before; `domain` or
    None.
    """

    def __init__(self, fields):
        self.stream = fields["stream"]
        self.seq = fields.get("seq", 0)
        self.duplicate = _field(fields, "duplicate", False)
        self.domain = _field(fields, "domain", "") or None
        if type(self.stream) is not str or type(self.seq) is not int:
            raise ValueError


class JetStream:
    """JetStream through the connection of `nc`; `domain`: of a server further away, or None."""

    def __init__(self, nc, domain=None):
        if domain is not None:
            domain = check_subject(domain, what="domain")
        self._nc = nc
        self.prefix = "$JS.%s.API." % domain if domain else "$JS.API."

    def publish(
        self, subject, payload=b"", msg_id=None, handler=None, timeout_ms=5000, headers=None
    ):
        """Publish, have it stored. Without a handler: wait, and return the `PubAck`.

        With one: return True, or False if it could not be queued; `poll()` then calls handler(ack,
        error): one of them is None. Any number may be outstanding.
        msg_id: a message of the same one is stored only once. headers: a dict of further ones.
        The errors: `NoResponders` (no stream takes this subject), `Timeout` and `NotConnected` (it
        may be stored or not: publish it again, with the same msg_id), `JetStreamError`.
        ValueError: as `Client.publish`.
        """
        if msg_id is not None:
            if not isinstance(msg_id, str) or not msg_id:
                raise ValueError("msg_id: give a str that is not empty")
            headers = dict(headers or {})
            headers["Nats-Msg-Id"] = msg_id
        return self._request(subject, payload, headers, handler, timeout_ms, PubAck)

    def call(self, name, body=None, handler=None, timeout_ms=5000):
        """Call the JetStream API: `name` as "STREAM.INFO.readings", `body` as JSON; the answer is
        a dict.

        Waiting, handler and errors are as in `publish`.
        """
        body = "" if body is None else json.dumps(body)
        return self._request(self.prefix + name, body, None, handler, timeout_ms, dict)

    def last_id(self, subject, handler, timeout_ms=5000, stream=None):
        """Ask for the `Nats-Msg-Id` of the last message that a stream holds on the subject.

        handler(id, error) is called with bytes, which are empty if there is no such message or it
        has no id. JetStreamError, err_code 10059: no stream takes the subject now. Returns False
        if it could not be queued.
        stream: its name. Then there is one question only, `DIRECT.GET.<stream>.<subject>`
        (ADR-31), which permissions can allow for single subjects; the stream must have
        `allow_direct`. If it is replicated, a server may answer that is a moment behind.
        """
        _check_handler(handler)
        subject = check_subject(subject)
        if stream is not None:
            check_subject(stream, what="stream")
            return self._direct(
                "%sDIRECT.GET.%s.%s" % (self.prefix, stream, subject), handler, timeout_ms
            )
        return _LastId(self, subject, handler, timeout_ms).start()

    def _direct(self, question, handler, timeout_ms):
        def answered(msg):
            found, error = b"", None
            try:
                found = _direct_id(self._answer(msg, question))
            except (Error, ValueError) as e:
                error = e
            handler(found, error)

        return self._nc.request(question, b"", timeout_ms, handler=answered)

    def _request(self, subject, payload, headers, handler, timeout_ms, kind):
        if handler is None:
            return result(self._nc.request(subject, payload, timeout_ms, headers), kind)
        _check_handler(handler)

        def answered(msg):
            value = error = None
            try:
                value = result(self._answer(msg, subject), kind)
            except (Error, ValueError) as e:
                error = e
            handler(value, error)

        return self._nc.request(subject, payload, timeout_ms, headers, handler=answered)

    def _answer(self, msg, subject):
        """The message; or what its absence, or its status, means."""
        if msg is None:
            if self._nc.connected:
                raise Timeout("no acknowledgement on %s" % subject)
            raise NotConnected("the connection was lost")
        if not msg.size and msg.status == 503:
            raise NoResponders("no stream takes %s" % subject)
        return msg


def _check_handler(handler):
    if not callable(handler):
        raise ValueError("handler: give a function of two arguments, a result and an error")


def result(msg, kind):
    """What is answered, as `kind` makes it of the fields: PubAck, or dict. `JetStreamError`: it
    failed; any other Error: that is no answer of JetStream's.
    """
    try:
        fields = msg.json()
        if isinstance(fields["error"] if "error" in fields else None, dict):
            raise JetStreamError(fields["error"])
        if "error" not in fields:
            return kind(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        pass  # no JSON, no object, not those fields, too deep
    raise Error("not an answer of JetStream's: %s" % msg.text[:100])


class _LastId:
    """The two questions that it takes: which stream has the subject, and what is last in there."""

    def __init__(self, js, subject, handler, timeout_ms):
        self._js = js
        self._subject = subject
        self._handler = handler
        self._timeout_ms = timeout_ms

    def start(self):
        return self._call("STREAM.NAMES", {"subject": self._subject}, self._on_names)

    def _call(self, name, body, handler):
        return self._js.call(name, body, handler, self._timeout_ms)

    def _on_names(self, answer, error):
        names = answer.get("streams") if answer else None
        if not names:
            if answer and "streams" in answer:
                text = "no stream takes " + self._subject
                error = JetStreamError({"code": 404, "err_code": NO_STREAM, "description": text})
            self._handler(b"", error)
            return
        if not isinstance(names, list) or not isinstance(names[0], str):
            self._handler(b"", Error("not an answer of JetStream's"))
            return
        body = {"last_by_subj": self._subject}
        if not self._call("STREAM.MSG.GET." + names[0], body, self._on_message):
            self._handler(b"", NotConnected("the connection was lost"))

    def _on_message(self, answer, error):
        if isinstance(error, JetStreamError) and error.code == 404:
            error = None  # there is none
        found = b""
        try:
            found = _id_of(answer["message"]) if answer else b""
        except (ValueError, TypeError, KeyError, AttributeError):
            error = Error("not an answer of JetStream's")
        self._handler(found, error)


def _direct_id(msg):
    """The id of a message as the stream holds it; none if it holds none (404)."""
    if msg.status == 404:
        return b""
    if msg.status is not None:
        raise Error("the stream answers with status %d" % msg.status)
    found = (msg.headers or {}).get("Nats-Msg-Id", "")
    return found.encode() if isinstance(found, str) else b""


def _id_of(message):
    from binascii import a2b_base64

    for line in a2b_base64(message.get("hdrs", "").encode()).split(b"\r\n"):
        if line.startswith(b"Nats-Msg-Id:"):
            return line[12:].strip()
    return b""
