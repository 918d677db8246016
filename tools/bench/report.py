"""The benchmark's results as Markdown, and as a picture."""

import statistics

from tools.bench.instructions import BUDGETS, READING
from tools.bench.jobs import CLIENTS, JOBS, ONLY

JOB_TEXTS = {
    "receive": "The server delivers as fast as it can: a source writes ready-made PUBs in blocks. "
    "Timed from before the first of them until the last has reached the handler. Bare: reads the "
    "same bytes into a buffer of the same size.",
    "drain": "As before, but all of the messages wait in server and socket buffers before the "
    "clock starts: what the client costs when nothing else limits it. Bare: one read a "
    "buffer-full, no look at the bytes.",
    "written": "unats: publish() and poll(0). umqtt.simple: publish(), which always writes "
    "through, in four pieces. micro-nats: publish(wait=True). Bare: one write of a ready-made "
    "PUB. Of all these only the bare loop and the variant named so have TCP_NODELAY set, unats "
    "having it set while somebody waits for what it sends, which here is nobody.",
    "confirmed": "unats: publish() and flush(). umqtt.simple: publish(), ping() and the wait for "
    "the answer; with QoS 1 the wait for PUBACK instead. micro-nats: publish(wait=True), PING, "
    "wait for PONG. Bare: a ready-made PUB with PING, wait for PONG.",
    "coalesced": "As many as fit leave together; one confirmation at the end. unats: publish(), "
    "and poll() when its buffer is full. umqtt.simple has no buffer: publish(). micro-nats: "
    "publish() without waiting. (For the confirmation both get TCP_NODELAY, lest the kernel hold "
    "it back.) Bare: ready-made PUBs joined to one write a buffer-full.",
}
HEAP = "bytes taken per message (all that was allocated, also what was freed at once):"
INSTRUCTIONS = """\
Instructions executed per message outside the kernel, 64-byte payloads, garbage collections
included, as valgrind's callgrind counts them (repeatable, unlike time); below each the bytes of
heap taken per message, also what was freed at once."""
_COLOURS = {
    "unats": "#c1272d",
    "umqtt": "#0000a7",
    "umqtt_nodelay": "#5b7fd6",
    "umqtt_qos1": "#a9bcec",
    "micro_nats": "#008176",
    "bare": "#999999",
}


def median(cell):
    """Messages per second of a cell, or None."""
    return statistics.median(cell["rate"]) if cell and "lost" not in cell else None


def ratio(cells, other):
    """How many times as fast as the other client this one is, or None."""
    own, others = median(cells.get("unats")), median(cells.get(other))
    return own / others if own and others else None


def spread(cell):
    """Half of the distance between fastest and slowest turn, in per cent of the median."""
    return 50 * (max(cell["rate"]) - min(cell["rate"])) / median(cell)


def ratio_text(value):
    return "" if value is None else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def _table(header, rows):
    """Lines of a Markdown table whose columns stand below each other."""
    rows = [header, *rows]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(header))]

    def line(row):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(header), f"| {' | '.join(rule)} |", *map(line, rows[1:])]


# --- instructions


def instruction_table(costs):
    """Lines: the costs, {job: {client: Cost, or None if it lost step}}, beside the budgets."""
    clients = [name for name in CLIENTS if any(name in row for row in costs.values())]

    def text(row, client, figure):
        if client not in row:
            return ""
        return "lost step" if row[client] is None else f"{figure(row[client]):,.0f}"

    rows = []
    for job, row in costs.items():
        counts = [text(row, client, lambda cost: cost.instructions) for client in clients]
        most = f"{BUDGETS[job]:,}" if job in BUDGETS else ""
        rows.append([JOBS[job], *counts, most])
        heap = [text(row, client, lambda cost: cost.heap) for client in clients]
        rows.append(["... bytes of heap", *heap, ""])
    return _table(["", *(CLIENTS[client][2] for client in clients), "unats at most"], rows)


def reading_line(costs):
    """What building a reading takes beside publishing it, in words."""
    built, text, payload = (costs[what].instructions for what in ("built", "bytes", "payload"))
    return (
        f"Building `{READING}` with Payload takes {built:,.0f} instructions, at most as many as "
        f"publishing it: {payload:,.0f}. (Its bytes by themselves {text:,.0f}.)"
    )


def stream_lines(costs):
    """What a consumer's message and an object's KB take, {client: {job: instructions}}."""
    own, official = costs["unats"], costs["nats-py"]
    message = (
        f"A message of a consumer, acknowledged (window 64): {own['consumer']:,.0f} instructions; "
        f"of a plain subscription, answered: {own['plain']:,.0f}; nats-py on CPython: "
        f"{official['consumer']:,.0f}."
    )
    kilobyte = (
        f"An object, per KB: {own['object']:,.0f} instructions; a plain chunked subscription: "
        f"{own['chunked']:,.0f}, and with the SHA-256 that an object has to agree with: "
        f"{own['digested']:,.0f}; nats-py on CPython: {official['object']:,.0f}."
    )
    return [message, kilobyte]


# --- messages per second


