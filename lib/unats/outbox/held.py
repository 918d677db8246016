"""Readings that are refused, kept apart: those of other subjects go on.

A subject of which a reading was refused is held: its readings go, in their order, from the outbox
to a queue of their own, half as large and in flash in the folder `held`. The oldest of each is
tried again, after waits that grow from a second to half a minute, and at once on a new connection,
from a copy in RAM. When it is taken, all that is here goes by once: what is of subjects that are
still held goes to the queue's end, the rest is sent, one at a time. Meanwhile nothing else is
sent, so that each subject's readings stay in order. The same is done after a restart.

Each reading keeps its message id, which stands behind its payload; and behind that a 1, if it was
sent and not refused, so that the stream is asked for it first.

Loaded when a reading is refused; allocates, and takes some 7 KB of heap with `heldspool`, and
those buffers until nothing is held any more. While all goes by, its segments may take one more
than `flash_size`.
"""

import utime
from micropython import const

from unats.errors import Error, NoResponders, Timeout
from unats.jetstream import JetStreamError
from unats.nuid import write_hex

from .dedup import PASSED, PubAck, is_usual, refusal
from .heldspool import ID, MORE, NUMBER, HeldSpool
from .spool import is_over, is_refused

_TOO_LARGE = const(10054)  # JetStream's err_code for a message over the stream's max_msg_size
_SUBJECTS = const(16)
_NUMBERS = const(0xFFFFFFF)
_RETRY_MS = const(1000)  # doubles, up to
_MAX_RETRY_MS = const(30000)
_PASSED_MS = const(4000)  # others publish to the subject, or the stream knows it by another name


class _Reading:
    """The oldest one of a held subject, as it is tried again."""

    wait_ms = 0

    def __init__(self, subject, id, payload, doubt, error=None):
        self.subject, self.id, self.payload, self.error = subject, id, payload, error
        self.doubt = doubt  # the stream may have it
        self.at = utime.ticks_ms()  # when it is to be tried
        self.later()

    def later(self):
        self.wait_ms = min(max(2 * self.wait_ms, _RETRY_MS), _MAX_RETRY_MS)
        self.at = utime.ticks_add(utime.ticks_ms(), self.wait_ms)


