"""What WEB=1 adds to a run: a WebSocket of the server, the page that talks to it, and boards that
are looked after from afar.
"""

from pathlib import Path

from tools.fleet import nats_jwt
from tools.toolchain import free_port
from tools.web.page import Page

_PRESENCE_S = 5
_CONFIG = """\
websocket { listen: "127.0.0.1:%d", no_tls: true }
"""


class Web:
    """A page in a browser. `url`: where, once `page()` was entered; `sign`: gives the signature of
    an update's manifest; `settings`: what its boards have in their settings.json for it.
    """

    def __init__(self, folder):
        self._port = free_port()
        self._config = Path(folder) / "web.conf"
        self._config.write_text(_CONFIG % self._port)
        self._page = None
        signer = nats_jwt.Signer("update", nats_jwt.new_seed("user"))
        self.sign = signer.sign_bytes
        self.settings = {
            "presence_s": _PRESENCE_S, "config": True, "logs": True, "update_key": signer.public,
        }  # fmt: skip

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
