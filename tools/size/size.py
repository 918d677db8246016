"""Prints what lib/unats weighs, module by module, and holds it to the committed table.

    make size                 measure and print
    make size ARGS=--check    fail when that differs from table.json, or breaks a budget
    make size ARGS=--write    measure and write that table

Code lines leave out blank lines, comments and docstrings. `.mpy` bytes are what mpy-cross makes of
a module: as bytecode, and with its kernels as machine code for RP2040 (armv6m) and ESP32/S2/S3
(xtensawin). Heap is what importing a module takes, those that it imports already there. What is
loaded is found out by connecting a client with one subscription. How heap is measured: heap.py.
"""

import argparse
import json
import sys
from pathlib import Path

from tools import toolchain
from tools.size import heap
from tools.size.source import code_lines, modules, source
from tools.toolchain import ToolError

TABLE = Path(__file__).resolve().parent / "table.json"

# What a connected client with one subscription and buffers of 1 KB may take at most, on a board
# (32-bit words): label, and bytes but for the lines.
BUDGETS = {
    "lines": ("code lines of all that is loaded", 850),
    "armv6m": (".mpy of that for armv6m", 16 * 1024),
    "connected": ("heap", 23 * 1024),
    "romfs": ("heap, code in ROMFS", 14 * 1024),
    "frozen": ("heap, frozen (an estimate)", 10 * 1024),
}
# What further parts may take of a board's heap on top of that: label, modules, bytes. (For those
# that stay: what is loaded for one use is given back.)
PARTS = (
    ("JetStream with publish", ("jetstream/__init__",), 4 * 1024),
    ("consumers", ("jetstream/consumer",), 5 * 1024),
    ("key-value", ("jetstream/kv", "jetstream/watching"), 6 * 1024),
    ("object store", ("jetstream/objectstore",), 5 * 1024),
    ("services", ("services",), 4 * 1024),
    ("asyncio", ("aio",), 4 * 1024),
    ("WebSocket", ("websocket/__init__", "websocket/kernels"), 6 * 1024),
    ("serial", ("uart/__init__", "uart/kernels"), 5 * 1024),
)
HEAP_TOLERANCE = 256  # bytes or, if that is more,
HEAP_TOLERANCE_SHARE = 0.02  # this share of the value: see heap.Port.run

_COLUMNS = ("lines", "mpy", "armv6m", "xtensawin", "heap64", "heap32")
_HEADER = (
    "code lines", ".mpy bytecode", ".mpy armv6m", ".mpy xtensawin", "heap, 64-bit", "heap, 32-bit",
)  # fmt: skip
_HEAP = ("heap64", "heap32")
_TOTALS = ("import", "connected", "romfs", "frozen")
_NOTE = """\
Bytes, but for the lines. `loaded`: what a connected client with one subscription has loaded.
`import`: heap that `import unats` takes; `connected`: that with a connected client, one
subscription and buffers of 1 KB, all included; `romfs`: the same with the code in ROMFS;
`frozen`: an estimate of the same with frozen code (less what the loader allocates for constants
and names)."""


# --- weighing


def measure():
    """The whole table: {"mpy-cross": version, "modules": {name: row}, "loaded": row, ...}."""
    names = modules()
    with toolchain.Server() as server:
        url = f"nats://127.0.0.1:{server.port}"
        loaded = heap.loaded_modules(names, url)
        ports = {port.name: port for port in (heap.unix(), heap.wasm())}
        each = {name: heap.each_module(port, names) for name, port in ports.items()}
        totals = {total: {} for total in _TOTALS}
        for name, port in ports.items():
            figures = *heap.connected(port, names, url), *heap.in_rom(port, names, url, loaded)
            for total, figure in zip(_TOTALS, figures):
                totals[total][name] = figure
        parts = {
            label: {
                name: heap.part(port, names, modules, url) for name, port in ports.items()
            } for label, modules, _ in PARTS
        }  # fmt: skip
    rows = {name: _row(name, {port: each[port][name] for port in each}) for name in names}
    return {
        "mpy-cross": toolchain.mpy_cross_version()[1],
        "modules": rows,
        "loaded": {"modules": loaded, **_sum(rows, loaded)},
        "all": _sum(rows, names),
        **totals,
        "parts": parts,
    }


def _row(name, heaps):
    text, label = source(name), f"unats/{name}.py"
    return {
        "lines": code_lines(text),
        "mpy": len(toolchain.compile_mpy(text, label)),
        "armv6m": len(toolchain.compile_mpy(text, label, "armv6m")),
        "xtensawin": len(toolchain.compile_mpy(text, label, "xtensawin")),
        **heaps,
    }


