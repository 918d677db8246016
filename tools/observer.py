"""Watches simulated boards from the other side of the server, commands them, and sums up."""

import asyncio
import contextlib
import json
import os
import statistics
import time
from decimal import Decimal

import address
import nats
import nats.errors
from console import Rows, indented, size
from simulation import Board, Server
from toolchain import ToolError

_START_S = 45  # for the first readings of all boards; only a run that fails takes that long
_ANSWER_S = 5
_FIRST_COMMAND_S = 0.5  # not among the first readings
_COMMAND_EVERY_S = 2
_SUM_EVERY_S = 1
_ENDING_S = 0.2  # a process that ends closes its sockets a moment before it has ended
_ROUND_S = 0.03  # readings that come so close together are shown on one line
_EACH_AT_MOST = 4  # boards that are shown one by one; more than that, added up
_SUMMARY_AT_MOST = 8
_NAMES_AT_MOST = 5

# Commands in turn, with what the LED is to be afterwards.
_COMMANDS = (("on", True), ("toggle", False), ("toggle", True), ("off", False), ("", False))

_UNITS = {"temp": " °C", "uptime": " s", "rssi": " dBm"}

_NETWORK_ERRORS = (nats.errors.Error, OSError, asyncio.TimeoutError)


class Device:
    """What the observer knows of one board."""

    def __init__(self, board):
        self.board = board
        self.name = board.name
        self.seqs = {}  # kind -> set of seq
        self.twice = 0
        self.heard_at = None
        self.first = None  # what info said at the start and at the end
        self.last = None
        self.asked = 0
        self.answered = 0
        self.disobeyed = 0

    def take(self, kind, seq):
        seqs = self.seqs.setdefault(kind, set())
        self.twice += seq in seqs
        seqs.add(seq)
        self.heard_at = time.monotonic()

    @property
    def published(self):
        return sum(self.last["readings"].values()) - self.last["unsent"]

    @property
    def lost(self):
        """Readings that were published before the last info and have not arrived."""
        arrived = 0
        for kind, top in self.last["readings"].items():
            arrived += sum(seq <= top for seq in self.seqs.get(kind, ()))
        return self.published - arrived


