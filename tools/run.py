"""Simulated boards against a real server, and what an independent subscriber sees of them.

    run.py                                 one board, a server of its own, until Ctrl-C
    run.py --seconds 10 --devices 20       twenty boards, for ten seconds from when all are up
    run.py --server nats://host:4222       a server that is there already

Exit code 0 if readings arrived from every board, none was lost, and every board answered each
command and obeyed; 1 otherwise, and what went wrong is said; 2 for a wrong option.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile

import address
from console import Console
from observer import Run
from simulation import HEAP
from toolchain import ToolError


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
    parser.add_argument("--seconds", type=_positive(float), help="end after this time (default: Ctrl-C ends it)")
    parser.add_argument("--devices", type=_positive(int), default=1, help="how many boards (default: 1)")
    parser.add_argument("--server", type=_address, help="a server that runs already: nats://host:4222")
    parser.add_argument("--period", type=float, default=1, help="seconds between two readings (default: 1)")
    parser.add_argument("--heap", default=HEAP, help=f"heap of a board (default: {HEAP})")
    return parser.parse_args(arguments)


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
        with tempfile.TemporaryDirectory(prefix="unats-run-") as folder, contextlib.ExitStack() as stack:
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
