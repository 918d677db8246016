"""Consumers: the messages of a stream, each until it is acknowledged.

    js = JetStream(nc)
    jobs = js.consumer("JOBS", durable="greenhouse-7", filter="jobs.greenhouse-7.>")
    jobs.consume(on_job)                       # by poll(), until .stop()
    jobs.fetch(5, on_job, timeout_ms=1000)     # waits for up to five

    def on_job(msg):
        do(msg.data)
        msg.ack()

A pull consumer (ADR-37, and the JetStream API reference). The handler is given the client's own
`Msg`, which has these beside what every message has, once this module is loaded:

    msg.ack()                     it is done
    msg.nak(delay_ms=0)           deliver it again, after so long
    msg.term(reason=None)         never deliver it again
    msg.in_progress()             it takes longer: `ack_wait_ms` begins anew
    msg.ack_sync(timeout_ms=5000, handler=None)       it is done, and the server has said so
    msg.seq .consumer_seq         its number in the stream, in the consumer;
    msg.delivered .pending        how often it was delivered, how many come behind it

Receiving and `ack`, `nak()`, `in_progress` allocate nothing. A message that is larger than the
receive buffer comes in fragments, as with `chunked=True`, if the handler takes them: `fetch` and
`consume` have `chunked=True`. Otherwise it is skipped, and counted as `nc.stats.oversize`; it is
delivered again, as often as `max_deliver` has it.
"""

from unats.checks import check, check_subject
from unats.kernels import Msg
from unats.nuid import unique

from . import NotConnected, check_handler, check_name
from .pull import Pull

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
    handler=None,
):
    """A `Consumer` of the stream: the durable one of that name, which is made if it is not there;
    or one that is gone when it was not used for `inactive_ms` (5 minutes).

    filter: a subject, wildcards are allowed, or a list of such. deliver: where it begins, "all",
    "new", "last", "last_per_subject", or a number in the stream. ack_wait_ms: after so long
    without an acknowledgement a message is delivered again (30 s), up to max_deliver times (None:
    for ever). Of a durable consumer that is there nothing is changed.
    """
    if handler is None:
        what = durable, filter, deliver, ack_wait_ms, max_deliver, inactive_ms
        return js.wait(lambda done: consumer(js, stream, *what, done))
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


class Consumer:
    """A consumer; `stream`, `name`, `info`: what the server said of it, a dict."""

    def __init__(self, js, stream, name, info):
        self._js = js
        self.stream, self.name, self.info = stream, name, info

    @property
    def path(self):
        return "%s.%s" % (self.stream, self.name)

    def fetch(self, n, handler, timeout_ms=5000, done=None, max_bytes=None, chunked=False):
        """Call handler(msg) for up to n messages that come in that time: how many came.

        done: instead of waiting return at once, and have `poll()` call done(count, error).
        max_bytes: of all of them. JetStreamError: there is no such consumer any more.
        NotConnected: there is no connection, or it was lost before anything came.
        """
        check("n", n, 1)
        check("timeout_ms", timeout_ms, 1)
        _check(handler)
        if done is None:
            start = lambda done: self.fetch(n, handler, timeout_ms, done, max_bytes, chunked)  # noqa: E731
            return self._js.wait(start)
        if not self._js.nc.connected:
            return False

        def ended(error):
            done(pull.came, None if pull.came else error)

        pull = Pull(
            self._js,
            self.path,
            _taker(self._js, handler, chunked),
            ended,
            n,
            max_bytes,
            timeout_ms,
        )
        return True

    def consume(self, handler, window=8, max_bytes=None, chunked=False):
        """Have `poll()` call handler(msg) for each message, from now on; returns what has
        `stop()`, `came`, and `error`.

        window: how many messages may be on their way. max_bytes: of half of them. If the consumer
        is deleted handler(None) is called, and `error` says so. Goes on by itself on another
        connection: what was on its way is delivered again after `ack_wait_ms`.
        """
        check("window", window, 1)
        _check(handler)
        take = _taker(self._js, handler, chunked)
        return Pull(self._js, self.path, take, lambda error: handler(None), window, max_bytes)

    def delete(self, handler=None):
        """Delete the consumer: True."""
        if handler is None:
            return self._js.wait(self.delete)
        return self._js.call(
            "CONSUMER.DELETE." + self.path,
            None,
            lambda answer, error: handler(None if error else True, error),
        )


def _check(handler):
    if not callable(handler):
        raise ValueError("handler: give a function of one argument, the message")


def _taker(js, handler, chunked):
    """What is called for each message: the handler, or what skips those that are too large."""
    if chunked:
        return handler

    def take(msg):
        if msg.size == msg.total:
            handler(msg)
        elif msg.last:
            js.nc.stats.oversize += 1
            js.nc.event("oversize", None)

    return take


# What a message has


def ack(msg):
    """It is done; False if that could not be queued. Does not allocate."""
    return msg.respond(b"+ACK")


def nak(msg, delay_ms=0):
    """Deliver it again, after so many ms."""
    if delay_ms:
        return msg.respond(b'-NAK {"delay":%d000000}' % delay_ms)
    return msg.respond(b"-NAK")


def term(msg, reason=None):
    """Never deliver it again; reason: text that goes into the server's advisory."""
    return msg.respond(b"+TERM" if reason is None else "+TERM " + reason)


def in_progress(msg):
    """It takes longer."""
    return msg.respond(b"+WPI")


def ack_sync(msg, timeout_ms=5000, handler=None):
    """It is done: True, once the server has confirmed that."""
    from . import JetStream

    return JetStream(msg.nc).ask(msg.reply, b"+ACK", handler, lambda answer: True, timeout_ms)


def number(msg, i):
    """The i-th of the numbers in the reply subject: 0 delivered, 1 stream, 2 consumer, 4 pending.

    `$JS.ACK.<stream>.<consumer>.<numbers>`, or with domain and account behind ACK (ADR-15).
    """
    return msg.reply_int(i + (4 if msg.reply_int(10) < 0 else 6))


def _equip():
    Msg.ack, Msg.nak, Msg.term = ack, nak, term
    Msg.in_progress, Msg.ack_sync = in_progress, ack_sync
    Msg.delivered = property(lambda msg: number(msg, 0))
    Msg.seq = property(lambda msg: number(msg, 1))
    Msg.consumer_seq = property(lambda msg: number(msg, 2))
    Msg.pending = property(lambda msg: number(msg, 4))


_equip()
