"""Messages read out of a stream by number or subject, directly where it allows that (ADR-31).
These are methods of `JetStream`, loaded when one is first used. All of it allocates.
"""

from binascii import a2b_base64
from json import dumps

from unats.checks import check_subject
from unats.errors import Error, NoResponders

from . import JetStreamError, NotConnected, check_handler, check_name, result

_NO_MESSAGE = 10037  # err_code


class Stored:
    """A message as a stream holds it: `stream`, `subject`, `seq`, `time` (text, RFC 3339),
    `headers` (a dict, or None), `data`.
    """

    def __init__(self, stream, subject, seq, time, headers, data):
        self.stream, self.subject, self.seq, self.time = stream, subject, seq, time
        self.headers, self.data = headers, data


def get(js, stream, seq, handler=None):
    """The message of that number, as `Stored`, or None if the stream has none."""
    return _get(js, check_name(stream, "stream"), "", {"seq": seq}, handler)


def last(js, stream, subject, handler=None, into=None):
    """The last message on the subject, as `Stored`, or None if the stream has none.

    into: a buffer for the payload; `data` is how many bytes of it there are then. ValueError: it
    has more.
    """
    subject = check_subject(subject, True)
    body = {"last_by_subj": subject}
    return _get(js, check_name(stream, "stream"), subject, body, handler, into)


def _get(js, stream, subject, body, handler, into=None):
    """Ask directly, which each server with a copy answers; if nobody does, the stream itself."""
    if handler is None:
        return js.wait(lambda done: _get(js, stream, subject, body, done, into))
    check_handler(handler)

    def answered(found, error):
        if not isinstance(error, NoResponders):
            handler(found, error)
        elif not js.ask("%sSTREAM.MSG.GET.%s" % (js.prefix, stream), dumps(body), handler, asked):
            handler(None, NotConnected("the connection was lost"))

    def direct(msg):
        return _direct(msg, stream, into)

    def asked(msg):
        return _asked(msg, stream, into)

    question = "%sDIRECT.GET.%s" % (js.prefix, stream)
    if subject and "*" not in subject and ">" not in subject:
        return js.ask("%s.%s" % (question, subject), b"", answered, direct)
    return js.ask(question, dumps(body), answered, direct)


def _direct(msg, stream, into):
    """A message as it is in the stream, with what is to be said of it in headers."""
    if msg.status == 404:
        return None
    headers = msg.headers or {}
    try:
        if msg.status is not None:
            raise Error("the stream answers with status %d" % msg.status)
        subject, seq = headers.pop("Nats-Subject"), int(headers.pop("Nats-Sequence"))
        time = headers.pop("Nats-Time-Stamp", "")
        headers.pop("Nats-Stream", None)
    except (KeyError, ValueError, TypeError):
        raise Error("not a message of the stream")
    data = msg.data if into is None else msg.copy_into(into)
    return Stored(stream, subject, seq, time, headers or None, data)


def _asked(msg, stream, into):
    """A message in JSON."""
    try:
        found = result(msg)["message"]
        data = a2b_base64(found.get("data", "").encode())
        headers = _headers(a2b_base64(found.get("hdrs", "").encode()))
        subject, seq, time = found["subject"], found["seq"], found.get("time", "")
        if type(seq) is not int or type(subject) is not str:
            raise ValueError
    except JetStreamError as e:
        if e.code == 404 and e.err_code == _NO_MESSAGE:
            return None
        raise
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Error("not an answer of JetStream's")
    if into is not None:
        if len(data) > len(into):
            raise ValueError("payload: no room for its %d bytes" % len(data))
        into[: len(data)] = data
        data = len(data)
    return Stored(stream, subject, seq, time, headers, data)


def _headers(block):
    """Those of a header block: a dict, or None."""
    found = {}
    for line in block.decode().split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found or None
