"""What the boards of a fleet say: on a terminal a table of their last values below what happens,
line by line; plain lines of all messages when piped.
"""

import asyncio
import contextlib
import json
import time
from decimal import Decimal

import nats.errors

from tools.console import Console, Rows
from tools.fleet import stores
from tools.fleet.subjects import READINGS

_ASK_EVERY_S = 5  # how many readings wait
_ANSWER_S = 2
_SILENT_S = 60  # a board that says nothing for so long may be away


class _Board:
    """What is known of one board; see `Console.boards`."""

    def __init__(self, name):
        self.name = name
        self.values = {}
        self.heard_at = self.waiting = None
        self._connections = None
        self._answers = True

    def take(self, kind, text):
        self.heard_at = time.monotonic()
        with contextlib.suppress(ValueError, KeyError, TypeError):  # somebody else's message
            self.values[kind] = json.loads(text, parse_float=Decimal)["v"]

    def told(self, info):
        """Its answer to `info`, or None."""
        self._answers = info is not None
        if info:
            outbox = info.get("outbox") or {}
            self.waiting, self._connections = outbox.get("waiting"), info.get("connections")

    @property
    def link(self):
        if self.heard_at is None:
            return "not heard"
        if not self._answers and time.monotonic() - self.heard_at > _SILENT_S:
            return "away"
        return "up" if self._connections is None else f"no. {self._connections}"


class Watch:
    """Of the `devices` (names), by the observer's connection."""

    def __init__(self, nc, devices):
        self._nc = nc
        self._boards = {name: _Board(name) for name in devices}
        self._console = Console()
        self._rows = Rows(self._console, devices)

    async def run(self, seconds):
        """Until so many seconds have passed (None: for ever), or nobody reads it any more."""
        await self._nc.subscribe("devices.*.*", cb=self._on_word)
        await self._nc.subscribe(READINGS, cb=self._on_reading)
        await stores.make(self._nc)
        self._console.line("the server takes readings; Ctrl-C ends this")
        end = time.monotonic() + (float("inf") if seconds is None else seconds)
        with self._console.live(lambda: self._console.boards(list(self._boards.values()))):
            asking = asyncio.create_task(self._ask())
            try:
                while (
                    time.monotonic() < end and not self._console.broken and not self._nc.is_closed
                ):
                    await asyncio.sleep(min(0.2, end - time.monotonic()))
            finally:
                asking.cancel()

    async def _ask(self):
        """Ask those that were heard of how they are, where that is shown."""
        while self._console.terminal:
            heard = [board for board in self._boards.values() if board.heard_at]
            await asyncio.gather(*[self._ask_one(board) for board in heard])
            await asyncio.sleep(_ASK_EVERY_S)

    async def _ask_one(self, board):
        info = None
        with contextlib.suppress(nats.errors.Error, OSError, asyncio.TimeoutError, ValueError):
            answer = await self._nc.request(f"devices.{board.name}.info", b"", _ANSWER_S)
            info = json.loads(answer.data)
        board.told(info)

    def _of(self, msg):
        """The board that a message is of; also one that joined the fleet since."""
        name = msg.subject.split(".")[1]
        return self._boards.setdefault(name, _Board(name))

    async def _on_reading(self, msg):
        self._of(msg).take(msg.subject.split(".")[2], msg.data)
        if not self._console.terminal:
            self._show(msg)

    async def _on_word(self, msg):
        if not self._console.terminal:
            self._show(msg)
        elif msg.subject.endswith((".hello", ".error")):
            board, word = self._of(msg), msg.subject.split(".")[2]
            board.heard_at = time.monotonic()
            style = "red" if word == "error" else "green"
            self._rows.row(board.name, f"{word}  {msg.data.decode(errors='replace')}", style)

    def _show(self, msg):
        self._console.line(f"{msg.subject} {msg.data.decode(errors='replace')}")
