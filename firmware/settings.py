"""settings.json: what a board has to know before it can start, checked field by field.

    server             "nats://host:4222", or a list of them            required
    user, password     or: token                                        if the server asks for them
    wifi_ssid          name of the Wi-Fi network                        required on a board with Wi-Fi
    wifi_password      its password; left out for an open network
    device             the board's name in subjects                     default: made of the chip's id
    period_s           seconds between two readings, 0.1 to 86400       default: 10
    led_pin            GPIO number of the LED                           default: the board's own
    led_active_low     true if the LED is lit when the pin is low       default: false
    watchdog           false leaves the watchdog off                    default: true

Every mistake in the file is reported, not only the first. What a mistake report says never
contains the value of a field, and the settings print without their secrets.
"""

import json

_FIELDS = (
    "server",
    "user",
    "password",
    "token",
    "wifi_ssid",
    "wifi_password",
    "device",
    "period_s",
    "led_pin",
    "led_active_low",
    "watchdog",
)


class SettingsError(ValueError):
    """The settings cannot be used; `mistakes` lists (field, what is wrong and what to do)."""

    def __init__(self, path, mistakes):
        self.mistakes = mistakes
        count = "1 mistake" if len(mistakes) == 1 else "%d mistakes" % len(mistakes)
        lines = ["%s: %s; nothing was started." % (path, count)]
        lines += ["  %s: %s" % mistake for mistake in mistakes]
        super().__init__("\n".join(lines))


class Settings:
    """The checked settings, one attribute each; text that was left out is None."""

    def __init__(self, values):
        server = values["server"]
        self.servers = [server] if isinstance(server, str) else server
        self.user = values.get("user")
        self.password = values.get("password")
        self.token = values.get("token")
        self.wifi_ssid = values.get("wifi_ssid")
        self.wifi_password = values.get("wifi_password")
        self.device = values.get("device")
        self.period_ms = int(values.get("period_s", 10) * 1000)
        self.led_pin = values.get("led_pin")
        self.led_active_low = values.get("led_active_low", False)
        self.watchdog = values.get("watchdog", True)

    def __repr__(self):
        return "<Settings device=%s period_ms=%d>" % (self.device, self.period_ms)


def load(path, needs_wifi=True):
    """Read and check the JSON file at `path`; a Settings, or SettingsError with all mistakes."""
    try:
        with open(path) as file:
            values = _parse(file, path)
    except OSError:
        todo = "is not there: copy settings.example.json to this name and fill it in"
        raise SettingsError(path, [("the file", todo)])
    mistakes = check(values, needs_wifi)
    if mistakes:
        raise SettingsError(path, mistakes)
    return Settings(values)


def _parse(file, path):
    try:
        return json.load(file)
    except ValueError:
        file.seek(0)
        todo = "is not valid JSON: look for a missing quote, comma or bracket"
        if not file.read().strip():
            todo = "is empty: copy settings.example.json over it and fill it in"
        raise SettingsError(path, [("the file", todo)])


def check(values, needs_wifi=True):
    """Return the mistakes in `values` as a list of (field, what is wrong and what to do)."""
    if not isinstance(values, dict):
        return [("the file", 'must hold one JSON object, { "server": "nats://host:4222", ... }')]
    mistakes = []

    def wrong(field, text):
        if text:
            mistakes.append((field, text))

    for field in values:
        if field not in _FIELDS:
            wrong(field, "is not a setting; the settings are " + ", ".join(_FIELDS))
    wrong("server", _server(values.get("server")))
    for field in ("user", "password", "token"):
        wrong(field, _text(values, field))
    wrong("user", _credentials(values))
    _check_wifi(values, needs_wifi, wrong)
    wrong("device", _device(values))
    wrong("period_s", _period(values.get("period_s", 10)))
    wrong("led_pin", _pin(values))
    for field in ("led_active_low", "watchdog"):
        if not isinstance(values.get(field, True), bool):
            wrong(field, "must be true or false, without quotes")
    return mistakes


def _server(value):
    if value is None:
        return 'is missing: give the address of your NATS server, like "nats://192.168.1.10:4222"'
    if isinstance(value, str):
        return _url(value)
    if not isinstance(value, list) or not value:
        return 'must be an address like "nats://192.168.1.10:4222", or a list of such addresses'
    for number, url in enumerate(value):
        text = _url(url) if isinstance(url, str) else "must be text in quotes"
        if text:
            return "(number %d of the list) %s" % (number + 1, text)
    return None


def _url(url):
    """Look for what people get wrong; the client does the parsing and has the last word."""
    if "://" in url:
        scheme, url = url.split("://", 1)
        if scheme != "nats":
            return "must start with nats://; other kinds of address are not supported"
    for character in url:
        if character <= " ":
            return "must not contain spaces"
    host = url.rsplit("@", 1)[-1]
    port = ""
    if not host.endswith("]") and ":" in host:
        host, port = host.rsplit(":", 1)
        if not _is_port(port):
            return "has no port number between 1 and 65535 after the last colon"
    if not host or "/" in host:
        return 'must be nothing but scheme, host and port, like "nats://192.168.1.10:4222"'
    return None


def _is_port(text):
    try:
        return 0 < int(text) < 65536
    except ValueError:
        return False


def _text(values, field):
    value = values.get(field, "x")
    if not isinstance(value, str):
        return "must be text in quotes"
    if not value:
        return "is empty: fill it in, or leave the line out"
    return None


def _credentials(values):
    if "token" in values and ("user" in values or "password" in values):
        return "cannot be combined with token: keep user and password, or keep token"
    if "password" in values and "user" not in values:
        return "is missing: a password needs the user it belongs to"
    if "user" in values and "password" not in values:
        return "has no password: add one, or leave user out"
    return None


def _check_wifi(values, needs_wifi, wrong):
    if "wifi_ssid" in values:
        text = _text(values, "wifi_ssid")
        if not text and len(values["wifi_ssid"].encode()) > 32:
            text = "is longer than the 32 bytes that a network's name can have"
        wrong("wifi_ssid", text)
    elif needs_wifi:
        wrong("wifi_ssid", "is missing: give the name of your Wi-Fi network")
    if "wifi_password" in values:
        text = _text(values, "wifi_password")
        if not text and not 8 <= len(values["wifi_password"]) <= 64:
            text = "must have 8 to 63 characters; for an open network leave the line out"
        wrong("wifi_password", text)


def _device(values):
    if "device" not in values:
        return None
    text = _text(values, "device")
    if not text:
        if len(values["device"]) > 32:
            return "is longer than 32 characters"
        if not is_name(values["device"]):
            return "may have only letters, digits, - and _, since it becomes part of subjects"
    return text


def is_name(text):
    """True if `text` is one token of a subject that needs no quoting anywhere."""
    for c in text:
        if not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in "-_"):
            return False
    return bool(text)


def _period(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "must be a number of seconds, without quotes"
    if not 0.1 <= value <= 86400:
        return "must be between 0.1 and 86400 seconds"
    return None


def _pin(values):
    value = values.get("led_pin", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 48:
        return "must be a GPIO number between 0 and 48, without quotes"
    return None
