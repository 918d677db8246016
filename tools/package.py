"""Writes package.json: where `mip install github:OWNER/REPOSITORY` finds the library's files.

The addresses in it are relative: mip takes them from wherever it has got package.json itself.
"""

import json

from tools.toolchain import PACKAGE, ROOT

VERSION = "0.1.0"


def content():
    """What package.json has to say about the library as it is now."""
    names = sorted(path.name for path in PACKAGE.glob("*.py"))
    return {
        "urls": [[f"unats/{name}", f"lib/unats/{name}"] for name in names],
        "deps": [],
        "version": VERSION,
    }


def main():
    listed = content()
    urls = ",\n".join("    " + json.dumps(pair) for pair in listed.pop("urls"))
    rest = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in listed.items())
    (ROOT / "package.json").write_text('{\n  "urls": [\n' + urls + "\n  ],\n" + rest + "\n}\n")


if __name__ == "__main__":
    main()
