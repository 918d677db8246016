"""Hands the connections of boards on serial lines on to a NATS server: the other end of
`unats.uart`, where the frames are described.

    make bridge PORT="/dev/ttyACM0 /dev/ttyUSB0" SERVER=nats://192.168.1.10:4222

A port that is not there, or goes away, is waited for. What a board prints is shown. SERVER may be
`tls://host:port` (CA=ca.pem, where the system does not know who has signed for it), and several
with commas between them, of which the first one that answers is taken.
"""

import argparse
import asyncio
import contextlib
import errno
import json
import os
import re
import signal
import ssl
import time
import urllib.parse
import zlib
from collections import deque

import serial

from tools.console import Console
from tools.run import address
from tools.toolchain import ToolError

OPEN, DATA, PING, ACK, CLOSE = b"ODPAC"
VERSION = 1
LONGEST = 128  # bytes of payload

_FLAG = b"\x7e"
_ESCAPED = re.compile(rb"[\x00-\x1f\x7d\x7e]")
_ESCAPE = re.compile(rb"\x7d(.)", re.S)
_HEAD, _CRC = 5, 4
_STILL_S = 1  # then a PING goes out;
_LATE_S = 0.25  # or sooner, when an acknowledgement is due
_PORT_S = 0.5  # between looks whether there is a port
_CONNECT_S = 5
_MODULO = 256
_MOST_TEXT = 4096  # of what is no frame


def frame(kind, number, seq, ack, payload=b""):
    """It, flags and all."""
    data = bytes([kind]) + number.to_bytes(2, "big") + bytes([seq, ack]) + payload
    data += zlib.crc32(data).to_bytes(_CRC, "little")
    return _FLAG + _ESCAPED.sub(lambda c: bytes([0x7D, c[0][0] ^ 32]), data) + _FLAG


def unframe(part):
    """(kind, id, seq, ack, payload) of what is between flags; None: it is no frame."""
    data = _ESCAPE.sub(lambda c: bytes([c[1][0] ^ 32]), part)
    body, crc = data[:-_CRC], data[-_CRC:]
    if len(body) < _HEAD or zlib.crc32(body) != int.from_bytes(crc, "little"):
        return None
    return body[0], int.from_bytes(body[1:3], "big"), body[3], body[4], body[_HEAD:]


class Server:
    """Where connections go to. ToolError: it is no such URL."""

    def __init__(self, url, ca=None):
        try:
            self.url = address.parse(url.strip(), ("nats", "tls"))
            if address.secrets(self.url):
                raise ValueError
        except ValueError:
            raise ToolError(
                "SERVER: give nats://host:4222 or tls://host:4222; boards log in themselves"
            ) from None
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port or 4222
        self._tls = None
        if parts.scheme == "tls":
            try:
                self._tls = ssl.create_default_context(cafile=ca)
            except OSError as e:
                raise ToolError(f"CA: {ca} can not be read as PEM: {e}") from None

    async def open(self):
        """(reader, writer, what has been read of it already). OSError."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.create_connection(lambda: protocol, self.host, self.port)
        told = b""
        try:
            if self._tls is not None:
                info = await reader.readline()
                transport = await loop.start_tls(
                    transport, protocol, self._tls, server_hostname=self.host
                )
                told = _without_tls(info)
        except BaseException:
            transport.abort()
            raise
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop), told


def _without_tls(info):
    """A server's INFO as the board is to see it: over its line there is none."""
    try:
        fields = json.loads(info[5:])
        fields["tls_required"] = fields["tls_available"] = False
    except (ValueError, TypeError):
        raise ConnectionError("what answers there is no NATS server") from None
    return b"INFO " + json.dumps(fields).encode() + b"\r\n"


def _why(error):
    """An exception in a few words."""
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", None) or error.reason or str(error)
    known = isinstance(error, OSError) and error.errno in errno.errorcode
    return os.strerror(error.errno) if known else str(error) or type(error).__name__


