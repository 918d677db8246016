"""Measures this client beside others on one nats-server in one run: `make bench`.

    make bench                     instructions and heap per message, and rates beside the others'
    make bench ARGS=--full         rates for every payload size; writes results.* (several minutes)
    make bench ARGS=--profile      where this client spends its instructions

Instructions are counted (instructions.py), and have budgets, which a test holds. Messages per
second are shown and never judged: what a system call costs differs between machines by a factor
of five.

Every job is done by every client on the MicroPython Unix port, in processes of their own, one
after the other in turns, so that what disturbs the machine disturbs all of them. A rate is the
median of the turns. What the jobs are is said in jobs.py, and at the top of peers/with_*.py.
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tools import toolchain
from tools.bench import instructions, report, streams
from tools.bench.instructions import excesses
from tools.bench.jobs import (
    CLIENTS,
    HEAP,
    HERE,
    JOBS,
    LARGE_HEAP,
    ONLY,
    Lost,
    Run,
    fit,
)
from tools.toolchain import PEERS, ToolError

SIZES = (16, 64, 256, 1024, 16384)
SUBSCRIPTIONS = (1, 32, 200)


# --- messages per second


class Bench:
    """For each job, size and number of subscriptions every client, in turns."""

    def __init__(self, server, clients, turns, seconds, say=print):
        self._server, self._clients, self._say = server, clients, say
        self._turns, self._seconds = turns, seconds

    def measure(self, job, size, subscriptions):
        """A cell for each client, {client: cell}.

        A cell has "rate", messages per second, one a turn, "heap", bytes per message, and "count";
        or "lost", and why.
        """
        cells = {}
        counts = {}
        for client in self._clients:
            if job not in ONLY.get(client, JOBS):
                continue
            try:
                counts[client] = self._calibrate(client, job, size, subscriptions)
                cells[client] = {"rate": [], "heap": None, "count": counts[client]}
            except Lost as reason:
                cells[client] = {"lost": str(reason)}
        for _ in range(self._turns):
            for client, count in counts.items():
                if "lost" not in cells[client]:
                    self._turn(cells, client, job, (size, subscriptions, count))
        self._report(job, size, subscriptions, cells)
        return cells

    def _turn(self, cells, client, job, shape):
        try:
            result = Run(self._server, client, job, *shape).result()
        except Lost as reason:
            cells[client] = {"lost": str(reason)}
            return
        count = shape[2]
        cells[client]["rate"].append(count * 1e6 / result["us"])
        cells[client]["heap"] = result["heap"] / count

    def _calibrate(self, client, job, size, subscriptions):
        """How many messages take about the time that a turn is to take; warms everything up."""
        count = fit(50, size, subscriptions)
        while True:
            result = Run(self._server, client, job, size, subscriptions, count).result()
            took = result["us"] / 1e6
            wanted = int(count * self._seconds / max(took, 1e-6)) + 1
            fitting = fit(wanted, size, subscriptions)
            if took > self._seconds / 4 or fitting <= 2 * count:
                return fitting
            count = fit(count * 20, size, subscriptions)

    def _report(self, job, size, subscriptions, cells):
        parts = "   ".join(f"{client} {_rate(cell)}" for client, cell in cells.items())
        self._say(f"{job:10} {size:6} bytes {subscriptions:4} subscriptions:  {parts}")


def _rate(cell):
    if "lost" in cell:
        return f"lost ({cell['lost']})"
    return f"{statistics.median(cell['rate']):,.0f}/s"


def plan(full):
    """The (job, size, subscriptions) to measure."""
    if not full:
        return [(job, 64, 1) for job in JOBS]
    cases = [(job, size, 1) for job in JOBS for size in SIZES]
    return cases + [(job, 64, n) for job in ("receive", "drain") for n in SUBSCRIPTIONS[1:]]


# --- instructions


def count(server, clients, say):
    """{job: {client: Cost, None when it lost step}}"""
    costs = {}
    for job, counted in instructions.COUNTED.items():
        costs[job] = {}
        for client in [client for client in counted if client in clients]:
            say(f"counting: {job}, {client}")
            try:
                costs[job][client] = instructions.cost(server, client, job)
            except Lost as reason:
                say(f"{client}: {reason}")
                costs[job][client] = None
    return costs


# --- all of it


def run(clients, cases, turns, seconds, counting, say=print):
    """Measure; the results as written to results.json."""
    started = time.monotonic()
    with toolchain.Server(mqtt=any(CLIENTS[client][1] for client in clients)) as server:
        results = {"about": about(), "instructions": {}, "reading": {}, "streams": {}}
        if counting:
            results["instructions"] = count(server, clients, say)
            results["reading"] = instructions.reading_costs(server)
            with toolchain.Server(mqtt=True) as own:  # with JetStream
                say("counting: consumers and objects")
                results["streams"] = streams.measure(own.port)
        bench = Bench(server, clients, turns, seconds, say)
        results["cases"] = [
            {"job": job, "size": size, "subscriptions": n, "cells": bench.measure(job, size, n)}
            for job, size, n in cases
        ]
    say(f"took {time.monotonic() - started:.0f} s")
    return results


def about():
    """What the numbers were measured on, in one paragraph."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE)
        cpu = found.group(1) if found else cpu
    command = [toolchain.binary("micropython"), "-c", "import sys; print(sys.version)"]
    version = _said(command).split("; ")[-1]
    server = _said([toolchain.binary("nats-server"), "--version"])
    return (
        f"{cpu}, {os.cpu_count()} cores; {version}, Unix port, heap {HEAP}B (above 1 KB payload "
        f"{LARGE_HEAP}B); {server}; everything on loopback. Medians; ± is half of the distance "
        "between the slowest and the fastest turn."
    )


