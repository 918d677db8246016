"""Publishing what `publish` found no room for: a message that is larger than the transmit buffer, or a mistake."""

from .errors import NotConnected, Timeout
from .kernels import MAX_PAYLOAD, QUEUED, ROOM, check_subject


def send(nc, subject, start, n, data, size, reply, headers):
    """Send a large message behind what is queued, here and now; whether it went. Waits, and allocates.

    If that fails in the middle the connection ends. With a window (see `unats.window`) that has no room for it at
    the moment: not now, False. ValueError: larger than the server takes, or not a subject.
    """
    f = nc._f
    body = len(headers) + size
    if f[ROOM] and body > f[MAX_PAYLOAD]:
        raise ValueError("payload: larger than the server's max_payload, %d bytes" % nc.server.max_payload)
    if subject is not nc._rx:
        check_subject(subject)
    if reply:
        check_subject(reply)
    if not nc.connected or n + len(reply) + body + 36 <= nc.tx_size:
        return False
    words = [b"HPUB" if headers else b"PUB", _bytes(subject[start : start + n])]
    if reply:
        words.append(_bytes(reply))
    if headers:
        words.append(b"%d" % len(headers))
    line = b" ".join(words) + b" %d\r\n" % body
    if not _make_way(nc, len(line) + body):
        return False
    if isinstance(data, str):
        data = data.encode()
    done = False
    try:
        for part, size in ((line, len(line)), (headers, len(headers)), (data, size), (b"\r\n", 2)):
            if not _send_part(nc, part, size):
                return False
        done = True
    finally:  # whatever was raised: nothing may follow half a message
        if not done:
            nc.end("a message was cut off")
    nc.stats.sent(body)
    if nc._window is not None:
        nc._ping()
    return True


def _make_way(nc, n):
    """Send what is queued; whether n bytes more may go now."""
    w = nc._window
    if w is not None:
        nc.drained()
        if nc._f[QUEUED] or not w.fits(n):
            nc._ping()  # so that they may, later
            return False
    until = nc.deadline(nc.connect_timeout_ms)
    while nc._f[QUEUED]:
        if not nc.drained() and not _wait(nc, until):
            return False
    return True


def _send_part(nc, part, n):
    w = nc._window
    until = nc.deadline(nc.connect_timeout_ms)
    at = 0
    while at < n:
        moved = nc.push(part, at, n - at if w is None else min(n - at, w.PIECE))
        at += moved
        if moved:
            until = nc.deadline(nc.connect_timeout_ms)
        elif not _wait(nc, until):
            return False
    return True


def _wait(nc, until):
    """Wait for room; False, and the end of the connection, if there is none to come."""
    if nc.left(until) == 0:
        nc.end("it takes nothing more", Timeout)
    if nc.connected:
        try:
            nc.transport.wait(100, True)
        except OSError as e:
            nc.end(str(e), NotConnected)
    return nc.connected


def _bytes(text):
    return text.encode() if isinstance(text, str) else bytes(text)
