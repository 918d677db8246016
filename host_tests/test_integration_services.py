"""Services of a board, seen by the official Python client and by what ADR-32 has."""

import json

import nats.micro
import pytest

from support.jetstream import equipped, other  # noqa: F401  fixtures too
from support.live import Board, eventually

_PRELUDE = """
from unats.services import Service, ServiceError
def add(msg):
    if not msg.data:
        raise ServiceError(400, "send numbers")
    msg.respond(str(sum([int(n) for n in msg.data.split()])))
service = Service(nc, "adder", "1.2.3", "adds numbers", {"place": "lab"})
service.endpoint("add", add, metadata={"unit": "1"})
service.group("math").group("more").endpoint("add", add, queue="own")
sure(nc.flush())
"""
_TYPE = "io.nats.micro.v1.%s_response"


@pytest.fixture
def server(start_nats_server):
    return start_nats_server()


@pytest.fixture(params=["micropython", "cpython"])
def board(request, server):
    board = Board(request.param, heapsize="300K")
    equipped(board, server.url, _PRELUDE)
    board.start("until(lambda: service.stopped, 60)")
    yield board
    board.stop()


def ask(other, subject, payload=b""):
    return other.request(subject, payload)


def described(other, subject):
    return json.loads(ask(other, subject).data)


def test_requests_are_answered(board, other):
    assert ask(other, "add", b"1 2 3").data == b"6"
    assert ask(other, "math.more.add", b"4 5").data == b"9"


def test_it_is_found_in_all_three_forms(board, other):
    ping = described(other, "$SRV.PING")
    assert ping == {
        "name": "adder",
        "id": ping["id"],
        "version": "1.2.3",
        "metadata": {"place": "lab"},
        "type": _TYPE % "ping",
    }
    for verb in ("PING", "INFO", "STATS"):
        found = [
            described(other, "$SRV.%s%s" % (verb, end))
            for end in ("", ".adder", ".adder.%s" % ping["id"])
        ]
        assert found[0] == found[1] == found[2]
        assert found[0]["type"] == _TYPE % verb.lower()
        assert found[0]["id"] == ping["id"]
    info = described(other, "$SRV.INFO.adder")
    assert info["description"] == "adds numbers"
    assert info["endpoints"] == [
        {"name": "add", "subject": "add", "queue_group": "q", "metadata": {"unit": "1"}},
        {"name": "add", "subject": "math.more.add", "queue_group": "own", "metadata": {}},
    ]


def test_what_fails_is_answered_and_counted(board, other):
    ask(other, "add", b"1")
    answer = ask(other, "add", b"")
    assert answer.data == b""
    assert answer.headers == {
        "Nats-Service-Error-Code": "400",
        "Nats-Service-Error": "send numbers",
    }
    answer = ask(other, "add", b"x\r\ny")
    assert answer.headers["Nats-Service-Error-Code"] == "500"
    assert "ValueError" in answer.headers["Nats-Service-Error"]
    stats = described(other, "$SRV.STATS.adder")
    first, second = stats["endpoints"]
    assert (first["num_requests"], first["num_errors"]) == (3, 2)
    assert first["last_error"].startswith("500: ValueError")
    assert 0 < first["average_processing_time"] <= first["processing_time"]
    assert first["processing_time"] // 3 == first["average_processing_time"]
    assert (second["num_requests"], second["last_error"]) == (0, "")
    assert stats["started"][4:5] == "-" and stats["started"].endswith("Z")


def test_a_queue_group_of_a_board_and_the_official_client(board, other):
    async def add(request):
        await request.respond(b"python")

    async def serve():
        service = await nats.micro.add_service(other.nc, name="adder", version="0.0.1")
        await service.add_endpoint(name="add", handler=add)
        return service

    service = other.run(serve())
    other.flush()
    answers = {ask(other, "add", b"1").data for _ in range(100)}
    assert answers == {b"1", b"python"}
    messages = other.subscribe("found.*")
    other.publish("$SRV.PING.adder", b"", reply="found.me")
    found = [json.loads(messages.get(timeout=30).data) for _ in range(2)]
    assert sorted(f["version"] for f in found) == ["0.0.1", "1.2.3"]
    assert {f["type"] for f in found} == {_TYPE % "ping"}
    other.run(service.stop())


def test_it_goes_on_on_another_connection(board, server, other):
    server.restart()
    eventually(lambda: other.nc.is_connected)

    def asked():
        try:
            return ask(other, "add", b"2 2").data == b"4"
        except nats.errors.Error:
            return False

    eventually(asked)
    assert described(other, "$SRV.PING")["name"] == "adder"


def test_stopped_it_answers_no_more(start_board_with_services, other):
    board = start_board_with_services
    board("service.stop()")
    board("sure(nc.flush())")
    for subject in ("add", "$SRV.PING"):
        with pytest.raises(nats.errors.NoRespondersError):
            ask(other, subject)


@pytest.fixture
def start_board_with_services(server):
    board = Board("micropython", heapsize="300K")
    equipped(board, server.url, _PRELUDE)
    yield board
    board.stop()


@pytest.mark.parametrize(
    "call",
    [
        "Service(nc, 'a b', '1.0.0')", "Service(nc, '', '1.0.0')", "Service(nc, 'a', '1.0')",
        "Service(nc, 'a', 'x.y.z')", "Service(nc, 'a', '1.0.0', 7)",
        "Service(nc, 'a', '1.0.0', '', {'a': 1})", "service.endpoint('a.b', add)",
        "service.endpoint('a', None)", "service.endpoint('a', add, 'a b')",
        "service.group('a b')", "ServiceError('x', 'y')",
    ],
)  # fmt: skip
def test_misuse_is_told_at_once(start_board_with_services, call):
    assert start_board_with_services.raised(call).kinds[0] == "ValueError"
