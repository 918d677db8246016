"""Logs: what the board has to say, published to `logs.<device>.<level>`.

    {"msg":"sensor soil: OSError: 5","up":61,"boot":3}

What the application prints goes there, from `log_level` on ("debug" "info" "warning" "error"
"critical"), exceptions with their traceback; and what is logged with MicroPython's `logging`,
where that was imported by then. What ended the application comes with the next start. What is said
again within a minute is counted, and told once at its end: `"n"` is how many times more.

With `"logs": true` lines are kept in RAM while there is no connection, the latest 2 KB of them
(`"lost"` is how many had to go), and warnings and what is worse in flash, too, the latest 2 to 4
KB: so what was said before a reset is told after it, with the number of that start. What is on its
way when a connection breaks is lost, and what is told during a reset may be told twice. With
`"logs": "outbox"` they go with the readings instead, through outages, power cuts and deep sleep;
its stream has to take `logs.>`.

A line costs memory, and a turn without one costs nothing.
"""

import json
import os
import sys

from micropython import const

from parts import Part

LEVELS = ("debug", "info", "warning", "error", "critical")
PATH = "logs.txt"
OLD = "logs.old"  # the lines before those

_IN_FLASH = 2  # levels from this on
_SECRETS = 3  # levels from this on may hold some
_RAM = const(2048)  # bytes of lines
_FLASH = const(2048)  # in each of two files
_LONGEST = const(480)  # characters of a message,
LINE = const(600)  # ... and bytes of a line, but for what is lost
_DIGITS = ("0", "1", "2", "3", "4")
_AGAIN_MS = const(60000)
_SAME = const(4)  # messages that are looked at for having been said before


class Said:
    """A message that was said lately, until it is no longer counted."""

    def __init__(self, level, text, until):
        self.level, self.text, self.until = level, text, until
        self.count = 0


class Logs(Part):
    """The logs of the board of `app`. outbox: where lines go instead of RAM, or None."""

    level = 0  # for `logging`

    def __init__(self, app, log_level, outbox=None):
        self._app = app
        self._outbox = outbox
        self._least = LEVELS.index(log_level)
        self._lately = []
        self._lines = []  # (level, line), to be published
        self._bytes = 0
        self._lost = 0
        self._kept = self._read() if outbox is None else []  # likewise, of earlier starts
        self._in_flash = bool(self._kept)  # whether any line is
        app.log = self.log
        if app.failure:
            import failure

            self.log("critical", failure.traceback() or app.failure)
        logging = sys.modules.get("logging")
        if logging is not None:
            root = logging.getLogger()
            root.addHandler(self)
            root.setLevel(10 * (self._least + 1))

    def log(self, level, text):
        """Take a message of that level, one of LEVELS."""
        level = LEVELS.index(level)
        if level < self._least:
            return
        text = _short(_without_secrets(text) if level >= _SECRETS else text)
        for said in self._lately:
            if said.level == level and said.text == text:
                said.count += 1
                return
        if len(self._lately) == _SAME:
            self._end_first()
        self._lately.append(Said(level, text, self._app.client.deadline(_AGAIN_MS)))
        self._take(level, {"msg": text})

    def emit(self, record):
        """Take a record of `logging`."""
        text = record.getMessage() if hasattr(record, "getMessage") else record.message
        name = "" if record.name == "root" else record.name + ": "
        level = min(max(record.levelno // 10, 1), len(LEVELS)) - 1
        self.log(LEVELS[level], name + text)

    handle = emit

    def close(self):
        """For `logging`: nothing is to be done."""

    # The part

    def turn(self):
        """Publish a line, and end what is no longer counted."""
        client = self._app.client
        if self._lately and not client.left(self._lately[0].until):
            self._end_first()
        lines = self._kept or self._lines
        if not lines or not client.connected or not client.publish(*self._message(*lines[0])):
            return
        self._lost = 0
        line = lines.pop(0)[1]
        if lines is self._lines:
            self._bytes -= len(line)
        if self._in_flash and not lines:
            self._forget()

    def busy(self):
        """Say whether there are lines to be told."""
        return bool(self._lines or self._kept)

    def apply(self, config):
        """Take another `log_level`."""
        self._least = LEVELS.index(config.log_level)

    def leave(self, state, wake_s=None):
        """Tell what was counted, and what waits."""
        while self._lately:
            self._end_first()
        for _ in range(len(self._lines) + len(self._kept)):
            self.turn()

    # How

    def _end_first(self):
        """The first of those messages is no longer counted."""
        said = self._lately.pop(0)
        if said.count:
            self._take(said.level, {"msg": said.text, "n": said.count})

    def _take(self, level, fields):
        """Have a line on its way."""
        app = self._app
        fields["up"] = app.board.uptime()
        fields["boot"] = app.boot
        line = json.dumps(fields)
        while len(line.encode()) > LINE:  # of characters that take more room in JSON
            fields["msg"] = fields["msg"][len(fields["msg"]) // 4 :]
            line = json.dumps(fields)
        if self._outbox is not None:
            self._lost = 0 if self._outbox.put(*self._message(level, line)) else self._lost + 1
            return
        while self._lines and self._bytes + len(line) > _RAM:
            self._bytes -= len(self._lines.pop(0)[1])
            self._lost += 1
        if level >= _IN_FLASH and not app.client.connected:
            self._keep(level, line)
        self._lines.append((level, line))
        self._bytes += len(line)

    def _message(self, level, line):
        """The subject and the payload of a line."""
        if self._lost:
            line = '%s,"lost":%d}' % (line[:-1], self._lost)
        return "logs.%s.%s" % (self._app.device, LEVELS[level]), line

    # In flash

    def _keep(self, level, line):
        """Write a line to flash, if that takes it."""
        try:
            try:
                if os.stat(PATH)[6] + len(line) > _FLASH:
                    os.rename(PATH, OLD)
            except OSError:
                pass  # there is none yet
            with open(PATH, "a") as file:
                file.write("%d %s\n" % (level, line))
            self._in_flash = True
        except OSError:
            pass  # then it is in RAM only

    def _read(self):
        """The lines of earlier starts, a list of (level, line)."""
        found = []
        for path in (OLD, PATH):
            try:
                with open(path) as file:
                    for line in file:
                        if line[:1] in _DIGITS and line[1:3] == " {" and line[-2:] == "}\n":
                            found.append((int(line[0]), line[2:-1]))
            except (OSError, UnicodeError):
                pass  # there is none, or it is damaged
        return found

    def _forget(self):
        """What is in flash has been told."""
        self._in_flash = False
        for path in (OLD, PATH):
            try:
                os.remove(path)
            except OSError:
                pass  # there is none


def _without_secrets(text):
    """The text without the lines that may hold one."""
    stays = "failure" in sys.modules
    import failure

    lines = text.split("\n")
    for i, line in enumerate(lines):
        if not line.startswith("  File "):
            lines[i] = failure.without_secrets(line)
    if not stays:
        del sys.modules["failure"]
    return "\n".join(lines)


def _short(text):
    """The text, or its end: what an exception is stands there."""
    return text if len(text) <= _LONGEST else "..." + text[-_LONGEST:]
