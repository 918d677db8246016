"""What a client counts."""

_COUNTERS = {"in_msgs": 6, "in_bytes": 7, "out_msgs": 4, "out_bytes": 5}  # in the two frames


class Stats:
    """Counters, from 0 when the client was made; also by subscript. They wrap at 2**30.

    in_msgs, in_bytes: given to handlers, payload only. out_msgs, out_bytes: queued, with headers.
    reconnects: connections after the first. dropped: messages not queued, not sent before
    `close()`, or without a handler. oversize: messages skipped, being larger than `rx_size`.
    """

    def __init__(self, received, sent):
        self._frames = {"in_msgs": received, "in_bytes": received, "out_msgs": sent, "out_bytes": sent}
        self.reconnects = self.dropped = self.oversize = 0

    def __getattr__(self, name):
        if name not in _COUNTERS:
            raise AttributeError(name)
        return self._frames[name][_COUNTERS[name]]

    def __getitem__(self, name):
        return getattr(self, name)
