"""What WEB=1 adds to a run: a WebSocket of the server, the page that talks to it, and boards that
are looked after from afar.
"""

from pathlib import Path

from tools.fleet import gates, nats_jwt
from tools.toolchain import free_port
from tools.web.page import Page

_PRESENCE_S = 5


class Web:
    """A page in a browser. fleet: that of the run, or None.

    `url`: where the page is, once `page()` was entered; `server_options`: nats-server's command
    line, without a fleet; `sign`: gives the signature of an update's manifest; `settings`: what
    boards have in their settings.json for all this.
    """

    def __init__(self, folder, fleet=None):
        self._port = free_port()
        self._page = self._creds = None
        if fleet is None:
            config = Path(folder) / "web.conf"
            config.write_text(gates.config("web", self._port, local=True))
            self.server_options = ("-c", str(config))
            signer = nats_jwt.Signer("update")
            self.sign, updates = signer.sign_bytes, {"update_key": signer.public}
        else:
            self._creds = fleet.admit("web", self._port, local=True)
            fleet.save()
            self.sign, updates = fleet.sign, fleet.update_settings()
        self.settings = dict(updates, presence_s=_PRESENCE_S, config=True, logs=True)

    def page(self):
        """A context in which it is there."""
        self._page = Page(f"ws://127.0.0.1:{self._port}", self._creds)
        return self._page

    @property
    def url(self):
        return self._page.url
