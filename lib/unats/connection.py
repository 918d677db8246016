"""How a connection is made and lost. Loaded for that, and given back once the client is up: see
`servers.give_back`.

A connection goes through these phases, one step a turn, and never blocks in one of them:

    IDLE -> (RESOLVING) -> OPENING -> INFO -> HELLO -> UP
      ^          |            |         |       |       |     any failure: `lost`, a wait, the next
                 attempt
      +----------+------------+---------+-------+-------+

An address is good once NATS has answered there, which is the first PONG. Whatever goes wrong
before that has the next address of the name tried, and then the name resolved again. Sources: NATS
protocol; ADR-40 for the behaviour. All of this allocates.
"""

import utime
from micropython import const

from .kernels import END, MAX_PAYLOAD, POS, QUEUED, ROOM, SENT, copy, exchange, push, read_line
from .servers import clear, connect_line, give_back, is_address, next_server, read_info, wait_ms
from .state import Info

_UP = const(0)  # values of nc._phase
_IDLE = const(1)
_RESOLVING = const(2)
_OPENING = const(3)
_INFO = const(4)
_HELLO = const(5)

_MAX_TEXT = const(16384)  # of an INFO
_SETTLED_MS = const(2000)  # a connection that broke before that counts as a failed attempt
_LARGEST = const(0x3FFFFFFF)


def error(kind, *args):
    """The exception of that name in `errors.py`, which is loaded when there is one."""
    from . import errors

    return getattr(errors, kind)(*args)


def connect(nc, timeout_ms, wait):
    """See `Client.connect`."""
    if wait:
        steps = connecting(nc, timeout_ms)
        try:
            for left in steps:
                nc.poll(left)
        finally:
            steps.close()
    elif nc._phase != _UP:
        if nc.state != "reconnecting":
            nc.state = "connecting"
        if nc._phase == _IDLE:
            nc._deadline = nc.deadline(0)
        nc._order[5] = 0


def connecting(nc, timeout_ms):
    """The steps of connecting: see `unats.waiting`."""
    connect(nc, None, False)
    until = None if timeout_ms is None else nc.deadline(timeout_ms)
    try:
        while nc._phase != _UP:
            left = 1000 if until is None else nc.left(until)
            if left == 0:
                nc.last_error = error("Timeout", "not connected in time")
            if left == 0 or nc._order[5] >= len(nc._servers) or nc.state == "closed":
                raise nc.last_error or error("NotConnected", "it was closed")
            yield left
    finally:
        if nc._phase != _UP:
            _leave(nc)
            nc.state = "closed" if nc.state == "closed" else "disconnected"


def turn(nc, left, wait):
    """A turn of a client that is not up; left: ms until there is something to be done. Returns how
    many messages came.
    """
    phase = nc._phase
    if phase == _IDLE and nc.state != "connecting" and nc.state != "reconnecting":
        sleep_ms(nc, wait)
        return 0
    wait = min(left, wait)
    left = nc.left(nc._deadline)
    if phase == _IDLE:
        sleep_ms(nc, wait) if left else _open(nc)
        return 0
    if left == 0 or (phase <= _OPENING and nc._broken is not None):
        lost(nc, nc._broken or error("Timeout", "%s: no answer in time" % nc.current))
        return 0
    if phase <= _OPENING:
        ready(nc, wait)
        return 0
    try:
        if phase == _HELLO:
            _hello(nc)
        n = exchange(nc, wait)
        if nc._phase == _HELLO and not nc._chunk and nc._pongs >= nc._pings > 0:
            if nc._broken is None:
                connected(nc)
    finally:
        if nc._phase != _UP:
            nc._f[ROOM] = 0
    if nc._broken is not None and n == 0 and nc._phase > _OPENING:
        lost(nc, nc._broken)
    return n


def sleep_ms(nc, left):
    """There is nothing to wait for but time. A client may have a way of its own."""
    getattr(nc, "sleep_ms", utime.sleep_ms)(left)


