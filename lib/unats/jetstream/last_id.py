"""What a stream holds last on a subject: its `Nats-Msg-Id`, which is what the outbox asks for."""

from unats.checks import check_subject
from unats.errors import Error

from . import NO_STREAM, JetStreamError, NotConnected, check_handler


def last_id(js, subject, handler, timeout_ms=None, stream=None, numbered=False):
    """Ask for the `Nats-Msg-Id` of the last message that a stream holds on the subject.

    handler(id, error) is called with bytes, which are empty if there is no such message or it has
    no id. JetStreamError, err_code 10059: no stream takes the subject now. Returns False if it
    could not be queued.
    numbered: handler(id, error, seq) is called, with the number of that message in the stream; 0
    if there is none.
    stream: its name. Then there is one question only, `DIRECT.GET.<stream>.<subject>` (ADR-31),
    which permissions can allow for single subjects; the stream must have `allow_direct`. If it is
    replicated, a server may answer that is a moment behind.
    """
    check_handler(handler)
    subject = check_subject(subject)
    take = handler if numbered else lambda id, error, seq: handler(id, error)
    if stream is not None:
        check_subject(stream, what="stream")
        question = "%sDIRECT.GET.%s.%s" % (js.prefix, stream, subject)

        def answered(found, error):
            id, seq = found or _NONE
            take(id, error, seq)

        return js.ask(question, b"", answered, _direct, timeout_ms)
    return _LastId(js, subject, take, timeout_ms).start()


_NONE = (b"", 0)


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
            self._handler(b"", error, 0)
            return
        if not isinstance(names, list) or not isinstance(names[0], str):
            self._handler(b"", Error("not an answer of JetStream's"), 0)
            return
        body = {"last_by_subj": self._subject}
        if not self._call("STREAM.MSG.GET." + names[0], body, self._on_message):
            self._handler(b"", NotConnected("the connection was lost"), 0)

    def _on_message(self, answer, error):
        if isinstance(error, JetStreamError) and error.code == 404:
            error = None  # there is none
        id, seq = _NONE
        try:
            if answer:
                id, seq = _read(answer["message"])
        except (ValueError, TypeError, KeyError, AttributeError):
            error = Error("not an answer of JetStream's")
        self._handler(id, error, seq)


def _direct(msg):
    """The id and number of a message as the stream holds it; none if it holds none (404)."""
    if msg.status == 404:
        return _NONE
    if msg.status is not None:
        raise Error("the stream answers with status %d" % msg.status)
    headers = msg.headers or {}
    found = headers.get("Nats-Msg-Id", "")
    try:
        seq = int(headers["Nats-Sequence"])
    except (KeyError, ValueError, TypeError):
        raise Error("not a message of the stream")
    return (found.encode() if isinstance(found, str) else b""), seq


def _read(message):
    """The same of one in JSON."""
    from binascii import a2b_base64

    seq = message["seq"]
    if type(seq) is not int:
        raise ValueError
    for line in a2b_base64(message.get("hdrs", "").encode()).split(b"\r\n"):
        if line.startswith(b"Nats-Msg-Id:"):
            return line[12:].strip(), seq
    return b"", seq
