"""One process doing one job of the benchmark: which clients and jobs there are, how to run one.

Each has the heap of a simulated board, or more where the payload asks for it. What it costs to
allocate depends on that: the more there is, the longer MicroPython looks for a free place before
it collects.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

from tools import toolchain
from tools.toolchain import LIB, PEERS

HERE = Path(__file__).resolve().parent
_DRIVERS = HERE / "peers"
HEAP = "224K"  # enough for a client that is compiled there, and 200 subscriptions
LARGE_HEAP = "1M"
BLOCK = 65536  # bytes that the traffic source writes at once, at least
MAX_TRAFFIC = 32 << 20  # bytes of one job: below what the server would call a slow consumer
STALL_S = 20  # a client that takes longer than that has lost step

CLIENTS = {  # name: (module in peers/, speaks MQTT, label)
    "unats": ("with_unats", False, "unats"),
    "umqtt": ("with_umqtt", True, "umqtt.simple 1.1"),
    "umqtt_nodelay": ("with_umqtt_nodelay", True, "umqtt.simple, TCP_NODELAY"),
    "umqtt_qos1": ("with_umqtt_qos1", True, "umqtt.simple, QoS 1"),
    "micro_nats": ("with_micro_nats", False, "micro-nats 1.0.2"),
    "bare": ("bare", False, "bare socket"),
}

JOBS = {  # name: title; what is done is said in report.py
    "receive": "Receiving",
    "drain": "Receiving what already waits",
    "written": "Publishing, each handed to the socket",
    "confirmed": "Publishing, each confirmed by the server",
    "coalesced": "Publishing, coalesced",
}
# Variants that matter in these jobs only.
ONLY = {
    "umqtt_nodelay": ("written", "confirmed", "coalesced"),
    "umqtt_qos1": ("confirmed",),
}


class Lost(Exception):
    """A client did not finish a job; the text says how."""


def subjects(subscriptions):
    """As in peers/peer.py."""
    return [f"sensors.{i:05}.temp" for i in range(subscriptions)]


def buffer_size(size):
    """The buffers of all clients that have one: 1 KB, or what the message needs."""
    return 1024 if size <= 512 else size + 1024


def heap_size(size):
    """-X heapsize of every process."""
    return HEAP if size <= 1024 else LARGE_HEAP


def fit(count, size, subscriptions):
    """The count nearest below that the traffic limit allows, a multiple of the subscriptions."""
    count = min(count, MAX_TRAFFIC // (size + 64))
    return max(subscriptions, count // subscriptions * subscriptions)


def interpreter():
    """The command that runs MicroPython.

    It is the package's start script, so that valgrind sees the real program; in a Python without
    `site`, which takes long to start under valgrind.
    """
    return [sys.executable, "-S", toolchain.binary("micropython")]


class Source:
    """Publishes messages round-robin to the subjects, as fast as the server takes them."""

    def __init__(self, port, size, subscriptions, count):
        payload = bytes(97 + i % 26 for i in range(size))
        cycle = b"".join(
            b"PUB %s %d\r\n%s\r\n" % (name.encode(), size, payload)
            for name in subjects(subscriptions)
        )
        self._cycles = count // subscriptions
        self._per_block = max(1, BLOCK // len(cycle))
        self._cycle = cycle
        self._block = cycle * self._per_block
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=STALL_S)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self._socket.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

    def publish(self):
        """Publish all; returns once the server has taken them in."""
        for _ in range(self._cycles // self._per_block):
            self._socket.sendall(self._block)
        self._socket.sendall(self._cycle * (self._cycles % self._per_block) + b"PING\r\n")
        while self._lines.readline() not in (b"PONG\r\n", b""):
            pass

    def close(self):
        self._lines.close()
        self._socket.close()


class Run:
    """One process doing one job: so many messages of a size, on so many subscriptions.

    `prefix` goes before the interpreter, with `env` for its environment: valgrind.
    """

    def __init__(
        self,
        server,
        client,
        job,
        size,
        subscriptions,
        count,
        *,
        prefix=(),
        env=None,
        stall_s=STALL_S,
    ):
        module, mqtt, _ = CLIENTS[client]
        self._server, self._job, self._shape = server, job, (size, subscriptions, count)
        self._stall_s = stall_s
        command = [
            *prefix,
            *interpreter(),
            "-X",
            f"heapsize={heap_size(size)}",
            str(_DRIVERS / "peer.py"),
        ]
        device_job = "receive" if job == "drain" else job
        port = server.mqtt_port if mqtt else server.port
        numbers = port, size, subscriptions, count, buffer_size(size)
        path = [str(LIB), str(_DRIVERS), str(_DRIVERS / "missing"), str(PEERS), ".frozen"]
        self._process = subprocess.Popen(
            [*command, module, device_job, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **(env or {}),
                "MICROPYPATH": os.pathsep.join(path),
                "PYTHONPATH": sysconfig.get_path("purelib"),
            },
        )

    def result(self):
        """{"us": microseconds, "heap": bytes} for all messages together.

        Lost when they did not all arrive.
        """
        timer = threading.Timer(self._stall_s, self._process.kill)
        timer.start()
        try:
            answer = self._talk()
            # Until it has ended by itself: valgrind writes its file then.
            self._process.communicate()
            return answer
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise
        finally:
            timer.cancel()

    def _talk(self):
        self._expect("ready\n")
        taken_before = self._server.messages_in()
        if self._job in ("receive", "drain"):
            self._feed()
        else:
            self._go()
        answer = self._line()
        if self._job != "built":
            self._await_at_server(taken_before + self._shape[2])
        return json.loads(answer)

    def _await_at_server(self, messages):
        """Wait until the server has counted so many: it does that after it has answered."""
        deadline = time.monotonic() + self._stall_s
        while self._server.messages_in() < messages:
            if time.monotonic() > deadline:
                raise Lost("fewer messages at the server than were published")
            time.sleep(0.01)

    def _feed(self):
        source = Source(self._server.port, *self._shape)
        try:
            if self._job == "drain":
                source.publish()
            self._go()
            if self._job == "receive":
                source.publish()
        finally:
            source.close()

    def _go(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def _expect(self, text):
        line = self._line()
        if line != text:
            raise Lost(f"said {line!r}")

    def _line(self):
        line = self._process.stdout.readline()
        if line and not line.startswith("Traceback"):
            return line
        said = (self._process.stdout.read() + self._process.stderr.read()).strip().splitlines()
        code = self._process.wait()
        if code == -signal.SIGKILL:
            raise Lost(f"not done after {self._stall_s} s")
        raise Lost(said[-1] if said else f"ended with {code}")