def _hello(nc):
    """Send what goes out before all else."""
    n = 1
    try:
        while nc._chunk and n:
            n = push(nc, nc._chunk, 0, len(nc._chunk))
            nc._chunk = nc._chunk[n:] or next(nc._chunks, b"")
    except MemoryError as e:
        nc._broken = e
    if not nc._chunk:  # a message may come before the first PONG, and its handler may publish
        nc._f[ROOM] = nc.tx_size


def _open(nc):
    """Begin an attempt: with the next address of the server at hand, or with the next server."""
    server = nc.current
    if nc._order[4] or not server.addresses:
        server = next_server(nc)
    nc._order[4] = False
    nc._phase = _OPENING
    nc._deadline = nc.deadline(nc.connect_timeout_ms)
    nc.server = Info()
    try:
        if not server.addresses and nc.resolver is not None and not is_address(server.host):
            nc._phase = _RESOLVING
            nc.resolver.start(server.host)
            return
        if not server.addresses:
            resolve = getattr(nc.transport, "resolve", None)
            server.addresses = resolve(server.host, server.port) if resolve else (server.host,)
        nc.transport.open(server.addresses[0], server.port)
    except (OSError, MemoryError) as e:
        lost(nc, e)


def ready(nc, wait):
    """Wait for the addresses of a name, or for the connection."""
    try:
        if nc._phase == _RESOLVING:
            found = nc.resolver.poll()
            if found:
                nc._phase = _OPENING
                nc.current.addresses = found
                nc.transport.open(found[0], nc.current.port)
            else:
                sleep_ms(nc, min(wait, 10))
        elif nc.transport.ready():
            nc._phase = _INFO
            nc._deaf = False
        else:
            nc.transport.wait(wait, True)
    except (OSError, MemoryError) as e:
        lost(nc, e)


def text(nc):
    """INFO or -ERR, which may be longer than the buffer; returns as `kernels.dispatch_all` wants
    it.
    """
    told = None
    try:
        line = nc._text = nc._text + read_line(nc._rx, nc._f)
        verb = line[:5].lower()
        ended = line[-1:] == b"\n"
        if (
            len(line) > _MAX_TEXT
            or ((ended or len(verb) == 5) and verb[:4] not in (b"info", b"-err"))
            or verb[4:] not in b" \t\r"
        ):
            raise error("ProtocolError", "no NATS protocol from %s" % nc.current)
        if not ended:
            return 0
        nc._text = b""
        if line.find(b"\r") != len(line) - 2:
            raise error("ProtocolError", "no CR LF from %s" % nc.current)
        if verb[:1] == b"-":
            from .refusal import take
        else:
            take = info
        told = take(nc, line[5:])
    except (OSError, MemoryError) as e:
        nc._broken = e
        nc._deaf = nc._todo = True
        nc._f[POS] = nc._f[END]
    give_back(nc)
    if told:  # what the application raises is not the network's
        told(nc)
    return 0


def info(nc, line):
    """INFO has come; returns what is to be told then."""
    server, f = nc.server, nc._f
    read_info(server, line)
    if nc._phase == _INFO:
        if hasattr(nc.transport, "secure"):
            nc.transport.secure(server, f[END] - f[POS])
        elif server.tls_required:
            raise error("NotConnected", "this server requires TLS: give tls=unats.tls.Tls(ca=...)")
    if server.connect_urls and not nc.ignore_discovered_servers:
        from .discover import discover

        discover(nc, server.connect_urls)
    size = server.max_payload
    f[MAX_PAYLOAD] = size = size if 0 < size < _LARGEST else _LARGEST
    if server.ldm and nc._phase == _UP and len(nc._servers) > 1:
        nc.end("in lame duck mode")  # to be gone before it closes
    if nc._phase == _INFO:
        kept = requeue(nc, _LARGEST)
        nc.stats.dropped += kept - requeue(nc, size)
        nc._chunks = lines(nc)
        nc._chunk = next(nc._chunks)
        nc._phase = _HELLO
        nc._deadline = nc.deadline(nc.connect_timeout_ms)  # signing may have taken long
    return server.ldm and _lame


def _lame(nc):
    nc.event("lame duck")


