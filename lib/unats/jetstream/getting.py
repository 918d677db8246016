"""An object on its way here: see `objectstore.py`. Loaded for each one."""

from hashlib import sha256

from unats.errors import Error, NotConnected

from .objectstore import ObjectStore, digest_of


def get(store, name, write, offset, progress, handler):
    """See `ObjectStore.get`."""

    def found(info, error):
        if info is None:
            handler(None, error or Error("no object %s in %s" % (name, store.bucket)))
        elif info.link is None:
            Getting(store, info, write, offset, progress, handler)
        else:
            follow(*info.link)

    def follow(bucket, name):
        other = ObjectStore(store.js.nc, bucket, store.domain, store.js.timeout_ms)

        def led(info, error):
            if info is None or info.link is not None:
                text = "the link leads to no object: %s in %s" % (name, bucket)
                handler(None, error or Error(text))
            else:
                Getting(other, info, write, offset, progress, handler)

        if name is None:
            handler(None, Error("the link leads to a whole store, %s" % bucket))
        elif not other.info(name, led):
            handler(None, NotConnected("the connection was lost"))

    return store.info(name, found)


def get_file(store, name, path, progress, handler):
    """See `ObjectStore.get_file`."""
    from os import remove, rename

    part = path + ".part"
    file = open(part, "wb")

    def got(info, error):
        file.close()
        try:
            if error is None:
                rename(part, path)
            else:
                remove(part)
        except OSError as e:
            error = error or e
        handler(None if error else info, error)

    begun = False
    try:
        begun = store.get(name, file.write, 0, progress, got)
    finally:
        if not begun:
            file.close()
            remove(part)
    return begun


class Getting:
    """Reads the chunks of `info`, one behind the other, and calls handler(info, error)."""

    def __init__(self, store, info, write, offset, progress, handler):
        self._store, self._info = store, info
        self._write, self._progress, self._handler = write, progress, handler
        self._skip = offset  # bytes from the start that are known already
        self._at = 0  # bytes that were had, in order,
        self._chunk_at = 0  # ... and where the chunk at hand begins
        self._chunks = 0
        self._hash = sha256()
        self._view = None  # of the client's buffer
        self._ordered = None
        if info.size == 0:
            self._end()
        else:
            self._ordered = store.js.ordered(
                store.stream, self._take, store.chunks(info.nuid), window=2,
                ready=self._ready, timeout_ms=store.js.timeout_ms,
            )  # fmt: skip

    def _ready(self, pending):
        if pending == 0 and self._chunks < self._info.chunks:
            self._look()

    # What is called for each fragment has few locals: those of larger functions are on the heap.

    def _take(self, msg):
        """A fragment of a chunk; after a lost connection a chunk begins again."""
        if msg is None:
            self._look()
            return
        known = self._at - self._chunk_at - msg.offset
        start = msg.start
        end = msg.end
        if 0 <= known < end - start:
            if self._view is None:
                self._view = memoryview(msg.buffer)
            self._more(self._view[start + known : end])
        if msg.last and self._handler is not None:
            self._chunk_at += msg.total
            self._chunks += 1
            if self._at >= self._info.size:
                self._end()
            elif msg.pending == 0:
                self._look()

    def _more(self, piece):
        """The next bytes of the object."""
        self._hash.update(piece)
        self._at += len(piece)
        wanted = self._at - self._skip
        if wanted > 0:
            if wanted < len(piece):
                piece = piece[len(piece) - wanted :]
            try:
                self._write(piece)
            except Exception as e:  # flash is full, for one
                self._finish(e)
                return
        if self._progress is not None:
            self._progress(self._at, self._info.size)

    def _look(self):
        """No more comes: is it the object still?"""
        error = self._ordered.error
        self._ordered.stop()

        def found(info, failed):
            if failed is None and (info is None or info.nuid != self._info.nuid):
                self._finish(Error("%s was deleted or replaced" % self._info.name))
            else:
                self._finish(error or failed or Error("%s is cut" % self._info.name))

        if not self._store.info(self._info.name, found):
            self._finish(error or Error("%s is cut" % self._info.name))

    def _end(self):
        error = None
        # (Not everybody pads it.)
        if digest_of(self._hash).rstrip("=") != self._info.digest.rstrip("="):
            error = Error("%s is damaged: its digest is another one" % self._info.name)
        elif self._at != self._info.size:
            error = Error("%s is damaged: it has %d bytes" % (self._info.name, self._at))
        self._finish(error)

    def _finish(self, error):
        if self._ordered is not None:
            self._ordered.stop()
        handler, self._handler = self._handler, None
        if handler is not None:
            handler(None if error else self._info, error)
