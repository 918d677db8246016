"""Key-value buckets (ADR-8; expiry and markers: ADR-43, ADR-48): values by name, kept by a stream.

    kv = KeyValue(nc, "config")
    kv.create_bucket(history=5)
    revision = kv.put("greenhouse-7.period_s", b"10")
    entry = kv.get("greenhouse-7.period_s")           # None: there is none, or it was deleted
    kv.update("greenhouse-7.period_s", b"20", entry.revision)        # WrongRevision: lost the race
    kv.watch("greenhouse-7.>", on_entry)              # each entry, then None: that is the present

Every call waits, or has `handler=`: see `unats.jetstream`. A watch goes on by itself over lost
connections. Values may be larger than the receive buffer. All of this allocates.
"""

from unats.checks import check, check_subject
from unats.waiting import each

from . import JetStream, JetStreamError, check_handler, check_name, load

_WRONG = 10071  # err_code: wrong last sequence


class WrongRevision(JetStreamError):
    """Somebody else was there first: the key's last revision is another one."""


class Entry:
    """What a bucket has of a key: `key`, `value` (bytes), `revision`, `operation`: "PUT", "DEL" or
    "PURGE". Of those that expired it is "PURGE", too.
    """

    def __init__(self, key, value, revision, headers):
        self.key, self.value, self.revision = key, value, revision
        headers = headers or {}
        self.operation = headers.get("KV-Operation") or "PUT"
        reason = headers.get("Nats-Marker-Reason")
        if reason:
            self.operation = "DEL" if reason == "Remove" else "PURGE"


