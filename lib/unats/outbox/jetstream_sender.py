"""Sending to a JetStream stream: each reading until it is acknowledged, in order.

The window is the oldest readings of the spool's source: `_count` have been sent at one time or
another, `_sent` since something last went wrong. Each has a number, `_first` and up, which ends
its reply subject and stays the same when it is sent again. The header block and the reply subject
are made once; only digits in them change.
"""

import utime
from micropython import const

from unats.errors import Error, NoResponders
from unats.nuid import random_hex, write_hex

from .dedup import PubAck, Stored, is_usual, refusal  # now, not in the field when they are needed
from .spool import is_over, is_refused

_PAUSE_MS = const(1000)  # no more readings behind one that has waited so long
_NO_ACK_MS = const(500)  # what a stream without acknowledgements has taken is looked for then
_RETRY_MS = const(1000)  # after a refusal; doubles, up to
_MAX_RETRY_MS = const(30000)
_ELECTION_MS = const(10000)  # Raft's of nats-server take 4 to 9 s
_NUMBERS = const(0x3FFFFFFF)
_NO_HEADERS = Error("this server knows no headers, so it can't recognise what it has stored")


def _age_of(window_ms):
    """How long after its first sending a reading may be sent again without asking, for a duplicate
    window: it may take time to arrive, as while a cluster elects a leader.
    """
    return max(window_ms // 2 - _ELECTION_MS, 1)


class JetStreamSender:
    """Sends the readings of `spool`. See `unats.outbox`."""

    def __init__(self, nc, spool, device, window, ack_ms, duplicate_window_ms, domain, stream):
        self._nc = nc
        self._spool = spool
        self._window = window
        self._ack_ms = ack_ms
        self._age_ms = _age_of(duplicate_window_ms)
        self._stored = Stored(nc, domain, stream, ack_ms, spool.stats)
        self._ask_ms = ack_ms
        self._domain = domain
        self._may_look = stream is None
        self._config = None  # what the stream says of itself, if that may be asked,
        self._looked = False  # ... and was, on this connection
        self._no_ack = False
        self._largest = None  # bytes that the stream takes of a message
        self.last_error = None
        self._make_header(device)
        inbox = "%s.%s" % (nc.inbox_prefix, random_hex(22))
        self._token_at = inbox.count(".") + 1
        self._reply = bytearray((inbox + ".00000000").encode())
        self._token = bytearray(8)
        self._inbox = nc.subscribe(inbox + ".*", self._on_ack)
        nc.no_requeue += (
            b" " + inbox.encode(),
        )  # or it would be before older readings that were lost
        self._hook = self._on_refusal
        nc.on_refusal += (self._hook,)
        self._first = self._count = self._sent = 0
        self._next = 0  # where the one after those sent is
        self._acks = 0  # bit i: the i-th is acknowledged, but an older one is not
        self._doubtful = 0  # how many were sent without an answer, before,
        self._tries = 0  # ... and how often the oldest one
        self._aged = 0  # about how many the stream is to be asked before they are sent again
        self._single = True  # one at a time, until one is acknowledged
        self._ack_at = self._age_at = 0  # deadlines, when there are some
        self._retry_at = None
        self._retry_ms = 0
        self._accepts = False  # something was acknowledged on this connection
        if spool.log is not None and spool.log.has_held():
            from .held import held_of

            held_of(self)

    @property
    def out(self):
        """How many readings wait that the spool does not count, less those that it still does."""
        n = 0 if self._spool.held is None else len(self._spool.held)
        acks = self._acks
        while acks:
            n -= acks & 1
            acks >>= 1
        return n

    def _make_header(self, device):
        log = self._spool.log
        start = "%s%06x" % (log.mark(log.start), log.start) if log is not None else random_hex(12)
        text = "NATS/1.0\r\nNats-Msg-Id: %s-%s-00000000\r\n\r\n" % (device, start)
        self._header = bytearray(text.encode())
        self._seq_at = len(text) - 12
        self._start_at = self._seq_at - 7
        self._start = self._spool.start  # of the id in the header

    def _id(self):
        """The message id in the header. Allocates."""
        return bytes(self._header[self._header.find(b": ") + 2 : -4])

    def close(self):
        self._inbox.unsubscribe()
        if self._config is not None:
            self._config.close()
        mine = b" " + bytes(self._reply[:-9])
        self._nc.no_requeue = tuple([reply for reply in self._nc.no_requeue if reply != mine])
        self._nc.on_refusal = tuple([f for f in self._nc.on_refusal if f is not self._hook])

    def is_idle(self):
        """Whether all readings are acknowledged."""
        return not len(self._spool) and self.out <= 0

    def gave_up(self, n):
        """The spool had to give up the oldest n readings, of which some were done already."""
        done = self._acks & (1 << n) - 1
        while done:
            self._spool.stats.dropped -= done & 1
            done >>= 1
        self._forget(n)
        while self._acks & 1:
            self._pop()

    def _forget(self, n):
        """The oldest n readings are not in the source any more."""
        self._first = (self._first + n) & _NUMBERS
        self._count = max(self._count - n, 0)
        self._sent = max(self._sent - n, 0)
        self._aged = max(self._aged - n, 0)
        self._doubtful = max(self._doubtful - n, 0)
        self._acks >>= n
        if not self._sent:
            self._next = self._spool.source.head

    def reconnected(self):
        """What was on its way is lost, or its acknowledgement is."""
        self._retry_at = None
        self._accepts = self._looked = False
        self._largest = None
        self._again()
        if self._spool.held is not None:
            self._spool.held.reconnected()

    def _again(self):
        """Go on with the oldest reading that is not acknowledged."""
        self._sent = 0
        self._doubtful = self._count
        self._tries = self._tries + 1 if self._count else 0
        if self._tries > 1:  # it has been in vain twice
            self._aged = max(self._aged, self._count)
        self._next = self._spool.source.head
        self._single = True
        self._stored.forget()

    def connecting(self, nc):
        """A connection is being made: publish to `nc` what the stream need not be asked about.

        A whole window at once: there is no time to see whether the first one is taken.
        """
        self.reconnected()
        self._looked = True  # (not for a wake)
        self._look_at_age()
        self._single = False
        usual, self._nc = self._nc, nc
        try:
            while nc.server.headers and self._may_send() and not self._aged and self._send():
                pass
        finally:
            self._nc = usual

    # Sending

    def poll(self, connected):
        """Publish what may be published."""
        self._look_at_age()
        if not connected:
            return
        if not self._nc.server.headers:
            self.last_error = _NO_HEADERS
            return
        self._look_at_time()
        if self._config is not None:
            self._config.poll()
        if self._spool.held is not None and self._spool.held.poll():
            self._spool.held = None
        while self._may_send() and self._send():
            pass

    def _look_at_age(self):
        if self._count and is_over(self._age_at, self._age_ms):
            self._aged = max(self._aged, self._count)

    def _look_at_time(self):
        if self._retry_at is not None and is_over(self._retry_at, self._retry_ms):
            self._retry_at = None
        if self._sent and is_over(self._ack_at, self._ack_ms):
            self._again()
            if self._no_ack:
                self._aged = max(self._aged, self._count)

    def _may_send(self):
        if self._spool.held is not None and self._spool.held.busy:
            return False
        if not self._count:
            self._choose()
        sent = self._sent
        if self._retry_at is not None or sent >= self._spool.source.count:
            return False
        if sent == 0:
            return True
        if self._single or sent >= self._window:
            return False
        left = utime.ticks_diff(self._ack_at, utime.ticks_ms())
        return self._ack_ms - left < _PAUSE_MS

    def _choose(self):
        """Nothing is on its way: go on where the oldest readings are."""
        spool = self._spool
        spool.choose()
        self._next = spool.source.head
        self._aged = 0
        if spool.log is not None:
            if spool.is_old():
                self._aged = spool.source.count
            if spool.start != self._start:
                self._set_start(spool.start)

    def _set_start(self, start):
        """The ids in the header are of this start from now on. Allocates."""
        self._start = start
        at = self._start_at
        self._header[at - 6 : at + 6] = b"%s%06x" % (self._spool.log.mark(start).encode(), start)

    def _send(self):
        """Send the next reading, unless it needs no sending; False if it has to wait."""
        source = self._spool.source
        at = source.start(self._next)
        done = False
        if not self._acks >> self._sent & 1:
            write_hex(self._header, self._seq_at, source.seq(at), 8)
            self._spool.take(at)
            done = self._try()
            if done is None:
                return False
        self._step(source.after(at))
        if done:
            self._settle(self._sent - 1)
        return True

    def _step(self, at):
        """The next reading has been sent, and the one after it is at `at`."""
        now = utime.ticks_ms()
        if self._sent == 0:
            self._ack_at = utime.ticks_add(now, self._ack_ms)
        if self._count == 0:
            self._age_at = utime.ticks_add(now, self._age_ms)
        self._next = at
        self._sent += 1
        if self._sent > self._count:
            self._count = self._sent

    def _try(self):
        """Publish the reading taken: False. True: it is done without that. None: not now."""
        if self._spool.held is not None and self._spool.held.holds(self._spool.subject):
            return self._spool.held.move(self, self._sent, None)
        if not self._looked and self._may_look:
            self._look()
        if self._sent < self._doubtful and self._config is not None and self._config.pending:
            return None  # for how long does the stream recognise it?
        if self._sent < self._aged and self._may_ask():
            done = self._ask()
            if done is not False:
                return done
        if self._largest is not None and self._spool.size + len(self._header) > self._largest:
            return self._reject("the stream")
        try:
            if self._queue():
                return self._queued()
        except ValueError:
            return self._reject()

    def _may_ask(self):
        """Not if the stream has taken a later one without this: its last id says nothing."""
        return not self._acks >> self._sent

    def _ask(self):
        """Ask the stream for the reading taken: True: it has it. False: send it. None: not now."""
        beyond = self._is_stored()
        if beyond is None:
            return None
        if beyond >= 0:
            self._count_stored(beyond)
            return True
        if self._stored.last(self._spool.subject) is False and self._sent < self._doubtful:
            return self._wait_for_stream()
        ahead = self._stored.behind(self._spool.subject)
        i = (ahead - self._first) & _NUMBERS
        if ahead >= 0 and i < self._sent and not self._acks >> i & 1:
            return None  # what is true of that one is of this
        return False

    def _look(self):
        """Ask what the stream says of itself."""
        try:
            if self._config is None:
                from .stream import Stream

                self._config = Stream(self._nc, self._domain, self._ask_ms, self._told)
            self._looked = self._config.look(self._spool.subject)
        except MemoryError:
            self._looked = True

    def _told(self, stream):
        """What the stream says of itself."""
        self._no_ack = stream.no_ack
        self._largest = stream.largest
        self._ack_ms = min(_NO_ACK_MS, self._ask_ms) if stream.no_ack else self._ask_ms
        if stream.window_ms is not None:
            self._age_ms = _age_of(stream.window_ms)
        if stream.no_ack or stream.sealed:
            self.last_error = Error(
                "stream %s %s"
                % (stream.name, "is sealed" if stream.sealed else "acknowledges nothing (no_ack)")
            )

    def _wait_for_stream(self):
        """A reading may be in a stream that does not take its subject at the moment."""
        self._stored.forget()
        self._refused(self._sent, NoResponders("no stream takes this subject"))

    def _count_stored(self, beyond):
        """A reading is in the stream; or it was lost, from one window with the last one there."""
        if self._no_ack:
            self._single = False
        if 0 < beyond < self._window:
            self._spool.stats.unconfirmed += 1
        else:
            self._spool.stats.acked += 1

    def _queue(self):
        spool = self._spool
        write_hex(self._reply, len(self._reply) - 8, self._first + self._sent, 8)
        if self._sent < self._aged and self._may_ask():
            return self._queue_asked()
        return self._nc.publish(spool.subject, spool.body, self._reply, self._header, spool.size)

    def _queue_asked(self):
        spool = self._spool
        message = (spool.subject, spool.body, self._reply, self._header, spool.size)
        number = (self._first + self._sent) & _NUMBERS
        return self._stored.publish(*message, self._largest, number)

    def _queued(self):
        if self._sent < self._count:
            self._spool.stats.resent += 1
        return False

    def _reject(self, whom="this server"):
        self.last_error = self._spool.reject(whom)
        return True

    def _is_stored(self):
        """Whether the stream has the reading already, as `Stored.has`. Allocates."""
        return self._stored.has(self._spool.subject, self._id())

    # Acknowledgements

    def _on_ack(self, msg):
        i = self._index(msg)
        if i < 0:  # of one that is done, or held
            if self._spool.held is not None:
                self._spool.held.answered(msg)
            return
        error = None if is_usual(msg) else refusal(msg)
        if isinstance(error, PubAck):
            if i >= self._doubtful and i >= self._aged:
                self._look_into(i, error)
                return
            error = None
        if error is None:
            self._single = False
            self._retry_ms = 0
            self.accepted()
            self._spool.stats.acked += 1
            self._settle(i)
        elif error:
            self._refused(i, error)

    def _look_into(self, i, ack):
        """The stream takes one for a duplicate that was never sent before."""
        from .duplicate import look_into

        look_into(self, i, ack)

    def accepted(self):
        """The stream takes readings on this connection."""
        self._accepts = True
        if self._spool.held is not None:
            self._spool.held.accepts = True

    def _index(self, msg):
        """Which reading of the window the message is about; -1: none that waits."""
        i = 0
        while i < self._count:
            write_hex(self._token, 0, self._first + i, 8)
            if msg.token_equals(self._token_at, self._token):
                return -1 if self._acks >> i & 1 else i
            i += 1
        return -1

    def _on_refusal(self, error):
        """The server does not let this client publish to a subject."""
        source = self._spool.source
        for i in range(self._sent):
            at = source.skip(i)
            if not self._acks >> i & 1 and is_refused(error, source.subject(at)):
                self._refused(i, error)
                return
        if self._spool.held is not None:
            self._spool.held.refused(error)

    def _refused(self, i, error):
        """A reading is held from now on; where that can not be, all others wait behind it."""
        try:
            from .held import refused

            if refused(self, i, error):
                return
        except MemoryError:
            self.last_error = error
        self._again()
        self._retry_ms = min(max(2 * self._retry_ms, _RETRY_MS), _MAX_RETRY_MS)
        self._retry_at = utime.ticks_add(utime.ticks_ms(), self._retry_ms)

    def _settle(self, i):
        """The i-th reading of the window is done; remove it when all before it are."""
        self._acks |= 1 << i
        while self._acks & 1:
            self._pop()

    def _pop(self):
        """The oldest reading is done."""
        self._spool.pop()
        self._forget(1)
        self._tries = 0
        self._ack_at = utime.ticks_add(utime.ticks_ms(), self._ack_ms)
