"""Makes a release in build/dist: what `mip` and `mpremote romfs` install from, and what to freeze.

    mip/BOARD       an index for `mip install --index`, whose kernels are machine code for that
                    board's architecture, or with `any` sources that the board compiles
    romfs/          images with lib/unats, compiled; `bytecode` has no machine code
    freeze/         manifest.py, and the sources without machine code, which is what can be frozen
                    everywhere; manifest-native.py for all but RP2040

It is the same, byte for byte, each time. What a release has to be is checked before: see `check`.
"""

import argparse
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools import package, romfs, toolchain
from tools.size import source
from tools.toolchain import BUILD, LIB, ROOT, ToolError, compile_mpy, library, put, strip_native

# What kernels are compiled for: RP2040; RP2350, STM32; ESP32, S2, S3; C3, C6; MicroPython's Unix
# port.
ARCHITECTURES = ("armv6m", "armv7emsp", "xtensawin", "rv32imc", "x64")
ANY = "any"
BYTECODE = "bytecode"

# Parts that install alone, and what modules of the library's they begin with; `core` is the rest.
COMPONENTS = {
    "tls": ("tls", "pem"),
    "auth": ("auth/",),
    "dns": ("dns",),
    "outbox": ("outbox/",),
    "jetstream": ("jetstream/",),
    "services": ("services",),
    "aio": ("aio",),
    "websocket": ("websocket/",),
    "uart": ("uart/",),
}
CORE = "core"

_FIRST = "unats/__init__.py"
_IMPORT = "from .client import Client\n"
_CHECKED = """\
try:
    from .client import Client
except ValueError as e:
    raise ImportError("unats: %%s: install the index for this board, these are for %s" %% e)
"""
_README = """\
unats {version}: a NATS client for MicroPython.

    mpremote mip install --index THIS/mip/BOARD unats

THIS is this folder, or where it is published. BOARD: armv6m (RP2040), armv7emsp (RP2350, STM32),
xtensawin (ESP32, S2, S3), rv32imc (ESP32-C3, C6), x64 (MicroPython on a computer), or any, whose
kernels the board compiles itself. Parts install alone: {parts}.
`mpremote romfs deploy romfs/BOARD.romfs` needs a firmware with a ROM partition. To freeze it:
`include("freeze/manifest.py")`, or manifest-native.py on all boards but those with an RP2040.
"""
_MANIFEST = """\
# `include()` this file from a board's manifest.py.
metadata(version="{version}", description="NATS client")
package("unats", base_path="$(MANIFEST_DIR)/{folder}")
"""


def component(module):
    """The component of a module: a name as `source.modules` gives it."""
    for name, starts in COMPONENTS.items():
        if any(
            module == start or (start[-1] == "/" and module.startswith(start)) for start in starts
        ):
            return name
    return CORE


def components():
    """{component: its modules}."""
    found = {name: [] for name in (CORE, *COMPONENTS)}
    for module in source.modules():
        found[component(module)].append(module)
    return found


def needs(name, modules):
    """The other components that one imports, at any time; the core imports what is asked of it."""
    if name == CORE:
        return []
    found = {CORE}
    for module in modules:
        for other in source.imports(module, source.source(module), everywhere=True):
            known = [m for m in (other, f"{other}/__init__") if (LIB / f"unats/{m}.py").exists()]
            found.update(component(m) for m in known)
    return sorted(found - {name})


def check():
    """ToolError unless what is here can be released: one version, of which CHANGELOG.md tells and
    package.json knows, and every size as the table says.
    """
    version = package.version()
    changes = (ROOT / "CHANGELOG.md").read_text()
    if not re.search(rf"^## {re.escape(version)}$", changes, re.MULTILINE):
        raise ToolError(f'CHANGELOG.md tells nothing of {version}: begin a section "## {version}"')
    if json.loads((ROOT / "package.json").read_text()) != package.content():
        raise ToolError("package.json is not what the library is: `make package`, and commit it")
    modules = json.loads((ROOT / "tools/size/table.json").read_text())["modules"]
    if sorted(modules) != sorted(source.modules()):
        raise ToolError("tools/size/table.json is of other modules: `make size ARGS=--write`")
    return version


def uncommitted():
    """What git has to say against a release, or ""."""
    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True
    )
    return "it is in no git repository" if done.returncode else done.stdout.strip()


# --- the parts


def compiled(name, march):
    """(name, content) of a file of the library as a board gets it. march: what kernels are
    compiled for, ANY, or BYTECODE.
    """
    text = (LIB / name).read_text()
    if march == ANY and strip_native(text) != text:
        return name, text.encode()
    arch = march if march in ARCHITECTURES else None
    return name.removesuffix(".py") + ".mpy", compile_mpy(text, name, arch)


