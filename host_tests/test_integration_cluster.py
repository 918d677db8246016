"""A real cluster of three servers: what a board learns of it, and where it goes when one of them
leaves.
"""

import signal

import pytest

from support.cluster import Cluster
from support.live import any_board, board, start_board, subject  # noqa: F401  fixtures too
from support.peer import Peer

_SOON = {"reconnect_wait_ms": 20, "reconnect_max_wait_ms": 100}


@pytest.fixture(scope="module")
def running():
    with Cluster(jetstream=False) as cluster:
        yield cluster


@pytest.fixture
def cluster(running):
    """The cluster; whatever a test does to its servers is undone behind it."""
    running.until_healthy()
    running.hurt = []
    yield running
    for server in running.hurt:
        if server.running:
            server.kill()
    for server in running.hurt:
        if not server.running:
            server.start()


def _kill(cluster, i):
    cluster.hurt.append(cluster.servers[i])
    cluster.servers[i].kill()


def _hears(board, cluster, subject, through):
    """That the board's subscription is of use, to somebody at another server."""
    with Peer(cluster.servers[through].url) as other:
        board("got.clear()")
        assert board("nc.flush(20000)")
        for _ in range(100):  # the servers tell each other of a subscription in their own time
            other.publish(subject, b"x")
            board("nc.poll(100)")
            if board("len(got)"):
                return
        raise AssertionError("nothing comes")


def test_it_learns_of_the_others_and_fails_over(any_board, cluster, subject):
    any_board.connect(cluster.urls[0], **_SOON)
    any_board("sub(%r) and None", subject)
    any_board.until("len(nc._servers) == 3")
    first = any_board("nc.server.name")
    assert first == "server0"
    _kill(cluster, 0)
    any_board.until("'reconnected' in names()")
    assert any_board("nc.server.name") in ("server1", "server2")
    _hears(any_board, cluster, subject, 1)


def test_until_the_last_one_and_back(board, cluster, subject):
    board.connect(cluster.urls[0], **_SOON)
    board("sub(%r) and None", subject)
    board.until("len(nc._servers) == 3")
    for left in (2, 1):
        at = int(board("nc.server.name")[-1])
        _kill(cluster, at)
        board.until("nc.connected and nc.server.name != 'server%d'" % at)
        assert board("nc.stats.reconnects") == 3 - left
    at = int(board("nc.server.name")[-1])
    _kill(cluster, at)
    board.until("names()[-1] == 'error'")
    cluster.servers[0].start()
    board.until("nc.connected")
    assert board("nc.server.name") == "server0"
    _hears(board, cluster, subject, 0)


def test_what_it_learns_is_ignored_if_asked_for(any_board, cluster, subject):
    any_board.connect(cluster.urls[0], ignore_discovered_servers=True, **_SOON)
    assert any_board("len(nc.server.connect_urls) >= 2, len(nc._servers)") == (True, 1)
    _kill(cluster, 0)
    any_board.until("names().count('error') >= 3")
    cluster.servers[0].start()
    any_board.until("nc.connected")
    assert any_board("nc.server.name") == "server0"


@pytest.mark.parametrize("given", [1, 3])
def test_a_lame_duck_is_left_before_it_closes(any_board, cluster, subject, given):
    options = dict(_SOON, randomize=False)
    any_board("client(%r, **%r); nc.connect(20000)", cluster.urls[:given], options)
    any_board("sub(%r) and None", subject)
    any_board.until("len(nc._servers) == 3")
    cluster.hurt.append(cluster.servers[0])
    cluster.servers[0].signal(signal.SIGUSR2)
    any_board.until("'reconnected' in names()")
    assert any_board.events == ["connected", "lame duck", "disconnected", "reconnected"]
    assert "in lame duck mode" in any_board("events[2][1][1]"), "before the server closed"
    assert any_board("nc.server.name") in ("server1", "server2")
    _hears(any_board, cluster, subject, 1)


def test_reconnect_on_demand_moves_through_the_cluster(board, cluster):
    board.connect(cluster.urls[0], randomize=False, **_SOON)
    board.until("len(nc._servers) == 3")
    seen = {board("nc.server.name")}
    for i in range(2):
        board("nc.reconnect()")
        board.until("nc.stats.reconnects == %d" % (i + 1))
        seen.add(board("nc.server.name"))
    assert seen == {"server0", "server1", "server2"}
    assert "error" not in board.events
