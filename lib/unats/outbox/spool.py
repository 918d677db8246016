"""Where readings wait: a ring in RAM, and behind it segments in flash.

    put -> ring -> (full, or nearly so and not draining) -> segments -> drain -> sent
              \\-> (there is nothing older in flash) ------------------------/

A reading is in one place only, from where it is sent: in flash what is older, in the ring what is
newer. But `sync` writes copies of what is in the ring, small segments that are never read unless
the board is restarted; they are deleted when their readings are done, or have gone to flash with
the rest of the ring. `drain` is a second buffer like the ring, with the oldest segment read back.
"""

import utime
from micropython import const

from unats.arguments import size_of, utf8
from unats.checks import check, check_subject
from unats.kernels import copy

from .ring import HEADER, Ring

_REST_MS = const(30000)  # after flash failed it is left alone
_COPIES = const(8)  # more of them are put together
_SEQS = const(0x3FFFFFFF)
_MAX_SUBJECT = const(200)
_SUBJECTS = const(16)
_DOT = const(0x2E)
_MAX_RING = const(65535)  # two bytes for a record's length

OLDEST = "oldest"
NEWEST = "newest"
REFUSE = "refuse"


class Stats:
    """Readings, counted since the board was started.

    `acked`: acknowledged. `resent`: sent once more. `dropped`: given up because there was no room.
    `damaged`: not readable in flash. `rejected`: larger than the stream or the server takes, or
    refused and no room for it; without acknowledgements, what the server does not let this client
    publish.
    `unverified`: questions to the stream about readings that it may have, without an answer.
    `unconfirmed`: sent without an acknowledgement, and not known to have arrived; of a stream's
    readings those that a later one is there of, which was on its way together with them.
    """

    def __init__(self):
        self.acked = self.resent = self.dropped = self.damaged = 0
        self.rejected = self.unverified = self.unconfirmed = 0


