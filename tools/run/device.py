"""What `make run` knows of one board."""

import time

from tools.run.stream import Record


class Device:
    """What the observer knows of one board.

    `live` is what it heard, `stored` what is in the stream, if there is one.
    """

    def __init__(self, name, has_stream):
        self.board = None
        self.name = name
        self.killed = False  # by who acts on it, who starts it again
        self.live = Record()
        self.stored = Record() if has_stream else None
        self.heard_at = None
        self._starts = {}  # when its `up` was 0 in a boot, as the promptest reading has it
        self.values = {}  # the last of each kind
        self.connections = 0  # that the board has had, by its last hello or info
        self.seen = None  # what info said last, while a person looks on
        self.first = None  # what info said at the start and at the end
        self.last = None
        self.asked = 0
        self.answered = 0
        self.disobeyed = 0

    def take(self, kind, reading):
        """Take a reading just heard; return how many seconds ago it was taken.

        About: `up` is in whole ones.
        """
        self.live.take(kind, reading, "")
        self.values[kind] = reading["v"]
        self.heard_at = time.monotonic()
        boot, up = reading.get("boot"), reading["up"]
        began = self._starts[boot] = min(self._starts.get(boot, float("inf")), self.heard_at - up)
        return self.heard_at - began - up

    @property
    def waiting(self):
        """Readings that were not sent yet, when it was asked; None: not known."""
        outbox = self.seen and self.seen["outbox"]
        return outbox["waiting"] if outbox else None

    @property
    def link(self):
        return f"no. {self.connections}"

    @property
    def record(self):
        """What decides whether everything has arrived."""
        return self.live if self.stored is None else self.stored

    @property
    def _taken(self):
        """How many readings it has taken before the last info, of each (boot, kind).

        Before its last start: at least up to the last that is there.
        """
        taken = {place: max(seqs) for place, seqs in self.record.seqs.items()}
        boot = self.last["boot"] or 0
        return taken | {(boot, kind): n for kind, n in self.last["readings"].items()}

    @property
    def published(self):
        return sum(self._taken.values()) - self.last["unsent"]

    @property
    def received(self):
        taken = self._taken
        return sum(taken.values()) - self.live.missing(taken)

    @property
    def lost(self):
        """Readings that were published before the last info and are not there."""
        return max(self.record.missing(self._taken) - self.last["unsent"], 0)

    @property
    def dropped(self):
        """Readings that the board itself has given up."""
        outbox = self.last["outbox"]
        return outbox["dropped"] + outbox["damaged"] + outbox["rejected"]
