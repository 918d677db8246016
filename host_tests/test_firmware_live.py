"""The device application as it is, on a simulated board with real servers: outages, power cuts,
deep sleep.

A board that sleeps ends; here it is started again, with its folder as it has left it.
"""

import asyncio
import json
import os
import time

import nats
import pytest
from nats.js.api import StreamConfig

from support.interpreters import run_micropython
from support.peer import Peer
from tools.bench import wire
from tools.run.simulation import SOURCES_HEAP, Board
from tools.toolchain import ToolError

PATIENCE_S = 60
AWAKE_S = 2  # where nothing is to come of it
KINDS = ("temp", "heap", "uptime", "rssi")


@pytest.fixture
def server(start_nats_server):
    """A server with JetStream, and its stream of readings."""
    server = start_nats_server(jetstream=True)
    add_stream(server)
    return server


def add_stream(server):
    with Peer(server.url) as peer:
        peer.run(
            peer.nc.jetstream().add_stream(StreamConfig(name="READINGS", subjects=["sensors.>"]))
        )


def stored(server):
    """(kind, reading) of everything in the stream, in its order."""
    with Peer(server.url) as peer:
        js = peer.nc.jetstream()
        count = peer.run(js.stream_info("READINGS")).state.messages
        messages = [peer.run(js.get_msg("READINGS", seq + 1)) for seq in range(count)]
    return [(message.subject.split(".")[2], json.loads(message.data)) for message in messages]


def info(server):
    """What the board says of itself; None while it is not there."""
    with Peer(server.url) as peer:
        try:
            return json.loads(peer.request("devices.b.info").data)
        except nats.errors.NoRespondersError:
            return None


def eventually(condition):
    """What `condition()` gives once it is true, however long that takes."""
    until = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def start_board(tmp_path):
    """Starts a Board in the test's folder, again and again if need be."""
    boards = []

    def start(server, **settings):
        boards.append(Board("b", tmp_path, server.url, **settings))
        return boards[-1]

    yield start
    for board in boards:
        board.stop()


# Outages and power cuts


def test_out_of_the_box_readings_arrive_at_a_plain_server_and_wait_while_it_is_away(
    start_board, start_nats_server
):
    server = start_nats_server()
    board = start_board(server, period_s=0.2)
    with Peer(server.url) as peer:
        heard = peer.subscribe("sensors.>")
        heard.get(timeout=PATIENCE_S)
    assert eventually(lambda: info(server))["outbox"]["ack"] == "none"
    server.kill()
    eventually(lambda: "disconnected" in board.tail())
    time.sleep(1)  # for some readings to be due
    server.start()
    told = eventually(lambda: info(server))
    assert "NotConnected" in told["disconnected"]

    def all_sent():
        told = info(server)
        outbox = told["outbox"]
        return (
            outbox["waiting"] == 0
            and sum(told["readings"].values()) == outbox["acked"] + outbox["unconfirmed"]
        )

    eventually(all_sent)
    told = info(server)
    assert (told["unsent"], told["outbox"]["dropped"], told["faults"]) == (0, 0, 0)


def test_the_commands_are_endpoints_of_a_service_unless_that_is_off(
    start_board, start_nats_server
):
    server = start_nats_server()
    start_board(server)
    eventually(lambda: info(server))
    with Peer(server.url) as peer:
        stats = json.loads(peer.request("$SRV.STATS.board").data)
    assert stats["metadata"]["device"] == "b"
    endpoints = {e["subject"]: e for e in stats["endpoints"]}
    assert set(endpoints) == {"devices.b.led", "devices.b.info"}
    assert endpoints["devices.b.info"]["num_requests"] >= 1
    assert endpoints["devices.b.info"]["num_errors"] == 0

    other = start_nats_server()
    start_board(other, service=False)
    eventually(lambda: info(other))
    with Peer(other.url) as peer, pytest.raises(nats.errors.NoRespondersError):
        peer.request("$SRV.PING")


