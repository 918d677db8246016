"""A device of a fleet onto its board: what its settings become, and what goes there with them."""

import contextlib
import importlib.util
import json
import tempfile
from pathlib import Path

from tools.fleet.fleet import Fleet
from tools.toolchain import ROOT, ToolError

_EXAMPLE = "firmware/settings.example.json"
_INSTEAD = (
    "user",
    "password",
    "token",
    "nkey",
    "cert",
    "key",
)  # of what credentials and TLS replace

# Runs on the board. Readings that wait under another name would be refused for ever, and those
# behind them would wait for ever.
_FORGET = """
import json, os
try:
    with open('settings.json') as file:
        former = json.load(file).get('device')
except (OSError, ValueError):
    former = None
waiting = []
try:
    waiting = os.listdir('outbox')
except OSError:
    pass
if former != %r and waiting:
    print('this board had another name: readings that it kept under that are removed')
    for name in waiting:
        os.remove('outbox/' + name)
"""


def forgetting(device):
    """Code for the board that is going to be this device."""
    return _FORGET % device


def merged(settings, fields):
    """The settings (a dict) with those of the fleet instead of what they replace."""
    kept = {name: value for name, value in settings.items() if name not in _INSTEAD}
    return {**kept, **fields}


def read(path):
    """What a settings.json holds, as the board's own function reads it; ToolError."""
    spec = importlib.util.spec_from_file_location("settings", ROOT / "firmware/settings.py")
    board = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(board)
    try:
        return board.read(str(path))
    except board.SettingsError as mistake:
        raise ToolError(str(mistake)) from None


@contextlib.contextmanager
def for_board(folder, device, settings):
    """What a device's board gets: the path of its settings.json, and {path on it: content}.

    The settings are in a folder that is there as long as the `with` block.
    """
    fleet = Fleet(folder)
    fields = fleet.settings(device)
    mine = read(settings)
    if not isinstance(mine, dict):
        raise ToolError(f"{settings} is not a JSON object, as {_EXAMPLE} is")
    if mine.get("config") is True:
        fields.update(fleet.update_settings())
    with tempfile.TemporaryDirectory() as draft:
        path = Path(draft) / "settings.json"
        path.touch(0o600)
        path.write_text(json.dumps(merged(mine, fields), indent=2) + "\n")
        files = {
            fields["creds"]: fleet.creds(device).read_bytes(),
            fields["ca"]: (fleet.folder / "ca.der").read_bytes(),
        }
        yield path, files
