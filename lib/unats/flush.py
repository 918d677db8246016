"""Waiting until the server has all that was queued: see `Client.flush` and `Client.drain`."""

from micropython import const

from .checks import check
from .kernels import ping

_NONE = const(-1)  # no PING is out yet
_DONE = const(-2)
_BROKEN = const(-3)


def flush(nc, timeout_ms):
    """See `Client.flush`. Does not allocate, once it is loaded."""
    check("timeout_ms", timeout_ms, 0)
    until = nc.deadline(timeout_ms)
    if hasattr(nc, "wait"):
        return nc.wait(flushing(nc, until))
    server, number = None, _NONE
    while True:
        server = server or (nc.server if nc.connected else None)
        number = _look(nc, server, number, until)
        if number < _NONE:
            return number == _DONE
        nc.poll(1 if nc.connected and number < 0 else nc.left(until))


def flushing(nc, until):
    """The same as steps (see `unats.waiting`). Allocates."""
    server, number = None, _NONE
    while True:
        server = server or (nc.server if nc.connected else None)
        before, number = number, _look(nc, server, number, until)
        if number < _NONE:
            return number == _DONE
        yield 1 if nc.connected and before < 0 else nc.left(until)


def _look(nc, server, number, until):
    """The PING that was sent, so far; or whether that is it. server: of the connection that it is
    about, this one or the next.
    """
    if server is not None and (nc.server is not server or not nc.connected):
        return _BROKEN
    if number < 0 and nc.connected and not nc._pending:  # behind all subscriptions
        number = ping(nc)
    if 0 <= number <= nc._pongs:
        return _DONE
    if nc.left(until) == 0 or nc.state in ("disconnected", "closed"):
        return _BROKEN
    return number


def drain(nc, timeout_ms):
    """See `Client.drain`: unsubscribe, handle what is under way, send what is queued, close;
    whether that worked.
    """
    check("timeout_ms", timeout_ms, 0)
    from .waiting import wait

    return wait(nc, _draining(nc, nc.deadline(timeout_ms)))


def _draining(nc, until):
    try:
        if not nc.connected:
            return False
        nc.state = "draining"
        lines = [b"UNSUB %d\r\n" % sid for sid in sorted(nc.subscriptions)]
        while lines and nc.connected and nc.left(until):
            if nc.control(lines[-1]):
                lines.pop()
            else:
                yield min(nc.left(until), 10)
        published = -1
        done = not lines
        while done and published != nc.stats.out_msgs:  # handlers may publish, too
            published = nc.stats.out_msgs
            done = yield from flushing(nc, until)
        return done
    finally:  # also when a handler raises, or nobody waits any more
        nc.close()
