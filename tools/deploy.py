"""Puts the client and the device application onto a board, through mpremote's command line.

    python -m tools.deploy --port /dev/ttyACM0        compiled for the board, which is asked what
                                                      it loads
    ... --sources             as .py, which takes twice the flash, and far more heap to start
    ... --device NAME         with the credentials of this device of a fleet

On the board: lib/unats/, the files of firmware/ and settings.json. What is there already with the
same content is not written again. boot.py and main.py stay .py, since MicroPython starts only
those. At the end it says what has changed, and what the client takes of the board's heap.

main.py is removed first and written last: if the deployment is cut short (a pulled cable, a
watchdog left running by what ran before), the board waits at its prompt and `deploy` can be
repeated, instead of starting a program that is half old and half new.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tools import toolchain
from tools.console import Console
from tools.fleet.board import for_board, forgetting
from tools.toolchain import LIB, PACKAGE, ROOT, ToolError, library

FIRMWARE = ROOT / "firmware"
EXAMPLE = FIRMWARE / "settings.example.json"
STARTERS = ("boot.py", "main.py")
# sys.implementation._mpy: bits 0-7 format version, 8-9 sub-version of machine code, 10-13 this:
ARCHITECTURES = (
    None, "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp",
    "xtensa", "xtensawin", "rv32imc", "rv64imc",
)  # fmt: skip

_PROBE = """
import os, sys
home = os.getcwd().rsplit('/update-', 1)  # boot.py may have gone into an update
if len(home) == 2:
    os.chdir(home[0] or '/')
print('board', sys.platform, getattr(sys.implementation, '_mpy', 0))
"""
# After a soft reset: what the client takes of the heap, and what is free then.
_HEAP = """
import gc
gc.collect()
free = gc.mem_free()
import unats
gc.collect()
print('heap', free - gc.mem_free(), gc.mem_free())
"""
_HEAP_OF_OLD = "try:\n" + textwrap.indent(_HEAP, " ") + "except Exception:\n pass\n"

# Runs here, with the paths of a settings.json and of the example.
_CHECK = """
import sys
import settings
path, example = sys.argv[1:]
try:
    values = settings.read(path)
    mistakes = settings.check(values)
    if isinstance(values, dict):
        for field, text in settings.read(example).items():
            if field.startswith('wifi') and values.get(field) == text:
                text = 'is still that of settings.example.json: fill in your own'
                mistakes.append((field, text))
    if mistakes:
        raise settings.SettingsError(path, mistakes)
except ValueError as mistakes:
    print(mistakes)
    sys.exit(1)
"""

# Runs on the board with `keep` (files about to be written) and `folders`.
_PREPARE = """
import os
def remove(path):
    try:
        os.remove(path)
        print('removed', path)
    except OSError:
        pass
remove('main.py')
remove('main.mpy')
remove('slot.json')  # what is deployed counts again
remove('slot.json.new')
for folder in folders:
    try:
        os.mkdir(folder)
    except OSError:
        pass
def clear(folder):
    for name in os.listdir(folder):
        path = folder + '/' + name
        if os.stat(path)[0] & 0x4000:
            clear(path)
            if path not in folders:
                try:
                    os.rmdir(path)
                except OSError:
                    pass
        elif path not in keep and (name.endswith('.py') or name.endswith('.mpy')):
            remove(path)
clear('lib/unats')
for folder in ('update-a', 'update-b'):
    try:
        clear(folder)
        remove(folder + '/manifest')
        os.rmdir(folder)
    except OSError:
        pass
for path in keep:
    stem = path.rsplit('.', 1)[0]
    for twin in (stem + '.py', stem + '.mpy'):
        if twin not in keep and not path.endswith('.json'):
            remove(twin)
