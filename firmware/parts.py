"""What else the settings may ask for, beside readings and commands: each part in its own file.

Loaded if they ask for any of them.
"""

import sys

import watchdog
from app import Caught, reason


class Part:
    """One of them."""

    _said = None  # what was said last of how it fares

    def say_once(self, app, text):
        """Say how it fares, unless that was said last; None: well."""
        if text != self._said:
            self._said = text
            if text is not None:
                app.say(text)

    def turn(self):
        """Called in each turn of the loop, connected or not. Must not wait."""

    def busy(self):
        """Say whether a board that is awake for a moment should stay so, for this."""
        return False

    def apply(self, config):
        """Take the new values of what can change while the application runs."""

    def leave(self, state, wake_s=None):
        """The board is going: "stopped", "asleep" for so many seconds, "restart", "update". May
        wait for two seconds.
        """


class Parts:
    """The parts of `app`. What fails in one of them costs no reading, and none of the others."""

    def __init__(self, app):
        self._app = app
        self._parts = []
        self._fault = Caught()
        self._told = {}  # how they failed last

    def add(self, name, make):
        """Load the module, have make(module) give the part, and print what that takes of heap.
        Return the part, or None.
        """
        board = self._app.board
        before = board.heap_used()
        part = None
        with self._fault:
            part = make(__import__(name))
            self._parts.append(part)
        watchdog.feed()
        if self._fault.error is None:
            taken = board.heap_used() - before
            self._app.say("%s takes %d bytes of heap" % (name, taken))
        else:  # the readings go on without it
            self._app.faults += 1
            self._app.say("%s is left out: %s" % (name, reason(self._fault.error)), "error")
        return part

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
            self._app.tell(name + " failed:", error)

    def busy(self):
        """Say whether one of them is."""
        return any(part.busy() for part in self._parts)

    def apply(self, config):
        """Take those of the settings that can change while the application runs."""
        app = self._app
        if app.period_ms != config.period_ms:
            app.period_ms = config.period_ms
            if app.due is not None:
                app.due = app.client.deadline(0)
        for channel in app.channels:
            channel.off = channel.kind in config.off
        if app.outbox is not None:
            app.outbox.policy = config.outbox_policy
        for part in self._parts:
            part.apply(config)

    def restart(self, state, at_once=False):
        """Start again, with the readings in flash; does not return. Where flash does not take
        them it does, and nothing was done, unless that is to be at once.
        """
        app = self._app
        app.board.feed()
        if app.outbox is not None and not app.outbox.sync() and not at_once:
            return
        self.leave(state)
        app.board.feed()
        app.keep()
        app.client.close()
        app.board.reset()

    def leave(self, state, wake_s=None):
        """Have each know that the board is going."""
        for part in self._parts:
            with self._fault:
                part.leave(state, wake_s)


def of(app, config):
    """The parts that these settings ask for."""
    parts = Parts(app)
    if config.logs:  # first, to hear of the others
        outbox = app.outbox if config.logs == "outbox" else None
        parts.add("logs", lambda module: module.Logs(app, config.log_level, outbox))
    if config.presence_s:
        parts.add("presence", lambda module: module.Presence(app, config.presence_s))
    if config.home_assistant:
        parts.add("homeassistant", lambda module: module.HomeAssistant(app))
    if config.config:
        twin = parts.add(
            "twin", lambda module: module.Twin(app, lambda: settings(app.board.needs_wifi))
        )
        if config.update_key is not None and twin is not None:
            parts.add("update", lambda module: module.Update(app, twin, config))
    return parts


def settings(needs_wifi):
    """Return the settings of the file, a dict; what gives the mistakes in such; and `Settings`."""
    from config import Settings
    from settings import check, read

    del sys.modules["settings"]  # it takes as much heap as all the parts
    return read("settings.json"), lambda values: check(values, needs_wifi, True), Settings
