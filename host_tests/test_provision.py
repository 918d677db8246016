"""What a fleet consists of, what its server lets each of its devices do, and its boards."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time

import nats
import nats.errors
import nats.micro
import pytest
from nats.js.api import StreamConfig

from fake_board import FakeBoard
from support.terminal import COLUMNS, Terminal
from tools import toolchain
from tools.fleet import nats_jwt, provision, stores, subjects
from tools.fleet.board import merged
from tools.fleet.fleet import Fleet
from tools.run import secure
from tools.toolchain import ToolError, free_port

PATIENCE_S = 60
ERRORS = (nats.errors.Error, OSError, asyncio.TimeoutError)
SECRET = re.compile(r"S[OAU][A-Z2-7]{56}|PRIVATE KEY|eyJ")


def command(*arguments):
    program = [sys.executable, "-m", "tools.fleet.provision", *map(str, arguments)]
    return subprocess.run(
        program, cwd=toolchain.ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )


def within(capsys, *arguments):
    """The same in this process: what ended it (None: it went well), and all that it has said."""
    ended = None
    try:
        provision.main(list(map(str, arguments)))
    except SystemExit as exit:
        ended = exit.code
    said = capsys.readouterr()
    return ended, f"{said.out}{said.err}{ended}"


async def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class Serving:
    """`nats-server -c` with the fleet's file, as it is."""

    def __init__(self, fleet):
        self.fleet = fleet
        self._process = None

    def __enter__(self):
        for _ in range(5):
            with open(self.fleet.folder / "log", "wb") as log:
                program = [
                    toolchain.binary("nats-server"),
                    "-c",
                    str(self.fleet.folder / "server.conf"),
                ]
                self._process = subprocess.Popen(program, cwd="/", stdout=log, stderr=log)
            if self._listens():
                return self
            self.__exit__()
            self.fleet.issue(self.fleet.hosts, free_port())  # somebody else has got that port
            self.fleet.save()
        raise AssertionError(self.log())

    def _listens(self):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            ended = self._process.poll() is not None
            if "Server is ready" in self.log():
                return True
            if ended:
                assert "address already in use" in self.log(), self.log()
                return False
            time.sleep(0.02)
        raise AssertionError(self.log())

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def log(self):
        return (self.fleet.folder / "log").read_text()

    def await_log(self, text, count=1):
        until = time.monotonic() + PATIENCE_S
        while self.log().count(text) < count:
            assert time.monotonic() < until and self._process.poll() is None, self.log()
            time.sleep(0.02)

    def reload(self):
        count = self.log().count("Reloaded server configuration")
        self._process.send_signal(signal.SIGHUP)
        self.await_log("Reloaded server configuration", count + 1)

    async def connect(self, creds, **options):
        options = {
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "connect_timeout": PATIENCE_S,
            **options,
        }
        context = ssl.create_default_context(cafile=str(self.fleet.folder / "ca.pem"))
        return await nats.connect(
            f"tls://127.0.0.1:{self.fleet.port}",
            tls=context,
            user_credentials=str(creds),
            **options,
        )

    async def gets_in(self, creds):
        async def quiet(error):
            pass

        try:
            nc = await self.connect(creds, error_cb=quiet)
        except ERRORS:
            return False
        await nc.close()
        return True


@pytest.fixture
def fleet(tmp_path):
    return Fleet.make(tmp_path / "fleet", ["127.0.0.1"], ["one", "two"], port=free_port())


# What lies in the folder