def _sum(rows, names):
    columns = [column for column in _COLUMNS if column not in _HEAP]  # heap: see `connected`
    return {column: sum(rows[name][column] for name in names) for column in columns}


# --- showing and checking


def show(table):
    """The table as Markdown, right for a terminal too."""
    width = max(len(name) for name in table["modules"])
    rules = (f"{'-' * (len(title) - 1)}:" for title in _HEADER)
    lines = [
        f"| {'module':{width}} | {' | '.join(_HEADER)} |",
        f"| {'-' * width} | {' | '.join(rules)} |",
    ]

    def line(label, row):
        cells = zip(_COLUMNS, _HEADER)
        cells = (str(row.get(column, "")).rjust(len(title)) for column, title in cells)
        lines.append(f"| {label:{width}} | " + " | ".join(cells) + " |")

    loaded = table["loaded"]["modules"]
    for name in loaded:
        line(name, table["modules"][name])
    line("**loaded**", table["loaded"])
    for name in [name for name in table["modules"] if name not in loaded]:
        line(name, table["modules"][name])
    line("**all**", table["all"])
    for total in _TOTALS:
        line(total, table[total])
    return "\n".join([*lines, "", _NOTE, table["mpy-cross"], "", *_budget_lines(table)])


def _figures(table):
    """What BUDGETS limits, by the same names."""
    loaded = {column: table["loaded"][column] for column in ("lines", "armv6m")}
    return {**loaded, **{total: table[total]["heap32"] for total in _TOTALS}}


def _limits(table):
    """Each limit: its label, the figure, and what that is at most."""
    figures = _figures(table)
    limits = [(label, figures[name], most) for name, (label, most) in BUDGETS.items()]
    parts = table["parts"]
    return limits + [(f"heap, {label}", parts[label]["heap32"], most) for label, _, most in PARTS]


def _budget_lines(table):
    limits = _limits(table)
    width = max(len(label) for label, _, _ in limits)
    lines = [
        f"| {'on a board, connected':{width}} |    now | at most |",
        f"| {'-' * width} | -----: | ------: |",
    ]
    return lines + [f"| {label:{width}} | {now:6} | {most:7} |" for label, now, most in limits]


def differences(committed, measured):
    """What a measurement has that the committed table has not, as lines; empty when they agree."""
    found = []
    old, new = committed["mpy-cross"], measured["mpy-cross"]
    if old != new:
        found.append(f"mpy-cross is {new!r}, the table was made with {old!r}")
    if committed["loaded"]["modules"] != measured["loaded"]["modules"]:
        found.append(f"loaded is {', '.join(measured['loaded']['modules'])}")
    rows = [
        (name, committed["modules"].get(name), row) for name, row in measured["modules"].items()
    ]
    gone = [name for name in committed["modules"] if name not in measured["modules"]]
    rows += [(name, committed["modules"][name], None) for name in gone]
    rows += [(name, committed.get(name), measured[name]) for name in _TOTALS]
    rows += [(name, committed["parts"].get(name), row) for name, row in measured["parts"].items()]
    for name, old, new in rows:
        if old is None or new is None:
            found.append(
                f"{name}: {'not in the table' if old is None else 'in the table, but gone'}"
            )
            continue
        for column in new:
            slack = tolerance(old[column]) if column in _HEAP else 0
            if abs(old[column] - new[column]) > slack:
                found.append(f"{name}: {column} is {new[column]}, the table says {old[column]}")
    return found


def tolerance(figure):
    """By how much a heap figure may be another one."""
    return int(max(HEAP_TOLERANCE, HEAP_TOLERANCE_SHARE * figure))


def excesses(table):
    """Which budgets the table breaks, as lines of text."""
    return [f"{label}: {now}, at most {most}" for label, now, most in _limits(table) if now > most]


def _write(table):
    """Write the table with one module a line, so that a change shows as a short difference."""
    parts = []
    for key, value in table.items():
        if key == "modules":
            rows = ",\n".join(
                f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in value.items()
            )
            parts.append(f'  "modules": {{\n{rows}\n  }}')
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    TABLE.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare with the committed table")
    parser.add_argument("--write", action="store_true", help="make this the committed table")
    options = parser.parse_args(argv)
    try:
        table = measure()
        print(show(table))
        if options.write:
            _write(table)
        if options.check:
            found = differences(json.loads(TABLE.read_text()), table)
            if found:
                found.append("if that is meant: make size ARGS=--write, and commit the table")
            if found or excesses(table):
                raise ToolError("\n".join(found + excesses(table)))
    except ToolError as error:
        sys.exit(f"size: {error}")


if __name__ == "__main__":
    main()