class Held:
    """The held subjects of the outbox whose readings are in `spool`.

    `busy`: nothing else may be sent. `accepts`: something was acknowledged on this connection, so
    what is refused is refused by itself, and may be given up if there is no room for it.
    """

    def __init__(self, sender):
        spool = sender._spool
        inbox = bytes(sender._reply[:-9])
        self._sender = sender
        self._nc = sender._nc
        self._stored = sender._stored
        self._device = sender._id()[:-ID]  # the beginning of each id
        self._reply = bytearray(inbox + b".h0000000")
        self._token = memoryview(self._reply)[-8:]
        self._token_at = inbox.count(b".") + 1
        self._ack_ms = sender._ack_ms
        self._number = 0
        self._stats = spool.stats
        self.accepts = sender._accepts
        self._subjects = {}  # the held ones: their oldest readings
        self._last = {}  # of each subject: what an id ends with
        self._taken = {}  # subjects that are not held any more: ids of what the stream has taken
        self._sent = None  # the reading that is on its way,
        self._until = 0  # ... and for how long an answer is waited for
        self._doubt = None  # the id of one that was, when the connection was lost
        self._large = None  # the id of one that is too large for the stream
        self.spool = HeldSpool(spool, self._give_up)
        if spool.log is not None:
            spool.log.beside, self.spool.log.beside = self.spool.log, spool.log
        self.busy = len(self.spool) > 0  # all goes by

    def __len__(self):
        return len(self.spool)

    def holds(self, subject):
        """Whether a reading of the subject (bytes) has to come here."""
        return subject in self._subjects

    def move(self, sender, i, error):
        """The i-th reading of the sender's, which was taken out, is of a subject that is held, or
        was refused for this error: True: it is here now. None: not now.
        """
        if is_behind(sender, i):
            return None
        spool = sender._spool
        payload = bytes(spool.body[: spool.size])
        # Whether the stream may have it: it was sent before, and there was no answer.
        doubt = i < max(sender._aged, sender._count if error is None else sender._doubtful)
        return self._take(spool.subject, payload, sender._id(), doubt, error) or None

    def keep(self, subject, payload, id):
        """Take a reading of a new id; False: it has to wait where it is."""
        return self._take(subject, payload, id, False, None)

    def _take(self, subject, payload, id, doubt, error):
        """Take a reading; False: it has to wait where it is."""
        good = self.accepts
        if subject in self._subjects and self._has_had(subject, id):
            return True
        if subject not in self._subjects and len(self._subjects) >= _SUBJECTS:
            self._stats.rejected += good
            return good
        taken = self.spool.keep(subject, _text(payload, id, doubt), good)
        if taken:
            self._last[subject] = id[-NUMBER:]
        self._forget()
        if taken and subject not in self._subjects:
            self._subjects[subject] = _Reading(subject, id, payload, doubt, error)
        elif good and not taken:
            self._stats.rejected += 1
        return taken or good

    def _give_up(self, n):
        """There was no room for so many of the oldest readings."""
        if self.accepts:
            self._stats.rejected += n
        else:
            self._stats.dropped += n

    def make_room(self, may_drop):
        """The outbox needs room in flash: give up what is oldest here; False: there is nothing, or
        it may not be.
        """
        if not (may_drop or self.accepts) or not self.spool.drop_segment():
            return False
        self._forget()
        return True

    def _forget(self):
        """Some of the oldest readings may have been given up."""
        gone, self.spool.gone = self.spool.gone, 0
        if gone and self.busy:
            self._sent = None
        if not len(self.spool) and self._sent is None:
            self._subjects.clear()

    # Sending

    def reconnected(self):
        """What was on its way may have arrived; other permissions, and streams, may be there."""
        if self._sent is not None:
            self._sent.doubt = True
            self._doubt = self._sent.id
            self._sent = None
        self.accepts = False
        for reading in self._subjects.values():
            reading.wait_ms = 0
            reading.at = utime.ticks_ms()

    def poll(self):
        """Publish what may be published; whether nothing is held any more."""
        if self._sent is not None:
            if not is_over(self._until, self._ack_ms):
                return False
            self._sent.doubt = True
            self._stored.forget()
            self._refused(Timeout("no acknowledgement"))
        while self.busy and self._sent is None and self._pass_by():
            pass
        if self.busy:
            return False
        for reading in self._subjects.values():
            if is_over(reading.at, reading.wait_ms):
                self._try(reading)
                return False
        if self._subjects or len(self.spool):
            return False
        if self.spool.log is not None:
            self.spool.log.beside.beside = None
        return True

    def _end(self):
        """All has gone by: what the stream has taken and was not here had been given up."""
        for _ in range(len(self._taken)):
            self._stats.acked += 1
            if self._stats.rejected:
                self._stats.rejected -= 1
            else:
                self._stats.dropped -= 1
        self._taken.clear()
        self.busy = False
        self._forget()

    def _try(self, reading):
        """Publish a reading, unless the stream has it; False: not now."""
        beyond = self._stored.has(reading.subject, reading.id) if reading.doubt else -1
        if beyond is None:
            return False
        if reading.doubt and self._stored.last(reading.subject) is False:
            # It may be in a stream that will take the subject again.
            self._stored.forget()
            self._sent = reading
            self._refused(NoResponders("no stream takes %s" % reading.subject.decode()))
            return True
        if (
            beyond < 0
            and reading.doubt
            and self.busy
            and self.spool.stands_behind(self._stored.last(reading.subject))
        ):
            beyond = 0  # one of a later start is there, and was sent after this
        if beyond >= 0:
            self._sent = reading
            self._accepted(beyond > 0)
            return True
        self._number = (self._number + 1) & _NUMBERS
        write_hex(self._token, 1, self._number, 7)
        headers = b"NATS/1.0\r\nNats-Msg-Id: %s\r\n\r\n" % reading.id
        try:
            if not self._publish(reading, headers):
                return False
        except ValueError:
            self._sent = reading
            self._reject(Error("%s: larger than this server takes" % reading.subject.decode()))
            return True
        self._sent = reading
        self._until = utime.ticks_add(utime.ticks_ms(), self._ack_ms)
        return True

    def _publish(self, reading, headers):
        subject, payload, n = reading.subject, reading.payload, len(reading.payload)
        in_vain = has_passed(reading.error) and reading.wait_ms > _PASSED_MS
        if in_vain or not reading.doubt:
            return self._nc.publish(subject, payload, self._reply, headers)
        largest = self._sender._largest
        return self._stored.publish(subject, payload, self._reply, headers, n, largest)

    def _pass_by(self):
        """Let the oldest reading go by: False: it has to wait."""
        spool = self.spool
        spool.choose()
        source = spool.source
        at = source.start(source.head)
        if not source.count or spool.has_gone_by(at):
            self._end()
            return False
        spool.take(at)
        n = spool.size - MORE
        if n < 0:  # somebody else's
            self._stats.damaged += 1
            spool.pop()
            return True
        subject, text = spool.subject, bytes(spool.body[: spool.size])
        id = self._device + text[n:-1]
        if self._has_had(subject, id):
            spool.pop()
        elif subject in self._subjects:
            self._rotate(subject, text)
        elif self._taken.get(subject) == id:
            self._taken.pop(subject)
            self._done(subject, id)
        else:
            doubt = text[-1:] == b"1" or spool.is_older() or id == self._doubt
            return self._try(_Reading(subject, id, text[:n], doubt))
        return True

    def _has_had(self, subject, id):
        """Whether that reading, or a later one of the subject, was here already: a power cut can
        leave one in two places.
        """
        return id[-NUMBER:] <= self._last.get(subject, b"")

    def _rotate(self, subject, text):
        """The oldest reading goes to the end."""
        self._last[subject] = text[-NUMBER - 1 : -1]
        spool = self.spool
        if spool.log is None:  # which makes its room
            spool.pop()
            spool.keep(subject, text, True)
        elif spool.keep(subject, text, True, spool.more):
            if spool.gone:  # itself among them
                self._give_up(-1)
            else:
                spool.pop()
        self._forget()

    # Answers

    def answered(self, msg):
        """A message that may be the acknowledgement."""
        if self._sent is not None and msg.token_equals(self._token_at, self._token):
            error = None if is_usual(msg) else refusal(msg)
            if error is None or isinstance(error, PubAck):
                self.accepts = True
                self._stored.took(self._sent.subject, self._sent.id)
                self._accepted(False)
            elif error:
                self._refused(named(error, self._sent.subject))

    def refused(self, error):
        """The server does not let this client publish to a subject."""
        if self._sent is not None and is_refused(error, self._sent.subject):
            self._refused(error)

    def _accepted(self, doubt):
        """The stream has what was sent; doubt: or only what was put after that."""
        reading, self._sent = self._sent, None
        if self.busy:
            self._done(reading.subject, reading.id, doubt)
        else:
            self._subjects.pop(reading.subject, None)
            self._taken[reading.subject] = reading.id
            self.spool.go_by()
            self._last.clear()
            self.busy = True

    def _done(self, subject, id, doubt=False):
        """The oldest reading is."""
        self._last[subject] = id[-NUMBER:]
        self._stats.rejected += id == self._large
        self._stats.unconfirmed += doubt
        self._stats.acked += not doubt and id != self._large
        self.spool.pop()

    def _reject(self, error):
        """Nobody will ever take it."""
        self._large = self._sent.id
        self._sender.last_error = error
        self._accepted(False)

    def _refused(self, error):
        """It has not."""
        if is_too_large(error):
            self._reject(error)
            return
        reading, self._sent = self._sent, None
        if has_passed(error):
            self._stored.forget()
        if str(error) != str(reading.error):
            reading.error = error
            self._sender.last_error = error
        if self.busy:
            self._subjects[reading.subject] = reading
            self._rotate(reading.subject, _text(reading.payload, reading.id, reading.doubt))
        reading.later()


