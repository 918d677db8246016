"""`python -m tools.web` and `make web`: serves the page of a fleet, until Ctrl-C.

--server ws://192.168.1.10:8080     the WebSocket of nats-server
--creds web.creds                   credentials, if it asks for them; the page gets them, so
                                    they should allow for nothing but this
--port 8000                         where the page is, on this machine only
"""

import argparse
import sys

from tools.toolchain import ToolError
from tools.web.page import Page


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m tools.web",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--server", help="ws://host:port, or wss://")
    parser.add_argument("--creds", help="file with the credentials of the page")
    parser.add_argument("--port", type=int, default=8000, help="of the page (%(default)s)")
    options = parser.parse_args(argv)
    if not options.server:
        sys.exit("web: say where nats-server's WebSocket is: make web SERVER=ws://host:8080")
    try:
        with Page(options.server, options.creds, options.port) as page:
            print(f"the fleet is at {page.url}; Ctrl-C ends this", flush=True)
            page.wait()
    except ToolError as error:
        sys.exit(f"web: {error}")
    except KeyboardInterrupt:
        pass


main()
