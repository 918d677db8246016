"""Streams: made, looked at, emptied, deleted; and messages read out of them by number or subject.

The JetStream API reference of the NATS documentation; direct gets: ADR-31. These are methods of
`JetStream`, loaded when one of them is first used. All of it allocates.
"""

from binascii import a2b_base64
from json import dumps

from unats.checks import check_subject
from unats.errors import Error, NoResponders

from . import JetStreamError, NotConnected, check_handler, check_name, result

_IN_USE = 10058  # err_code: there is another one of that name
_NO_MESSAGE = 10037


def ensure_stream(js, name, subjects, handler=None, **config):
    """See to it that there is a stream of this name, subjects and further configuration: what the
    server says of it, a dict.

    config: fields of the JetStream API's stream configuration, as `max_msgs=1000`. Those that are
    not given are the server's defaults in a new stream, and anything in one that is there.
    JetStreamError, err_code 10058: there is one, and its description says how it differs.
    """
    if handler is None:
        return js.wait(lambda done: ensure_stream(js, name, subjects, done, **config))
    check_handler(handler)
    if isinstance(subjects, str):
        subjects = [subjects]
    config["name"] = check_name(name, "stream")
    config["subjects"] = [check_subject(subject, True) for subject in subjects]

    def made(answer, error):
        if getattr(error, "err_code", 0) != _IN_USE:
            handler(answer, error)
        elif not js.call("STREAM.INFO." + name, None, compare):
            handler(None, NotConnected("the connection was lost"))

    def compare(answer, error):
        text = differences(answer, config) if answer else ""
        if text:
            text = "stream %s is there, and differs: %s" % (name, text)
            error = JetStreamError({"code": 400, "err_code": _IN_USE, "description": text})
        handler(None if error else answer, error)

    return js.call("STREAM.CREATE." + name, config, made)


def differences(answer, config):
    """How the configuration that the server tells is another one than that, in words."""
    there = answer.get("config")
    there = there if isinstance(there, dict) else {}
    found = [
        "%s is %s, not %s" % (name, there.get(name), value)
        for name, value in config.items()
        if there.get(name, value if value in (0, -1, False, "") else None) != value
    ]
    return "; ".join(found)


def stream_info(js, name, handler=None):
    """What the server says of the stream, a dict with `config` and `state`."""
    return js.call("STREAM.INFO." + check_name(name, "stream"), None, handler)


def delete_stream(js, name, handler=None):
    """Delete the stream with all that it holds: True."""
    return _then(js, "STREAM.DELETE." + check_name(name, "stream"), None, handler, _is_done)


def purge(js, stream, subject=None, handler=None, keep=0):
    """Delete the messages of a stream, or those of a subject (wildcards are allowed) in it, but
    for the newest `keep`: how many they were.
    """
    body = {}
    if subject is not None:
        body["filter"] = check_subject(subject, True)
    if keep:
        body["keep"] = keep
    name = "STREAM.PURGE." + check_name(stream, "stream")
    return _then(js, name, body or None, handler, lambda answer: answer.get("purged", 0))


def _is_done(answer):
    return answer.get("success") is True


def _then(js, name, body, handler, read):
    """Call the API; the result is what `read` makes of the answer."""
    if handler is None:
        return read(js.call(name, body))
    check_handler(handler)
    return js.call(
        name, body, lambda answer, error: handler(None if error else read(answer), error)
    )


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
        found = result(msg, dict)["message"]
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