class Connection:
    """One of a board's: `send(kind, seq, ack, payload)` is the way to it, `room` how many bytes of
    DATA may be on that way; `say(text)` tells the person.
    """

    def __init__(self, number, room, servers, send, say):
        self.id = number
        self._room = room
        self._servers = servers
        self._transmit = send
        self._say = say
        self._seq = self._expected = 0
        self._ahead = deque()  # the sizes of DATA that is not acknowledged
        self._acked = asyncio.Event()
        self._up = asyncio.Queue()
        self._heard = True  # something, since the last PING
        self._still = True
        self.is_open = self.is_used = False
        self._task = asyncio.create_task(self._run())

    def send(self, kind, payload=b""):
        size = self._transmit(kind, self.id, self._seq, self._expected, payload)
        self._still = False
        return size

    def stop(self):
        """End it; nothing more is said to the board."""
        self.is_open = False
        self._task.cancel()

    async def _run(self):
        why = "the bridge has a bug"
        try:
            why = await self._serve()
        except asyncio.CancelledError:
            why = None
            raise
        finally:
            self.is_open = False
            if why:
                self._say(why)
                self.send(CLOSE, why.encode()[:LONGEST])

    async def _serve(self):
        """Why it has ended."""
        for server in self._servers:
            try:
                reader, writer, told = await asyncio.wait_for(server.open(), _CONNECT_S)
                break
            except (OSError, ValueError, asyncio.TimeoutError) as e:
                why = f"{server.url}: {_why(e)}"
        else:
            return why
        self.is_open = True
        self._say(f"connected to {server.url}")
        self.send(OPEN)
        tasks = [
            asyncio.create_task(work)
            for work in (self._down(reader, told), self._to_server(writer), self._keep_alive())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except (OSError, ValueError) as e:
            return f"{server.url}: {_why(e)}"
        finally:
            for task in tasks:
                task.cancel()
            writer.close()

    async def _down(self, reader, told):
        """From the server to the board."""
        while True:
            data = told or await reader.read(LONGEST * 16)
            told = b""
            if not data:
                return "the server has closed the connection"
            while data:
                n = min(len(data), LONGEST)
                while (size := self._size(data[:n])) > self._room and n > 1:
                    n -= 16 if n > 16 else 1
                while self._ahead and sum(self._ahead) + size > self._room:
                    self._acked.clear()
                    await self._acked.wait()
                self._ahead.append(self.send(DATA, data[:n]))
                self._seq = (self._seq + 1) % _MODULO
                data = data[n:]

    def _size(self, payload):
        return len(frame(DATA, self.id, self._seq, self._expected, payload))

    async def _to_server(self, writer):
        """From the board to the server; what the server has room for is acknowledged."""
        while True:
            data = await self._up.get()
            if not data:
                return "the board has closed it"
            while not self._up.empty():
                more = self._up.get_nowait()
                if not more:
                    self._up.put_nowait(more)
                    break
                data += more
            writer.write(data)
            await writer.drain()
            self.send(ACK)

    async def _keep_alive(self):
        """So that each side hears of what was lost, and that the other one is there."""
        while True:
            self._still = True
            await asyncio.sleep(_LATE_S if self._ahead else _STILL_S)
            if self._heard and self._still:
                self._heard = False
                self.send(PING)

    def take(self, kind, seq, ack, payload):
        """A frame of it has come."""
        ahead = (self._seq - ack) % _MODULO
        if seq != self._expected or ahead > len(self._ahead):
            self._lost("bytes were lost on the line")
            return
        while len(self._ahead) > ahead:
            self._ahead.popleft()
            self._acked.set()
        self._heard = self.is_used = True
        if kind == DATA:
            self._expected = (self._expected + 1) % _MODULO
            self._up.put_nowait(payload)
        elif kind == CLOSE:
            self._up.put_nowait(b"")

    def _lost(self, why):
        self._say(why)
        self.stop()
        self.send(CLOSE, why.encode())


class Line:
    """A port, and the board at its other end."""

    def __init__(self, port, baud, servers, console):
        self._port, self._baud = port, baud
        self._servers = servers
        self._console = console
        self._file = None
        self._connection = None
        self._part = b""  # what has come of a frame
        self._text = ""  # ... and of a line of text
        self._out = bytearray()
        self._closed = None

    def say(self, text, *styles):
        self._console.line(f"{time.strftime('%H:%M:%S')}  {self._port}  {text}", *styles)

    async def run(self):
        told = False
        while True:
            try:
                self._file = serial.Serial(self._port, self._baud, timeout=0, exclusive=True)
            except (OSError, ValueError) as e:
                if not told:
                    self.say(f"not there, waiting: {_why(e)}", "yellow")
                told = True
                await asyncio.sleep(_PORT_S)
                continue
            told = False
            self.say("open; waiting for the board")
            await self._serve()

    async def _serve(self):
        """Until the port goes away."""
        loop = asyncio.get_running_loop()
        fd = self._file.fileno()
        self._closed = loop.create_future()
        self._part, self._text = b"", ""
        self._out.clear()
        loop.add_reader(fd, self._readable, fd)
        try:
            why = await self._closed
            self.say(f"the port has gone: {why}", "yellow")
        finally:
            loop.remove_reader(fd)
            loop.remove_writer(fd)
            self._drop()
            with contextlib.suppress(OSError):
                self._file.close()

    def _gone(self, why):
        if not self._closed.done():
            self._closed.set_result(why)

    def _readable(self, fd):
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        except OSError as e:
            data, why = b"", _why(e)
        else:
            why = "nothing is there any more"
        if not data:
            self._gone(why)
            return
        *parts, self._part = (self._part + data).split(_FLAG)
        for part in parts:
            found = unframe(part)
            if found:
                self._take(*found)
            else:
                self._show(part)
        if len(self._part) > _MOST_TEXT or b"\n" in self._part:  # no frame has that
            self._show(self._part)
            self._part = b""

    def _show(self, part):
        """What is no frame: text of the board's, or a frame that was damaged."""
        try:
            text = part.decode()
        except ValueError:
            return
        *lines, self._text = (self._text + text).split("\n")
        self._text = self._text[-_MOST_TEXT:]
        for line in lines:
            line = "".join(c if c.isprintable() else "?" for c in line.rstrip())
            self.say(f"board: {line}", "dim")

    def _take(self, kind, number, seq, ack, payload):
        connection = self._connection
        ours = connection is not None and connection.id == number
        if kind == OPEN:
            if ours and not connection.is_used:  # the board has asked again
                if connection.is_open:
                    connection.send(OPEN)
                return
            self._open(number, payload)
        elif ours and connection.is_open:
            connection.take(kind, seq, ack, payload)
        elif kind != CLOSE:
            self._send(CLOSE, number, ack, seq, b"no such connection")

    def _open(self, number, payload):
        if self._connection is not None and self._connection.is_open:
            self.say("the board was reset, or has given the connection up", "yellow")
        self._drop()
        if len(payload) != 3 or payload[0] != VERSION:
            self._send(CLOSE, number, 0, 0, b"update it, or the board: it speaks another version")
            return
        room = int.from_bytes(payload[1:], "big")
        self._connection = Connection(number, room, self._servers, self._send, self.say)

    def _drop(self):
        if self._connection is not None:
            self._connection.stop()
            self._connection = None

    def _send(self, kind, number, seq, ack, payload):
        """Have a frame go out; its size."""
        data = frame(kind, number, seq, ack, payload)
        if not self._closed.done():
            waits = bool(self._out)
            self._out += data
            if not waits:
                self._writable(self._file.fileno())
        return len(data)

    def _writable(self, fd):
        loop = asyncio.get_running_loop()
        try:
            n = os.write(fd, self._out)
        except BlockingIOError:
            n = 0
        except OSError as e:
            self._gone(_why(e))
            return
        del self._out[:n]
        if self._out:
            loop.add_writer(fd, self._writable, fd)
        else:
            loop.remove_writer(fd)


async def bridge(ports, baud, servers, console):
    """Serve these ports until SIGINT or SIGTERM."""
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    tasks = [asyncio.create_task(Line(port, baud, servers, console).run()) for port in ports]
    ended = asyncio.create_task(over.wait())
    done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done - {ended}:
        task.result()  # what it raised


def main():
    parser = argparse.ArgumentParser(prog="bridge", description=__doc__.split("\n\n")[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--ca", help="a PEM file, for tls://")
    parser.add_argument("--baud", type=int, default=115200)
    parser.add_argument("ports", nargs="+")
    options = parser.parse_args()
    try:
        servers = [Server(url, options.ca) for url in options.server.split(",")]
    except ToolError as e:
        raise SystemExit(f"bridge: {e}") from None
    asyncio.run(bridge(options.ports, options.baud, servers, Console()))


if __name__ == "__main__":
    main()
