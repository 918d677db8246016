"""Waiting until the server has all that was queued: see `Client.flush`."""

import utime

from .kernels import ping


def flush(nc, timeout_ms):
    """See `Client.flush`. Does not allocate, once it is loaded."""
    until = nc.deadline(timeout_ms)
    number = -1
    server = None
    while True:
        if number < 0 and nc.connected:
            server, number = nc.server, ping(nc)
        if number >= 0 and (nc.server is not server or nc._pongs >= number or not nc.connected):
            return nc.connected and nc.server is server
        left = nc.left(until)
        if left == 0 or nc.state in ("disconnected", "closed"):
            return False
        nc._turn(utime.ticks_ms(), left)