def test_readings_that_are_in_flash_outlive_a_power_cut_in_an_outage(
    start_board, server, tmp_path
):
    board = start_board(server, period_s=0.2, outbox="stream", sync_s=1)
    eventually(lambda: len(stored(server)) >= 8)
    server.kill()
    eventually(
        lambda: [name for name in os.listdir(tmp_path / "outbox") if not name.endswith(".id")]
    )
    board.kill()
    board.start()
    server.start()
    eventually(
        lambda: any(reading["boot"] == 2 and reading["seq"] >= 3 for _, reading in stored(server))
    )
    eventually(lambda: info(server)["outbox"]["waiting"] == 0)
    readings = stored(server)
    for boot in (1, 2):
        for kind in KINDS:
            seqs = [
                reading["seq"] for k, reading in readings if k == kind and reading["boot"] == boot
            ]
            assert seqs == list(range(1, len(seqs) + 1)) and seqs, (boot, kind, seqs)
    assert [reading["boot"] for _, reading in readings] == sorted(
        reading["boot"] for _, reading in readings
    )


def test_a_missing_stream_is_told_and_readings_are_kept_until_it_is_there(
    start_board, start_nats_server
):
    server = start_nats_server(jetstream=True)
    with Peer(server.url) as peer:
        errors = peer.subscribe("devices.b.error")
        board = start_board(server, period_s=0.5, outbox="stream")
        error = json.loads(errors.get(timeout=PATIENCE_S).data)
    assert "no stream takes" in error["outbox"]
    assert "readings are not accepted: NoResponders" in board.tail()
    told = info(server)
    assert "NoResponders" in told["outbox"]["error"]
    assert told["outbox"]["acked"] == 0 and told["outbox"]["waiting"] > 0
    add_stream(server)
    eventually(lambda: len(stored(server)) >= told["outbox"]["waiting"])
    assert stored(server)[0][1]["seq"] == 1


# What ends the application


def test_a_board_that_fails_at_its_start_comes_back_and_tells_why(
    start_board, start_nats_server, tmp_path
):
    server = start_nats_server()
    (tmp_path / "led").mkdir()  # the simulated board cannot switch its LED
    board = start_board(server)
    assert board.wait(PATIENCE_S) == 3
    assert "starts again in 5 s" in board.tail()
    (tmp_path / "led").rmdir()
    with Peer(server.url) as peer:
        hellos = peer.subscribe("devices.b.hello")
        board.start()
        hello = json.loads(hellos.get(timeout=PATIENCE_S).data)
    assert hello["failure"].startswith("OSError: ") and "EISDIR" in hello["failure"]
    eventually(lambda: (tmp_path / "failure.txt").read_text() == "1\n")  # told, and counted


def test_a_board_without_enough_memory_tries_again_and_tells_why(
    start_nats_server, sleeper, tmp_path
):
    server = start_nats_server()
    board = Board("b", tmp_path, server.url, heap="60K")
    try:
        assert board.wait(PATIENCE_S) == 3
        assert "MemoryError" in board.tail() and "starts again in 5 s" in board.tail()
    finally:
        board.stop()
    with Peer(server.url) as peer:
        hellos = peer.subscribe("devices.b.hello")
        board = sleeper(server.url)  # one that sleeps tells, too
        assert "4 readings are confirmed" in board.wake()
        assert json.loads(hellos.get(timeout=PATIENCE_S).data)["failure"].startswith("MemoryError")
        board.wake()
        peer.flush()
        assert hellos.empty()  # once is enough


# Deep sleep


