"""What a stream says of itself: looked at once on each connection, where that is allowed.

Whoever publishes there should know that no acknowledgement will come (`no_ack`), or for how long
it recognises message ids (`duplicate_window`). Two questions, STREAM.NAMES and STREAM.INFO (the
JetStream API reference; ADR-1); the answer to the second may be larger than the receive buffer,
and comes in fragments. Allocates, some KB for as long as that is read.
"""

import json

import utime
from micropython import const

from unats.errors import Error
from unats.jetstream import JetStream, result
from unats.nuid import unique

from .spool import is_over

_MAX_TEXT = const(8192)  # of an answer
_NS_IN_MS = const(1000000)


class Stream:
    """The stream that takes a subject, through the connection of `nc`.

    `pending`: an answer may still come. `name`: the stream's, and what it says of itself:
    `no_ack`, `sealed`, `window_ms`, for duplicates, `largest`, the bytes of headers and payload
    that it takes; None and False before, and where that is not known.
    timeout_ms: for each answer. told: told(self) is called with an answer.
    """

    def __init__(self, nc, domain, timeout_ms, told):
        self._nc = nc
        self._js = JetStream(nc, domain)
        self._told = told
        self.name = None
        self._timeout_ms = timeout_ms
        self._until = 0
        self._inbox = None
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
        self._text = b""
        if self._inbox is not None:
            self._inbox.unsubscribe()
            self._inbox = None

    def refused(self, error):
        """The server does not allow something, perhaps the question."""
        if self.pending and error.subject == self._question:
            self._refused = True
            self.close()

    def _on_names(self, answer, error):
        names = answer.get("streams") if answer else None
        if self.pending and isinstance(names, list) and names and isinstance(names[0], str):
            self._ask(names[0])
        else:
            self.pending = False

    def _ask(self, name):
        self._question = self._js.prefix + "STREAM.INFO." + name
        inbox = "%s.%s" % (self._nc.inbox_prefix, unique())
        self._inbox = self._nc.subscribe(inbox, self._on_part, max_msgs=1, chunked=True)
        try:
            if self._nc.publish(self._question, b"", inbox):
                self.name = name
                return
        except ValueError:
            pass  # no name of a stream's
        self.close()

    def _on_part(self, msg):
        if self._text is not None:
            self._text += bytes(memoryview(msg.buffer)[msg.start : msg.end])
            if len(self._text) > _MAX_TEXT:
                self._text = None
        if msg.last:
            self._inbox = None
            if self._text:
                self._read()
            self.close()

    def _read(self):
        try:
            config = result(self, dict)["config"]
            self.no_ack = config.get("no_ack") is True
            self.sealed = config.get("sealed") is True
            window = config.get("duplicate_window")
            self.window_ms = window // _NS_IN_MS if type(window) is int else None
            largest = config.get("max_msg_size")
            self.largest = largest if type(largest) is int and largest > 0 else None
            self._told(self)
        except (Error, KeyError, AttributeError, MemoryError):
            pass  # it is not known then

    # What `result` wants of a message

    def json(self):
        return json.loads(self._text)

    @property
    def text(self):
        return ""
