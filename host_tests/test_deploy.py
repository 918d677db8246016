"""Deployment onto a board, through mpremote's own command line, and installation with mip.

The board is MicroPython's Unix port at the end of a serial line (fake_board.py).
"""

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import unats
from fake_board import FakeBoard
from support.terminal import COLUMNS, Terminal
from support.web import Web
from tools import deploy, package, toolchain
from tools.fleet.board import read as read_settings

DEPLOY = [sys.executable, "-m", "tools.deploy"]
MICROPYTHON = toolchain.binary("micropython")
LIBRARY = toolchain.library()
BYTECODE_ONLY = 0x0306  # a board that loads .mpy 6.3, without machine code


@pytest.fixture
def server():
    with toolchain.Server() as server:
        yield server


@pytest.fixture
def settings(tmp_path, server):
    path = tmp_path / "settings.json"
    path.write_text(
        json.dumps(
            {
                "server": f"nats://127.0.0.1:{server.port}",
                "wifi_ssid": "lab",
                "device": "fake-1",
                "period_s": 0.2,
            }
        )
    )
    return path


@pytest.fixture
def flash(tmp_path):
    folder = tmp_path / "flash"
    folder.mkdir()
    return folder


def run(board, settings, *arguments):
    command = [*DEPLOY, "--port", board.port, "--settings", str(settings)]
    return subprocess.run(
        [*command, *arguments], cwd=toolchain.ROOT, capture_output=True, text=True, timeout=120
    )


