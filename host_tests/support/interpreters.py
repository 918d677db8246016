"""Runs scripts and test suites on MicroPython, each in a process of its own."""

import os
import subprocess

from tools.toolchain import plain_lib

from .paths import DEVICE_PATH, FIRMWARE, LIB, MICROPYTHON, NODE, TOOLS, UNITTEST, needed

UNIX_HEAP = "2M"
TIMEOUT_S = 120


class Finished:
    """A process that came to its end: `code`, and `output` with both of its streams."""

    def __init__(self, completed):
        self.code = completed.returncode
        self.output = completed.stdout

    def __repr__(self):
        return "exit code %s\n%s" % (self.code, self.output)

    def check(self):
        """The output, of a run that went well; AssertionError with all of it otherwise."""
        assert self.code == 0, repr(self)
        return self.output


def unix_environment(lib=LIB):
    """The environment in which the Unix port finds the client, the suites and unittest.

    The frozen modules come last, so that unittest is the same one on every interpreter.
    """
    path = (lib, FIRMWARE, *DEVICE_PATH, UNITTEST, ".frozen")
    return dict(os.environ, MICROPYPATH=":".join(map(str, path)))


def unix_command(*words, heapsize=UNIX_HEAP):
    """The command line that runs the Unix port; words: a script or `-c`, code, and arguments."""
    return [needed(MICROPYTHON), "-X", "heapsize=%s" % heapsize, *map(str, words)]


def _run(command, timeout_s, **options):
    try:
        return Finished(
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="backslashreplace",
                timeout=timeout_s,
                **options,
            )
        )
    except subprocess.TimeoutExpired as e:
        said = (e.stdout or b"").decode(errors="backslashreplace")
        raise AssertionError("%s: no end after %d s\n%s" % (command, timeout_s, said)) from None


def run_micropython(*words, heapsize=UNIX_HEAP, timeout_s=TIMEOUT_S, cwd=None, lib=LIB):
    """Run a script (a path and arguments, or "-c", code, ...) on the Unix port."""
    command = unix_command(*words, heapsize=heapsize)
    return _run(command, timeout_s, env=unix_environment(lib), cwd=cwd)


def run_plain(*words, **options):
    """The same with the client in the plain flavour, whose bounds are checked: no machine code."""
    return run_micropython(*words, lib=plain_lib(), **options)


def run_wasm32(*words, heapsize=1024 * 1024, timeout_s=TIMEOUT_S, cwd=None):
    """Run scripts (paths, or --suite=NAME) on MicroPython with 32-bit words; no sockets there."""
    needed(UNITTEST)
    command = [needed(NODE), str(TOOLS / "wasm.mjs"), "--heap=%d" % heapsize, *map(str, words)]
    return _run(command, timeout_s, cwd=cwd)


def run_suite(name, interpreter):
    """Run a module of host_tests/device on "unix", "plain" or "wasm32"."""
    if interpreter == "wasm32":
        return run_wasm32("--suite=%s" % name)
    needed(UNITTEST)
    run = run_plain if interpreter == "plain" else run_micropython
    return run("-c", "import unittest; unittest.main(%r)" % name)
