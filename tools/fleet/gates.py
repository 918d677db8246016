"""Who else may come to the server of a fleet: a page in a browser, and Home Assistant.

Each is a gate: something that the server listens for, and a user of the fleet's account who may do
what it is for and nothing else. (Who may make consumers, as the page does, and boards that fetch
updates, can have the server deliver what that stream holds to whoever listens on another subject.
It comes with the subject that it was stored with, so it can be told from a reading.)
"""

from typing import NamedTuple

from tools.fleet.subjects import CONFIG, PRESENCE, READINGS, STATUS, STREAM

PAGE_INBOX = "_INBOX.page"  # as in tools/web/page.js

TLS = """\
tls {
  cert_file: "%(home)s/server.pem"
  key_file: "%(home)s/private/server.key"
  timeout: 10  # boards are slow, with the handshake
}
"""


class Gate(NamedTuple):
    """about: who comes through it; file: of its credentials, in the fleet's folder; bearer: they
    are a JWT that is enough by itself. port: where, if nothing else is said. config: what it is
    called in nats-server's. publish, subscribe: its subjects.
    """

    about: str
    file: str
    bearer: bool
    port: int
    config: str
    publish: tuple
    subscribe: tuple


def _stream(name):
    """What it takes to read a stream."""
    calls = (
        "STREAM.INFO.%s",
        "CONSUMER.CREATE.%s.>",
        "CONSUMER.INFO.%s.*",
        "CONSUMER.DELETE.%s.*",
    )
    asks = [f"$JS.API.{call % name}" for call in calls]
    return [*asks, f"$JS.API.CONSUMER.MSG.NEXT.{name}.*", f"$JS.API.DIRECT.GET.{name}.>"]


GATES = {
    "web": Gate(
        "the page", "web.creds", False, 8080, "websocket",
        publish=(
            "devices.*.led", "devices.*.info", f"$KV.{CONFIG}.*.desired.>",
            *_stream(f"KV_{PRESENCE}"), *_stream(f"KV_{CONFIG}"), *_stream(STREAM),
        ),
        subscribe=(READINGS, f"{PAGE_INBOX}.>"),
    ),
    "mqtt": Gate(
        "Home Assistant", "mqtt.jwt", True, 8883, "mqtt",
        publish=("devices.*.led", STATUS),
        subscribe=(READINGS, "homeassistant.>", "devices.*.led.state", f"{PRESENCE}.*"),
    ),
}  # fmt: skip


def config(name, port, local):
    """The server's configuration of a gate. local: for this machine only, without TLS."""
    gate = GATES[name]
    if not local:
        return f"{gate.config} {{\n  port: {port}\n{TLS}}}\n"
    plain = "  no_tls: true\n" if name == "web" else ""
    return f'{gate.config} {{\n  listen: "127.0.0.1:{port}"\n{plain}}}\n'
