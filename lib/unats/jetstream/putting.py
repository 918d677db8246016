"""An object on its way to the store, or out of it: see `objectstore.py`. Loaded for each one."""

import json
from hashlib import sha256

import utime

from unats.errors import NotConnected
from unats.nuid import unique

from .objectstore import ObjectInfo, digest_of

_ROLLUP = {"Nats-Rollup": "sub"}


class Putting:
    """Publishes chunk after chunk, each once the one before is stored; then what describes the
    object; then deletes the former one. What was stored of one that fails is deleted.
    """

    def __init__(self, store, name, subject, source, chunk_size, metadata, handler):
        self._store, self._js = store, store.js
        self._subject, self._handler = subject, handler
        self._source, self._at = source, 0
        self._buf = bytearray(chunk_size)
        if not hasattr(source, "readinto"):
            self._source = memoryview(source.encode() if isinstance(source, str) else source)
        self._hash = sha256()
        self._old = None
        self._fields = {
            "name": name, "bucket": store.bucket, "nuid": unique(), "size": 0, "chunks": 0,
            "options": {"max_chunk_size": chunk_size}, "metadata": metadata or {},
        }  # fmt: skip
        self._error = None

    def start(self):
        return self._store.info(self._fields["name"], self._looked)

    def _looked(self, info, error):
        self._old = info and info.nuid
        self._stored(None, error)

    def _read(self):
        """The next chunk's size; it is in the buffer then."""
        n, size = 0, len(self._buf)
        if isinstance(self._source, memoryview):
            piece = self._source[self._at : self._at + size]
            n = len(piece)
            self._buf[:n] = piece
        else:
            view = memoryview(self._buf)
            while n < size:
                more = self._source.readinto(view[n:])
                if not more:
                    break
                n += more
        self._at += n
        return n

    def _stored(self, ack, error):
        """A chunk is; the next one."""
        if error is not None:
            self._fail(error)
            return
        try:
            n = self._read()
        except Exception as e:  # the source's
            self._fail(e)
            return
        if n == 0:
            self._describe()
            return
        piece = memoryview(self._buf)[:n]
        self._hash.update(piece)
        self._fields["size"] += n
        self._fields["chunks"] += 1
        if not self._js.publish(
            self._store.chunks(self._fields["nuid"]), piece, None, self._stored
        ):
            self._fail(NotConnected("the connection was lost"))

    def _describe(self):
        self._fields["digest"] = digest_of(self._hash)
        self._fields["mtime"] = mtime()
        text = json.dumps(self._fields)
        if not self._js.publish(self._subject, text, None, self._described, None, _ROLLUP):
            self._fail(NotConnected("the connection was lost"))

    def _described(self, ack, error):
        if error is not None:
            self._fail(error)
        elif self._old is None or not self._purge(self._old):
            self._end(0, None)

    def _purge(self, nuid):
        return self._js.purge(self._store.stream, self._store.chunks(nuid), self._end)

    def _fail(self, error):
        self._error = error
        if not self._fields["chunks"] or not self._purge(self._fields["nuid"]):
            self._end(0, None)

    def _end(self, count, error):
        handler, self._handler = self._handler, None
        if handler is not None:
            handler(None if self._error else ObjectInfo(self._fields), self._error)


def mtime():
    """Now, as RFC 3339 has it."""
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % tuple(utime.gmtime()[:6])


def delete(store, name, subject, handler):
    """See `ObjectStore.delete`."""
    js = store.js

    def found(info, error):
        if info is None:
            handler(None if error else False, error)
            return

        def marked(ack, error):
            if error is not None:
                handler(None, error)
            elif not js.purge(store.stream, store.chunks(info.nuid), purged):
                handler(None, NotConnected("the connection was lost"))

        fields = {"name": name, "bucket": store.bucket, "nuid": info.nuid, "size": 0,
                  "chunks": 0, "digest": "", "deleted": True, "mtime": mtime()}  # fmt: skip
        if not js.publish(subject, json.dumps(fields), None, marked, None, _ROLLUP):
            handler(None, NotConnected("the connection was lost"))

    def purged(count, error):
        handler(None if error else True, error)

    return store.info(name, found)
