"""Where things are in the repository and in the environment that `make env` made."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
DEVICE = ROOT / "host_tests" / "device"
PROGRAMS = DEVICE / "programs"
DEVICE_PATH = PROGRAMS, DEVICE / "support", DEVICE
SHIM = ROOT / "host_tests" / "shim"
TOOLS = ROOT / "tools"

BUILD = ROOT / "build"
MICROPYTHON = BUILD / "venv" / "bin" / "micropython"
NATS_SERVER = BUILD / "venv" / "bin" / "nats-server"
NODE = BUILD / "npm" / "node"
BROWSER = BUILD / "browser"
UNITTEST = BUILD / "unittest"


def needed(path):
    """The path as a str; a missing interpreter or server is a failure, never a skip."""
    if not path.exists():
        raise FileNotFoundError("%s is missing: make env" % path)
    return str(path)
