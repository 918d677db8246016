"""What the integration tests of JetStream share: a server of each test's own, the official client
there, and boards that have what a test's prelude gives them.
"""

import pytest

from .peer import Peer

SOON = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100}

# What is loaded first, one by one, as compiling it needs room.
READING = """
import unats.errors
import unats.jetstream.streams
gc.collect()
import unats.jetstream.consumer
import unats.jetstream.ordered
gc.collect()
"""


@pytest.fixture
def server(start_nats_server):
    """A server with JetStream of the test's own, to be killed."""
    return start_nats_server(jetstream=True)


@pytest.fixture
def other(server):
    """The other side, the official Python client, on `server`."""
    with Peer(server.url) as peer:
        yield peer


def equipped(board, url, prelude, **options):
    """The board, connected, and once it has run the prelude."""
    board.connect(url, **dict(SOON, **options))
    board.start(prelude)
    board.result()
    return board
