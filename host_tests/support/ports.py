"""Ports on loopback for servers that are killed and started again."""

import random
import socket

# Below the range from which the system takes ports for outgoing connections: a client that tries
# again and again to reach a dead server on a port of that range ends up connected to itself.
_RANGE = range(10000, 32000)


def free_port():
    """A port that nobody listened on a moment ago. Whoever takes it must be ready to lose the
    race.
    """
    while True:
        port = random.choice(_RANGE)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
