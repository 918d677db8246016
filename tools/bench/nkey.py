"""What signing with an NKey costs on MicroPython: time, work, memory.

    python -m tools.bench.nkey [--quick]

- time: from_seed(), the public key and a signature, the best of several, on the Unix port;
- instructions: the same under `valgrind --tool=callgrind`, which counts what the interpreter
  executes and repeats almost exactly (left out with --quick);
- operations: what SHA-512 of a block, a multiple of the base point and an inversion do, by
  rewriting every operator of the modules to count itself: on small ints (31 bits, as on a board),
  and on integers on the heap;
- memory: the heap that importing takes and that is left of it after release(), and the bytes that
  one signature allocates in all, with 64- and 32-bit words; the smallest heap that signs and the
  smallest that imports, by bisection of `-X heapsize`. Modules are loaded from bytecode .mpy.
"""

import argparse
import ast
import collections
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import toolchain
from tools.toolchain import PACKAGE, ToolError

MODULES = ("sha512", "ed25519", "nkey")
(_HOME,) = (path.parent for path in PACKAGE.rglob("nkey.py"))  # the package, or one inside it
_DOTTED = ".".join(_HOME.relative_to(PACKAGE.parent).parts)
# Of the bytes 1 to 32: nobody's.
SEED = "SUAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC5CQ"
NONCE = "PXoWU7zWAMt75FY"
SMALL_INT = 1 << 30  # small ints of 32-bit words are below, and not below its negative
ROUNDS = 20  # of timing
STEP = 256  # bytes, of the bisection

IMPORT = f"import {_DOTTED}.nkey as nkey"
MAKE = f"key = nkey.from_seed({SEED!r})"
PUBLIC = "key.public"
SIGN = f"key.sign({NONCE!r})"

# What is measured, and what has to be done before it.
CALLS = {
    "from_seed": (MAKE, "pass"),
    "public key, first time": (PUBLIC, MAKE),
    "signature": (SIGN, f"{MAKE}; {PUBLIC}"),
}


# --- running the interpreters


def stage(folder):
    """The modules as .mpy, in a package without the client."""
    package = Path(folder)
    for part in _DOTTED.split("."):
        package /= part
        package.mkdir()
        (package / "__init__.py").write_text("")
    for name in MODULES:
        source = (_HOME / f"{name}.py").read_text()
        (package / f"{name}.mpy").write_bytes(toolchain.compile_mpy(source, f"{name}.py"))


def unix(folder, script, options=(), prefix=(), env=None):
    """Runs a script on the Unix port; what subprocess.run() returns."""
    command = [*prefix, toolchain.binary("micropython"), *options, "-c", script]
    # A Python script starts the interpreter: keep its own instructions from varying.
    own = {"MICROPYPATH": f"{folder}:.frozen", "PYTHONHASHSEED": "0"}
    env = {**os.environ, **(env or {}), **own}
    return subprocess.run(command, env=env, capture_output=True, text=True)


def numbers(done):
    """The whole numbers that a finished script printed."""
    if done.returncode:
        raise ToolError(f"measuring failed:\n{done.stdout}{done.stderr}")
    return [int(word) for word in done.stdout.split()]


# --- time and instructions

_TIME = """
import gc, time
%s
for _ in range(%d):
    %s
    gc.collect()
    start = time.ticks_us()
    %s
    print(time.ticks_diff(time.ticks_us(), start))
"""


def milliseconds(folder, call, before):
    """The best time of a call on the Unix port."""
    return min(numbers(unix(folder, _TIME % (IMPORT, ROUNDS, before, call)))) / 1000


def instructions(folder, call, before):
    """Machine instructions of a call: the difference between making it once and four times."""

    def run(times):
        script = "%s\nfor _ in range(%d):\n    %s\n    %s" % (IMPORT, times, before, call)
        command, env = toolchain.valgrind()
        options = ("--tool=callgrind", "--callgrind-out-file=/dev/null")
        done = unix(folder, script, prefix=(*command, *options), env=env)
        collected = [line for line in done.stderr.splitlines() if "Collected" in line]
        if done.returncode or not collected:
            raise ToolError(f"counting failed:\n{done.stdout}{done.stderr}")
        return int(collected[0].split()[-1])

    return (run(4) - run(1)) // 3


