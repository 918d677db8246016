"""A fleet for a try-out: who its boards are, what each may do, and the server that knows them.

    fleet = Fleet.make("fleet", ["192.168.1.10"], ["greenhouse-7", "greenhouse-8"])
    fleet = Fleet("fleet")      # one that is there already
    fleet.add("greenhouse-9"); fleet.renew("greenhouse-7"); fleet.revoke("greenhouse-8")
    fleet.admit("web")          # the page, too
    fleet.save()

What lies in its folder (0700; what is private in it is 0600):

    fleet.json         what there is; nothing secret
    server.conf        for `nats-server -c`, made anew by each change
    observer.creds     who may see all readings and command all boards
    web.creds          the page; mqtt.jwt: Home Assistant (see gates.py)
    ca.pem, ca.der     what boards and people trust
    devices/           <device>.creds, which goes onto the board
    private/           seeds of operator and accounts, keys of authority and server: stay where
                       they are
    jetstream/         the server's store

Each board has an account of its own: see subjects.py. An account is an entry in server.conf; so
this is for some hundred boards, not for thousands.
"""

import contextlib
import datetime
import fcntl
import ipaddress
import json
import os
import re
import shutil
import ssl
import tempfile
import time
from pathlib import Path

import trustme

from tools.fleet import gates, nats_jwt, subjects
from tools.toolchain import ToolError

_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOST = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_ALWAYS = ("localhost", "127.0.0.1")
_CERTIFICATE_DAYS = 730
_DAY_S = 86400