def first_reading(server):
    """Wait for a reading of the board's application; its subject."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB sensors.> 1\r\n')
        for line in connection.makefile("rb"):
            if line.startswith(b"MSG "):
                return line.split()[1].decode()
    raise AssertionError("the server closed the connection")


def written(board):
    return [event[1] for event in board.events if event[0] == "write"]


def tree(flash):
    return sorted(
        path.relative_to(flash).as_posix() for path in flash.rglob("*") if path.is_file()
    )


def test_py_deployment_puts_everything_on_the_board_and_starts_it(server, settings, flash):
    with FakeBoard(MICROPYTHON, flash) as board:
        done = run(board, settings, "--sources")
        assert done.returncode == 0, done.stdout + done.stderr
        for target, source in deploy.sources().items():
            assert (flash / target).read_bytes() == source.read_bytes()
        assert (flash / "settings.json").read_bytes() == settings.read_bytes()
        assert first_reading(server).startswith("sensors.fake-1.")
        assert board.events[-2:] == [("write", "main.py"), "hard reset"]


def test_mpy_deployment_runs_with_machine_code_for_the_board(server, settings, flash):
    with FakeBoard(MICROPYTHON, flash) as board:
        done = run(board, settings)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kernels for x64" in done.stdout
        suffixes = {path.suffix for path in (flash / "lib").rglob("*") if path.is_file()}
        assert suffixes == {".mpy"}
        assert sorted(path.name for path in flash.glob("*.py")) == ["boot.py", "main.py"]
        kernels = (flash / "lib/unats/kernels.mpy").read_bytes()
        assert kernels[2] >> 2 == deploy.ARCHITECTURES.index("x64")
        assert first_reading(server).startswith("sensors.fake-1.")


def test_mpy_deployment_runs_as_bytecode_on_a_board_without_machine_code(server, settings, flash):
    with FakeBoard(MICROPYTHON, flash, mpy=BYTECODE_ONLY) as board:
        done = run(board, settings)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "kernels as bytecode" in done.stdout
        assert (flash / "lib/unats/kernels.mpy").read_bytes()[2] == 0
        assert first_reading(server).startswith("sensors.fake-1.")


def test_py_deployment_runs_on_a_board_without_an_emitter(server, settings, flash):
    with FakeBoard(MICROPYTHON, flash, mpy=BYTECODE_ONLY) as board:
        done = run(board, settings, "--sources")
        assert done.returncode == 0, done.stdout + done.stderr
        assert ".py, kernels as bytecode" in done.stdout
        plain = (toolchain.plain_lib() / "unats/kernels.py").read_bytes()
        assert (flash / "lib/unats/kernels.py").read_bytes() == plain
        assert first_reading(server).startswith("sensors.fake-1.")


def test_what_has_not_changed_is_not_written_again(settings, flash):
    with FakeBoard(MICROPYTHON, flash) as board:
        first = run(board, settings)
        assert first.returncode == 0
        (flash / "app.mpy").write_text("old")
        board.events.clear()
        second = run(board, settings)
        assert second.returncode == 0
        assert written(board) == ["app.mpy", "main.py"]
    files = len(deploy.sources()) + 1
    assert f"{files} files are on the board, {files} of them new or changed" in first.stdout
    assert f"{files} files are on the board, 2 of them new or changed" in second.stdout
    taken = re.search(r"importing the client takes (\d+\.\d) KB of heap, \d", first.stdout)
    again = re.search(r"takes (\d+\.\d) KB of heap \((\d+\.\d) before\)", second.stdout)
    assert 5 < float(taken[1]) < 60
    for figure in again.groups():
        assert abs(float(figure) - float(taken[1])) < 1


def test_on_a_terminal_a_bar_shows_how_many_files_are_copied(settings, flash):
    with FakeBoard(MICROPYTHON, flash) as board:
        terminal = Terminal(
            [*DEPLOY, "--port", board.port, "--settings", settings], toolchain.ROOT
        )
        code, lines = terminal.finish(), terminal.lines
    assert code == 0, terminal.text
    found = re.findall(r"copying .* (\d+)/(\d+) ", "\n".join(lines))
    counts, (total,) = [int(n) for n, _ in found], {int(of) for _, of in found}
    assert counts[0] <= 2 and counts[-1] == total and counts == sorted(counts), counts
    assert 50 < total <= len(tree(flash))  # the board may have written something meanwhile
    assert not [line for line in lines if line.startswith("cp ")]
    assert max(map(len, lines)) <= COLUMNS, max(lines, key=len)


def test_ctrl_c_ends_it_tidily_and_can_be_followed_by_another_try(settings, flash):
    with FakeBoard(MICROPYTHON, flash) as board:
        with subprocess.Popen(
            [*DEPLOY, "--port", board.port, "--settings", str(settings)],
            cwd=toolchain.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            for line in process.stdout:
                if line.startswith("cp lib/unats/client"):
                    process.send_signal(signal.SIGINT)
            complaints = process.stderr.read()
        assert process.returncode == 1 and "cut short" in complaints, complaints
        assert "Traceback" not in complaints
        assert "main.py" not in tree(flash)
        assert run(board, settings, "--sources").returncode == 0
        assert "main.py" in tree(flash)


def test_the_other_form_of_each_module_goes_and_foreign_files_stay(settings, flash):
    (flash / "lib/unats").mkdir(parents=True)
    for name in ("lib/unats/client.py", "settings.py"):
        (flash / name).write_text("")
    with FakeBoard(MICROPYTHON, flash) as board:
        (flash / "lib/unats/gone.py").write_text("")
        for folder in ("lib/unats/gone", "lib/unats/mine"):
            (flash / folder).mkdir()
            (flash / folder / "gone.mpy").write_text("")
        (flash / "lib/unats/mine/notes.txt").write_text("")
        (flash / "lib/other.py").write_text("")
        (flash / "mine.py").write_text("")
        assert run(board, settings).returncode == 0
        compiled = tree(flash)
        assert run(board, settings, "--sources").returncode == 0
        plain = tree(flash)
    assert "lib/unats/client.mpy" in compiled and "lib/unats/client.py" not in compiled
    assert (
        "settings.mpy" in compiled
        and "settings.py" not in compiled
        and "settings.json" in compiled
    )
    assert "lib/unats/client.py" in plain and not [path for path in plain if path.endswith(".mpy")]
    for files in (compiled, plain):
        assert not [path for path in files if "gone" in path]
        assert {"lib/other.py", "lib/unats/mine/notes.txt", "mine.py"} <= set(files)
    assert not (flash / "lib/unats/gone").exists()


def test_a_running_application_is_replaced(server, settings, flash):
    (flash / "main.py").write_text("import time\nwhile True:\n    time.sleep_ms(10)\n")
    with FakeBoard(MICROPYTHON, flash) as board:
        assert run(board, settings, "--sources").returncode == 0
        assert first_reading(server).startswith("sensors.fake-1.")


def test_nothing_starts_when_the_client_does_not_import_on_the_board(
    settings, flash, tmp_path, monkeypatch, capfd
):
    broken = tmp_path / "unats"
    shutil.copytree(toolchain.PACKAGE, broken)
    (broken / "__init__.py").write_text("import no_such_module\n")
    monkeypatch.setattr(deploy, "PACKAGE", broken)
    (flash / "main.py").write_text("")
    with FakeBoard(MICROPYTHON, flash) as board:
        with pytest.raises(deploy.ToolError, match="cut short"):
            deploy.deploy(board.port, settings)
        assert "no_such_module" in capfd.readouterr().out
        assert "main.py" not in tree(flash) and "hard reset" not in board.events


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "settings.example.json"),
        ("{", "JSON"),
        ('{"server": "nats://h:4222", "wifi_ssid": "x", "colour": "red"}', "colour"),
        ('{"wifi_ssid": "x"}', "server"),
        (deploy.EXAMPLE.read_text(), "still that of settings.example.json"),
        (deploy.EXAMPLE.read_text().replace("the name of", "net"), "wifi_password: is still"),
    ],
)
def test_settings_missing_or_wrong_leave_the_board_alone(settings, flash, content, message):
    settings.unlink()
    if content is not None:
        settings.write_text(content)
    with FakeBoard(MICROPYTHON, flash) as board:
        done = run(board, settings, "--sources")
        assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr
        assert board.events == [] and tree(flash) == []


@pytest.mark.parametrize(
    "encoding, message", [("utf-16", "as UTF-8"), ("latin-1", "as UTF-8"), ("utf-8-sig", None)]
)
def test_settings_saved_by_windows(settings, encoding, message):
    settings.write_text(settings.read_text().replace("lab", "Küche"), encoding=encoding)
    if message:
        with pytest.raises(toolchain.ToolError, match=message):
            deploy.check_settings(settings)
        with pytest.raises(toolchain.ToolError, match=message):
            read_settings(settings)
    else:
        deploy.check_settings(settings)
        assert read_settings(settings)["wifi_ssid"] == "Küche"


def test_a_port_without_a_board_is_a_clear_error(settings, tmp_path):
    class NoBoard:
        port = str(tmp_path / "ttyNONE")

    done = run(NoBoard, settings)
    assert done.returncode != 0 and NoBoard.port in done.stderr and "plugged in" in done.stderr
    assert "ports" in done.stderr


def test_a_wrong_port_lists_those_that_there_are(monkeypatch, tmp_path):
    from serial.tools import list_ports, list_ports_common

    port = list_ports_common.ListPortInfo("/dev/ttyACM7")
    port.description = "Board in FS mode"
    monkeypatch.setattr(list_ports, "comports", lambda: [port])
    with pytest.raises(toolchain.ToolError, match=r"ttyACM7 \(Board in FS mode\)"):
        deploy.probe(str(tmp_path / "none"))
    for target in ("deploy", "repl", "credentials"):
        for given in (f"PORT={tmp_path}/none", "PORT="):
            done = subprocess.run(
                ["make", "-o", "build/base.stamp", target, given],
                cwd=toolchain.ROOT, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode != 0 and "ports" in done.stderr, done.stderr
            assert "Traceback" not in done.stderr


def equip(tmp_path, programs):
    """tools/env.sh in a folder of its own, with these programs instead of the machine's."""
    (tmp_path / "tools").mkdir()
    for name in ("env.sh", "step.py", "requirements.txt"):
        shutil.copy(toolchain.ROOT / "tools" / name, tmp_path / "tools")
    for name, text in programs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)


