"""A fleet for a try-out: identities, certificates and a server's configuration; onto the boards.

    python -m tools.fleet.provision COMMAND ...

    make --host 192.168.1.10 greenhouse-7      a new fleet, in fleet/
    install --port /dev/ttyACM0 greenhouse-7   a device's credentials, onto its board
    watch                                      what its boards say; makes their stream
    ask greenhouse-7 led toggle                a command to one of them

    add greenhouse-9                           a further device
    renew greenhouse-7                         new credentials; the old ones are void
    revoke greenhouse-8                        its credentials are void
    server --host 10.0.0.2                     a new certificate for the server, also elsewhere;
                                               --only: no longer at the hosts that it had
    admit web                                  the page of `make web`: a WebSocket of the server,
                                               and web.creds, which may do what the page does;
    admit mqtt                                 Home Assistant: MQTT, and mqtt.jwt, its password;
                                               --local: both on this machine only, without TLS
    dismiss web                                it may come no more

    list                                       the devices, and how long their credentials are good

`nats-server -c fleet/server.conf` starts the server. After add, renew, revoke and server it has to
load that file again; they say how. What the folder holds, and who may do what:
see fleet.py. Secrets are in files of mode 0600, and never printed.
"""

import argparse
import sys
import time

from tools import deploy, toolchain
from tools.fleet.board import for_board, forgetting
from tools.fleet.connection import connection, talk
from tools.fleet.fleet import Fleet
from tools.fleet.gates import GATES
from tools.toolchain import ROOT, ToolError

_SETTINGS = ROOT / "firmware/settings.json"
_ANSWER_S = 5


def install(folder, device, port, settings=_SETTINGS):
    """Put a device's credentials, authority and settings onto the board at `port`; restart it."""
    with for_board(folder, device, settings) as (path, files):
        deploy.check_settings(path)
        platform, _, _ = deploy.probe(port)
        for name, content in files.items():
            (path.parent / name).write_bytes(content)
        chain = ["resume", "exec", forgetting(device), "+"]
        for name in [*files, path.name]:  # the settings last: they name the others
            chain += ["fs", "cp", name, f":{name}", "+"]
        if not deploy.send(port, [*chain, "reset"], path.parent):
            raise ToolError("not everything is on the board; do it again")
    print(
        f"the {platform} at {port} is {device} now, and starts;\n"
        f"`make repl PORT={port}` shows what it says"
    )


# Seeing and commanding


async def _watch(fleet, seconds):
    from tools.fleet.watch import Watch

    nc = await connection(fleet)
    await Watch(nc, fleet.devices).run(seconds)
    if nc.is_closed:
        raise ToolError("the server has ended the connection")
    await nc.close()


async def _ask(fleet, device, command, payload):
    fleet.creds(device)  # ToolError: there is no such device
    nc = await connection(fleet)
    answer = await nc.request(f"devices.{device}.{command}", payload.encode(), _ANSWER_S)
    print(answer.data.decode(errors="replace"))
    await nc.close()


# The commands


def _make(options):
    if not options.devices:
        raise ToolError(
            'name the devices: make fleet DEVICES="greenhouse-7 greenhouse-8" HOST=192.168.1.10'
        )
    hosts = options.host or ["127.0.0.1"]
    fleet = Fleet.make(options.dir, hosts, options.devices, options.server_port, options.days)
    print(f"{len(fleet.devices)} devices and their server, {fleet.url}, are in {fleet.folder}")
    if not options.host:
        print(
            "boards of your own cannot reach that address: "
            "--host (make fleet HOST=...) says where the server is"
        )
    print(f"start it with: nats-server -c {fleet.folder}/server.conf")


def _change(options):
    with Fleet(options.dir).locked() as fleet:
        for device in options.devices:
            arguments = (device,) if options.command == "revoke" else (device, options.days)
            getattr(fleet, options.command)(*arguments)
        fleet.save()
    _load_again(options)


def _server(options):
    with Fleet(options.dir).locked() as fleet:
        kept = [] if options.only and options.host else fleet.hosts
        hosts = list(dict.fromkeys([*(options.host or []), *kept]))
        fleet.issue(hosts, options.server_port)
        fleet.save()
    print(f"its certificate is for {', '.join(hosts)}")
    _load_again(options)


