"""What the integration tests of JetStream share: a server of each test's own, the official client
there, and boards that have what a test's prelude gives them.
"""

import pytest

from .live import Board
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

# Where an object goes to, and what one is made of.
ENDS = """
class Sink:
    def __init__(self):
        self.size = self.most = 0
        self.hash = hashlib.sha256()
    def write(self, data):
        self.size += len(data)
        self.most = max(self.most, len(data))
        self.hash.update(data)
class Source:
    def __init__(self, size):
        self.left, self.n = size, 0
    def readinto(self, buf):
        size = min(len(buf), self.left)
        for i in range(size):
            buf[i] = (self.n + i) & 255
        self.n += 1
        self.left -= size
        return size
"""


def boards(prelude, heapsize):
    """The fixture `board`: one on each interpreter, which has run the prelude, on `server`."""

    @pytest.fixture(params=["micropython", "cpython"])
    def board(request, server):
        board = Board(request.param, heapsize=heapsize)
        yield equipped(board, server.url, prelude)
        board.stop()

    return board


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
