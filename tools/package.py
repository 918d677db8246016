"""Writes package.json: where `mip install github:OWNER/REPOSITORY` finds the library's files.

The addresses in it are relative: mip takes them from wherever it has got package.json itself.
"""

import json
import re

from tools.toolchain import PACKAGE, ROOT, ToolError, library

# The one place where the version is said.
_VERSION = re.compile(r'^(?:__version__|VERSION) = "([^"]+)"', re.MULTILINE)


def version(package=PACKAGE):
    """The library's version, which stands in it once; ToolError if it does not."""
    found = [v for path in package.rglob("*.py") for v in _VERSION.findall(path.read_text())]
    if len(found) != 1:
        raise ToolError(f"lib/unats says its version {len(found)} times, and not once: {found}")
    return found[0]


def content():
    """What package.json has to say about the library as it is now."""
    return {
        "urls": [[path, f"lib/{path}"] for path in library()],
        "deps": [],
        "version": version(),
    }


def main():
    listed = content()
    urls = ",\n".join("    " + json.dumps(pair) for pair in listed.pop("urls"))
    rest = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in listed.items())
    (ROOT / "package.json").write_text('{\n  "urls": [\n' + urls + "\n  ],\n" + rest + "\n}\n")


if __name__ == "__main__":
    main()