def environment(tmp_path, programs):
    equip(tmp_path, {"bin/" + name: text for name, text in programs.items()})
    return subprocess.run(
        ["tools/env.sh", "base"],
        cwd=tmp_path, env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_python_without_venv_is_told(tmp_path):
    done = environment(tmp_path, {"python3": 'case "$2" in *venv*) exit 1 ;; esac\n'})
    assert done.returncode == 1 and "python3-venv" in done.stderr, done.stderr


def test_a_build_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "build").write_text("in the way")
    done = environment(tmp_path, {})
    assert done.returncode == 1 and "make it yours" in done.stderr, done.stderr


def test_a_node_that_fails_is_told(tmp_path):
    (tmp_path / "wheel/bin").mkdir(parents=True)
    for name in ("build/venv/bin", "wheel/bin"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "build/venv/finished").touch()
    for name, text in (
        ("build/venv/bin/python", f'[ "$1" = -c ] && echo {tmp_path}/wheel; exit 0\n'),
        ("wheel/bin/node", "exit 127\n"),
    ):
        (tmp_path / name).write_text("#!/bin/sh\n" + text)
        (tmp_path / name).chmod(0o755)
    done = environment(tmp_path, {"node": "exit 127\n", "npm": "exit 0\n"})
    assert done.returncode == 1 and "Node.js does not run here" in done.stderr, done.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_on_a_terminal_a_bar_shows_how_far_the_environment_is(tmp_path, fails):
    python = f"""
case "$1" in
-c | tools/step.py) exec {sys.executable} "$@" ;;
esac
sleep 0.3
echo said
case "$*" in *micropython-unittest*) exit {int(fails)} ;; esac
"""
    node = "echo %s/bin/node\n" % tmp_path
    equip(
        tmp_path,
        {"build/venv/bin/python": python, "bin/node": node, "bin/npm": "", "bin/python3": ""},
    )
    (tmp_path / "build/venv/finished").touch()
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    terminal = Terminal(["tools/env.sh", "base"], tmp_path, PATH=path)
    code, drawn = terminal.finish(), "\n".join(terminal.lines)
    assert max([len(line) for line in terminal.lines if " of 5 " in line]) <= COLUMNS
    steps = re.findall(r"(\d) of 5 0:00:00", drawn)
    assert steps == sorted(steps) and set(steps) >= {"1", "2", "3"}, drawn
    assert (code == 1 and "failed: unittest" in drawn) if fails else code == 0, drawn
    assert "said" in (tmp_path / "build/env.log").read_text()
    assert (tmp_path / "build/base.stamp").exists() is not fails


