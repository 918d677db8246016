"""MicroPython's `uselect` for CPython: its poll object, with the Unix port's semantics."""

import errno as _errno
import select as _select

POLLIN = _select.POLLIN
POLLOUT = _select.POLLOUT
POLLERR = _select.POLLERR
POLLHUP = _select.POLLHUP


def _fileno(obj):
    if isinstance(obj, int):
        return obj
    if not hasattr(obj, "fileno"):
        raise OSError("stream operation not supported")
    return obj.fileno()


class _Entry:
    def __init__(self, obj, events):
        self.obj = obj
        self.fd = _fileno(obj)
        self.events = events


class poll:
    """Waits for objects, and answers with the objects themselves, not with their numbers.

    As on the Unix port an object's descriptor is looked up when it is registered: one that was
    closed without being unregistered answers POLLNVAL (32), and for a stranger as soon as that one
    got its number. It is its own iterator for `ipoll`. An object with `_ready` (see `tls`) is
    asked what it has by itself, and what to wait for on its descriptor.
    """

    def __init__(self):
        self._entries = {}
        self._found = iter(())

    @staticmethod
    def _key(obj):
        return obj if isinstance(obj, int) else id(obj)

    def register(self, obj, events=POLLIN | POLLOUT):
        entry = self._entries.get(self._key(obj))
        if entry:
            entry.events = events
        else:
            self._entries[self._key(obj)] = _Entry(obj, events)

    def unregister(self, obj):
        self._entries.pop(self._key(obj), None)

    def modify(self, obj, events):
        entry = self._entries.get(self._key(obj))
        if entry is None:
            raise OSError(_errno.ENOENT, "ENOENT")
        entry.events = events

    def _wait(self, timeout_ms):
        """The entries with something to say, each with its events."""
        if timeout_ms is not None and not isinstance(timeout_ms, int):
            raise TypeError("can't convert %s to int" % type(timeout_ms).__name__)
        poller = _select.poll()
        wanted = {}  # several entries may hold one descriptor
        asked = {}  # of each entry: what it has by itself, and what it waits for
        for entry in self._entries.values():
            asked[entry] = own, events = getattr(entry.obj, "_ready", lambda events: (0, events))(
                entry.events
            )
            if own:
                timeout_ms = 0
            if entry.fd >= 0:
                wanted[entry.fd] = wanted.get(entry.fd, 0) | events
        for fd, events in wanted.items():
            poller.register(fd, events)
        found = dict(poller.poll(timeout_ms))
        always = POLLERR | POLLHUP | _select.POLLNVAL
        for entry in list(self._entries.values()):
            own, waits = asked[entry]
            events = found.get(entry.fd, 0) & (waits | always)
            if events & waits and waits != entry.events:
                events |= entry.events  # as mbedTLS: any call makes the handshake go on
            if own or events:
                events |= own
                yield entry, events

    def poll(self, timeout_ms=-1):
        return [(entry.obj, events) for entry, events in self._wait(timeout_ms)]

    def ipoll(self, timeout_ms=-1, flags=0):
        """As poll, one by one. Flag 1: who is reported is not asked for anything again."""
        found = list(self._wait(timeout_ms))
        if flags & 1:
            for entry, _ in found:
                entry.events = 0
        self._found = iter([(entry.obj, events) for entry, events in found])
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._found)