def _admit(options):
    gate = GATES[options.gate]
    with Fleet(options.dir).locked() as fleet:
        path = fleet.admit(options.gate, options.gate_port, options.local)
        fleet.save()
    print(f"{gate.about} may come with {path}, which is secret, and anew each time this is done;")
    _start_again(options)


def _dismiss(options):
    with Fleet(options.dir).locked() as fleet:
        fleet.dismiss(options.gate)
        fleet.save()
    print(f"{GATES[options.gate].about} may come no more;")
    _start_again(options)


def _start_again(options):
    print(f"a server that runs has to be started again with {options.dir}/server.conf")


def _load_again(options):
    pid = Fleet(options.dir).server_pid
    print(
        f"done; a server that runs has to load {options.dir}/server.conf again: "
        f"{toolchain.binary('nats-server')} --signal reload{f'={pid}' if pid else ''}"
    )


def _list(options):
    fleet = Fleet(options.dir)
    for device in fleet.devices:
        end = fleet.expires(device)
        print(
            f"{device:32}  "
            + (time.strftime("until %Y-%m-%d", time.gmtime(end)) if end else "without end")
        )


def _install(options):
    install(options.dir, options.device, options.port, options.settings)


def _parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, run, about):
        sub = commands.add_parser(name, help=about)
        sub.add_argument(
            "--dir", default=str(ROOT / "fleet"), help="folder of the fleet (default: %(default)s)"
        )
        sub.set_defaults(run=run)
        return sub

    def with_devices(sub, count):
        sub.add_argument("devices", nargs=count, help="names, which become parts of subjects")

    def with_days(sub):
        sub.add_argument(
            "--days", type=float, help="how long credentials are good (default: without end)"
        )

    def with_hosts(sub, port):
        sub.add_argument(
            "--host",
            action="append",
            help="name or address of the server, as boards know it; repeatable",
        )
        sub.add_argument("--server-port", type=int, default=port, help="its port")

    make = command("make", _make, "a new fleet")
    with_devices(make, "*")
    with_days(make)
    with_hosts(make, 4222)
    for name, about in (
        ("add", "further devices"),
        ("renew", "new credentials"),
        ("revoke", "credentials are void"),
    ):
        change = command(name, _change, about)
        with_devices(change, "+")
        if name != "revoke":
            with_days(change)
    server = command("server", _server, "a new certificate for the server")
    with_hosts(server, None)
    server.add_argument(
        "--only", action="store_true", help="at no other hosts (default: also at those it had)"
    )
    admit = command("admit", _admit, "who may come, too")
    for sub in (admit, command("dismiss", _dismiss, "who may come no more")):
        sub.add_argument("gate", choices=GATES)
    admit.add_argument("--gate-port", type=int, help="where the server listens for it")
    admit.add_argument("--local", action="store_true", help="on this machine only, without TLS")
    command("list", _list, "the devices")
    put = command("install", _install, "a device's credentials onto its board")
    put.add_argument("device")
    put.add_argument("--port", required=True, help="serial port of the board, or auto")
    put.add_argument(
        "--settings", default=_SETTINGS, help="the rest of its settings (default: %(default)s)"
    )
    watch = command(
        "watch", lambda o: talk(_watch(Fleet(o.dir), o.seconds)), "what the boards say"
    )
    watch.add_argument(
        "--seconds", type=float, help="end after this time (default: Ctrl-C ends it)"
    )
    ask = command(
        "ask",
        lambda o: talk(_ask(Fleet(o.dir), o.device, o.what, o.payload)),
        "a command to a board",
    )
    ask.add_argument("device")
    ask.add_argument("what", help="led or info")
    ask.add_argument("payload", nargs="?", default="")
    return parser


def main(argv=None):
    options = _parser().parse_args(argv)
    if getattr(options, "days", None) is not None and not 0 < options.days < 36500:
        sys.exit("provision: --days must be more than 0, and less than 36500")
    try:
        options.run(options)
    except ToolError as error:
        sys.stdout.flush()
        sys.exit(f"provision: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