@pytest.mark.parametrize(
    "mpy, message", [(0, "does not load .mpy"), (0x0205, "version 5"), (0x0B07, "version 7")]
)
def test_mpy_that_the_board_cannot_load_is_refused_before_anything_is_written(
    settings, flash, mpy, message
):
    with FakeBoard(MICROPYTHON, flash, mpy=mpy) as board:
        done = run(board, settings)
        assert done.returncode != 0 and message in done.stderr
        assert written(board) == [] and tree(flash) == []


@pytest.mark.parametrize(
    "number, march",
    [
        (0x2B06, "xtensawin"),  # ESP32
        (0x2B06 | 0x10000, "xtensawin"),  # flags above the architecture
        (0x1306, "armv6m"),  # RP2040
        (0x1F06, "armv7emsp"),  # RP2350
        (0x2F06, "rv32imc"),  # ESP32-C3
        (0x0306, None),
        (0x1206, None),  # another sub-version: machine code would not load
    ],
)
def test_architecture_is_read_from_what_the_board_says(number, march):
    assert deploy.Mpy(number).march((6, 3)) == march


def test_the_architectures_are_those_of_mpy_cross():
    for index, name in enumerate(deploy.ARCHITECTURES):
        if name and name != "rv64imc":  # mpy-cross does not know this one yet
            native = (
                "import micropython\n@micropython.viper\ndef f(a: int) -> int:\n    return a\n"
            )
            assert toolchain.compile_mpy(native, "m.py", name)[2] >> 2 == index


