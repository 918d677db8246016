"""How a connection is made and lost. Loaded for that, and given back once the client is up (if it came from a .mpy file).

A connection goes through these phases, one step a turn, and never blocks in one of them:

    IDLE -> OPENING -> INFO -> HELLO -> UP
      ^        |         |        |      |      any failure: `lost`, a wait, the next attempt
      +--------+---------+--------+------+

An address is good once NATS has answered there, which is the first PONG. Whatever goes wrong before that has the next
address of the name tried, and then the name resolved again. Sources: NATS protocol; ADR-40 for the behaviour.
All of this allocates.
"""

import errno
import sys

import utime
from micropython import const

from . import errors
from .errors import AuthError, Error, NotConnected, ProtocolError, Timeout
from .kernels import END, MAX_PAYLOAD, POS, QUEUED, ROOM, SENT, copy, exchange, piece, push, reset
from .servers import connect_line, is_address, next_server, read_info, wait_ms
from .state import HELLO, IDLE, INFO, OPENING, UP, Info

_MAX_TEXT = const(16384)  # of INFO
_SETTLED_MS = const(2000)  # a connection that broke before that counts as a failed attempt
_LONGEST = const(0x0FFFFFFF)
_LARGEST = const(0x3FFFFFFF)
_FAILURES = (OSError, MemoryError)


def error(kind, text):
    """The exception of that name."""
    return getattr(errors, kind)(text)


def connect(nc, timeout_ms, wait):
    """See `Client.connect`."""
    if nc._phase == UP:
        return
    if nc.state != "reconnecting":
        nc.state = "connecting"
    if nc._phase == IDLE:
        nc._deadline = utime.ticks_ms()
    nc._failures = 0
    nc._todo = True
    until = None if timeout_ms is None else nc.deadline(timeout_ms)
    try:
        while wait and nc._phase != UP:
            left = 1000 if until is None else nc.left(until)
            if left == 0:
                nc.last_error = Timeout("not connected in time")
            if left == 0 or nc._failures >= len(nc._servers) or nc.state == "closed":
                raise nc.last_error or NotConnected("closed")
            nc._turn(utime.ticks_ms(), left)
    finally:
        if wait and nc._phase != UP:
            _leave(nc)
            nc.state = "closed" if nc.state == "closed" else "disconnected"


def turn(nc, left, wait):
    """A turn of a client that is not up; left: ms until its deadline. Returns how many messages came."""
    phase = nc._phase
    if phase == IDLE:
        if nc.state != "connecting" and nc.state != "reconnecting":
            utime.sleep_ms(wait)
        elif left:
            utime.sleep_ms(min(left, wait))
        else:
            _open(nc)
        return 0
    if left == 0 or phase == OPENING and nc._broken is not None:
        lost(nc, nc._broken or Timeout("%s: no answer in time" % nc.current))
        return 0
    wait = min(left, wait)
    if phase == OPENING:
        _await_open(nc, wait)
        return 0
    f = nc._f
    if phase == HELLO:
        _greet(nc)
        if not nc._chunk:  # a message may come before the first PONG, and its handler may publish
            f[ROOM] = nc.tx_size
    try:
        n = exchange(nc, wait)
        if nc._phase == HELLO and not nc._chunk and nc._pongs >= nc._pings and nc._broken is None:
            _up(nc)
    finally:
        if nc._phase != UP:
            f[ROOM] = 0
    if nc._broken is not None and n == 0 and nc._phase > OPENING:
        lost(nc, nc._broken)
    return n


def _open(nc):
    """Begin an attempt: with the next address of the server at hand, or with the next server."""
    server = nc.current
    if nc._next or not server.addresses:
        server = next_server(nc)
    nc._next = False
    nc._phase = OPENING
    nc._resolving = False
    nc._deadline = nc.deadline(nc.connect_timeout_ms)
    nc.server = Info()
    try:
        if not server.addresses and nc._resolver is not None and not is_address(server.host):
            nc._resolving = True
            nc._resolver.start(server.host)
            return
        if not server.addresses:
            resolve = getattr(nc.transport, "resolve", None)
            server.addresses = resolve(server.host, server.port) if resolve else (server.host,)
        nc.transport.open(server.addresses[0], server.port)
    except _FAILURES as e:
        lost(nc, e)