def test_what_is_private_is_for_the_owner_only(tmp_path):
    done = command("make", "--dir", tmp_path / "f", "--host", "10.0.0.1", "one", "two")
    assert done.returncode == 0, done.stderr
    public = {"ca.pem", "ca.der", "server.pem"}
    for path in [tmp_path / "f", *(tmp_path / "f").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700, path
        else:
            assert mode == (0o644 if path.name in public else 0o600), path
            if path.name in public:
                assert not SECRET.search(path.read_bytes().decode(errors="replace"))
    assert not SECRET.search((tmp_path / "f/fleet.json").read_text())


def test_no_command_prints_a_secret(tmp_path, capsys):
    where = ("--dir", tmp_path / "f")
    for arguments in (
        ("make", *where, "one"),
        ("make", *where, "one"),
        ("add", *where, "two"),
        ("add", *where, "two"),
        ("renew", *where, "one", "--days", "1"),
        ("revoke", *where, "two"),
        ("list", *where),
        ("server", *where, "--host", "h.example"),
        ("install", *where, "one", "--port", tmp_path / "none"),
    ):
        assert not SECRET.search(within(capsys, *arguments)[1])


def test_a_fleet_is_not_overwritten(tmp_path):
    assert command("make", "--dir", tmp_path / "f", "one").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = command("make", "--dir", tmp_path / "f", "one", "two")
    assert done.returncode == 1 and "is not overwritten" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_fleet_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(Fleet, "_server_config", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Fleet.make(tmp_path / "f", ["127.0.0.1"], ["one"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a>", "*", "../x", "x" * 33, "a\nb", "ä"])
def test_names_that_cannot_be_part_of_a_subject(tmp_path, name):
    with pytest.raises(ToolError, match="cannot be a device"):
        Fleet.make(tmp_path / "f", ["127.0.0.1"], ["one", name])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["", "nats://h", "h:4222", "a b", "-h", 'h"', "*.h"])
def test_hosts_that_are_none(tmp_path, host):
    with pytest.raises(ToolError, match="is not a host"):
        Fleet.make(tmp_path / "f", [host], ["one"])


def test_misuse_is_told(tmp_path, capsys):
    for arguments in (
        ("list",),
        ("add", "x"),
        ("install", "x", "--port", "p"),
        ("watch",),
        ("server",),
    ):
        ended, _ = within(capsys, arguments[0], "--dir", tmp_path / "none", *arguments[1:])
        assert ended.startswith("provision: there is no fleet in ")
    assert within(capsys, "make", "--dir", tmp_path / "f", "one")[0] is None
    for arguments, text in (
        (("add", "one"), "there is one already"),
        (("renew", "none"), "no such device"),
        (("revoke", "none"), "no such device"),
        (("renew", "one", "--days", "0"), "--days"),
        (("watch",), "is the server running"),
        (("ask", "none", "led"), "those that are: one"),
    ):
        ended, _ = within(capsys, arguments[0], "--dir", tmp_path / "f", *arguments[1:])
        assert ended.startswith("provision: ") and text in ended


# What the server makes of it


def test_a_device_may_use_its_own_subjects_and_no_other(fleet):
    asyncio.run(_own_subjects(fleet))


async def stored(observer, count):
    """Wait until the stream holds so many messages, later than the server answers PING."""
    end = time.monotonic() + PATIENCE_S
    while (await observer.jetstream().stream_info("READINGS")).state.messages < count:
        assert time.monotonic() < end, "not stored"
        await asyncio.sleep(0.02)


async def answer_of(client, subject, payload):
    """Ask until there is an answer: just after a subscription another account's may get lost."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return (await client.request(subject, payload, 3)).data
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
            assert time.monotonic() < end, "no answer"


async def _own_subjects(fleet):
    heard, errors = [], []

    async def hear(msg):
        heard.append((msg.subject, msg.data))

    async def on_error(error):
        errors.append(str(error))

    async def answer(msg):
        await asyncio.sleep(0.1)
        await msg.respond(b"on")

    with Serving(fleet) as serving:
        observer = await serving.connect(fleet.folder / "observer.creds")
        await observer.jetstream().add_stream(
            StreamConfig(name="READINGS", subjects=["sensors.>"], allow_direct=True)
        )
        await observer.subscribe("sensors.>", cb=hear)
        await observer.subscribe("devices.>", cb=hear)
        await observer.flush()
        one = await serving.connect(
            fleet.creds("one"), inbox_prefix="_INBOX.one", error_cb=on_error
        )
        two = await serving.connect(
            fleet.creds("two"), inbox_prefix="_INBOX.two", error_cb=on_error
        )

        assert json.loads((await one.request("sensors.one.temp", b"1")).data) == {
            "stream": "READINGS",
            "seq": 1,
        }
        assert (await one.request("$JS.API.DIRECT.GET.READINGS.sensors.one.temp")).data == b"1"
        await one.publish("devices.one.hello", b"hello")
        await one.publish("devices.one.error", b"error")
        await one.subscribe("devices.one.>", cb=answer)
        await one.flush()
        assert await answer_of(observer, "devices.one.led", b"on") == b"on"
        assert errors == []
        expected = [
            ("sensors.one.temp", b"1"),
            ("devices.one.hello", b"hello"),
            ("devices.one.error", b"error"),
        ]
        assert [found for found in heard if not found[0].endswith("led")] == expected

        forbidden = (
            "sensors.two.temp",
            "devices.two.hello",
            "devices.two.led",
            "devices.one.led",
            "_INBOX.two.x",
            "_INBOX.x",
            "$JS.API.STREAM.DELETE.READINGS",
            "$JS.API.STREAM.MSG.GET.READINGS",
            "$JS.API.STREAM.NAMES",
            "$JS.API.DIRECT.GET.READINGS.sensors.two.temp",
            "$JS.API.DIRECT.GET.READINGS",
            "$JS.API.CONSUMER.CREATE.READINGS",
            "$SYS.REQ.SERVER.PING",
        )
        del heard[:]
        for subject in forbidden:
            await one.publish(subject, b"x")
        for subject in (
            "sensors.>",
            "devices.two.led",
            "devices.>",
            "_INBOX.>",
            "_INBOX.two.>",
            "_R_.>",
            ">",
        ):
            await one.subscribe(subject, cb=hear)
        await one.flush()
        await until(
            lambda: len(errors) >= len(forbidden) + 7
        )  # nats-py tells of them in tasks of their own
        assert len(errors) == len(forbidden) + 7, errors
        # The server is to answer to another's subject, and whoever gets a message may answer it.
        loops = (
            "sensors.one.temp",
            "$JS.API.DIRECT.GET.READINGS.sensors.one.temp",
            "devices.one.hello",
            "_INBOX.one.x",
        )
        await two.subscribe("devices.two.>", cb=hear)
        await two.flush()
        await one.subscribe("_INBOX.one.x", cb=answer)
        for subject in loops:
            for reply in ("sensors.two.temp", "devices.two.led"):
                await one.publish(subject, b"on", reply=reply)
        await one.flush()
        await stored(observer, 3)
        assert (
            await one.request("$JS.API.DIRECT.GET.READINGS.sensors.one.temp", timeout=PATIENCE_S)
        ).data == b"on"
        await two.flush()
        await observer.flush()
        assert {subject for subject, _ in heard} == {"sensors.one.temp", "devices.one.hello"}
        info = await observer.jetstream().stream_info("READINGS")
        assert info.state.messages == 3
        for nc in (observer, one, two):
            await nc.close()


def test_the_services_of_all_boards_are_found_from_the_fleets_account_only(fleet):
    asyncio.run(_services(fleet))


async def _services(fleet):
    errors = []

    async def on_error(error):
        errors.append(str(error))

    async def nothing(request):
        pass

    with Serving(fleet) as serving:
        observer = await serving.connect(fleet.folder / "observer.creds")
        for device in ("one", "two"):
            board = await serving.connect(
                fleet.creds(device), inbox_prefix="_INBOX." + device, error_cb=on_error
            )
            service = await nats.micro.add_service(
                board, name="board", version="1.0.0", metadata={"device": device}
            )
            await service.add_endpoint(
                name="led", subject=f"devices.{device}.led", handler=nothing
            )
            await board.flush()
        assert errors == []
        found = asyncio.Queue()
        await observer.subscribe("found", cb=found.put)
        devices = set()
        end = time.monotonic() + PATIENCE_S
        while devices != {"one", "two"}:
            assert time.monotonic() < end, devices
            await observer.publish("$SRV.INFO.board", b"", "found")
            with contextlib.suppress(asyncio.TimeoutError):
                info = json.loads((await asyncio.wait_for(found.get(), 1)).data)
                assert (
                    info["endpoints"][0]["subject"] == f"devices.{info['metadata']['device']}.led"
                )
                devices.add(info["metadata"]["device"])
        await board.publish("$SRV.PING", b"", "_INBOX.two.x")
        await board.flush()
        await asyncio.sleep(0.1)
        assert "permissions violation" in str(errors).lower()


def test_devices_come_and_go_while_the_server_runs(fleet, tmp_path):
    asyncio.run(_come_and_go(fleet, tmp_path))


async def _come_and_go(fleet, tmp_path):
    where = ("--dir", fleet.folder)
    old, gone = tmp_path / "old.creds", tmp_path / "gone.creds"
    old.write_bytes(fleet.creds("one").read_bytes())
    gone.write_bytes(fleet.creds("two").read_bytes())
    with Serving(fleet) as serving:
        ended = asyncio.Event()

        async def on_closed():
            ended.set()

        async def quiet(error):
            pass

        nc = await serving.connect(gone, closed_cb=on_closed, error_cb=quiet)
        for arguments in (
            ("add", *where, "three"),
            ("renew", *where, "one"),
            ("revoke", *where, "two"),
        ):
            assert command(*arguments).returncode == 0
        serving.reload()
        await asyncio.wait_for(ended.wait(), PATIENCE_S)  # also whoever is connected is out
        await nc.close()
        fleet = Fleet(fleet.folder)
        assert fleet.devices == ["one", "three"]
        assert not (fleet.folder / "devices/two.creds").exists()
        for creds, good in (
            (old, False),
            (gone, False),
            (fleet.creds("one"), True),
            (fleet.creds("three"), True),
        ):
            assert await serving.gets_in(creds) == good, creds
        assert command("renew", *where, "two").returncode == 0
        serving.reload()
        assert await serving.gets_in(fleet.folder / "devices/two.creds")
        assert not await serving.gets_in(gone)


def test_credentials_with_an_end(fleet):
    fleet.add("brief", days=2)
    claims = nats_jwt.decode(fleet.creds("brief").read_text().splitlines()[1])
    assert abs(claims["exp"] - time.time() - 2 * 86400) < 60
    assert fleet.expires("brief") == claims["exp"] and fleet.expires("one") is None


def test_another_address_takes_a_new_certificate_of_the_same_authority(fleet):
    authority = (fleet.folder / "ca.pem").read_bytes()
    assert (
        command(
            "server", "--dir", fleet.folder, "--host", "localhost", "--host", "nats.example"
        ).returncode
        == 0
    )
    fleet = Fleet(fleet.folder)
    assert (
        fleet.url == f"tls://localhost:{fleet.port}"
        and (fleet.folder / "ca.pem").read_bytes() == authority
    )
    with Serving(fleet):
        for name, good in (
            ("localhost", True),
            ("nats.example", True),
            ("127.0.0.1", True),
            ("other.example", False),
        ):
            assert _is_certified(fleet, name) == good, name


def test_a_new_certificate_keeps_the_hosts_of_the_old_one(fleet):
    def hosts(*arguments):
        done = command("server", "--dir", fleet.folder, *arguments)
        assert done.returncode == 0, done.stderr
        return Fleet(fleet.folder).hosts

    assert hosts("--host", "nats.example") == ["nats.example", "127.0.0.1"]
    assert hosts() == ["nats.example", "127.0.0.1"]
    assert hosts("--host", "127.0.0.1") == ["127.0.0.1", "nats.example"]
    assert hosts("--host", "h.example", "--only") == ["h.example"]


def test_a_fleet_without_devices_says_what_to_write(tmp_path):
    done = subprocess.run(
        ["make", "-o", "build/base.stamp", "fleet", f"DIR={tmp_path}/f"],
        cwd=toolchain.ROOT, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode != 0 and 'DEVICES="' in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_to_load_again_has_the_servers_pid_and_works(fleet):
    where = ("--dir", fleet.folder)
    assert command("add", *where, "three").stdout.strip().endswith("--signal reload")
    with Serving(fleet) as serving:
        said = command("renew", *where, "one").stdout.strip()
        assert said.endswith(f"--signal reload={serving._process.pid}"), said
        program = said.split(": ", 1)[1].split()
        assert subprocess.run(program, timeout=PATIENCE_S).returncode == 0
        serving.await_log("Reloaded server configuration")
    (fleet.folder / "server.pid").write_text(str(os.getpid()))  # of another process now
    assert command("renew", *where, "one").stdout.strip().endswith("--signal reload")


def _is_certified(fleet, name):
    context = ssl.create_default_context(cafile=str(fleet.folder / "ca.pem"))
    with socket.create_connection(("127.0.0.1", fleet.port)) as plain:
        while not plain.recv(4096).endswith(b"\r\n"):  # INFO
            pass
        try:
            context.wrap_socket(plain, server_hostname=name).close()
            return True
        except ssl.SSLCertVerificationError:
            return False


# What makes `make run SECURE=1` notice


@pytest.mark.parametrize("hole", ["permissions", "shared account"])
def test_a_hole_in_the_permissions_is_noticed(tmp_path, monkeypatch, hole):
    if hole == "permissions":
        monkeypatch.setattr(
            subjects, "of_board", lambda device: {"publish": [">"], "subscribe": [">"]}
        )
        monkeypatch.setattr(secure, "_WAIT_S", 1)
    else:  # one that devices have in common with the observer, as is often done
        monkeypatch.setattr(Fleet, "_account_for", lambda self, device: self._account_of_all)
        monkeypatch.setattr(
            subjects,
            "join",
            lambda account, fleet, device: nats_jwt.Operator("x").account("none"),
        )
    outcomes = asyncio.run(_cheated(tmp_path))
    refused = [text.split(" -> ")[0] for text, good in outcomes if good]
    assert len(refused) < len(outcomes)
    cheat = "has the server answer" if hole == "shared account" else "publishes as"
    assert not [text for text in refused if cheat in text], outcomes


async def _cheated(tmp_path):
    secured = secure.Secured(tmp_path, ["one", "two"])
    fleet = Fleet(tmp_path / "fleet")
    fleet.issue(["127.0.0.1"], free_port())
    fleet.save()
    outcomes = []
    with Serving(fleet):
        url = f"nats://127.0.0.1:{fleet.port}"
        observer = await nats.connect(url, **secured.observer())
        await observer.jetstream().add_stream(
            StreamConfig(name="READINGS", subjects=["sensors.>"], allow_direct=True)
        )
        await observer.jetstream().publish("sensors.one.temp", b"1")
        await secured.cheat(url, observer, lambda text, refused: outcomes.append((text, refused)))
        await observer.close()
    return outcomes


# Onto a board


@pytest.fixture
def flash(tmp_path):
    folder = tmp_path / "flash"
    folder.mkdir()
    return folder


def own_settings(tmp_path):
    path = tmp_path / "settings.json"
    mine = {
        "server": "nats://10.0.0.1",
        "wifi_ssid": "lab",
        "period_s": 0.2,
        "user": "u",
        "password": "old",
        "device": "x",
    }
    path.write_text(json.dumps(mine))
    return path


def test_a_board_gets_its_credentials_and_joins_the_fleet(fleet, tmp_path, flash):
    settings = own_settings(tmp_path)
    deploy = [sys.executable, "-m", "tools.deploy", "--settings", str(settings)]
    with Serving(fleet) as serving, FakeBoard(toolchain.binary("micropython"), flash) as board:
        done = subprocess.run(
            [*deploy, "--port", board.port],
            cwd=toolchain.ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        install = (
            "install",
            "--dir",
            fleet.folder,
            "--port",
            board.port,
            "--settings",
            settings,
            "one",
        )
        asyncio.run(
            until(lambda: any((flash / "outbox").glob("*")))
        )  # of its former life, and name
        done = command(*install)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "had another name" in done.stdout
        assert not SECRET.search(done.stdout + done.stderr)
        written = [event[1] for event in board.events if event[0] == "write"]
        assert written[-3:] == ["one.creds", "ca.der", "settings.json"]
        asyncio.run(until(lambda: board.events[-1] == "hard reset"))
        assert (flash / "one.creds").read_bytes() == fleet.creds("one").read_bytes()
        written = json.loads((flash / "settings.json").read_text())
        assert written == {"wifi_ssid": "lab", "period_s": 0.2, **fleet.settings("one")}
        assert asyncio.run(_heard_from(serving, "sensors.one.>")), board.output[-2000:]


async def _heard_from(serving, subject):
    nc = await serving.connect(serving.fleet.folder / "observer.creds")
    await stores.make(nc)
    messages = await nc.subscribe(subject)
    msg = await messages.next_msg(PATIENCE_S)
    await nc.close()
    return msg.subject.startswith("sensors.one.") and b'"seq"' in msg.data


def test_deploy_can_bring_them_at_once(fleet, tmp_path, flash):
    settings = own_settings(tmp_path)
    deploy = [sys.executable, "-m", "tools.deploy", "--settings", str(settings)]
    with FakeBoard(toolchain.binary("micropython"), flash) as board:
        program = [*deploy, "--port", board.port, "--fleet", str(fleet.folder), "--device", "two"]
        done = subprocess.run(
            program, cwd=toolchain.ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (flash / "two.creds").read_bytes() == fleet.creds("two").read_bytes()
    assert (flash / "ca.der").read_bytes() == (fleet.folder / "ca.der").read_bytes()
    assert json.loads((flash / "settings.json").read_text())["creds"] == "two.creds"


def test_a_board_is_left_alone_if_something_is_wrong_here(fleet, tmp_path, flash):
    settings = own_settings(tmp_path)
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"wifi_ssid": "lab", "colour": "red"}')
    with FakeBoard(toolchain.binary("micropython"), flash) as board:
        for path, device, text in (
            (settings, "none", "no such device"),
            (tmp_path / "absent", "one", "copy"),
            (wrong, "one", "colour"),
        ):
            done = command(
                "install", "--dir", fleet.folder, "--port", board.port, "--settings", path, device
            )
            assert done.returncode == 1 and text in done.stderr and "Traceback" not in done.stderr
        assert board.events == []
    assert list(os.listdir(flash)) == []


def test_watching_and_asking(fleet):
    where = ("--dir", fleet.folder)
    with Serving(fleet):
        done = command("watch", *where, "--seconds", "0.1")
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout == "the server takes readings; Ctrl-C ends this\n"
        done = command("ask", *where, "one", "led", "on")
        assert (
            done.returncode == 1
            and "is the device connected" in done.stderr
            and "Traceback" not in done.stderr
        )


async def _speak(serving, fleet, over):
    """What a board says, now and then; it answers, too."""
    nc = await serving.connect(fleet.creds("one"), inbox_prefix=b"_INBOX.one")

    async def on_info(msg):
        await msg.respond(b'{"connections":3,"outbox":{"waiting":7}}')

    await nc.subscribe("devices.one.info", cb=on_info)
    while not over.is_set():
        await nc.publish("devices.one.error", b'{"sensor":"temp","error":"OSError: 5"}')
        await nc.publish("sensors.one.temp", b'{"v":21.50,"seq":1}')
        await nc.publish("sensors.one.odd", b"no JSON")
        await asyncio.sleep(0.1)
    await nc.close()


@contextlib.contextmanager
def speaking(serving, fleet):
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_speak(serving, fleet, over)))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_watching_on_a_terminal_shows_the_last_values_of_each_board(fleet):
    watch = [sys.executable, "-m", "tools.fleet.provision", "watch", "--dir", fleet.folder]
    with Serving(fleet) as serving, speaking(serving, fleet):
        terminal = Terminal(watch, toolchain.ROOT)
        terminal.read_until(r"board +temp +age +waiting +link")
        terminal.read_until(r"one +21\.50 °C +\d s +7 +no\. 3")
        terminal.read_until(r"two +not heard")
        terminal.read_until(r"\d s +one +error +\{.*OSError: 5")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 0
    assert max(map(len, terminal.lines)) <= COLUMNS, max(terminal.lines, key=len)
    assert "Traceback" not in terminal.text and "sensors.one" not in terminal.text


def test_watching_what_is_piped_gives_plain_lines(fleet):
    watch = [sys.executable, "-m", "tools.fleet.provision", "watch", "--dir", fleet.folder]
    with Serving(fleet) as serving, speaking(serving, fleet):
        with subprocess.Popen(
            list(map(str, watch)),
            cwd=toolchain.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            for line in process.stdout:
                if line == 'sensors.one.temp {"v":21.50,"seq":1}\n':
                    break
            process.stdout.close()  # nobody reads it any more
            assert process.wait(PATIENCE_S) == 0
            assert process.stderr.read() == ""


def test_settings_are_merged_without_what_they_replace():
    mine = {"server": "nats://h", "token": "t", "wifi_ssid": "lab", "sleep_s": 60}
    assert merged(mine, {"server": "tls://h", "ca": "ca.der"}) == {
        "server": "tls://h", "wifi_ssid": "lab", "sleep_s": 60, "ca": "ca.der",
    }  # fmt: skip