# --- mip


@pytest.fixture
def repository():
    """The repository on a local HTTP server; its URL."""

    with Web(toolchain.ROOT) as web:
        yield web.url


def assert_installed(folder):
    assert tree(folder) == LIBRARY
    for name in LIBRARY:
        assert (folder / name).read_bytes() == (toolchain.LIB / name).read_bytes()


def test_package_json_lists_the_files_of_the_library_and_no_others():
    listed = json.loads((toolchain.ROOT / "package.json").read_text())
    assert listed["urls"] == [[name, f"lib/{name}"] for name in LIBRARY]
    assert listed == package.content(), "make package writes it anew"


def test_the_version_is_said_once_and_is_the_librarys_own():
    assert package.version() == unats.__version__


def test_a_version_that_is_said_twice_or_not_at_all_is_found(tmp_path):
    (tmp_path / "auth").mkdir()
    (tmp_path / "__init__.py").write_text('__version__ = "1.2.3"\n')
    assert package.version(tmp_path) == "1.2.3"
    (tmp_path / "auth" / "__init__.py").write_text('VERSION = "1.2.3"\n')
    with pytest.raises(toolchain.ToolError, match="2 times"):
        package.version(tmp_path)
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "auth" / "__init__.py").write_text("")
    with pytest.raises(toolchain.ToolError, match="0 times"):
        package.version(tmp_path)


def test_files_of_sub_packages_belong_to_the_library(tmp_path):
    (tmp_path / "auth").mkdir()
    for name in ("__init__.py", "auth/nkey.py", "auth/__init__.py", "notes.txt"):
        (tmp_path / name).write_text("")
    names = ["unats/__init__.py", "unats/auth/__init__.py", "unats/auth/nkey.py"]
    assert toolchain.library(tmp_path) == names


def test_mip_on_micropython_installs_the_library(repository, tmp_path):
    code = f"import mip; mip.install({repository + '/package.json'!r}, target='lib')"
    subprocess.run(
        [MICROPYTHON, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    assert_installed(tmp_path / "lib")
    code = "import sys; sys.path.insert(0, 'lib'); import unats; print(unats.__file__)"
    done = subprocess.run(
        [MICROPYTHON, "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "lib/unats/__init__.py"


def test_mpremote_mip_installs_the_library_onto_a_board(repository, flash):
    with FakeBoard(MICROPYTHON, flash) as board:
        command = [
            sys.executable,
            "-m",
            "mpremote",
            "connect",
            board.port,
            "mip",
            "install",
            repository + "/",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    assert_installed(flash / "lib")


@pytest.mark.parametrize(
    "spec, version, base",
    [
        ("github:someone/unats", None, "https://raw.githubusercontent.com/someone/unats/HEAD/"),
        ("github:someone/unats", "v1.0", "https://raw.githubusercontent.com/someone/unats/v1.0/"),
        ("gitlab:someone/unats", None, "https://gitlab.com/someone/unats/-/raw/HEAD/"),
    ],
)
def test_mip_finds_every_file_from_a_repository_address(monkeypatch, spec, version, base):
    from mpremote import mip

    class Board:
        files = {}

        def fs_exists(self, path):
            return True

        def fs_writefile(self, path, data, progress_callback=None):
            self.files[path] = data

    def urlopen(url):
        assert url.startswith(base), url
        return io.BytesIO((toolchain.ROOT / url[len(base) :]).read_bytes())

    monkeypatch.setattr(mip.urllib.request, "urlopen", urlopen)
    board = Board()
    mip._install_package(board, spec, None, "/lib", version, mpy=True)
    assert board.files == {f"/lib/{name}": (toolchain.LIB / name).read_bytes() for name in LIBRARY}
