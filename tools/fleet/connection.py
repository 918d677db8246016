"""The observer's connection to the server of a fleet."""

import asyncio
import logging
import ssl

from tools.toolchain import ToolError

_ANSWER_S = 5


def connection(fleet):
    """An awaitable: the observer's connection to the server of the fleet."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of what nats-py does over TLS
    host = fleet.hosts[0]
    host = f"[{host}]" if ":" in host else host
    return connect(
        f"tls://{host}:{fleet.port}",
        tls=ssl.create_default_context(cafile=str(fleet.folder / "ca.pem")),
        user_credentials=str(fleet.folder / "observer.creds"),
    )


def connect(url, **options):
    """An awaitable: a connection that is tried once, and not made again."""
    import nats

    return nats.connect(
        url,
        name="tools.fleet",
        allow_reconnect=False,
        max_reconnect_attempts=1,
        connect_timeout=_ANSWER_S,
        error_cb=_silent,
        **options,
    )


async def _silent(error):
    pass  # connect raises it, too


def talk(talk):
    """Run what talks to the server; ToolError if that cannot be."""
    import nats.errors

    try:
        asyncio.run(talk)
    except (nats.errors.Error, OSError, asyncio.TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise ToolError(f"{reason}: is the server running, and is the device connected?") from None
