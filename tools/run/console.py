"""Lines for a person: coloured on a terminal, plain when piped or when NO_COLOR is set."""

import os
import sys
import time

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Console:
    """Prints to standard output. `broken` tells that nobody reads it any more."""

    def __init__(self):
        self.broken = False
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._coloured = wanted and sys.stdout.isatty()
        sys.stdout.reconfigure(errors="replace")  # a terminal without the degree sign

    def style(self, text, *names):
        """`text` in the named styles, or as it is."""
        if not self._coloured or not names:
            return text
        return "".join(f"\033[{_CODES[name]}m" for name in names) + text + "\033[0m"

    def line(self, text="", *styles):
        if self.broken:
            return
        try:
            print(self.style(text, *styles), flush=True)
        except BrokenPipeError:
            self.broken = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Rows:
    """What happens, line by line: when, who, what."""

    def __init__(self, console, names):
        self._console = console
        self._width = max((len(name) + 2 for name in names), default=0)
        self._start = time.monotonic()

    def row(self, name, text, *styles):
        at = self._console.style(f"{time.monotonic() - self._start:7.1f} s", "dim")
        self._console.line(f"{at}  {name:{self._width}}{self._console.style(text, *styles)}")


def size(count):
    """Bytes for reading: 61.2 KB."""
    return f"{count / 1024:.1f} KB"


def indented(text):
    return "\n".join("    " + line for line in text.splitlines()) or "    (nothing)"
