"""The smallest heap from which the device application starts, connects and delivers readings.

python -m tools.run.heap prints it for each outbox, from sources and from .mpy, on MicroPython's
Unix port (64-bit words; on a board everything but text takes half of that). It is repeatable but
for what the garbage collector leaves where, so it is given in steps of 4 KB. --parts: what each
further part of the application adds to the heap in use of a board that is connected.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
from pathlib import Path

import nats

from tools import deploy, toolchain
from tools.fleet import nats_jwt, stores
from tools.run.simulation import MARCH, Board, Server

OUTBOXES = ("off", "none", "stream")
_STEP_KB = 4
_LEAST_KB = 32
_MOST_KB = 512
_READINGS = 6
_PATIENCE_S = 6
_OF_32_BITS = 0.64  # of what 64-bit words take (`make size`)


async def starts(nc, url, code, outbox, kilobytes):
    """Whether a board with so much heap delivers readings."""
    came = asyncio.Event()
    left = _READINGS

    async def take(msg):
        nonlocal left
        left -= 1
        if left <= 0:
            came.set()

    sub = await nc.subscribe("sensors.board.>", cb=take)
    await nc.flush()
    with tempfile.TemporaryDirectory() as flash:
        board = Board("board", flash, url, f"{kilobytes}K", code=code, period_s=0.1, outbox=outbox)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not came.is_set() and board.ended is None:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        finally:
            board.kill()
            await sub.unsubscribe()
    return came.is_set()


async def smallest(nc, url, code, outbox):
    """The smallest heap that does, in KB."""
    low, high = _LEAST_KB, _MOST_KB
    while high - low > _STEP_KB:
        middle = (low + high) // 2 // _STEP_KB * _STEP_KB
        if await starts(nc, url, code, outbox, middle):
            high = middle
        else:
            low = middle
    return high


@contextlib.asynccontextmanager
async def served():
    """A server with what boards need: its connection, its address, and a folder."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "server"
        home.mkdir()
        server = Server(home, jetstream=True)
        nc = await nats.connect(server.url)
        try:
            await stores.make(nc)
            yield nc, server.url, Path(folder)
        finally:
            await nc.close()
            server.stop()


def staged(path, compiled):
    """The folder, with what is deployed in it."""
    path.mkdir()
    deploy.stage(path, None, MARCH, compiled)
    return path


async def table():
    """The lines of a Markdown table."""
    lines = ["| `outbox` | from sources | from `.mpy` |", "| --- | ---: | ---: |"]
    async with served() as (nc, url, folder):
        codes = [staged(folder / name, name == "mpy") for name in ("sources", "mpy")]
        for outbox in OUTBOXES:
            found = [await smallest(nc, url, code, outbox) for code in codes]
            lines.append('| `"%s"` | %d KB | %d KB |' % (outbox, *found))
    return lines


_PRESENCE = {"presence_s": 30}
_CONFIG = {"config": True}
_PARTS = {
    '`"presence_s": 30`': _PRESENCE,
    '`"logs": true`': {"logs": True},
    '`"home_assistant": true`, with presence': dict(_PRESENCE, home_assistant=True),
    '`"config": true`': _CONFIG,
    '`"update_key"`, with config': _CONFIG,
    "all of them": dict(_PRESENCE, logs=True, home_assistant=True, **_CONFIG),
}
_ROOM = "512K"
_SETTLED_S = 4


async def in_use(nc, url, code, **settings):
    """The heap in use of a board with these settings, in KB, a while after it has connected."""
    with tempfile.TemporaryDirectory() as flash:
        board = Board("board", flash, url, _ROOM, code=code, outbox="stream", **settings)
        try:
            await asyncio.sleep(_SETTLED_S)
            info = json.loads((await nc.request("devices.board.info", b"", _PATIENCE_S)).data)
        finally:
            board.kill()
    return info["heap_used"] / 1024


async def parts():
    """The lines of a Markdown table."""
    lines = ["| | KB | on 32-bit words, about |", "| --- | ---: | ---: |"]
    key = {"update_key": nats_jwt.Signer("update").public}
    async with served() as (nc, url, folder):
        code = staged(folder / "mpy", True)
        without = await in_use(nc, url, code)
        lines.append(_line("none of them", without))
        for name, settings in _PARTS.items():
            updates = key if "update_key" in name or name == "all of them" else {}
            found = await in_use(nc, url, code, **settings, **updates)
            lines.append(_line(name, found - without, "+"))
    return lines


def _line(name, kilobytes, sign=""):
    return f"| {name} | {sign}{kilobytes:.1f} | {sign}{kilobytes * _OF_32_BITS:.1f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", action="store_true", help="what each part adds")
    options = parser.parse_args()
    try:
        print("\n".join(asyncio.run(parts() if options.parts else table())))
    except toolchain.ToolError as e:
        raise SystemExit(f"heap: {e}") from None
