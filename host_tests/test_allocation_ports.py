"""No allocation over a real socket to a real server; and that the allocation
suite counts at all.
"""

import pytest

from support.interpreters import run_micropython, run_wasm32

COUNTS = """
import gc, test_allocation
def work(n):
    [None] * n
assert test_allocation.count is not None
assert test_allocation.allocated(work, 10) > 0
assert test_allocation.allocated(lambda n: None, 10) == 0
try:
    test_allocation.locked(work, 10)
    raise RuntimeError("the heap was not locked")
except MemoryError:
    print("counts")
"""

# The board sends to itself through the server, and counts what it has allocated meanwhile.
BOARD = """
import gc, micropython, sys, unats

TIMES = 10000
handled = 0
streamed = 0
large = bytes(3000)
reading = unats.Payload(48)

def on_echo(msg):
    global handled
    handled += 1
    if msg.token_equals(1, b"ask"):
        msg.respond(b"answer")
    %(extra)s

def on_fragment(msg):
    global streamed
    streamed += msg.size

nc = unats.Client(sys.argv[1], rx_size=512, tx_size=1024, ping_interval_ms=5, max_pings_out=100000)
nc.subscribe("echo.>", on_echo)
nc.subscribe("stream", on_fragment, chunked=True)
oversize = nc.subscribe("oversize", on_echo)
nc.connect()

def turn():
    nc.poll(1000)
    if nc.stats.dropped + nc.stats.reconnects or not nc.connected:
        raise RuntimeError("what is waited for can not come")

def until(n):
    while handled < n:
        turn()

def small(n):
    goal = handled
    while n:
        reading.clear().text('{"t":').fixed(n, 2).text("}")
        nc.publish("echo.reading", reading)
        nc.publish(b"echo.ask", b"?", "echo.answer")
        goal += 3
        n -= 1
        if n %% 5 == 0:
            until(goal)
    until(goal)

def big(n):
    goal = streamed
    while n:
        nc.publish("stream", large)
        nc.publish("oversize", large)
        goal += 3000
        n -= 1
        while streamed < goal:
            turn()

def flush(n):
    while n:
        if not nc.flush():
            raise RuntimeError("no answer")
        n -= 1

for work, times in ((small, TIMES), (big, TIMES // 20), (flush, TIMES // 20)):
    work(50)
    gc.collect()
    gc.disable()
    before = micropython.mem_total()
    work(times)
    print(work.__name__, micropython.mem_total() - before)
    gc.enable()
    micropython.heap_lock()
    try:
        work(times // 5)
    finally:
        micropython.heap_unlock()
print("oversize", oversize.dropped)
print("lost", nc.stats.dropped + nc.stats.reconnects)
"""


def run_board(tmp_path, url, extra="pass"):
    script = tmp_path / "board.py"
    script.write_text(BOARD % {"extra": extra})
    return run_micropython(script, url)


@pytest.mark.parametrize("run", [run_micropython, run_wasm32])
def test_the_suite_counts_and_locks(run, tmp_path):
    script = tmp_path / "counts.py"
    script.write_text(COUNTS)
    assert run(script).check() == "counts\n"


def test_over_a_real_socket(nats_server, tmp_path):
    output = run_board(tmp_path, nats_server.url).check()
    assert output.splitlines() == ["small 0", "big 0", "flush 0", "oversize 650", "lost 0"]


def test_a_handler_that_allocates_is_noticed(nats_server, tmp_path):
    result = run_board(tmp_path, nats_server.url, "msg.data")
    assert result.code != 0
    assert "MemoryError" in result.output and "small 0" not in result.output