class Sleeper:
    """The board. `wake` lets it live until it sleeps, which it has to by itself, and returns what
    it says then.
    """

    def __init__(self, folder, url, **settings):
        self.folder = folder
        (folder / "reset-cause").write_text("deep sleep")
        self._settings = settings
        self._url = url
        self.board = None

    def wake(self, awake_s=PATIENCE_S, heap=SOURCES_HEAP):
        settings = dict(self._settings, sleep_s=3600, awake_s=awake_s)
        self.board = Board("b", self.folder, self._url, heap, **settings)
        assert self.board.wait(2 * PATIENCE_S) == 0, self.board.tail()
        assert self.board.asleep_s == 3600, self.board.tail()
        return self.said()

    def wake_in_vain(self):
        return self.wake(AWAKE_S)

    def said(self):
        """The last thing it said."""
        return self.board.tail().splitlines()[-1]

    def segments(self):
        """Names of the files with readings."""
        return [name for name in os.listdir(self.folder / "outbox") if not name.endswith(".id")]


@pytest.fixture
def sleeper(tmp_path):
    boards = []

    def make(url, **settings):
        boards.append(Sleeper(tmp_path, url, **settings))
        return boards[-1]

    yield make
    for board in boards:
        if board.board:
            board.board.stop()


def assert_wakes(readings, boots):
    """The readings are those of these wakes, in order, each with one of each kind."""
    assert [reading["boot"] for _, reading in readings] == [boot for boot in boots for _ in KINDS]
    assert [kind for kind, _ in readings] == list(KINDS) * len(boots)
    assert {reading["seq"] for _, reading in readings} == {1}


def test_every_wake_leaves_a_reading_of_each_kind_in_the_stream(sleeper, server):
    board = sleeper(server.url, outbox="stream")
    for _ in range(3):
        assert "4 readings are confirmed, 0 wait in flash; sleeps for 3600 s" in board.wake()
    assert_wakes(stored(server), [1, 2, 3])
    assert board.segments() == []


def test_a_wake_takes_three_round_trips_and_one_segment_of_the_boards(sleeper, server):
    with wire.Relay(server.port) as relay:
        sleeper(f"nats://127.0.0.1:{relay.port}", outbox="stream").wake()
        count = relay.next_count()
    assert_wakes(stored(server), [1])
    # umqtt.simple with QoS 1: 11 round trips, 11 segments out and 5 in (`make wire`)
    assert count.round_trips(nodelay=True) == 3
    assert count.data_up == 1
    assert count.data_down <= 2 + len(
        KINDS
    )  # INFO, PONG, and acknowledgements that may come one by one


def test_without_a_stream_it_takes_one_more(sleeper, start_nats_server):
    server = start_nats_server()
    with Peer(server.url) as peer, wire.Relay(server.port) as relay:
        heard = peer.subscribe("sensors.>")
        said = sleeper(f"nats://127.0.0.1:{relay.port}").wake()
        count = relay.next_count()
        readings = [heard.get(timeout=PATIENCE_S) for _ in KINDS]
    assert "4 readings are confirmed, 0 wait" in said
    assert_wakes([(msg.subject.split(".")[2], json.loads(msg.data)) for msg in readings], [1])
    assert count.round_trips(nodelay=True) == 4
    assert count.data_up == 2


@pytest.mark.parametrize("outbox", ["stream", "none"])
def test_readings_of_wakes_without_server_come_later_once_and_in_order(sleeper, server, outbox):
    board = sleeper(server.url, outbox=outbox)
    server.kill()
    for wakes in (1, 2):
        assert f"0 readings are confirmed, {4 * wakes} wait in flash" in board.wake_in_vain()
    server.start()
    assert "12 readings are confirmed, 0 wait" in board.wake()
    assert_wakes(stored(server), [1, 2, 3])
    assert board.segments() == []


def test_without_wifi_it_sleeps_in_bounded_time_and_loses_nothing(sleeper, server, monkeypatch):
    board = sleeper(server.url, outbox="stream")
    monkeypatch.setenv("SIM_WIFI_AWAY", "0-1000")
    assert (
        "0 readings are confirmed, 3 wait in flash" in board.wake_in_vain()
    )  # without the signal's strength
    monkeypatch.delenv("SIM_WIFI_AWAY")
    assert "7 readings are confirmed, 0 wait" in board.wake()
    readings = stored(server)
    assert [reading["boot"] for _, reading in readings] == [1] * 3 + [2] * 4


