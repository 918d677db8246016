"""Configuration from afar, by the key-value bucket "config": the board's digital twin.

    <device>.desired.<field>     what somebody wants it to be, as JSON or as plain text: 10, true,
    _all.desired.<field>         debug; the latter for all boards that have none of their own
    <device>.reported.<field>    what it is: {"value":10,"revision":17}, where `revision` is that
                                 of the value wanted (0: nobody wants any); or, if that is no
                                 good, {"value":60,"revision":17,"error":"must be ..."}. A value
                                 of null is the field's default

`period_s`, `outbox_policy`, `log_level` and `sensors.<kind>` (true or false) have effect at once,
the other fields (`FIELDS`) by a restart, before which all readings are in flash. Each is checked
as it is in settings.json, over which it goes; a bad value changes nothing. What has no effect
until a connection has confirmed it is taken back after two minutes, or two starts, and not tried
again until somebody sets it again. A deleted value leaves what settings.json says.

It is asked with each connection, field by field, and when the server says that one has changed.
Credentials and what belongs to the board's place (Wi-Fi, pins) can't be changed from afar.
"""

import json

from micropython import const

import kept
import overlay
from parts import Part
from unats.jetstream import JetStream

LIVE = ("period_s", "outbox_policy", "log_level")
FIELDS = LIVE + (
    "server", "stream", "outbox", "sync_s", "sleep_s", "awake_s", "presence_s", "service", "logs",
)  # fmt: skip

_STREAM = "KV_config"
_SENSORS = "sensors."
_AT_ONCE = const(4)  # questions on their way
_AGAIN_MS = const(10000)
_LATE_MS = const(250)  # for a value to be in the bucket; fourfold each time, up to
_LATEST_MS = const(5000)
_LONGEST = const(256)  # bytes of a value
_TRIAL_MS = const(120000)
_WAIT_MS = const(10000)  # between two tries to start again


