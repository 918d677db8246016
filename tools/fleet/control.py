"""A fleet that runs: which boards are there, how they are set, what they say, what they run.

    python -m tools.fleet COMMAND ...

    status                                    each board, by its presence
    config get greenhouse-7                   what is wanted of it, and what it reports
    config set greenhouse-7 period_s=5        one or more; _all instead of a name: all boards
    config unset greenhouse-7 period_s        what its settings.json says holds again
    logs [greenhouse-7] [--follow]            what was said lately, and what is said
    update greenhouse-7 [--version 1.3.0]     client and application as they are here
    update --stages 1,10,100                  all boards, 1 % of them first (one at least): the
                                              next stage begins once all of one have confirmed
    setup                                     the stream and the buckets that boards need

The server is that of the fleet in --dir, or the one of --server (where updates need --key, a file
with the seed that signs them). Exit code 1: a board has refused, or has not answered in time.
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import sys
import time
from pathlib import Path

import nats.errors
import nats.js.errors
from nats.js.api import ConsumerConfig, DeliverPolicy

from tools.console import Console
from tools.fleet import nats_jwt, stores
from tools.fleet.boards import Boards, state
from tools.fleet.connection import connect, connection, talk
from tools.fleet.fleet import Fleet
from tools.fleet.rollout import Rollout
from tools.fleet.subjects import ALL, STREAM
from tools.toolchain import ROOT, ToolError

_ANSWER_S = 15  # for a board to apply a setting
_MINUTES = 60  # of logs
LEVELS = ("debug", "info", "warning", "error", "critical")
_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}


# The commands


async def _status(boards, options, console):
    presences = await boards.presences()
    rows = []
    for name, found in sorted(presences.items()):
        if found is None:
            rows.append((name, ("away", "red"), *[""] * 7))
            continue
        presence, age = found
        cell = presence.get
        rows.append(
            (
                name, state(presence, age), cell("version"), f"{age:.0f} s", cell("up"),
                cell("boot"), cell("reset"), cell("rssi"), cell("address"),
            )
        )  # fmt: skip
    if not rows:
        console.line('no board has told of itself: "presence_s": 30 in its settings has it do so')
    else:
        heads = ("board", "state", "version", "told", "up", "boot", "reset", "signal", "address")
        console.table(heads, rows)


async def _get(boards, options, console):
    found = await boards.config(options.device)
    rows = []
    for field, (wanted, text) in sorted(found.items()):
        if options.fields and field not in options.fields:
            continue
        with contextlib.suppress(ValueError, TypeError):
            told = json.loads(text)
            error = told.get("error")
            text = json.dumps(told.get("value"))
            rows.append((field, wanted or "", text, (error or "", "red")))
            continue
        rows.append((field, wanted or "", text or "", ""))
    console.table(("field", "wanted", "is", "error"), rows)


async def _set(boards, options, console):
    pairs = []
    for text in options.values:
        field, sign, value = text.partition("=")
        if not sign or not field:
            raise ToolError(f"{text!r}: give field=value, like period_s=5")
        pairs.append((field, value))
    await _change(boards, options, console, pairs)


async def _unset(boards, options, console):
    await _change(boards, options, console, [(field, None) for field in options.fields])


async def _change(boards, options, console, pairs):
    """Set fields, and wait until the board has answered."""
    wanted = {}
    for field, value in pairs:
        wanted[field] = await boards.want(options.device, field, value)
    if options.device == ALL:
        console.line("wanted of all boards; `config get` tells what each makes of it")
        return
    refused = []
    end = time.monotonic() + options.wait
    while wanted and time.monotonic() < end:
        for field, revision in list(wanted.items()):
            told = await boards.reported(options.device, field)
            if told.get("revision") == revision:
                del wanted[field]
                if told.get("error"):
                    refused.append(field)
                    console.line(f"{field}: {told['error']}", "red")
                else:
                    console.line(f"{field} is {json.dumps(told.get('value'))}", "green")
        await asyncio.sleep(0.1)
    if wanted:
        raise ToolError(
            f"{options.device} has not answered within {options.wait:g} s about "
            f"{', '.join(wanted)}: it stays wanted, and is applied once the board is there"
        )
    if refused:
        raise ToolError(f"{options.device} has refused {', '.join(refused)}")


async def _logs(boards, options, console):
    """What the stream has of the last minutes, and with --follow what comes into it."""
    least = LEVELS.index(options.level)

    def show(msg):
        _, device, level = msg.subject.split(".", 2)
        if level not in LEVELS or LEVELS.index(level) < least:
            return
        try:
            line = json.loads(msg.data)
            text = str(line["msg"]) + (f"  ({line['n']} more)" if "n" in line else "")
        except (ValueError, KeyError, TypeError):
            text = msg.data.decode(errors="replace")
        clock = time.strftime("%H:%M:%S", msg.metadata.timestamp.astimezone().timetuple())
        console.line(f"{clock}  {device}  {level:8} {text}", _STYLES.get(level, ""))

    since = datetime.datetime.now(datetime.timezone.utc)
    since -= datetime.timedelta(minutes=options.since)
    config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=since)
    try:
        coming = await boards.nc.jetstream().subscribe(
            f"logs.{options.device or '*'}.*", stream=STREAM, ordered_consumer=True, config=config
        )
    except nats.js.errors.NotFoundError:
        raise ToolError("no stream takes logs: `python -m tools.fleet setup` makes one") from None
    while not console.broken and not boards.nc.is_closed:
        try:
            msg = await coming.next_msg(timeout=0.5)
        except nats.errors.TimeoutError:
            if not options.follow:
                return
            continue
        show(msg)
        if msg.metadata.num_pending == 0 and not options.follow:
            return


async def _update(boards, options, console):
    presences = await boards.presences()
    names = options.devices or sorted(presences)
    sign = options.fleet.sign if options.fleet else _signer(options.key)
    rollout = Rollout(boards, console, sign, options.wait)
    await rollout.run(presences, names, options.version, options.stages, options.downgrade)


async def _setup(boards, options, console):
    await stores.make(boards.nc)
    console.line("the server has what boards need")


def _signer(path):
    if path is None:
        raise ToolError("updates are signed: give --key, a file with the seed of an NKey (SU...)")
    try:
        return nats_jwt.Signer("update", Path(path).read_text().strip()).sign_bytes
    except OSError as error:
        raise ToolError(f"the key cannot be read: {error}") from None
    except ValueError as error:
        raise ToolError(f"{path}: {error}") from None


def _percents(text):
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or found != sorted(set(found)) or not 0 < found[0] <= found[-1] == 100:
        raise argparse.ArgumentTypeError("give percents that grow up to 100, like 1,10,100")
    return found


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tools.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dir", default=str(ROOT / "fleet"), help="folder of the fleet")
    parser.add_argument("--server", help="a server without one: nats://host:4222")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(into, name, run, about):
        sub = into.add_parser(name, help=about)
        sub.set_defaults(run=run)
        return sub

    command(commands, "status", _status, "each board, by its presence")
    command(commands, "setup", _setup, "the stream and the buckets that boards need")
    config = commands.add_parser("config", help="what is wanted of a board").add_subparsers(
        dest="what", required=True
    )
    get = command(config, "get", _get, "what is wanted, and what the board reports")
    get.add_argument("device")
    get.add_argument("fields", nargs="*")
    change = command(config, "set", _set, "field=value")
    change.add_argument("device", help=f"a name, or {ALL}")
    change.add_argument("values", nargs="+", metavar="field=value")
    unset = command(config, "unset", _unset, "what its settings.json says holds again")
    unset.add_argument("device", help=f"a name, or {ALL}")
    unset.add_argument("fields", nargs="+")
    for sub in (change, unset):
        sub.add_argument("--wait", type=float, default=_ANSWER_S, help="seconds (%(default)s)")
    logs = command(commands, "logs", _logs, "what boards say")
    logs.add_argument("device", nargs="?")
    logs.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument(
        "--since", type=float, default=_MINUTES, help="minutes ago to begin at (%(default)s)"
    )
    logs.add_argument("--level", default="debug", choices=LEVELS, help="from which on")
    update = command(commands, "update", _update, "what is here, onto boards")
    update.add_argument("devices", nargs="*", help="default: all")
    update.add_argument("--version", help="default: the highest there is, and one more")
    update.add_argument("--stages", type=_percents, default=[100], help="percents: 1,10,100")
    update.add_argument("--downgrade", action="store_true", help="also to an older version")
    update.add_argument("--key", help="with --server: file with the seed that signs")
    update.add_argument(
        "--wait", type=float, default=300, help="seconds for a stage (%(default)s)"
    )
    return parser


async def _run(options, console):
    known = options.fleet.devices if options.fleet else ()
    nc = await (connection(options.fleet) if options.fleet else connect(options.server))
    try:
        await options.run(Boards(nc, known), options, console)
    finally:
        await nc.close()


def main(argv=None):
    options = _parser().parse_args(argv)
    try:
        options.fleet = None if options.server else Fleet(options.dir)
        talk(_run(options, Console()))
    except ToolError as error:
        sys.stdout.flush()
        sys.exit(f"fleet: {error}")
    except KeyboardInterrupt:
        pass
