"""The benchmark counts what it says it counts, and the client keeps its budgets of instructions.

No test here looks at a clock.
"""

import sys

import pytest

from tools import toolchain
from tools.bench import bench, instructions, jobs, report, streams
from tools.bench.instructions import Cost

TINY = 0.001  # seconds a turn


@pytest.fixture(scope="module")
def server():
    with toolchain.Server() as server:
        yield server


@pytest.fixture
def other_client(tmp_path, monkeypatch):
    """Makes a client of the benchmark out of the source of its Driver class."""

    def make(source):
        (tmp_path / "with_other.py").write_text(source)
        monkeypatch.setattr(jobs, "PEERS", tmp_path)
        monkeypatch.setitem(jobs.CLIENTS, "other", ("with_other", False, "the other"))

    return make


def quiet(*_):
    pass


@pytest.mark.parametrize("client", ["unats", "bare"])
@pytest.mark.parametrize("size, subscriptions", [(64, 1), (1024, 1), (16, 32)])
@pytest.mark.parametrize("job", jobs.JOBS)
def test_every_job_counts_all_its_messages(server, job, size, subscriptions, client):
    before = server.messages_in()
    result = jobs.Run(server, client, job, size, subscriptions, 96).result()
    assert server.messages_in() - before == 96
    assert result["us"] > 0 and result["heap"] >= 0


def test_a_whole_run_has_every_cell_and_makes_tables():
    cases = [(job, 64, 1) for job in jobs.JOBS] + [("receive", 64, 32)]
    results = bench.run(["unats", "bare"], cases, 2, TINY, False, quiet)
    assert [
        (case["job"], case["size"], case["subscriptions"]) for case in results["cases"]
    ] == cases
    for case in results["cases"]:
        for client in ("unats", "bare"):
            assert (
                len(case["cells"][client]["rate"]) == 2 and min(case["cells"][client]["rate"]) > 0
            )
    text = report.markdown(results)
    assert "cores; MicroPython " in text and "; nats-server: v2" in text
    for title in jobs.JOBS.values():
        assert f"## {title}\n" in text
    assert "| 64 bytes, 32 subscriptions |" in text and "lost step" not in text
    shown = report.ratios(results["cases"][:5])
    assert "bare socket" in shown[0] and "umqtt" not in shown[0]  # which did not take part
    assert len(shown) == 2 + len(jobs.JOBS)


BASE = """
import bare
class Driver(bare.Driver):
"""


def test_a_client_that_raises_is_reported_with_its_words(server, other_client):
    other_client(BASE + "    def receive(self, count):\n        raise ValueError('out of step')\n")
    cells = bench.Bench(server, ["other", "bare"], 1, TINY, quiet).measure("receive", 64, 1)
    assert "out of step" in cells["other"]["lost"] and cells["bare"]["rate"]
    results = {
        "about": "",
        "cases": [{"job": "receive", "size": 64, "subscriptions": 1, "cells": cells}],
    }
    text = report.markdown(results)
    assert (
        "| lost step |" in text
        and "- the other, receiving, 64 bytes: ValueError: out of step" in text
    )


def test_a_client_that_never_finishes_is_reported(server, other_client):
    other_client(BASE + "    def receive(self, count):\n        super().receive(count + 1)\n")
    with pytest.raises(jobs.Lost, match="not done"):
        jobs.Run(server, "other", "receive", 64, 1, 10, stall_s=2).result()


def test_messages_that_do_not_reach_the_server_are_noticed(server, other_client):
    other_client(BASE + "    def written(self, count):\n        super().written(count - 1)\n")
    with pytest.raises(jobs.Lost, match="fewer messages"):
        jobs.Run(server, "other", "written", 64, 1, 10, stall_s=2).result()


def test_heap_is_what_the_job_allocated(server, other_client):
    work = "bytearray(100000)\n        super().written(count)\n"
    other_client(f"{BASE}    def written(self, count):\n        {work}")
    plain = jobs.Run(server, "bare", "written", 64, 1, 10).result()["heap"]
    more = jobs.Run(server, "other", "written", 64, 1, 10).result()["heap"]
    assert 100000 <= more - plain <= 100200


def test_counts_are_whole_rounds_of_the_subscriptions_within_the_traffic_limit():
    assert jobs.fit(1000, 64, 32) == 992
    assert jobs.fit(5, 64, 200) == 200
    assert jobs.fit(10**9, 16384, 1) * 16384 <= jobs.MAX_TRAFFIC


