"""settings.json: what a board has to know before it can start, checked field by field.

    server             "nats://host:4222", "tls://...", "ws://...",        required
                       commas between them, or a list of such
    user, password     or: token, or one of the two files               if the server asks for them
    creds              file with a JWT and its seed, as nsc writes it
    nkey               file with the seed of an NKey, SU...
    ca                 file with the certificate to trust, DER or PEM   for TLS, which is on with
                       it
    cert, key          files with a certificate of the board's own      if the server asks for one
    tls_first          true if the server speaks TLS before INFO        default: false
    ntp                time server for a board whose clock is not set   default: "pool.ntp.org"
    inbox              what the subjects of replies begin with          default: what the JWT in
                                                                        creds allows, or "_INBOX"
    wifi_ssid          name of the Wi-Fi network                        required on a board with
                       Wi-Fi
    wifi_password      its password; left out for an open network
    device             the board's name in subjects                     default: made of the chip's
                       id
    period_s           seconds between two readings, 0.1 to 86400       default: 10
    led_pin            GPIO number of the LED                           default: the board's own
    led_active_low     true if the LED is lit when the pin is low       default: false
    watchdog           false: released once the settings are read       default: true
    service            false: the commands are no service that can be   default: true
                       found, which saves 5 KB of heap

    presence_s         seconds after which the board tells that it is   default: it does not
                       there, 5 to 3600 (needs JetStream, see presence.py)

    config             true: what is wanted of it is asked for,     default: false
                       and set from afar (needs JetStream, see twin.py)
    sensors.<kind>     false: this sensor is not read               default: true

    update_key         public NKey of whoever signs updates,        default: no updates
                       "U..." (needs config, see update.py)
    update_domain      JetStream's domain with the updates          default: none
    home_assistant     true: it is told of the sensors and the      default: false
                       LED (needs presence_s, see homeassistant.py)
    logs               true: what the board says is published;      default: false
                       "outbox": through that (see logs.py)
    log_level          from which level on: "debug" "info"          default: "info"
                       "warning" "error" "critical"

    outbox             how readings are kept until the server has them  default: "none"
                       "none": until sent, on any server; "stream": until a JetStream stream has
                       acknowledged them; "off": not at all
    stream             the stream's name, if the board may only ask     default: it is looked for
                       it for its own subjects
    outbox_policy      what goes when there is no room for more:    default: "oldest"
                       the "oldest" readings, or the "newest"
    outbox_ram         bytes of RAM for them, 512 to 32768              default: 4096
    outbox_flash       bytes of flash for them, from 8192; 0: none      default: 262144
    sync_s             longest time that they are in RAM only           default: 60 with "stream",
                                                                        else until the RAM is full
    sleep_s            deep sleep between two readings, 1 to 86400;     default: no sleep
                       a board that sleeps hears no commands
    awake_s            the longest time awake before that, 2 to 600     default: 30

The file is saved as UTF-8, with or without a byte order mark. Every mistake in it is reported, not
only the first. What a mistake report says never contains the value of a field, and the settings
print without their secrets.

What becomes an argument of the client is read by the client's own functions, so what it refuses is
refused here: on the computer that would write it to a board, and on the board.
"""

import json
import sys

_FIELDS = (
    "server",
    "user",
    "password",
    "token",
    "creds",
    "nkey",
    "ca",
    "cert",
    "key",
    "tls_first",
    "ntp",
    "inbox",
    "wifi_ssid",
    "wifi_password",
    "device",
    "period_s",
    "led_pin",
    "led_active_low",
    "watchdog",
    "service",
    "presence_s",
    "config",
    "home_assistant",
    "update_key",
    "update_domain",
    "logs",
    "log_level",
    "outbox",
    "stream",
    "outbox_policy",
    "outbox_ram",
    "outbox_flash",
    "sync_s",
    "sleep_s",
    "awake_s",
)

_SECURITY = ("creds", "nkey", "ca", "cert", "key", "tls_first", "ntp", "inbox")
_OUTBOXES = ("none", "stream", "off")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_NO_BOOL = "must be true or false, without quotes"


class SettingsError(ValueError):
    """The settings cannot be used; `mistakes` lists (field, what is wrong and what to do)."""

    def __init__(self, path, mistakes):
        self.mistakes = mistakes
        count = "1 mistake" if len(mistakes) == 1 else "%d mistakes" % len(mistakes)
        lines = ["%s: %s; nothing was started." % (path, count)]
        lines += ["  %s: %s" % mistake for mistake in mistakes]
        super().__init__("\n".join(lines))


