"""Addresses of servers, which may hold a password."""

from urllib.parse import unquote, urlsplit


def parse(text, schemes=("nats",)):
    """`text` as a URL, nats:// if it has no scheme; ValueError if it is not the address of a
    server.
    """
    url = text if "://" in text else "nats://" + text
    parts = urlsplit(url)
    if (
        parts.scheme not in schemes
        or not parts.hostname
        or parts.port == 0
        or parts.path.strip("/")
    ):
        raise ValueError("not like nats://host:4222")
    return url.rstrip("/")


def shown(url):
    """The address without user, password and token."""
    return urlsplit(url).netloc.rpartition("@")[2]


def secrets(url):
    """What must not be printed of the address, the longest first."""
    info, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return []
    secret = info.partition(":")[2] or info  # user:password, or a token
    return sorted({info, secret, unquote(info), unquote(secret)}, key=len, reverse=True)
