"""A TCP server that does to its clients whatever the test says."""

import contextlib
import socket
import struct
import threading

_PATIENCE_S = 30


class Connection:
    """The server's end of one connection, for the test's script. Every wait ends when the server
    stops.
    """

    def __init__(self, sock):
        self._socket = sock
        sock.settimeout(_PATIENCE_S)
        self.received = b""  # all of it
        self._seen = 0  # how much of it `until` has passed

    def send(self, data):
        self._socket.sendall(data)

    def send_each(self, data):
        """Byte by byte, each in a segment of its own."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            self._socket.sendall(bytes([byte]))

    def until(self, text):
        """Read until this text has come; return what came with it."""
        while True:
            found = self.received.find(text, self._seen)
            if found >= 0:
                passed = self.received[self._seen : found + len(text)]
                self._seen = found + len(text)
                return passed
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError(
                    "closed while waiting for %r, after %r" % (text, self.received)
                )
            self.received += data

    def handshake(
        self,
        info=b'INFO {"server_id":"HOSTILE","version":"2.15.1","max_payload":1048576,"headers":true}\r\n',  # noqa: E501
    ):
        """INFO, and PONG for the client's PING."""
        self.send(info)
        self.until(b"PING\r\n")
        self.send(b"PONG\r\n")

    def secure(self, context):
        """From here on TLS, by this ssl.SSLContext of a server; what was received in clear is
        forgotten.
        """
        self._socket = context.wrap_socket(self._socket, server_side=True)
        self.received, self._seen = b"", 0

    def hold(self):
        """Read on, answer nothing, until the client closes."""
        while True:
            data = self._socket.recv(65536)
            if not data:
                return
            self.received += data

    def half_close(self):
        """FIN, while reading goes on."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self):
        self._socket.close()


class HostileServer:
    """Plays scripts to those who connect: functions of a Connection, run in a thread for each.

    The first script is for the first connection and so on; the last one goes on for all others.
    When a script returns the connection is closed. `connections` holds them in order; an exception
    of a script other than the connection's end is raised by `stop`, which leaving the `with` block
    calls.
    """

    def __init__(self, *scripts):
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self._listener.getsockname()[1]
        self.connections = []
        self._failures = []
        self._threads = []
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self):
        return "nats://127.0.0.1:%d" % self.port

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # stopped
            if self._stopping:
                sock.close()
                return
            script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
            connection = Connection(sock)
            self.connections.append(connection)
            thread = threading.Thread(target=self._play, args=(script, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script, connection):
        try:
            script(connection)
        except OSError as e:
            # The client went away: that is the test's to judge. Silence that never ends is not.
            if isinstance(e, TimeoutError) and not self._stopping:
                self._failures.append(e)
        except Exception as e:
            self._failures.append(e)
        finally:
            connection.close()

    def stop(self):
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection._socket.shutdown(socket.SHUT_RDWR)  # wakes recv
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
