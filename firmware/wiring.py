"""The wiring of the application, and nothing else. main.py runs it, and catches what it raises.

sys.platform picks the board support.

Garbage is collected after each import: what compiling a module has left behind would lie in the
way of the next one. So the application starts with the least heap.
"""

import errno
import gc
import os
import sys

import unats  # first: nothing else takes as much heap to compile

gc.collect()
import unats.payload
import unats.tcp

gc.collect()
import utime

import boards
import sensors
import watchdog

gc.collect()
from app import App

gc.collect()


def made():
    """Read settings.json, build board, client, outbox and application; return what runs it until
    Ctrl-C. That holds nothing of this module, which can be given back.

    With a mistake in settings.json nothing is made: the mistakes are printed, and it returns None.
    Whatever else goes wrong is raised.
    """
    Board = boards.find()
    try_to_read("settings.json")
    try:
        config = checked_settings(Board)
        for name in needed(config, Board.needs_wifi):  # while there is the most room for it
            __import__("unats." + name)
            gc.collect()
            watchdog.feed()
        if config.sleep_ms is not None:
            import wake  # noqa: F401
        board = Board(config, utime)
        device = config.device or board.default_name()
        client = unats.Client(
            config.servers,
            name=device,
            user=config.user,
            password=config.password,
            token=config.token,
            inbox_prefix=config.inbox,
            resolver=resolver_for(board),
            **security_of(config),
        )
    except ValueError as mistake:
        print(mistake)
        return None
    watchdog.feed()
    gc.collect()
    outbox = outbox_for(client, device, config)
    app = App(client, utime, board, device, config.period_ms, sensors.of(board), outbox)
    for channel in app.channels:
        channel.off = channel.kind in config.off
    client.on_event = app.on_event
    app.failure = last_failure()
    app.has_service = config.service
    if config.ca is not None:
        from ntp import Ntp

        app.time = Ntp(board, utime, config.ntp, app.say, resolver_for(board))
    if config.presence_s or config.config or config.logs:
        import parts

        gc.collect()
        app.parts = parts.of(app, config)
    return app.run if config.sleep_ms is None else wake_of(app, config).run


def checked_settings(Board):
    """The settings; what has read and checked them is given back, it takes as much as the outbox.
    ValueError: the mistakes.
    """
    import settings

    gc.collect()
    config = settings.load("settings.json", Board.needs_wifi, True)
    sys.modules.pop("settings", None)
    return config


def try_to_read(path):
    """OSError: the file is there, and flash does not give it (which is no mistake in it)."""
    try:
        with open(path, "rb") as file:
            while file.read(64):
                pass
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise


def last_failure():
    """What ended the application before this start and was not told yet, or None."""
    try:
        os.stat("failure.txt")
    except OSError:
        return None
    import failure

    return failure.kept()


def needed(config, asks_names=False):
    """The library's modules that these settings need, and that would otherwise be loaded later on.

    asks_names: whether the board asks for the addresses of names itself.
    """
    names = ("connection", "arguments", "chunked")
    if asks_names and (config.ca is not None or has_names(config.servers)):
        names += ("dns",)
    if config.ca is not None:
        names += ("tls",)
    if config.creds is not None or config.nkey is not None:
        names += ("auth",)
    if config.service and config.sleep_ms is None:
        names += ("nuid", "services")
    if config.presence_s or config.config:
        names += ("headers", "jetstream", "request")
    if config.config:
        names += ("jetstream.stored",)
    if config.outbox == "off":
        return names
    # what another one imports comes before it: nested, compiling needs more room at a time
    names += ("nuid", "outbox.spool", "outbox.flashlog", "outbox", "msg_extras")
    if config.outbox == "none":
        return names + ("outbox.core_sender",)
    names += ("outbox.dedup", "outbox.jetstream_sender", "request")
    if config.stream is None and config.sleep_ms is None:
        names += ("outbox.stream",)
    return names if config.sleep_ms is None else names + ("outbox.pipelined",)


def has_names(servers):
    """Whether one of the servers is given by its name, and not by its address."""
    from unats.servers import is_address, read_urls

    return not all(is_address(server.host) for server in read_urls(servers))


def resolver_for(board):
    """What asks for the addresses of names, or None: the system does."""
    if board.name_servers() is None:
        return None
    from names import Names

    return Names(board)


def security_of(config):
    """What else these settings tell the client; ValueError: a file is no good."""
    if not config.is_slow:
        return {}
    import security

    options = security.options(config)
    sys.modules.pop("security", None)
    return options


def outbox_for(client, device, config):
    """The outbox of these settings, or None. Where the flash has no room for its folder: in RAM
    only.
    """
    if config.outbox == "off":
        return None
    from unats.outbox import Outbox

    options = {"ack": config.outbox, "sync_ms": config.sync_ms, "flash_size": config.outbox_flash}
    options["policy"] = config.outbox_policy
    if config.logs == "outbox":
        options["max_payload"] = 620  # logs.LINE, and what is lost
    if config.stream is not None:
        options["stream"] = config.stream
    ring = bytearray(config.outbox_ram)
    if config.outbox_flash:
        try:
            return Outbox(client, device, ring=ring, path="outbox", **options)
        except OSError as e:
            print("outbox: readings are kept in RAM only, the folder cannot be used:", e)
    return Outbox(client, device, ring=ring, **options)


def wake_of(app, config):
    """One wake of a board that sleeps; it starts anew after that."""
    from wake import Wake

    if config.outbox == "stream":
        from unats.outbox.pipelined import Pipelined

        Pipelined(app.client, app.outbox)
    return Wake(app, utime, config.sleep_ms, config.awake_ms)
