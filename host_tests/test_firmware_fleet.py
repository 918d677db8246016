"""What lets a fleet look after itself, with boards as they are and a real server."""

import contextlib
import json
import os
import re
import time

import nats.errors
import pytest

from support.home import EVERY_S, Config, Home, entry, put, slot, updating
from support.live import PATIENCE_S, seldom
from tools.fleet import stores, subjects


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    yield home
    home.stop()


@pytest.fixture
def peer(home):
    """Who may see and command all boards."""
    with home.observer() as peer:
        peer.run(stores.make(peer.nc))
        yield peer


class Watching:
    """What a watcher of a bucket is told: `seen` has (when, key, value), the server's time and
    None for a value that is gone.
    """

    def __init__(self, peer, bucket, keys=">"):
        self.seen = []
        self._peer = peer
        kv = peer.run(peer.nc.jetstream().key_value(bucket))
        self._watcher = peer.run(kv.watch(keys))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._peer.run(self._watcher.stop())

    def of(self, key):
        """What was told of a key up to now: a list of (when, value)."""
        with contextlib.suppress(nats.errors.TimeoutError):
            while True:
                entry = self._peer.run(self._watcher.updates(timeout=0.05))
                if entry is not None:
                    value = json.loads(entry.value) if entry.value else None
                    self.seen.append((entry.created, entry.key, value))
        return [(when, value) for when, k, value in self.seen if k == key]

    def states(self, key):
        """The states that a board has told, and "gone" where it was missed."""
        return [value["state"] if value else "gone" for _, value in self.of(key)]


# Presence


def test_a_board_that_dies_is_missed_within_one_and_a_half_periods(home, peer):
    with Watching(peer, "presence") as seen:
        board = home.board(presence_s=EVERY_S)
        seldom(lambda: len(seen.states("b")) > 1)
        _, value = seen.of("b")[-1]
        assert (value["state"], value["every_s"], value["reset"]) == ("up", EVERY_S, "power-on")
        assert (value["address"], value["boot"]) == ("127.0.0.1", 1)
        board.kill()
        seldom(lambda: seen.states("b")[-1] == "gone")
        (last, _), (gone, _) = seen.of("b")[-2:]
        assert (gone - last).total_seconds() <= 1.5 * EVERY_S
        home.board(presence_s=EVERY_S)
        seldom(lambda: seen.states("b")[-1] == "up")


def test_it_outlives_the_server(home, peer):
    kv = peer.run(peer.nc.jetstream().key_value("presence"))
    home.board(presence_s=EVERY_S)
    first = seldom(lambda: entry(peer, kv, "b")).revision
    home.server.kill()
    home.server.again()
    seldom(lambda: entry(peer, kv, "b") and entry(peer, kv, "b").revision > first)


def test_leaving_on_purpose_is_told(home, peer):
    with Watching(peer, "presence") as seen:
        board = home.board(presence_s=EVERY_S, sleep_s=600, awake_s=10)
        assert board.wait(PATIENCE_S) == 0
        _, value = seen.of("b")[-1]
        assert (value["state"], value["wake_s"]) == ("asleep", 600)
        assert value["ttl_s"] >= 600 + 10


def test_a_server_without_the_bucket_costs_nothing_but_a_line(home, peer):
    peer.run(peer.nc.jetstream().delete_key_value("presence"))
    board = home.board(presence_s=EVERY_S)
    seldom(lambda: "its presence is not told" in board.tail())
    assert board.ended is None


# Configuration


@pytest.fixture
def config(peer):
    return Config(peer)


def count(peer, kind):
    """How many readings of a kind the stream holds."""
    info = peer.run(
        peer.nc.jetstream().stream_info("READINGS", subjects_filter=f"sensors.b.{kind}")
    )
    return (info.state.subjects or {}).get(f"sensors.b.{kind}", 0)


def test_settings_are_changed_while_the_board_runs(home, peer, config):
    early = config.want("outbox_policy", "newest")
    home.board(config=True)
    assert config.applied("outbox_policy", early)["value"] == "newest"
    off = config.want("sensors.heap", "false")
    assert config.applied("sensors.heap", off) == {"value": False, "revision": off}
    fast = config.want("period_s", "0.1", "_all")
    assert config.applied("period_s", fast)["value"] == 0.1
    before = count(peer, "heap"), count(peer, "temp")
    seldom(lambda: count(peer, "temp") > before[1] + 20)
    assert count(peer, "heap") <= before[0] + 1
    bad = config.want("period_s", "-3")
    told = config.applied("period_s", bad)
    assert told["value"] == 0.1 and "between" in told["error"]


