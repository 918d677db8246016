"""The benchmark counts what it says it counts. No test here looks at a clock."""

import pytest

from tools import toolchain
from tools.bench import bench

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
        monkeypatch.setattr(bench, "PEERS", tmp_path)
        monkeypatch.setitem(bench.CLIENTS, "other", ("with_other", False, "the other"))

    return make


def quiet(*_):
    pass


@pytest.mark.parametrize("client", ["unats", "bare"])
@pytest.mark.parametrize("size, subscriptions", [(64, 1), (1024, 1), (16, 32)])
@pytest.mark.parametrize("job", bench.JOBS)
def test_every_job_counts_all_its_messages(server, job, size, subscriptions, client):
    before = server.messages_in()
    result = bench.Run(server, client, job, size, subscriptions, 96).result()
    assert server.messages_in() - before == 96
    assert result["us"] > 0 and result["heap"] >= 0


def test_a_whole_run_has_every_cell_and_makes_table_and_promises():
    cases = [(job, 64, 1) for job in bench.JOBS] + [("receive", 64, 32)]
    results = bench.run(["unats", "bare"], cases, 2, TINY, False, quiet)
    assert [
        (case["job"], case["size"], case["subscriptions"]) for case in results["cases"]
    ] == cases
    for case in results["cases"]:
        for client in ("unats", "bare"):
            assert (
                len(case["cells"][client]["rate"]) == 2 and min(case["cells"][client]["rate"]) > 0
            )
    text = bench.markdown(results)
    for title, _ in bench.JOBS.values():
        assert f"## {title}\n" in text
    assert "| 64 bytes, 32 subscriptions |" in text and "lost step" not in text
    measured = {what: value for what, _, value in bench.targets(results)}
    assert measured["Receiving: unats : bare socket"] > 0
    assert measured["Receiving: unats : umqtt.simple 1.1"] is None  # it did not take part


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
    text = bench.markdown(results)
    assert (
        "| lost step |" in text
        and "- the other, receiving, 64 bytes: ValueError: out of step" in text
    )


def test_a_client_that_never_finishes_is_reported(server, other_client):
    other_client(BASE + "    def receive(self, count):\n        super().receive(count + 1)\n")
    with pytest.raises(bench.Lost, match="not done"):
        bench.Run(server, "other", "receive", 64, 1, 10, stall_s=2).result()


def test_messages_that_do_not_reach_the_server_are_noticed(server, other_client):
    other_client(BASE + "    def written(self, count):\n        super().written(count - 1)\n")
    with pytest.raises(bench.Lost, match="fewer messages"):
        bench.Run(server, "other", "written", 64, 1, 10).result()


def test_heap_is_what_the_job_allocated(server, other_client):
    other_client(
        BASE
        + "    def written(self, count):\n        bytearray(100000)\n        super().written(count)\n"
    )
    plain = bench.Run(server, "bare", "written", 64, 1, 10).result()["heap"]
    more = bench.Run(server, "other", "written", 64, 1, 10).result()["heap"]
    assert 100000 <= more - plain <= 100200


def test_counts_are_whole_rounds_of_the_subscriptions_within_the_traffic_limit():
    assert bench.fit(1000, 64, 32) == 992
    assert bench.fit(5, 64, 200) == 200
    assert bench.fit(10**9, 16384, 1) * 16384 <= bench.MAX_TRAFFIC


def cells_with(**rates):
    return {client: {"rate": rate, "heap": 0} for client, rate in rates.items()}


def test_ratios_and_spread_come_from_the_medians():
    cells = cells_with(unats=[90, 100, 130], umqtt=[10, 11, 9])
    assert bench.ratio(cells, "umqtt") == 10
    assert bench.spread(cells["unats"]) == 20
    assert bench.ratio(cells, "bare") is None
    cells["umqtt"] = {"lost": "it"}
    assert bench.ratio(cells, "umqtt") is None


def test_the_quick_plan_is_a_part_of_the_full_one():
    full = bench.plan(quick=False)
    assert set(bench.plan(quick=True)) < set(full)
    assert {size for _, size, _ in full} == {16, 64, 256, 1024, 16384}
    assert {n for job, _, n in full if job == "receive"} == {1, 32, 200}
