"""What can go wrong.

Misuse (a bad subject, a payload too large, a bad URL) is a plain `ValueError`: nothing was sent.
Everything else is an `Error`, which is an `OSError`, so `except OSError` means "the network",
as it does everywhere in MicroPython. The network's own failures keep their `errno`.
"""


class Error(OSError):
    """The connection or the server failed; the base of all below."""


class ServerError(Error):
    """The server sent `-ERR`; the text is the server's own.

    Of a permissions violation: `subject`, what was refused (bytes beyond ASCII are question marks);
    `operation`, "publish" or "subscribe"; `subscription`, the refused `Subscription`. Else None.
    """

    subject = operation = subscription = None


class AuthError(ServerError):
    """The server refused the credentials, or they expired; or its certificate cannot be trusted."""


class ProtocolError(Error):
    """The server sent what the protocol does not allow; the connection was ended."""


class Timeout(Error):
    """The other side did not answer in time."""


class NoResponders(Error):
    """Nobody is subscribed to the subject of the request (the server's status 503)."""


class NotConnected(Error):
    """There is no connection, or it was lost while the call needed it."""
