"""What was refused: by the server with -ERR, by `auth` with an exception, or of what `auth` returned.

Loaded when it is first needed.
"""

from .errors import AuthError, ServerError
from .handshake import quoted


def added(pairs, fields):
    """What `auth` returned, if it adds to CONNECT and changes nothing that is there."""
    names = [name for name, value in fields if value is not None]
    for key, value in pairs:
        if not isinstance(key, str) or not key.replace("_", "").isalpha() or key in names:
            raise AuthError("auth: its keys must be names of CONNECT's fields that are not set otherwise")
        if value is not None:
            quoted(value)  # ValueError
        names.append(key)
    return pairs


def refused(error):
    """What to report when `auth` failed. Only an AuthError is told as it is: others may quote secrets."""
    if isinstance(error, AuthError):
        return error
    text = type(error).__name__
    if isinstance(error, ImportError):
        text += ": %s" % error
    elif isinstance(error, OSError):
        text += " %s" % error.errno
    found = AuthError("the credentials could not be made: %s (see .cause)" % text)
    found.cause = error
    return found


def server_error(text):
    """What to report of the server's -ERR."""
    if text.lower().split(" ", 1)[0] in ("authorization", "authentication", "user", "account"):
        return AuthError(text)
    error = ServerError(text)
    if text.startswith("Permissions Violation for "):
        error.operation = "publish" if text.startswith("Publish", 26) else "subscribe"
        # The subject is quoted as Go's %q does it, with \\ and \".
        parts = text.replace("\\\\", "\0").replace('\\"', "\1").split('"')
        if len(parts) > 2:
            error.subject = parts[1].replace("\1", '"').replace("\0", "\\")
    return error
