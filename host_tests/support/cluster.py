"""Real nats-servers that form a cluster."""

import time

from .live import monitoring
from .nats_server import NatsServer
from .ports import free_port

_PATIENCE_S = 60
_ATTEMPTS = 5
_SERVERS = 3

_CONFIG = """
server_name: "{name}"
http: "127.0.0.1:-1"
{jetstream}
cluster {{ name: "tests", listen: "127.0.0.1:{port}", routes: [{routes}] }}
lame_duck_grace_period: "20s"
lame_duck_duration: "60s"
"""

_JETSTREAM = 'jetstream {{ store_dir: "{folder}/jetstream" }}'


class Cluster:
    """Three servers; a context manager. `servers`, `urls`: in the same order."""

    def __init__(self, jetstream=True):
        self._jetstream = jetstream
        self.servers = []

    @property
    def urls(self):
        return [server.url for server in self.servers]

    def __enter__(self):
        for attempt in range(_ATTEMPTS):
            try:
                self._start()
                self.until_healthy()
                return self
            except AssertionError:  # a route's port was taken
                self.stop()
                if attempt == _ATTEMPTS - 1:
                    raise

    def __exit__(self, *_):
        self.stop()

    def _start(self):
        ports = [free_port() for _ in range(_SERVERS)]
        for i, port in enumerate(ports):
            routes = ", ".join('"nats://127.0.0.1:%d"' % other for other in ports if other != port)
            server = NatsServer()
            jetstream = _JETSTREAM.format(folder=server.folder) if self._jetstream else ""
            server.configure(
                _CONFIG.format(name="server%d" % i, port=port, routes=routes, jetstream=jetstream)
            )
            self.servers.append(server)
            server.start()

    def stop(self):
        while self.servers:
            self.servers.pop().stop()

    def healthy(self, server):
        """Whether this server sees all that run, and JetStream, if they have it, has caught up
        there.
        """
        try:
            routes = monitoring(server, "routez")["routes"] if server.running else []
            others = {route["remote_id"] for route in routes}
            return (
                len(others) == sum(other.running for other in self.servers) - 1
                and monitoring(server, "healthz")["status"] == "ok"
            )
        except (OSError, KeyError, IndexError):
            return False

    def until_healthy(self):
        deadline = time.monotonic() + _PATIENCE_S
        while not all(self.healthy(server) for server in self.servers):
            assert time.monotonic() < deadline, "the cluster does not come together"
            time.sleep(0.05)
