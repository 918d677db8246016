"""An update for many boards, in stages: the next one begins once all boards of one have confirmed
it.
"""

import asyncio
import contextlib
import json
import math
import time

import nats.js.errors

from tools import package as client
from tools.fleet.package import Package
from tools.fleet.subjects import FIRMWARE
from tools.toolchain import ToolError

_LOOK_EVERY_S = 0.3


class Rollout:
    """Puts what is here onto boards. sign: gives the signature of bytes; wait: seconds that a
    stage may take.
    """

    def __init__(self, boards, console, sign, wait, change=None):
        self._boards, self._console = boards, console
        self._sign, self._wait = sign, wait
        self._change = change  # see `Package`
        self._revisions = {}
        self._told = {}  # the last that was shown of a board

    async def run(self, presences, names, version=None, percents=(100,), downgrade=False):
        """Update these boards, of those that are there. ToolError: one has not confirmed it."""
        missing = [name for name in names if presences.get(name) is None]
        names = [name for name in names if name not in missing]
        if missing:
            self._console.line(f"not there, and left out: {', '.join(missing)}", "yellow")
        if not names:
            raise ToolError(
                "no board is there: each needs presence_s, config and update_key in its settings"
            )
        known = [presences[name][0] for name in names]
        version = version or await self._next(known)
        for mpy in sorted({presence["mpy"] for presence in known}):
            package = Package(version, mpy, self._sign, self._change)
            await package.put(self._boards.nc)
            self._console.line(
                f"version {version} for mpy {mpy}: {len(package.content) / 1024:.0f} KB, signed"
            )
        for stage, part in enumerate(stages(names, percents), 1):
            self._console.line(f"stage {stage}: {len(part)} of {len(names)} boards", "bold")
            await self._stage(part, version, downgrade)
        self._console.line(f"all {len(names)} boards run version {version}", "green")

    async def _next(self, presences):
        """The version behind the highest that is known."""
        found = [numbers(client.version()), *[numbers(p.get("version")) for p in presences]]
        with contextlib.suppress(nats.js.errors.NotFoundError):
            store = await self._boards.nc.jetstream().object_store(FIRMWARE)
            found += [numbers(info.name.split("/")[0]) for info in await store.list()]
        highest = max(version for version in found if version)
        return ".".join(map(str, [*highest[:-1], highest[-1] + 1]))

    async def _stage(self, names, version, downgrade):
        wanted = {"version": version, "downgrade": True} if downgrade else version
        for name in names:
            revision = await self._boards.want(name, "version", json.dumps(wanted))
            self._revisions[name] = revision
        left, failed = set(names), []
        end = time.monotonic() + self._wait
        with self._console.bar(f"version {version}", len(names)) as done:
            while left and not failed and time.monotonic() < end:
                for name in sorted(left):
                    told = await self._boards.reported(name, "version")
                    if told.get("revision") != self._revisions[name]:
                        continue
                    self._show(name, told, version)
                    if told.get("error"):
                        failed.append(name)
                    elif told.get("value") == version and not told.get("trial"):
                        left.discard(name)
                        done()
                await asyncio.sleep(_LOOK_EVERY_S)
        if failed:
            await self._take_back(left - set(failed))
            raise ToolError(f"stopped: {', '.join(failed)} did not take version {version}")
        if left:
            await self._take_back(left)
            raise ToolError(
                f"stopped: {', '.join(sorted(left))} did not confirm version {version} "
                f"within {self._wait:g} s"
            )

    async def _take_back(self, names):
        """What these have not begun they need not begin any more."""
        for name in names:
            await self._boards.want(name, "version", None)

    def _show(self, name, told, version):
        text, style = f"{told.get('progress', 0)} %", ""
        if told.get("error"):
            text, style = told["error"], "red"
        elif told.get("waiting"):
            text, style = "waits: " + told["waiting"], "yellow"
        elif told.get("value") == version:
            text, style = ("on trial", "yellow") if told.get("trial") else ("confirmed", "green")
        if self._told.get(name) != text:
            self._told[name] = text
            self._console.line(f"{name}  {text}", style)


def stages(names, percents):
    """The boards of each stage: so many percent of all of them by its end, one more at least."""
    found, begin = [], 0
    for percent in percents:
        end = max(math.ceil(len(names) * percent / 100), begin + 1)
        if names[begin:end]:
            found.append(names[begin:end])
        begin = end
    return found


def numbers(version):
    """A version as a tuple of numbers, or None."""
    parts = str(version).split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else None
