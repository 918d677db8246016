"""What `make dist` makes, installed for real: by mip, by mpremote onto a board, ROMFS, frozen."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from fake_board import FakeBoard
from support.interpreters import unix_environment
from support.nats_server import NatsServer
from support.web import Web
from tools import dist, package, toolchain
from tools.size import source

MICROPYTHON = toolchain.binary("micropython")
VERSION = package.version()
PARTS = dist.components()
_PATIENCE_S = 60

_CONNECT = """
nc = unats.Client(%r)
got = []
nc.subscribe('a', lambda msg: got.append(msg.data))
nc.connect(20000)
nc.publish('a', b'21.53')
print('confirmed', nc.flush(20000), got)
"""
_MODULES = "for name in %r:\n    __import__('unats.' + name)\nprint('imported')\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    dist.make(folder)
    return folder / f"unats-{VERSION}"


@pytest.fixture(scope="module")
def server():
    with NatsServer() as server:
        yield server


@pytest.fixture(scope="module")
def web(made):
    with Web(made) as web:
        yield web


def board(folder, code, fails=False):
    """What MicroPython says to that code, started in the folder, with `lib` in its path."""
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=1M", "-c", "import sys; sys.path.insert(0, 'lib')\n" + code],
        cwd=folder, env=dict(unix_environment(), MICROPYPATH=".frozen"), timeout=_PATIENCE_S,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def install(web, folder, name, index, **options):
    options = dict(options, index=f"{web.url}/mip/{index}", target="lib")
    return board(folder, f"import mip; mip.install({name!r}, **{options!r})")


def installed(folder):
    return {
        path.relative_to(folder / "lib").as_posix(): path.read_bytes()
        for path in (folder / "lib").rglob("*")
        if path.is_file()
    }


def dotted(modules):
    return [m.removesuffix("/__init__").replace("/", ".") for m in modules if m != "__init__"]


def expected(names, index):
    """What a board has after the installation of these parts."""
    files = [f"unats/{module}.py" for name in names for module in PARTS[name]]
    return {
        path: content
        for path, content in (dist.compiled(file, index) for file in files)
        if path != "unats/__init__.mpy"
    }


def with_needs(name):
    found = {name}
    for other in dist.needs(name, PARTS[name]):
        found |= with_needs(other)
    return found


def test_every_module_is_in_one_part():
    modules = [module for part in PARTS.values() for module in part]
    assert sorted(modules) == sorted(source.modules())
    assert all(PARTS.values())


@pytest.mark.parametrize("name", PARTS)
def test_each_part_installs_alone_and_connects(web, tmp_path, server, name):
    install(web, tmp_path, "unats-" + name, "x64")
    found = installed(tmp_path)
    assert "unats/__init__.py" in found
    wanted = expected(with_needs(name), "x64")
    assert {path: found[path] for path in wanted} == wanted
    assert set(found) == {*wanted, "unats/__init__.py"}
    kernels = found["unats/kernels.mpy"]
    assert kernels[2] >> 2 == 2  # machine code of this computer
    code = "import unats\n" + _MODULES % (dotted(PARTS[name]),) + _CONNECT % server.url
    said = board(tmp_path, code)
    assert "imported" in said and "confirmed True [b'21.53']" in said


@pytest.mark.parametrize("index, mpy", [("x64", True), ("any", True), ("any", False)])
def test_all_of_it(web, tmp_path, server, index, mpy):
    install(web, tmp_path, "unats", index, mpy=mpy)
    found = installed(tmp_path)
    if mpy:
        wanted = expected(PARTS, index)
        assert {path: found[path] for path in wanted} == wanted
    else:
        assert found == {f: (toolchain.LIB / f).read_bytes() for f in toolchain.library()}
    code = "import unats\n" + _MODULES % (dotted(source.modules()),) + _CONNECT % server.url
    assert "confirmed True [b'21.53']" in board(tmp_path, code)


def test_a_given_version(web, tmp_path):
    install(web, tmp_path, "unats-core", "x64", version=VERSION)
    assert "unats/client.mpy" in installed(tmp_path)


def test_an_installation_that_was_cut_short_is_repeated(web, tmp_path, server):
    whole = tmp_path / "whole"
    whole.mkdir()
    install(web, whole, "unats-outbox", "x64")
    for requests in (0, 1, 2, 5, 12, 30):
        folder = tmp_path / str(requests)
        folder.mkdir()
        web.fails_after = requests
        with contextlib.suppress(AssertionError):  # however mip takes it
            install(web, folder, "unats-outbox", "x64")
        web.fails_after = None
        install(web, folder, "unats-outbox", "x64")
        assert installed(folder) == installed(whole)
    assert "confirmed True" in board(folder, "import unats\n" + _CONNECT % server.url)


@pytest.mark.parametrize("index", ["x64", "any"])
def test_files_for_another_micropython_say_what_to_do(web, tmp_path, index):
    install(web, tmp_path, "unats-core", index)
    for path in (tmp_path / "lib").rglob("*.mpy"):
        content = bytearray(path.read_bytes())
        content[1] = 5  # the version of the format
        path.write_bytes(content)
    said = board(tmp_path, "import unats", fails=True)
    where = "x64" if index == "x64" else "their board"
    assert (
        f"incompatible .mpy file: install the index for this board, these are for {where}" in said
    )


def test_files_for_another_chip_say_what_to_do(web, tmp_path):
    install(web, tmp_path, "unats-core", "armv6m")
    said = board(tmp_path, "import unats", fails=True)
    assert "incompatible .mpy arch: install the index for this board, these are for armv6m" in said


def test_mpremote_installs_it_onto_a_board(web, tmp_path, server):
    flash = tmp_path / "flash"
    flash.mkdir()
    with FakeBoard(MICROPYTHON, flash) as stand_in:
        command = [sys.executable, "-m", "mpremote", "connect", stand_in.port, "mip", "install"]
        command += ["--index", web.url + "/mip/x64", "--target", "lib", "unats-websocket"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    found = installed(flash)
    wanted = expected(with_needs("websocket"), "x64")
    assert {path: found[path] for path in wanted} == wanted
    assert "confirmed True" in board(flash, "import unats\n" + _CONNECT % server.url)


@pytest.mark.parametrize("name", ["x64", "bytecode"])
def test_romfs(made, tmp_path, server, name):
    shutil.copy(made / f"romfs/{name}.romfs", tmp_path / "rom")
    code = (
        "import gc, vfs\n"
        "vfs.mount(vfs.VfsRom(open('rom', 'rb').read()), '/rom')\n"
        "sys.path.insert(0, '/rom/lib')\n"
        "gc.collect()\n"
        "before = gc.mem_alloc()\n"
        "import unats\n" + _CONNECT % server.url + "gc.collect()\n"
        "print(unats.__file__, 'heap', gc.mem_alloc() - before)\n"
    )
    said = board(tmp_path, code)
    assert "confirmed True [b'21.53']" in said
    print(said)
    assert 0 < int(re.search(r"/rom/lib/unats/__init__.mpy heap (\d+)", said)[1]) < 60000


def test_an_image_for_each_architecture_has_all_of_it(made):
    for name in (dist.BYTECODE, *dist.ARCHITECTURES):
        image = (made / f"romfs/{name}.romfs").read_bytes()
        for file in toolchain.library():
            assert dist.compiled(file, name)[1] in image, (name, file)


@pytest.mark.parametrize("suffix, folder", [("", "plain"), ("-native", "native")])
def test_what_is_frozen(made, tmp_path, server, suffix, folder):
    taken = []
    manifest = made / f"freeze/manifest{suffix}.py"
    exec(
        manifest.read_text(),
        {
            "metadata": lambda **fields: taken.append(fields["version"]),
            "package": lambda name, base_path: taken.append((name, base_path)),
        },
    )
    assert taken == [VERSION, ("unats", "$(MANIFEST_DIR)/" + folder)]
    files = sorted(p for p in (manifest.parent / folder).rglob("*") if p.is_file())
    names = [p.relative_to(manifest.parent / folder).as_posix() for p in files]
    assert names == toolchain.library()
    machine_code = [p for p in files if re.search(r"@micropython\.", p.read_text())]
    assert bool(machine_code) is (folder == "native")
    shutil.copytree(manifest.parent / folder, tmp_path / "lib")
    assert "confirmed True" in board(tmp_path, "import unats\n" + _CONNECT % server.url)


def test_it_is_the_same_each_time_and_the_checksum_is_its_own(made, tmp_path):
    first = made.with_name(made.name + ".tar.gz")
    second = dist.make(tmp_path)
    assert second.read_bytes() == first.read_bytes()
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert first.with_name(first.name + ".sha256").read_text() == f"{digest}  {first.name}\n"
    with tarfile.open(first) as tar:
        members = tar.getmembers()
    files = sorted(p.relative_to(made.parent).as_posix() for p in made.rglob("*") if p.is_file())
    assert sorted(m.name for m in members) == files
    assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}


def test_a_release_that_does_not_fit_together_is_refused(tmp_path, monkeypatch):
    for name in ("CHANGELOG.md", "package.json", "tools/size/table.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(toolchain.ROOT / name, tmp_path / name)
    monkeypatch.setattr(dist, "ROOT", tmp_path)
    assert dist.check() == VERSION
    for name, text, words in (
        ("CHANGELOG.md", "# Changes\n", "CHANGELOG.md tells nothing of " + VERSION),
        ("package.json", json.dumps({"version": "0.0.1"}), "make package"),
        ("tools/size/table.json", json.dumps({"modules": {}}), "make size"),
    ):
        content = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text)
        with pytest.raises(dist.ToolError, match=words):
            dist.check()
        (tmp_path / name).write_text(content)


def test_two_files_of_one_hash_are_noticed(tmp_path, monkeypatch):
    index = dist.Index(tmp_path, VERSION)
    index.add("6", "one", [("a.py", b"a")], [])
    kept = next((tmp_path / "file").rglob("*/*"))
    kept.write_bytes(b"other")
    with pytest.raises(dist.ToolError, match="hash"):
        index.add("6", "two", [("a.py", b"a")], [])


def test_the_command_says_where_it_is(tmp_path):
    command = [sys.executable, "-m", "tools.dist", "--to", str(tmp_path)]
    done = subprocess.run(
        command, cwd=toolchain.ROOT, capture_output=True, text=True, timeout=_PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    assert f"unats-{VERSION}.tar.gz" in done.stdout and str(tmp_path) in done.stdout
