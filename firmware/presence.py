"""Presence: what the board is, under its name in the key-value bucket "presence".

    {"state":"up","up":61,"boot":3,"version":"0.2.0","reset":"power-on","address":"10.0.0.7",
     "rssi":-60,"micropython":"1.29.0","mpy":4870,"every_s":30,"ttl_s":40}

It is refreshed every `presence_s` and with each connection, and expires a third of that later, so
that who watches the bucket sees within one and a half times `presence_s` that a board has gone
(ADR-43, ADR-48; the bucket needs `marker_ttl_s`). A server before 2.11, and a bucket made without
that, keep it: then `ttl_s` is null, and its age tells.

A board that leaves on purpose says so first: `state` is "asleep" with `wake_s`, the seconds until
it is back, "update", "restart" or "stopped". What a deep sleep leaves behind expires if the next
wake does not come; "stopped" stays until it is back.
"""

import json
import sys

from micropython import const

from boards import micropython_version
from parts import Part
from unats.jetstream import JetStream

_BUCKET = "$KV.presence."
_LEAVE_MS = const(2000)
_NO_TTL = const(10166)  # err_code: the stream was made without


class Presence(Part):
    """The presence of the board of `app`. every_s: seconds, from 5 on."""

    def __init__(self, app, every_s):
        self._app = app
        self._js = JetStream(app.client)
        self._every_s = every_s
        self._at = None  # when it is due; None: with the next connection
        self._connection = 0  # the one that it was told through
        self._expires = None  # whether it does, once that is known

    def turn(self):
        """Tell it, if it is time to."""
        client, app = self._app.client, self._app
        if not client.connected:
            return
        if self._connection == app.connections and client.left(self._at):
            return
        self._connection = app.connections
        self._at = client.deadline(1000 * self._every_s)
        self._put("up", self._every_s, self._answered)

    def leave(self, state, wake_s=None):
        """Tell that the board is going. Waits for the answer, two seconds at most."""
        if not self._app.client.connected:
            return
        over = []
        ttl_s = None if state == "stopped" else (wake_s or 0) + self._every_s
        self._put(state, ttl_s, lambda ack, error: over.append(error), wake_s)
        until = self._app.client.deadline(_LEAVE_MS)
        while not over and self._app.client.connected and self._app.client.left(until):
            self._app.client.poll(50)

    def _put(self, state, every_s, answered, wake_s=None):
        app = self._app
        if self._expires is None:
            self._expires = _knows_ttl(app.client.server.version)
            if not self._expires:
                self._say("does not expire: that takes nats-server 2.11")
        ttl_s = every_s and every_s + every_s // 3
        value = {
            "state": state,
            "up": app.board.uptime(),
            "boot": app.boot,
            "version": app.version,
            "reset": app.board.reset_cause(),
            "address": app.board.address(),
            "rssi": app.board.rssi(),
            "micropython": micropython_version(),
            "mpy": getattr(sys.implementation, "_mpy", 0),
            "every_s": self._every_s,
            "ttl_s": ttl_s if self._expires else None,
        }
        if wake_s is not None:
            value["wake_s"] = wake_s
        self._js.publish(
            _BUCKET + app.device, json.dumps(value), None, answered, ttl_s=value["ttl_s"]
        )

    def _answered(self, ack, error):
        """What came of it; once more, if only the expiry was refused."""
        if error is None:
            self._say(None)
        elif getattr(error, "err_code", 0) == _NO_TTL and self._expires:
            self._expires = False
            self._at = self._app.client.deadline(0)
            self._say("does not expire: the bucket was made without marker_ttl_s")
        else:
            self._say("is not told: %s" % error)

    def _say(self, text):
        self.say_once(self._app, text and "its presence " + text)


def _knows_ttl(version):
    """Whether a server of this version lets a single message expire."""
    parts = version.split(".")
    try:
        return (int(parts[0]), int(parts[1])) >= (2, 11)
    except (ValueError, IndexError):
        return True
