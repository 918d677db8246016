"""Streams: made, looked at, emptied, deleted. See the JetStream API reference of the NATS
documentation. These are methods of `JetStream`, loaded each time that one is used.
"""

from unats.checks import check_subject

from . import JetStreamError, NotConnected, check_handler, check_name

_IN_USE = 10058  # err_code: there is another one of that name


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
        return js.wait(lambda done: _then(js, name, body, done, read))
    check_handler(handler)
    return js.call(
        name, body, lambda answer, error: handler(None if error else read(answer), error)
    )
