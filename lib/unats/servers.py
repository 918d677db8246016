"""Servers: their addresses, when to try which, what they say of themselves (INFO), what is said to them (CONNECT).

Loaded with `connection.py`. All of this allocates.
"""

from json import loads
from random import getrandbits

from .errors import ProtocolError
from .arguments import check_subject
from .state import Info, Server

__version__ = "0.2.0"


def read_url(url):
    """The `Server` of `[nats://|tls://][user[:password]@]host[:port]`, an IPv6 address in brackets, blanks around it.

    ValueError: what is wrong with it, quoting nothing: it may be credentials at the wrong place.
    """
    scheme, _, rest = url.strip().rpartition("://")
    scheme = scheme.lower()
    if scheme not in ("", "nats", "tls"):
        raise ValueError("server URL: it must begin with nats:// or tls://")
    user, at, address = rest.rpartition("@")
    user, colon, password = user.partition(":")
    user = _unquote(user) if at else None
    password = _unquote(password) if colon else None
    address = address.rstrip("/")
    host, _, port = address.rpartition(":")
    if not host or "]" in port:
        host, port = address, "4222"
    name = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    if not name or ":" in name and name is host:
        raise ValueError("server URL: a host[:port] must follow nats:// and user:password@")
    for c in name:
        if c <= " " or c > "~" or c in "/?#[]@,\\":
            raise ValueError("server URL: no such name or address of a host")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("server URL: the port must be 1 to 65535")
    return Server(name, int(port), user, password, scheme == "tls")


def _unquote(text):
    """Undo percent-encoding (RFC 3986)."""
    first, *parts = text.split("%")
    out = first.encode()
    for part in parts:
        try:
            out += bytes((int(part[:1], 16) << 4 | int(part[1:2], 16),)) + part[2:].encode()
        except ValueError:
            raise ValueError("server URL: bad percent-encoding in its credentials") from None
    quoted(out)  # ValueError
    return out.decode()


def read_urls(urls):
    """The `Server`s of one URL, several with commas between them, or a list of such. ValueError: see there."""
    if isinstance(urls, str):
        urls = (urls,)
    if not isinstance(urls, (list, tuple)) or not urls or not all([isinstance(url, str) for url in urls]):
        raise ValueError("servers: give a URL, or a list of them")
    found = []
    for url in ",".join(urls).split(","):
        found.append(read_url(url))
    return found


def is_address(host):
    """Whether it is an IP address."""
    return ":" in host or host.replace(".", "").isdigit()


def prepare(nc, servers, tls, rx_size, name, user, password, token, flags):
    """Check the arguments of the client's constructor, and set what comes of them. ValueError, in words."""
    for limit in (
        ("rx_size", rx_size, 64), ("tx_size", nc.tx_size, 64), ("ping_interval_ms", nc._ping_ms, 1),
        ("max_pings_out", nc._max_pings, 1), ("connect_timeout_ms", nc.connect_timeout_ms, 1),
        ("reconnect_wait_ms", nc._retry[0], 0), ("reconnect_max_wait_ms", nc._retry[1], 0),
        ("max_reconnects", nc._retry[2], -1),
    ):  # fmt: skip
        check(*limit)
    for key, flag in flags + (("randomize", nc._randomize), ("ignore_discovered_servers", nc._discover)):
        if type(flag) is not bool:
            raise ValueError("%s: give True or False" % key)
    if nc._auth is not None and (user, password, token) != (None, None, None):
        raise ValueError("auth: give no user, password and token beside it")
    for what, call in ("auth", nc._auth), ("on_event", nc._on_event):
        if call is not None and not callable(call):
            raise ValueError("%s: give a function" % what)
    nc.inbox_prefix = check_subject(nc.inbox_prefix, False, "inbox_prefix")
    nc._servers = read_urls(servers)
    nc._given = len(nc._servers)  # the others were discovered, and may go again
    nc._at = nc._rounds = nc._round_end = nc._failures = 0
    nc.current = nc._servers[0]
    nc._next = True  # the next attempt is to be with the next server
    shuffle(nc, 0)
    if tls is not None or any([server.tls for server in nc._servers]):  # then all of them
        from .tls import secured

        nc.transport = secured(tls, nc.transport, nc)
    elif nc.transport is None:
        from .tcp import Tcp

        nc.transport = Tcp()
    nc._window = None
    if getattr(nc.transport, "window", 0):
        from .window import Window

        nc._window = Window(nc.transport.window, nc.tx_size)
    fields = ("lang", "micropython"), ("version", __version__), ("protocol", 1)
    nc._options = flags + (("name", name),) + fields + (("tls_required", hasattr(nc.transport, "secure")),)
    nc._credentials = user, password, token
    for text in (name, user, password, token):
        if text is not None:
            quoted(text)  # ValueError