class Fleet:
    """The fleet in a folder. Changes are in its files after `save()`."""

    def __init__(self, folder):
        """One that is there; ToolError if it is none."""
        self.folder = Path(folder)
        try:
            self._notes = json.loads((self.folder / "fleet.json").read_text())
        except OSError:
            raise ToolError(f"there is no fleet in {folder}: `make fleet` makes one") from None
        except ValueError:
            raise ToolError(f"{folder}/fleet.json is damaged") from None
        self._operator = nats_jwt.Operator("fleet", self._read("private/operator.nk"))
        self._system = self._account("system", "SYS")
        self._account_of_all = self._account("fleet", "FLEET", jetstream=True)

    @classmethod
    def make(cls, folder, hosts, devices, port=4222, days=None):
        """Make a fleet in a folder that is not there yet; all of it, or nothing."""
        _check_hosts(hosts)
        _check_port(port)
        for device in devices:
            _check_device(device)
        folder = Path(folder).absolute()
        if folder.exists():
            raise ToolError(
                f"{folder} is there already, and is not overwritten: "
                "`python -m tools.fleet.provision add` adds devices to it"
            )
        if not folder.parent.is_dir():
            raise ToolError(f"there is no folder {folder.parent} to make the fleet in")
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # 0700
        try:
            fleet = cls._begin(draft, hosts, port)
            for device in devices:
                fleet.add(device, days)
            fleet._write_all(folder)
            try:
                draft.rename(folder)
            except OSError:
                raise ToolError(f"{folder} is there already, and is not overwritten") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        fleet.folder = folder
        return fleet

    @classmethod
    def _begin(cls, draft, hosts, port):
        for name in ("private", "devices", "jetstream"):
            (draft / name).mkdir(mode=0o700)
        for name, kind in (("operator", "operator"), ("fleet", "account"), ("system", "account")):
            _write(draft / f"private/{name}.nk", nats_jwt.new_seed(kind))
        notes = {"hosts": list(hosts), "port": port, "devices": {}}
        _write(draft / "fleet.json", json.dumps(notes))
        fleet = cls(draft)
        # The server takes no other operator without a restart, and a JWT made anew is another one.
        _write(draft / "private/operator.jwt", fleet._operator.jwt(fleet._system))
        fleet._make_authority()
        fleet.issue(hosts, port)
        observer = fleet._account_of_all.user("observer")
        _write(draft / "observer.creds", observer.creds())
        return fleet

    # What it is

    @property
    def devices(self):
        """Names of the devices that have not been revoked."""
        return [name for name, notes in self._notes["devices"].items() if not notes.get("gone")]

    @property
    def url(self):
        """Where its server is for the boards: the first of its hosts."""
        host = self._notes["hosts"][0]
        return f"tls://[{host}]:{self.port}" if ":" in host else f"tls://{host}:{self.port}"

    @property
    def port(self):
        return self._notes["port"]

    @property
    def hosts(self):
        return self._notes["hosts"]

    @property
    def server_pid(self):
        """The process of its server on this machine, as far as that can be known, or None."""
        try:
            pid = int((self.folder / "server.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()  # it may be somebody else's now
        except (OSError, ValueError):
            return None
        return pid if b"nats-server" in command else None

    def expires(self, device):
        """When the device's credentials end, in Unix seconds; None: never."""
        return self._known(device)["expires"]

    def creds(self, device):
        """The path of the device's credentials."""
        self._known(device)
        return self.folder / f"devices/{device}.creds"

    def update_settings(self):
        """The fields of settings.json with which a board takes updates."""
        return {"update_key": self._signer().public, "update_domain": subjects.DOMAIN}

    def sign(self, data):
        """The signature of an update's manifest."""
        return self._signer().sign_bytes(data)

    def _signer(self):
        path = self.folder / "private/update.nk"
        if not path.exists():  # a fleet that was made before there were any
            _write(path, nats_jwt.new_seed("user"))
        return nats_jwt.Signer("update", seed=self._read("private/update.nk"))

    def settings(self, device):
        """The fields of the device's settings.json that make it one of this fleet."""
        self._known(device)
        return {
            "server": self.url,
            "device": device,
            "creds": f"{device}.creds",
            "ca": "ca.der",
            "inbox": subjects.INBOX % device,
            "outbox": "stream",
            "stream": subjects.STREAM,
        }

    # Changing it

    def add(self, device, days=None):
        """A new device. ToolError: there is one of this name."""
        _check_device(device)
        if device in self._notes["devices"]:
            raise ToolError(
                f"{device}: there is one already; `provision.py renew` gives it new credentials"
            )
        _write(self._private(device), nats_jwt.new_seed("account"))
        self._notes["devices"][device] = {"revoked": {}}
        self._issue_to(device, days)

    def renew(self, device, days=None):
        """New credentials for a device, also for one that was revoked; the old ones are void."""
        notes = self._any(device)
        notes["revoked"][notes["user"]] = int(time.time())
        notes.pop("gone", None)
        self._issue_to(device, days)

    def revoke(self, device):
        """Make the device's credentials void, and remove them here."""
        notes = self._known(device)
        notes["revoked"][notes["user"]] = int(time.time())
        notes["gone"] = True
        self.folder.joinpath(f"devices/{device}.creds").unlink(missing_ok=True)

    def issue(self, hosts, port=None):
        """A new certificate for the server, at these hosts (names or addresses)."""
        _check_hosts(hosts)
        port = self.port if port is None else port
        _check_port(port)
        authority = trustme.CA.from_pem(self._bytes("ca.pem"), self._bytes("private/ca.key"))
        begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        end = begin + datetime.timedelta(days=_CERTIFICATE_DAYS)
        names = list(dict.fromkeys([*hosts, *_ALWAYS]))
        issued = authority.issue_cert(
            *names, common_name=hosts[0][:64], not_before=begin, not_after=end
        )
        _write(self.folder / "server.pem", issued.cert_chain_pems[0].bytes(), 0o644)
        _write(self.folder / "private/server.key", issued.private_key_pem.bytes())
        self._notes.update(hosts=list(hosts), port=port, certificate_ends=int(end.timestamp()))

    def save(self):
        """Write what has changed, for the server to load again."""
        self._write_all(self.folder.absolute())

    @contextlib.contextmanager
    def locked(self):
        """Lest two who change it at a time undo each other's: read it within this block."""
        with open(self.folder / "private/lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Fleet(self.folder)

    def admit(self, gate, port=None, local=False):
        """Have the server listen for a gate of `gates.GATES`, and make credentials for it.

        Those that were made before are void. local: on this machine only, without TLS. Returns
        the path of the credentials.
        """
        about = gates.GATES[gate]
        port = about.port if port is None else port
        _check_port(port)
        self.dismiss(gate)
        user = self._account_of_all.user(
            gate, publish=about.publish, subscribe=about.subscribe, bearer=about.bearer
        )
        self._notes.setdefault("gates", {})[gate] = {
            "user": user.public,
            "port": port,
            "local": local,
        }
        path = self.folder / about.file
        _write(path, user.jwt() + "\n" if about.bearer else user.creds())
        return path

    def dismiss(self, gate):
        """Have the server listen for it no more; its credentials are void."""
        before = self._notes.get("gates", {}).pop(gate, None)
        if before:
            self._notes.setdefault("revoked", {})[before["user"]] = int(time.time())
        self.folder.joinpath(gates.GATES[gate].file).unlink(missing_ok=True)

    # How

    def _account(self, file, name, **options):
        return self._operator.account(name, seed=self._read(f"private/{file}.nk"), **options)

    def _private(self, device):
        return self.folder / f"private/{device}.device.nk"

    def _known(self, device):
        notes = self._any(device)
        if notes.get("gone"):
            raise ToolError(
                f"{device}: it was revoked; `provision.py renew` gives it new credentials"
            )
        return notes

    def _any(self, device):
        if device not in self._notes["devices"]:
            known = ", ".join(self._notes["devices"]) or "there are none"
            raise ToolError(f"{device}: no such device in {self.folder}; those that are: {known}")
        return self._notes["devices"][device]

    def _account_for(self, device):
        account = self._account(f"{device}.device", device)
        account.revocations = dict(self._notes["devices"][device]["revoked"])
        return account

    def _issue_to(self, device, days):
        """A new user for the device, in its account."""
        now = int(time.time())
        expires = None if days is None else now + round(days * _DAY_S)
        user = self._account_for(device).user(
            device, expires=expires, responses=1, **subjects.of_board(device)
        )
        _write(self.folder / f"devices/{device}.creds", user.creds())
        self._notes["devices"][device].update(user=user.public, issued=now, expires=expires)

    def _make_authority(self):
        authority = trustme.CA(
            organization_name="unats",
            organization_unit_name="fleet",
            key_type=trustme.KeyType.ECDSA,
        )
        pem = authority.cert_pem.bytes()
        der = ssl.PEM_cert_to_DER_cert(pem.decode())
        _write(self.folder / "ca.pem", pem, 0o644)
        _write(self.folder / "ca.der", der, 0o644)
        _write(self.folder / "private/ca.key", authority.private_key_pem.bytes())

    def _write_all(self, home):
        """The files that are made of all the others; `home`: where they are going to be."""
        _write(self.folder / "fleet.json", json.dumps(self._notes, indent=2) + "\n")
        _write(self.folder / "server.conf", self._server_config(home))

    def _server_config(self, home):
        """Made anew from what is known.

        The paths are absolute, for the server takes them from where it is started.
        """
        fleet = self._account_of_all
        fleet.exports, fleet.imports = [], []
        fleet.revocations = dict(self._notes.get("revoked", {}))
        accounts = [
            subjects.join(self._account_for(device), fleet, device)
            for device in self._notes["devices"]
        ]
        quoted = {"home": json.dumps(str(home))[1:-1]}
        return _SERVER % {
            **quoted,
            "port": self.port,
            "tls": gates.TLS % quoted,
            "operator": self._read("private/operator.jwt"),
            "system": self._system.public,
            "gates": "".join(
                gates.config(name, gate["port"], gate["local"])
                for name, gate in self._notes.get("gates", {}).items()
            )
            % quoted,
            "accounts": "\n".join(
                f"  {account.public}: {account.jwt()}"
                for account in [self._system, fleet, *accounts]
            ),
        }

    def _bytes(self, name):
        return (self.folder / name).read_bytes()

    def _read(self, name):
        try:
            return self._bytes(name).decode().strip()
        except OSError:
            raise ToolError(f"{self.folder}/{name} is missing or cannot be read") from None


_SERVER = """\
# Made by tools.fleet.provision, which overwrites it.
port: %(port)d
pid_file: "%(home)s/server.pid"
server_name: "fleet"
jetstream { store_dir: "%(home)s/jetstream" }
%(tls)sauthorization { timeout: 20 }  # ... and with signing the server's nonce
operator: %(operator)s
system_account: %(system)s
resolver: MEMORY
resolver_preload: {
%(accounts)s
}
%(gates)s"""


def _write(path, content, mode=0o600):
    """Replace the file.

    Whoever reads it finds the old content or the new one, and never with another mode.
    """
    data = content.encode() if isinstance(content, str) else bytes(content)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _check_device(name):
    if not isinstance(name, str) or not _DEVICE.fullmatch(name) or name == subjects.ALL:
        raise ToolError(
            f"{name!r} cannot be a device: 1 to 32 letters, digits, - and _, "
            f"since it becomes part of subjects; {subjects.ALL} stands for all of them"
        )


def _check_hosts(hosts):
    if not hosts:
        raise ToolError("give at least one host, the address of the server as boards know it")
    for host in hosts:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if len(host) > 253 or not _HOST.fullmatch(host):
                raise ToolError(
                    f"{host!r} is not a host: give a name or an IP address, "
                    "without scheme and port"
                ) from None


def _check_port(port):
    if not 0 < port < 65536:
        raise ToolError(f"{port} is not a port: 1 to 65535")