class Twin(Part):
    """The configuration of `app`.

    settings() returns those of the file, a dict; a function that gives the mistakes in such; and
    `Settings`. takers: of fields that are no settings, {field: take(value, revision)}, which is
    called with what is wanted, None and 0 for nothing, again and again, and calls `tell`.
    """

    def __init__(self, app, settings):
        self._app = app
        self._client = app.client
        self._settings = settings
        self._js = JetStream(app.client)
        self._last = self._js.last  # now, while there is the most room to load it
        self._state = kept.load(overlay.PATH)
        self.takers = {}
        self.acknowledged = False  # any report was
        self._prefixes = tuple("$KV.config.%s.desired." % n for n in (app.device, "_all"))
        self._wanted = {}  # field: [the board's own, that of all], each None or (value, revision)
        self._to_ask = []  # (whose, field)
        self._asking = 0
        self._again_at = None  # when to ask for all once more, if need be
        self._late = {}  # (whose, field): [when to ask once more, after how many ms then]
        self._changed = False  # what is wanted, since it was looked at
        self._to_tell = {}  # field: what
        self._told = {}
        self._telling = False
        self._connection = 0
        on_trial = "before" in self._state
        self._trial_until = self._client.deadline(_TRIAL_MS) if on_trial else None
        self._restart_at = None
        self._tell_at = self._client.deadline(0)
        for prefix in self._prefixes:
            self._client.subscribe(prefix + ">", self._on_change)

    # The part

    def turn(self):
        """A step of what is to be done."""
        client, app = self._client, self._app
        if self._restart_at is not None and not client.left(self._restart_at):
            self._restart_at = client.deadline(_WAIT_MS)
            app.parts.restart("restart")  # which may have to wait for readings to be in flash
        if self._trial_until is not None and not client.left(self._trial_until):
            self._take_back()
        if not client.connected:
            return
        if self._connection != app.connections:
            self._connection = app.connections
            self._confirm()
            self._ask_all()
        elif self._again_at is not None and not client.left(self._again_at):
            self._ask_all()
        if self._late:
            self._ask_late()
        while self._to_ask and self._asking < _AT_ONCE:
            self._ask(*self._to_ask.pop())
        if self._changed and not self._to_ask and not self._asking:
            self._changed = False
            self._look()
        if self._to_tell and not self._telling and not client.left(self._tell_at):
            self._tell_one()

    def busy(self):
        """Say whether there is something to be asked or told still."""
        return bool(
            self._connection != self._app.connections or self._to_ask or self._asking
            or self._changed or self._late or self._to_tell or self._telling or self._restart_at
        )  # fmt: skip

    # What is wanted

    def _fields(self):
        """The fields that can be wanted."""
        kinds = [_SENSORS + channel.kind for channel in self._app.channels]
        return list(FIELDS) + kinds + list(self.takers)

    def _ask_all(self):
        self._again_at = None
        fields = self._fields()
        fields += [field for field in self._wanted if field not in fields]
        self._to_ask = [(whose, field) for field in fields for whose in (0, 1)]
        self._changed = True

    def _ask(self, whose, field):
        def answered(stored, error):
            self._asking -= 1
            if error is None:
                self._take(whose, field, stored)
            else:
                self._ask_later("is not told: %s" % error)

        self._asking += 1
        if not self._last(_STREAM, self._prefixes[whose] + field, answered):
            self._asking -= 1
            self._ask_later()

    def _ask_later(self, why=None):
        self._to_ask.clear()
        self._again_at = self._client.deadline(_AGAIN_MS)
        self._say(why)

    def _say(self, text):
        if text is not None:
            self.say_once(self._app, "its configuration " + text)

    def _take(self, whose, field, stored):
        """Take what the bucket holds for a field."""
        found = None
        if stored is not None and not _is_gone(stored.headers):
            found = _value(stored.data), stored.seq
        wanted = self._wanted.get(field)
        if wanted is None:
            if found is None:
                return
            wanted = self._wanted[field] = [None, None]
        if wanted[whose] != found:
            wanted[whose] = found
            self._late.pop((whose, field), None)
            self._changed = True

    def _on_change(self, msg):
        """A value has changed; what comes has no revision, so the bucket is asked. It may not have
        it yet: then it is asked once more, and once more.
        """
        subject = msg.subject
        whose = 0 if subject.startswith(self._prefixes[0]) else 1
        asked = whose, subject[len(self._prefixes[whose]) :]
        if asked not in self._to_ask:
            self._to_ask.append(asked)
        self._late[asked] = [self._client.deadline(_LATE_MS), _LATE_MS]

    def _ask_late(self):
        for asked, late in list(self._late.items()):
            if not self._client.left(late[0]):
                self._to_ask.append(asked)
                late[1] *= 4
                late[0] = self._client.deadline(late[1])
                if late[1] > _LATEST_MS:
                    del self._late[asked]

    # What becomes of it

    def look_again(self):
        """Have the takers be told once more what is wanted."""
        self._changed = True

    def _look(self):
        """Apply what is wanted, and tell what came of it."""
        over = self._state.get("over", {})
        refused = self._state.get("refused", {})
        fields = self._fields()
        left, errors, revisions = [], {}, {}
        for field, wanted in list(self._wanted.items()):
            value, revision = wanted[0] or wanted[1] or (None, 0)
            if field in self.takers:
                self.takers[field](value, revision)
                continue
            revisions[field] = revision
            if field not in fields:
                text = "can't be changed from afar; what can: "
                errors[field] = text + ", ".join(fields) if revision else None
            elif revision and refused.get(field, (0,))[0] == revision:
                errors[field] = refused[field][1]
            elif over.get(field) != value:
                left.append((field, value))
            if not revision:
                del self._wanted[field]
        if not revisions:
            return
        values, check, Settings = self._settings()
        changed = self._try(left, over, values, check, errors) if left else ()
        if changed:
            self._apply({field: revisions[field] for field in changed}, values, Settings)
        values.update(self._state.get("over", {}))
        for field, revision in revisions.items():
            value = values.get(field) if field in fields else None
            if _holds_password(value):
                value = None
            what = {"value": value, "revision": revision}
            if errors.get(field) is not None:
                what["error"] = errors[field]
            self.tell(field, what)

    def _try(self, left, over, values, check, errors):
        """Check each (field, value) of `left`, over the settings `values`: the fields that are
        good, in a list; what is wrong with the others comes into `errors`.
        """
        over = dict(over)
        changed = []
        for _ in range(2):  # some are good only together with others
            for field, value in left:
                if field in changed:
                    continue
                trying = dict(over)
                trying[field] = value
                if value is None:
                    del trying[field]
                merged = dict(values)
                merged.update(trying)
                errors[field] = _mistake(field, value, check(merged))
                if errors[field] is None:
                    over = trying
                    changed.append(field)
        if changed:
            self._state.setdefault("before", self._state.get("over", {}))
            self._state["over"] = over
        return changed

    def _apply(self, revisions, values, Settings):
        """Have the new values of these fields be in force, on trial."""
        state = self._state
        state.setdefault("changed", {}).update(revisions)
        state["starts"] = 0
        kept.save(overlay.PATH, state)
        self._trial_until = self._client.deadline(_TRIAL_MS)
        if all(_is_live(field) for field in revisions):
            self._put_in_force(values, Settings)
        else:
            self._restart_at = self._client.deadline(0)
        self._app.say("set from afar: " + ", ".join(revisions))

    def _put_in_force(self, values, Settings):
        merged = dict(values)
        merged.update(self._state["over"])
        self._app.parts.apply(Settings(merged))

    def _confirm(self):
        """There is a connection with what is in force."""
        if "before" in self._state and self._restart_at is None:
            self._trial_until = None
            overlay.confirm(self._state)
            kept.save(overlay.PATH, self._state)

    def _take_back(self):
        """No connection has confirmed it."""
        self._trial_until = self._restart_at = None
        live = all(_is_live(field) for field in self._state.get("changed", ()))
        overlay.take_back(self._state, "taken back: there was no connection with it")
        kept.save(overlay.PATH, self._state)
        self._app.say("what was set from afar is taken back: there is no connection")
        if not live:
            self._app.parts.restart("restart", True)
        values, _, Settings = self._settings()
        self._put_in_force(values, Settings)

    # What is told

    def tell(self, field, what):
        """Report a field, a dict, unless that was done already."""
        if self._told.get(field) != what:
            self._told[field] = self._to_tell[field] = what

    def _tell_one(self):
        field, what = self._to_tell.popitem()

        def answered(ack, error):
            self._telling = False
            if error is None:
                self.acknowledged = True
                self._confirm()
            else:
                self._tell_later(field, what, "is not reported: %s" % error)

        subject = "$KV.config.%s.reported.%s" % (self._app.device, field)
        self._telling = True
        if not self._js.publish(subject, json.dumps(what), None, answered):
            self._telling = False
            self._tell_later(field, what)

    def _tell_later(self, field, what, why=None):
        self._to_tell.setdefault(field, what)  # unless there is something newer
        self._tell_at = self._client.deadline(_AGAIN_MS)
        self._say(why)


def _is_gone(headers):
    """Say whether these are the headers of what marks a value that was deleted."""
    return headers is not None and ("KV-Operation" in headers or "Nats-Marker-Reason" in headers)


def _value(data):
    """Read a value, JSON or plain text."""
    if len(data) > _LONGEST:
        return ""
    try:
        text = bytes(data).decode()
    except UnicodeError:
        return ""
    try:
        return json.loads(text)
    except (ValueError, RuntimeError):  # none, or too deep
        return text


def _is_live(field):
    return field in LIVE or field.startswith(_SENSORS)


def _holds_password(value):
    """Say whether it is an address with who may use it."""
    return "@" in json.dumps(value)


def _mistake(field, value, mistakes):
    """Return what is wrong with a value, a str, or None."""
    if _holds_password(value):
        return "must not hold a password: that belongs into settings.json"
    for name, text in mistakes:
        return text if name == field else "%s: %s" % (name, text)
    return None
