"""What consumers and objects cost: instructions, beside plain receiving, and beside nats-py's.

Callgrind counts from when peers/streams.py looks at the clock to when it does so again; nats-py's
jobs are done twice, with more and with less to do: the difference of all that both processes take
is what the rest of the work takes. BUDGETS is held by a test.
"""

import asyncio
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import nats
from nats.js.api import StreamConfig

from tools import toolchain
from tools.bench.instructions import CLOCK, total
from tools.bench.jobs import HERE, LARGE_HEAP, interpreter
from tools.toolchain import LIB, ToolError

SIZE = 64  # bytes of a message
CHUNK = 131072  # bytes of an object's chunks
# How much a job is, in messages or bytes; what it is counted per.
COUNTS = {
    "plain": 1500, "consumer": 1500, "chunked": 4 * CHUNK, "digested": 4 * CHUNK,
    "object": 4 * CHUNK,
}  # fmt: skip
UNITS = {"plain": 1, "consumer": 1, "chunked": 1024, "digested": 1024, "object": 1024}
# At most so many times what that job takes.
BUDGETS = {"consumer": ("plain", 3), "object": ("digested", 2)}
OFFICIAL = ("consumer", "object")  # that nats-py does, too
_STALL_S = 180


def measure(port):
    """{client: {job: instructions per message, or per KB}}, on a server with JetStream."""
    own = budgeted(port, COUNTS)
    return {"unats": own, "nats-py": {job: _cost(port, job) for job in OFFICIAL}}


def budgeted(port, counts):
    """{job: instructions} of ours alone, with so much to do."""
    asyncio.run(_prepare(port, counts))
    return {
        job: _count(port, job, count, *_micropython()) * UNITS[job] / count
        for job, count in counts.items()
    }


def excesses(own):
    """Which budgets these, {job: instructions}, break, as lines."""
    return [
        f"{job}: {own[job]:,.0f} instructions, at most {most} times {own[other]:,.0f} ({other})"
        for job, (other, most) in BUDGETS.items()
        if own[job] > most * own[other]
    ]


async def _prepare(port, counts):
    """The stream and the objects that are read."""
    nc = await nats.connect(f"nats://127.0.0.1:{port}")
    js = nc.jetstream()
    await js.add_stream(StreamConfig(name="READINGS", subjects=["readings"], storage="memory"))
    for _ in range(counts["consumer"] + 100):
        await nc.publish("readings", bytes(SIZE))
    store = await js.create_object_store("FILES")
    for size in counts["object"], counts["object"] // 4:
        await store.put(f"file{size}", os.urandom(size))
    await nc.close()


async def _feed(port, job, count):
    nc = await nats.connect(f"nats://127.0.0.1:{port}")
    if job == "plain":
        for _ in range(count):
            await nc.publish("plain", bytes(SIZE), reply="acks.of.as.many.tokens.as.those.have.1")
    if job in ("chunked", "digested"):
        for _ in range(count // CHUNK):
            await nc.publish("chunked", os.urandom(CHUNK))
    await nc.drain()


def _cost(port, job):
    """What nats-py takes for a message, or for a KB."""
    more = COUNTS[job]
    less = more // 4
    spent = [_count(port, job, count, *_cpython()) for count in (more, less)]
    return (spent[0] - spent[1]) * UNITS[job] / (more - less)


def _count(port, job, count, program, own, marks=()):
    """Instructions of a process that does so much of a job: between the marks, or all of it."""
    tool, env = toolchain.valgrind()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        process = subprocess.Popen(
            [*tool, "--tool=callgrind", f"--callgrind-out-file={out}", *marks, *program, job]
            + [str(port), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env, **own},
        )
        try:
            if process.stdout.readline() == "ready\n":
                asyncio.run(_feed(port, job, count))
            said = "".join(process.communicate(timeout=_STALL_S))
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise ToolError(f"{job} of {program[-1]} failed:\n{said}")
        return total(Path(f"{out}.2") if marks else out)


def _micropython():
    path = os.pathsep.join([str(LIB), ".frozen"])
    program = [*interpreter(), "-X", f"heapsize={LARGE_HEAP}", str(HERE / "peers/streams.py")]
    env = {"MICROPYPATH": path, "PYTHONPATH": sysconfig.get_path("purelib")}
    return program, env, [f"--dump-before={CLOCK}"]


def _cpython():
    return [sys.executable, str(HERE / "peers/nats_py.py")], {}