def cells_with(**rates):
    return {client: {"rate": rate, "heap": 0} for client, rate in rates.items()}


def test_ratios_and_spread_come_from_the_medians():
    cells = cells_with(unats=[90, 100, 130], umqtt=[10, 11, 9])
    assert report.ratio(cells, "umqtt") == 10
    assert report.spread(cells["unats"]) == 20
    assert report.ratio(cells, "bare") is None
    cells["umqtt"] = {"lost": "it"}
    assert report.ratio(cells, "umqtt") is None


def test_the_quick_plan_is_a_part_of_the_full_one():
    full = bench.plan(full=True)
    assert set(bench.plan(full=False)) < set(full)
    assert {size for _, size, _ in full} == {16, 64, 256, 1024, 16384}
    assert {n for job, _, n in full if job == "receive"} == {1, 32, 200}


# --- instructions

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="valgrind has no other system's MicroPython to run"
)
COUNT = 500


@linux_only
@pytest.mark.parametrize("job", instructions.BUDGETS)
def test_a_message_takes_no_more_instructions_than_its_budget_and_no_heap(server, job):
    cost = instructions.cost(server, "unats", job, count=COUNT)
    assert 1000 < cost.instructions <= instructions.BUDGETS[job]
    assert round(cost.heap) == 0


@linux_only
def test_building_a_reading_takes_no_more_than_publishing_it(server):
    size = len(instructions.READING)
    built = instructions.cost(server, "unats", "built", size, COUNT)
    published = instructions.cost(server, "unats", "reading", size, COUNT)
    assert 100 < built.instructions <= published.instructions
    assert built.heap == 0


@linux_only
def test_twice_the_work_is_twice_the_instructions(server, other_client):
    other_client(BASE + "    def written(self, count):\n        super().written(2 * count)\n")
    once = instructions.cost(server, "bare", "written", count=COUNT)
    twice = instructions.cost(server, "other", "written", count=COUNT)
    assert 1.9 < twice.instructions / once.instructions < 2.1


@linux_only
def test_consumers_and_objects_take_no_more_instructions_than_their_budgets():
    with toolchain.Server(mqtt=True) as jetstream:
        size = streams.CHUNK
        counts = {"plain": 100, "consumer": 100, "digested": size, "object": size}
        costs = streams.budgeted(jetstream.port, counts)
    assert streams.excesses(costs) == []
    assert all(cost > 1000 for cost in costs.values())
    for job, (other, most) in streams.BUDGETS.items():
        over = dict(costs, **{job: most * costs[other] + 1})
        assert len(streams.excesses(over)) == 1


PROFILE = """version: 1
positions: line
events: Ir
summary: 1000

ob=(1) /bin/micropython
fl=(1) vm.c
fn=(1) mp_execute_bytecode
16 400
+3 5
cob=(2) libc
cfn=(2) memcpy
calls=12 0
* 9999
fn=(3) mp_execute_bytecode'2
* 95
fn=(2)
20 300
fn=(4) 0x0000000004f1
0 150
fn=(5) 0x0000000004f2
0 50
"""


def test_a_profile_has_what_each_function_takes_itself(tmp_path):
    (tmp_path / "out").write_text(PROFILE)
    spent = instructions._by_function(tmp_path / "out")
    viper = "(machine code made by viper)"
    assert spent == {"mp_execute_bytecode": 500, "memcpy": 300, viper: 200}


def test_a_budget_that_is_broken_is_found():
    costs = {job: Cost(most, 0) for job, most in instructions.BUDGETS.items()}
    reading = {
        "built": Cost(9000, 0),
        "bytes": Cost(6000, 0),
        "payload": Cost(9000, 0),
    }
    assert instructions.excesses(costs, reading) == []
    costs["drain"] = Cost(8001, 0)
    reading["built"] = Cost(9001, 0)
    assert len(instructions.excesses(costs, reading)) == 2


def test_the_costs_are_shown_beside_the_budgets():
    costs = {"drain": {"unats": Cost(7000.4, 0), "umqtt": None}, "written": {"bare": Cost(700, 5)}}
    lines = report.instruction_table(costs)
    assert [cell.strip() for cell in lines[2].split("|")[2:-1]] == [
        "7,000",
        "lost step",
        "",
        "8,000",
    ]
    assert [cell.strip() for cell in lines[5].split("|")[2:-1]] == ["", "", "5", ""]
