"""`python -m tools.fleet` and `make update`, as somebody types them, with boards that run."""

import re
import subprocess
import sys

import pytest

from support.home import Config, updating
from support.live import PATIENCE_S, seldom
from test_firmware_fleet import home, peer  # noqa: F401
from tools.fleet import control
from tools.fleet.rollout import numbers, stages
from tools.toolchain import ROOT


@pytest.fixture
def command(home, peer):
    """Runs a command on the fleet of `home`, whose server is where it really is."""
    home.secured.fleet.issue(["127.0.0.1"], int(home.server.url.rsplit(":", 1)[1]))
    home.secured.fleet.save()

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "tools.fleet", "--dir", home.secured.fleet.folder, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run


def test_status_settings_and_logs(home, peer, command):
    assert re.search(r"b +away", command("status"))
    home.board(logs="outbox", **updating(home))
    seldom(lambda: re.search(r"b +up +0\.2\.0 +\d+ s", command("status")))
    said = command("config", "set", "b", "period_s=0.3", "sensors.heap=false")
    assert "period_s is 0.3" in said and "sensors.heap is false" in said
    said = command("config", "set", "b", "period_s=-1", code=1)
    assert "must be between" in said and "has refused period_s" in said
    said = command("config", "get", "b")
    assert re.search(r"period_s +-1 +0\.3 +must be between", said)
    assert "sensors.heap" not in command("config", "get", "b", "period_s")
    assert "period_s is 0.5" in command("config", "unset", "b", "period_s")
    assert seldom(lambda: re.search(r"b  info +connected", command("logs", "b")))
    assert "connected" not in command("logs", "b", "--level", "error")
    assert command("logs", "c") == ""
    assert "give field=value" in command("config", "set", "b", "period_s", code=1)
    said = command("config", "set", "c", "period_s=1", "--wait", "0.5", code=1)
    assert "c has not answered" in said


def test_an_update_in_stages_stops_at_a_board_that_does_not_take_it(home, peer, command):
    settings = updating(home)
    for name in ("b", "c"):
        home.board(name, **settings)
    config = Config(peer)
    seldom(lambda: all(config.reported("version", name) for name in ("b", "c")))
    said = command("update", "--stages", "1,100")
    order = r"stage 1: 1 of 2 boards\n(b.*\n)+stage 2: 1 of 2 boards\n(c.*\n)+all 2 boards"
    assert re.search(order, said), said
    assert [config.reported("version", name)["value"] for name in ("b", "c")] == ["0.2.1"] * 2
    said = command("update", "--version", "0.1.0", code=1)
    assert "is not newer" in said and re.search("stopped: [bc]", said)
    assert config.reported("version", "c")["value"] == "0.2.1"
    assert "not there, and left out: d" in command("update", "d", code=1)


def test_stages_are_percents_and_one_board_more_at_least():
    names = list(range(200))
    assert [len(stage) for stage in stages(names, [1, 10, 100])] == [2, 18, 180]
    assert [len(stage) for stage in stages(names[:5], [1, 10, 100])] == [1, 1, 3]
    assert [len(stage) for stage in stages(names[:1], [1, 10, 100])] == [1]
    assert [name for stage in stages(names[:7], [1, 10, 100]) for name in stage] == names[:7]


def test_versions_are_compared_as_numbers():
    assert numbers("1.10.0") > numbers("1.9.9")
    assert numbers("next") is None and numbers(None) is None


@pytest.mark.parametrize("text", ["", "0,100", "10", "100,10", "1,1,100", "x", "1,101"])
def test_percents_that_are_none(text, capsys):
    with pytest.raises(SystemExit) as ended:
        control.main(["update", "--stages", text])
    assert ended.value.code == 2 and "1,10,100" in capsys.readouterr().err


def test_without_a_fleet_updates_need_a_key():
    done = subprocess.run(
        [sys.executable, "-m", "tools.fleet", "--server", "nats://127.0.0.1:9", "status"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "is the server running" in done.stderr
