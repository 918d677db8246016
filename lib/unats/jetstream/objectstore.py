"""Object stores (ADR-20): files of any size, in chunks that a stream keeps.

    store = ObjectStore(nc, "firmware")
    store.get_file("app.mpy", "app.mpy")
    store.get("big.bin", write)              # write(memoryview) for each piece, as it comes
    store.put("log", open("log.txt", "rb"), metadata={"board": "greenhouse-7"})

What comes is handed on in pieces of at most the receive buffer, whatever the chunks' size is, and
goes on over lost connections; at the end its size and SHA-256 are compared. Every call waits, or
has `handler=`: see `unats.jetstream`. All of this allocates, but never a chunk.
"""

import json
from binascii import b2a_base64

from unats.checks import check
from unats.errors import Error
from unats.waiting import each

from . import JetStream, check_handler, check_name, load


class ObjectInfo:
    """What a store says of an object: `name`, `size` in bytes, `chunks`, `nuid`, `digest`,
    `metadata` (a dict), `description`, `link` ((bucket, name), or None), `deleted`.
    """

    def __init__(self, fields):
        get = fields.get
        self.name, self.nuid, self.digest = fields["name"], get("nuid", ""), get("digest", "")
        self.size, self.chunks = get("size", 0), get("chunks", 0)
        self.description, self.deleted = get("description", ""), get("deleted") is True
        self.metadata = get("metadata") or {}
        link = (get("options") or {}).get("link")
        self.link = (link["bucket"], link.get("name")) if link else None
        for value, kind in (
            (self.name, str), (self.nuid, str), (self.digest, str), (self.size, int),
            (self.chunks, int), (self.metadata, dict),
        ):  # fmt: skip
            if type(value) is not kind:
                raise ValueError


def _read_info(data):
    try:
        return ObjectInfo(json.loads(bytes(data)))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Error("that does not describe an object") from None


class ObjectStore:
    """The object store of that name. domain, timeout_ms: as of `JetStream`."""

    def __init__(self, nc, bucket, domain=None, timeout_ms=5000):
        self.bucket = check_name(bucket, "bucket")
        self.js = JetStream(nc, domain, timeout_ms)
        self.domain = domain
        self.stream = "OBJ_" + bucket
        self.prefix = "$O.%s." % bucket

    def create_bucket(self, ttl_s=0, max_bytes=-1, storage="file", replicas=1, handler=None):
        """Make the store, or see to it that the one that is there is like that: as
        `JetStream.ensure_stream`. ttl_s: seconds after which objects are gone (0: never).
        """
        return load("buckets").objects(self, ttl_s, max_bytes, storage, replicas, handler)

    def status(self, handler=None):
        """What the server says of the store's stream: a dict with `config` and `state`."""
        return self.js.stream_info(self.stream, handler)

    def meta(self, name):
        """The subject of what describes an object."""
        if not isinstance(name, str) or not name:
            raise ValueError("name: give a str that is not empty")
        return self.prefix + "M." + _base64(name.encode())

    def chunks(self, nuid):
        """The subject of what an object consists of."""
        return "%sC.%s" % (self.prefix, nuid)

    # Looking

    def info(self, name, handler=None):
        """The `ObjectInfo` of an object; None: there is none, or it was deleted."""
        if handler is None:
            return self.js.wait(lambda done: self.info(name, done))
        check_handler(handler)

        def found(stored, error):
            info = None
            try:
                info = _read_info(stored.data) if stored is not None else None
            except Error as e:
                error = e
            handler(None if info is None or info.deleted else info, error)

        return self.js.last(self.stream, self.meta(name), found)

    def list(self, handler=None):
        """The objects, a list of `ObjectInfo`."""
        if handler is None:
            return self.js.wait(self.list)
        check_handler(handler)
        found = []

        def take(info):
            if info is not None:
                found.append(info)
            else:
                watch.stop()
                handler(None if watch.error else found, watch.error)

        watch = self.watch(take, ignore_deletes=True, timeout_ms=self.js.timeout_ms)
        return True

    def watch(self, handler=None, updates_only=False, ignore_deletes=False, timeout_ms=None):
        """Have `poll()` call handler(info) for each object there is, and then for each change;
        handler(None) once the present is told, and once more if the store is gone. Returns at once
        what has `stop()` and `error`.
        """
        from .watching import Watching

        def start(handler):
            check_handler(handler)

            def take(subject, data, seq, headers):
                try:
                    info = _read_info(data)
                except Error:
                    return
                if not (ignore_deletes and info.deleted):
                    handler(info)

            deliver = "new" if updates_only else "last_per_subject"
            return Watching(
                self.js, self.stream, self.prefix + "M.>", deliver, take, lambda: handler(None),
                timeout_ms=timeout_ms,
            )  # fmt: skip

        return each(self.js.nc, handler, start)

    # Getting

    def get(self, name, write, offset=0, progress=None, handler=None):
        """Read an object: its `ObjectInfo`, once all of it has been handed to write(memoryview),
        and is what was put. Error: there is none of that name, or it was damaged, deleted or
        replaced meanwhile. Timeout: nothing came for `timeout_ms`; what came is known, see offset.

        offset: so many bytes from the start are known already, and are not handed on. progress:
        progress(bytes so far, size) is called with each piece. A link is followed once.
        """
        check("offset", offset, 0)
        if not callable(write):
            raise ValueError("write: give a function of one argument, a memoryview")
        if handler is None:
            return self.js.wait(lambda done: self.get(name, write, offset, progress, done))
        check_handler(handler)
        return load("getting").get(self, name, write, offset, progress, handler)

    def get_file(self, name, path, progress=None, handler=None):
        """Read an object into a file, which has its name once it is whole: its `ObjectInfo`."""
        if handler is None:
            return self.js.wait(lambda done: self.get_file(name, path, progress, done))
        check_handler(handler)
        return load("getting").get_file(self, name, path, progress, handler)

    # Putting

    def put(self, name, source, chunk_size=4096, metadata=None, handler=None):
        """Store an object: its `ObjectInfo`. An earlier one of that name is there until this is
        whole, and then gone.

        source: bytes, or what has `readinto`. chunk_size: in bytes; a buffer of that size is made.
        """
        check("chunk_size", chunk_size, 1)
        if handler is None:
            return self.js.wait(lambda done: self.put(name, source, chunk_size, metadata, done))
        check_handler(handler)
        what = name, self.meta(name), source, chunk_size, metadata, handler
        return load("putting").Putting(self, *what).start()

    def delete(self, name, handler=None):
        """Delete an object: True; False: there was none."""
        if handler is None:
            return self.js.wait(lambda done: self.delete(name, done))
        check_handler(handler)
        return load("putting").delete(self, name, self.meta(name), handler)


def _base64(data):
    """As URLs have it (RFC 4648)."""
    text = b2a_base64(data).decode().strip()
    return text.replace("+", "-").replace("/", "_")


def digest_of(hash):
    """What an object's digest is, of a `sha256` that has had all of it."""
    return "SHA-256=" + _base64(hash.digest())
