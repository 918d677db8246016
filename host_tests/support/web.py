"""A folder on a local HTTP server."""

import functools
import http.server
import threading


class Web:
    """A context manager. `url`: of the folder, without a slash at its end. `fails_after`: requests
    that are answered, before one is answered by half; None: all are.
    """

    def __init__(self, folder):
        web = self
        self.fails_after = None

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def copyfile(self, file, sink):
                data = file.read()
                if web.fails_after is not None:
                    web.fails_after -= 1
                    if web.fails_after < 0:
                        data = data[: len(data) // 2]
                sink.write(data)

        handler = functools.partial(Handler, directory=folder)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
