"""A page and Home Assistant at the server of a fleet: over TLS, with credentials of their own that
may do what they are for, and nothing else.
"""

import json
import stat

import nats.errors
import pytest

from support.home import EVERY_S, Home
from support.javascript import Browser
from support.live import seldom
from support.peer import Peer
from support.ports import free_port
from test_home_assistant import Home as HomeAssistant
from test_web import Look, look_after
from tools.fleet import provision, stores
from tools.fleet.fleet import Fleet
from tools.fleet.gates import GATES
from tools.web.page import Page


@pytest.fixture
def ports():
    return {"web": free_port(), "mqtt": free_port()}


@pytest.fixture
def home(tmp_path, ports):
    home = Home(tmp_path, gates=ports)
    try:
        with home.observer() as peer:
            peer.run(stores.make(peer.nc))
        yield home
    finally:
        home.stop()


def test_the_page_does_all_of_it_with_its_own_credentials(home, ports):
    fleet = home.secured.fleet
    board = home.board(presence_s=EVERY_S, config=True, logs="outbox")
    page = Page(f"wss://127.0.0.1:{ports['web']}", fleet.folder / "web.creds")
    with Browser() as chromium, page:
        chromium("await page.goto(%s)", page.url)
        look = Look(chromium)
        look_after(look, board)
        home.server.kill()
        look.sees("#link", "disconnected")
        home.server.again()
        look.sees("#link", "connected")
        look.sees('[data-name="b"] .age', "now")
        assert [text for text in look.errors if "WebSocket connection to" not in text] == []


# What the page's credentials are not for: (what is published, what is subscribed to).
_NOT_FOR_THE_PAGE = (
    ["sensors.b.temp", "logs.b.info", "devices.b.hello", "devices.b.drain", "$KV.presence.b",
     "$KV.config.b.reported.period_s", "$O.firmware.M.x", "$O.firmware.C.x",
     "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.READINGS", "$JS.API.STREAM.PURGE.READINGS",
     "$JS.API.STREAM.DELETE.KV_config", "$JS.API.STREAM.MSG.DELETE.READINGS",
     "$JS.API.STREAM.MSG.GET.OBJ_firmware", "$JS.API.DIRECT.GET.OBJ_firmware.x",
     "$JS.API.CONSUMER.CREATE.OBJ_firmware.x", "$SRV.PING", "_INBOX.b.x",
     "homeassistant.status"],
    [">", "devices.>", "$KV.>", "$JS.>", "_INBOX.>", "_INBOX.b.>", "homeassistant.>", "$SRV.>"],
)  # fmt: skip
_NOT_FOR_HOME_ASSISTANT = (
    ["sensors.b.temp", "devices.b.info", "$KV.config.b.desired.period_s", "$KV.presence.b",
     "$JS.API.INFO", "$JS.API.STREAM.PURGE.READINGS", "homeassistant.sensor.b.temp.config"],
    [">", "devices.>", "$KV.>", "logs.>", "_INBOX.b.>"],
)  # fmt: skip


def test_the_page_may_do_nothing_else(home, ports):
    fleet = home.secured.fleet
    options = dict(home.secured.observer(), user_credentials=str(fleet.folder / "web.creds"))
    _refused(home, options, "_INBOX.page", *_NOT_FOR_THE_PAGE)
    for again in (lambda fleet: fleet.admit("web"), lambda fleet: fleet.dismiss("web")):
        before = _before(home, options, again)
        with pytest.raises(nats.errors.Error), Peer(home.server.url, **before):
            pass


def _before(home, options, again):
    """nats.connect's options with the page's credentials from before again(fleet)."""
    fleet = home.secured.fleet
    path = fleet.folder / "before.creds"
    path.write_text((fleet.folder / "web.creds").read_text())
    again(fleet)
    fleet.save()
    home.server.stop()
    home.server.again()
    return dict(options, user_credentials=str(path), allow_reconnect=False, connect_timeout=2)


def test_home_assistant_may_do_nothing_else(home):
    jwt = (home.secured.fleet.folder / "mqtt.jwt").read_text().strip()
    options = {"tls": home.secured.observer()["tls"], "user_jwt_cb": jwt.encode}
    _refused(
        home,
        dict(options, signature_cb=lambda nonce: b""),
        "homeassistant",
        *_NOT_FOR_HOME_ASSISTANT,
    )


def _refused(home, options, inbox, published, subscribed):
    errors = []

    async def on_error(error):
        errors.append(str(error))

    async def nothing(msg):
        pass

    with Peer(home.server.url, error_cb=on_error, **options) as peer:
        peer.run(peer.nc.subscribe(f"{inbox}.x", cb=nothing))
        peer.flush()
        assert errors == []
        for subject in published:
            peer.publish(subject, b"x")
            refused = seldom(lambda: errors and errors.pop())
            assert "permissions violation for publish" in refused.lower(), subject
            assert subject.lower() in refused.lower()
        for subject in subscribed:
            peer.run(peer.nc.subscribe(subject, cb=nothing))
            refused = seldom(lambda: errors and errors.pop())
            assert "permissions violation for subscription" in refused.lower(), subject


def test_home_assistant_finds_reads_switches_and_misses_a_board(home, ports):
    fleet = home.secured.fleet
    jwt = (fleet.folder / "mqtt.jwt").read_text().strip()
    login = str(fleet.folder / "ca.pem"), "home-assistant", jwt
    topics = "homeassistant/+/+/+/config", "sensors/+/+", "presence/+", "devices/+/led/state"
    there = HomeAssistant(ports["mqtt"], *topics, login=login)
    try:
        board = home.board(home_assistant=True, presence_s=EVERY_S)
        light = seldom(lambda: there.hear().get("homeassistant/light/b/led/config"))
        config = json.loads(light)
        seldom(lambda: "sensors/b/temp" in there.hear())
        assert json.loads(seldom(lambda: there.hear().get("presence/b")))["state"] == "up"
        there.publish(config["command_topic"], "on")
        seldom(lambda: there.hear().get(config["state_topic"]) == "on")
        assert board.lit
        del there.last["homeassistant/sensor/b/temp/config"]
        there.publish("homeassistant/status", "online")
        seldom(lambda: "homeassistant/sensor/b/temp/config" in there.hear())
        board.kill()
        seldom(lambda: there.hear()["presence/b"] == "")
    finally:
        there.stop()


def test_the_command_makes_a_gate_and_says_what_to_do(tmp_path, capsys):
    folder = tmp_path / "fleet"
    Fleet.make(folder, ["127.0.0.1"], ["one"])
    for gate, listens in (("web", "port: 8080"), ("mqtt", "port: 8883")):
        provision.main(["admit", "--dir", str(folder), gate])
        said = capsys.readouterr().out
        path = folder / GATES[gate].file
        assert str(path) in said and "started again" in said
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip() not in said
        config = (folder / "server.conf").read_text()
        assert listens in config and config.count("server.key") >= 2
    provision.main(["admit", "--dir", str(folder), "--local", "--gate-port", "8000", "web"])
    config = (folder / "server.conf").read_text()
    assert '"127.0.0.1:8000"\n  no_tls: true' in config and "8080" not in config
    provision.main(["dismiss", "--dir", str(folder), "web"])
    assert "may come no more" in capsys.readouterr().out
    assert "websocket" not in (folder / "server.conf").read_text()
    assert not (folder / "web.creds").exists() and (folder / "mqtt.jwt").exists()
    with pytest.raises(SystemExit, match="is not a port"):
        provision.main(["admit", "--dir", str(folder), "--gate-port", "70000", "web"])
