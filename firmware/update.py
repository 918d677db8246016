"""Updates over the air: what the server has as the wanted version is fetched, checked, tried.

    config    <device>.desired.version    "1.3.0", or {"version":"1.2.0","downgrade":true}
              <device>.reported.version   {"value":"1.2.0","revision":17,"progress":40}, in percent
                                          while it is fetched; with "error" if it came to nothing,
                                          with "waiting" if it is tried again later, with
                                          "trial" until it is confirmed
    firmware  <version>/<mpy>.manifest    what it consists of, signed
              <version>/<mpy>             its files, one behind another; `mpy` is the board's
                                          sys.implementation._mpy, which its presence tells

It comes into the folder of the two, update-a and update-b, that does not run (see fetching.py),
and counts once slot.json names it, by one rename. Then the board starts with it, on trial: it is
confirmed when its report has been acknowledged, and a reading, if there are any to be. If that
does not happen within ten minutes the board starts again, and boot.py takes the version before,
after two starts or after the watchdog. What came to nothing is not tried again until it is set
again.

An older version, or the same, is taken only with `downgrade`. settings.json, credentials, readings
and boot.py stay as they are.
"""

import gc
import os
import sys

from micropython import const

import kept
from app import reason
from parts import Part
from unats.errors import Error

PATH = "slot.json"
SLOTS = ("update-a", "update-b")
MANIFEST = "manifest"

_TRIAL_MS = const(600000)
_AGAIN_MS = const(10000)
_TRIES = const(5)


def running():
    """Return the folder of the update that runs, or None: what was deployed does."""
    name = sys.path[0].rsplit("/", 1)[-1]
    return name if name in SLOTS else None


def version_of(slot):
    """Return the version of an update in its folder; OSError or ValueError: there is none."""
    with open(slot + "/" + MANIFEST) as file:
        file.readline()
        word, version = file.readline().split()
    if word != "version":
        raise ValueError(word)
    return version


def number(version):
    """Return a version as a tuple of numbers; None: it is none."""
    if not isinstance(version, str):
        return None
    parts = version.split(".")
    for part in parts:
        if not part.isdigit() or len(part) > 6:
            return None
    return tuple(int(part) for part in parts)


