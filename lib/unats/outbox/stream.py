"""What a stream says of itself: looked at once on each connection, where that is allowed.

Whoever publishes there should know that no acknowledgement will come (`no_ack`), or for how long
it recognises message ids (`duplicate_window`). Two questions, STREAM.NAMES and STREAM.INFO (the
JetStream API reference; ADR-1); the answer to the second may be larger than the receive buffer,
and comes in fragments. Allocates, some KB for as long as that is read.
"""

import utime
from micropython import const

from unats.jetstream import JetStream

from .spool import is_over

_NS_IN_MS = const(1000000)


class Stream:
    """The stream that takes a subject, through the connection of `nc`.

    `pending`: an answer may still come. `name`: the stream's, and what it says of itself:
    `no_ack`, `sealed`, `window_ms`, for duplicates, `largest`, the bytes of headers and payload
    that it takes; None and False before, and where that is not known.
    timeout_ms: for each answer. told: told(self) is called with an answer.
    """

    def __init__(self, nc, domain, timeout_ms, told):
        self._js = JetStream(nc, domain)
        self._told = told
        self.name = None
        self._timeout_ms = timeout_ms
        self._until = 0
        self._refused = False  # it is not allowed, and not tried again
        self.pending = self.no_ack = self.sealed = False
        self.window_ms = self.largest = None

    def look(self, subject):
        """On a new connection: ask; False: that could not be queued. subject: bytes."""
        self.close()
        if self._refused:
            return True
        self._until = utime.ticks_add(utime.ticks_ms(), 2 * self._timeout_ms)
        self._question = self._js.prefix + "STREAM.NAMES"
        self.pending = self._js.call(
            "STREAM.NAMES", {"subject": subject.decode()}, self._on_names, self._timeout_ms
        )
        return self.pending

    def poll(self):
        """Give up what has not been answered in time."""
        if self.pending and is_over(self._until, 2 * self._timeout_ms):
            self.close()

    def close(self):
        """Wait for no answer any more."""
        self.pending = False

    def _on_names(self, answer, error):
        self._look_at(error)
        names = answer.get("streams") if answer else None
        if self.pending and isinstance(names, list) and names and isinstance(names[0], str):
            self._ask(names[0])
        else:
            self.pending = False

    def _ask(self, name):
        self._question = self._js.prefix + "STREAM.INFO." + name
        try:
            self.name = name
            self.pending = self._js.call(
                "STREAM.INFO." + name, None, self._on_info, self._timeout_ms
            )
        except ValueError:
            self.pending = False  # no name of a stream's

    def _look_at(self, error):
        """The server may not allow the question."""
        self._refused = self._refused or getattr(error, "subject", None) == self._question

    def _on_info(self, answer, error):
        self._look_at(error)
        pending, self.pending = self.pending, False
        if answer and pending:
            self._read(answer.get("config"))

    def _read(self, config):
        try:
            self.no_ack = config.get("no_ack") is True
            self.sealed = config.get("sealed") is True
            window = config.get("duplicate_window")
            self.window_ms = window // _NS_IN_MS if type(window) is int else None
            largest = config.get("max_msg_size")
            self.largest = largest if type(largest) is int and largest > 0 else None
            self._told(self)
        except AttributeError:
            pass  # it is not known then