def markdown(results):
    """All results as one Markdown text."""
    lines = ["# Benchmark", "", results["about"], ""]
    if results.get("instructions"):
        lines += ["## Instructions", "", INSTRUCTIONS, ""]
        lines += [*instruction_table(results["instructions"]), ""]
        if results.get("reading"):
            lines += [reading_line(results["reading"]), ""]
        if results.get("streams"):
            lines += [*stream_lines(results["streams"]), ""]
    for job, title in JOBS.items():
        cases = [case for case in results["cases"] if case["job"] == job]
        if cases:
            lines += [f"## {title}", "", JOB_TEXTS[job], "", "Messages per second:", ""]
            lines += [*rate_table(cases), "", f"Heap {HEAP}", "", *_heap_table(cases), ""]
    lines += _losses(results["cases"])
    return "\n".join(lines).rstrip() + "\n"


def rate_table(cases):
    """Lines: messages per second of these cases, and how many times the others' that is."""
    rows = []
    for case in cases:
        cells = case["cells"]
        rates = [_rate_text(cells.get(client)) for client in _clients(cases)]
        ratios = [ratio_text(ratio(cells, other)) for other in ("umqtt", "bare")]
        rows.append([_case_text(case), *rates, *ratios])
    return _table([*_header(cases), "unats : umqtt.simple", "unats : bare"], rows)


def ratios(cases):
    """Lines: how many times as fast as each other client this one is, a row for each job."""
    others = [client for client in _clients(cases) if client != "unats"]
    rows = [
        [JOBS[case["job"]], *(ratio_text(ratio(case["cells"], other)) for other in others)]
        for case in cases
    ]
    return _table(["unats :", *(CLIENTS[other][2] for other in others)], rows)


def _heap_table(cases):
    rows = [
        [_case_text(case), *(_heap_text(case["cells"].get(client)) for client in _clients(cases))]
        for case in cases
    ]
    return _table(_header(cases), rows)


def _clients(cases):
    return [client for client in CLIENTS if any(client in case["cells"] for case in cases)]


def _header(cases):
    return ["payload", *(CLIENTS[client][2] for client in _clients(cases))]


def _case_text(case):
    n = case["subscriptions"]
    return f"{case['size']} bytes" + (f", {n} subscriptions" if n > 1 else "")


def _rate_text(cell):
    if cell is None:
        return ""
    if "lost" in cell:
        return "lost step"
    return f"{median(cell):,.0f} ±{spread(cell):.0f}%"


def _heap_text(cell):
    return "" if cell is None else "lost step" if "lost" in cell else f"{cell['heap']:,.0f}"


def _losses(cases):
    found = [
        f"- {CLIENTS[client][2]}, {JOBS[case['job']].lower()}, {_case_text(case)}: " + cell["lost"]
        for case in cases
        for client, cell in case["cells"].items()
        if "lost" in cell
    ]
    return ["`lost step`: did not get through the job.", "", *found, ""] if found else []


# --- the picture


def plot(results, path):
    """Messages per second over payload size, one panel a job; heap in the last panel."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7.5), constrained_layout=True)
    for axis, job in zip(axes.flat, JOBS):
        _plot_job(axis, job, [case for case in results["cases"] if case["job"] == job])
    axes.flat[3].legend(fontsize=8)
    _plot_heap(axes.flat[5], results["cases"])
    figure.suptitle("MicroPython Unix port, one nats-server on loopback (both axes logarithmic)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _plot_job(axis, job, cases):
    cases = [case for case in cases if case["subscriptions"] == 1]
    for client, (_, _, label) in CLIENTS.items():
        points = [(case["size"], median(case["cells"].get(client))) for case in cases]
        points = [point for point in points if point[1]]
        if points:
            style = {"marker": "o", "markersize": 4, "color": _COLOURS[client], "label": label}
            axis.plot(*zip(*points), "--" if client == "bare" else "-", **style)
    axis.set(title=JOBS[job], xscale="log", yscale="log")
    axis.set(xlabel="payload, bytes", ylabel="messages per second")
    sizes = sorted({case["size"] for case in cases})
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def _plot_heap(axis, cases):
    """Bars: heap bytes per received and per published message of 64 bytes."""
    chosen = ("receive", "written")
    clients = [client for client in CLIENTS if client not in ONLY]
    for case in cases:
        if (case["size"], case["subscriptions"]) != (64, 1) or case["job"] not in chosen:
            continue
        for index, client in enumerate(clients):
            cell = case["cells"].get(client)
            if cell and "lost" not in cell:
                at = chosen.index(case["job"]) + (index - 1.5) * 0.2
                axis.bar(at, cell["heap"], 0.18, color=_COLOURS[client])
                where = {"ha": "center", "va": "bottom", "fontsize": 8}
                axis.annotate(f"{cell['heap']:,.0f}", (at, cell["heap"]), **where)
    axis.set(title="Heap per message, 64-byte payload", ylabel="bytes allocated")
    axis.set_xticks(range(len(chosen)), ["received", "published"])
    axis.grid(axis="y", alpha=0.3)
