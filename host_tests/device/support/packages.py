"""Updates for tests: packages signed with a key of the tests' own, and a store that has them."""

import sys
from binascii import b2a_base64, hexlify
from hashlib import sha256

import identities
from unats.auth import nkey
from unats.errors import Error

SEED = bytes(identities.seed("user", bytes(range(32))))
OTHER = bytes(identities.seed("user", bytes(range(1, 33))))
KEY = identities.public(SEED)
MPY = getattr(sys.implementation, "_mpy", 0)
PIECE = 700  # bytes that come at a time

_signed = {}  # signing takes its time


def sign(data, seed=SEED):
    if (data, seed) not in _signed:
        _signed[data, seed] = nkey.from_seed(seed).sign(data)
    return _signed[data, seed]


def files(version, extra=()):
    """{path: content} of a small application."""
    found = {
        "app.mpy": b"application of version " + version.encode() + b"." * 1500,
        "lib/unats/__init__.mpy": b"client of " + version.encode(),
        "lib/unats/outbox/__init__.mpy": b"",
        "main.py": b"print('main of %s')\n" % version.encode(),
    }
    found.update(extra)
    return found


def manifest(version, contents, mpy=MPY, least="1.20.0", seed=SEED, kind="unats-package 1"):
    """The manifest of these files, {path: content}."""
    lines = [kind, "version " + version, "mpy %d" % mpy, "micropython " + least]
    for path in contents:
        digest = hexlify(sha256(contents[path]).digest()).decode()
        lines.append("%s %d %s" % (digest, len(contents[path]), path))
    text = ("\n".join(lines) + "\n").encode()
    signature = sign(b"unats firmware\n" + sha256(text).digest(), seed)
    return text + b"signature " + b2a_base64(signature)


class Info:
    def __init__(self, size):
        self.size = size


class FakeStore:
    """Has `objects`, {name: bytes}; gives a piece with each `pump()`, while it is `up`."""

    def __init__(self):
        self.objects = {}
        self.up = True
        self.offsets = []  # from where on something was fetched
        self._going = None

    def __call__(self, client, bucket, domain):
        assert bucket == "firmware"
        return self

    def put(self, version, contents=None, **options):
        """Have a version."""
        contents = files(version) if contents is None else contents
        self.objects["%s/%d.manifest" % (version, MPY)] = manifest(version, contents, **options)
        self.objects["%s/%d" % (version, MPY)] = b"".join([contents[path] for path in contents])

    def get(self, name, write, offset, progress, handler):
        if not self.up:
            return False
        self.offsets.append((name, offset))
        self._going = [name, write, offset, progress, handler]
        return True

    def pump(self):
        """Give a piece; False: there is nothing to be given."""
        if self._going is None or not self.up:
            return False
        name, write, offset, progress, _ = self._going
        data = self.objects.get(name)
        if data is None:
            self._end(Error("no object %s in firmware" % name))
        elif offset >= len(data):
            self._end(None)
        else:
            piece = data[offset : offset + PIECE]
            self._going[2] = offset + len(piece)
            try:
                write(memoryview(piece))
            except Exception as e:
                self._end(e)
                return True
            if progress is not None:
                progress(self._going[2], len(data))
        return True

    def fail(self, error):
        """An outage ends what is on its way."""
        if self._going is not None:
            self._end(error)

    def _end(self, error):
        handler, self._going = self._going[4], None
        handler(None if error else Info(0), error)


class FakeTwin:
    """Takes what is told of the version."""

    def __init__(self):
        self.takers = {}
        self.told = []
        self.acknowledged = False
        self.looks = 0

    def tell(self, field, what):
        assert field == "version"
        self.told.append(what)

    def look_again(self):
        self.looks += 1
