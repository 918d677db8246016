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

import utime

from unats.checks import check
from unats.errors import Error

from . import JetStream, NotConnected, check_handler, check_name

_ROLLUP = {"Nats-Rollup": "sub"}


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
        self._domain = domain
        self.stream = "OBJ_" + bucket
        self.prefix = "$O.%s." % bucket

    def create_bucket(self, ttl_s=0, max_bytes=-1, storage="file", replicas=1, handler=None):
        """Make the store, or see to it that the one that is there is like that: as
        `JetStream.ensure_stream`. ttl_s: seconds after which objects are gone (0: never).
        """
        check("ttl_s", ttl_s, 0)
        config = {
            "max_bytes": max_bytes,
            "max_age": ttl_s * 1000000000,
            "storage": storage,
            "num_replicas": replicas,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        subjects = [self.prefix + "C.>", self.prefix + "M.>"]
        return self.js.ensure_stream(self.stream, subjects, handler, **config)

    def status(self, handler=None):
        """What the server says of the store's stream: a dict with `config` and `state`."""
        return self.js.stream_info(self.stream, handler)

    def _meta(self, name):
        if not isinstance(name, str) or not name:
            raise ValueError("name: give a str that is not empty")
        return self.prefix + "M." + _base64(name.encode())

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

        return self.js.last(self.stream, self._meta(name), found)

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

    def watch(self, handler, updates_only=False, ignore_deletes=False, timeout_ms=None):
        """Have `poll()` call handler(info) for each object there is, and then for each change;
        handler(None) once the present is told, and once more if the store is gone. Returns at once
        what has `stop()` and `error`.
        """
        from .watching import Watching

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

        def found(info, error):
            if info is None:
                handler(None, error or Error("no object %s in %s" % (name, self.bucket)))
            elif info.link is None:
                self._get(info, write, offset, progress, handler)
            else:
                self._follow(info.link, write, offset, progress, handler)

        return self.info(name, found)

    def _get(self, info, write, offset, progress, handler):
        from .getting import Getting

        Getting(self, info, write, offset, progress, handler)

    def _follow(self, link, write, offset, progress, handler):
        bucket, name = link
        store = ObjectStore(self.js.nc, bucket, self._domain, self.js.timeout_ms)

        def found(info, error):
            if info is None or info.link is not None:
                text = "the link leads to no object: %s in %s" % (name, bucket)
                handler(None, error or Error(text))
            else:
                store._get(info, write, offset, progress, handler)

        if name is None:
            handler(None, Error("the link leads to a whole store, %s" % bucket))
        elif not store.info(name, found):
            handler(None, NotConnected("the connection was lost"))

    def get_file(self, name, path, progress=None):
        """Read an object into a file, which has its name once it is whole: its `ObjectInfo`."""
        from os import remove, rename

        part = path + ".part"
        try:
            with open(part, "wb") as file:
                info = self.get(name, file.write, 0, progress)
            rename(part, path)
        except BaseException:
            try:
                remove(part)
            except OSError:
                pass
            raise
        return info

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
        from .putting import Putting

        return Putting(self, name, self._meta(name), source, chunk_size, metadata, handler).start()

    def delete(self, name, handler=None):
        """Delete an object: True; False: there was none."""
        if handler is None:
            return self.js.wait(lambda done: self.delete(name, done))
        check_handler(handler)

        def found(info, error):
            if info is None:
                handler(None if error else False, error)
                return
            chunks = self.prefix + "C." + info.nuid

            def marked(ack, error):
                if error is not None:
                    handler(None, error)
                elif not self.js.purge(self.stream, chunks, purged):
                    handler(None, NotConnected("the connection was lost"))

            fields = {"name": name, "bucket": self.bucket, "nuid": info.nuid, "size": 0,
                      "chunks": 0, "digest": "", "deleted": True, "mtime": mtime()}  # fmt: skip
            if not self.js.publish(
                self._meta(name), json.dumps(fields), None, marked, None, _ROLLUP
            ):
                handler(None, NotConnected("the connection was lost"))

        def purged(count, error):
            handler(None if error else True, error)

        return self.info(name, found)


def _base64(data):
    """As URLs have it (RFC 4648)."""
    text = b2a_base64(data).decode().strip()
    return text.replace("+", "-").replace("/", "_")


def digest_of(hash):
    """What an object's digest is, of a `sha256` that has had all of it."""
    return "SHA-256=" + _base64(hash.digest())


def mtime():
    """Now, as RFC 3339 has it."""
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % tuple(utime.gmtime()[:6])