def _await_open(nc, wait):
    """Wait for the addresses of a name, or for the connection."""
    try:
        if nc._resolving:
            found = nc._resolver.poll()
            if found:
                nc._resolving = False
                nc.current.addresses = found
                nc.transport.open(found[0], nc.current.port)
            else:
                utime.sleep_ms(min(wait, 10))
        elif nc.transport.ready():
            nc._phase = INFO
            nc._deaf = False
        else:
            nc.transport.wait(wait, True)
    except _FAILURES as e:
        lost(nc, e)


def text(nc):
    """INFO or -ERR, which may be longer than the buffer; as `Client._act`."""
    try:
        line = nc._text = nc._text + piece(nc._rx, nc._f)
        verb = line[:5].lower()
        if len(line) > _MAX_TEXT or len(verb) == 5 and verb[:4] not in (b"info", b"-err") or verb[4:] > b" ":
            raise ProtocolError("no NATS protocol from %s" % nc.current)
        if line[-1:] != b"\n":
            return 0
        nc._text = b""
        if line.find(b"\r") != len(line) - 2:
            raise ProtocolError("no CR LF from %s" % nc.current)
        if verb[:1] == b"-":
            _on_err(nc, line[5:])
        else:
            _on_info(nc, line[5:])
    except _FAILURES as e:
        nc._broken = e
        nc._f[POS] = nc._f[END]
    _give_back(nc)
    return -1 if isinstance(nc._broken, Error) else 0


def _on_info(nc, line):
    info, f = nc.server, nc._f
    first = nc._phase == INFO
    read_info(info, line)
    if first:
        if hasattr(nc.transport, "secure"):
            nc.transport.secure(info, f[END] - f[POS])
        elif info.tls_required:
            raise Error("this server requires TLS: give tls=unats.tls.Tls(ca=...)")
    if nc._discover and info.connect_urls:
        from .discovery import discover

        discover(nc, info.connect_urls)
    if info.ldm:
        nc._lame = nc._todo = len(nc._servers) > 1  # to be gone before the server closes
        nc.event("lame duck")
    largest = info.max_payload
    f[MAX_PAYLOAD] = largest = largest if 0 < largest < _LARGEST else _LARGEST
    if first:
        kept = requeue(nc, _LARGEST)
        nc.stats.dropped += kept - requeue(nc, largest)
        nc._chunks = _greeting(nc)
        nc._chunk = next(nc._chunks)
        nc._phase = HELLO
        nc._deadline = nc.deadline(nc.connect_timeout_ms)  # signing may have taken long
        _greet(nc)


def _on_err(nc, line):
    """-ERR: most of them are the server's last words, and then it closes the connection."""
    from .refusal import read

    error, stays = read(line, nc.subscriptions)
    nc.last_error = error
    if not stays:
        nc._refusal = error
    if isinstance(error, AuthError):
        nc._broken = error
    elif stays or nc._phase == UP:
        nc.event("error", error)
    for f in nc.on_refusal if error.operation else ():
        f(error)


def _greeting(nc):
    """What goes out first, in pieces: CONNECT, the subscriptions, PING."""
    chunk = connect_line(nc)
    for sid in sorted(nc.subscriptions):
        sub = nc.subscriptions.get(sid)
        if sub is None:
            continue
        sub.told = 0
        lines = sub.lines()
        if len(chunk) + len(lines) > 512:
            w = nc._window
            yield chunk + _ping(nc, len(chunk)) if w is not None and w.tail + len(chunk) > w.due else chunk
            chunk = b""
        chunk += lines
        sub.told = 2
        if sub.handler is None:
            nc.subscriptions.pop(sid)
    for f in nc.on_connect:
        chunk += f()
    yield chunk + _ping(nc, len(chunk))


def _ping(nc, n):
    """A PING that is to go behind n bytes."""
    nc._pings += 1
    if nc._window is not None:
        nc._window.pinged(nc._pings, n + 6)
    return b"PING\r\n"


def _greet(nc):
    """Send that, as far as the transport takes it now."""
    while nc._chunk:
        n = push(nc, nc._chunk, 0, len(nc._chunk))
        if not n:
            break
        nc._chunk = nc._chunk[n:] or next(nc._chunks, b"")


