"""Simulated boards against a real server, and what an independent subscriber sees of them.

    make run                             one board, a server of its own, until Ctrl-C
    make run SECONDS=10 DEVICES=20       twenty boards, for ten seconds from when all are up
    make run OUTAGE=0                    without killing the server in the middle of it
    make run SECURE=1                    over TLS, each board with credentials of its own
    make run WEB=1                       with a page that shows the boards, in a browser
    make run SERVER=nats://host:4222     a server that is there already

The server of our own has a JetStream stream of all readings. It is killed in the middle of the run
and started again a few seconds later; at the end every reading has to be in the stream, once, and
in order. With SECURE=1 that server knows nobody but this fleet, made for this run, and nobody can
be another.

Exit code 0 if readings arrived from every board, none was lost or stored twice, and every board
answered each command and obeyed, and if no attempt to cheat succeeded; 1 otherwise, and what went
wrong is said; 2 for a wrong option.
"""

import argparse
import asyncio
import contextlib
import os
import re
import resource
import signal
import sys
import tempfile
from pathlib import Path

from tools.console import Console
from tools.run import address
from tools.run.observer import Run
from tools.run.simulation import FLEET_HEAP, HEAP, SECURE_HEAP
from tools.toolchain import ToolError

_BOARD_BYTES = 12 << 20  # of memory for a board: its process, and what the server keeps for it
_FILES = 64  # that are open without boards
_LEAST_HEAP_KB = 32
_MOST_HEAP_KB = 65536


class Signals:
    """The first signal ends the run in order, with its summary; a second Ctrl-C ends it at once.

    Stays in charge to the end of the program, so that none of the clearing up is skipped.
    """

    def __init__(self):
        self._count = 0
        self._on_first = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._came)

    def when_first(self, function):
        self._on_first = function
        if self._count:
            function()

    def _came(self, number, _):
        self._count += 1
        if self._count == 1 and self._on_first:
            self._on_first()
        elif self._count > 1 and number == signal.SIGINT:
            raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in the words of who typed it: DEVICES for `make run DEVICES=x`."""

    made = False

    def error(self, message):
        if self.made:
            message = re.sub(r"(argument )?--([a-z]+)", lambda found: found[2].upper(), message)
        self.exit(2, f"run: {message}\n")


def _number(least, most, unit):
    """Reads a number from least to most."""

    def number(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: give {unit}, {least:g} to {most:,}")
        return value

    return number


def _devices(text):
    most = most_devices()
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give a number of boards, 1 to {most:,}, which is what this machine carries"
        )
    return int(text)


def most_devices():
    """How many boards fit half of the memory that is free, and the files that may be open."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError):
        found = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
        pages = int(found[1]) * 1024 if found else pages
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(min(pages // 2 // _BOARD_BYTES, (files - _FILES) // 2), 1)


def _heap(text):
    found = re.fullmatch(r"(\d{1,6})([KM])", text)
    size = int(found[1]) * {"K": 1, "M": 1024}[found[2]] if found else 0
    if not _LEAST_HEAP_KB <= size <= _MOST_HEAP_KB:
        raise argparse.ArgumentTypeError(f"{text!r}: give it like 168K, or 1M; 32K to 64M")
    return text


def _address(text):
    if not text:
        return None
    try:
        return address.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be like nats://host:4222") from None


def options_from(arguments):
    about = "Simulated boards against a real server, shown by an independent subscriber."
    parser = _Parser(prog="run.py", description=about)
    parser.add_argument(
        "--seconds",
        type=_number(0.1, 7 * 86400, "seconds"),
        help="end after this time (default: Ctrl-C ends it)",
    )
    parser.add_argument("--devices", type=_devices, default=1, help="how many boards (default: 1)")
    parser.add_argument(
        "--server", type=_address, help="a server that runs already: nats://host:4222"
    )
    parser.add_argument(
        "--outage",
        type=_number(0, 3600, "seconds"),
        help="seconds that the server is away (0: it stays)",
    )
    parser.add_argument(
        "--period",
        type=_number(0.1, 86400, "seconds"),
        default=1,
        help="seconds between two readings (default: 1)",
    )
    parser.add_argument(
        "--secure", action="store_true", help="TLS, and an identity for each board"
    )
    parser.add_argument(
        "--heap", type=_heap, help=f"of a board (default: {HEAP}, with --secure {SECURE_HEAP})"
    )
    parser.add_argument("--web", action="store_true", help="a page that shows the boards")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.made = "--make" in (sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    options.heap = options.heap or (
        FLEET_HEAP if options.web else SECURE_HEAP if options.secure else HEAP
    )
    if options.web and options.server:
        parser.error("argument --web: only with a server of our own")
    if options.secure and options.server:
        parser.error("argument --secure: not with --server, whose credentials are its own")
    if options.outage and options.server:
        parser.error("argument --outage: a server that is not ours is not stopped")
    if options.outage and options.seconds and options.outage > options.seconds / 2:
        parser.error("argument --outage: at most half of --seconds")
    return options


async def _go(options, console, signals, stack, folder):
    run = Run(options, console)
    loop = asyncio.get_running_loop()
    signals.when_first(lambda: loop.call_soon_threadsafe(run.stop))
    return await run.go(stack, folder)


def main(arguments=None):
    options = options_from(arguments)
    console = Console()
    signals = Signals()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="unats-run-") as folder,
            contextlib.ExitStack() as stack,
        ):
            trouble = asyncio.run(_go(options, console, signals, stack, folder))
    except ToolError as error:
        trouble = [str(error)]
    except KeyboardInterrupt:
        trouble = ["interrupted again, ended without a summary"]
    if console.broken:  # who asked for no more does not want to know what is missing
        return 1
    for text in trouble:
        print(f"run: {text}", file=sys.stderr)
    return 1 if trouble else 0