def check(name, value, least):
    """ValueError unless the argument is an int of at least that."""
    if type(value) is not int or value < least:
        raise ValueError("%s: give an int, at least %d" % (name, least))


def check_subscription(subject, handler, queue, max_msgs):
    """The subject and the queue, or None, as str. ValueError: one of these is not valid."""
    subject = check_subject(subject, True)
    queue = check_subject(queue, False, "queue") if queue else None
    if not callable(handler):
        raise ValueError("handler: give a function")
    check("max_msgs", max_msgs, 0)
    return subject, queue


def shuffle(nc, start):
    """Put the servers from that index on in a random order."""
    servers = nc._servers
    for i in range(len(servers) - 1, start, -1) if nc._randomize else ():
        j = start + getrandbits(16) % (i + 1 - start)
        servers[i], servers[j] = servers[j], servers[i]


def next_server(nc):
    """The server to try now, which is `nc.current` from then on."""
    i = nc._at % len(nc._servers)
    nc._at = i + 1
    nc.current = nc._servers[i]
    return nc.current


def wait_ms(nc):
    """Milliseconds until the next attempt: none within a round of all servers, growing ones after each.

    Half of it is random. How long a round is was settled when it began: what servers announce meanwhile
    can not put off the wait at its end.
    """
    failures, servers = nc._failures, len(nc._servers)
    if failures <= 1:
        nc._rounds, nc._round_end = 0, servers
    if not 0 < nc._round_end <= failures:
        return 0
    nc._round_end = failures + servers
    wait = min(nc._retry[0] << min(nc._rounds, 16), nc._retry[1])
    nc._rounds += 1
    return wait - getrandbits(24) % (wait // 2 + 1)


def read_info(info, text):
    """Take what an INFO's JSON (bytes) says. ProtocolError: it is none."""
    try:
        fields = loads(text)
        info.ldm, info.connect_urls = False, ()
        for key in (
            "server_name", "version", "nonce", "max_payload", "client_id", "headers", "jetstream", "ldm",
            "tls_required", "tls_available", "connect_urls",
        ):  # fmt: skip
            value = fields.get(key)
            name = "name" if key == "server_name" else key
            if type(value) is type(getattr(Info, name)) or key == "connect_urls" and type(value) is list:
                setattr(info, name, value)
    except (ValueError, AttributeError, RuntimeError):  # no JSON, no object, too deep
        raise ProtocolError("INFO is not a JSON object")


def quoted(value):
    """A JSON string, the same on every port, of str or bytes. ValueError: it can be none; quotes nothing."""
    try:
        text = value if isinstance(value, str) else bytes(memoryview(value)).decode()
    except (ValueError, TypeError):
        text = "\0"  # what was raised quotes some of it
    for c in text:
        if c < " " or c == "\x7f" or 0xD800 <= ord(c) <= 0xDFFF:
            raise ValueError("name and credentials: give str or bytes, UTF-8 without control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(value):
    return str(value).lower() if isinstance(value, (bool, int)) else quoted(value)


def connect_line(nc):
    """CONNECT for the server at hand (bytes), its fields in an order that is the same everywhere.

    AuthError: `auth` failed.
    """
    server, info, auth = nc.current, nc.server, nc._auth
    user, password, token = nc._credentials
    if server.user is not None:  # of the URL: for this server alone, and then nothing else
        user, password, token, auth = server.user, server.password, None, None
        if password is None:
            user, token = None, user
    fields = nc._options + (
        ("headers", info.headers), ("no_responders", info.headers),
        ("user", user), ("pass", password), ("auth_token", token),
    )  # fmt: skip
    if auth is not None:
        from .auth import added

        fields += added(auth, info.nonce, fields)
    pairs = [quoted(key) + ":" + _literal(value) for key, value in fields if value is not None]
    return ("CONNECT {" + ",".join(pairs) + "}\r\n").encode()
