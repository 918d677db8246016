"""How lib/unats is laid out: see its DESIGN.md. Read from the sources, not run."""

import ast
import re

import pytest

from support.paths import LIB

ROOT = LIB / "unats"
FILES = sorted(ROOT.rglob("*.py"))

# The client and what it is made of: these share its private names.
CORE = {
    "__init__", "client", "kernels", "state", "tcp", "connection", "servers", "discover",
    "refusal", "errors", "arguments", "chunked", "flush", "waiting", "checks",
}  # fmt: skip


def name_of(path):
    """The module's name in the package: "client", "outbox", "outbox.ring"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


TREES = {name_of(path): ast.parse(path.read_text()) for path in FILES}


def imported(name, tree):
    """What a module of the package imports of it when it is loaded."""
    package = name if (ROOT / name.replace(".", "/")).is_dir() else name.rpartition(".")[0]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level == 0 and not re.match(r"unats(\.|$)", base):
                continue
            base = (
                re.sub(r"^unats\.?", "", base)
                if node.level == 0
                else f"{package}.{base}".strip(".")
            )
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                yield inner if inner in TREES else base or "__init__"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("unats."):
                    yield alias.name[6:]


IMPORTS = {name: set(imported(name, tree)) - {name} for name, tree in TREES.items()}


def circle(imports):
    """Modules that import each other in a circle, in order; None: there is none."""
    done = set()

    def walk(name, path):
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for other in sorted(imports.get(name, ())):
                found = walk(other, [*path, name])
                if found:
                    return found
            done.add(name)
        return None

    for name in sorted(imports):
        found = walk(name, [])
        if found:
            return found
    return None


def test_imports_are_found():
    assert "kernels" in IMPORTS["client"]
    assert IMPORTS["outbox"] >= {"outbox.spool", "checks"}
    assert "servers" in IMPORTS["connection"]


def test_no_import_runs_in_a_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle(IMPORTS) is None


def test_the_core_imports_no_feature():
    for name in CORE - {"__init__"}:
        assert IMPORTS[name] <= CORE, name


def test_machine_code_stands_in_one_file():
    found = {
        name_of(path)
        for path in FILES
        if re.search(r"@micropython\.|@(viper|native)", path.read_text())
    }
    assert found == {"kernels", "websocket.kernels", "uart.kernels"}


def test_nothing_imports_what_only_boards_have():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & {"machine", "network"}, name
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in ("machine", "network"), name


@pytest.mark.parametrize("name", sorted(set(TREES) - CORE))
def test_features_use_no_private_name_of_the_client(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr[1] != "_":
            assert ast.unparse(node.value) not in ("nc", "client", "self._nc", "self.nc"), (
                ast.unparse(node)
            )


def test_every_text_can_be_frozen():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value.encode()  # half a surrogate pair could not be
                assert name
