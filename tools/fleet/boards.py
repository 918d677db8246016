"""What a server knows of its boards: presences and configuration, by its buckets."""

import contextlib
import json
import time

import nats.js.errors

from tools.fleet.subjects import CONFIG, PRESENCE
from tools.toolchain import ToolError

_ANSWER_S = 5


class Boards:
    """The boards of a server, by its buckets. `nc`: a connection; `known`: names, if they are
    known otherwise.
    """

    def __init__(self, nc, known=()):
        self.nc = nc
        self._known = known
        self._buckets = {}  # those that were opened

    async def _bucket(self, name):
        if name not in self._buckets:
            try:
                self._buckets[name] = await self.nc.jetstream().key_value(name)
            except nats.js.errors.NotFoundError:
                raise ToolError(
                    f"there is no bucket {name} on this server: "
                    "`python -m tools.fleet setup` makes it"
                ) from None
        return self._buckets[name]

    async def presences(self):
        """{name: (presence, seconds ago)}; None for a board that is not there."""
        found = dict.fromkeys(self._known)
        for entry in await _entries(await self._bucket(PRESENCE)):
            with contextlib.suppress(ValueError):
                age = time.time() - entry.created.timestamp()
                found[entry.key] = json.loads(entry.value), age
        return found

    async def config(self, name):
        """{field: [wanted or None, reported or None]} of a board, or of `_all`."""
        found = {}
        for entry in await _entries(await self._bucket(CONFIG), f"{name}.*.>"):
            _, kind, field = entry.key.split(".", 2)
            if kind in ("desired", "reported"):
                text = entry.value.decode(errors="replace")
                found.setdefault(field, [None, None])[kind == "reported"] = text
        return found

    async def want(self, name, field, text):
        """Set what is wanted, None for nothing: the revision."""
        kv = await self._bucket(CONFIG)
        key = f"{name}.desired.{field}"
        if text is None:
            await kv.delete(key)
            return 0
        return await kv.put(key, text.encode())

    async def reported(self, name, field):
        """What a board reports of a field, a dict."""
        kv = await self._bucket(CONFIG)
        with contextlib.suppress(nats.js.errors.KeyNotFoundError, ValueError):
            return json.loads((await kv.get(f"{name}.reported.{field}")).value)
        return {}


async def _entries(kv, keys=">"):
    """What a bucket has of these keys."""
    watcher = await kv.watch(keys, ignore_deletes=True)
    found = []
    try:
        while True:
            entry = await watcher.updates(timeout=_ANSWER_S)
            if entry is None:
                return found
            found.append(entry)
    finally:
        await watcher.stop()


def state(presence, age):
    """What a presence says of a board: (text, style)."""
    what = presence.get("state", "up")
    if what == "asleep":
        left = presence.get("wake_s", 0) - age
        return (f"asleep, {left:.0f} s more" if left > 0 else "asleep, overdue"), "blue"
    if presence.get("ttl_s") is None and what == "up" and age > 1.5 * presence.get("every_s", 30):
        return "away", "red"
    return what, "green" if what == "up" else "yellow"
