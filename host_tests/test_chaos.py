"""Nothing is lost, and nothing comes twice, while everything breaks.

Boards publish readings through their outboxes; boards and servers are killed (-9) and started
again, and the links between them have every fault that support/chaos.py knows. A reading is
promised (see `unats.outbox`) once `put` has returned True if its board is not killed, and once
`sync` has if it is. Every promised reading must be in the board's stream once, in the order of
putting, and nothing else but readings that were put when a board was killed; and the heap of a
board that was not must not grow. Now and then a board's stream takes only a part of its subjects,
or none, or is full: then readings are refused, and the order is that of each subject. At any
instant what became of a board's readings adds up to what it put.

What breaks comes from a number that is printed; UNATS_SEED=number repeats it.
"""

import os
import random
import time

import pytest
from nats.errors import Error as NatsError
from nats.js.api import StreamConfig

from support.chaos import Board, Storm
from support.cluster import Cluster
from support.nats_server import NatsServer
from support.peer import Peer

_PATIENCE_S = 60
_HEAP_SLACK = 1024  # bytes: the texts of the last errors, a name more in a list


@pytest.fixture
def seed():
    number = int(os.environ.get("UNATS_SEED", random.SystemRandom().getrandbits(28)))
    print("UNATS_SEED=%d" % number)
    return number


def _make_streams(url, boards, replicas):
    """A stream for each board. Right after its start a cluster may need several tries."""
    with Peer(url) as peer:
        js = peer.nc.jetstream()
        for board in boards:
            config = _config(board, replicas)
            _try_often(lambda: peer.run(js.add_stream(config)))


def _config(board, replicas, what=None, messages=0):
    """A board's stream, or what is left of it in trouble; messages: how many it holds."""
    subjects = {"one subject less": ["chaos.%s.1", "chaos.%s.2"], "no subject": ["nobodys.%s"]}
    return StreamConfig(
        name=board.name.upper(),
        subjects=[text % board.name for text in subjects.get(what, ["chaos.%s.*"])],
        num_replicas=replicas,
        duplicate_window=board.duplicate_window_s,
        max_msgs=messages + 5 if what == "full" else -1,
        discard="new" if what == "full" else "old",
    )


async def _update(js, board, replicas, what):
    info = await js.stream_info(board.name.upper())
    await js.update_stream(_config(board, replicas, what, info.state.messages))


def _try_often(action):
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return action()
        except (NatsError, OSError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _stored(url, boards):
    """What the boards' streams hold, read by the official client."""
    with Peer(url) as peer:
        js = peer.nc.jetstream()
        return {
            board.name: _try_often(lambda: peer.run(_read(js, board.name))) for board in boards
        }


async def _read(js, name):
    info = await js.stream_info(name.upper())
    subscription = await js.subscribe("chaos.%s.*" % name, ordered_consumer=True)
    found = []
    while len(found) < info.state.messages:
        message = await subscription.next_msg(timeout=10)
        found.append((message.subject, message.data))
    await subscription.unsubscribe()
    return found


def _go_through(seed, boards, servers, kills, folder, replicas, troubles):
    def trouble(board, what):
        def update():
            urls = [server.url for server in servers]
            with Peer(urls, connect_timeout=1, max_reconnect_attempts=1) as peer:
                peer.run(_update(peer.nc.jetstream(), board, replicas, what))

        _try_often(update)

    _make_streams(servers[0].url, boards, replicas)
    storm = Storm(seed, boards, servers, kills, folder, troubles, trouble)
    start = time.monotonic()
    storm.run()
    figures = storm.check(_stored(servers[0].url, boards))
    figures["seconds"] = round(time.monotonic() - start)
    print("".join("\n%24s  %s" % figure for figure in figures.items()))
    for first, last in figures["heap"]:
        assert last <= first + _HEAP_SLACK, figures["heap"]
    for first, last in figures["files open"]:
        assert last <= first, figures["files open"]
    return figures


def _check(figures, readings, kills, faults, board_kills):
    assert figures["readings put"] >= readings
    assert figures["stored"] + figures["lost with a board's RAM"] >= readings
    assert figures["server kills"] >= kills
    assert figures["link faults"] >= faults
    assert figures["board kills"] >= board_kills


def _boards(readings, kills, faults, **options):
    """Four of them, the first of which is never killed, and never syncs; two look back after
    seconds.
    """
    return [
        Board("a", readings, 0, faults, syncs=0, **options),
        Board("b", readings, kills, faults, syncs=1, **options),
        Board("c", readings, kills, faults, syncs=4, duplicate_window_s=4, **options),
        Board("d", readings, kills, faults, syncs=7, duplicate_window_s=4, **options),
    ]


def test_chaos_with_one_server(seed, tmp_path):
    boards = _boards(800, kills=4, faults=20)
    with NatsServer(jetstream=True) as server:
        figures = _go_through(seed, boards, [server], 16, tmp_path, replicas=1, troubles=6)
    _check(figures, 3200, 16, 80, 12)


def test_chaos_with_a_cluster(seed, tmp_path):
    """`window=1`, as `unats.outbox` has it for clusters."""
    boards = _boards(300, kills=2, faults=10, window=1)[:3]
    with Cluster() as cluster:
        figures = _go_through(seed, boards, cluster.servers, 6, tmp_path, 3, troubles=3)
    _check(figures, 900, 6, 30, 4)


@pytest.mark.soak
def test_long_chaos_with_one_server(seed, tmp_path):
    boards = _boards(5000, kills=20, faults=60)
    with NatsServer(jetstream=True) as server:
        figures = _go_through(seed, boards, [server], 100, tmp_path, replicas=1, troubles=60)
    _check(figures, 20000, 100, 240, 60)


@pytest.mark.soak
def test_long_chaos_with_a_cluster(seed, tmp_path):
    boards = _boards(5000, kills=20, faults=60, window=1)
    with Cluster() as cluster:
        figures = _go_through(seed, boards, cluster.servers, 100, tmp_path, 3, troubles=60)
    _check(figures, 20000, 100, 240, 60)
