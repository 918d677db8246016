"""The independent other side: the official JavaScript clients, on Node.js."""

import base64
import json
import subprocess
from pathlib import Path

from .paths import BROWSER, NODE, needed

_STALL_S = 60


class JavaScriptError(Exception):
    """What the code raised: the error's name and text."""


class JavaScript:
    """official.mjs on Node.js, connected.

    with JavaScript(server.url) as node:
        node("kept.kv = await new kv.Kvm(nc).create('B')")
        node("return await kept.kv.put('a', bytes(%s))", b"1")       # 1
    """

    script = "official.mjs"

    def __init__(self, url):
        self._arguments = [needed(NODE.with_name("node_modules")), url]

    def __enter__(self):
        script = str(Path(__file__).with_name(self.script))
        self._process = subprocess.Popen(
            [needed(NODE), script, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(_STALL_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def __call__(self, code, *values):
        """What the code, the body of an async function, returns; JavaScriptError: it threw.

        values are put in for %s: as JSON, bytes as base64.
        """
        self.start(code, *values)
        return self.result()

    def start(self, code, *values):
        """Have it run the code; `result` waits for the end."""
        code = code % tuple(map(_literal, values)) if values else code
        self._process.stdin.write(json.dumps({"code": code}) + "\n")
        self._process.stdin.flush()

    def result(self):
        answer = json.loads(self._process.stdout.readline(), object_hook=_bytes)
        if "error" in answer:
            raise JavaScriptError(answer["error"])
        return answer["value"]


def _literal(value):
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    return json.dumps(value)


def _bytes(found):
    return base64.b64decode(found["base64"]) if set(found) == {"base64"} else found


class Browser(JavaScript):
    """browser.mjs on Node.js: a headless Chromium, for whose code `page` is puppeteer's, and
    `errors` what the page has logged as an error.
    """

    script = "browser.mjs"

    def __init__(self):
        self._arguments = [needed(BROWSER)]
