"""The outbox: keeps readings until a JetStream stream has them, over outages and power cuts.

    outbox = Outbox(nc, "greenhouse-7", ring=bytearray(4096), path="/outbox")
    while True:
        nc.poll(100)
        outbox.poll()
        if due():
            outbox.put("sensors.greenhouse-7.temp", b"21.53")

**What is promised when.** After `put` has returned True the reading is in RAM: it outlasts lost
connections and dead servers, not a reset. After `sync` has returned True every reading put before
is in flash or acknowledged: it outlasts a power cut at any instant. `sync_ms=` has `poll` do that
by itself, for readings that have waited so long. Without `path` there is RAM only. What is lost
all the same is counted: `dropped` (there was no room: `policy`), `damaged` (flash gone bad),
`rejected` (larger than the stream or the server takes, or refused and no room for it). At any
instant these, `acked`, `unconfirmed` and `len(outbox)` add up to what was put.

**Once, in order.** Each reading is published with the `Nats-Msg-Id` <device>-<mark and number of
its start>-<sequence>, and removed by its PubAck only. One that was not acknowledged is sent again,
and the server recognises it for the stream's duplicate window (2 minutes by default). When half of
that but 10 s has gone by, or the board was restarted, or it was sent twice without an answer, the
stream is asked first for the last reading it holds on that subject, and what it has already is not
sent. The others go with the number of that last one (`Nats-Expected-Last-Subject-Sequence`): what
was on its way still, as while a cluster elects a leader, has the stream refuse them (`err_code`
10071), and it is asked again. (How long that window is the stream is asked once on each
connection, but not by a board that wakes with `Pipelined`; the largest message that it takes; and
whether it acknowledges at all: if not, it is asked for what it holds half a second after sending.)
So a stream holds every reading once, however long the outage, if nobody else publishes to these
subjects and the stream has not yet deleted that reading. Where the client may not use
`$JS.API.STREAM.NAMES`, `.INFO` and `.MSG.GET`, or the answer is larger than rx_size, a reading
whose acknowledgement was lost may be stored twice then (`unverified` counts such questions); its
ids are equal, and grow, so that whoever reads the stream can tell.

**A refused reading stops nobody else.** No stream takes its subject, this client may not publish
there, or the stream says no: then that subject is held, with all its readings in their order, and
tried again after waits that grow from a second to half a minute; the others go on. Nothing is
given up while there is room; when there is none, what is refused goes first. Before anything was
acknowledged on a connection there may be no stream at all, and everything waits. Up to 16 subjects
are held; see `unats.outbox.held`.

After each (re)connection and time-out a single reading goes out; when it is acknowledged, up to
`window` at a time. The order in the stream is that of `put`, for each subject. Only if the server
loses one of them and takes later ones, as a clustered stream can while it moves to another leader,
or refuses one and takes a later one of its subject, because the reason ended in between, does that
one follow later; and should the board be restarted before it does, it is taken for
stored, and counted as `unconfirmed`. `window=1` excludes even that, at the price of a round trip
for each reading.

**Without JetStream** (`ack="none"`) each reading is published at most once. It counts as `acked`
when a marker that is published behind it has come back, so the server has it (this needs the
client's `echo`). What was on its way when the connection broke, and in flash the segment that was
being sent when the power was cut, is not sent again; `unconfirmed` counts these readings.

**Memory.** `put` and `poll` do not allocate, but for: a subject that `poll` meets for the first
time (16 are remembered), refusals and what is held, questions to the stream, and whatever reads or
writes flash. That happens in `poll` and `sync`, and in `put` only if the ring is full: with poll
called between puts it goes to flash before. A write to flash may take some 100 ms on an ESP32.
Make the ring as large as a block of flash, 4096 bytes: a segment takes whole blocks. On a board
that compiles its modules, import this one and `unats.outbox.flashlog` early, and collect garbage
before making the Outbox.
"""

import utime

from unats.checks import check

from .spool import Spool

