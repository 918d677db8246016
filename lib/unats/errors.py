"""What can go wrong.

Misuse (a bad subject, a payload too large, a bad URL) is a plain `ValueError`: nothing was sent.
Everything else is an `Error`, which is an `OSError`, so `except OSError` means "the network",
as it does everywhere in MicroPython. The network's own failures keep their `errno`.

This is loaded when something goes wrong for the first time, or when somebody names one of these.
"""

import errno

from .kernels import END


class Error(OSError):
    """The connection or the server failed; the base of all below."""


class ServerError(Error):
    """The server sent `-ERR`; the text is the server's own.

    Of a permissions violation: `subject`, what was refused (bytes beyond ASCII are question
    marks); `operation`, "publish" or "subscribe"; `subscription`, the refused `Subscription`. Else
    None.
    """

    subject = operation = subscription = None


class AuthError(ServerError):
    """The server refused the credentials, or they expired; or its certificate is not trusted."""


class ProtocolError(Error):
    """The server sent what the protocol does not allow; the connection was ended."""


class Timeout(Error):
    """The other side did not answer in time."""


class NoResponders(Error):
    """Nobody is subscribed to the subject of the request (the server's status 503)."""


class NotConnected(Error):
    """There is no connection, or it was lost while the call needed it."""


def failed(nc, why, n):
    """The transport raised, in call of n as in `kernels.attempt`: what to take as its answer."""
    number = why.args[0] if why.args else None
    if number == errno.ENOBUFS or (n <= 0 and number == errno.ENOMEM):
        return None  # for now
    if nc._broken is None:
        nc._broken = why
        nc._todo = True
    end, rx = nc._f[END], nc._rx
    start = rx.find(b"-ERR ", end)
    stop = rx.find(b"\r\n", start)
    # How many bytes came before reading failed is lost; the bytes are not.
    if n == 0 and rx[end] and 0 <= start < stop:
        from .refusal import read

        nc._refusal = read(bytes(rx[start:stop]), nc.subscriptions)[0]
        rx[end] = 0
    # It may have taken them: they are not sent twice.
    return n if n > 0 and number == errno.ENOMEM else None


def why(error, server, refusal):
    """The Error for which a connection ended, be it that the server said why; server: its name."""
    if isinstance(error, MemoryError):
        return Error("out of memory")
    if isinstance(error, str):  # there was no memory for more, when it happened
        error = NotConnected("%s: %s" % (server, error))
    if not isinstance(error, Error):
        error = NotConnected(error.args[0] if error.args else None, server)
    return refusal if refusal is not None and isinstance(error, NotConnected) else error
