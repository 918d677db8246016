"""Measures this client beside others on one nats-server in one run: `make bench`.

Every job is done by every client on the MicroPython Unix port, in processes of their own, one after
the other in turns, so that what disturbs the machine disturbs all of them. A number is the median
of the turns. The job descriptions below (JOBS) and at the top of peers/with_*.py say what is
measured. Writes tools/bench/results.md, results.png and results.json.

    make bench                   everything (several minutes)
    make bench ARGS=--quick      64-byte payloads, fewer turns (under a minute); writes nothing
    make bench ARGS=--profile    where this client spends its instructions (needs valgrind)
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tools import toolchain
from tools.toolchain import LIB, PEERS, ToolError

HERE = Path(__file__).resolve().parent
_DRIVERS = HERE / "peers"
HEAP = "1M"  # -X heapsize of every process
BLOCK = 65536  # bytes that the traffic source writes at once, at least
MAX_TRAFFIC = 32 << 20  # bytes of one job: below what the server would call a slow consumer
STALL_S = 20  # a client that takes longer than that has lost step

CLIENTS = {  # name: (module in peers/, speaks MQTT, label)
    "unats": ("with_unats", False, "unats"),
    "umqtt": ("with_umqtt", True, "umqtt.simple 1.1"),
    "umqtt_nodelay": ("with_umqtt_nodelay", True, "umqtt.simple, TCP_NODELAY"),
    "umqtt_qos1": ("with_umqtt_qos1", True, "umqtt.simple, QoS 1"),
    "micro_nats": ("with_micro_nats", False, "micro-nats 1.0.2"),
    "bare": ("bare", False, "bare socket"),
}

JOBS = {
    "receive": (
        "Receiving",
        "The server delivers as fast as it can: a source writes ready-made PUBs in blocks. Timed from before the "
        "first of them until the last has reached the handler. Bare: reads the same bytes into a buffer of the same size.",
    ),
    "drain": (
        "Receiving what already waits",
        "As before, but all of the messages wait in server and socket buffers before the clock starts: what the client "
        "costs when nothing else limits it. Bare: one read a buffer-full, no look at the bytes.",
    ),
    "written": (
        "Publishing, each handed to the socket",
        "unats: publish() and poll(0). umqtt.simple: publish(), which always writes through, in four pieces. micro-nats: "
        "publish(wait=True). Bare: one write of a ready-made PUB. Of all these only the bare loop and the variant named so have "
        "TCP_NODELAY set, unats having it set while somebody waits for what it sends, which here is nobody.",
    ),
    "confirmed": (
        "Publishing, each confirmed by the server",
        "unats: publish() and flush(). umqtt.simple: publish(), ping() and the wait for the answer; with QoS 1 the wait for "
        "PUBACK instead. micro-nats: publish(wait=True), PING, wait for PONG. Bare: a ready-made PUB with PING, wait for PONG.",
    ),
    "coalesced": (
        "Publishing, coalesced",
        "As many as fit leave together; one confirmation at the end. unats: publish(), and poll() when its buffer is full. "
        "umqtt.simple has no buffer: publish(). micro-nats: publish() without waiting. (For the confirmation both get TCP_NODELAY, "
        "lest the kernel hold it back.) Bare: ready-made PUBs joined to one write a buffer-full.",
    ),
}
ONLY = {
    "umqtt_nodelay": ("written", "confirmed", "coalesced"),
    "umqtt_qos1": ("confirmed",),
}  # variants that matter there
SIZES = (16, 64, 256, 1024, 16384)
SUBSCRIPTIONS = (1, 32, 200)

# What the project promises for 64-byte payloads: job, other client, this client at least so many times as fast.
# umqtt.simple as it comes; the table has it with TCP_NODELAY as well.
TARGETS = (
    ("receive", "umqtt", 8),
    ("receive", "bare", 0.8),
    ("written", "umqtt", 2.5),
    ("confirmed", "umqtt", 2.5),
    ("confirmed", "bare", 0.8),
    ("coalesced", "umqtt", 5),
)


class Lost(Exception):
    """A client did not finish a job; the text says how."""


# --- one job


def subjects(subscriptions):
    """As in peers/peer.py."""
    return [f"sensors.{i:05}.temp" for i in range(subscriptions)]


def buffer_size(size):
    """The buffers of all clients that have one: 1 KB, or what the message needs."""
    return 1024 if size <= 512 else size + 1024


class Source:
    """Publishes messages round-robin to the subjects, as fast as the server takes them."""

    def __init__(self, port, size, subscriptions, count):
        payload = bytes(97 + i % 26 for i in range(size))
        cycle = b"".join(
            b"PUB %s %d\r\n%s\r\n" % (name.encode(), size, payload)
            for name in subjects(subscriptions)
        )
        self._cycles = count // subscriptions
        self._per_block = max(1, BLOCK // len(cycle))
        self._cycle = cycle
        self._block = cycle * self._per_block
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=STALL_S)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._socket.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

    def publish(self):
        """Publish all; returns once the server has taken them in."""
        for _ in range(self._cycles // self._per_block):
            self._socket.sendall(self._block)
        self._socket.sendall(self._cycle * (self._cycles % self._per_block) + b"PING\r\n")
        while self._lines.readline() not in (b"PONG\r\n", b""):
            pass

    def close(self):
        self._lines.close()
        self._socket.close()


class Run:
    """One process doing one job. `prefix` goes before the interpreter: valgrind."""

    def __init__(
        self, server, client, job, size, subscriptions, count, prefix=(), stall_s=STALL_S
    ):
        module, mqtt, _ = CLIENTS[client]
        self._server, self._job, self._shape = server, job, (size, subscriptions, count)
        self._stall_s = stall_s
        command = [*prefix, *interpreter(), "-X", f"heapsize={HEAP}", str(_DRIVERS / "peer.py")]
        device_job = "receive" if job == "drain" else job
        port = server.mqtt_port if mqtt else server.port
        command += [
            module,
            device_job,
            *map(str, (port, size, subscriptions, count, buffer_size(size))),
        ]
        path = os.pathsep.join(
            [str(LIB), str(_DRIVERS), str(_DRIVERS / "missing"), str(PEERS), ".frozen"]
        )
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": path, "PYTHONHASHSEED": "0"},
        )

    def result(self):
        """{"us": microseconds, "heap": bytes} for all messages together; Lost when they did not all arrive."""
        timer = threading.Timer(self._stall_s, self._process.kill)
        timer.start()
        try:
            answer = self._talk()
            self._process.communicate()  # until it has ended by itself: valgrind writes its file then
            return answer
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise
        finally:
            timer.cancel()

    def _talk(self):
        self._expect("ready\n")
        taken_before = self._server.messages_in()
        if self._job in ("receive", "drain"):
            self._feed()
        else:
            self._go()
        answer = self._line()
        deadline = time.monotonic() + STALL_S
        while (
            self._server.messages_in() - taken_before < self._shape[2]
        ):  # it counts after it has answered
            if time.monotonic() > deadline:
                raise Lost("fewer messages at the server than were published")
            time.sleep(0.01)
        return json.loads(answer)

    def _feed(self):
        source = Source(self._server.port, *self._shape)
        try:
            if self._job == "drain":
                source.publish()
            self._go()
            if self._job == "receive":
                source.publish()
        finally:
            source.close()

    def _go(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def _expect(self, text):
        line = self._line()
        if line != text:
            raise Lost(f"said {line!r}")

    def _line(self):
        line = self._process.stdout.readline()
        if line and not line.startswith("Traceback"):
            return line
        said = (self._process.stdout.read() + self._process.stderr.read()).strip().splitlines()
        code = self._process.wait()
        if code == -signal.SIGKILL:
            raise Lost(f"not done after {self._stall_s} s")
        raise Lost(said[-1] if said else f"ended with {code}")


def interpreter():
    """The command that runs MicroPython (the package's start script, so that valgrind sees the real program)."""
    return [sys.executable, toolchain.binary("micropython")]


# --- all of them


def fit(count, size, subscriptions):
    """The count nearest below that the traffic limit allows, a multiple of the subscriptions."""
    count = min(count, MAX_TRAFFIC // (size + 64))
    return max(subscriptions, count // subscriptions * subscriptions)


class Bench:
    """The whole measurement: for each job, size and number of subscriptions every client, in turns."""

    def __init__(self, server, clients, turns, seconds, say=print):
        self._server, self._clients, self._turns, self._seconds, self._say = (
            server,
            clients,
            turns,
            seconds,
            say,
        )

    def measure(self, job, size, subscriptions):
        """{client: {"rate": [messages per second, one a turn], "heap": bytes per message} or {"lost": why}}"""
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
                    self._turn(cells, client, job, size, subscriptions, count)
        self._report(job, size, subscriptions, cells)
        return cells

    def _turn(self, cells, client, job, size, subscriptions, count):
        try:
            result = Run(self._server, client, job, size, subscriptions, count).result()
        except Lost as reason:
            cells[client] = {"lost": str(reason)}
            return
        cells[client]["rate"].append(count * 1e6 / result["us"])
        cells[client]["heap"] = result["heap"] / count

    def _calibrate(self, client, job, size, subscriptions):
        """How many messages take about the time that a turn is to take; warms everything up as well."""
        count = fit(50, size, subscriptions)
        while True:
            took = Run(self._server, client, job, size, subscriptions, count).result()["us"] / 1e6
            fitting = fit(int(count * self._seconds / max(took, 1e-6)) + 1, size, subscriptions)
            if took > self._seconds / 4 or fitting <= 2 * count:
                return fitting
            count = fit(count * 20, size, subscriptions)

    def _report(self, job, size, subscriptions, cells):
        parts = [f"{client} {shown_rate(cell)}" for client, cell in cells.items()]
        self._say(
            f"{job:10} {size:6} bytes {subscriptions:4} subscriptions:  " + "   ".join(parts)
        )


def plan(quick):
    """The (job, size, subscriptions) to measure."""
    if quick:
        return [(job, 64, 1) for job in JOBS]
    cases = [(job, size, 1) for job in JOBS for size in SIZES]
    return cases + [(job, 64, n) for job in ("receive", "drain") for n in SUBSCRIPTIONS[1:]]


def shown_rate(cell):
    return (
        f"lost ({cell['lost']})" if "lost" in cell else f"{statistics.median(cell['rate']):,.0f}/s"
    )


# --- instructions

# For each client the two counts of messages whose difference is looked at.
_COUNTED = {"unats": (1000, 5000), "umqtt": (500, 2500), "umqtt_nodelay": (500, 2500), "micro_nats": (100, 500), "bare": (1000, 5000)}  # fmt: skip
_COUNTED_JOBS = {
    "drain": ("unats", "umqtt", "micro_nats", "bare"),
    "written": ("unats", "umqtt", "micro_nats", "bare"),
    "confirmed": ("unats", "umqtt_nodelay", "bare"),  # the others wait 40 ms for each
    "coalesced": ("unats", "umqtt", "micro_nats", "bare"),
}


def _callgrind(server, client, job, size, count, out):
    prefix = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    Run(server, client, job, size, 1, count, prefix, stall_s=120).result()
    return int(
        re.search(
            r"^(?:summary|totals): (\d+)", Path(out).read_text(errors="replace"), re.MULTILINE
        ).group(1)
    )


def instructions(server, client, job, size=64):
    """Instructions executed per message in the process, from the difference of two counts of messages."""
    few, many = _COUNTED[client]
    with tempfile.TemporaryDirectory() as folder:
        totals = [
            _callgrind(server, client, job, size, count, f"{folder}/out") for count in (few, many)
        ]
    return (totals[1] - totals[0]) / (many - few)


def _by_function(out):
    """{function: instructions} of a callgrind file."""
    shown = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", "--show-percs=no", out],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = re.findall(r"^\s*([\d,]+)\s+(\S+?:.*?)(?: \[.*)?$", shown, re.MULTILINE)
    found = {}
    for count, name in rows:
        name = re.sub(
            r"'\d+$", "", name.rsplit("/", 1)[-1]
        )  # 'N: the same function at another depth of recursion
        name = "(machine code made by viper)" if name.startswith("???:") else name
        found[name] = found.get(name, 0) + int(count.replace(",", ""))
    return found


def profile(server, job, size, lines=25):
    """Functions of the interpreter in which this client spends its instructions, per message, as text."""
    few, many = _COUNTED["unats"]
    with tempfile.TemporaryDirectory() as folder:
        for count in (few, many):
            _callgrind(server, "unats", job, size, count, f"{folder}/{count}")
        before, after = (_by_function(f"{folder}/{count}") for count in (few, many))
    each = {name: (after[name] - before.get(name, 0)) / (many - few) for name in after}
    total = sum(each.values())
    ranked = sorted(each.items(), key=lambda item: -item[1])[:lines]
    return "\n".join(
        [f"{total:9,.1f}  all", *(f"{count:9,.1f}  {name}" for name, count in ranked)]
    )


# --- results


def median(cell):
    return statistics.median(cell["rate"]) if cell and "lost" not in cell else None


def ratio(cells, other):
    """How many times as fast as the other client this one is, or None."""
    own, others = median(cells.get("unats")), median(cells.get(other))
    return own / others if own and others else None


def spread(cell):
    """Half of the distance between fastest and slowest turn, in per cent of the median."""
    return 50 * (max(cell["rate"]) - min(cell["rate"])) / median(cell)


def _rate_text(cell):
    if cell is None:
        return ""
    if "lost" in cell:
        return "lost step"
    return f"{median(cell):,.0f} ±{spread(cell):.0f}%"


def _ratio_text(value):
    return "" if value is None else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| ---" + " | ---:" * (len(header) - 1) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _size_label(size, subscriptions):
    return f"{size} bytes" + (f", {subscriptions} subscriptions" if subscriptions > 1 else "")


def markdown(results):
    """All results as one Markdown text."""
    lines = ["# Benchmark", "", results["about"], ""]
    for job, (title, text) in JOBS.items():
        cases = [case for case in results["cases"] if case["job"] == job]
        if not cases:
            continue
        clients = [client for client in CLIENTS if any(client in case["cells"] for case in cases)]
        lines += [f"## {title}", "", text, "", "Messages per second:", ""]
        header = [
            "payload",
            *(CLIENTS[client][2] for client in clients),
            "unats : umqtt.simple",
            "unats : bare",
        ]
        rows = []
        for case in cases:
            cells = case["cells"]
            rates = [_rate_text(cells.get(client)) for client in clients]
            ratios = [_ratio_text(ratio(cells, other)) for other in ("umqtt", "bare")]
            rows.append([_size_label(case["size"], case["subscriptions"]), *rates, *ratios])
        lines += [
            *_table(header, rows),
            "",
            "Heap bytes taken per message (all that was allocated, also what was freed at once):",
            "",
        ]
        rows = []
        for case in cases:
            heap = [_heap_text(case["cells"].get(client)) for client in clients]
            rows.append([_size_label(case["size"], case["subscriptions"]), *heap])
        lines += [*_table(header[:-2], rows), ""]
    lines += _losses(results)
    lines += _instruction_table(results)
    lines += _target_table(results)
    return "\n".join(lines).rstrip() + "\n"


def _heap_text(cell):
    return "" if cell is None else "lost step" if "lost" in cell else f"{cell['heap']:,.0f}"


def _losses(results):
    found = [
        f"- {CLIENTS[client][2]}, {JOBS[case['job']][0].lower()}, {_size_label(case['size'], case['subscriptions'])}: {cell['lost']}"
        for case in results["cases"]
        for client, cell in case["cells"].items()
        if "lost" in cell
    ]
    return ["`lost step`: did not get through the job.", "", *found, ""] if found else []


def _instruction_table(results):
    counts = results.get("instructions")
    if not counts:
        return []
    clients = [client for client in CLIENTS if any(client in row for row in counts.values())]

    def text(row, client):
        return (
            ""
            if client not in row
            else "lost step"
            if row[client] is None
            else f"{row[client]:,.0f}"
        )

    header = ["64 bytes", *(CLIENTS[client][2] for client in clients)]
    rows = [
        [JOBS[job][0], *(text(row, client) for client in clients)] for job, row in counts.items()
    ]
    about = (
        "Instructions executed per message outside the kernel, garbage collections included, as valgrind's callgrind "
        "counts them (repeatable, unlike time):"
    )
    return ["## Instructions", "", about, "", *_table(header, rows), ""]


def targets(results):
    """[(what is promised, promised ratio, measured ratio or None)]"""
    found = []
    for job, other, least in TARGETS:
        for case in results["cases"]:
            if (case["job"], case["size"], case["subscriptions"]) == (job, 64, 1):
                found.append(
                    (
                        f"{JOBS[job][0]}: unats : {CLIENTS[other][2]}",
                        least,
                        ratio(case["cells"], other),
                    )
                )
    return found


def _target_table(results):
    rows = [
        [what, f"{least}", _ratio_text(value) or "not measured"]
        for what, least, value in targets(results)
    ]
    return (
        [
            "## Promises",
            "",
            "64-byte payloads:",
            "",
            *_table(["", "at least", "measured"], rows),
            "",
        ]
        if rows
        else []
    )


def about():
    """What the numbers were measured on, in one paragraph."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE)
        cpu = found.group(1) if found else cpu
    version = subprocess.run(
        [*interpreter(), "-c", "import sys; print(sys.version)"], capture_output=True, text=True
    ).stdout
    server = subprocess.run(
        [toolchain.binary("nats-server"), "--version"], capture_output=True, text=True
    ).stdout
    return (
        f"{cpu}, {os.cpu_count()} cores; {version.strip().split('; ')[-1]}, Unix port, heap {HEAP}B; {server.strip()}; "
        "everything on loopback. Medians; ± is half of the distance between the slowest and the fastest turn."
    )


def plot(results, path):
    """Messages per second over payload size, one panel a job, both axes logarithmic; heap in the last panel."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = {
        "unats": "#c1272d",
        "umqtt": "#0000a7",
        "umqtt_nodelay": "#5b7fd6",
        "umqtt_qos1": "#a9bcec",
        "micro_nats": "#008176",
        "bare": "#999999",
    }
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7.5), constrained_layout=True)
    for axis, (job, (title, _)) in zip(axes.flat, JOBS.items()):
        cases = [
            case for case in results["cases"] if case["job"] == job and case["subscriptions"] == 1
        ]
        for client, (_, _, label) in CLIENTS.items():
            points = [(case["size"], median(case["cells"].get(client))) for case in cases]
            points = [point for point in points if point[1]]
            if points:
                style = "--" if client == "bare" else "-"
                axis.plot(
                    *zip(*points),
                    style,
                    marker="o",
                    markersize=4,
                    color=colours[client],
                    label=label,
                )
        axis.set(
            title=title,
            xscale="log",
            yscale="log",
            xlabel="payload, bytes",
            ylabel="messages per second",
        )
        sizes = sorted({case["size"] for case in cases})
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes.flat[3].legend(fontsize=8)
    _plot_heap(axes.flat[5], results, colours)
    figure.suptitle("MicroPython Unix port, one nats-server on loopback (both axes logarithmic)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _plot_heap(axis, results, colours):
    """Bars: heap bytes per received and per published message of 64 bytes."""
    chosen = ("receive", "written")
    clients = [client for client in CLIENTS if client not in ONLY]
    for case in results["cases"]:
        if (case["size"], case["subscriptions"]) != (64, 1) or case["job"] not in chosen:
            continue
        for index, client in enumerate(clients):
            cell = case["cells"].get(client)
            if cell and "lost" not in cell:
                at = chosen.index(case["job"]) + (index - 1.5) * 0.2
                axis.bar(at, cell["heap"], 0.18, color=colours[client])
                axis.annotate(
                    f"{cell['heap']:,.0f}",
                    (at, cell["heap"]),
                    ha="center",
                    va="bottom",
                    fontsize=8,
                )
    axis.set(title="Heap per message, 64-byte payload", ylabel="bytes allocated")
    axis.set_xticks(range(len(chosen)), ["received", "published"])
    axis.grid(axis="y", alpha=0.3)


# --- command line


def run(clients, cases, turns, seconds, count_instructions, say=print):
    """Measure; the results as written to results.json."""
    started = time.monotonic()
    with toolchain.Server(mqtt=any(CLIENTS[client][1] for client in clients)) as server:
        bench = Bench(server, clients, turns, seconds, say)
        measured = [
            {"job": job, "size": size, "subscriptions": n, "cells": bench.measure(job, size, n)}
            for job, size, n in cases
        ]
        results = {"about": about(), "cases": measured}
        if count_instructions:
            results["instructions"] = _count_all(server, clients, say)
    say(f"took {time.monotonic() - started:.0f} s")
    return results


def _count_all(server, clients, say):
    """{job: {client: instructions per message, None when it lost step}}"""
    counts = {}
    for job, counted in _COUNTED_JOBS.items():
        counts[job] = {}
        for client in [client for client in counted if client in clients]:
            try:
                counts[job][client] = instructions(server, client, job)
            except Lost as reason:
                say(f"{client}: {reason}")
                counts[job][client] = None
        say(
            f"{job:10} instructions per message:  "
            + "   ".join(f"{c} {n or 0:,.0f}" for c, n in counts[job].items())
        )
    return counts


def _available(names):
    for name in names:
        if name not in CLIENTS:
            raise ToolError(f"no client {name!r}; there are {', '.join(CLIENTS)}")
        module = CLIENTS[name][0]
        if module not in ("bare", "with_unats") and not PEERS.is_dir():
            raise ToolError(
                f"{PEERS} is missing: run `make bench`, or choose --clients unats,bare"
            )
    return names


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="64-byte payloads and fewer turns; writes nothing"
    )
    parser.add_argument(
        "--clients", default=",".join(CLIENTS), help="comma-separated, of: %(default)s"
    )
    parser.add_argument("--jobs", default=",".join(JOBS), help="comma-separated, of: %(default)s")
    parser.add_argument("--turns", type=int, help="how often each client does each job")
    parser.add_argument("--seconds", type=float, help="about how long one turn takes")
    parser.add_argument(
        "--profile", action="store_true", help="only show where the instructions go"
    )
    options = parser.parse_args(argv)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("bench: ended")
    )  # so that no server is left behind
    has_valgrind = shutil.which("valgrind") is not None
    try:
        if options.profile:
            if not has_valgrind:
                raise ToolError("--profile needs valgrind")
            with toolchain.Server() as server:
                for job in options.jobs.split(","):
                    print(f"--- {job}, 64 bytes\n{profile(server, job, 64)}\n")
            return
        clients = _available(options.clients.split(","))
        cases = [case for case in plan(options.quick) if case[0] in options.jobs.split(",")]
        turns = options.turns or (3 if options.quick else 5)
        seconds = options.seconds or (0.15 if options.quick else 0.3)
        results = run(clients, cases, turns, seconds, has_valgrind and not options.quick)
        if not has_valgrind:
            print("valgrind is not there: instructions were not counted")
        for what, least, value in targets(results):
            print(f"{what}: {_ratio_text(value) or 'not measured'} (at least {least})")
        if (
            not options.quick
            and len(clients) == len(CLIENTS)
            and set(options.jobs.split(",")) == set(JOBS)
        ):
            (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "results.md").write_text(markdown(results))
            plot(results, HERE / "results.png")
            print("written: tools/bench/results.md, results.png and results.json")
    except ToolError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
