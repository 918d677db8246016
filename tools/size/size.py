"""Prints what lib/unats weighs, module by module, and holds it to the committed table.

    make size                 measure and print
    make size ARGS=--check    fail when that differs from table.json, or the core grew too long
    make size ARGS=--write    measure and write that table

Code lines leave out blank lines, comments and docstrings. `.mpy` bytes are what mpy-cross makes of
a module: as bytecode, and with its kernels as machine code for RP2040 (armv6m) and ESP32/S2/S3
(xtensawin). Heap is what `gc.mem_alloc()` has grown by after a collection, modules loaded from
bytecode `.mpy`: for each module on its own (those it imports already there), for `import unats`
altogether, and for a connected client with 1 KB buffers and one subscription, import included:
64-bit words on the Unix port with a real nats-server, 32-bit words on the WebAssembly port, where
`usocket` is a script that answers as that server would.
"""

import argparse
import ast
import io
import json
import shutil
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

from tools import toolchain
from tools.toolchain import PACKAGE, ToolError

HERE = Path(__file__).resolve().parent
TABLE = HERE / "table.json"
CORE = ("__init__", "errors", "framer", "wire", "client", "transport")
CORE_LINES = 800  # those six are to stay under this many code lines
HEAP_TOLERANCE = 256  # bytes or, if that is more,
HEAP_TOLERANCE_SHARE = 0.02  # this share of the value: see _run_steps
_RUNS = 3

_COLUMNS = ("lines", "mpy", "armv6m", "xtensawin", "heap64", "heap32")
_HEAP = ("heap64", "heap32")
_LAYOUT_TOKENS = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


# --- counting


def _docstring_spans(tree):
    """First and last line of each docstring in a syntax tree."""
    scopes = [scope for scope in ast.walk(tree) if isinstance(scope, _DOCUMENTED)]
    strings = [scope.body[0].value for scope in scopes if ast.get_docstring(scope) is not None]
    return [(string.lineno, string.end_lineno) for string in strings]


def code_lines(source):
    """Number of lines that hold code: not blank, not only a comment, not part of a docstring."""
    spans = _docstring_spans(ast.parse(source))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        first, last = token.start[0], token.end[0]
        is_docstring = token.type == tokenize.STRING and any(
            a <= first and last <= b for a, b in spans
        )
        if token.type not in _LAYOUT_TOKENS and not is_docstring:
            lines.update(range(first, last + 1))
    return len(lines)


def modules():
    """Names of the modules of lib/unats: the core's first, then what it loads, then the features."""
    found = sorted(path.stem for path in PACKAGE.glob("*.py"))
    loaded = loaded_modules()
    return [
        *CORE,
        *(name for name in found if name in loaded and name not in CORE),
        *(name for name in found if name not in loaded),
    ]


def loaded_modules():
    """Names of the modules that `import unats` and the default transport load, the core among them."""
    loaded, pending = set(), list(CORE)
    while pending:
        name = pending.pop()
        if name not in loaded:
            loaded.add(name)
            pending.extend(imports(_source(name)))
    return loaded


def _source(name):
    return (PACKAGE / f"{name}.py").read_text()


def imports(source):
    """Modules of the package that a module imports when it is itself imported (not from within functions)."""
    names = set()
    pending = list(ast.parse(source).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names.update([node.module] if node.module else [alias.name for alias in node.names])
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            pending.extend(
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, (ast.stmt, ast.ExceptHandler))
            )
    return names


def import_order(names):
    """The modules so sorted that each comes after those it imports; the package itself last."""
    order = []

    def visit(name):
        if name in order or name not in names or name == "__init__":
            return
        for other in sorted(imports(_source(name)) - {name}):
            visit(other)
        order.append(name)

    for name in names:
        visit(name)
    return order + ["__init__"]


# --- weighing


def _stage(folder, names, package_stub):
    """Put the package as bytecode into `folder`.

    With `package_stub` its `__init__` is an empty one, so that each module can be imported
    alone; the real one is then there as `unats._package`.
    """
    package = Path(folder) / "unats"
    package.mkdir(parents=True)
    for name in names:
        target = "_package" if package_stub and name == "__init__" else name
        mpy = toolchain.compile_mpy(_source(name), f"unats/{name}.py")
        (package / f"{target}.mpy").write_bytes(mpy)
    if package_stub:
        (package / "__init__.py").write_text("")


def _run_steps(command, steps, folder):
    """Run the steps (lines of Python) on an interpreter; the heap in use before, and after each of them.

    The collector is a conservative one: what looks like an address on the stack keeps garbage alive,
    and where that happens differs from run to run. The least of several runs is the one with no
    garbage. (Paths and the environment end up on the heap too, so neither is the caller's.)
    """
    (Path(folder) / "steps.json").write_text(json.dumps(steps))
    return [
        min(reading)
        for reading in zip(*(_run_once(command, len(steps), folder) for _ in range(_RUNS)))
    ]


