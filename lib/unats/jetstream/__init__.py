"""JetStream: publishing that is acknowledged, once the message is in a stream; and its API.

    js = JetStream(nc)
    ack = js.publish("sensors.greenhouse-7.temp", b"21.53", msg_id="greenhouse-7-42")
    print(ack.stream, ack.seq, ack.duplicate)

The server answers a message that a stream takes with a PubAck, and drops one whose `Nats-Msg-Id`
it has stored within the stream's duplicate window (2 minutes, unless the stream was made with
another). See "Publish Acknowledgement" and "JetStream API Headers" in the NATS documentation's
JetStream API reference, and ADR-1 of nats-architecture-and-design for the form of the API's
answers.

Every call waits, and returns its result or raises; or, with `handler=`, returns True at once
(False: it could not be queued), and `poll()` calls handler(result, error) once: one of them is
None. The errors: `NoResponders` (no stream, or no JetStream, is there), `Timeout` and
`NotConnected` (it may have been done or not), the server's own if it refuses the subject,
`JetStreamError`.

What is not here is loaded when it is first used: messages read out of streams in `stored.py`,
consumers in `consumer.py` and `ordered.py`. What is seldom used is loaded each time, and its heap
is free again behind that: making streams, buckets and consumers, objects on their way.
Where reading flash again costs more than heap, import the module yourself: it stays then. All of
it allocates, but for messages of consumers. (`unats.outbox` publishes without allocating, and
keeps what is not acknowledged.)
"""

import json
import sys

from unats.checks import check, check_subject
from unats.errors import Error, NoResponders, NotConnected, Timeout

NO_STREAM = 10059  # JetStream's err_code for "stream not found"
_NO_ANSWER = "not an answer of JetStream's: "


def load(name):
    """A module of this folder, for one use unless it was there already."""
    stay = name in globals()
    module = __import__("unats.jetstream." + name, None, None, (name,))
    if not stay:
        del sys.modules[module.__name__], globals()[name]
    return module


def _field(fields, name, default):
    """What is there, if it is of the default's kind."""
    value = fields.get(name, default)
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

    def __init__(self, msg):
        fields = result(msg)
        self.stream = _field(fields, "stream", "")
        self.seq = _field(fields, "seq", -1)
        self.duplicate = _field(fields, "duplicate", False)
        self.domain = _field(fields, "domain", "") or None
        if not self.stream or self.seq < 0:
            raise Error(_NO_ANSWER + msg.text[:99])


class JetStream:
    """JetStream through the connection of `nc`; `domain`: of a server further away, or None.

    timeout_ms: for each answer, where a call does not say otherwise.
    """

    def __init__(self, nc, domain=None, timeout_ms=5000):
        if domain is not None:
            domain = check_subject(domain, what="domain")
        check("timeout_ms", timeout_ms, 0)
        self.nc = nc
        self.timeout_ms = timeout_ms
        self.prefix = "$JS.%s.API." % domain if domain else "$JS.API."

    def __getattr__(self, name):
        return load("methods").find(self, name)

    def publish(
        self,
        subject,
        payload=b"",
        msg_id=None,
        handler=None,
        timeout_ms=None,
        headers=None,
        *,
        expect_last_seq=None,
        expect_last_subject_seq=None,
        expect_stream=None,
        ttl_s=None
    ):  # fmt: skip
        """Publish, have it stored: the `PubAck`. Any number may be outstanding.

        msg_id: a message of the same one is stored only once. headers: a dict of further ones.
        expect_last_seq, expect_last_subject_seq: it is refused (err_code 10071) unless the last
        message in the stream, or of that subject, has this sequence number (0: there is none);
        expect_stream: or if it is another stream that takes the subject. ttl_s: after so many
        seconds the stream drops it (ADR-43; where it was made with `allow_msg_ttl`).
        After `Timeout` and `NotConnected` publish it again, with the same msg_id.
        ValueError: as `Client.publish`.
        """
        if msg_id is not None and (not isinstance(msg_id, str) or not msg_id):
            raise ValueError("msg_id: give a str that is not empty")
        if ttl_s is not None:
            check("ttl_s", ttl_s, 1)
        more = (
            ("Nats-Msg-Id", msg_id),
            ("Nats-Expected-Last-Sequence", expect_last_seq),
            ("Nats-Expected-Last-Subject-Sequence", expect_last_subject_seq),
            ("Nats-Expected-Stream", expect_stream),
            ("Nats-TTL", ttl_s),
        )
        for name, value in more:
            if value is not None:
                headers = dict(headers or {})
                headers[name] = str(value)
        return self.ask(subject, payload, handler, PubAck, timeout_ms, headers)

    def call(self, name, body=None, handler=None, timeout_ms=None):
        """Call the JetStream API: `name` as "STREAM.INFO.readings", `body` as JSON: the answer, a
        dict.
        """
        body = "" if body is None else json.dumps(body)
        return self.ask(self.prefix + name, body, handler, result, timeout_ms)

    def ask(self, subject, payload, handler, read, timeout_ms=None, headers=None):
        """Request; the result is read(msg) of the answer, which may be larger than the receive
        buffer.
        """
        if handler is None:
            return self.wait(
                lambda done: self.ask(subject, payload, done, read, timeout_ms, headers)
            )
        check_handler(handler)
        nc, whole, before = self.nc, None, self.nc.last_error

        def answered(msg):
            nonlocal whole
            if msg is not None and msg.size < msg.total:
                if msg.offset == 0:
                    from .whole import Whole

                    whole = Whole(msg)
                if not whole.add(msg):
                    return
                msg = whole
            value = error = None
            try:
                value = read(_present(nc, msg, subject, before))
            except (Error, ValueError) as e:
                error = e
            handler(value, error)

        timeout_ms = self.timeout_ms if timeout_ms is None else timeout_ms
        return nc.feature("request").request(
            nc, subject, payload, timeout_ms, headers, answered, 1, True
        )

    def wait(self, start):
        """Do what start(handler) does, and wait for what the handler is given: return the result,
        or raise the error.
        """
        from unats.waiting import steps, wait

        return wait(self.nc, steps(self.nc, start))


def _present(nc, msg, subject, before):
    """The message; or what its absence, or its status, means."""
    if msg is None:
        error = nc.last_error
        if error is not before:
            if getattr(error, "subject", None) == subject or getattr(error, "subscription", None):
                raise error
        if nc.connected:
            raise Timeout("no answer on %s" % subject)
        raise NotConnected("the connection was lost")
    if not msg.size and msg.status == 503:
        raise NoResponders("nobody answers on %s" % subject)
    return msg


def check_handler(handler):
    if not callable(handler):
        raise ValueError("handler: give a function")


def check_name(name, what):
    """The name of a stream, a consumer or a bucket. ValueError, which names `what`: it is none."""
    name = check_subject(name, what=what)
    if set(name) & set("./\\"):
        raise ValueError("%s: no dots and slashes in a name" % what)
    return name


def result(msg):
    """What is answered, a dict. `JetStreamError`: it failed; any other Error: that is no answer of
    JetStream's.
    """
    try:
        fields = msg.json()
        error = fields.get("error", msg)
    except (ValueError, AttributeError, RuntimeError):  # no JSON, no object, too deep
        error = None
    if error is msg:
        return fields
    if isinstance(error, dict):
        raise JetStreamError(error)
    raise Error(_NO_ANSWER + msg.text[:99])
