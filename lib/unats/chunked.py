"""Publishing what `publish` found no room for: a message that is larger than the transmit buffer,
or a mistake.

`publish` leaves subject, reply subject, headers, payload, its size and that of the subject in
`nc._rest`, calls `begin`, queues the control line, and calls `send`, which sends the rest from
where it lies. Once loaded, nothing here allocates.
"""

from .checks import check_subject
from .kernels import MAX_PAYLOAD, QUEUED, ROOM, SENT, attempt, drained, ping, push


def begin(nc):
    """Send what is queued; whether a large message may go now. Waits. ValueError: larger than the
    server takes, or no subject.

    With a window (see `unats.window`) it waits for room there, and so receives, unless a handler
    publishes it.
    """
    n = _check(nc, nc._rest)
    return nc.connected and (nc._window is None or _make_way(nc, nc._window, n)) and _sent(nc)


def _make_way(nc, w, n):
    """Wait until the window has room for n bytes: no PING can go, and so no PONG come, in the
    middle of a message.
    """
    if not w.fits(n, 0):
        nc.last_error = nc.connection().error(
            "Error", "message of %d bytes: too large for this board, send it in parts" % n
        )
        return False
    rest, nc._rest = nc._rest, [None] * 8  # handlers may publish
    until = nc.deadline(nc.connect_timeout_ms)
    while nc.connected and (nc._f[QUEUED] or not w.fits(n)):
        drained(nc)
        if w.tail > 0:
            ping(nc)
        if nc.left(until) == 0 or w.handler:
            break
        nc.poll(min(nc.left(until), 20))
    nc._rest = rest
    return nc.connected and nc._f[QUEUED] == 0 and w.fits(n)


def _check(nc, rest):
    """ValueError: a mistake; else about how many bytes the message has."""
    body = rest[4] + len(rest[2])
    line = rest[5] + len(rest[1]) + 36
    if nc._f[ROOM] and body > nc._f[MAX_PAYLOAD]:
        raise ValueError(
            "payload: larger than the server's max_payload, %d bytes" % nc.server.max_payload
        )
    if not nc.connected:
        if rest[0] is not nc._rx:
            check_subject(rest[0])
        if rest[1]:
            check_subject(rest[1])
    elif line > nc.tx_size:
        raise ValueError("subject: too long for tx_size")
    if isinstance(rest[3], str):
        rest[3] = rest[3].encode()
    return line + body


def send(nc):
    """Send the rest, behind the control line; whether that went. If it fails in the middle the
    connection ends.
    """
    done = False
    try:
        done = _send(nc)
        return done
    finally:  # whatever was raised: nothing may follow half a message
        if not done:  # and its control line goes out with it, or not at all
            nc._f[QUEUED] = nc._f[SENT] = 0
            nc.end("a message was cut off")


def _send(nc):
    if _sent(nc) and _push(nc, 2, len(nc._rest[2])) and _push(nc, 3, nc._rest[4]):
        nc._rest[3] = b"\r\n"
        if _push(nc, 3, 2):
            if nc._window is not None:
                ping(nc)
            return True
    nc.stats.dropped += 1
    return False


def _sent(nc):
    """Send all that is queued."""
    until = nc.deadline(nc.connect_timeout_ms)
    while nc._f[QUEUED]:
        if not drained(nc) and not _wait(nc, until):
            return False
    return True


def _push(nc, i, n):
    """Send the n bytes of a part."""
    at = moved = 1
    while n:
        if moved:
            until = nc.deadline(nc.connect_timeout_ms)
        elif not _wait(nc, until):
            return False
        moved = push(nc, nc._rest[i], at - 1, n)
        if nc._window is not None and 0 < moved < n:
            nc._window.partly()
        at += moved
        n -= moved
    return True


def _wait(nc, until):
    """Wait for room; False, and the end of the connection, if there is none to come."""
    if nc.left(until) == 0:
        nc.end("it takes nothing more", "Timeout")
    if nc.connected:
        attempt(nc, True, 100, -1)
    return nc.connected
