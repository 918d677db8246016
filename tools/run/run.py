"""Simulated boards against a real server, and what an independent subscriber sees of them.

    make run                             one board, a server of its own, until Ctrl-C
    make run SECONDS=10 DEVICES=20       twenty boards, for ten seconds from when all are up
    make run OUTAGE=0                    without killing the server in the middle of it
    make run SECURE=1                    over TLS, each board with credentials of its own
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
import signal
import sys
import tempfile

from tools.run import address
from tools.run.console import Console
from tools.run.observer import Run
from tools.run.simulation import HEAP, SECURE_HEAP
from tools.toolchain import ToolError


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


def _positive(kind):
    def positive(text):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    return positive


def _not_negative(text):
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _address(text):
    if not text:
        return None
    try:
        return address.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be like nats://host:4222") from None


def options_from(arguments):
    about = "Simulated boards against a real server, shown by an independent subscriber."
    parser = argparse.ArgumentParser(prog="run.py", description=about)
    parser.add_argument(
        "--seconds", type=_positive(float), help="end after this time (default: Ctrl-C ends it)"
    )
    parser.add_argument(
        "--devices", type=_positive(int), default=1, help="how many boards (default: 1)"
    )
    parser.add_argument(
        "--server", type=_address, help="a server that runs already: nats://host:4222"
    )
    parser.add_argument(
        "--outage", type=_not_negative, help="seconds that the server is away (0: it stays)"
    )
    parser.add_argument(
        "--period", type=float, default=1, help="seconds between two readings (default: 1)"
    )
    parser.add_argument(
        "--secure", action="store_true", help="TLS, and an identity for each board"
    )
    parser.add_argument(
        "--heap", help=f"heap of a board (default: {HEAP}, with --secure {SECURE_HEAP})"
    )
    options = parser.parse_args(arguments)
    options.heap = options.heap or (SECURE_HEAP if options.secure else HEAP)
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


if __name__ == "__main__":
    sys.exit(main())
