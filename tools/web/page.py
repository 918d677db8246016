"""The page itself: what a browser loads, from a web server of its own on this machine."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

from tools import toolchain
from tools.toolchain import BUILD, ToolError

_HERE = Path(__file__).parent
_PACKAGES = BUILD / "page"
_SITE = BUILD / "page/site"
_STYLE_AND_SCRIPT = ("page.js", "page.css")


def build():
    """The folder with the page, made anew."""
    esbuild = _PACKAGES / "node_modules/esbuild/bin/esbuild"
    if not esbuild.exists():
        raise ToolError(f"{_PACKAGES} has no esbuild: `make web` puts it there")
    _SITE.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            toolchain.node(), str(esbuild), *[str(_HERE / name) for name in _STYLE_AND_SCRIPT],
            "--bundle", "--minify", "--format=iife", f"--outdir={_SITE}", "--log-level=warning",
        ],
        env=dict(os.environ, NODE_PATH=str(_PACKAGES / "node_modules")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise ToolError(f"the page cannot be built:\n{done.stderr.strip()}")
    shutil.copy(_HERE / "index.html", _SITE)
    return _SITE


class Page:
    """Serves the page on loopback while the `with` block lasts; `url` says where.

    server: the WebSocket of nats-server, "ws://host:port"; creds: a file, or None.
    """

    def __init__(self, server, creds=None, port=0):
        if not server.startswith(("ws://", "wss://")):
            raise ToolError(f"{server!r}: give the WebSocket of nats-server, ws://host:port")
        self._settings = {"server": server}
        if creds is not None:
            try:
                self._settings["creds"] = Path(creds).read_text()
            except OSError as error:
                raise ToolError(f"the credentials cannot be read: {error}") from None
        handler = functools.partial(_Handler, self._settings, directory=str(build()))
        try:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise ToolError(f"no page at port {port}: {error.strerror}") from None
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self):
        """Until Ctrl-C."""
        self._thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """The files of the page, and where its server is."""

    def __init__(self, settings, *args, **options):
        self._settings = settings
        super().__init__(*args, **options)

    def do_GET(self):
        if self.path != "/fleet.json":
            super().do_GET()
            return
        body = json.dumps(self._settings).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self):
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_):
        pass
