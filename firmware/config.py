"""The settings of a board once they are checked. What reads and checks them, `settings.py`, need
not stay.
"""

_OUTBOX_FLASH = 262144
_AWAKE_S = 30


class Settings:
    """The checked settings, one attribute each; text that was left out is None."""

    def __init__(self, values):
        server = values["server"]
        self.servers = [server] if isinstance(server, str) else server
        self.user = values.get("user")
        self.password = values.get("password")
        self.token = values.get("token")
        self.creds = values.get("creds")
        self.nkey = values.get("nkey")
        self.ca = values.get("ca")
        self.cert = values.get("cert")
        self.key = values.get("key")
        self.tls_first = values.get("tls_first", False)
        self.ntp = values.get("ntp", "pool.ntp.org")
        self.inbox = values.get("inbox", "_INBOX")
        self.stream = values.get("stream")
        self.wifi_ssid = values.get("wifi_ssid")
        self.wifi_password = values.get("wifi_password")
        self.device = values.get("device")
        self.period_ms = int(values.get("period_s", 10) * 1000)
        self.led_pin = values.get("led_pin")
        self.led_active_low = values.get("led_active_low", False)
        self.watchdog = values.get("watchdog", True)
        self.service = values.get("service", True)
        self.presence_s = int(values.get("presence_s", 0))
        self.config = values.get("config", False)
        self.logs = values.get("logs", False)
        self.log_level = values.get("log_level", "info")
        self.update_key = values.get("update_key")
        self.update_domain = values.get("update_domain")
        self.home_assistant = values.get("home_assistant", False)
        self.off = [field[8:] for field in values if field[:8] == "sensors." and not values[field]]
        self.outbox = values.get("outbox", "none")
        self.outbox_policy = values.get("outbox_policy", "oldest")
        self.outbox_ram = values.get("outbox_ram", 4096)
        self.outbox_flash = values.get("outbox_flash", _OUTBOX_FLASH)
        self.sync_ms = _ms(values.get("sync_s", 60 if self.outbox == "stream" else None))
        self.sleep_ms = _ms(values.get("sleep_s"))
        self.awake_ms = _ms(values.get("awake_s", _AWAKE_S))

    @property
    def is_slow(self):
        """Whether connecting takes a board seconds of computing: TLS, or a signature."""
        return (self.ca or self.creds or self.nkey) is not None

    def __repr__(self):
        return "<Settings device=%s period_ms=%d>" % (self.device, self.period_ms)


def _ms(seconds):
    return None if seconds is None else int(seconds * 1000)
