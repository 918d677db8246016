"""What WEB=1 adds to a run: a WebSocket of the server, and the page that talks to it."""

from pathlib import Path

from tools.toolchain import free_port
from tools.web.page import Page

_CONFIG = """\
websocket { listen: "127.0.0.1:%d", no_tls: true }
"""


class Web:
    """A page in a browser. `url`: where, once `page()` was entered."""

    def __init__(self, folder):
        self._port = free_port()
        self._config = Path(folder) / "web.conf"
        self._config.write_text(_CONFIG % self._port)
        self._page = None

    @property
    def server_options(self):
        """nats-server's command line."""
        return ("-c", str(self._config))

    def page(self):
        """A context in which it is there."""
        self._page = Page(f"ws://127.0.0.1:{self._port}")
        return self._page

    @property
    def url(self):
        return self._page.url
