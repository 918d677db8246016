"""Nothing is lost, and nothing comes twice, while everything breaks.

Boards publish readings through their outboxes; boards and servers are killed (-9) and started
again, and the links between them have every fault that support/chaos.py knows. A reading is
promised (see `unats.outbox`) once `put` has returned True if its board is not killed, and once
`sync` has if it is. Every promised reading must be in the board's stream once, in the order of
putting, and nothing else but readings that were put when a board was killed; and the heap of a
board that was not must not grow. Now and then a board's stream takes only a part of its subjects,
or none, is full, sealed, removed or not permitted: then readings are refused, and the order is
that of each subject; a new, empty stream may get those again that the board had no answer to, and
so may any stream if a board's flash is set back to an earlier image. At any instant what became
of a board's readings adds up to what it put.

What breaks comes from a number that is printed; UNATS_SEED=number repeats it.
"""

import json
import time

import pytest
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

from support.chaos import TROUBLES, Board, Storm
from support.cluster import Cluster
from support.nats_server import NatsServer
from support.peer import Peer, try_often

_HEAP_SLACK = 1024  # bytes: the texts of the last errors, a name more in a list


def _make_streams(url, boards, replicas):
    """A stream for each board. Right after its start a cluster may need several tries."""
    with Peer(url) as peer:
        js = peer.nc.jetstream()
        for board in boards:
            config = _config(board, replicas)
            try_often(lambda: peer.run(js.add_stream(config)))


def _config(board, replicas, what=None, state=None):
    """A board's stream, or what is left of it in trouble."""
    subjects = {
        "one subject less": ["chaos.%s.1", "chaos.%s.2"],
        "no subject": ["nobodys.%s"],
        "removed": ["nobodys.%s"],
    }
    config = StreamConfig(
        name=board.name.upper(),
        subjects=[text % board.name for text in subjects.get(what, ["chaos.%s.*"])],
        num_replicas=replicas,
        duplicate_window=board.duplicate_window_s,
        sealed=what == "sealed",
    )
    if what == "full":
        config.max_msgs = state.messages + 5
    if what == "full per subject":
        config.max_msgs_per_subject = max((state.subjects or {}).values(), default=0) + 2
        config.discard_new_per_subject = True
    if what in ("full", "full per subject"):
        config.discard = "new"
    return config


class _Streams:
    """The boards' streams, and what may happen to them."""

    def __init__(self, boards, servers, replicas):
        self.boards, self._servers, self._replicas = boards, servers, replicas
        self._former = {board.name: [] for board in boards}  # what streams that are gone held,
        self._gone = {}  # ... and what such that are about to go hold

    def trouble(self, board, what, ends):
        """It begins, or ends."""
        if what == "not permitted":
            subject = [] if ends else ["chaos.%s.0" % board.name]
            self._servers[0].reload(_permissions(subject))
            return
        js_do = self._end if ends else self._begin
        try_often(lambda: self._run(js_do, board, what))

    def _run(self, js_do, *what):
        urls = [server.url for server in self._servers]
        with Peer(urls, connect_timeout=1, max_reconnect_attempts=1) as peer:
            peer.run(js_do(peer.nc.jetstream(), peer.nc, *what))

    async def _begin(self, js, nc, board, what):
        name = board.name.upper()
        if what == "another leader":
            await nc.request("$JS.API.STREAM.LEADER.STEPDOWN." + name, b"", 5)
            return
        state = None
        if what == "sealed" and (await js.stream_info(name)).config.sealed:
            return  # by an earlier try
        if what in ("full", "full per subject"):  # while it grows nobody knows how full it is
            await js.update_stream(_config(board, self._replicas, "no subject"))
            state = (await js.stream_info(name, subjects_filter=">")).state
        await js.update_stream(_config(board, self._replicas, what, state))

    async def _end(self, js, nc, board, what):
        if what in ("removed", "sealed"):
            await self._replace(js, nc, board)
        elif what != "another leader":
            await js.update_stream(_config(board, self._replicas))

    async def _replace(self, js, nc, board):
        """A new stream, instead of one that takes nothing more. Can be tried again."""
        name = board.name.upper()
        found = await _read(js, nc, name)
        if found is not None:  # else an earlier try has come that far
            self._gone[board.name] = found
            await js.delete_stream(name)
        if board.name in self._gone:
            self._former[board.name].append(self._gone.pop(board.name))
        await js.add_stream(_config(board, self._replicas))

    def stored(self):
        """For each board what its streams held, one after the other, read by the official
        client.
        """
        with Peer(self._servers[0].url) as peer:
            js = peer.nc.jetstream()
            return {
                name: [*former, try_often(lambda: peer.run(_read(js, peer.nc, name.upper())))]
                for name, former in self._former.items()
            }