def test_a_restart_for_a_setting_costs_no_reading(home, peer, config):
    board = home.board(config=True)
    seldom(lambda: count(peer, "temp") > 2)
    revision = config.want("sync_s", "7")
    assert config.applied("sync_s", revision)["value"] == 7
    more = count(peer, "temp") + 5
    seldom(lambda: count(peer, "temp") > more)
    js = peer.nc.jetstream()
    found = peer.run(js.stream_info("READINGS")).state.messages
    seqs = {}
    for seq in range(1, found + 1):
        message = peer.run(js.get_msg("READINGS", seq))
        reading = json.loads(message.data)
        key = message.subject, reading["boot"]
        seqs.setdefault(key, []).append(reading["seq"])
    assert {boot for _, boot in seqs} == {1, 2}
    for numbers in seqs.values():
        assert numbers == list(range(1, len(numbers) + 1))
    assert "soft reset" in board.output()


def test_a_board_that_sleeps_asks_before_it_does(home, peer, config):
    revision = config.want("sensors.heap", "false")
    board = home.board(config=True, sleep_s=600, awake_s=20)
    assert board.wait(PATIENCE_S) == 0
    assert config.reported("sensors.heap") == {"value": False, "revision": revision}
    revision = config.want("sleep_s", "300")
    home.boards.clear()
    home.board(config=True, sleep_s=600, awake_s=20)
    seldom(lambda: home.boards[0].asleep_s == 300)
    assert config.applied("sleep_s", revision)["value"] == 300


# Logs


def test_logs_are_heard_and_what_was_said_before_a_reset_comes_after_it(home, peer):
    heard = peer.subscribe("logs.b.>")
    board = home.board(logs=True, outbox="none")
    message = heard.get(timeout=PATIENCE_S)
    while json.loads(message.data)["msg"] != "connected":
        message = heard.get(timeout=PATIENCE_S)
    home.server.kill()
    seldom((board.folder / "logs.txt").exists)
    board.kill()
    home.server.again()
    with home.observer() as other:
        heard = other.subscribe("logs.b.warning")
        home.board(logs=True, outbox="none")
        line = json.loads(heard.get(timeout=PATIENCE_S).data)
    assert line["msg"].startswith("disconnected: ") and line["boot"] == 1


def logged(peer, level):
    """The messages of a level that the stream has."""
    js = peer.nc.jetstream()
    subject = f"logs.b.{level}"
    info = peer.run(js.stream_info("READINGS", subjects_filter="logs.>"))
    seqs = range(1, info.state.last_seq + 1 if info.state.subjects else 1)
    messages = [peer.run(js.get_msg("READINGS", seq)) for seq in seqs]
    return [json.loads(m.data) for m in messages if m.subject == subject]


def test_through_the_outbox_they_outlast_an_outage_and_a_power_cut(home, peer):
    board = home.board(logs="outbox", sync_s=1)
    seldom(lambda: "connected" in [line["msg"] for line in logged(peer, "info")])
    home.server.kill()
    seldom(lambda: "disconnected" in board.output())
    time.sleep(2)  # more than sync_s
    board.kill()
    home.server.again()
    home.board(logs="outbox", sync_s=1)
    with home.observer() as other:
        told = seldom(lambda: logged(other, "warning"))
    assert told[0]["boot"] == 1 and told[0]["msg"].startswith("disconnected: ")
    assert len([line for line in told if line["boot"] == 1]) == len({line["msg"] for line in told})


def test_their_level_is_changed_from_afar(home, peer, config):
    heard = peer.subscribe("logs.b.info")
    home.board(logs=True, log_level="error", config=True)
    revision = config.want("log_level", "info")
    assert config.applied("log_level", revision)["value"] == "info"
    assert "log_level" in json.loads(heard.get(timeout=PATIENCE_S).data)["msg"]


# Updates


def runs(config, version):
    """What a board reports, once that version is what it runs."""

    def told():
        found = config.reported("version")
        return found if found.get("value") == version else None

    return seldom(told)


def test_a_board_fetches_a_version_starts_it_and_confirms_it(home, peer, config):
    board = home.board(**updating(home))
    seldom(lambda: count(peer, "temp") > 1)
    for version, folder in (("0.3.0", "update-a"), ("0.3.1", "update-b")):
        put(peer, home, version)
        revision = config.want("version", version)
        assert runs(config, version)["revision"] == revision
        seldom(lambda: f"version {version} is confirmed" in board.output())
        assert (slot(board)["slot"], "starts" in slot(board)) == (folder, False)


