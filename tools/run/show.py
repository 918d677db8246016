"""What WEB=1 acts out, for who looks at the page: how a fleet is looked after from afar."""

import asyncio
import json
import time

from tools.fleet.boards import Boards
from tools.fleet.rollout import Rollout
from tools.fleet.subjects import ALL, PRESENCE
from tools.toolchain import ToolError

_PATIENCE_S = 60  # only what fails takes that long
_LOOK_EVERY_S = 0.05
_REFUSED = "-1"  # of a period
_BAD = {"app.mpy": None, "app.py": b"raise ValueError('this version was never tried')\n"}
_BAD_STAGES, _STAGES = (1, 100), (1, 50, 100)  # percents


class Show:
    """Acts on the `devices` of a run, by the connection `nc`. rows: where it is told; sign: gives
    the signature of an update's manifest; period_s: of their readings, as they are set.

    Each act is a coroutine that ends when what it begins has come to its end. ToolError: it was
    not as it should be.
    """

    def __init__(self, nc, devices, rows, sign, period_s):
        self._nc, self._devices, self._rows = nc, devices, rows
        self._boards = Boards(nc)
        self._sign = sign
        self._period_s = period_s

    async def change_settings(self):
        """One for all boards, and one that a board refuses."""
        began = time.monotonic()
        period_s = self._period_s * (0.5 if self._period_s > 0.5 else 2)
        wanted = await self._boards.want(ALL, "period_s", json.dumps(period_s))
        for device in self._devices:
            told = await self._told(device, wanted)
            if told.get("value") != period_s:
                raise ToolError(f"{device.name} has not taken period_s={period_s:g}: {told}")
        took = time.monotonic() - began
        text = f"a setting for all boards: period_s is {period_s:g} on each"
        self._rows.line(f"{text}, {took:.1f} s later", "green")
        first = self._devices[0]
        told = await self._told(first, await self._boards.want(first.name, "period_s", _REFUSED))
        if told.get("value") != period_s or not told.get("error"):
            raise ToolError(f"{first.name} did not refuse period_s={_REFUSED}: {told}")
        await self._boards.want(first.name, "period_s", None)
        self._rows.row(first.name, f"refuses period_s={_REFUSED}: {told['error']}", "green")

    async def _told(self, device, revision):
        """What a board reports of its period, once it is about that revision."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            told = await self._boards.reported(device.name, "period_s")
            if told.get("revision") == revision:
                return told
            await asyncio.sleep(_LOOK_EVERY_S)
        raise ToolError(f"{device.name} has not answered to a setting within {_PATIENCE_S} s")

    async def kill_a_board(self):
        """The last one dies, is missed, and has power again."""
        device = self._devices[-1]
        told = await self._nc.subscribe(f"{PRESENCE}.{device.name}")
        await self._nc.flush()
        device.killed = True
        device.board.kill()
        died = time.monotonic()
        self._rows.row(device.name, "is killed", "yellow")
        try:
            await _heard(told, lambda presence: not presence, f"{device.name} is not missed")
            missed = time.monotonic() - died
            self._rows.row(device.name, f"is missed, {missed:.1f} s later", "green")
        finally:  # also if the run is to stop
            device.board.start()
            device.killed = False
        await _heard(told, bool, f"{device.name} has not told of itself again")
        await told.unsubscribe()
        self._rows.row(device.name, "is there again", "green")

    async def update_badly(self):
        """A version that does not start: the first board goes back, and the others stay."""
        presences = await self._boards.presences()
        before = {device.name: presences[device.name][0]["version"] for device in self._devices}
        try:
            await self._rollout(_BAD_STAGES, _BAD)
        except ToolError as error:
            self._rows.line(f"the update has {error}", "yellow")
        else:
            raise ToolError("a version that does not start was confirmed")
        for name, version in before.items():
            told = await self._boards.reported(name, "version")
            if told.get("value") != version:
                raise ToolError(f"{name} runs {told.get('value')}, and not {version} as before")
        self._rows.line(f"all boards run version {version} as before", "green")

    async def update(self):
        """A good one, in stages."""
        await self._rollout(_STAGES)

    async def _rollout(self, percents, change=None):
        rollout = Rollout(self._boards, self._rows, self._sign, 2 * _PATIENCE_S, change)
        names = [device.name for device in self._devices]
        await rollout.run(await self._boards.presences(), names, percents=percents)


async def _heard(subscription, right, otherwise):
    """Wait for a message with such a payload."""
    try:
        while not right((await subscription.next_msg(_PATIENCE_S)).data):
            pass
    except asyncio.TimeoutError:
        raise ToolError(f"{otherwise}, after {_PATIENCE_S} s") from None
