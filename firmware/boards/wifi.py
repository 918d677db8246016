"""Joining a Wi-Fi network without waiting for it, the same way on every board that has Wi-Fi."""

from micropython import const

_JOIN_AGAIN_MS = const(15000)  # an attempt that has not led anywhere by then is started afresh


class Wifi:
    """Keeps `wlan` (a network.WLAN in station mode) joined to one network.

    network: the module of that name; its `ipconfig` is looked at, where it has one.
    """

    def __init__(self, wlan, ssid, password, clock, network=None):
        self._wlan = wlan
        self._network = network
        self._ssid = ssid
        self._password = password
        self._clock = clock
        self._join_at = clock.ticks_ms()
        wlan.active(True)

    def up(self):
        """Say whether the network is there; start (again) to join it when it is time to."""
        if self._wlan.isconnected():
            self._join_at = self._clock.ticks_ms()
            return True
        if self._clock.ticks_diff(self._clock.ticks_ms(), self._join_at) >= 0:
            self._join_at = self._clock.ticks_add(self._clock.ticks_ms(), _JOIN_AGAIN_MS)
            self._join()
        return False

    def off(self):
        """Switch the radio off."""
        try:
            self._wlan.disconnect()
            self._wlan.active(False)
        except OSError as e:
            print("Wi-Fi: cannot be switched off:", e)

    def rssi(self):
        """Return the strength of the signal in dBm, or None while there is none."""
        try:
            return self._wlan.status("rssi") if self._wlan.isconnected() else None
        except OSError:  # ESP32 raises when the access point went away this moment
            return None

    def address(self):
        """Return the board's address, a str, or None while there is no network."""
        if not self._wlan.isconnected():
            return None
        if hasattr(self._wlan, "ifconfig"):
            return self._wlan.ifconfig()[0]
        return self._wlan.ipconfig("addr4")[0]

    def name_servers(self):
        """Return the addresses (a list of str) of the name servers that the network has told of.

        Of those that a port tells, which is the first one; and that only if it is an IPv4 address.
        """
        found = []
        try:
            if hasattr(self._wlan, "ifconfig"):
                found.append(self._wlan.ifconfig()[3])
            if hasattr(self._network, "ipconfig"):  # since MicroPython 1.23
                found.append(self._network.ipconfig("dns"))
        except (OSError, ValueError) as e:
            print("Wi-Fi: its name servers are not known:", e)
        servers = []
        for server in found:
            if server != "0.0.0.0" and ":" not in server and server not in servers:
                servers.append(server)
        return servers

    def _join(self):
        # connect() during an attempt is an error on ESP32; on the Pico W nothing else ends one.
        try:
            self._wlan.disconnect()
            if self._password is None:
                self._wlan.connect(self._ssid)
            else:
                self._wlan.connect(self._ssid, self._password)
        except OSError as e:
            print("Wi-Fi: cannot start to join:", e, "- tried again in 15 s")
