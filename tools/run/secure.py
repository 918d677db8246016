"""What SECURE=1 adds to a run: a fleet of its own, TLS, identities, and attempts to cheat.

    secured = Secured(folder, ["board-1", "board-2"])
    Server(..., *secured.server_options)
    nats.connect(url, **secured.observer())
    secured.equip("board-1", its folder)
    Board(..., **secured.settings("board-1", url))
    await secured.cheat(url, nc, tell)

The last one returns how many attempts there were; tell(text, refused) is called of each.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import ssl
import tempfile
from pathlib import Path

import nats
import nats.errors

from tools.fleet import nats_jwt
from tools.fleet.fleet import Fleet
from tools.fleet.subjects import STREAM

_WAIT_S = 5
_HOST = "127.0.0.1"
_KIND = "forged"
_ERRORS = (nats.errors.Error, OSError, asyncio.TimeoutError)


class Secured:
    """A fleet in a new folder within `folder`; `names` are its boards."""

    def __init__(self, folder, names):
        self._names = names
        # It warns of what nats-py does over TLS.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        self.fleet = Fleet.make(Path(folder) / "fleet", [_HOST], names)

    @property
    def server_options(self):
        """nats-server's command line: all but the port is in the fleet's configuration."""
        return ("-c", str(self.fleet.folder / "server.conf"))

    def observer(self):
        """nats.connect's options for who may see and command all."""
        return self._as(self.fleet.folder / "observer.creds")

    def _as(self, creds):
        return {"tls": self._tls(), "user_credentials": str(creds)}

    def _tls(self):
        return ssl.create_default_context(cafile=str(self.fleet.folder / "ca.pem"))

    def equip(self, name, folder):
        """Put on a board what `make credentials` puts there, but for the settings."""
        shutil.copy(self.fleet.creds(name), folder)
        shutil.copy(self.fleet.folder / "ca.der", folder)

    def settings(self, name, url):
        """The fields of a board's settings, but for its name.

        `url`: where the server really is.
        """
        fields = self.fleet.settings(name)
        del fields["device"]
        return dict(fields, server=url.replace("nats://", "tls://"))

    # What must not work

    async def cheat(self, url, nc, tell):
        """Try to be somebody else; return how many attempts there were, and tell of each.

        nc: the observer's connection, which has to hear nothing of them. tell(text, refused):
        called with what was tried and how it ended.
        """
        name = self._names[0]
        victim = self._names[1] if len(self._names) > 1 else "another board"
        heard = []

        async def hear(msg):
            heard.append(msg.subject)

        listening = await nc.subscribe(f"sensors.*.{_KIND}", cb=hear)
        await nc.flush()
        outcomes = await self._as_the_other(url, name, victim, nc, heard)
        outcomes.append(("credentials of an operator of their own", await self._stranger(url)))
        outcomes.append(("a connection without TLS", await self._in_clear(url)))
        await nc.flush()
        if heard:
            outcomes.append((f"what the observer heard: {', '.join(heard)}", None))
        await listening.unsubscribe()
        for text, reason in outcomes:
            tell(f"{text} -> {f'refused: {reason}' if reason else 'NOT REFUSED'}", bool(reason))
        return len(outcomes)

    async def _as_the_other(self, url, name, victim, observer, heard):
        """With the credentials of the board `name`; what came of each attempt.

        A list of (what was tried, why it was refused or None).
        """
        errors = asyncio.Queue()
        token = victim.replace(" ", "-")

        async def on_error(error):
            errors.put_nowait(str(error).removeprefix("nats: "))

        async def nothing(msg):
            pass

        options = dict(
            self._as(self.fleet.creds(name)), error_cb=on_error, inbox_prefix=f"_INBOX.{name}"
        )
        async with _connection(url, **options) as nc:
            found = []
            await nc.publish(f"sensors.{token}.{_KIND}", b'{"v":0,"seq":1,"up":0}')
            found.append((f"{name} publishes as {victim}", await _next(errors)))
            await nc.subscribe(f"devices.{token}.>", cb=nothing)
            found.append((f"{name} listens to the commands for {victim}", await _next(errors)))
            # Somebody else's subject for the answer: the server sends that, whom no permissions
            # bind.
            stored = f"$JS.API.DIRECT.GET.{STREAM}.sensors.{name}.temp"
            await _answered(nc, stored)  # so that this is refused for no other reason
            await nc.publish(stored, b"", reply=f"sensors.{token}.{_KIND}")
            await _answered(nc, stored)  # the one before has been dealt with, too
            await observer.flush()
            reason = None if heard else "the answer stays in its own account"
            found.append((f"{name} has the server answer to {victim}'s subject", reason))
        return found

    async def _stranger(self, url):
        """Credentials that look right, but were not made by the server's operator.

        Why they are refused, or None.
        """
        user = nats_jwt.Operator("stranger").account("fleet").user(self._names[0])
        folder = self.fleet.folder
        with tempfile.NamedTemporaryFile("w", suffix=".creds", dir=folder) as file:  # 0600
            file.write(user.creds())
            file.flush()
            errors = []

            async def on_error(error):
                errors.append(str(error).removeprefix("nats: ").strip("'"))

            try:
                async with _connection(url, error_cb=on_error, **self._as(file.name)):
                    return None
            except _ERRORS as error:
                return errors[0] if errors else str(error)

    async def _in_clear(self, url):
        """What the server says to a client that goes on in clear; None if it takes it."""
        host, _, port = url.rpartition("/")[2].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            await reader.readline()  # INFO
            options = json.dumps({"verbose": False, "user": "observer", "pass": "guess"})
            writer.write(f"CONNECT {options}\r\nPING\r\n".encode())
            answer = await asyncio.wait_for(reader.readline(), _WAIT_S)
            if answer.startswith(b"PONG"):
                return None
            return answer.decode().strip().removeprefix("-ERR ").strip("'") or "closed"
        except OSError:
            return "closed"
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def _connection(url, **options):
    nc = await nats.connect(
        url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=_WAIT_S, **options
    )
    try:
        yield nc
    finally:
        await nc.close()


async def _answered(nc, stored):
    """Ask for a stored reading until the answer is one."""
    for _ in range(100):
        if not (await nc.request(stored, b"", _WAIT_S)).headers.get("Status"):
            return
        await asyncio.sleep(0.05)
    raise asyncio.TimeoutError("the stream does not hold it")


async def _next(errors):
    """The next of the server's refusals; None if none comes."""
    try:
        return await asyncio.wait_for(errors.get(), _WAIT_S)
    except asyncio.TimeoutError:
        return None
