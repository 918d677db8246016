"""Waiting until the server has all that was queued: see `Client.flush` and `Client.drain`."""

from .checks import check
from .kernels import ping


def flush(nc, timeout_ms):
    """See `Client.flush`. Does not allocate, once it is loaded."""
    check("timeout_ms", timeout_ms, 0)
    until = nc.deadline(timeout_ms)
    number = -1
    server = None  # of the connection that it is about: this one, or the next
    while True:
        if server is None and nc.connected:
            server = nc.server
        if server is not None and (nc.server is not server or not nc.connected):
            return False
        if number < 0 and nc.connected and not nc._pending:  # behind all subscriptions
            number = ping(nc)
        if 0 <= number <= nc._pongs:
            return True
        left = nc.left(until)
        if left == 0 or nc.state in ("disconnected", "closed"):
            return False
        nc.poll(1 if nc.connected and number < 0 else left)


def drain(nc, timeout_ms):
    """See `Client.drain`: unsubscribe, handle what is under way, send what is queued, close;
    whether that worked.
    """
    check("timeout_ms", timeout_ms, 0)
    until = nc.deadline(timeout_ms)
    try:
        if not nc.connected:
            return False
        nc.state = "draining"
        lines = [b"UNSUB %d\r\n" % sid for sid in sorted(nc.subscriptions)]
        while lines and nc.connected and nc.left(until):
            if nc.control(lines[-1]):
                lines.pop()
            else:
                nc.poll(min(nc.left(until), 10))
        published = -1
        done = not lines
        while done and published != nc.stats.out_msgs:  # handlers may publish, too
            published = nc.stats.out_msgs
            done = flush(nc, nc.left(until))
        return done
    finally:  # also when a handler raises
        nc.close()
