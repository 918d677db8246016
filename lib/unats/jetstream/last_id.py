"""What a stream holds last on a subject: its `Nats-Msg-Id`, which is what the outbox asks for."""

from unats.checks import check_subject
from unats.errors import Error

from . import NO_STREAM, JetStreamError, NotConnected, check_handler


def last_id(js, subject, handler, timeout_ms=None, stream=None):
    """Ask for the `Nats-Msg-Id` of the last message that a stream holds on the subject.

    handler(id, error) is called with bytes, which are empty if there is no such message or it has
    no id. JetStreamError, err_code 10059: no stream takes the subject now. Returns False if it
    could not be queued.
    stream: its name. Then there is one question only, `DIRECT.GET.<stream>.<subject>` (ADR-31),
    which permissions can allow for single subjects; the stream must have `allow_direct`. If it is
    replicated, a server may answer that is a moment behind.
    """
    check_handler(handler)
    subject = check_subject(subject)
    if stream is not None:
        check_subject(stream, what="stream")
        question = "%sDIRECT.GET.%s.%s" % (js.prefix, stream, subject)
        return js.ask(question, b"", lambda id, e: handler(id or b"", e), _direct_id, timeout_ms)
    return _LastId(js, subject, handler, timeout_ms).start()


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
