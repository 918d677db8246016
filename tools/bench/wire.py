"""What it takes on the wire to wake up, send a reading, have it confirmed, and leave: `make wire`.

In one run, on one nats-server (JetStream and MQTT), each client on MicroPython's Unix port through
the same counting relay: this client with its outbox, its device application as it is, and
umqtt.simple with QoS 1 publishing the same readings. Prints a table. Linux, since the kernel is
asked for the segments.

How the round trips are counted. Opening the TCP connection is one. From then on every time that
the client has to wait for the server is one: for INFO, for PONG or an acknowledgement, and, unless
the client has set TCP_NODELAY, for the kernel at the other end to acknowledge a segment before a
second small one may leave (Nagle's algorithm, RFC 896). So with TCP_NODELAY it is the number of
times that the client sent after having been sent something, and without it every segment of the
client's is one. What it sends after the last confirmation, it does not wait for. On loopback a
segment is acknowledged before the client can write again, which no real link does; so the relay
has its kernel delay acknowledgements (TCP_QUICKACK off), as it would for a peer that is further
away.

    make wire [ARGS='--readings 4']
"""

import argparse
import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import nats
from nats.js.api import StreamConfig

from tools.run.simulation import Board
from tools.toolchain import LIB, PEERS, Server, ToolError, binary

HERE = Path(__file__).resolve().parent / "wake"
STREAM = "READINGS"
_PATIENCE_S = 30
_SEGMENTS = struct.Struct("II")  # struct tcp_info of linux/tcp.h: tcpi_segs_out, tcpi_segs_in,
_SEGMENTS_AT = 136
_DATA_SEGMENTS_AT = 152  # ... and tcpi_data_segs_in, tcpi_data_segs_out
_TCP_INFO_SIZE = 160

NODELAY = {"unats": True, "umqtt": False}  # whether the client sets it


class Count:
    """One connection, as the server's end sees it.

    `turns`: for each time that the client was answered, how many segments with data it had sent
    since the last time (0: the server spoke first).
    """

    def __init__(self):
        self.turns = []
        self.up = self.down = 0  # bytes
        self.data_up = self.data_down = 0  # segments with data,
        self.segments = 0  # ... and all of them, both ways
        self._seen = 0
        self._answered = True  # whether what the client said last was

    def from_client(self, n):
        self.up += n
        self._answered = False

    def from_server(self, n, data_up):
        self.down += n
        if self._answered and self.turns:
            return
        self.turns.append(data_up - self._seen)
        self._seen = data_up
        self._answered = True

    def close(self, segments, data_up, data_down):
        self.segments, self.data_up, self.data_down = segments, data_up, data_down

    def round_trips(self, nodelay):
        """See above."""
        return 1 + sum(1 if nodelay else max(n, 1) for n in self.turns)


class Relay:
    """Forwards one connection after the other to a port on loopback, and counts.

    `counts` has them all.
    """

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        _delay_acknowledgements(self._listener)  # passed on to the connections that it accepts
        self.port = self._listener.getsockname()[1]
        self.counts = []
        self._done = threading.Condition()
        self._finished = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def next_count(self):
        """The connection after those asked for so far, once it is over."""
        with self._done:
            wanted = self._finished + 1
            if not self._done.wait_for(lambda: len(self.counts) >= wanted, _PATIENCE_S):
                raise ToolError("the client did not get to its end")
            self._finished = wanted
            return self.counts[wanted - 1]

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                self._serve(self._listener.accept()[0])

    def _serve(self, client):
        count = Count()
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._answer, args=(server, client, count))
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    _delay_acknowledgements(client)
                    count.from_client(len(data))
                    server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()
            segments, data_up, data_down = segments_of(client)
            count.close(segments, data_up, data_down)
        with self._done:
            self.counts.append(count)
            self._done.notify_all()

    def _answer(self, server, client, count):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                count.from_server(len(data), segments_of(client)[1])
                client.sendall(data)


def _delay_acknowledgements(sock):
    """See the top. To be said again and again: the kernel has a mind of its own."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)


def segments_of(sock):
    """(segments both ways, segments with data that came in, and that went out) of a TCP socket."""
    if sys.platform != "linux":
        raise ToolError("segments can be counted on Linux only")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    data_in, data_out = _SEGMENTS.unpack_from(info, _DATA_SEGMENTS_AT)
    return sum(_SEGMENTS.unpack_from(info, _SEGMENTS_AT)), data_in, data_out


async def _make_stream(port):
    nc = await nats.connect(f"nats://127.0.0.1:{port}")
    await nc.jetstream().add_stream(StreamConfig(name=STREAM, subjects=["sensors.>"]))
    await nc.close()


def run_script(name, port, *words):
    """Run wake/<name>.py on MicroPython to its end."""
    env = dict(os.environ, MICROPYPATH=f"{LIB}:{PEERS}:.frozen")
    command = [binary("micropython"), str(HERE / f"{name}.py"), str(port), *map(str, words)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_PATIENCE_S)
    if done.returncode:
        raise ToolError(f"{name} failed:\n{done.stdout}{done.stderr}")


def run_application(port, outbox):
    """One wake of the device application, whose four sensors are read, until it sleeps."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "reset-cause").write_text("deep sleep")
        board = Board(
            "greenhouse-7", folder, f"nats://127.0.0.1:{port}", outbox=outbox, sleep_s=60
        )
        try:
            board.wait(_PATIENCE_S)
            if board.asleep_s != 60:
                raise ToolError(f"the application does not sleep:\n{board.tail()}")
        finally:
            board.stop()


def measure(readings):
    """[(label, client, Count)] of all that is compared."""
    rows = []
    with Server(mqtt=True) as server, Relay(server.port) as relay, Relay(server.mqtt_port) as mqtt:
        asyncio.run(_make_stream(server.port))
        for n in sorted({1, readings}):
            many = "1 reading" if n == 1 else f"{n} readings"
            for label, name, relay_used, words in (
                (f"{many}, unats, stored in a stream", "with_unats", relay, ("early", n)),
                (
                    f"{many}, unats, not with CONNECT",
                    "with_unats",
                    relay,
                    ("stream", n),
                ),
                (f'{many}, unats, ack="none"', "with_unats", relay, ("none", n)),
                (f"{many}, umqtt.simple, QoS 1", "with_umqtt", mqtt, (n,)),
            ):
                run_script(name, relay_used.port, *words)
                rows.append((label, name[5:], relay_used.next_count()))
        for outbox in ("stream", "none"):
            run_application(relay.port, outbox)
            rows.append(
                (f'application, 4 readings, outbox "{outbox}"', "unats", relay.next_count())
            )
    return rows


def table(rows):
    """The rows as Markdown."""
    lines = [
        (
            "| from opening the connection to closing it | round trips "
            "| segments with data, out + in | all segments | bytes out + in |"
        ),
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for label, client, count in rows:
        trips = count.round_trips(NODELAY[client])
        data = f"{count.data_up} + {count.data_down}"
        lines.append(
            f"| {label} | {trips} | {data} | {count.segments} | {count.up} + {count.down} |"
        )
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--readings",
        type=int,
        default=4,
        help="how many there are in the second half (default: 4)",
    )
    options = parser.parse_args(argv)
    try:
        print(table(measure(options.readings)))
    except ToolError as error:
        sys.exit(f"wire: {error}")


if __name__ == "__main__":
    main()