class Index:
    """An index of packages, as micropython-lib's: package/FORMAT/NAME/VERSION.json, and files by
    their hash.
    """

    def __init__(self, folder, version):
        self._folder = folder
        self._version = version

    def add(self, form, name, files, deps):
        """A package; files: (name on the board, content)."""
        hashes = [[path, self._keep(content)] for path, content in files]
        listed = {
            "v": 1,
            "hashes": hashes,
            "deps": [[dep, self._version] for dep in deps],
            "version": self._version,
        }
        for version in ("latest", self._version):
            path = self._folder / "package" / form / name / f"{version}.json"
            put(path, (json.dumps(listed, indent=1) + "\n").encode())

    def _keep(self, content):
        digest = hashlib.sha256(content).hexdigest()[:8]
        path = self._folder / "file" / digest[:2] / digest
        if path.exists() and path.read_bytes() != content:
            raise ToolError(f"two files have the hash {digest}")  # mip knows them by that alone
        put(path, content)
        return digest


def _first(name, march):
    """What is imported first, as source, which every board can load: it says what to do if the
    rest is for another MicroPython, or another chip.
    """
    text = (LIB / name).read_text()
    if text.count(_IMPORT) != 1:
        raise ToolError(f"lib/{name} imports the client in another way: see tools/dist.py")
    board = "their board" if march == ANY else march
    return name, text.replace(_IMPORT, _CHECKED % board).encode()


def make_index(folder, march, version):
    """An index whose kernels are for `march`."""
    index = Index(folder, version)
    form = str(toolchain.mpy_cross_version()[0][0])
    parts = components()
    for name, modules in parts.items():
        deps = ["unats-" + other for other in needs(name, modules)]
        files = [f"unats/{module}.py" for module in modules]
        made = [_first(f, march) if f == _FIRST else compiled(f, march) for f in files]
        index.add(form, "unats-" + name, made, deps)
        if march == ANY:  # what `mip install --no-mpy` asks for
            index.add("py", "unats-" + name, [(f, (LIB / f).read_bytes()) for f in files], deps)
    for each in (form, "py") if march == ANY else (form,):
        index.add(each, "unats", [], ["unats-" + name for name in parts])


def make_romfs(path, march):
    """An image of ROMFS with the whole library."""
    with tempfile.TemporaryDirectory() as folder:
        lib = Path(folder) / "lib"
        for name in library():
            name, content = compiled(name, march)
            put(lib / name, content)
        put(path, romfs.image(lib))


def make_freeze(folder, version):
    """Manifests, and the sources that they name."""
    for suffix, inner, kept in (("", "plain", strip_native), ("-native", "native", str)):
        for name in library():
            put(folder / inner / name, kept((LIB / name).read_text()).encode())
        text = _MANIFEST.format(version=version, folder=inner)
        put(folder / f"manifest{suffix}.py", text.encode())


def archive(folder):
    """A .tar.gz of the folder beside it, and its checksum in a file; the path. The same each time:
    names in order, no times, no owners.
    """
    path = folder.with_name(folder.name + ".tar.gz")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(file.relative_to(folder.parent).as_posix())
            info.size, info.mode = file.stat().st_size, 0o644
            tar.addfile(info, io.BytesIO(file.read_bytes()))
    path.write_bytes(gzip.compress(raw.getvalue(), mtime=0))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")
    return path


def make(target):
    """The release in that folder; the path of its archive."""
    version = check()
    folder = Path(target) / f"unats-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    for march in (ANY, *ARCHITECTURES):
        make_index(folder / "mip" / march, march, version)
    for march in (BYTECODE, *ARCHITECTURES):
        make_romfs(folder / "romfs" / f"{march}.romfs", march)
    make_freeze(folder / "freeze", version)
    parts = ", ".join("unats-" + name for name in (CORE, *COMPONENTS))
    text = _README.format(version=version, parts=parts)
    put(folder / "README.txt", text.encode())
    for name in ("LICENSE", "CHANGELOG.md"):
        put(folder / name, (ROOT / name).read_bytes())
    return archive(folder)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="dist", description=__doc__.split("\n")[0])
    parser.add_argument("--to", type=Path, default=BUILD / "dist", help="default: %(default)s")
    options = parser.parse_args(argv)
    try:
        path = make(options.to)
    except ToolError as e:
        sys.exit(f"dist: {e}")
    print(path.with_name(path.name + ".sha256").read_text().strip())
    print(f"in {path.parent}, {path.stat().st_size / 1024:.0f} KB; unpacked beside it")
    reasons = uncommitted()
    if reasons:
        print(f"this is no release: {len(reasons.splitlines())} changes are not committed")


if __name__ == "__main__":
    main()