def _permissions(denied):
    """A server's configuration: nobody may publish to these subjects."""
    return """
authorization { users: [
    { user: "all", permissions: { publish: { allow: ">", deny: %s } } }
] }
no_auth_user: "all"
""" % json.dumps(denied)


async def _read(js, nc, name):
    """All that a stream holds; None: it is gone."""
    try:
        count = (await js.stream_info(name)).state.messages
    except NotFoundError:
        return None
    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox)
    await js.add_consumer(
        name, ConsumerConfig(deliver_subject=inbox, ack_policy="none", mem_storage=True)
    )
    found = []
    while len(found) < count:
        message = await subscription.next_msg(timeout=10)
        about = message.metadata.sequence.stream, message.metadata.timestamp, message.headers
        found.append((message.subject, message.data, about))
    await subscription.unsubscribe()
    return found


def _go_through(seed, boards, servers, kills, folder, replicas, troubles):
    kinds = list(TROUBLES)
    kinds.remove("another leader" if replicas == 1 else "not permitted")
    _make_streams(servers[0].url, boards, replicas)
    streams = _Streams(boards, servers, replicas)
    storm = Storm(seed, boards, servers, kills, folder, troubles, streams.trouble, kinds)
    start = time.monotonic()
    storm.run()
    figures = storm.check(streams.stored())
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
    """Five of them, the first of which is never killed, and never syncs; two look back after
    seconds; the flash of one is set back to earlier images.
    """
    return [
        Board("a", readings, 0, faults, syncs=0, **options),
        Board("b", readings, kills, faults, syncs=1, **options),
        Board("c", readings, kills, faults, syncs=4, duplicate_window_s=4, **options),
        Board("d", readings, kills, faults, syncs=7, duplicate_window_s=4, **options),
        Board("e", readings, kills, faults, syncs=3, restores=True, **options),
    ]


def test_chaos_with_one_server(seed, tmp_path):
    boards = _boards(320, kills=2, faults=10)
    with NatsServer(_permissions([]), jetstream=True) as server:
        figures = _go_through(seed, boards, [server], 8, tmp_path, replicas=1, troubles=6)
    _check(figures, 1600, 8, 50, 8)


def test_chaos_with_a_cluster(seed, tmp_path):
    """`window=1`, as `unats.outbox` has it for clusters."""
    boards = _boards(200, kills=1, faults=6, window=1)[:3]
    with Cluster() as cluster:
        figures = _go_through(seed, boards, cluster.servers, 4, tmp_path, 3, troubles=3)
    _check(figures, 600, 4, 18, 2)


@pytest.mark.soak
def test_long_chaos_with_one_server(seed, tmp_path):
    boards = _boards(5000, kills=20, faults=60)
    with NatsServer(_permissions([]), jetstream=True) as server:
        figures = _go_through(seed, boards, [server], 100, tmp_path, replicas=1, troubles=60)
    _check(figures, 25000, 100, 300, 80)
    assert figures["flash set back"] > 0


@pytest.mark.soak
def test_long_chaos_with_a_cluster(seed, tmp_path):
    boards = _boards(5000, kills=20, faults=60, window=1)
    with Cluster() as cluster:
        figures = _go_through(seed, boards, cluster.servers, 100, tmp_path, 3, troubles=60)
    _check(figures, 25000, 100, 300, 80)
    assert figures["flash set back"] > 0