def _text(payload, id, doubt):
    return payload + id[-ID:] + (b"1" if doubt else b"0")


def held_of(sender):
    """What is held of a sender's, made when it is needed. MemoryError."""
    if sender._spool.held is None:
        sender._spool.held = Held(sender)
    return sender._spool.held


def refused(sender, i, error):
    """The i-th reading of the sender's was refused; False: all have to wait behind it."""
    spool = sender._spool
    at = spool.source.skip(i)
    spool.take(at)
    write_hex(sender._header, sender._seq_at, spool.source.seq(at), 8)
    sender.last_error = error = named(error, spool.subject)
    if is_too_large(error):
        spool.stats.rejected += 1
    elif is_behind(sender, i):
        return True  # of that one there was no answer: all are sent again, in order
    else:
        if has_passed(error):
            sender._stored.forget()  # it was on its way, and is there now
        if not isinstance(error, NoResponders):
            sender.accepted()  # there are streams: this is no time to wait for one
        if not held_of(sender).move(sender, i, error):
            return False
    sender._settle(i)
    return True


def is_too_large(error):
    """Whether a reading was refused that the stream will never take."""
    return getattr(error, "err_code", 0) == _TOO_LARGE


def has_passed(error):
    """Whether the stream has taken something of the subject since it was asked for the last."""
    return getattr(error, "err_code", 0) == PASSED


def is_behind(sender, i):
    """Whether an older reading of the subject of the i-th, which was taken out, is on its way."""
    source = sender._spool.source
    while i:
        i -= 1
        if not sender._acks >> i & 1 and source.subject_is(source.skip(i), sender._spool.subject):
            return True
    return False


def named(error, subject):
    """A refusal that says of which subject (bytes) it is. Allocates."""
    subject = subject.decode()
    if isinstance(error, NoResponders):
        return NoResponders("no stream takes %s" % subject)
    if isinstance(error, JetStreamError):
        text = "%s: %s" % (subject, error.description)
        return JetStreamError(
            {"code": error.code, "err_code": error.err_code, "description": text}
        )
    return error
