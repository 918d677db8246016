"""An update on its way into its folder: see update.py. Loaded for each one.

    unats-package 1
    version 1.3.0
    mpy 4870
    micropython 1.24.0
    6bf1...<SHA-256>... 4321 lib/unats/client.mpy
    ...
    signature ...base64...

The signature (Ed25519, by an NKey) is of `DOMAIN` and the SHA-256 of all lines before it. It is
checked first, then versions, room and names; then the files are fetched, each is compared with its
digest, and nothing that was there before has been touched. After an outage or a power cut the
files that are whole stay.
"""

import os
import sys
from binascii import a2b_base64, hexlify
from hashlib import sha256

import update
from unats.errors import NotConnected
from unats.jetstream.objectstore import ObjectStore

DOMAIN = b"unats firmware\n"

_BUCKET = "firmware"
_LONGEST = 16384  # bytes of a manifest
_PIECE = 512  # bytes that are read from flash at a time
_SPARE = 16384  # bytes of flash that stay free beside readings
_BLOCK = 4096
_KIND = "unats-package 1\n"
_SIGNATURE = b"signature "


def steps(app, domain, key, version, slot, reserve, progress):
    """Fetch a version into the folder, a step with each next(); done at its end.

    domain: JetStream's, or None; key: the public NKey of who signs; reserve: bytes of flash that
    readings may take. progress(percent) is called meanwhile. ValueError: it is no good, and never
    will be. Any other: try again later.
    """
    mpy = getattr(sys.implementation, "_mpy", 0)
    name = "%s/%d" % (version, mpy)
    store = ObjectStore(app.client, _BUCKET, domain)
    manifest = slot + "/" + update.MANIFEST
    if _there(slot) != version:
        update.remove(slot)
        os.mkdir(slot)
        yield
        writer = Plain(manifest)
        yield from _get(store, name + ".manifest", writer, 0, None)
        writer.end()
    app.board.feed()
    check(manifest, key, version, mpy)
    yield
    done = size = count = 0
    whole = True
    for digest, length, path in files(manifest):
        size += length
        count += 1
        if whole and _is(slot + "/" + path, digest, length):
            done += length
            yield
        else:
            whole = False
            update.remove(slot + "/" + path)
            app.board.feed()
    _check_room(slot, size - done, count, reserve)
    progress(100 * done // max(size, 1))
    if done == size:
        return
    writer = Writer(slot, manifest, done)
    yield from _get(store, name, writer, done, lambda at, size: progress(100 * at // size))
    writer.end()


def _get(store, name, writer, offset, progress):
    """Have an object written, a step with each next()."""
    got = []
    try:
        if not store.get(
            name, writer.write, offset, progress, lambda info, error: got.append(error)
        ):
            raise NotConnected("not connected")
        while not got:
            yield
    finally:
        writer.close()
    error = got[0]
    if error is None:
        return
    text = str(error)
    if text.startswith("no object"):
        raise ValueError("there is no such version for this board: " + name)
    if "damaged" in text:
        raise ValueError(text)
    raise error


def check(path, key, version, mpy):
    """ValueError: that is not the manifest of this version for this board, or was not signed."""
    if not _is_signed(path, key):
        raise ValueError("its manifest is not signed by the key in the settings")
    with open(path) as file:
        kind = file.readline()
        head = dict(file.readline().split() for _ in range(3)) if kind == _KIND else {}
    if head.get("version") != version or head.get("mpy") != str(mpy):
        raise ValueError("its manifest is that of another version, or for other boards")
    least = update.number(head.get("micropython"))
    if least is None or tuple(sys.implementation.version[:3]) < least:
        raise ValueError("it needs MicroPython %s" % head.get("micropython"))
    starts = False
    for _, _, name in files(path):
        starts = starts or name == "main.py"
        if name.startswith("/") or ".." in name or name in ("boot.py", "boot.mpy"):
            raise ValueError("its manifest has a file that no update may touch: " + name)
    if not starts:
        raise ValueError("its manifest has no main.py")


def _is_signed(path, key):
    """Whether the manifest has the signature of that NKey, and ends with it."""
    from unats.auth import nkey
    from unats.auth.verify import verify

    hash, signature = sha256(), b""
    with open(path, "rb") as file:
        for line in file:
            if signature:
                return False
            if line.startswith(_SIGNATURE):
                signature = line[len(_SIGNATURE) :]
            else:
                hash.update(line)
    try:
        return verify(key, DOMAIN + hash.digest(), a2b_base64(signature))
    except ValueError:
        return False
    finally:
        nkey.release()
        del sys.modules["unats.auth.verify"]


def files(path):
    """What a manifest lists: (digest in hexadecimal, bytes, path) of each file."""
    with open(path) as file:
        for _ in range(4):
            file.readline()
        for line in file:
            parts = line.split()
            if len(parts) == 3:
                yield parts[0], int(parts[1]), parts[2]


class Plain:
    """Takes the manifest, which has its name once it is whole."""

    def __init__(self, path):
        self._path = path
        self._left = _LONGEST
        self._file = open(path + ".new", "wb")

    def write(self, data):
        """Take the next bytes. ValueError: it is too long."""
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("its manifest has more than %d bytes" % _LONGEST)
        self._file.write(data)

    def end(self):
        """All has come."""
        os.rename(self._path + ".new", self._path)

    def close(self):
        """Close the file."""
        self._file.close()


class Writer:
    """Takes the files of a package, one behind another, from a byte on where one begins."""

    def __init__(self, slot, manifest, offset):
        self._slot = slot
        self._files = files(manifest)
        self._file = None
        self._closed = False
        self._left = 0
        while offset > 0:
            offset -= next(self._files)[1]

    def write(self, data):
        """Take the next bytes. ValueError: a file is not what the manifest says."""
        at = 0
        while at < len(data):
            if self._closed:
                raise ValueError("given up")
            if self._left == 0:
                self._next()
                continue
            piece = data[at : at + self._left]
            self._file.write(piece)
            self._hash.update(piece)
            self._left -= len(piece)
            at += len(piece)
            if self._left == 0:
                self._compare()

    def end(self):
        """All has come."""
        for _ in self._files:
            raise ValueError("the package is shorter than its manifest says")
        if self._left:
            raise ValueError("the package is shorter than its manifest says")

    def close(self):
        """Close the file at hand, and take nothing more."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._closed = True

    def _next(self):
        try:
            self._digest, self._left, path = next(self._files)
        except StopIteration:
            raise ValueError("the package is longer than its manifest says")
        folder = self._slot
        for name in path.split("/")[:-1]:
            folder += "/" + name
            try:
                os.mkdir(folder)
            except OSError:
                pass  # it is there
        self._path = path
        self._hash = sha256()
        self._file = open(self._slot + "/" + path, "wb")
        if self._left == 0:
            self._compare()

    def _compare(self):
        self._file.close()
        self._file = None
        if hexlify(self._hash.digest()).decode() != self._digest:
            raise ValueError("%s is damaged: its digest is another one" % self._path)


def _there(slot):
    """The version whose manifest is in the folder already, or None."""
    try:
        return update.version_of(slot)
    except (OSError, ValueError):
        return None


def _is(path, digest, length):
    """Whether that file is there, and whole."""
    try:
        if os.stat(path)[6] != length:
            return False
        hash, piece = sha256(), bytearray(_PIECE)
        view = memoryview(piece)
        with open(path, "rb") as file:
            while True:
                n = file.readinto(piece)
                if not n:
                    break
                hash.update(view[:n])
        return hexlify(hash.digest()).decode() == digest
    except OSError:
        return False


def _check_room(slot, missing, count, reserve):
    """ValueError: flash has no room for what is missing, of so many files, with what readings may
    take.
    """
    stat = os.statvfs(slot)
    free = stat[0] * stat[3]
    try:
        for name in os.listdir("outbox"):
            reserve -= os.stat("outbox/" + name)[6]
    except OSError:
        pass  # there is none
    needed = missing + count * _BLOCK // 2 + _SPARE + max(reserve, 0)
    if free < needed:
        raise ValueError("there is no room: %d KB of flash are missing" % ((needed - free) >> 10))
