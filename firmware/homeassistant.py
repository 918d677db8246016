"""Home Assistant: the board's sensors and its LED, by MQTT discovery, through the MQTT listener of
nats-server, for which a subject's dots are a topic's slashes.

    homeassistant/sensor/<device>/<kind>/config     out: what there is, with each connection and
    homeassistant/light/<device>/led/config         when Home Assistant says that it has started
    homeassistant/status                            in:  "online": it has
    sensors/<device>/<kind>                         out: the readings, as ever
    devices/<device>/led                            in:  on, off
    devices/<device>/led/state                      out: on, off
    presence/<device>                               whether it is there; the bucket of presences
                                                    repeats it there, and when it has expired

Source: Home Assistant's documentation of MQTT discovery, and of its MQTT sensor and light. A
sensor that is not among the known kinds says by `unit` and `device_class` what it measures.
"""

import json

from micropython import const

from boards import machine_name
from parts import Part

_PREFIX = "homeassistant."
_HERE = "{{ 'online' if value and value_json.state in ('up', 'asleep') else 'offline' }}"
_KINDS = {  # unit, device class, whether it is about the board itself
    "temp": ("\xb0C", "temperature", False),
    "heap": ("B", "data_size", True),
    "uptime": ("s", "duration", True),
    "rssi": ("dBm", "signal_strength", True),
}


_AGAIN_MS = const(3000)


class HomeAssistant(Part):
    """What Home Assistant has to know of the board of `app`."""

    def __init__(self, app):
        self._app = app
        self._next = 0  # what is to be announced: a sensor's number, then the LED
        self._connection = 0
        self._lit = None  # as it was told last
        self._again = None  # when to tell it to those who have only just heard of it
        app.client.subscribe(_PREFIX + "status", self._on_status)

    def turn(self):
        """Announce one thing that is left, or tell how the LED is."""
        app = self._app
        if not app.client.connected:
            return
        if self._connection != app.connections:
            self._connection = app.connections
            self._next = 0
        if self._next <= len(app.channels):
            if self._announce():
                self._next += 1
        elif self._lit is not None and (
            self._lit is not app.board.led()
            or (self._again is not None and not app.client.left(self._again))
        ):
            self._tell_led()

    def busy(self):
        """Say whether there is something to be announced."""
        return self._connection != self._app.connections or self._next <= len(self._app.channels)

    def _on_status(self, msg):
        if msg.equals(b"online"):
            self._next = 0

    def _announce(self):
        """Whether the next thing was announced, or is not there."""
        app = self._app
        if self._next < len(app.channels):
            channel = app.channels[self._next]
            what = self._sensor(channel.kind, channel.sensor)
            return self._publish("sensor", channel.kind, what)
        try:
            app.board.led()
        except OSError:
            return True  # there is none
        topic = "devices/%s/led" % app.device
        led = {"name": "LED", "command_topic": topic, "state_topic": topic + "/state"}
        led.update({"payload_on": "on", "payload_off": "off"})
        if not self._publish("light", "led", led) or not self._tell_led():
            return False
        self._again = app.client.deadline(_AGAIN_MS)
        return True

    def _sensor(self, kind, sensor):
        unit, device_class, about = _KINDS.get(kind, (None, None, False))
        found = {
            "name": kind,
            "state_topic": "sensors/%s/%s" % (self._app.device, kind),
            "value_template": "{{ value_json.v }}",
            "state_class": "measurement",
        }
        for name, value in (
            ("unit_of_measurement", getattr(sensor, "unit", unit)),
            ("device_class", getattr(sensor, "device_class", device_class)),
            ("entity_category", "diagnostic" if about else None),
        ):
            if value is not None:
                found[name] = value
        return found

    def _publish(self, component, name, config):
        app = self._app
        config["unique_id"] = "%s_%s" % (app.device, name)
        config["object_id"] = config["unique_id"]
        config["availability_topic"] = "presence/" + app.device
        config["availability_template"] = _HERE
        config["device"] = {
            "identifiers": [app.device],
            "name": app.device,
            "model": machine_name(),
            "sw_version": app.version,
        }
        subject = "%s%s.%s.%s.config" % (_PREFIX, component, app.device, name)
        return app.client.publish(subject, json.dumps(config))

    def _tell_led(self):
        app = self._app
        lit = app.board.led()
        told = app.client.publish("devices.%s.led.state" % app.device, b"on" if lit else b"off")
        if told:
            self._lit = lit
            self._again = None
        return told