def lines(nc):
    """What goes out first, in pieces: CONNECT, the subscriptions, PING."""
    chunk, w = connect_line(nc), nc._window
    for sid in sorted(nc.subscriptions):
        sub = nc.subscriptions.get(sid)
        if sub is None:
            continue
        sub.sent = 0
        data = sub.lines()
        if len(chunk) + len(data) > 512:
            if w is not None and w.tail + len(chunk) > w.ping_at:
                chunk = pinged(nc, chunk)
            yield chunk
            chunk = b""
        chunk += data
        sub.sent = 2
        if sub.handler is None:
            nc.subscriptions.pop(sid)
    for f in nc.on_connect:
        chunk += f()
    yield pinged(nc, chunk)


def pinged(nc, data):
    """The bytes, and a PING behind them."""
    data += b"PING\r\n"
    nc._pings += 1
    if nc._window is not None:
        nc._window.pinged(nc._pings, len(data))
    return data


def connected(nc):
    """The server has answered the first PING."""
    again = nc.state == "reconnecting"
    nc._phase, nc.state = _UP, "connected"
    nc._order[4] = nc._pending = nc._todo = True
    nc._f[ROOM] = nc.tx_size
    nc._deadline = nc.deadline(nc.ping_interval_ms)
    nc._settled = nc.deadline(_SETTLED_MS)
    nc._chunks = None
    if nc._window is not None:
        nc._window.clear()
    nc.stats.reconnects += again
    give_back(nc)
    nc.event("reconnected" if again else "connected")


# Losing it


def lost(nc, why):
    """Give the connection or the attempt up, and plan the next one."""
    from . import errors

    server = nc.current
    nc.last_error = why = errors.why(why, str(server), nc._refusal)
    was_up = nc._phase == _UP
    wait = 0
    if was_up and (nc._settled is None or nc.left(nc._settled) == 0):
        nc._order[5] = 0
    elif was_up or len(server.addresses) < 2:
        nc._order[5] += 1
        wait = wait_ms(nc)
    if not was_up:
        server.addresses = server.addresses[1:]
    give_up = nc.state == "draining" or 0 <= nc.max_reconnects < nc._order[5]
    if was_up:
        nc.state = "reconnecting"
    nc._deadline = nc.deadline(max(wait, _leave(nc)))
    try:
        nc.event("disconnected" if was_up else "error", why)
    finally:
        if give_up:
            nc.close()
    for f in nc.on_turn:  # what waited for the connection is to know
        f()


def _leave(nc):
    """Close the transport; forget all that belonged to the connection but whole messages. Returns
    how long to wait before the next, ms.
    """
    clear(nc)
    requeue(nc, _LARGEST)
    for part in nc.transport, nc.resolver:
        try:
            if hasattr(part, "close"):
                part.close()
        except (OSError, MemoryError):
            pass  # it is as gone as it can be
    return 0 if nc._window is None else nc._window.lost()


def requeue(nc, size):
    """Keep of what is queued the messages that have not left whole, and are not too large; return
    how many.
    """
    f, tx = nc._f, nc._tx
    at = to = kept = 0
    while at < f[QUEUED]:
        line = tx.find(b"\r\n", at)
        end = line + 2
        if tx[at] == 72 or (tx[at] == 80 and tx[at + 1] == 85):  # HPUB, PUB
            i = tx.rfind(b" ", at, line) + 1
            n = 0
            while i < line:
                n = 10 * n + tx[i] - 48
                i += 1
            end += n + 2
            keep = f[SENT] < end <= f[QUEUED] and n <= size
            for reply in nc.no_requeue:
                keep = keep and tx.find(reply, at, line) < 0
            if keep:
                to = copy(tx, to, tx, at, end - at)
                kept += 1
        at = end
    f[QUEUED] = to
    f[SENT] = 0
    return kept


def reconnect(nc):
    """See `Client.reconnect`."""
    if nc._phase == _IDLE:
        nc._deadline = nc.deadline(0)
    else:
        nc._settled = None
        nc.end("left by the application")


def close(nc):
    """See `Client.close`."""
    nc.state = "closed"
    _leave(nc)
    nc.stats.dropped += requeue(nc, _LARGEST)
    nc._f[QUEUED] = 0
    try:
        nc.event("closed")
    finally:
        for f in nc.on_turn:
            f()
