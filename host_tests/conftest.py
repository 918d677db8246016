"""Puts the code under test on the path, with MicroPython's modules in front of it; fixtures."""

import gc
import os
import random
import signal
import sys

import pytest

from support import paths

for _folder in (*paths.DEVICE_PATH, paths.FIRMWARE, paths.LIB, paths.SHIM):
    sys.path.insert(0, str(_folder))

# What `make test` was started with is not for what the tests start.
for _name in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"):
    os.environ.pop(_name, None)

import micropython  # noqa: E402,F401  makes viper's names known

from support.hostile import HostileServer  # noqa: E402
from support.nats_server import NatsServer  # noqa: E402
from support.peer import Peer  # noqa: E402
from support.ports import free_port  # noqa: E402
from tools.fleet import stores  # noqa: E402


def pytest_configure():
    """What a shell starts in the background ignores Ctrl-C, and so would what is started here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """What is there by now stays to the end: the application collects garbage often, and need not
    look through all of pytest each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def seed():
    """What a random test goes by; printed when it fails. UNATS_SEED=number has the same again."""
    number = int(os.environ.get("UNATS_SEED", random.SystemRandom().getrandbits(28)))
    print("UNATS_SEED=%d" % number)
    return number


@pytest.fixture
def nats_server():
    """A running NatsServer."""
    with NatsServer() as server:
        yield server


@pytest.fixture
def start_nats_server(request):
    """Starts NatsServers with the arguments of one's own; each ends with the test."""

    def start(*args, **options):
        server = NatsServer(*args, **options)
        request.addfinalizer(server.stop)
        return server.start()

    return start


@pytest.fixture
def start_fleet_server(start_nats_server):
    """Starts a NatsServer with that configuration, and with what boards need of a server."""

    def start(config):
        server = start_nats_server(config, jetstream=True)
        with Peer(server.url) as peer:
            peer.run(stores.make(peer.nc))
        return server

    return start


@pytest.fixture
def port():
    """One that was free a moment ago."""
    return free_port()


@pytest.fixture
def peer(nats_server):
    """The official Python client, connected to nats_server."""
    with Peer(nats_server.url) as peer:
        yield peer


@pytest.fixture
def hostile_server(request):
    """Starts HostileServers that play the given scripts; each ends with the test."""

    def start(*scripts):
        server = HostileServer(*scripts)
        request.addfinalizer(server.stop)
        return server.__enter__()

    return start


@pytest.fixture
def ticks():
    """utime's clock, to be set with ticks.set_ticks_ms(); real again after the test."""
    import utime

    offset = utime._offset
    yield utime
    utime._offset = offset
