"""An update for boards: client and application, compiled for them, with a signed manifest; see
firmware/update.py and firmware/fetching.py for its form.

    made = Package("1.3.0", mpy=4870, sign=signer.sign)
    await made.put(nc)
"""

import base64
import hashlib
import tempfile
from pathlib import Path

from tools import deploy, toolchain
from tools.fleet.subjects import FIRMWARE

_DOMAIN = b"unats firmware\n"
_LEAST_MICROPYTHON = "1.23.0"
_UNTOUCHED = "boot.py"


class Package:
    """The files of a version for boards whose `sys.implementation._mpy` is `mpy`.

    sign: gives the signature of bytes. change: {path: content} of what differs from the files
    here, None for a file that is left out.
    """

    def __init__(self, version, mpy, sign, change=None):
        self.version, self.mpy = version, mpy
        files = dict(_compiled(mpy), **(change or {}))
        files = {path: content for path, content in files.items() if content is not None}
        lines = [
            "unats-package 1",
            f"version {version}",
            f"mpy {mpy}",
            f"micropython {_LEAST_MICROPYTHON}",
            *[f"{hashlib.sha256(data).hexdigest()} {len(data)} {p}" for p, data in files.items()],
        ]
        text = "\n".join(lines).encode() + b"\n"
        signature = base64.b64encode(sign(_DOMAIN + hashlib.sha256(text).digest()))
        self.manifest = text + b"signature " + signature + b"\n"
        self.content = b"".join(files.values())

    @property
    def name(self):
        """Of the object with its files."""
        return f"{self.version}/{self.mpy}"

    async def put(self, nc):
        """Have it in the object store, the manifest last: it is what a board asks for first."""
        store = await nc.jetstream().object_store(FIRMWARE)
        await store.put(self.name, self.content)
        await store.put(self.name + ".manifest", self.manifest)


def _compiled(mpy):
    """{path on the board: content} of all but boot.py."""
    march = deploy.Mpy(mpy).march(toolchain.mpy_cross_version()[0])
    with tempfile.TemporaryDirectory() as folder:
        paths = deploy.stage(folder, None, march, True)
        return {path: (Path(folder) / path).read_bytes() for path in paths if path != _UNTOUCHED}