"""


class Mpy:
    """What a board's `sys.implementation._mpy` says: which .mpy files it loads."""

    def __init__(self, number):
        self.version = number & 0xFF
        self.sub = number >> 8 & 3
        arch = number >> 10 & 0x0F
        self.arch = ARCHITECTURES[arch] if arch < len(ARCHITECTURES) else None

    def march(self, emitted):
        """The architecture to compile the kernels for, or None for bytecode.

        `emitted` is mpy-cross's (version, sub-version). Raises ToolError when the board cannot
        load what mpy-cross makes. Bytecode needs the version only, machine code the sub-version
        too.
        """
        if not self.version:
            raise ToolError("the board's firmware does not load .mpy files: deploy with SOURCES=1")
        if self.version != emitted[0]:
            raise ToolError(
                f"the board loads .mpy version {self.version}, "
                f"mpy-cross makes version {emitted[0]}: update the board's firmware, "
                "or deploy with SOURCES=1"
            )
        return self.arch if self.sub == emitted[1] else None


def check_settings(path):
    """Check settings.json with the application's own code, where that runs: on MicroPython.

    ToolError says what is wrong.
    """
    run = subprocess.run(
        [toolchain.binary("micropython"), "-c", _CHECK, str(path), str(EXAMPLE)],
        env=dict(os.environ, MICROPYPATH=f"{LIB}:{FIRMWARE}:.frozen"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode:
        raise ToolError(run.stdout.rstrip())


def sources():
    """Python files as they lie on the board: {path on the board: path here}, the starters last."""
    files = {f"lib/{name}": PACKAGE.parent / name for name in library(PACKAGE)}
    application = sorted(FIRMWARE.rglob("*.py"), key=lambda path: (path.name == "main.py", path))
    files.update((path.relative_to(FIRMWARE).as_posix(), path) for path in application)
    return files


def stage(folder, settings=None, march=None, compiled=False, extra=None):
    """Lay out in `folder` what the board is to hold; returns the paths, main.py last.

    settings: the file, or None. march: what to compile the kernels for, or None for bytecode (as
    sources: without the decorators that ask for machine code). extra: further files, {path on the
    board: content}.
    """
    paths = []
    for target, path in sources().items():
        content = path.read_bytes()
        if compiled and target not in STARTERS:
            content = toolchain.compile_mpy(content.decode(), target, march)
            target = target.removesuffix(".py") + ".mpy"
        elif not march:
            content = toolchain.strip_native(content.decode()).encode()
        toolchain.put(Path(folder) / target, content)
        paths.append(target)
    last = dict(extra or {})
    if settings:
        last["settings.json"] = Path(settings).read_bytes()
    for target, content in last.items():
        toolchain.put(Path(folder) / target, content)
    return [*paths[:-1], *last, paths[-1]]


def folders(paths):
    """Folders that the paths need, outer ones first."""
    return sorted(
        {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}
    )


def commands(paths, code=""):
    """mpremote's commands that bring the staged paths onto a board, check them and start it.

    code: runs on the board before.
    """
    prepare = f"keep = {paths!r}\nfolders = {folders(paths)!r}\n{_PREPARE}{code}"
    chain = ["exec", prepare]
    for path in paths:
        if path == "main.py":
            chain += ["+", "soft-reset", "+", "exec", _HEAP]
        chain += ["+", "fs", "cp", path, f":{path}"]
    return [*chain, "+", "reset"]


def _mpremote(port, chain):
    return [sys.executable, "-m", "mpremote", "connect", port, *chain]


def send(port, chain, folder):
    """Run mpremote's commands in that folder, with a bar for the files that it copies; returns the
    `Report`, or None if something failed. Ctrl-C ends it, and something has.
    """
    console, report = Console(), Report()
    total = sum(word == "cp" for word in chain)
    with subprocess.Popen(
        _mpremote(port, chain),
        cwd=folder,
        env=dict(os.environ, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for this program
    ) as child:
        try:
            with console.bar("copying", total) as copied:
                for line in child.stdout:
                    if line.startswith("cp "):
                        copied()
                    if not report.takes(line) and not (
                        line.startswith("cp ") and console.terminal
                    ):
                        console.line(line.rstrip())
        except BaseException as error:
            child.terminate()
            if not isinstance(error, KeyboardInterrupt):
                raise
    return None if child.returncode else report


class Report:
    """What mpremote and the board say of a deployment. `heap`: (taken by the client, free then) in
    bytes, or None; `same`: how many files were there already.
    """

    heap = None
    same = 0

    def takes(self, line):
        """Whether that line was for this."""
        if line.startswith("Up to date: "):
            self.same += 1
            return True
        if line.startswith("heap "):
            self.heap = tuple(map(int, line.split()[1:]))
            return True
        return False


def _heap(old, new):
    """What became of the board's heap, in a sentence."""
    taken, free = new
    text = f"importing the client takes {taken / 1024:.1f} KB of heap"
    if old:
        text += f" ({old[0] / 1024:.1f} before)"
    return f"{text}, {free / 1024:.1f} KB are free then"


def probe(port, code=""):
    """Ask the board what it is: (sys.platform, Mpy, the `Report` of what `code`, which runs there,
    has to say). Interrupts the program that runs on it.
    """
    chain = ["exec", _PROBE + code]
    done = subprocess.run(_mpremote(port, chain), text=True, capture_output=True)
    found, report = None, Report()
    for line in done.stdout.splitlines():
        if line.startswith("board "):
            _, platform, number = line.split()
            found = platform, Mpy(int(number))
        report.takes(line)
    if found:
        return *found, report
    raise ToolError(
        f"no MicroPython answers at {port}: is the board plugged in and flashed, "
        f"and no other program holding the port?\n{ports()}\n"
        + (done.stdout + done.stderr).strip()
    )


def ports():
    """The serial ports of this computer, in a sentence; by pyserial, which mpremote brings."""
    from serial.tools.list_ports import comports

    found = [f"{port.device} ({port.description})" for port in sorted(comports())]
    if not found:
        return "this computer has no serial ports now: is it a cable that carries data?"
    return "the ports that there are: " + ", ".join(found)


def deploy(port, settings, compiled=True, extra=None, code=""):
    """Everything that `make deploy` does; ToolError when the board was left without it."""
    check_settings(settings)
    platform, mpy, before = probe(port, _HEAP_OF_OLD)
    march = mpy.march(toolchain.mpy_cross_version()[0]) if compiled else mpy.arch
    kernels = "for " + march if march else "as bytecode"
    print(f"board at {port}: {platform}, {'.mpy' if compiled else '.py'}, kernels {kernels}")
    with tempfile.TemporaryDirectory() as folder:
        paths = stage(folder, settings, march, compiled, extra)
        report = send(port, ["resume", *commands(paths, code)], folder)
        if report is None:
            raise ToolError(
                "the deployment was cut short; nothing starts on the board until it is repeated"
            )
    print(_heap(before.heap, report.heap))
    print(
        f"{len(paths)} files are on the board, {len(paths) - report.same} of them new or changed; "
        "it starts now;\n"
        f"`make repl PORT={port}` shows what it says"
    )


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", required=True, help="serial port of the board, or auto")
    parser.add_argument(
        "--sources", action="store_true", help="as .py; the board compiles what it imports"
    )
    parser.add_argument(
        "--settings", default=FIRMWARE / "settings.json", help="default: %(default)s"
    )
    parser.add_argument("--device", help="its name in the fleet, whose credentials it gets")
    parser.add_argument(
        "--fleet", default=ROOT / "fleet", help="folder of the fleet (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    try:
        if options.device:
            with for_board(options.fleet, options.device, options.settings) as (settings, extra):
                deploy(
                    options.port, settings, not options.sources, extra, forgetting(options.device)
                )
        else:
            deploy(options.port, options.settings, not options.sources)
    except ToolError as error:
        sys.stdout.flush()
        sys.exit(f"deploy: {error}")
    except KeyboardInterrupt:
        sys.exit("deploy: interrupted, before anything was written")


if __name__ == "__main__":
    main()