class KeyValue:
    """The bucket of that name. domain, timeout_ms: as of `JetStream`."""

    def __init__(self, nc, bucket, domain=None, timeout_ms=5000):
        self.bucket = check_name(bucket, "bucket")
        self.js = JetStream(nc, domain, timeout_ms)
        self.stream = "KV_" + bucket
        self.prefix = "$KV.%s." % bucket
        # Through another domain only the API leads.
        self._to = self.prefix if domain is None else self.js.prefix + self.prefix

    def create_bucket(
        self, history=1, ttl_s=0, max_bytes=-1, storage="file", replicas=1, marker_ttl_s=0,
        handler=None,
    ):  # fmt: skip
        """Make the bucket, or see to it that the one that is there is like that: as
        `JetStream.ensure_stream`.

        history: values that are kept of a key, up to 64. ttl_s: seconds after which a value is
        gone (0: never). marker_ttl_s: for how long a marker of that is kept, which watchers see;
        also allows `ttl_s` of single keys (servers from 2.11 on).
        """
        return load("buckets").keyvalue(
            self, history, ttl_s, max_bytes, storage, replicas, marker_ttl_s, handler
        )

    def status(self, handler=None):
        """What the server says of the bucket's stream: a dict with `config` and `state`."""
        return self.js.stream_info(self.stream, handler)

    # One key

    def get(self, key, handler=None):
        """The `Entry` of a key; None: there is none, or it was deleted."""
        return self._last(key, handler, _present)

    def get_into(self, key, buf, handler=None):
        """Read a value into a buffer: how many bytes it has; None: as `get`. ValueError: it has
        more than the buffer.
        """
        return self._last(key, handler, lambda entry: _present(entry) and entry.value, buf)

    def _last(self, key, handler, read, into=None):
        if handler is None:
            return self.js.wait(lambda done: self._last(key, done, read, into))
        check_handler(handler)

        def found(stored, error):
            entry = None
            if stored is not None:
                data = stored.data if into is not None else bytes(stored.data)
                entry = read(Entry(key, data, stored.seq, stored.headers))
            handler(entry, error)

        return self.js.last(self.stream, self._subject(key, self.prefix), found, into)

    def put(self, key, value, handler=None):
        """Store a value: its revision."""
        return self._store(key, value, handler)

    def create(self, key, value, ttl_s=None, handler=None):
        """Store a value of a key that has none: its revision. `WrongRevision`: it has one.

        ttl_s: seconds after which it is gone, where the bucket was made with `marker_ttl_s`; the
        server makes it at least that.
        """
        if handler is None:
            return self.js.wait(lambda done: self.create(key, value, ttl_s, done))
        check_handler(handler)

        def stored(revision, wrong):
            def looked(entry, error):
                gone = entry is not None and entry.operation != "PUT"
                if not gone or not self._store(key, value, handler, None, entry.revision, ttl_s):
                    handler(None, error or wrong)

            looks = isinstance(wrong, WrongRevision)
            if not looks or not self._last(key, looked, lambda entry: entry):
                handler(revision, wrong)

        return self._store(key, value, stored, None, 0, ttl_s)

    def update(self, key, value, revision, handler=None):
        """Store a value if the last one has this revision: the new one. `WrongRevision`: it has
        another.
        """
        check("revision", revision, 0, 1 << 62)
        return self._store(key, value, handler, None, revision)

    def delete(self, key, revision=None, handler=None):
        """Delete the value, those before it are kept: the revision of the marker."""
        return self._store(key, b"", handler, {"KV-Operation": "DEL"}, revision)

    def purge(self, key, revision=None, handler=None):
        """Delete the value, and all before it: the revision of the marker."""
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
        return self._store(key, b"", handler, headers, revision)

    def _store(self, key, value, handler, headers=None, revision=None, ttl_s=None):
        if handler is None:
            return self.js.wait(
                lambda done: self._store(key, value, done, headers, revision, ttl_s)
            )
        check_handler(handler)

        def stored(ack, error):
            if getattr(error, "err_code", 0) == _WRONG:
                text = error.description
                error = WrongRevision({"code": 400, "err_code": _WRONG, "description": text})
            handler(None if ack is None else ack.seq, error)

        return self.js.publish(
            self._subject(key, self._to), value, None, stored, None, headers,
            expect_last_subject_seq=revision, ttl_s=ttl_s,
        )  # fmt: skip

    def _subject(self, key, prefix):
        """The subject of a key. ValueError: it is none."""
        good = isinstance(key, str) and key[:1] != "." and key[-1:] not in (".", "")
        for c in key if good else "":
            good = good and (c in "-_=/." or (c < "\x7f" and (c.isalpha() or c.isdigit())))
        if not good or ".." in key:
            raise ValueError("key: letters, digits and - _ = / only, with dots between")
        return prefix + key

    # Several

    def keys(self, pattern=">", handler=None):
        """The keys that have a value, a list of str. pattern: wildcards are allowed."""
        keep = lambda found, entry: found.append(entry.key)  # noqa: E731
        return self._gather(pattern, "last_per_subject", keep, handler, True)

    def history(self, key, handler=None):
        """All that is kept of a key, a list of `Entry`, the oldest first."""
        self._subject(key, "")
        return self._gather(key, "all", list.append, handler)

    def _gather(self, pattern, deliver, keep, handler, values_only=False):
        if handler is None:
            return self.js.wait(
                lambda done: self._gather(pattern, deliver, keep, done, values_only)
            )
        check_handler(handler)
        found = []

        def take(entry):
            keep(found, entry)

        def told():
            watch.stop()
            handler(None if watch.error else found, watch.error)

        watch = self._watch(
            pattern, deliver, take, told, values_only, values_only, self.js.timeout_ms
        )
        return True

    def watch(
        self, pattern, handler=None, history=False, updates_only=False, ignore_deletes=False
    ):  # fmt: skip
        """Have `poll()` call handler(entry) for what there is of the keys, and then for each
        change; returns at once what has `stop()`.

        handler(None) is called once, when the present is told; and once more if the bucket is
        gone, of which `error` says why. history: all that is kept, not the last values alone.
        updates_only: only what changes from now on.
        """
        deliver = "all" if history else "new" if updates_only else "last_per_subject"

        def start(handler):
            check_handler(handler)
            return self._watch(pattern, deliver, handler, lambda: handler(None), ignore_deletes)

        return each(self.js.nc, handler, start)

    def _watch(self, pattern, deliver, take, told, values, headers_only=False, timeout_ms=None):
        """values: without what says that a value is gone."""
        from .watching import Watching

        def took(subject, data, seq, headers):
            entry = Entry(subject[len(self.prefix) :], data, seq, headers)
            if entry.operation == "PUT" or not values:
                take(entry)

        subject = self.prefix + check_subject(pattern, True, "pattern")
        return Watching(
            self.js, self.stream, subject, deliver, took, told, headers_only, timeout_ms
        )  # fmt: skip


def _present(entry):
    """The entry, unless it says that there is none any more."""
    return entry if entry.operation == "PUT" else None
