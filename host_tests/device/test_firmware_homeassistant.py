"""What Home Assistant is told, and when."""

import json
import unittest

from app import App
from config import Settings
from firmware_fakes import (
    PERIOD_MS,
    FakeBoard,
    FakeClient,
    FakeClock,
    FakeSensor,
    run_for,
)
from homeassistant import HomeAssistant
from parts import Parts
from sensors import Sensor, of


class Soil(Sensor):
    unit = "%"
    device_class = "moisture"

    def read(self):
        return 42


class Announced(unittest.TestCase):
    def setUp(self):
        self.clock = FakeClock()
        self.client = FakeClient(self.clock)
        self.board = FakeBoard(self.clock)
        sensors = of(self.board) + [("soil", Soil()), ("other", FakeSensor(1))]
        self.app = App(self.client, self.clock, self.board, "dev", PERIOD_MS, sensors)
        self.client.app = self.app
        self.part = HomeAssistant(self.app)
        self.app.parts = Parts(self.app)
        self.app.parts._parts.append(self.part)
        self.app.start()

    def run_for(self, ms):
        run_for(self.app, self.clock, ms)

    def configs(self):
        """What was announced: {topic: [config, ...]}."""
        found = {}
        for subject, text in self.client.published:
            if subject.endswith(".config"):
                found.setdefault(subject.replace(".", "/"), []).append(json.loads(text))
        return found

    def test_each_sensor_and_the_led(self):
        self.run_for(5000)
        configs = self.configs()
        names = [
            "sensor/dev/" + kind for kind in ("temp", "heap", "uptime", "rssi", "soil", "other")
        ]
        topics = ["homeassistant/%s/config" % name for name in names + ["light/dev/led"]]
        self.assertEqual(sorted(configs), sorted(topics))
        self.assertTrue(all(len(found) == 1 for found in configs.values()))
        config = configs["homeassistant/sensor/dev/temp/config"][0]
        self.assertEqual(config["state_topic"], "sensors/dev/temp")
        self.assertEqual(config["value_template"], "{{ value_json.v }}")
        self.assertEqual(
            (config["unit_of_measurement"], config["device_class"]), ("\xb0C", "temperature")
        )
        self.assertFalse("entity_category" in config)
        self.assertEqual(config["availability_topic"], "presence/dev")
        self.assertEqual(config["device"]["identifiers"], ["dev"])
        heap = configs["homeassistant/sensor/dev/heap/config"][0]
        self.assertEqual(heap["entity_category"], "diagnostic")
        soil = configs["homeassistant/sensor/dev/soil/config"][0]
        self.assertEqual((soil["unit_of_measurement"], soil["device_class"]), ("%", "moisture"))
        other = configs["homeassistant/sensor/dev/other/config"][0]
        self.assertFalse("unit_of_measurement" in other or "device_class" in other)
        led = configs["homeassistant/light/dev/led/config"][0]
        self.assertEqual((led["command_topic"], led["payload_off"]), ("devices/dev/led", "off"))
        identities = [found[0]["unique_id"] for found in configs.values()]
        self.assertEqual(len(set(identities)), 7)

    def test_again_with_each_connection_and_when_it_has_started(self):
        self.run_for(5000)
        self.client.lose()
        self.run_for(5000)
        self.assertTrue(all(len(found) == 2 for found in self.configs().values()))
        self.client.send("homeassistant.status", b"offline")
        self.run_for(5000)
        self.assertTrue(all(len(found) == 2 for found in self.configs().values()))
        self.client.send("homeassistant.status", b"online")
        self.run_for(5000)
        self.assertTrue(all(len(found) == 3 for found in self.configs().values()))

    def test_the_led_is_told_again_to_who_has_only_just_heard_of_it(self):
        self.run_for(2000)
        self.assertEqual(self.client.texts("devices.dev.led.state"), ["off"])
        self.run_for(10000)
        self.assertEqual(self.client.texts("devices.dev.led.state"), ["off"] * 2)
        self.client.send("homeassistant.status", b"online")
        self.run_for(10000)
        self.assertEqual(self.client.texts("devices.dev.led.state"), ["off"] * 4)

    def test_the_led_is_told_when_it_changes(self):
        self.run_for(5000)
        self.client.published.clear()
        self.client.send("devices.dev.led", b"on")
        self.run_for(1000)
        self.client.send("devices.dev.led", b"on")
        self.run_for(1000)
        self.client.send("devices.dev.led", b"toggle")
        self.run_for(1000)
        self.assertEqual(self.client.texts("devices.dev.led.state"), ["on", "off"])

    def test_a_board_without_led(self):
        self.board.lit = None
        self.run_for(5000)
        self.assertEqual(len(self.configs()), 6)
        self.assertEqual(self.client.texts("devices.dev.led.state"), [])
        self.assertEqual(self.app.faults, 0)

    def test_what_is_not_taken_is_announced_later(self):
        publish, self.client.publish = self.client.publish, lambda *args: False
        self.run_for(3000)
        self.client.publish = publish
        self.run_for(5000)
        self.assertEqual(len(self.configs()), 7)

    def test_it_needs_presences(self):
        import settings

        values = {"server": "127.0.0.1", "home_assistant": True}
        self.assertEqual([field for field, _ in settings.check(values, False)], ["home_assistant"])
        values["presence_s"] = 30
        self.assertEqual(settings.check(values, False), [])
        self.assertTrue(Settings(values).home_assistant)


if __name__ == "__main__":
    unittest.main()