def _up(nc):
    """The server has answered the first PING."""
    again = nc.state == "reconnecting"
    nc._phase, nc.state = UP, "connected"
    nc._next = nc._due = nc._todo = True
    nc._f[ROOM] = nc.tx_size
    nc._deadline = nc.deadline(nc._ping_ms)
    nc._settled = nc.deadline(_SETTLED_MS)
    nc._chunks = None
    if nc._window is not None:
        nc._window.clear()
    nc.stats.reconnects += again
    _give_back(nc)
    nc.event("reconnected" if again else "connected")


def _give_back(nc):
    """Unload this module and what it alone uses, where a file of bytecode brings them back."""
    if nc._phase == UP and __file__.endswith(".mpy"):
        package = sys.modules["unats"]
        for name in ("connection", "servers", "refusal", "discovery"):
            if sys.modules.pop("unats." + name, None) is not None:
                delattr(package, name)


# Losing it


def failed(nc, error, n):
    """The transport raised, in a call of n as in `attempt`: what to take for its answer."""
    number = error.args[0] if error.args else None
    if number == errno.ENOBUFS or n <= 0 and number == errno.ENOMEM:
        return None  # for now
    if nc._broken is None:
        nc._broken = error
        nc._todo = True
    end, rx = nc._f[END], nc._rx
    start = rx.find(b"-ERR ", end)
    stop = rx.find(b"\r\n", start)
    if n == 0 and rx[end] and 0 <= start < stop:  # how many bytes came before reading failed is lost; the bytes are not
        from .refusal import read

        nc._refusal = read(bytes(rx[start:stop]), nc.subscriptions)[0]
        rx[end] = 0
    return n if n > 0 and number == errno.ENOMEM else None  # it may have taken them: they are not sent twice


def lost(nc, error):
    """Give the connection or the attempt up, and plan the next one."""
    server = nc.current
    if isinstance(error, MemoryError):
        error = Error("out of memory")
    elif not isinstance(error, Error):
        error = NotConnected(error.args[0] if error.args else None, str(server))
    if isinstance(error, NotConnected) and nc._refusal is not None:
        error = nc._refusal
    nc.last_error = error
    was_up = nc._phase == UP
    wait = 0
    if was_up and (nc._settled is None or nc.left(nc._settled) == 0):
        nc._failures = 0
    elif was_up or len(server.addresses) < 2:
        nc._failures += 1
        wait = wait_ms(nc)
    if not was_up:
        server.addresses = server.addresses[1:]
    if nc._window is not None:
        wait = max(wait, nc._window.lost())
    give_up = nc.state == "draining" or 0 <= nc._retry[2] < nc._failures
    if was_up:
        nc.state = "reconnecting"
    _leave(nc)
    nc._deadline = nc.deadline(wait)
    try:
        nc.event("disconnected" if was_up else "error", error)
    finally:
        if give_up:
            close(nc)
    _call_hooks(nc)


def _leave(nc):
    """Close the transport; forget all that belonged to the connection but whole messages. Returns how many these are."""
    nc._phase = IDLE
    nc._todo = True
    nc._broken = nc._refusal = nc._chunks = nc._fragments = None
    nc._lame = nc._pong = nc._due = False
    nc._deaf = True
    nc._chunk = nc._text = b""
    nc._pings = nc._pongs = nc._silent = 0
    reset(nc._f)
    try:
        nc.transport.close()
    except _FAILURES:
        pass  # it is as gone as it can be
    return requeue(nc, _LARGEST)


def requeue(nc, largest):
    """Keep of what is queued the messages that have not left whole, and are not too large; return how many."""
    f, tx = nc._f, nc._tx
    at = to = kept = 0
    while at < f[QUEUED]:
        line = tx.find(b"\r\n", at)
        end = line + 2
        if tx[at] == 72 or tx[at] == 80 and tx[at + 1] == 85:  # HPUB, PUB
            i = tx.rfind(b" ", at, line) + 1
            size = 0
            while i < line:
                size = 10 * size + tx[i] - 48
                i += 1
            end += size + 2
            keep = end > f[SENT] and size <= largest
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
    if nc._phase == IDLE:
        nc._deadline = utime.ticks_ms()
    else:
        nc._settled = None
        nc.end("left")


def close(nc):
    """See `Client.close`."""
    nc.state = "closed"
    nc.stats.dropped += _leave(nc)
    nc._f[QUEUED] = 0
    try:
        nc.event("closed")
    finally:
        _call_hooks(nc)


def _call_hooks(nc):
    """What waited for the connection is to know that it is gone."""
    for f in nc.on_turn:
        f()