def test_a_stream_that_is_not_there_is_waited_for_over_wakes(sleeper, start_nats_server):
    server = start_nats_server(jetstream=True)
    board = sleeper(server.url, outbox="stream")
    assert "0 readings are confirmed, 4 wait in flash" in board.wake_in_vain()
    add_stream(server)
    assert "8 readings are confirmed, 0 wait" in board.wake()
    assert_wakes(stored(server), [1, 2])


def test_the_relay_counts_what_it_has_seen(server):
    """A conversation whose turns are known, so that a wrong count shows."""
    with wire.Relay(server.port) as relay:
        asyncio.run(converse(relay.port))
        count = relay.next_count()
    assert count.turns == [0, 1, 1]
    assert (count.data_up, count.up) == (2, len(b"CONNECT {}\r\nPING\r\nPING\r\n"))
    assert count.round_trips(nodelay=True) == 4


async def converse(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readuntil(b"\r\n")
    for said in (b"CONNECT {}\r\nPING\r\n", b"PING\r\n"):
        writer.write(said)
        await reader.readuntil(b"PONG\r\n")
    writer.close()
    await writer.wait_closed()


def test_turns_without_nodelay_cost_a_round_trip_for_each_segment():
    count = wire.Count()
    count.from_client(2)
    count.from_client(2)
    count.from_server(4, data_up=2)
    count.from_client(9)
    count.from_server(4, data_up=3)
    count.from_server(4, data_up=3)
    count.from_client(2)  # a farewell, which nobody waits for
    assert count.turns == [2, 1]
    assert (count.round_trips(nodelay=False), count.round_trips(nodelay=True)) == (4, 3)


# Heap


ALLOCATION = """
import gc, micropython, sys, utime
import unats, unats.outbox.jetstream_sender, unats.outbox.core_sender
from unats.outbox import Outbox
sys.path.append(sys.argv[3])
import boards, sensors
from config import Settings
from app import App

config = Settings({"server": sys.argv[1], "watchdog": True})
board = boards.find()(config, utime)
nc = unats.Client(sys.argv[1], on_event=lambda nc, event, detail: app.on_event(nc, event, detail))
outbox = Outbox(nc, "b", ack=sys.argv[2])  # no folder: on a slow machine it would be used
app = App(nc, utime, board, "b", 1, sensors.of(board), outbox)  # every millisecond
app._boot = 7
app.start()
def turns(n):
    goal = outbox.stats.acked + n
    while outbox.stats.acked < goal:
        app.turn()
turns(400)
gc.collect()
gc.disable()
before = micropython.mem_total()
turns(2000)
print("allocated", micropython.mem_total() - before)
micropython.heap_lock()
try:
    turns(400)
finally:
    micropython.heap_unlock()
print("faults", app.faults)
"""


@pytest.mark.parametrize("ack", ["stream", "none"])
def test_the_application_with_its_outbox_allocates_nothing_once_connected(server, tmp_path, ack):
    script = tmp_path / "application.py"
    script.write_text(ALLOCATION)
    output = run_micropython(script, server.url, ack, str(tmp_path), cwd=tmp_path).check()
    assert output.splitlines()[-2:] == ["allocated 0", "faults 0"], output


def test_a_board_that_does_not_end_is_a_failure_of_the_tool(tmp_path):
    board = Board("b", tmp_path, "nats://127.0.0.1:9", period_s=1)
    try:
        with pytest.raises(ToolError):
            board.wait(0.1)
        assert board.asleep_s is None
    finally:
        board.stop()


@pytest.mark.parametrize("outbox", ["none", "stream"])
def test_from_sources_it_starts_with_less_heap_than_that(sleeper, server, outbox):
    board = sleeper(server.url, outbox=outbox)
    less = "%dK" % (int(SOURCES_HEAP.removesuffix("K")) - 16)
    assert "4 readings are confirmed" in board.wake(heap=less)