# --- operations


class _Counted(ast.NodeTransformer):
    """Makes each operator of a module a call of `_operate` with its name."""

    def _call(self, operator, left, right):
        name = ast.Constant(type(operator).__name__)
        return ast.Call(ast.Name("_operate", ast.Load()), [name, left, right], [])

    def visit_BinOp(self, node):
        self.generic_visit(node)
        return self._call(node.op, node.left, node.right)

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        left = ast.parse(ast.unparse(node.target), mode="eval").body
        return ast.Assign([node.target], self._call(node.op, left, node.value))


_OPERATORS = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mult": lambda a, b: a * b,
    "Mod": lambda a, b: a % b,
    "FloorDiv": lambda a, b: a // b,
    "LShift": lambda a, b: a << b,
    "RShift": lambda a, b: a >> b,
    "BitAnd": lambda a, b: a & b,
    "BitOr": lambda a, b: a | b,
    "BitXor": lambda a, b: a ^ b,
    "Pow": lambda a, b: a**b,
}


def _is_small(value):
    return not isinstance(value, int) or -SMALL_INT <= value < SMALL_INT


def _kind(name, left, right):
    """What an operation counts as."""
    if _is_small(left) and _is_small(right):
        return "small int"
    if name == "Mult":
        return "big * big" if not _is_small(left) and not _is_small(right) else "big * small"
    names = {"Add": "big + -", "Sub": "big + -", "Mod": "big % //", "FloorDiv": "big % //"}
    return names.get(name, "big & | ^ << >>")


def counted(name, counts, package):
    """A module's namespace, its operators counting themselves in `counts`."""

    def operate(operator, left, right):
        counts[_kind(operator, left, right)] += 1
        return _OPERATORS[operator](left, right)

    tree = ast.fix_missing_locations(
        _Counted().visit(ast.parse((_HOME / f"{name}.py").read_text()))
    )
    for node in list(tree.body):
        if isinstance(node, ast.ImportFrom) and node.level:  # given in `package` instead
            tree.body.remove(node)
    scope = {"_operate": operate, **package}
    exec(compile(tree, name, "exec"), scope)
    return scope


def operations():
    """{part of a signature: Counter of its operations}."""
    counts = collections.Counter()
    hashing = counted("sha512", counts, {})
    curve = counted("ed25519", counts, {"sha512": hashing["sha512"]})
    key = curve["expand"](bytes(range(1, 33)))
    public = curve["public"](key)
    parts = {
        "SHA-512, one block": lambda: hashing["sha512"](b""),
        "multiple of the base point": lambda: curve["_times_base"](2**254 + 1),
        "of that, the inversion": lambda: curve["_inverse"](3**150),
        "signature": lambda: curve["sign"](key, public, NONCE.encode()),
    }
    table = {}
    for part, run in parts.items():
        counts.clear()
        run()
        table[part] = counts.copy()
    return table


# --- memory

# Everything lasting is made first: the steps alone are then what moves the heap.
_UNIX_HEAP = """
import gc, micropython, sys
def in_use():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
for step in %r:
    code = compile(step, "", "exec")
    before = in_use()
    total = micropython.mem_total()
    exec(code)
    total = micropython.mem_total() - total
    code = None
    print(in_use() - before, total)
"""

_WASM_HEAP = """
import fs from "fs";
const [folder, port, ...steps] = process.argv.slice(1);
const { loadMicroPython } = await import(port);
const mp = await loadMicroPython({ heapsize: 8 * 1024 * 1024 });
for (const file of fs.readdirSync(folder, { recursive: true })) {
  if (fs.statSync(folder + "/" + file).isDirectory()) mp.FS.mkdirTree("/lib/" + file);
  else mp.FS.writeFile("/lib/" + file, fs.readFileSync(folder + "/" + file));
}
mp.runPython("import gc, sys\\nsys.path[:] = ['/lib']\\n_before = _total = 0");
// This port collects as each call from outside returns, and only then.
for (const step of steps) {
  mp.runPython("gc.collect()");
  mp.runPython("_before = gc.mem_alloc()");
  mp.runPython(`_total = gc.mem_alloc()\\n${step}\\n_total = gc.mem_alloc() - _total`);
  mp.runPython("gc.collect()");
  mp.runPython("print(gc.mem_alloc() - _before, _total)");
}
"""

