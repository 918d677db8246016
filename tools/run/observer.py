"""Watches simulated boards from the other side of the server, commands them, and sums up."""

import asyncio
import contextlib
import functools
import json
import os
import statistics
import time
from decimal import Decimal

import nats
import nats.errors

from tools import deploy
from tools.console import Rows, indented, size, value
from tools.fleet import stores
from tools.run import address
from tools.run.device import Device
from tools.run.secure import Secured
from tools.run.show import Show
from tools.run.simulation import MARCH, Board, Server
from tools.run.stream import Stream
from tools.run.web import Web
from tools.toolchain import ToolError

_START_S = 45  # for the first readings of all boards; only a run that fails takes that long
_ANSWER_S = 5
_FIRST_COMMAND_S = 0.5  # not among the first readings
_COMMAND_EVERY_S = 2
_SUM_EVERY_S = 1
_ENDING_S = 0.2  # a process that ends closes its sockets a moment before it has ended
_LOOK_EVERY_S = 1
_LOOK_AFTER_S = 0.1  # the children, while something is acted out
_ROUND_S = 0.03  # readings that come so close together are shown on one line
_EACH_AT_MOST = 4  # boards that are shown one by one; more than that, added up
_SUMMARY_AT_MOST = 8
_NAMES_AT_MOST = 5
_OUTAGE_AT = 0.3  # of the run's time; in one without end:
_OUTAGE_AT_S = 10
_OUTAGE_S = 5  # at most, if nobody says how long
_SHORTEST_S = 6  # a run for an outage, with time to recover from it
_SHOW_AT_S = 2  # of the run
_SHORTEST_SHOW_S = 45  # a run for it
_RETRY_S = 0.05
_BACK_S = 45  # for boards to come back; only a run that fails takes that long
_LATE_S = 1.5  # a reading that is older was kept for a while

# Commands in turn, with what the LED is to be afterwards.
_COMMANDS = (("on", True), ("toggle", False), ("toggle", True), ("off", False), ("", False))

