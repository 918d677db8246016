"""Consumers made or looked up: see `consumer.py`. Loaded each time that one is made."""

from unats.checks import check, check_subject
from unats.nuid import unique

from . import NotConnected, check_handler, check_name
from .consumer import Consumer

_NO_CONSUMER = 10014  # err_code
_POLICIES = ("all", "new", "last", "last_per_subject")
_MINUTES_MS = 300000


def consumer(
    js,
    stream,
    durable=None,
    filter=None,
    deliver="all",
    ack_wait_ms=None,
    max_deliver=None,
    inactive_ms=None,
    *,
    handler=None
):  # fmt: skip
    """A `Consumer` of the stream: the durable one of that name, which is made if it is not there;
    or one that is gone when it was not used for `inactive_ms` (5 minutes).

    filter: a subject, wildcards are allowed, or a list of such. deliver: where it begins, "all",
    "new", "last", "last_per_subject", or a number in the stream. ack_wait_ms: after so long
    without an acknowledgement a message is delivered again (30 s), up to max_deliver times (None:
    for ever). Of a durable consumer that is there nothing is changed.
    """
    if handler is None:
        what = durable, filter, deliver, ack_wait_ms, max_deliver, inactive_ms
        return js.wait(lambda done: consumer(js, stream, *what, handler=done))
    check_handler(handler)
    stream = check_name(stream, "stream")
    name = unique() if durable is None else check_name(durable, "durable")
    config = config_of(deliver, filter)
    config["ack_policy"] = "explicit"
    for what, value, unit in (
        ("ack_wait", ack_wait_ms, 1000000), ("max_deliver", max_deliver, 1),
        ("inactive_threshold", inactive_ms, 1000000),
    ):  # fmt: skip
        if value is not None:
            check(what, value, 1)
            config[what] = value * unit
    if durable is None:
        config.setdefault("inactive_threshold", _MINUTES_MS * 1000000)
    else:
        config["durable_name"] = name

    def made(answer, error):
        if error is None:
            answer = Consumer(js, stream, name, answer)
        handler(answer, error)

    def looked(answer, error):
        if getattr(error, "err_code", 0) != _NO_CONSUMER:
            made(answer, error)
        elif not create(js, stream, name, config, made):
            handler(None, NotConnected("the connection was lost"))

    if durable is None:
        return create(js, stream, name, config, made)
    return js.call("CONSUMER.INFO.%s.%s" % (stream, name), None, looked)


def config_of(deliver, filter):
    """The configuration of a consumer that begins there, and takes these subjects. ValueError."""
    config = {"name": None, "replay_policy": "instant"}
    if deliver in _POLICIES:
        config["deliver_policy"] = deliver
    else:
        if type(deliver) is not int or deliver < 1:
            raise ValueError("deliver: 'all', 'new', 'last', 'last_per_subject' or a number")
        config["deliver_policy"] = "by_start_sequence"
        config["opt_start_seq"] = deliver
    if isinstance(filter, (list, tuple)):
        config["filter_subjects"] = [check_subject(text, True, "filter") for text in filter]
    elif filter is not None:
        config["filter_subject"] = check_subject(filter, True, "filter")
    return config


def create(js, stream, name, config, handler):
    """Make a consumer of that name; False: it could not be queued."""
    config["name"] = name
    subject = "CONSUMER.CREATE.%s.%s" % (stream, name)
    filter = config.get("filter_subject", "*")
    if "*" not in filter and ">" not in filter:  # permissions can allow for this one alone
        subject += "." + filter
    return js.call(subject, {"stream_name": stream, "config": config}, handler)


def delete(js, stream, name, handler):
    """See `Consumer.delete`."""
    if handler is None:
        return js.wait(lambda done: delete(js, stream, name, done))
    check_handler(handler)
    return js.call(
        "CONSUMER.DELETE.%s.%s" % (stream, name),
        None,
        lambda answer, error: handler(None if error else True, error),
    )
