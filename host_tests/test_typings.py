"""The type stubs in lib/typings: as the code is, complete, and of use to a typed program."""

import ast
import os
import re
import subprocess
import sys

from support.paths import LIB, SHIM
from tools.toolchain import BUILD

TYPINGS = LIB / "typings"
_PATIENCE_S = 120

# stubtest, with all methods where they are once they have been used.
_STUBTEST = """
import micropython, sys
import unats.msg_extras
import unats.jetstream.consumer
from unats.jetstream import JetStream
from unats.jetstream.methods import _HOMES
for name, home in _HOMES.items():
    module = __import__("unats.jetstream." + home, None, None, (home,))
    setattr(JetStream, name, getattr(module, name))
from mypy.stubtest import main
sys.argv[1:] = ["--ignore-missing-stub", "--allowlist", %r, "unats", "unats_simple"]
sys.exit(main())
"""

# What a stub may leave out of a public class: what only the library itself calls.
_OWN = {
    "Client": {"connection", "count", "wait", "sleep_ms", "register", "modify", "unregister"}
    | {"ipoll", "resubscribe"},
    "JetStream": {"ask", "wait"},
    "ObjectStore": {"meta", "chunks"},
    "Outbox": {"start", "connecting"},
    "Pipelined": {"server", "publish"},
    "Stats": {"sent"},
    "Subscription": {"lines"},
    "Endpoint": {"on_request", "about"},
    "WebSocket": {"prepare"},
}  # fmt: skip


def mypy(*arguments):
    env = dict(
        os.environ, MYPYPATH=str(TYPINGS), PYTHONPATH=os.pathsep.join(map(str, (LIB, SHIM)))
    )
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=BUILD, env=env, capture_output=True,
        text=True, timeout=_PATIENCE_S,
    )  # fmt: skip


def test_they_are_as_the_code_is():
    done = mypy("-c", _STUBTEST % str(TYPINGS / "stubtest_allowlist.txt"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success: no issues found" in done.stdout


def test_a_typed_program_is_right(tmp_path):
    path = TYPINGS / "typed_program.py"
    done = mypy("-m", "mypy", "--strict", "--cache-dir", tmp_path, path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_have_no_wrong_types(tmp_path):
    examples = sorted((LIB / "examples").glob("*.py"))
    done = mypy(
        "-m",
        "mypy",
        "--check-untyped-defs",
        "--ignore-missing-imports",
        "--cache-dir",
        tmp_path,
        *examples,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_program_is_told(tmp_path):
    """The typed program with one thing wrong at a time."""
    text = (TYPINGS / "typed_program.py").read_text()
    for right, wrong, words in (
        ('nc.publish("a", reading)', 'nc.publish("a", 5)', "incompatible type"),
        ("revision: int = kv.put", "revision: str = kv.put", "Incompatible types"),
        ("await jobs.put", "jobs.put", "Incompatible types"),
        ("msg.to_int()", "msg.to_integer()", "has no attribute"),
    ):
        assert text.count(right) == 1, right
        path = tmp_path / "wrong.py"
        path.write_text(text.replace(right, wrong))
        done = mypy("-m", "mypy", "--strict", "--cache-dir", tmp_path, path)
        assert done.returncode == 1 and words in done.stdout, done.stdout


def _methods(tree, of):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == of:
            return {
                inner.name if isinstance(inner, ast.FunctionDef) else target.id
                for inner in node.body
                for target in getattr(inner, "targets", [None])
                if isinstance(inner, (ast.FunctionDef, ast.Assign))
            }
    return set()


def test_they_are_complete():
    """Each public method of a class that has a stub is in it."""
    checked = 0
    for stub in TYPINGS.rglob("*.pyi"):
        source = LIB / stub.relative_to(TYPINGS).with_suffix(".py")
        code, told = ast.parse(source.read_text()), stub.read_text()
        for node in ast.parse(told).body:
            if isinstance(node, ast.ClassDef):
                names = {n for n in _methods(code, node.name) if not n.startswith("_")}
                for name in names - _OWN.get(node.name, set()):
                    assert re.search(r"\b%s\b" % name, told), (stub, node.name, name)
                    checked += 1
    assert checked > 100
