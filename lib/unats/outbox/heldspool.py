"""Where the readings wait that are held: see `held.py`."""

from micropython import const

from .flashlog import FlashLog
from .ring import HEADER
from .spool import OLDEST, REFUSE, Spool

ID = const(21)  # bytes of a message id, behind the device's name: see jetstream_sender.py
NUMBER = const(15)  # ... the last ones of which grow from reading to reading
MORE = const(22)  # what stands behind a payload: such an id, and a digit
_NUMBERS = const(0xFFFFFFF)
_HALF = const(0x8000000)
_START = const(0x800000)


class _Log(FlashLog):
    """Its segments' names begin with a number that is smaller each time all goes by.

    So what has gone to the end already is in front, should the board be restarted meanwhile: that
    is the order in which the readings came.
    """

    def _begin(self, ids, start):
        self.start = min([_START] + [int(name[:6], 16) for name in self.segments])
        self.go_by()

    def go_by(self):
        self.start -= 1


class HeldSpool(Spool):
    """What it gives up was refused: `told(n)` counts it."""

    def __init__(self, spool, told):
        size = len(spool.ring.buf)
        record = HEADER + MORE + 64 + len(spool.body)
        path, limit = None, 0
        if spool.log is not None:
            path, limit = spool.log.path + "held", spool.log.limit
        super().__init__(
            bytearray(min(size + 32, max(size // 2, record))),
            path,
            limit,
            OLDEST,
            spool.sync_ms,
            len(spool.body) + MORE,
            True,
        )
        self.stats = spool.stats
        self._told = told
        self._limit = limit
        self.more = len(self.ring.buf) + 4096  # bytes of flash that may be taken to go by
        self._life = self.start  # segments with a higher number are of an earlier one
        self._last = self._seq  # of what was here when it began to go by

    def _open_log(self, path, limit):
        return _Log(path, limit)

    def go_by(self):
        """All that is here, the oldest readings first, is going to be looked at."""
        if self.log is not None:
            self.log.limit = self._limit + self.more
            if self._spill(False) or not self.ring.count:
                self.log.go_by()
        self._last = self._seq

    def has_gone_by(self, at):
        """Whether the oldest reading has, and so all."""
        if self.log is not None and self.start != self.log.start:
            return False
        return 0 < (self.source.seq(at) - self._last) & _NUMBERS < _HALF

    def is_older(self):
        """Whether the oldest readings are from before the board was restarted."""
        return self.is_old() and self.start > self._life

    def stands_behind(self, id):
        """Whether a reading of that id stands behind the oldest one, in the same segment."""
        source = self.source
        end = source.tail if source.tail > source.head else len(source.buf)
        return bool(id) and source.buf.find(id[-ID:], source.head, end) >= 0

    def _give_up(self, n):
        self._told(n)

    def _secure(self):
        self.sync()

    def _drop_done_copies(self):
        if self._copy_ends[0] <= self._done:
            self.sync()
        super()._drop_done_copies()

    def keep(self, subject, payload, may_drop, more=0):
        """Take a reading; whether there was room, or it could be made. more: bytes of flash."""
        self.policy = OLDEST if may_drop else REFUSE
        if self.log is not None:
            self.log.limit = self._limit + more
        try:
            return self.put(subject, payload)
        except ValueError:  # larger than the buffer
            return False
