"""What else the settings may ask for, beside readings and commands: each part in its own file.

A part has turn(), which is called in each turn of the loop, connected or not, and leave(state,
wake_s), called before the board goes: "stopped", "asleep" for so many seconds, "restart",
"update". Waiting for some seconds is all right in the latter only.
"""

import sys

import watchdog
from app import Caught, reason


class Parts:
    """The parts of `app`. What fails in one of them costs no reading, and none of the others."""

    def __init__(self, app):
        self._app = app
        self._parts = []
        self._fault = Caught()
        self._told = {}  # how they failed last

    def add(self, name, make):
        """Load the module, have make(module) give the part, and print what that takes of heap."""
        board = self._app.board
        before = board.heap_used()
        self._parts.append(make(__import__(name)))
        watchdog.feed()
        taken = board.heap_used() - before
        self._app.say("%s takes %d bytes of heap" % (name, taken))

    def turn(self):
        """Let each have its turn."""
        for part in self._parts:
            self._turn(part)

    def _turn(self, part):
        with self._fault:
            part.turn()
        if self._fault.error is not None:
            self._failed(part, self._fault.error)

    def _failed(self, part, error):
        self._app.faults += 1
        name, text = type(part).__name__, reason(error)
        if self._told.get(name) != text:
            self._told[name] = text
            self._app.say("%s: %s" % (name, text))
            sys.print_exception(error)

    def leave(self, state, wake_s=None):
        """Have each know that the board is going."""
        for part in self._parts:
            with self._fault:
                part.leave(state, wake_s)


def of(app, config):
    """The parts that these settings ask for."""
    parts = Parts(app)
    if config.presence_s:
        parts.add("presence", lambda module: module.Presence(app, config.presence_s))
    return parts