def test_one_that_does_not_start_comes_back_and_the_board_says_why(home, peer, config):
    put(peer, home, "0.3.0", {"app.mpy": None, "app.py": b"raise KeyError('not yet')"})
    board = home.board(**updating(home))
    revision = config.want("version", "0.3.0")
    told = seldom(lambda: config.reported("version").get("error"))
    assert "twice" in told and "KeyError: not yet" in told
    assert config.reported("version") == {"value": "0.2.0", "revision": revision, "error": told}
    assert slot(board)["slot"] == ""
    more = count(peer, "temp") + 2
    seldom(lambda: count(peer, "temp") > more)


def test_kills_of_server_and_board_in_the_middle_of_it(home, peer, config):
    many = {f"data-{i:03}.bin": os.urandom(8000) for i in range(60)}
    put(peer, home, "0.3.0", many)
    board = home.board(**updating(home))
    config.want("version", "0.3.0")
    seldom((board.folder / "update-a/data-005.bin").exists)
    home.server.kill()
    home.server.again()
    seldom((board.folder / "update-a/data-020.bin").exists)
    board.kill()
    board.start()
    seldom(lambda: "starts" in slot(board))
    with home.observer() as other:
        assert runs(Config(other), "0.3.0")
    for name, content in many.items():
        assert (board.folder / "update-a" / name).read_bytes() == content


# Home Assistant (see test_home_assistant.py, too)


def test_the_fleets_boards_may_tell_home_assistant(home, peer):
    announced = peer.subscribe("homeassistant.*.b.*.config")
    led = peer.subscribe("devices.b.led.state")
    gone = peer.subscribe("presence.b")
    home.board(home_assistant=True, presence_s=EVERY_S)
    for _ in range(5):
        announced.get(timeout=PATIENCE_S)
    assert led.get(timeout=PATIENCE_S).data == b"off"
    assert json.loads(gone.get(timeout=PATIENCE_S).data)["state"] == "up"
    peer.publish("homeassistant.status", b"online")
    announced.get(timeout=PATIENCE_S)
    peer.publish("devices.b.led", b"on")
    message = led.get(timeout=PATIENCE_S)
    while message.data != b"on":
        message = led.get(timeout=PATIENCE_S)


# What a fleet's credentials do not allow for, as those of a fleet that was made before

_LACKING = {
    "no-presence": r"\$KV\.presence\.",
    "no-question": r"\$JS\.API\.DIRECT\.GET\.KV_config",
    "no-wish": r"\$KV\.config\..*\.desired\.",
    "no-report": r"\$KV\.config\..*\.reported\.",
    "no-logs": r"(\$JS\.API\.DIRECT\.GET\.READINGS\.)?logs\.",
    "no-updates": r"\$JS\.fleet\.API\.",
    "no-announcement": r"homeassistant\.",
    "no-led": r".*\.led\.state",
}


def test_what_is_refused_costs_its_part_and_no_reading(tmp_path, monkeypatch):
    of_board = subjects.of_board

    def less(device):
        return {
            which: [subject for subject in allowed if not re.match(_LACKING[device], subject)]
            for which, allowed in of_board(device).items()
        }

    monkeypatch.setattr(subjects, "of_board", less)
    home = Home(tmp_path, _LACKING)
    try:
        with home.observer() as peer:
            peer.run(stores.make(peer.nc))
            put(peer, home, "0.3.0")
            parts = dict(updating(home), logs="outbox", home_assistant=True)
            boards = {name: home.board(name, "384K", **parts) for name in _LACKING}
            config = Config(peer)
            config.want("version", '"0.3.0"', "no-updates")
            for name in _LACKING:
                _goes_on(peer, name, boards[name])
            told = seldom(lambda: config.reported("version", "no-updates").get("waiting"))
            assert "Permissions Violation" in told
            revision = config.want("sensors.heap", "false", "_all")
            deaf = "no-question", "no-wish", "no-report"
            for name in set(_LACKING) - set(deaf):
                assert config.applied("sensors.heap", revision, name)["value"] is False
    finally:
        home.stop()


def _goes_on(peer, name, board):
    """It delivers its readings on its first connection, and has said what it may not."""
    seldom(lambda: "Permissions Violation" in board.output())
    before = seldom(lambda: info(peer, name))["outbox"]["acked"]
    told = seldom(
        lambda: (now := info(peer, name)) and now["outbox"]["acked"] > before + 8 and now
    )
    assert (told["connections"], told["boot"], told["faults"]) == (1, 1, 0)
    assert (told["outbox"]["dropped"], told["outbox"]["rejected"]) == (0, 0)
    refused = re.findall(r'Permissions Violation for \w+ to "(.*?)"', board.output())
    assert refused and all(re.match(_LACKING[name], subject) for subject in refused), refused


def info(peer, name):
    """What a board says of itself, or None."""
    with contextlib.suppress(nats.errors.Error, TimeoutError):
        return json.loads(peer.request(f"devices.{name}.info", b"", 2).data)