# Step: its name in the report.
_HEAP_STEPS = {
    IMPORT: f"import {_DOTTED}.nkey",
    MAKE: "from_seed (imports the arithmetic)",
    PUBLIC: "public key",
    SIGN: "signature",
    "nkey.release()": "release",
}


def heap64(folder):
    """(heap kept, bytes allocated) by each step, on the Unix port."""
    values = numbers(unix(folder, _UNIX_HEAP % (list(_HEAP_STEPS),)))
    return list(zip(values[::2], values[1::2]))


def heap32(folder):
    """The same with 32-bit words, on the WebAssembly port."""
    command = [toolchain.node(), "--input-type=module", "-e", _WASM_HEAP, "--"]
    # (The port as the first one would run its own shell.)
    command += [str(folder), toolchain.wasm_port(), *_HEAP_STEPS]
    values = numbers(subprocess.run(command, capture_output=True, text=True))
    return list(zip(values[::2], values[1::2]))


def smallest_heap(folder, script):
    """The smallest heap, in bytes, in which a script runs to its end on the Unix port."""

    def fits(size):
        done = unix(folder, script + "\nprint(1)", ("-X", f"heapsize={size}"))
        return done.returncode == 0 and done.stdout.split() == ["1"]

    low, high = STEP, 1 << 20
    if not fits(high):
        raise ToolError("the script fails with a heap of 1 MB too")
    while high - low > STEP:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


# --- report


def report_sizes():
    print("flash, bytes of .mpy (bytecode) and of .py")
    for name in MODULES:
        source = _HOME / f"{name}.py"
        mpy = len(toolchain.compile_mpy(source.read_text(), source.name))
        source = source.stat().st_size
        print(f"  {name:34}{mpy:>12,}{source:>12,}")


def report_speed(folder, counting):
    print("\nUnix port" + 27 * " " + "ms" + ("  instructions" if counting else ""))
    for name, (call, before) in CALLS.items():
        line = f"  {name:34}{milliseconds(folder, call, before):>7.2f}"
        if counting:
            # The calls before it are counted too; take off what they are on their own.
            alone = instructions(folder, "pass", before)
            line += f"{instructions(folder, call, before) - alone:>14,}"
        print(line)


def report_operations():
    table = operations()
    kinds = sorted({kind for counts in table.values() for kind in counts})
    print("\noperations" + 26 * " " + "".join(f"{kind:>17}" for kind in kinds))
    for part, counts in table.items():
        print(f"  {part:34}" + "".join(f"{counts[kind]:>17,}" for kind in kinds))


def report_memory(folder):
    print("\nheap, bytes" + 25 * " " + "kept, 64-bit  allocated   kept, 32-bit  allocated")
    for name, (kept64, all64), (kept32, all32) in zip(
        _HEAP_STEPS.values(), heap64(folder), heap32(folder)
    ):
        print(f"  {name:34}{kept64:>12,}{all64:>11,}{kept32:>15,}{all32:>11,}")
    scripts = {
        f"import {_DOTTED}.nkey": IMPORT,
        "and the arithmetic": f"{IMPORT}\nimport {_DOTTED}.ed25519",
        "and sign": f"{IMPORT}\n{MAKE}\n{PUBLIC}\n{SIGN}",
    }
    print("\nsmallest heap, 64-bit, bytes")
    for name, script in scripts.items():
        print(f"  {name:34}{smallest_heap(folder, script):>12,}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="count no instructions")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stage(folder)
        report_sizes()
        report_speed(folder, not args.quick)
        report_operations()
        report_memory(folder)


if __name__ == "__main__":
    try:
        main()
    except ToolError as error:
        sys.exit(f"nkey: {error}")
