"""Home Assistant's side: a real MQTT client on nats-server hears what a board announces, its
readings and whether it is there, and switches its LED.
"""

import json
import os
import queue
import subprocess

import paho.mqtt.client as mqtt
import pytest

from support.live import PATIENCE_S, seldom
from tools.run.simulation import Board
from tools.toolchain import BUILD, ROOT, free_port

EVERY_S = 5
HOME_ASSISTANT = str(BUILD / "homeassistant/bin/python")
CONFIG = """
server_name: "home"
mqtt { listen: "127.0.0.1:%d" }
"""
# What Home Assistant takes in a discovery message for a sensor and a light, of what boards tell.
COMMON = {
    "name", "unique_id", "object_id", "availability_topic", "availability_template", "device",
    "state_topic",
}  # fmt: skip
SENSOR = COMMON | {
    "value_template", "state_class", "unit_of_measurement", "device_class", "entity_category",
}  # fmt: skip
LIGHT = COMMON | {"command_topic", "payload_on", "payload_off"}


class Home:
    """An MQTT client: `heard` has (topic, payload) in order."""

    def __init__(self, port, *topics, login=None):
        """login: (file of the authority, user, password), over TLS."""
        self._heard = queue.Queue()
        self.last = {}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.on_message = self._on_message
        subscribed = queue.Queue()
        self.client.on_subscribe = lambda *_: subscribed.put(True)
        if login:
            self.client.tls_set(login[0])
            self.client.username_pw_set(*login[1:])
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([(topic, 0) for topic in topics])
        subscribed.get(timeout=PATIENCE_S)

    def _on_message(self, client, _, message):
        self._heard.put((message.topic, message.payload.decode()))

    def hear(self):
        """The last payload of each topic up to now."""
        while not self._heard.empty():
            topic, payload = self._heard.get()
            self.last[topic] = payload
        return self.last

    def publish(self, topic, payload):
        self.client.publish(topic, payload).wait_for_publish(PATIENCE_S)

    def stop(self):
        self.client.loop_stop()
        self.client.disconnect()


@pytest.fixture
def server(start_fleet_server, port):
    return start_fleet_server(CONFIG % port)


@pytest.fixture
def board(server, tmp_path):
    board = Board(
        "b", tmp_path, server.url, "320K", home_assistant=True, presence_s=EVERY_S, period_s=0.5,
        outbox="stream",
    )  # fmt: skip
    yield board
    board.stop()


@pytest.fixture
def home(server, port):
    home = Home(
        port, "homeassistant/+/+/+/config", "sensors/#", "presence/#", "devices/+/led/state"
    )
    yield home
    home.stop()


def is_here(payload):
    """What the template of the announcements makes of a presence."""
    return bool(payload) and json.loads(payload)["state"] in ("up", "asleep")


def test_a_board_is_found_read_switched_and_missed(home, board):
    topics = [
        f"homeassistant/sensor/b/{kind}/config" for kind in ("temp", "heap", "uptime", "rssi")
    ]
    light = "homeassistant/light/b/led/config"
    seldom(lambda: {*topics, light} <= home.hear().keys())
    for topic in topics:
        config = json.loads(home.last[topic])
        assert config.keys() <= SENSOR and config["device"]["identifiers"] == ["b"]
        reading = seldom(lambda: home.hear().get(config["state_topic"]))
        assert isinstance(json.loads(reading)["v"], int | float)
    config = json.loads(home.last[light])
    assert config.keys() == LIGHT
    assert "value_json.state" in config["availability_template"]
    assert seldom(lambda: is_here(home.hear().get(config["availability_topic"])))
    for payload in ("on", "off"):
        home.publish(config["command_topic"], payload)
        seldom(lambda: home.hear().get(config["state_topic"]) == payload)
        assert board.lit is (payload == "on")
    board.kill()
    seldom(lambda: home.hear()[config["availability_topic"]] == "")


def test_it_is_announced_again_when_home_assistant_has_started(home, board):
    topic = "homeassistant/sensor/b/temp/config"
    seldom(lambda: topic in home.hear())
    del home.last[topic]
    home.publish("homeassistant/status", "online")
    seldom(lambda: topic in home.hear())


class Itself:
    """Home Assistant itself: see support/home_assistant.py."""

    def __init__(self, folder, port):
        script = ROOT / "host_tests/support/home_assistant.py"
        self._process = subprocess.Popen(
            [HOME_ASSISTANT, str(script), str(folder), str(port), str(free_port())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *what):
        """The states of its entities; with words, null once that service was called."""
        self._process.stdin.write(json.dumps(what or None) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self):
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()


@pytest.mark.soak
@pytest.mark.skipif(not os.path.exists(HOME_ASSISTANT), reason="it takes Python 3.11 or 3.12")
def test_home_assistant_itself(board, port, tmp_path):
    there = Itself(tmp_path / "home-assistant", port)
    try:
        seldom(lambda: there().get("light.b_led", ["unknown"])[0] == "off")
        seldom(lambda: float(there()["sensor.b_temp"][0]) > 0)
        units = {name: unit for name, (_, unit) in there().items() if "sensor." in name}
        expected = {"temp": "°C", "heap": "B", "uptime": "s", "rssi": "dBm"}
        assert units == {f"sensor.b_{kind}": unit for kind, unit in expected.items()}
        for service, state in (("turn_on", "on"), ("turn_off", "off")):
            there("light", service, "light.b_led")
            seldom(lambda: there()["light.b_led"][0] == state)
            assert board.lit is (state == "on")
        board.kill()
        seldom(
            lambda: (
                {state for name, (state, _) in there().items() if ".b_" in name} == {"unavailable"}
            )
        )
        board.start()
        seldom(lambda: there()["light.b_led"][0] == "off")
    finally:
        there.stop()
