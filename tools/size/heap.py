"""What the library takes of a board's heap, as MicroPython itself counts it.

Modules are loaded from bytecode .mpy: 64-bit words on the Unix port, with a real nats-server;
32-bit words, as boards have, on the WebAssembly port, where `usocket` is a script that answers as
that server would (board/sockets.py). A figure is what `gc.mem_alloc()` has grown by, after a
collection.

With the code in ROMFS a module's bytecode, its strings' and its names' text stay where they are.
Frozen code leaves its tables of constants and names in flash as well: what these take is known
from the .mpy files and from `micropython.qstr_info()`, and taken off what was measured with ROMFS.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tools import romfs, toolchain
from tools.size import mpy
from tools.size.source import import_order, source
from tools.toolchain import ToolError

HERE = Path(__file__).resolve().parent
_RUNS = 3
_HASH_AND_LENGTH = 2  # bytes beside the pointer, for each name
_HEAP = re.compile(r"^heap (\d+)$", re.MULTILINE)
_NAMES = re.compile(
    r"^qstr pool: .*n_qstr=(\d+), n_str_data_bytes=(\d+), n_total_bytes=(\d+)$", re.MULTILINE
)

_IMPORT = "import unats"
_ASYNCIO = "import asyncio"
_CONNECT = (
    "nc = unats.Client(%r, rx_size=1024, tx_size=1024); nc.subscribe('sizes', print); nc.connect()"
)
MOUNT = (
    "import sys, vfs; vfs.mount(vfs.VfsRom(open('rom', 'rb').read()), '/rom'); "
    "sys.path.insert(0, '/rom')"
)
_LOADED = "print(*[name for name in sys.modules if name.split('.')[0] == 'unats'])"


class Reading(NamedTuple):
    """The heap in use, the bytes in it of the table of names, and how many names that has."""

    heap: int
    table: int
    names: int


class Port:
    """An interpreter: what it is called in the table, its command line, the size of its words."""

    def __init__(self, name, command, word):
        self.name, self._command, self.word = name, command, word

    def run(self, steps, folder, runs=_RUNS):
        """Run the steps (lines of Python); a Reading before, and one after each.

        The collector is a conservative one: what looks like an address on the stack keeps garbage
        alive, and where that happens differs from run to run. The least of several runs is the
        one with no garbage. (Paths and the environment end up on the heap too, so neither is the
        caller's.)
        """
        (Path(folder) / "steps.json").write_text(json.dumps(steps))
        runs = [self._once(len(steps), folder) for _ in range(runs)]
        return [min(reading) for reading in zip(*runs)]

    def _once(self, steps, folder):
        done = subprocess.run(
            self._command,
            cwd=folder,
            env={"HOME": "/"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        heaps, names = _HEAP.findall(done.stdout), _NAMES.findall(done.stdout)
        if done.returncode or not len(heaps) == len(names) == steps + 1:
            raise ToolError(f"measuring the heap failed:\n{done.stdout}{done.stderr}")
        return [
            Reading(int(heap), int(total) - int(text), int(count))
            for heap, (count, text, total) in zip(heaps, names)
        ]


def unix():
    return Port("heap64", [toolchain.binary("micropython"), str(HERE / "board/steps.py")], 8)


def wasm():
    command = [toolchain.node(), str(HERE / "steps.mjs"), toolchain.wasm_port()]
    return Port("heap32", [*command, str(HERE / "board")], 4)


def compiled(name):
    """A module as bytecode."""
    return toolchain.compile_mpy(source(name), f"unats/{name}.py")


def _stage(folder, names):
    """Put the package as bytecode into `folder`."""
    for name in names:
        path = Path(folder) / "unats" / f"{name}.mpy"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(compiled(name))


def each_module(port, names):
    """Heap that importing each module takes, those it imports already there, by name.

    For this the package is an empty one; its own `__init__` is there as `_package`.
    """
    order = import_order(names)
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names)
        package = Path(folder) / "unats"
        (package / "__init__.mpy").rename(package / "_package.mpy")
        (package / "__init__.py").write_text("")
        _, _, *readings = port.run([_ASYNCIO, _IMPORT, *map(_import, order)], folder)
    return {
        name: _taken(port, before, after)
        for name, before, after in zip(order, readings, readings[1:])
    }


def part(port, names, modules, url):
    """Heap that these modules take, by themselves, when a client is connected and what they import
    is there: the least of several, since the text of names takes heap in chunks of 128 bytes.
    """
    order = import_order(names, modules)
    first = [name for name in order if name not in modules and name != "__init__"]
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names)
        steps = [_ASYNCIO, _IMPORT, _CONNECT % url, *map(_import, [*first, *modules])]
        found = []
        for n in range(1, 128, 32):
            readings = port.run([f"{'x' * n} = 0", *steps], folder, 1)
            found.append(_taken(port, readings[-1 - len(modules)], readings[-1]))
    return min(found)


def _taken(port, before, after):
    """The table of names grows to twice its size at a time, which is put down to no module in
    particular: each has the places of its own names instead.
    """
    place = port.word + _HASH_AND_LENGTH
    table, names = after.table - before.table, after.names - before.names
    return after.heap - before.heap - table + place * names


def _import(name):
    dotted = name.removesuffix("/__init__").replace("/", ".")
    return "import unats." + ("_package" if name == "__init__" else dotted)


def connected(port, names, url):
    """Heap that `import unats` takes, and with a connected client added to it."""
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names)
        before, imported, done = port.run([_IMPORT, _CONNECT % url], folder)
    return imported.heap - before.heap, done.heap - before.heap


def in_rom(port, names, url, loaded):
    """Heap with a connected client, its code in ROMFS; and an estimate for frozen code."""
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names)
        into_rom(Path(folder) / "unats")
        _, before, _, done = port.run([MOUNT, _IMPORT, _CONNECT % url], folder)
    romfs = done.heap - before.heap
    constants = sum(mpy.constants(compiled(name), port.word) for name in loaded)
    return romfs, romfs - constants - (done.table - before.table)


def into_rom(package):
    """Put a folder into an image of ROMFS beside it, `rom`, which MOUNT mounts; and remove it."""
    (package.parent / "rom").write_bytes(romfs.image(package))
    shutil.rmtree(package)


def loaded_modules(names, url):
    """Names of the modules that a connected client with one subscription has loaded."""
    script = f"import sys\n{_IMPORT}\n{_CONNECT % url}\n{_LOADED}"
    with tempfile.TemporaryDirectory() as folder:
        _stage(folder, names)
        command = [toolchain.binary("micropython"), "-c", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise ToolError(f"the client did not connect:\n{done.stdout}{done.stderr}")
    found = set()
    for dotted in done.stdout.split():
        name = dotted.replace(".", "/").removeprefix("unats").lstrip("/")
        found.add(name if name in names else f"{name}/__init__".lstrip("/"))
    found.discard("pointers")  # what only bytecode needs in machine code's place
    return [name for name in names if name in found]