class Spool:
    """The readings not yet done. `source` is the ring with the oldest ones, to be sent from its
    head.

    `gone`: how many readings had to be given up at the head of `source`; whoever sends them sets
    it to 0. `subject`, `body`, `size`: a reading that `take` has taken out, to be published.
    copies: whether `sync` leaves the readings in the ring.
    """

    def __init__(self, buf, path, flash_size, policy, sync_ms, max_payload, copies):
        if type(buf) is not bytearray or not 64 <= len(buf) <= _MAX_RING:
            raise ValueError("ring: a bytearray of 64 to %d bytes" % _MAX_RING)
        check("max_payload", max_payload, 1)
        check("flash_size", flash_size, 0)
        if sync_ms is not None:
            check("sync_ms", sync_ms, 0)
        if not (path is None or isinstance(path, str)):
            raise ValueError("path: a folder of the outbox's own, or None")
        self.ring = self.source = Ring(buf)
        self.drain = self.log = None
        self.stats = Stats()
        self.gone = 0
        self.start = 0
        self.body = bytearray(max_payload)
        self.size = 0
        self.subject = b""
        self._subjects = []  # the latest ones that were taken out,
        self._checked = [None] * _SUBJECTS  # ... and put in
        self._next = 0  # where in it the next one goes
        self._text = bytearray(_MAX_SUBJECT)
        self.set_policy(policy)
        self._copies = copies
        self.sync_ms = sync_ms
        self._sync_at = None  # the deadline for the reading that is the oldest one only in RAM,
        self._sync_seq = 0  # ... of this sequence number
        self._rest_until = None
        self._seq = 0
        self._done = -1  # the last one of this start that is
        self.held = None  # a `held.Held`, where readings go that are refused
        self._copy_ends = []  # the last sequence numbers of log.copies
        if path is not None:
            self.log = self._open_log(path, flash_size)
            self.drain = Ring(bytearray(len(buf)))
            self.stats.unconfirmed = self.log.claimed
            self.start = self.log.start

    def _open_log(self, path, flash_size):
        from .flashlog import FlashLog

        return FlashLog(path, flash_size)

    def set_policy(self, policy):
        if policy not in (OLDEST, NEWEST, REFUSE):
            raise ValueError("policy: 'oldest', 'newest' or 'refuse'")
        self.policy = policy

    def __len__(self):
        n = self.ring.count
        if self.log is not None:
            if self.drain.count:
                n += self.drain.count - self._count(0)
            for i in range(len(self.log.segments)):
                n += self._count(i)
        return n

    def _count(self, i):
        """How many readings the i-th segment holds, by its name."""
        return int(self.log.segments[i][12:16], 16)

    # Putting in

    def put(self, subject, payload):
        """Take a reading; False if there is no room and the policy is not to make it."""
        subject = utf8(subject)
        if subject not in self._checked:
            if not self._is_plain(subject):
                check_subject(subject)
            if isinstance(subject, str) or isinstance(subject, bytes):
                self._checked[self._next] = subject
                self._next = (self._next + 1) % _SUBJECTS
        return self._put(subject, utf8(payload), size_of(payload))

    def _is_plain(self, subject):
        """Whether it is clearly a subject: no wildcards, ASCII only. Does not allocate."""
        if not 0 < len(subject) <= _MAX_SUBJECT:
            return False
        copy(self._text, 0, subject, 0, len(subject))
        return is_plain(self._text, len(subject))

    def _put(self, subject, payload, n):
        at = self._place(len(subject), n)
        if at < 0:
            return False
        self._write_head(at, subject, n)
        self.ring.fill(at + HEADER + len(subject), payload, n)
        self._seq = (self._seq + 1) & _SEQS
        self.ring.add(at, self._seq)
        return True

    def _write_head(self, at, subject, n):
        size = len(subject)
        self.ring.begin(at, size, n)
        at += HEADER
        self.ring.fill(at, subject, size)

    def _place(self, subject_size, n):
        """Where in the ring a reading goes; -1: nowhere."""
        need = HEADER + subject_size + n
        if not 0 < subject_size <= _MAX_SUBJECT or n > len(self.body) or need > len(self.ring.buf):
            raise ValueError("subject or payload: too long, or no subject")
        at = self.ring.place(need)
        return at if at >= 0 else self._make_room(need)

    def _make_room(self, need):
        """The ring is full: make room as the policy says; return where, or -1."""
        at = -1
        while at < 0:
            if not self._spill(self.policy == OLDEST):
                if self.policy != OLDEST:
                    self._give_up(self.policy == NEWEST)
                    return -1
                self._drop_first()
            at = self.ring.place(need)
        return at

    def _give_up(self, n):
        """So many readings are: there was no room."""
        self.stats.dropped += n

    def reject(self, whom="this server"):
        """The reading taken out can not be sent, and is done with that; returns why."""
        self.stats.rejected += 1
        return ValueError("%s: larger than %s takes" % (self.subject.decode(), whom))

    def _drop_first(self):
        """Give up the ring's oldest reading."""
        if self.source is self.ring:
            self.gone += 1
        self.ring.pop()
        self._give_up(1)

    # To flash

    def tend(self, connected):
        """What is to be done from time to time: sync if it is time, move a full ring to flash."""
        if self.log is None:
            return
        if self.sync_ms is not None:
            self._sync_in_time()
        if self.ring.used() * 4 > len(self.ring.buf) * 3:
            if not connected or self.source is self.drain:
                self._spill(False)

    def _sync_in_time(self):
        oldest = self._seq - self.ring.fresh
        if not self.ring.fresh:
            self._sync_at = None
        elif self._sync_at is None or oldest != self._sync_seq:
            self._sync_at = utime.ticks_add(utime.ticks_ms(), self.sync_ms)
            self._sync_seq = oldest
        elif is_over(self._sync_at, self.sync_ms):
            self._sync_at = None
            self.sync()

    def sync(self):
        """Write to flash what is only in the ring; whether all readings are in flash now."""
        ring, log = self.ring, self.log
        if not ring.fresh:
            return True
        if log is None or not log.limit:
            return False
        if not self._copies:
            return self._spill(self.policy == OLDEST)
        before = len(log.copies)
        if before >= _COPIES:
            ring.fresh = ring.count  # put them together
        replaced = before if ring.fresh == ring.count else 0
        name = self._write(ring.skip(ring.count - ring.fresh), ring.fresh)
        if name is None:
            return False
        self._drop_copies(replaced)
        log.copies.append(name)
        self._copy_ends.append(self._seq)
        ring.fresh = 0
        return True

    def _spill(self, may_drop):
        """Move all that is in the ring to flash; False if that can't be.

        may_drop: give up the oldest segments for it.
        """
        log, ring = self.log, self.ring
        if log is None or not ring.count or not log.may_fit(ring) or self._resting():
            return False
        while not log.fits(ring):
            if not self._make_room_in_flash(may_drop):
                return False
        name = self._write(ring.head, ring.count)
        if name is None:  # others have filled the flash: one a call, for each takes its time
            if not self._make_room_in_flash(may_drop):
                self._rest_until = utime.ticks_add(utime.ticks_ms(), _REST_MS)
            return False
        self._drop_copies(len(log.copies))
        log.add(name, ring.used())
        if len(log.segments) == 1:  # it is what is being sent: no need to read it back
            self.ring, self.drain = self.drain, ring
            self.source = ring
            self.start = log.start
        self.ring.clear()
        return True

    def _resting(self):
        if self._rest_until is not None and is_over(self._rest_until, _REST_MS):
            self._rest_until = None
        return self._rest_until is not None

    def _write(self, at, count):
        """The ring's last readings, so many from `at` on become a segment; its name, or None."""
        try:
            return self.log.write(self.ring, at, count)
        except (OSError, MemoryError) as e:
            self.log.last_error = e
            return None

    def _make_room_in_flash(self, may_drop):
        """Give up a segment, of what is refused before the others; False if there is none, or it
        may not be.
        """
        if self.held is not None and self.held.make_room(may_drop):
            return True
        return may_drop and self.drop_segment()

    def drop_segment(self):
        """Give up the oldest segment; False if there is none."""
        if self.log is None or not self.log.segments:
            return False
        n = self._count(0)
        if self.drain.count:
            n = self.drain.count
            self.gone += n
            self.drain.clear()
            self.source = self.ring  # until `choose`
        self._give_up(n)
        self.log.drop_oldest()
        return True

    def _drop_copies(self, n):
        """The oldest n copies are of no use any more."""
        if n and self.held is not None:
            self.held.spool.sync()  # where some of their readings may be
        self.log.drop_copies(n)
        while n:
            self._copy_ends.pop(0)
            n -= 1

    # Taking out

    def choose(self):
        """Make `source` the ring that holds the oldest readings, and `start` tell when they were
        put.
        """
        if self.log is None:
            return
        while not self.drain.count and self.log.segments:
            damaged = self.log.damaged
            self.start = self.log.load(self.drain, self._done, len(self.body))
            self.stats.damaged += self.log.damaged - damaged
            if not self.drain.count:
                self.log.drop_oldest()
        self.source = self.drain
        if not self.drain.count:
            self.source = self.ring
            self.start = self.log.start

    def take(self, at):
        """Set `subject`, `body` and `size` to the reading at `at` of the source.

        Allocates only for a subject that is none of the latest ones.
        """
        self.size = self.source.payload_into(self.body, at)
        i = len(self._subjects)
        while i:
            i -= 1
            if self.source.subject_is(at, self._subjects[i]):
                self.subject = self._subjects[i]
                return
        self.subject = self.source.subject(at)
        remember(self._subjects, self.subject)

    def claim(self):
        """The oldest readings are being sent, and must not be sent once more after a restart."""
        if self.source is self.drain and not self.log.segments[0].endswith(".sent"):
            self.log.claim()

    def is_old(self):
        """Whether the readings of `source` are from before the board was restarted."""
        return self.source is self.drain and self.start != self.log.start

    def pop(self):
        """The oldest reading of `source` is done."""
        ring = self.source
        if not self.is_old():
            self._done = ring.seq(ring.head)
        ring.pop()
        if ring is self.drain:
            if not ring.count:
                self._secure()
                self.log.drop_oldest()
        elif self._copy_ends:
            self._drop_done_copies()

    def _secure(self):
        """Readings are going to be deleted: those among them that are held must be in flash."""
        if self.held is not None:
            self.held.spool.sync()

    def _drop_done_copies(self):
        while self._copy_ends and self._copy_ends[0] <= self._done:
            self._drop_copies(1)


def is_plain(text, n):
    """Whether the first n bytes are tokens of printable ASCII, and no wildcards among it."""
    last = _DOT
    while n:  # the same backwards
        n -= 1
        if text[n] <= 0x20 or text[n] >= 0x7F or text[n] in b"*>" or text[n] == last == _DOT:
            return False
        last = text[n]
    return last != _DOT


def is_refused(error, subject):
    """Whether a permissions violation is about publishing to this subject (bytes). Allocates."""
    text = "".join([chr(c) if c < 127 else "?" for c in subject])
    return error.operation == "publish" and error.subject == text


def is_over(deadline, ms):
    """Whether a deadline of at most ms milliseconds is reached; also after a wrap of the ticks."""
    return not 0 < utime.ticks_diff(deadline, utime.ticks_ms()) <= ms


def remember(latest, subject):
    """Keep it among the latest ones."""
    if len(latest) >= _SUBJECTS:
        latest.pop(0)
    latest.append(subject)