class Run:
    """One run: server, boards, commands, summary. `stop()` ends it early, and in order."""

    def __init__(self, options, console):
        self._options = options
        self._console = console
        self._secrets = address.secrets(options.server) if options.server else []
        self._many = options.devices > _EACH_AT_MOST
        self._stop = asyncio.Event()
        self._over = False
        self._server = None
        self._nats = None
        self._rows = None
        self._devices = {}
        self._rounds = {}  # name -> readings that are about to be shown
        self._latest = {}  # kind -> {name: value}
        self._widths = {}  # kind -> of its longest value
        self._arrived = 0
        self._trouble = []

    async def go(self, stack, folder):
        """Run; children are ended by `stack`. Returns what went wrong, as a list of texts."""
        url = self._options.server or self._start_server(stack, folder)
        await self._connect(url)
        try:
            self._start_boards(stack, folder, url)
            self._headline(url)
            await self._subscribe()
            if await self._all_heard():
                await self._ask_all("first")
                await self._busy()
            await self._ask_all("last")
            await self._catch_up()
        finally:
            self._over = True
            with contextlib.suppress(*_NETWORK_ERRORS):
                await self._nats.close()
        return self._summary()

    def stop(self):
        self._stop.set()

    # Starting

    def _start_server(self, stack, folder):
        self._server = Server(_subfolder(folder, "server"))
        stack.callback(self._server.stop)
        return self._server.url

    async def _connect(self, url):
        errors = []  # nats.connect itself raises something that does not say why

        async def on_error(error):
            errors.append(error)
            if self._rows:
                self._rows.row("", self._scrub(f"observer: {_reason(error)}"), "red")

        async def on_disconnected():
            if not self._nats or self._over:
                return
            await asyncio.sleep(_ENDING_S)
            self._look_after_children()
            if not self._trouble:
                self._fail("the observer's connection to the server was lost")

        try:
            self._nats = await nats.connect(
                url,
                name="make run",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_ANSWER_S,
                error_cb=on_error,
                disconnected_cb=on_disconnected,
            )
        except _NETWORK_ERRORS as error:
            reason = self._scrub(_reason(errors[0] if errors else error))
            raise ToolError(f"cannot connect to {address.shown(url)}: {reason}") from None

    def _start_boards(self, stack, folder, url):
        # On somebody else's server the names must not meet those of other boards.
        prefix = f"sim-{os.urandom(3).hex()}-" if self._options.server else "board-"
        digits = len(str(self._options.devices))
        for number in range(1, self._options.devices + 1):
            name = f"{prefix}{number:0{digits}}"
            board = Board(name, _subfolder(folder, name), url, self._options.period, self._options.heap)
            stack.callback(board.stop)
            self._devices[name] = Device(board)
        # The stack waits for one after the other; let all of them begin to end before that.
        for device in self._devices.values():
            stack.callback(device.board.ask_to_stop)

    def _headline(self, url):
        options = self._options
        boards = "1 simulated board" if options.devices == 1 else f"{options.devices} simulated boards"
        heap = options.heap.replace("K", " KB").replace("M", " MB")
        version = self._nats.connected_server_version
        version = f"{version.major}.{version.minor}.{version.patch}"
        server = f"nats-server {version} at {address.shown(url)}"
        self._console.line(f"{boards} with {heap} of heap, {server}", "bold")
        length = f"for {options.seconds:g} s" if options.seconds else "until Ctrl-C"
        self._console.line(f"Each sensor is read every {options.period:g} s, {length}.", "dim")
        self._console.line()
        self._rows = Rows(self._console, () if self._many else self._devices)

    async def _subscribe(self):
        for name in self._devices:
            await self._nats.subscribe(f"sensors.{name}.*", cb=self._on_reading)
            await self._nats.subscribe(f"devices.{name}.hello", cb=self._on_hello)
            await self._nats.subscribe(f"devices.{name}.error", cb=self._on_error)

    async def _all_heard(self):
        """Wait for readings from all boards; False if that was not to be."""
        deadline = time.monotonic() + _START_S
        while not self._stop.is_set():
            silent = [device for device in self._devices.values() if not device.seqs]
            if not silent:
                return True
            if time.monotonic() > deadline:
                output = indented(silent[0].board.tail())
                self._fail(f"no readings within {_START_S} s from {_names(silent)}; output of the first:\n{output}")
            await self._pause(0.05)
        return False

    # Listening

    async def _on_reading(self, msg):
        _, name, kind = msg.subject.split(".")
        reading = json.loads(msg.data, parse_float=Decimal)  # keeps 21.50 as it is
        self._devices[name].take(kind, reading["seq"])
        self._arrived += 1
        self._latest.setdefault(kind, {})[name] = reading["v"]
        self._widths[kind] = max(self._widths.get(kind, 0), len(_value(kind, reading["v"])))
        if self._many:
            return
        if name not in self._rounds:
            self._rounds[name] = []
            asyncio.get_running_loop().call_later(_ROUND_S, self._show_round, name)
        self._rounds[name].append((kind, reading))

    def _show_round(self, name):
        readings = self._rounds.pop(name, [])
        if readings:
            values = [f"{kind} {_value(kind, r['v']):>{self._widths[kind]}}" for kind, r in readings]
            self._rows.row(name, f"#{readings[0][1]['seq']:<4} " + "   ".join(values))

    async def _on_hello(self, msg):
        hello = json.loads(msg.data)
        name = msg.subject.split(".")[1]
        if hello["connections"] > 1:
            ended = self._scrub(str(hello["disconnected"]))
            text = f"hello again, connection {hello['connections']}; the one before ended with: {ended}"
            self._row(name, text, "yellow")
        elif not self._many:
            self._row(name, f"hello from a {hello['board']} board, last reset: {hello['reset']}", "bold")

    async def _on_error(self, msg):
        report = json.loads(msg.data)
        name = msg.subject.split(".")[1]
        self._row(name, self._scrub(f"sensor {report['sensor']} fails: {report['error']}"), "red")

    def _row(self, name, text, *styles):
        if self._many:
            self._rows.row("", f"{name} {text}", *styles)
        else:
            self._rows.row(name, text, *styles)

    # While it runs

    async def _busy(self):
        """Commands every now and then, until the time is up."""
        now = time.monotonic()
        end = now + (self._options.seconds or float("inf"))
        command_at = now + min(_FIRST_COMMAND_S, (end - now) / 2)
        sum_at = now if self._many else end
        step = 0
        while not self._stop.is_set() and now < end:
            if now >= sum_at:
                self._show_sum()
                sum_at = now + _SUM_EVERY_S
            if now >= command_at:
                await self._command(*_COMMANDS[step % len(_COMMANDS)])
                step += 1
                command_at += _COMMAND_EVERY_S
            await self._pause(min(end, command_at, sum_at) - time.monotonic())
            now = time.monotonic()

    async def _pause(self, seconds):
        """Sleep, but not on when the run is to stop or a child has ended."""
        until = time.monotonic() + seconds
        while not self._stop.is_set():
            self._look_after_children()
            if self._console.broken:
                self.stop()
            left = until - time.monotonic()
            if left <= 0:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(left, 0.2))

    def _look_after_children(self):
        if self._server and self._server.ended is not None:
            self._fail(f"nats-server ended by itself; its output:\n{indented(self._server.tail())}")
        ended = [device for device in self._devices.values() if device.board.ended is not None]
        if ended:
            which = "the first one's output" if len(ended) > 1 else "its output"
            self._fail(f"{_names(ended)} ended; {which}:\n{indented(ended[0].board.tail())}")

    async def _command(self, command, lit):
        devices = self._devices.values()
        took = await asyncio.gather(*[self._switch(device, command, lit) for device in devices])
        if self._many:
            good = [t for t in took if t is not None]
            typical = f", {statistics.median(good) * 1000:.1f} ms (median)" if good else ""
            text = f"led {command or '(read)'} -> {len(good)} of {len(devices)} answered and obeyed{typical}"
            self._rows.row("", text, "green" if len(good) == len(devices) else "red")

    async def _switch(self, device, command, lit):
        """Send one command; seconds until the answer, or None if it was not answered or obeyed."""
        began = time.monotonic()
        device.asked += 1
        try:
            msg = await self._nats.request(f"devices.{device.name}.led", command.encode(), _ANSWER_S)
        except _NETWORK_ERRORS as error:
            self._show_command(device, command, f"no answer: {self._scrub(_reason(error))}", False)
            return None
        took = time.monotonic() - began
        device.answered += 1
        answer = msg.data.decode(errors="replace")
        is_lit = device.board.lit  # seen on the board itself, whatever it answers
        good = answer == ("on" if lit else "off") and is_lit == lit
        device.disobeyed += not good
        text = f"{answer}, LED is {'lit' if is_lit else 'dark'}, {took * 1000:.1f} ms"
        self._show_command(device, command, text, good)
        return took if good else None

    def _show_command(self, device, command, text, good):
        if not self._many or not good:
            self._row(device.name, f"led {command or '(read)'} -> {text}", "green" if good else "red")

    def _show_sum(self):
        since = time.monotonic() - 2 * max(_SUM_EVERY_S, self._options.period)
        heard = sum(device.heard_at > since for device in self._devices.values())
        spans = []
        for kind, values in self._latest.items():
            low, high = min(values.values()), max(values.values())
            span = _value(kind, high)
            if low != high:
                span = f"{_value(kind, low).split()[0]} to {span}"
            spans.append(f"{kind} {span}")
        self._rows.row("", f"{heard} boards, {self._arrived} readings   " + "   ".join(spans))

    # Ending

    async def _ask_all(self, attribute):
        """Keep as `attribute` what each board says of itself, None if it does not answer."""
        await asyncio.gather(*[self._ask(device, attribute) for device in self._devices.values()])

    async def _ask(self, device, attribute):
        with contextlib.suppress(*_NETWORK_ERRORS):
            msg = await self._nats.request(f"devices.{device.name}.info", b"", _ANSWER_S)
            setattr(device, attribute, json.loads(msg.data))

    async def _catch_up(self):
        """What the boards sent before their last answer is here, but maybe not handed over yet."""
        deadline = time.monotonic() + _ANSWER_S
        while any(d.last and d.lost for d in self._devices.values()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    def _summary(self):
        for name in list(self._rounds):
            self._show_round(name)
        devices = list(self._devices.values())
        if not self._trouble:
            self._judge(devices)
        told = [device for device in devices if device.last]
        if told:
            self._console.line()
            self._table(told)
        return self._trouble

    def _judge(self, devices):
        silent = "stopped before there were readings from" if self._stop.is_set() else "no readings from"
        for text, test in (
            (silent, lambda d: not d.seqs),
            ("no answer to info from", lambda d: not d.last),
            ("a command was not answered by", lambda d: d.answered < d.asked or not d.asked),
            ("a command was not obeyed by", lambda d: d.disobeyed),
            ("readings were lost from", lambda d: d.last and d.lost),
            ("readings came twice from", lambda d: d.twice),
        ):
            found = [device for device in devices if test(device)]
            if found:
                self._trouble.append(f"{text} {_names(found)}")

    def _table(self, devices):
        width = max(len("all boards"), *(len(device.name) for device in devices))
        head = f"{'published':>9}  {'received':>8}  {'lost':>5}  {'commands':>10}   heap used, first and last"
        self._console.line(f"{'':{width}}  {head}", "bold")
        if len(devices) > _SUMMARY_AT_MOST:
            single = [device for device in devices if device.lost or device.disobeyed]
        else:
            single = devices
        for device in single:
            self._table_line(f"{device.name:{width}}", [device])
        if len(devices) > 1:
            self._table_line(f"{'all boards':{width}}", devices)

    def _table_line(self, name, devices):
        published = sum(device.published for device in devices)
        lost = sum(device.lost for device in devices)
        commands = f"{sum(d.answered for d in devices)} of {sum(d.asked for d in devices)}"
        text = f"{name}  {published:9}  {published - lost:8}  {lost:5}  {commands:>10}   "
        for infos in ([d.first for d in devices if d.first], [d.last for d in devices]):
            if infos:
                text += f"{size(max(info['heap_used'] for info in infos)):>8}  "
        if len(devices) > 1:
            text += "at most"
        unsent = sum(device.last["unsent"] for device in devices)
        if unsent:
            text += f" ({unsent} readings could not be sent)"
        self._console.line(text.rstrip(), *(["red"] if lost else []))

    def _fail(self, text):
        """Take note of what makes it pointless to go on, and stop."""
        text = self._scrub(text)
        if text not in self._trouble:
            self._trouble.append(text)
        self.stop()

    def _scrub(self, text):
        """`text` without the secrets of the server's address."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _value(kind, value):
    return size(value) if kind == "heap" else f"{value}{_UNITS.get(kind, '')}"


def _reason(error):
    return str(error) or type(error).__name__


def _names(devices):
    names = ", ".join(device.name for device in devices[:_NAMES_AT_MOST])
    more = len(devices) - _NAMES_AT_MOST
    return f"{names} and {more} more" if more > 0 else names


def _subfolder(folder, name):
    path = os.path.join(folder, name)
    os.mkdir(path)
    return path
