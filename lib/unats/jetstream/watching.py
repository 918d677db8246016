"""What key-value and object stores look at buckets with: what there is of some subjects, and then
each change.
"""

from unats.errors import Error


class Watching:
    """Calls take(subject, data, seq, headers) for each message of an ordered consumer, and told()
    once the present is told; and once more if the stream is gone, of which `error` says why.

    Messages may be larger than the receive buffer; what there is no memory for is counted as
    `nc.stats.oversize`. The rest: see `ordered.py`.
    """

    def __init__(
        self, js, stream, filter, deliver, take, told, headers_only=False, timeout_ms=None
    ):  # fmt: skip
        self._nc, self._call, self._told_to = js.nc, take, told
        self._told = False  # the present is
        self._whole = None
        self._ordered = js.ordered(
            stream, self._take, filter, deliver, headers_only=headers_only, ready=self._ready,
            timeout_ms=timeout_ms,
        )  # fmt: skip

    @property
    def error(self):
        return self._ordered.error

    def stop(self):
        self._ordered.stop()

    def _ready(self, pending):
        if pending == 0:
            self._tell()

    def _tell(self):
        if not self._told:
            self._told = True
            self._told_to()

    def _take(self, msg):
        if msg is None:
            self._told = True
            self._told_to()
            return
        whole = msg
        if msg.size < msg.total:
            if msg.offset == 0:
                from .whole import Whole

                self._whole = Whole(msg)
            if not self._whole.add(msg):
                return
            whole, self._whole = self._whole, None
        pending = msg.pending
        try:
            what = msg.subject, bytes(whole.data), msg.seq, msg.headers
        except (Error, MemoryError):  # larger than there is memory for
            what = None
            self._nc.stats.oversize += 1
        if what is not None:
            self._call(*what)
        if pending == 0:
            self._tell()
