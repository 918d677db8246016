"""Real nats-servers that form a cluster with JetStream."""

import time
import urllib.error

from .live import monitoring
from .nats_server import NatsServer
from .ports import free_port

_PATIENCE_S = 60
_ATTEMPTS = 5

_CONFIG = """
server_name: "{name}"
http: "127.0.0.1:-1"
jetstream {{ store_dir: "{folder}/jetstream" }}
cluster {{ name: "chaos", listen: "127.0.0.1:{port}", routes: [{routes}] }}
lame_duck_grace_period: "1s"
lame_duck_duration: "30s"
"""


class Cluster:
    """Three servers (or n); a context manager. `servers`, `urls`: in the same order."""

    def __init__(self, n=3):
        self._n = n
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
        ports = [free_port() for _ in range(self._n)]
        for i, port in enumerate(ports):
            routes = ", ".join('"nats://127.0.0.1:%d"' % other for other in ports if other != port)
            server = NatsServer()
            server._config = _CONFIG.format(
                name="server%d" % i, folder=server.folder, port=port, routes=routes
            )
            self.servers.append(server)
            server.start()

    def stop(self):
        while self.servers:
            self.servers.pop().stop()

    def healthy(self, server):
        """Whether this server has caught up with the others, and JetStream is of use there."""
        try:
            return server.running and monitoring(server, "healthz")["status"] == "ok"
        except (OSError, KeyError, IndexError, urllib.error.HTTPError):
            return False

    def until_healthy(self):
        deadline = time.monotonic() + _PATIENCE_S
        while not all(self.healthy(server) for server in self.servers):
            assert time.monotonic() < deadline, "the cluster does not come together"
            time.sleep(0.05)
