"""The stream of readings in JetStream, made at the start of a run and read back at its end."""

from nats.js.api import StreamConfig

from tools.fleet.stores import ready

_NAME = "READINGS"
_SUBJECTS = "sensors.>"


class Stream:
    """Takes all readings, from `make` on, on the server of `nc` (nats-py)."""

    def __init__(self, nc):
        self._js = nc.jetstream()

    async def make(self):
        await ready(self._js)
        await self._js.add_stream(
            StreamConfig(name=_NAME, subjects=[_SUBJECTS], allow_direct=True)
        )

    async def count(self):
        """How many messages it holds."""
        info = await self._js.stream_info(_NAME)
        return info.state.messages

    async def read(self, take):
        """Call take(msg) for each message that it holds, in its order, and for those to come."""

        async def handle(msg):
            take(msg)

        await self._js.subscribe(_SUBJECTS, stream=_NAME, ordered_consumer=True, cb=handle)


class Record:
    """What a board has in the stream: `seqs` by (boot, kind), how many came `twice`, or `late`.

    Late is what comes after something that was taken later.
    """

    def __init__(self):
        self.seqs = {}
        self.count = self.twice = self.late = 0
        self._last = 0, ""

    def take(self, kind, reading, message_id):
        """Take the next message.

        Within a boot a board's message ids grow with the order in which it took its readings.
        """
        self.count += 1
        boot, seq = reading.get("boot") or 0, reading["seq"]
        seqs = self.seqs.setdefault((boot, kind), set())
        self.twice += seq in seqs
        seqs.add(seq)
        self.late += (boot, message_id) < self._last
        self._last = max(self._last, (boot, message_id))

    def missing(self, tops):
        """How many readings it lacks, of those up to the given seq of each (boot, kind)."""
        return sum(
            top - sum(seq <= top for seq in self.seqs.get(place, ()))
            for place, top in tops.items()
        )