class Update(Part):
    """The updates of `app`. twin: its `twin.Twin`."""

    def __init__(self, app, twin, config):
        self._app = app
        self._twin = twin
        self._key, self._domain = config.update_key, config.update_domain
        self._reserve = config.outbox_flash if app.boot is not None else 0
        self._state = kept.load(PATH)
        self._slot = running()
        self._next = SLOTS[self._slot == SLOTS[0]]  # the folder of the next one
        if self._slot is not None:
            app.version = version_of(self._slot)
        self._wanted = None  # (version, revision, whether it may be older)
        self._steps = None  # of fetching it,
        self._loaded = None  # ... and what was loaded before
        self._tries = 0
        self._at = None  # when to try (again)
        self._progress = None
        self._on_trial = False
        if "starts" in self._state:
            if self._state.get("slot") == self._slot:
                self._on_trial = True
                self._trial_until = app.client.deadline(_TRIAL_MS)
            else:
                self._given_up("this board's boot.py knows nothing of updates: deploy it by cable")
        failed = self._state.get("failed", {"seen": True})
        if "seen" not in failed:
            if app.failure:
                from failure import forget

                failed["why"] += ": " + app.failure
                forget()  # it went with that version: what fails next is the first
            failed["seen"] = True
            kept.save(PATH, self._state)
            app.say("version %(version)s came to nothing: %(why)s" % failed, "error")
        self._tell(self._state.get("revision", 0))
        twin.takers["version"] = self.take

    def take(self, value, revision):
        """Somebody wants this version. See `Twin`."""
        version, older = value, False
        if isinstance(value, dict):
            version, older = value.get("version"), value.get("downgrade") is True
        if self._wanted == (version, revision, older):
            return
        self._stop()
        failed = self._state.get("failed", {})
        if revision == 0 or version == self._app.version:
            self._tell(revision)
        elif failed.get("revision") == revision:
            self._tell(revision, "%s: %s" % (version, failed["why"]))
        elif number(version) is None:
            self._tell(revision, 'must be a version in quotes, like "1.3.0"')
        elif not older and not self._is_newer(version):
            text = '%s is not newer: only with {"version":%r,"downgrade":true}'
            self._tell(revision, (text % (version, version)).replace("'", '"'))
        elif not self._on_trial:
            self._wanted = version, revision, older
            self._tries = 0
            self._at = self._app.client.deadline(0)

    def _is_newer(self, version):
        now = number(self._app.version)
        return now is None or number(version) > now

    # The part

    def turn(self):
        """Confirm the version that is on trial, or fetch another one: a step of it."""
        client = self._app.client
        if self._on_trial:
            self._look_at_trial()
        elif self._steps is not None:
            self._step()
        elif self._wanted is not None and client.connected and not client.left(self._at):
            self._loaded = set(sys.modules)
            from fetching import steps

            version = self._wanted[0]
            self._app.say("fetches version " + version)
            what = self._domain, self._key, version, self._next, self._reserve, self._at_percent
            self._steps = steps(self._app, *what)

    def busy(self):
        """Say whether there is something to be fetched or to be confirmed."""
        return self._on_trial or self._wanted is not None

    # On trial

    def _look_at_trial(self):
        outbox = self._app.outbox
        if self._twin.acknowledged and (
            outbox is None or outbox.stats.acked or outbox.last_error is not None
        ):
            self._on_trial = False
            self._state = {"slot": self._slot, "revision": self._state.get("revision", 0)}
            kept.save(PATH, self._state)
            self._app.say("version %s is confirmed" % self._app.version)
            self._tell(self._state["revision"])
            self._twin.look_again()  # it may be another one that is wanted now
        elif not self._app.client.left(self._trial_until):
            self._state["why"] = "it was not confirmed within ten minutes"
            kept.save(PATH, self._state)
            self._app.say("this version is not confirmed: starts again", "error")
            self._app.parts.restart("restart", True)

    # Fetching

    def _step(self):
        """A step of fetching; at the end the new version counts."""
        try:
            next(self._steps)
            return
        except StopIteration:
            pass
        except ValueError as e:  # it is no good
            self._given_up(str(e))
            return
        except Exception as e:  # an outage, or no memory at the moment
            self._later(e)
            return
        outbox = self._app.outbox
        self._steps = iter(())  # the next step is this one again
        self._release()  # there is to be room for what restarts
        if outbox is not None and not outbox.sync():
            return  # readings are to be in flash before
        version, revision = self._wanted[:2]
        state = {"slot": self._next, "starts": 0, "before": self._slot or ""}
        state.update({"version": version, "revision": revision})
        kept.save(PATH, state)
        self._app.say("starts version " + version)
        self._app.parts.restart("update", True)

    def _later(self, error):
        self._steps = None
        self._release()
        self._tries += 1
        if self._tries >= _TRIES and not isinstance(error, Error):
            self._given_up(reason(error))
            return
        self._app.say("the update waits: " + reason(error), "warning")
        self._tell(self._wanted[1], None, reason(error))
        self._at = self._app.client.deadline(_AGAIN_MS)

    def _given_up(self, why):
        """It is not tried again until it is set again."""
        if self._wanted is not None:
            version, revision = self._wanted[:2]
        else:
            version, revision = self._state.get("version"), self._state.get("revision")
        self._stop()
        self._app.say("no update to %s: %s" % (version, why), "error")
        failed = {"version": version, "revision": revision, "why": why, "seen": True}
        self._state = {"slot": self._slot or "", "failed": failed}
        kept.save(PATH, self._state)
        self._tell(revision, "%s: %s" % (version, why))

    def _stop(self):
        if hasattr(self._steps, "close"):
            self._steps.close()
        self._wanted = self._steps = self._progress = None
        self._release()

    def _release(self):
        """Give back what only fetching needs, or the next connection may find no room."""
        if self._loaded is None:
            return
        JetStream = sys.modules["unats.jetstream"].JetStream
        if hasattr(JetStream, "ordered"):  # see unats.jetstream.methods
            del JetStream.ordered
        for name in list(sys.modules):
            if name not in self._loaded and name.split(".")[0] in ("unats", "fetching"):
                home, _, last = name.rpartition(".")
                if hasattr(sys.modules.get(home), last):
                    delattr(sys.modules[home], last)
                del sys.modules[name]
        self._loaded = None
        gc.collect()

    # Telling

    def _at_percent(self, percent):
        if self._progress is None or percent >= self._progress + 10:
            self._progress = percent
            self._tell(self._wanted[1])

    def _tell(self, revision, error=None, waiting=None):
        what = {"value": self._app.version, "revision": revision}
        if error is not None:
            what["error"] = error
        elif self._on_trial:
            what["trial"] = True
        elif self._progress is not None:
            what["progress"] = self._progress
        if waiting is not None:
            what["waiting"] = waiting
        self._twin.tell("version", what)


def remove(path):
    """Remove a file, or a folder with all that is in it."""
    try:
        for name in os.listdir(path):
            remove(path + "/" + name)
        os.rmdir(path)
    except OSError:
        try:
            os.remove(path)
        except OSError:
            pass  # it is not there
