"""What a server's -ERR says; loaded when there is one."""

from .errors import AuthError, ServerError

_STAYS = ("Permissions Violation", "Invalid ", "maximum subscriptions")


def take(nc, line):
    """-ERR: most of them are the server's last words, and then it closes the connection. Returns
    what tells of it.
    """
    error, stays = read(line, nc.subscriptions)
    nc.last_error = error
    if not stays:
        nc._refusal = error
    if isinstance(error, AuthError):
        raise error  # to `connection.text`, which ends the connection

    def tell(nc):
        if stays or not nc._phase:
            nc.event("error", error)
        for f in nc.on_refusal if error.operation else ():
            f(error)

    return tell


def read(text, subscriptions):
    """The error of an -ERR (bytes), and whether the connection goes on.

    Of a permissions violation it knows the operation, the subject, and which of the subscriptions
    it is.
    """
    text = "".join([chr(c) if 31 < c < 127 else "?" for c in text[:512].strip(b"-ER \t\r\n'")])
    if text.lower().split(" ", 1)[0] in ("authorization", "authentication", "user", "account"):
        return AuthError(text), False
    error = ServerError(text)
    if text.startswith("Permissions Violation for "):
        error.operation = "publish" if text.startswith("Publish", 26) else "subscribe"
        # The subject is quoted as Go's %q does it, with \\ and \".
        parts = text.replace("\\\\", "\0").replace('\\"', "\1").split('"')
        if len(parts) > 2:
            error.subject = parts[1].replace("\1", '"').replace("\0", "\\")
    if error.operation == "subscribe":
        for sid in sorted(subscriptions):
            sub = subscriptions[sid]
            if sub.error is None and _is_meant(sub, error):
                sub.error, error.subscription = error, sub
                break
    return error, text.startswith(_STAYS)


def _is_meant(sub, error):
    """Whether a refusal is of this subscription."""
    subject = "".join([chr(c) if c < 127 else "?" for c in sub.subject.encode()])
    return error.subject == subject and ('" using queue "' in str(error)) == bool(sub.queue)