_NETWORK_ERRORS = (nats.errors.Error, OSError, asyncio.TimeoutError)


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
        self._stream = None
        self._secured = None
        self._web = None
        seconds = options.seconds or _SHORTEST_SHOW_S
        self._shows = options.web and seconds >= _SHORTEST_SHOW_S  # see `Show`
        self._cheats = None  # (how many were tried, how many were refused)
        self._outage = _outage(options)  # (when, how long) in seconds, or None
        self._away = False  # it is on
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
        if self._web:
            stack.enter_context(self._web.page())
        await self._connect(url)
        try:
            await self._prepare()
            self._start_boards(stack, folder, url)
            self._headline(url)
            if await self._all_heard():
                await self._ask_all("first")
                await self._cheat()
                with self._console.live(self._live_table):
                    looking = asyncio.create_task(self._look_on())
                    try:
                        await self._busy()
                    finally:
                        looking.cancel()
            if not self._server or self._server.ended is None:
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
        options = ()
        if self._options.secure:
            self._secured = Secured(folder, self._names())
            options = self._secured.server_options
        if self._options.web:
            self._web = Web(folder, self._secured and self._secured.fleet)
            options = options or self._web.server_options
        self._server = Server(_subfolder(folder, "server"), *options, jetstream=not self._secured)
        stack.callback(self._server.stop)
        return self._server.url

    async def _connect(self, url):
        errors = []  # nats.connect itself raises something that does not say why

        async def on_error(error):
            errors.append(error)
            if self._rows and not self._away:
                self._rows.line(self._scrub(f"observer: {_reason(error)}"), "red")

        async def on_disconnected():
            if not self._nats or self._over or self._away:
                return
            await asyncio.sleep(_ENDING_S)
            self._look_after_children()
            if not self._trouble:
                self._fail("the observer's connection to the server was lost")

        try:
            self._nats = await nats.connect(
                url,
                name="make run",
                allow_reconnect=bool(self._outage),
                max_reconnect_attempts=-1 if self._outage else 1,
                reconnect_time_wait=_RETRY_S if self._outage else 0,
                connect_timeout=_ANSWER_S,
                error_cb=on_error,
                disconnected_cb=on_disconnected,
                **(self._secured.observer() if self._secured else {}),
            )
        except _NETWORK_ERRORS as error:
            reason = self._scrub(_reason(errors[0] if errors else error))
            raise ToolError(f"cannot connect to {address.shown(url)}: {reason}") from None

    async def _prepare(self):
        """Make the stream and subscribe, before there is anything to be missed."""
        for name in self._names():
            self._devices[name] = Device(name, has_stream=self._server is not None)
        if self._server:
            self._stream = Stream(self._nats)
            await stores.make(self._nats) if self._web else await self._stream.make()
        await self._subscribe()

    def _names(self):
        """Names for the boards; on somebody else's server they must not meet those of others."""
        prefix = f"sim-{os.urandom(3).hex()}-" if self._options.server else "board-"
        digits = len(str(self._options.devices))
        return [f"{prefix}{number:0{digits}}" for number in range(1, self._options.devices + 1)]

    def _start_boards(self, stack, folder, url):
        settings = {
            "period_s": self._options.period,
            "outbox": "stream" if self._stream else "none",
        }
        if self._web:
            settings.update(self._web.settings)
        code = _subfolder(folder, "code")
        deploy.stage(code, None, MARCH, True)
        for name, device in self._devices.items():
            flash = _subfolder(folder, name)
            if self._secured:
                self._secured.equip(name, flash)
                settings.update(self._secured.settings(name, url))
            device.board = Board(
                name, flash, settings.pop("server", url), self._options.heap, code, **settings
            )
            stack.callback(device.board.stop)
        # The stack waits for one after the other; let all of them begin to end before that.
        for device in self._devices.values():
            stack.callback(device.board.ask_to_stop)

    def _headline(self, url):
        options = self._options
        boards = (
            "1 simulated board" if options.devices == 1 else f"{options.devices} simulated boards"
        )
        heap = options.heap.replace("K", " KB").replace("M", " MB")
        version = self._nats.connected_server_version
        version = f"{version.major}.{version.minor}.{version.patch}"
        server = f"nats-server {version} at {address.shown(url)}"
        self._console.line(f"{boards} with {heap} of heap, {server}", "bold")
        if self._web:
            self._console.line(f"In a browser: {self._web.url}", "bold")
        if self._secured:
            self._console.line("TLS, and an identity for each of them.", "dim")
        length = f"for {options.seconds:g} s" if options.seconds else "until Ctrl-C"
        self._console.line(f"Each sensor is read every {options.period:g} s, {length}.", "dim")
        for text in self._plan():
            self._console.line(text, "dim")
        self._console.line()
        self._rows = Rows(self._console, () if self._many else self._devices)

    def _plan(self):
        """Lines about what is going to happen."""
        if self._shows:
            yield (
                "A setting is changed, a board is killed and missed, "
                "an update comes back, and a good one goes out in stages."
            )
        elif self._web:
            yield f"(Nothing is acted out for the page: that takes a run of {_SHORTEST_SHOW_S} s.)"
        if self._outage:
            yield "The server is killed after {:g} s, for {:g} s.".format(*self._outage)
        elif self._stream and self._options.outage is None:
            yield f"(The server is not killed: that takes a run of {_SHORTEST_S} s.)"

    async def _subscribe(self):
        for name in self._devices:
            await self._nats.subscribe(f"sensors.{name}.*", cb=self._on_reading)
            await self._nats.subscribe(f"devices.{name}.hello", cb=self._on_hello)
            await self._nats.subscribe(f"devices.{name}.error", cb=self._on_error)
        await self._nats.flush()

    async def _all_heard(self):
        """Wait for readings from all boards; False if that was not to be."""
        deadline = time.monotonic() + _START_S
        while not self._stop.is_set():
            silent = [device for device in self._devices.values() if not device.live.seqs]
            if not silent:
                return True
            if time.monotonic() > deadline:
                output = indented(silent[0].board.tail())
                self._fail(
                    f"no readings within {_START_S} s from {_names(silent)}; "
                    f"output of the first:\n{output}"
                )
            await self._pause(0.05)
        return False

    # Listening

    async def _on_reading(self, msg):
        _, name, kind = msg.subject.split(".")
        reading = json.loads(msg.data, parse_float=Decimal)  # keeps 21.50 as it is
        age = self._devices[name].take(kind, reading)
        self._arrived += 1
        self._latest.setdefault(kind, {})[name] = reading["v"]
        self._widths[kind] = max(self._widths.get(kind, 0), len(value(kind, reading["v"])))
        if self._many or self._console.terminal:
            return
        # Kept readings come quickly.
        if kind in [other for other, _, _ in self._rounds.get(name, ())]:
            self._show_round(name, self._rounds[name])
        if name not in self._rounds:
            self._rounds[name] = []
            asyncio.get_running_loop().call_later(
                _ROUND_S, self._show_round, name, self._rounds[name]
            )
        self._rounds[name].append((kind, reading, age))

    def _show_round(self, name, readings):
        """Show these readings, unless they were shown already."""
        if self._rounds.get(name) is not readings:
            return
        del self._rounds[name]
        values = [f"{kind} {value(kind, r['v']):>{self._widths[kind]}}" for kind, r, _ in readings]
        age = readings[0][2]
        late = f"   taken {age:.0f} s ago" if age > _LATE_S else ""
        self._rows.row(
            name,
            f"#{readings[0][1]['seq']:<4} " + "   ".join(values) + late,
            *(["yellow"] if late else []),
        )

    async def _on_hello(self, msg):
        hello = json.loads(msg.data)
        name = msg.subject.split(".")[1]
        self._devices[name].connections = hello["connections"]
        if self._away and self._many:
            return  # all of them say it now
        if hello["connections"] > 1:
            ended = self._scrub(str(hello["disconnected"]))
            before = f"the one before ended with: {ended}"
            text = f"hello again, connection {hello['connections']}; {before}"
            self._rows.row(name, text, "yellow")
        elif not self._many:
            self._rows.row(
                name, f"hello from a {hello['board']} board, last reset: {hello['reset']}", "bold"
            )

    async def _on_error(self, msg):
        report = json.loads(msg.data)
        name = msg.subject.split(".")[1]
        what = (
            f"sensor {report['sensor']} fails: {report['error']}"
            if "sensor" in report
            else report["outbox"]
        )
        self._rows.row(name, self._scrub(what), "red")

    # While it runs

    async def _cheat(self):
        """Have somebody try to be a board that he is not."""
        if not self._secured:
            return
        refusals = []

        def tell(text, refused):
            refusals.append(refused)
            self._rows.line(text, "green" if refused else "red")

        try:
            await self._secured.cheat(self._server.url, self._nats, tell)
            self._cheats = len(refusals), sum(refusals)
        except _NETWORK_ERRORS as error:
            self._fail(f"the attempts to cheat came to no end: {_reason(error)}")

    async def _busy(self):
        """Commands every now and then, and the outage, until the time is up."""
        now = time.monotonic()
        end = now + (self._options.seconds or float("inf"))
        command_at = now + min(_FIRST_COMMAND_S, (end - now) / 2)
        sum_at = now if self._many and not self._console.terminal else end
        acts = self._acts(now)
        step = 0
        while not self._stop.is_set() and (now < end or acts):
            if acts and now >= acts[0][0]:
                await acts.pop(0)[1]()
                now = command_at = time.monotonic()
                step = 0
            if now >= sum_at:
                self._show_sum()
                sum_at = now + _SUM_EVERY_S
            if now >= command_at:
                await self._command(*_COMMANDS[step % len(_COMMANDS)])
                step += 1
                command_at += _COMMAND_EVERY_S
            act_at = acts[0][0] if acts else end
            await self._pause(min(command_at, sum_at, act_at) - time.monotonic())
            now = time.monotonic()

    def _acts(self, now):
        """What happens while it runs: a list of (when at the earliest, coroutine function)."""
        outage = [(now + self._outage[0], self._hold_outage)] if self._outage else []
        if not self._shows:
            return outage
        devices = list(self._devices.values())
        show = Show(self._nats, devices, self._rows, self._web.sign, self._options.period)

        def shown(act, at=now):
            return at, functools.partial(self._unless_stopped, act)

        begin = shown(show.change_settings, now + _SHOW_AT_S), shown(show.kill_a_board)
        return [*begin, *outage, shown(show.update_badly), shown(show.update)]

    async def _unless_stopped(self, act):
        """Do it to its end, unless the run is to stop: then all boards have to be back."""
        acting = asyncio.create_task(act())
        while not acting.done() and not self._stop.is_set():
            await self._pause(_LOOK_AFTER_S)
        acting.cancel()
        try:
            await acting
        except asyncio.CancelledError:
            await self._all_back(time.monotonic() + _BACK_S)
        except (ToolError, *_NETWORK_ERRORS) as error:
            self._fail(_reason(error))

    async def _hold_outage(self):
        """Kill the server, start it again after a while, and wait until all boards are back."""
        seconds = self._outage[1]
        self._rows.line(f"the server is killed, for {seconds:g} s", "yellow")
        self._away = True
        self._server.kill()
        await self._pause(seconds)
        await asyncio.to_thread(self._server.again)
        self._rows.line("the server is there again", "yellow")
        began = time.monotonic()
        if await self._all_back(began + _BACK_S):
            self._rows.line(
                f"all boards are back, {time.monotonic() - began:.1f} s later", "green"
            )
        self._away = False

    async def _all_back(self, deadline):
        """Wait until each board answers.

        Not for longer than to the deadline, but also if it is to stop.
        """
        backs = await asyncio.gather(
            *[self._is_back(device, deadline) for device in self._devices.values()]
        )
        missing = [device for device, back in zip(self._devices.values(), backs) if not back]
        if missing:
            output = indented(missing[0].board.tail())
            self._fail(
                f"not back within {_BACK_S} s: {_names(missing)}; output of the first:\n{output}"
            )
        return not missing

    async def _is_back(self, device, deadline):
        while time.monotonic() < deadline and device.board.ended is None:
            with contextlib.suppress(*_NETWORK_ERRORS):
                await self._nats.request(f"devices.{device.name}.info", b"", 1)
                return True
            await asyncio.sleep(_RETRY_S)
            self._look_after_children()
        return False

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
        if self._server and self._server.ended is not None and not self._away:
            self._fail(
                f"nats-server ended by itself; its output:\n{indented(self._server.tail())}"
            )
        ended = []
        for device in self._devices.values():
            if device.board.was_reset:
                device.board.start()
            elif device.board.ended is not None and not device.killed:
                ended.append(device)
        if ended:
            which = "the first one's output" if len(ended) > 1 else "its output"
            self._fail(f"{_names(ended)} ended; {which}:\n{indented(ended[0].board.tail())}")

    async def _command(self, command, lit):
        devices = self._devices.values()
        took = await asyncio.gather(*[self._switch(device, command, lit) for device in devices])
        if self._many:
            good = [t for t in took if t is not None]
            typical = f", {statistics.median(good) * 1000:.1f} ms (median)" if good else ""
            text = f"{len(good)} of {len(devices)} answered and obeyed{typical}"
            text = f"led {command or '(read)'} -> {text}"
            self._rows.line(text, "green" if len(good) == len(devices) else "red")

    async def _switch(self, device, command, lit):
        """Send one command; seconds until the answer, or None if it was not answered or obeyed."""
        began = time.monotonic()
        device.asked += 1
        try:
            msg = await self._nats.request(
                f"devices.{device.name}.led", command.encode(), _ANSWER_S
            )
        except _NETWORK_ERRORS as error:
            self._show_command(device, command, f"no answer: {self._scrub(_reason(error))}", False)
            return None
        took = time.monotonic() - began
        device.answered += 1
        answer = msg.data.decode(errors="replace")
        is_lit = device.board.lit  # seen on the board itself, whatever it answers
        good = answer == ("on" if lit else "off") and is_lit == lit
        device.disobeyed += not good and not self._web  # where a person may switch it, too
        text = f"{answer}, LED is {'lit' if is_lit else 'dark'}, {took * 1000:.1f} ms"
        self._show_command(device, command, text, good)
        return took if good else None

    def _show_command(self, device, command, text, good):
        if not self._many or not good:
            self._rows.row(
                device.name, f"led {command or '(read)'} -> {text}", "green" if good else "red"
            )

    def _show_sum(self):
        since = time.monotonic() - 2 * max(_SUM_EVERY_S, self._options.period)
        heard = sum(device.heard_at > since for device in self._devices.values())
        spans = []
        for kind, values in self._latest.items():
            low, high = min(values.values()), max(values.values())
            span = value(kind, high)
            if low != high:
                span = f"{value(kind, low).split()[0]} to {span}"
            spans.append(f"{kind} {span}")
        self._rows.line(f"{heard} boards, {self._arrived} readings   " + "   ".join(spans))

    async def _look_on(self):
        """Ask the boards how many readings wait, for who looks at the table."""
        while self._console.terminal:
            if not self._away:
                await self._ask_all("seen")
            await asyncio.sleep(_LOOK_EVERY_S)

    def _live_table(self):
        return self._console.boards(list(self._devices.values()), self._away)

    # Ending

    async def _ask_all(self, attribute):
        """Keep as `attribute` what each board says of itself, None if it does not answer."""
        await asyncio.gather(*[self._ask(device, attribute) for device in self._devices.values()])

    async def _ask(self, device, attribute):
        with contextlib.suppress(*_NETWORK_ERRORS):
            msg = await self._nats.request(f"devices.{device.name}.info", b"", _ANSWER_S)
            info = json.loads(msg.data)
            setattr(device, attribute, info)
            device.connections = info["connections"]  # its hello may not have been heard

    async def _catch_up(self):
        """Wait for all that the boards had published by their last answer, if it comes."""
        if self._stream:
            try:
                await self._stream.read(self._on_stored)
            except _NETWORK_ERRORS as error:
                self._fail(f"the stream cannot be read: {_reason(error)}")
        deadline = time.monotonic() + (_BACK_S if self._outage else _ANSWER_S)
        while self._is_missing() and time.monotonic() < deadline and not self._trouble:
            await asyncio.sleep(0.02)
        if self._stream and not self._trouble:  # it may hold more than that
            count = await self._stream.count()
            while (
                sum(d.stored.count for d in self._devices.values()) < count
                and time.monotonic() < deadline
            ):
                await asyncio.sleep(0.02)

    def _is_missing(self):
        """Whether a reading is, with hope that it will come."""
        return any(
            d.last and (d.lost or (d.received < d.published and not self._outage))
            for d in self._devices.values()
        )

    def _on_stored(self, msg):
        _, name, kind = msg.subject.split(".")
        message_id = (msg.headers or {}).get("Nats-Msg-Id", "")
        self._devices[name].stored.take(kind, json.loads(msg.data), message_id)

    def _summary(self):
        for name, readings in list(self._rounds.items()):
            self._show_round(name, readings)
        devices = list(self._devices.values())
        if not self._trouble:
            self._judge(devices)
        told = [device for device in devices if device.last]
        if told:
            self._console.line()
            self._table(told)
        return self._trouble

    def _judge(self, devices):
        silent = (
            "stopped before there were readings from"
            if self._stop.is_set()
            else "no readings from"
        )
        for text, test in (
            (silent, lambda d: not d.live.seqs),
            ("no answer to info from", lambda d: not d.last),
            ("a command was not answered by", lambda d: d.answered < d.asked or not d.asked),
            ("a command was not obeyed by", lambda d: d.disobeyed),
            ("readings were lost from", lambda d: d.last and (d.lost or d.dropped)),
            (
                "readings were not heard from",
                lambda d: d.last and not self._outage and d.received < d.published,
            ),
            ("readings came twice from", lambda d: d.record.twice),
            ("readings are not in order from", lambda d: d.record.late),
        ):
            found = [device for device in devices if test(device)]
            if found:
                self._trouble.append(f"{text} {_names(found)}")
        if self._secured and (not self._cheats or self._cheats[0] != self._cheats[1]):
            self._trouble.append(
                "an attempt to cheat was not refused"
                if self._cheats
                else "no attempt to cheat was made"
            )

    def _table(self, devices):
        width = max(len("all boards"), *(len(device.name) for device in devices))
        stored = f"  {'in stream':>9}" if self._stream else ""
        head = f"{'published':>9}  {'received':>8}{stored}  {'lost':>4}  {'commands':>8}"
        head += "   heap, first, last"
        self._console.line(f"{'':{width}}  {head}", "bold")
        if len(devices) > _SUMMARY_AT_MOST:
            single = [device for device in devices if device.lost or device.disobeyed]
        else:
            single = devices
        for device in single:
            self._table_line(f"{device.name:{width}}", [device])
        if len(devices) > 1:
            self._table_line(f"{'all boards':{width}}", devices)
        if self._cheats:
            self._console.line(
                f"{self._cheats[1]} of {self._cheats[0]} attempts to cheat were refused."
            )
        unheard = sum(device.published - device.received for device in devices)
        if self._outage and unheard:
            text = (
                "came while the subscriber itself had no connection: they are in the stream only"
            )
            self._console.line(f"{unheard} of the readings {text}.", "dim")

    def _table_line(self, name, devices):
        published = sum(device.published for device in devices)
        lost = sum(device.lost for device in devices)
        commands = f"{sum(d.answered for d in devices)} of {sum(d.asked for d in devices)}"
        received = sum(device.received for device in devices)
        stored = f"  {published - lost:9}" if self._stream else ""
        text = f"{name}  {published:9}  {received:8}{stored}  {lost:4}  {commands:>8}   "
        for infos in ([d.first for d in devices if d.first], [d.last for d in devices]):
            if infos:
                text += f"{size(max(info['heap_used'] for info in infos)):>8}  "
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


def _outage(options):
    """(When, how long) the server is to be away, in seconds from when all boards are up.

    None: never.
    """
    length = options.outage
    if options.server or length == 0:
        return None
    if options.seconds is None:
        return _OUTAGE_AT_S, length or _OUTAGE_S
    if length is None:
        if options.seconds < _SHORTEST_S:
            return None
        length = min(options.seconds / 5, _OUTAGE_S)
    return options.seconds * _OUTAGE_AT, length


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