_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Outbox:
    """Readings on their way, through the client `nc`; call `poll` after each `nc.poll`.

    device: its name, for the message ids, of letters, digits, - and _; no two devices of the same.
    ring: the RAM for readings, a bytearray of 64 to 65,535 bytes; each takes its subject, its
    payload and 12 bytes. path: a folder of its own in flash, or None; with one, a second buffer
    like the ring is made. flash_size: bytes of flash that the readings may take; in addition there
    are up to nine small files, of readings that `sync` wrote. See `unats.outbox.flashlog` about
    wear. policy, when there is no room: "oldest" gives up the oldest readings (in flash, a segment
    of them), "newest" the one at hand; "refuse" leaves that one to the caller, and does not count
    it.
    ack: "stream" for a PubAck of JetStream's, or "none". window: readings on their way at a time,
    up to 16. max_payload: of a reading, in bytes. ack_ms: how long to wait for an acknowledgement.
    sync_ms: `poll` syncs when the oldest reading that is only in RAM has been that for so long
    (None: it does not). duplicate_window_ms: the stream's, if it is not the server's default;
    readings older than half of it, less 10 s, are looked for before they are sent again. What the
    stream itself says goes before it. domain: JetStream's, or None.
    stream: its name, if it may only be asked with `$JS.API.DIRECT.GET.<stream>.<subject>`, which
    can be allowed for the device's own subjects alone (it must have `allow_direct`); None:
    `STREAM.MSG.GET`.

    `len(outbox)` readings wait. `acknowledged`: whether by a stream.
    `stats`: see `unats.outbox.spool.Stats`. `last_error`: why, and of which subject, a reading was
    refused last, or None. ValueError: a bad argument. OSError: the folder can't be made.
    """

    def __init__(
        self,
        nc,
        device,
        *,
        ring=None,
        path=None,
        flash_size=65536,
        policy="oldest",
        ack="stream",
        window=8,
        max_payload=256,
        ack_ms=5000,
        sync_ms=None,
        duplicate_window_ms=120000,
        domain=None,
        stream=None,
    ):
        if ack not in ("stream", "none"):
            raise ValueError("ack: 'stream' or 'none'")
        check("window", window, 1, 16)
        check("ack_ms", ack_ms, 1)
        check("duplicate_window_ms", duplicate_window_ms, 1)
        check_name(device)
        if stream is not None:
            check_name(stream, "stream")
        ring = bytearray(4096) if ring is None else ring
        self._nc = nc
        spool = Spool(ring, path, flash_size, policy, sync_ms, max_payload, ack == "stream")
        if ack == "stream":
            from .jetstream_sender import JetStreamSender

            self._sender = JetStreamSender(
                nc, spool, device, window, ack_ms, duplicate_window_ms, domain, stream
            )
        else:
            from .core_sender import CoreSender

            self._sender = CoreSender(nc, spool, window, ack_ms)
        self.acknowledged = ack == "stream"
        self._spool = spool
        self.stats = spool.stats
        self._server = None  # of the connection at hand,
        self._reconnects = 0  # ... which is another one when either has changed
        self._pipelined = False  # the sender knows of the next one already

    def __len__(self):
        return len(self._spool) + self._sender.out

    @property
    def start(self):
        """Which start of the board this is, as counted in the folder; None without one."""
        log = self._spool.log
        return None if log is None else log.start

    @property
    def policy(self):
        """What is given up when there is no room: see above; may be set. ValueError."""
        return self._spool.policy

    @policy.setter
    def policy(self, policy):
        self._spool.set_policy(policy)

    @property
    def last_error(self):
        """Why the last reading was refused, or None."""
        return self._sender.last_error

    def put(self, subject, payload=b""):
        """Take a reading; whether it was taken. Does not wait for the network, does not allocate.

        payload: bytes-like, a str, or a `Payload`. Only when the ring is full it may write to
        flash.
        ValueError: not a subject, or too long.
        """
        taken = self._spool.put(subject, payload)
        if self._spool.gone:
            self._tell_gone()
        return taken

    def sync(self):
        """See to it that every reading put so far is in flash or acknowledged; whether it is so.

        Writes one segment at most, and may delete a few.
        """
        done = self._spool.sync()
        if self._spool.held is not None:
            done = self._spool.held.spool.sync() and done
        if self._spool.gone:
            self._tell_gone()
        return done

    def poll(self):
        """One turn: send what may be sent, move to flash what is to go there. Does not wait."""
        self._spool.tend(self._nc.connected)
        if self._spool.held is not None:
            self._spool.held.spool.tend(True)
        if self._spool.gone:
            self._tell_gone()
        self._sender.poll(self._is_connected())

    def flush(self, timeout_ms=5000):
        """Poll, the client too, until no reading waits any more; whether it is so in that time.

        Before deep sleep: `outbox.flush() or outbox.sync()`. Not from a handler.
        """
        from unats.waiting import wait

        return wait(self._nc, self._flushing(utime.ticks_add(utime.ticks_ms(), timeout_ms)))

    def _flushing(self, until):
        self.poll()
        while not self._sender.is_idle():
            left = utime.ticks_diff(until, utime.ticks_ms())
            if left <= 0:
                return False
            yield min(left, 50)
            self.poll()
        return True

    def close(self):
        """Sync, and take no more acknowledgements. Allocates."""
        self.sync()
        self._sender.close()

    def connecting(self, nc):
        """For `unats.outbox.pipelined`: a connection is being made, and `nc` takes what can leave
        with CONNECT.
        """
        self._pipelined = True
        self._sender.connecting(nc)

    def _is_connected(self):
        """Whether there is a connection; if it is another one than before, the sender is told."""
        nc = self._nc
        if not nc.connected:
            self._server = None
            return False
        if nc.server is not self._server or nc.stats.reconnects != self._reconnects:
            self._server = nc.server
            self._reconnects = nc.stats.reconnects
            if not self._pipelined:
                self._sender.reconnected()
            self._pipelined = False
        return True

    def _tell_gone(self):
        """The spool had to give up some of the oldest readings."""
        self._sender.gave_up(self._spool.gone)
        self._spool.gone = 0


def check_name(device, what="device"):
    """ValueError if a message id can't begin with it."""
    good = isinstance(device, str)
    for c in device if good else "":
        good = good and c in _NAME_CHARACTERS
    if not good:
        raise ValueError("%s: letters, digits, - and _ only" % what)
