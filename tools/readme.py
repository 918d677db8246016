"""Puts the programs of lib/examples into the READMEs that show them, as they stand there.

Such a block follows a line `<!-- lib/examples/NAME.py -->`; what is shown is the program without
its docstring.
"""

import ast
import re

from tools.toolchain import BUILD, ROOT

_BLOCK = re.compile(r"(<!-- (lib/examples/\w+\.py) -->\n```python\n)(.*?)(```\n)", re.DOTALL)


def readmes():
    """All READMEs of the project, and what stands beside them."""
    found = [path for path in ROOT.rglob("*.md") if BUILD not in path.parents]
    return sorted(path for path in found if not re.search(r"/\.|CHANGELOG|results", str(path)))


def program(name):
    """An example without its docstring."""
    text = (ROOT / name).read_text()
    docstring = ast.parse(text).body[0]
    return "\n".join(text.split("\n")[docstring.end_lineno :]).lstrip("\n")


def filled(text):
    """The text of a README with the programs as they are now."""
    return _BLOCK.sub(lambda block: block[1] + program(block[2]) + block[4], text)


def shown():
    """The examples that some README shows."""
    return {block[2] for path in readmes() for block in _BLOCK.finditer(path.read_text())}


def main():
    for path in readmes():
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
