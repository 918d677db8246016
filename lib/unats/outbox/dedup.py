"""What a stream holds already, of readings that may have been published long ago.

A stream recognises a message id for its duplicate window only. But readings are published in
order, with ids that grow; so whatever is not beyond the last id of its subject is in the stream.
And what is on its way into the stream still, as behind a change of its leader, has it refuse what
is published again with the number of the last message that was found there. All of this allocates.
"""

import utime
from micropython import const

from unats.errors import Error, NoResponders, NotConnected, Timeout
from unats.jetstream import NO_STREAM, JetStream, JetStreamError, PubAck

from .spool import is_over

_EXPECT = b"Nats-Expected-Last-Subject-Sequence"
PASSED = 10071  # err_code: that is not the last one
_UNAVAILABLE = const(503)
_ABSENT = const(3)
_TRIES = const(24)  # longer than a dead connection goes unnoticed


class Stored:
    """The last id on each subject that matters, asked for when it is first wanted."""

    def __init__(self, nc, domain, stream, timeout_ms, stats):
        self._nc = nc
        self._stream = stream
        self.js = JetStream(nc, domain)
        self._timeout_ms = timeout_ms
        self._stats = stats
        self._last = {}  # None: it is being asked for; False: no stream takes the subject now
        self._seqs = {}  # their numbers in the stream; ~n: reading n was published behind it
        self._until = 0  # when the answer to the last question is not waited for any more
        self._tries = 0
        self._absent = 0  # how often nobody was there to be asked
        self._oversize = 0  # messages too large for the client, before the last question

    def forget(self):
        """What was found out may be outdated, and so may what is still asked."""
        self._tries = 0
        if self._last:
            self._last, self._seqs = {}, {}

    def has(self, subject, id):
        """Whether the message is in the stream, as how many numbers the last one there is beyond
        it; -1: it is not, or that can't be found out; None: that is being found out, ask again.

        Ids compare if they are of the same start: all but their last eight digits is the same.
        """
        if subject not in self._last:
            self._ask(subject)
        last = self._last.get(subject)
        if last is None:
            if is_over(self._until, 2 * self._timeout_ms):  # its handler ran out of memory
                self.forget()
            return None
        if not last or len(last) != len(id) or last[:-8] != id[:-8] or last < id:
            return -1
        return int(last[-8:], 16) - int(id[-8:], 16)

    def last(self, subject):
        """The last id on the subject, if `has` has found out; False: no stream takes it now."""
        return self._last.get(subject)

    def took(self, subject, id):
        """The stream has taken the message meanwhile."""
        if self._last.get(subject):
            self._last[subject] = id

    def behind(self, subject):
        """The number of the reading that was published behind the last one found of the subject,
        and whose acknowledgement tells whether that was the last; -1: there is none.
        """
        seq = self._seqs.get(subject, 0)
        return ~seq if seq < 0 else -1

    def publish(self, subject, payload, reply, headers, n, largest, number=0):
        """Publish what `has` did not find, as `nc.publish`: the stream refuses it, with
        `PASSED`, if it has taken something of the subject since.

        largest: bytes that the stream takes of a message; None: it is not known.
        """
        seq = self._seqs.get(subject, -1)
        if seq >= 0:
            more = b"%s\r\n%s: %d\r\n\r\n" % (bytes(headers)[:-4], _EXPECT, seq)
            if len(more) + n <= (largest or self._nc.server.max_payload or len(more) + n):
                headers = more
        if not self._nc.publish(subject, payload, reply, headers, n):
            return False
        if seq >= 0:
            self._seqs[subject] = ~number
        return True

    def _ask(self, subject):
        answers, seqs = self._last, self._seqs

        def answer(last, error, seq):
            if error is not None and self._may_come_yet(error):
                del answers[subject]
                return
            if self._absent < _patience(error):
                self._absent += 1  # ask again after a while
                self._until = utime.ticks_add(utime.ticks_ms(), self._timeout_ms)
                return
            self._absent = 0 if error is None else self._absent
            answers[subject] = last or b""
            if error is None:
                seqs[subject] = seq
            if getattr(error, "err_code", 0) == NO_STREAM:
                answers[subject] = False
            elif error is not None:
                self._stats.unverified += 1

        answers[subject] = None
        self._until = utime.ticks_add(utime.ticks_ms(), 2 * self._timeout_ms)
        self._oversize = self._nc.stats.oversize
        if not self.js.last_id(subject.decode(), answer, self._timeout_ms, self._stream, True):
            del answers[subject]

    def _may_come_yet(self, error):
        """Whether to ask again: there was no answer, and it is not known why."""
        self._tries += 1
        if isinstance(error, NotConnected):
            return True
        if not isinstance(error, Timeout) or self._tries >= _TRIES:
            return False
        return self._nc.stats.oversize == self._oversize and "$JS" not in str(self._nc.last_error)


def _patience(error):
    """How often nobody may be there to be asked: a server that has just started, a cluster that
    elects a leader.
    """
    if isinstance(error, NoResponders):
        return _ABSENT
    return _TRIES if getattr(error, "code", 0) == _UNAVAILABLE else 0


def refusal(msg):
    """The error that the answer to a publication is; None: it is a PubAck, or a `PubAck`: of a
    duplicate; False: it is not JetStream's, but of somebody who has subscribed to readings.
    Allocates.
    """
    if not msg.size:
        return msg.status == 503 and NoResponders("no stream takes this subject")
    try:
        ack = PubAck(msg)
        return ack if ack.duplicate else None
    except JetStreamError as e:
        return e
    except Error:
        return False


def is_usual(msg):
    """Whether it is a PubAck, and as nats-server writes most of them. Does not allocate (with one
    word more on its stack it would).
    """
    if not msg.startswith(b'{"stream":"'):
        return False
    buf, at, end = msg.buffer, msg.start + 11, msg.end - 1
    while at < end and buf[at] != 0x22 and buf[at] > 0x1F and buf[at] != 0x5C:
        at += 1
    if buf.find(b'","seq":', at, end) == at:
        at += 8
    elif buf.find(b'", "seq":', at, end) == at:
        at += 9
    else:
        return False
    if not 0 < end - at < 10 or buf[end] != 0x7D:
        return False
    while at < end and 0x30 <= buf[at] <= 0x39:
        at += 1
    return at == end