def load(path, needs_wifi=True, has_files=False):
    """Read and check the JSON file at `path`; a Settings, or SettingsError with all mistakes.

    has_files: this is the board, and the files that are named must be here, and sound.
    """
    values = read(path)
    if isinstance(values, dict) and values.get("config") is True and has_files:
        import overlay

        values = overlay.values(values, lambda values: check(values, needs_wifi))
    try:
        mistakes = check(values, needs_wifi)
    except ImportError as e:
        todo = "cannot check the settings (%s): `make deploy` puts all of it onto the board" % e
        raise SettingsError(path, [("the client", todo)])
    if has_files and not mistakes and _is_secured(values):
        import security

        mistakes = security.check_files(values)
    if mistakes:
        raise SettingsError(path, mistakes)
    from config import Settings

    return Settings(values)


def read(path):
    """What the JSON file at `path` holds; SettingsError if it is none. UTF-8, also as Windows
    saves it, with a byte order mark. Allocates the whole file twice.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError:
        todo = "is not there: copy settings.example.json to this name and fill it in"
        raise SettingsError(path, [("the file", todo)])
    todo = "is not valid JSON: look for a missing quote, comma or bracket"
    if raw[:3] == b"\xef\xbb\xbf":
        raw = raw[3:]
    if not raw.strip():
        todo = "is empty: copy settings.example.json over it and fill it in"
    elif b"\0" in raw[:4]:  # of two ASCII characters one byte is a NUL; the mark may be missing
        todo = "is saved as UTF-16: save it as UTF-8"
    else:
        try:
            return json.loads(raw.decode())
        except UnicodeError:
            todo = "is not saved as UTF-8 (as Latin-1 or Windows-1252?): save it as UTF-8"
        except ValueError:
            pass
    raise SettingsError(path, [("the file", todo)])


def check(values, needs_wifi=True, knows_files=False):
    """Return the mistakes in `values` as a list of (field, what is wrong and what to do).

    knows_files: what names files is known to be good, and what reads them need not be loaded.
    """
    if not isinstance(values, dict):
        return [("the file", 'must hold one JSON object, { "server": "nats://host:4222", ... }')]
    mistakes = []

    def wrong(field, text):
        if text:
            mistakes.append((field, text))

    for field in values:
        if field.startswith("sensors."):
            if not isinstance(values[field], bool):
                wrong(field, _NO_BOOL)
        elif field not in _FIELDS:
            wrong(field, "is not a setting; the settings are " + ", ".join(_FIELDS))
    servers = []
    wrong("server", _server(values.get("server"), servers))
    for field in ("user", "password", "token"):
        wrong(field, text_in(values, field) or _secret(values.get(field)))
    wrong("user", _credentials(values))
    asks_for_tls = any(server.tls for server in servers)
    if (asks_for_tls and "ca" not in values) or (_is_secured(values) and not knows_files):
        import security

        security.check(values, wrong, asks_for_tls)
    _check_wifi(values, needs_wifi, wrong)
    wrong("device", _device(values))
    wrong("period_s", _seconds(values, "period_s", 0.1, 86400))
    wrong("led_pin", _pin(values))
    for field in (
        "led_active_low",
        "watchdog",
        "service",
        "config",
        "home_assistant",
        "tls_first",
    ):
        if not isinstance(values.get(field, True), bool):
            wrong(field, _NO_BOOL)
    _check_fleet(values, wrong)
    _check_outbox(values, wrong)
    _check_sleep(values, wrong)
    return mistakes


def _server(value, found):
    """What is wrong with the addresses, or None; `found` gets the client's `Server` for each of
    them.
    """
    from unats.servers import read_urls

    if value is None:
        return 'is missing: give the address of your NATS server, like "nats://192.168.1.10:4222"'
    urls = [value] if isinstance(value, str) else value
    if not isinstance(urls, list) or not urls:
        return 'must be an address like "nats://192.168.1.10:4222", or a list of such addresses'
    if not all(isinstance(url, str) for url in urls):
        return "must be a list of nothing but text in quotes"
    urls = ",".join(urls).split(",")
    for number, url in enumerate(urls):
        try:
            found += read_urls(url)
        except ValueError as mistake:
            text = str(mistake).split(": ", 1)[-1]
            return text if len(urls) == 1 else "(number %d of the list) %s" % (number + 1, text)
    return None


def _secret(value):
    """What is wrong with a name or a password for the client, or None."""
    from unats.servers import quoted

    try:
        quoted(value or "")
    except ValueError:
        return "must not contain control characters"
    return None


def text_in(values, field):
    """What is wrong with a field that is to be text, or None."""
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


def _is_secured(values):
    """Whether there is anything about TLS or credentials in files; otherwise `security` is not
    loaded.
    """
    return any(field in values for field in _SECURITY)


def _check_wifi(values, needs_wifi, wrong):
    if "wifi_ssid" in values:
        text = text_in(values, "wifi_ssid")
        if not text and len(values["wifi_ssid"].encode()) > 32:
            text = "is longer than the 32 bytes that a network's name can have"
        wrong("wifi_ssid", text)
    elif needs_wifi:
        wrong("wifi_ssid", "is missing: give the name of your Wi-Fi network")
    if "wifi_password" in values:
        text = text_in(values, "wifi_password")
        if not text and not 8 <= len(values["wifi_password"]) <= 64:
            text = "must have 8 to 63 characters; for an open network leave the line out"
        wrong("wifi_password", text)


def _device(values):
    if "device" not in values:
        return None
    text = text_in(values, "device")
    if not text:
        if len(values["device"]) > 32:
            return "is longer than 32 characters"
        if values["device"] == "_all":
            return "is what stands for all boards: give another name"
        if not is_name(values["device"]):
            return "may have only letters, digits, - and _, since it becomes part of subjects"
    return text


def is_name(text):
    """True if `text` is one token of a subject that needs no quoting anywhere."""
    for c in text:
        if not ("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in "-_"):
            return False
    return bool(text)


def _seconds(values, field, low, high):
    value = values.get(field, low)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "must be a number of seconds, without quotes"
    if not low <= value <= high:
        return "must be between %s and %s seconds" % (low, high)
    return None


def _bytes(values, field, low, high):
    value = values.get(field, low)
    if isinstance(value, bool) or not isinstance(value, int):
        return "must be a whole number of bytes, without quotes"
    if not low <= value <= high:
        return "must be between %d and %d bytes" % (low, high)
    return None


def _update_key(values):
    stays = "unats.auth" in sys.modules
    from unats.auth.nkey import public_bytes

    if not stays:  # it is given back, with what it takes of the heap
        del sys.modules["unats.auth.nkey"], sys.modules["unats.auth"], sys.modules["unats"].auth
    try:
        public_bytes(values["update_key"])
    except ValueError as mistake:
        return str(mistake)
    if values.get("config") is not True:
        return "has no effect without config: add that, or leave it out"
    return None


def _check_fleet(values, wrong):
    wrong("presence_s", _seconds(values, "presence_s", 5, 3600))
    if values.get("home_assistant") is True and "presence_s" not in values:
        wrong("home_assistant", "needs presence_s, by which it knows that the board is there")
    if "update_domain" in values:
        text = text_in(values, "update_domain")
        if not text and "update_key" not in values:
            text = "has no effect without update_key: add that, or leave it out"
        wrong("update_domain", text)
    if "update_key" in values:
        wrong("update_key", text_in(values, "update_key") or _update_key(values))
    if values.get("logs", False) not in (True, False, "outbox"):
        wrong("logs", 'must be true, false or "outbox"')
    elif values.get("logs") == "outbox" and values.get("outbox") == "off":
        wrong("logs", 'cannot be "outbox" without one: give true, or another outbox')
    if values.get("log_level", "info") not in _LEVELS:
        wrong("log_level", "must be one of " + ", ".join(_LEVELS))


def _check_outbox(values, wrong):
    if values.get("outbox", "none") not in _OUTBOXES:
        wrong("outbox", 'must be "none", "stream" or "off", in quotes')
    if values.get("outbox_policy", "oldest") not in ("oldest", "newest"):
        wrong("outbox_policy", 'must be "oldest" or "newest", in quotes')
    if "stream" in values:
        text = text_in(values, "stream")
        if not text and not is_name(values["stream"]):
            text = "may have only letters, digits, - and _"
        if not text and values.get("outbox") != "stream":
            text = 'has no effect without outbox "stream": leave it out, or add that'
        wrong("stream", text)
    wrong("outbox_ram", _bytes(values, "outbox_ram", 512, 32768))
    if values.get("outbox_flash") != 0 or isinstance(values["outbox_flash"], bool):
        wrong("outbox_flash", _bytes(values, "outbox_flash", 8192, 16777216))
    wrong("sync_s", _seconds(values, "sync_s", 1, 86400))
    if values.get("outbox") == "off":
        for field in ("outbox_policy", "outbox_ram", "outbox_flash", "sync_s"):
            if field in values:
                wrong(field, 'has no effect with outbox "off": leave one of them out')


def _check_sleep(values, wrong):
    wrong("sleep_s", _seconds(values, "sleep_s", 1, 86400))
    wrong("awake_s", _seconds(values, "awake_s", 2, 600))
    if "sleep_s" not in values:
        if "awake_s" in values:
            wrong("awake_s", "has no effect without sleep_s: add that, or leave this out")
        return
    if "period_s" in values:
        wrong(
            "period_s",
            "cannot be combined with sleep_s: each wake takes one reading of each sensor",
        )
    if values.get("outbox") == "off":
        wrong(
            "outbox",
            'cannot be "off" with sleep_s: readings of a wake without server would be lost',
        )
    elif values.get("outbox_flash") == 0:
        wrong("outbox_flash", "cannot be 0 with sleep_s: RAM does not outlast deep sleep")


def _pin(values):
    value = values.get("led_pin", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 48:
        return "must be a GPIO number between 0 and 48, without quotes"
    return None
