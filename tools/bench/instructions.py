"""Instructions per message, as valgrind's callgrind counts them: repeatable, unlike time.

What a client executes outside the kernel, garbage collections included, is counted from when
peers/peer.py looks at the clock before a job to when it does so again. BUDGETS is held by a test.
"""

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools import toolchain
from tools.bench.jobs import Run
from tools.toolchain import ToolError

# Of this client, for a payload of 64 bytes, at most.
BUDGETS = {"drain": 8_000, "coalesced": 11_000, "written": 24_000}
SIZE = 64
READING = '{"t":21.53,"n":7}'

# So many messages that the ends of a job do not count, and that there are several collections.
COUNTS = {"unats": 4000, "umqtt": 8000, "micro_nats": 300, "bare": 20000}
COUNTED = {  # job: clients that are counted
    "drain": ("unats", "umqtt", "micro_nats", "bare"),
    "coalesced": ("unats", "umqtt", "micro_nats", "bare"),
    "written": ("unats", "umqtt", "micro_nats", "bare"),
}
_STALL_S = 120  # valgrind takes its time
CLOCK = "mp_hal_ticks_us"  # what the interpreter calls when it is asked for the time


class Cost(NamedTuple):
    """What one message costs: instructions, and bytes of heap (also those freed at once)."""

    instructions: float
    heap: float


def cost(server, client, job, size=SIZE, count=None):
    """The Cost of a message; Lost if the client does not finish the job."""
    count = count or COUNTS[client]
    with tempfile.TemporaryDirectory() as folder:
        profile, heap = _run(server, client, job, size, count, folder)
        return Cost(total(profile) / count, heap / count)


def total(profile):
    """Instructions in a file of callgrind's."""
    text = profile.read_text(errors="replace")
    return int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)[1])


def reading_costs(server):
    """{what: Cost} of a small reading: "built", its "bytes" published, the "payload" published."""
    jobs = {"built": "built", "bytes": "coalesced", "payload": "reading"}
    return {what: cost(server, "unats", job, len(READING)) for what, job in jobs.items()}


def _run(server, client, job, size, count, folder):
    """(path of the job's profile, bytes of heap)."""
    command, env = toolchain.valgrind()
    out = f"{folder}/out"
    options = ["--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={CLOCK}"]
    run = Run(
        server, client, job, size, 1, count, prefix=[*command, *options], env=env, stall_s=_STALL_S
    )
    heap = run.result()["heap"]
    parts = [Path(f"{out}.{number}") for number in (1, 2, 3)]
    if [part.exists() for part in parts] != [True, True, False]:
        raise ToolError(f"callgrind did not see {CLOCK} called twice")
    return parts[1], heap


def excesses(costs, reading):
    """Which budgets this client's costs, {job: Cost}, and reading_costs() break, as lines."""
    found = [
        f"{job}: {costs[job].instructions:,.0f} instructions per message, at most {most:,}"
        for job, most in BUDGETS.items()
        if costs.get(job) and costs[job].instructions > most
    ]
    built, published = reading["built"].instructions, reading["payload"].instructions
    if built > published:
        found.append(
            f"building a reading: {built:,.0f} instructions, publishing it: {published:,.0f}"
        )
    return found


# --- where they go


def profile(server, job, lines=25):
    """Functions of the interpreter in which this client spends them, per message, as text."""
    count = COUNTS["unats"]
    with tempfile.TemporaryDirectory() as folder:
        spent = _by_function(_run(server, "unats", job, SIZE, count, folder)[0])
    ranked = sorted(spent.items(), key=lambda item: -item[1])[:lines]
    rows = [("all", sum(spent.values())), *ranked]
    return "\n".join(f"{total / count:9,.1f}  {name}" for name, total in rows)


def _by_function(path):
    """{function: instructions} of a profile; without what the functions that it calls take.

    The format: https://valgrind.org/docs/manual/cl-format.html
    """
    names, found = {}, {}
    function, skip = None, False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith(("fn=", "cfn=")):
            key, _, rest = line.partition("=")
            number, _, name = rest.partition(" ")
            if name:
                names[number] = _label(name)
            if key == "fn":
                function = names[number]
        elif line.startswith("calls="):
            skip = True  # the next line says what that call took
        elif line and line[0] in "0123456789+-*":
            if not skip:
                found[function] = found.get(function, 0) + int(line.split()[-1])
            skip = False
    return found


def _label(name):
    """A function's name: 'N is the same one at another depth of recursion, an address has none."""
    name = re.sub(r"'\d+$", "", name)
    return "(machine code made by viper)" if name.startswith("0x") else name
