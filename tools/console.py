"""Lines for a person: on a terminal coloured, within its width, and with a table that lives below
them; plain when piped.
"""

import contextlib
import os
import sys
import time

import rich.console
import rich.live
import rich.progress
import rich.table
from rich.text import Text

_LIVE_PER_S = 4
_LINES_ABOVE = 8  # of the terminal, that a table leaves
_UNITS = {"temp": " °C", "uptime": " s", "rssi": " dBm"}


class Console:
    """Prints to standard output. `broken` tells that nobody reads it any more, `terminal` whether
    it is one that can do more than print lines.
    """

    def __init__(self):
        self.broken = False
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self.terminal = sys.stdout.isatty() and not plain
        sys.stdout.reconfigure(errors="replace")  # a terminal without the degree sign
        self._rich = rich.console.Console(highlight=False, markup=False, emoji=False)

    def line(self, text="", *styles):
        if self.broken:
            return
        if self.terminal:
            self._rich.print(Text(text, style=" ".join(styles)))
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            self.broken = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def columns(self, cells, widths):
        """A line of (text, style) cells; the last one has no width, and goes on below itself."""
        if not self.terminal:
            texts = [f"{text:{width}}" for (text, _), width in zip(cells, widths)]
            self.line("".join(texts) + cells[-1][0])
            return
        grid = rich.table.Table.grid()
        for width in widths:
            grid.add_column(width=width, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(*[Text(text, style=style) for text, style in cells])
        self._rich.print(grid)

    def live(self, render):
        """A context in which what render() gives stands below all lines; on a terminal only."""
        if not self.terminal:
            return contextlib.nullcontext()
        return rich.live.Live(
            console=self._rich,
            get_renderable=render,
            refresh_per_second=_LIVE_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @contextlib.contextmanager
    def bar(self, text, total):
        """A context with a bar below all lines, on a terminal only; it gives a function that says
        a step is done.
        """
        if not self.terminal:
            yield lambda: None
            return
        columns = (
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
        )
        with rich.progress.Progress(*columns, console=self._rich, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda: progress.advance(task)

    def table(self, names, rows):
        """A table of text or (text, style) cells; plain columns when piped."""
        rows = [
            [
                cell if isinstance(cell, tuple) else ("" if cell is None else str(cell), "")
                for cell in row
            ]
            for row in rows
        ]
        if self.terminal:
            found = rich.table.Table(box=None, header_style="bold", pad_edge=False)
            for name in names:
                found.add_column(name, overflow="fold")
            for row in rows:
                found.add_row(*[Text(text, style=style) for text, style in row])
            self._rich.print(found)
            return
        texts = [list(names), *[[text for text, _ in row] for row in rows]]
        widths = [max(map(len, column)) for column in zip(*texts)]
        for row in texts:
            self.line("  ".join(f"{t:{w}}" for t, w in zip(row, widths)).rstrip())

    def boards(self, boards, away=False):
        """For `live`: a line for each of as many boards as there is room for. A board has `name`,
        `values` (a dict: the last one of each kind), `heard_at` (monotonic seconds, or None),
        `waiting` (readings, or None) and `link`, which are text or numbers. away: their server is.
        """
        kinds = list(dict.fromkeys(kind for board in boards for kind in board.values))
        room = max(self._rich.height - _LINES_ABOVE, 1)
        rows = []
        for board in boards[:room]:
            seen = board.values
            values = [value(kind, seen[kind]) if kind in seen else "" for kind in kinds]
            age = f"{time.monotonic() - board.heard_at:.0f} s" if board.heard_at else ""
            waiting = "" if board.waiting is None else str(board.waiting)
            rows.append((board.name, *values, age, waiting, "away" if away else board.link))
        return _table(
            ("board", *kinds, "age", "waiting", "link"), rows, max(len(boards) - room, 0)
        )


class Rows:
    """What happens, line by line: when, who, what."""

    def __init__(self, console, names):
        self._console = console
        width = max((len(name) + 2 for name in names), default=0)
        self._widths = (11, width) if width else (11,)
        self._start = time.monotonic()

    def line(self, text, *styles):
        """One that is about nobody."""
        self.row("", text, *styles)

    def bar(self, text, total):
        """None: what is done is told line by line. See `Console.bar`."""
        return contextlib.nullcontext(lambda: None)

    def row(self, name, text, *styles):
        cells = [(f"{time.monotonic() - self._start:7.1f} s  ", "dim")]
        if len(self._widths) > 1:
            cells.append((name, ""))
        elif name:
            text = f"{name} {text}"
        self._console.columns([*cells, (text, " ".join(styles))], self._widths)


def _table(names, rows, more):
    """Names of the columns, and the cells of each row; how many rows are left out."""
    found = rich.table.Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(names):
        found.add_column(name, justify="right" if i else "left", no_wrap=True)
    for cells in rows:
        found.add_row(*cells)
    if more:
        found.add_row(f"and {more} more")
    return found


def value(kind, value):
    """A reading for reading."""
    return size(value) if kind == "heap" else f"{value}{_UNITS.get(kind, '')}"


def size(count):
    """Bytes for reading: 61.2 KB."""
    return f"{count / 1024:.1f} KB"


def indented(text):
    return "\n".join("    " + line for line in text.splitlines()) or "    (nothing)"