def _run_once(command, steps, folder):
    done = subprocess.run(
        command, cwd=folder, env={"HOME": "/"}, capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.split()
    if done.returncode or len(lines) != steps + 1 or not all(line.isdigit() for line in lines):
        raise ToolError(f"measuring the heap failed:\n{done.stdout}{done.stderr}")
    return [int(line) for line in lines]


def _heap64(steps, folder):
    shutil.copy(HERE / "steps.py", folder)
    return _run_steps([toolchain.binary("micropython"), "steps.py"], steps, folder)


def _heap32(steps, folder):
    return _run_steps(
        [toolchain.node(), str(HERE / "steps.mjs"), toolchain.wasm_port(), str(HERE)],
        steps,
        folder,
    )


def _each_module(run, names):
    """Heap that importing each module takes, by name."""
    order = import_order(names)
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names, package_stub=True)
        steps = ["import unats"] + [
            "import unats." + name.replace("__init__", "_package") for name in order
        ]
        heap = run(steps, folder)
    return {name: heap[i + 2] - heap[i + 1] for i, name in enumerate(order)}


def _connected(run, names, url):
    """Heap that `import unats` takes, and with a connected client added to it."""
    steps = [
        "import unats",
        f"nc = unats.Client({url!r}, rx_size=1024, tx_size=1024); nc.subscribe('sizes', print); nc.connect()",
    ]
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names, package_stub=False)
        before, imported, connected = run(steps, folder)
    return imported - before, connected - before


def measure():
    """The whole table: {"mpy-cross": version, "modules": {name: row}, "core": row, "loaded": row, ...}."""
    names = modules()
    loaded = loaded_modules()
    heap64, heap32 = _each_module(_heap64, names), _each_module(_heap32, names)
    rows = {}
    for name in names:
        source, label = _source(name), f"unats/{name}.py"
        rows[name] = {
            "lines": code_lines(source),
            "mpy": len(toolchain.compile_mpy(source, label)),
            "armv6m": len(toolchain.compile_mpy(source, label, "armv6m")),
            "xtensawin": len(toolchain.compile_mpy(source, label, "xtensawin")),
            "heap64": heap64[name],
            "heap32": heap32[name],
        }
    with toolchain.Server() as server:
        import64, client64 = _connected(_heap64, names, f"nats://127.0.0.1:{server.port}")
        import32, client32 = _connected(_heap32, names, f"nats://127.0.0.1:{server.port}")
    return {
        "mpy-cross": toolchain.mpy_cross_version()[1],
        "modules": rows,
        "core": _total(rows, CORE),
        "loaded": {"modules": sorted(loaded), **_total(rows, loaded)},
        "all": _total(rows, names),
        "import": {"heap64": import64, "heap32": import32},
        "client": {"heap64": client64, "heap32": client32},
    }


def _total(rows, names):
    return {column: sum(rows[name][column] for name in names) for column in _COLUMNS}


# --- showing and checking


def show(table):
    """The table as Markdown, right for a terminal too."""
    lines = [
        "| module      | code lines | .mpy bytecode | .mpy armv6m | .mpy xtensawin | heap, 64-bit | heap, 32-bit |",
        "| ----------- | ---------: | ------------: | ----------: | -------------: | -----------: | -----------: |",
    ]
    widths = (10, 13, 11, 14, 12, 12)

    def line(label, row):
        cells = (str(row.get(column, "")).rjust(width) for column, width in zip(_COLUMNS, widths))
        lines.append(f"| {label:11} | " + " | ".join(cells) + " |")

    loaded = table["loaded"]["modules"]
    for name in CORE:
        line(name, table["modules"][name])
    line("**core**", table["core"])
    for name in [name for name in loaded if name not in CORE]:
        line(name, table["modules"][name])
    line("**loaded**", table["loaded"])
    for name in [name for name in table["modules"] if name not in loaded]:
        line(name, table["modules"][name])
    line("**all**", table["all"])
    line("import", table["import"])
    line("connected", table["client"])
    lines.append("")
    lines.append(
        f"Bytes, but for the lines. {table['mpy-cross']}. `loaded`: the core with the modules that it"
    )
    lines.append(
        "imports (of which `plain` only without a native emitter). `import`: heap taken by `import unats`;"
    )
    lines.append(
        "`connected`: by that and a connected client with 1 KB buffers and one subscription, all included."
    )
    return "\n".join(lines)


def differences(committed, measured):
    """What a measurement has that the committed table has not, as lines of text; empty when they agree."""
    found = []
    if committed["mpy-cross"] != measured["mpy-cross"]:
        found.append(
            f"mpy-cross is {measured['mpy-cross']!r}, the table was made with {committed['mpy-cross']!r}"
        )
    rows = [
        (name, committed["modules"].get(name), row) for name, row in measured["modules"].items()
    ]
    rows += [
        (name, row, None)
        for name, row in committed["modules"].items()
        if name not in measured["modules"]
    ]
    rows += [(name, committed[name], measured[name]) for name in ("import", "client")]
    for name, old, new in rows:
        if old is None or new is None:
            found.append(
                f"{name}: {'not in the table' if old is None else 'in the table, but gone'}"
            )
            continue
        for column in new:
            slack = (
                max(HEAP_TOLERANCE, HEAP_TOLERANCE_SHARE * old[column]) if column in _HEAP else 0
            )
            if abs(old[column] - new[column]) > slack:
                found.append(f"{name}: {column} is {new[column]}, the table says {old[column]}")
    return found


def excesses(table):
    """Which limits the table breaks, as lines of text."""
    lines = table["core"]["lines"]
    return (
        [f"the core has {lines} code lines; it is to stay under {CORE_LINES}"]
        if lines >= CORE_LINES
        else []
    )


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
    parser.add_argument(
        "--write", action="store_true", help="make the measurement the committed table"
    )
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