def _said(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def show(results):
    """What a run that is not written down prints."""
    lines = ["", report.INSTRUCTIONS, "", *report.instruction_table(results["instructions"]), ""]
    lines += [report.reading_line(results["reading"]), ""]
    lines += [*report.stream_lines(results["streams"]), ""]
    costs = {job: row.get("unats") for job, row in results["instructions"].items()}
    over = excesses(costs, results["reading"]) + streams.excesses(results["streams"]["unats"])
    lines += [f"over its budget: {text}" for text in over] + [""]
    if results["cases"]:
        lines += ["Messages per second, how many times the others', 64-byte payloads:", ""]
        lines += report.ratios(results["cases"])
    return "\n".join(lines)


# --- command line


def _available(names):
    for name in names:
        if name not in CLIENTS:
            raise ToolError(f"no client {name!r}; there are {', '.join(CLIENTS)}")
        module = CLIENTS[name][0]
        if module not in ("bare", "with_unats") and not PEERS.is_dir():
            raise ToolError(f"{PEERS} is missing: run `make bench`, or --clients unats,bare")
    return names


def _options(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    text = "every payload size, and more turns; writes results.*"
    parser.add_argument("--full", action="store_true", help=text)
    parser.add_argument("--clients", default=",".join(CLIENTS), help="of: %(default)s")
    parser.add_argument("--jobs", default=",".join(JOBS), help="whose rates, of: %(default)s")
    parser.add_argument("--turns", type=int, help="how often each client does each job")
    parser.add_argument("--seconds", type=float, help="about how long one turn takes")
    text = "only show where the instructions of the jobs go"
    parser.add_argument("--profile", action="store_true", help=text)
    options = parser.parse_args(argv)
    options.clients = options.clients.split(",")
    options.jobs = [job for job in options.jobs.split(",") if job]
    options.turns = options.turns or (5 if options.full else 3)
    options.seconds = options.seconds or (0.3 if options.full else 0.15)
    return options


def _profile(jobs):
    with toolchain.Server() as server:
        for job in jobs:
            print(f"--- {job}, 64 bytes\n{instructions.profile(server, job)}\n")


def main(argv=None):
    options = _options(argv)
    # So that no server is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    try:
        if options.profile:
            _profile(options.jobs)
            return
        clients = _available(options.clients)
        cases = [case for case in plan(options.full) if case[0] in options.jobs]
        results = run(clients, cases, options.turns, options.seconds, True)
        print(show(results))
        if options.full and set(clients) == set(CLIENTS) and set(options.jobs) == set(JOBS):
            (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "results.md").write_text(report.markdown(results))
            report.plot(results, HERE / "results.png")
            print("written: tools/bench/results.md, results.png and results.json")
    except (ToolError, Lost) as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
