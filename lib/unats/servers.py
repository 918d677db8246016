"""Servers: their addresses, when to try which, what they say of themselves (INFO), what is said to
them (CONNECT).

Loaded with `connection.py`. All of this allocates.
"""

import sys
from json import loads
from random import getrandbits

from .checks import check, check_subject
from .kernels import Msg, Stats, positions, reset
from .state import Info, Server

__version__ = "0.2.0"


def read_url(text):
    """The `Server` of `[nats://|tls://][user[:password]@]host[:port]`, an IPv6 address in
    brackets, blanks around it. Other schemes: see `unats.websocket`.

    ValueError: what is wrong with it, quoting nothing: it may be credentials at the wrong place.
    """
    address = text.strip().rstrip("/")
    i = address.find("://")
    scheme = address[: max(i, 0)].lower()
    if i >= 0 and scheme != "nats" and scheme != "tls":
        from .websocket import read_url

        return read_url(text)
    address = address[i + 3 if i >= 0 else 0 :]
    user = password = None
    i = address.rfind("@")
    if i >= 0:
        user, *rest = address[:i].split(":", 1)
        user = _unquote(user)
        password = _unquote(rest[0]) if rest else None
        address = address[i + 1 :]
    port = "4222"
    i = address.rfind(":")
    if i >= 0 and "]" not in address[i:]:
        address, port = address[:i], address[i + 1 :]
    name = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    if not name or (":" in name and name is address):
        raise ValueError("server URL: a host[:port] must follow nats:// and user:password@")
    for c in name:
        if c <= " " or c > "~" or c in "/?#[]@,\\\t\r\n":
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


def read_urls(servers):
    """The `Server`s of one URL, several with commas between them, or a list of such. ValueError:
    see there.
    """
    if isinstance(servers, str):
        servers = (servers,)
    found = []
    for text in servers if isinstance(servers, (list, tuple)) else ():
        if not isinstance(text, str):
            found.clear()
            break
        for url in text.split(","):
            found.append(read_url(url))
    if not found:
        raise ValueError("servers: give a URL, or a list of them")
    return found


def is_address(host):
    """Whether it is an IP address."""
    return ":" in host or host.replace(".", "").isdigit()


def _options(nc, name, auth, flag):
    for limit in (
        ("rx_size", nc.rx_size, 64), ("tx_size", nc.tx_size, 64),
        ("ping_interval_ms", nc.ping_interval_ms, 1), ("max_pings_out", nc.max_pings_out, 1),
        ("connect_timeout_ms", nc.connect_timeout_ms, 1),
        ("max_reconnects", nc.max_reconnects, -1),
        ("reconnect_wait_ms", nc.reconnect_wait_ms, 0),
        ("reconnect_max_wait_ms", nc.reconnect_max_wait_ms, 0),
    ):  # fmt: skip
        check(*limit)
    for value in flag + (nc.randomize, nc.ignore_discovered_servers):
        if type(value) is not bool:
            raise ValueError(
                "echo, verbose, pedantic, randomize, ignore_discovered_servers: give True or False"
            )
    if nc.auth is not None and auth != (None, None, None):
        raise ValueError("auth: give no user, password and token beside it")
    if nc.resolver is not None and not hasattr(nc.resolver, "start"):
        raise ValueError("resolver: give a `unats.dns.Resolver`, or what has its methods")
    for what, call in ("auth", nc.auth), ("on_event", nc.on_event):
        if call is not None and not callable(call):
            raise ValueError("%s: give a function" % what)
    for text in auth + (name,):
        if text is not None:
            quoted(text)  # ValueError


def prepare(nc, servers, tls, name, auth, flag):
    """The rest of the client's constructor: check the arguments, and set the state. ValueError, in
    words.
    """
    _options(nc, name, auth, flag)
    nc.inbox_prefix = check_subject(nc.inbox_prefix, False, "inbox_prefix")
    nc._servers = read_urls(servers)
    nc.current = nc._servers[0]
    # Which server is next; rounds of all of them, and at which failure the next one ends; how many
    # servers were given (the others were discovered, and may go again); whether the next attempt
    # is to be with the next server; failures in a row.
    nc._order = [0, 0, 0, len(nc._servers), True, 0]
    shuffle(nc, 0)
    secure = tls is not None
    for server in nc._servers:
        secure = secure or server.tls or hasattr(server, "path")  # then all of them
    if secure:
        over = [server for server in nc._servers if hasattr(server, "path")]
        if 0 < len(over) < len(nc._servers):
            raise ValueError("servers: ws:// and wss:// go with no nats:// and tls://")
        if over:
            from .websocket import secured
        else:
            from .tls import secured
        nc.transport = secured(tls, nc.transport, nc)
    elif nc.transport is None:
        from .tcp import Tcp

        nc.transport = Tcp()
    nc._window = None
    if getattr(nc.transport, "window", 0):
        from .window import Window

        nc._window = Window(nc.transport.window, nc.tx_size)
    nc._options = (
        ("verbose", flag[1]), ("pedantic", flag[2]), ("echo", flag[0]), ("name", name),
        ("lang", "micropython"), ("version", __version__), ("protocol", 1),
        ("tls_required", hasattr(nc.transport, "secure")),
    ), auth  # fmt: skip
    nc._f, step = positions(nc.rx_size)
    nc._rx = bytearray(9 * step + 1)
    nc._views = []
    for i in range(9):
        nc._views.append(memoryview(nc._rx)[i * step : 9 * step])
    nc._tx = bytearray(nc.tx_size + 24)  # for PING and PONG
    nc._rest = [None] * 8  # of a message that is being published: see arguments.py
    nc._msg = Msg(nc, nc._rx, nc._f)
    nc.subscriptions = {}
    nc._lookup = nc.subscriptions.get
    nc._sid = 0
    nc.features = {}  # modules, once they are loaded
    nc.stats = Stats(nc._f)
    nc.server = Info()
    nc.state = "disconnected"
    nc.last_error = None
    nc._deadline = 0  # IDLE: of the next attempt; until UP: of this one; UP: of the next PING
    nc._settled = None  # when a connection counts as good; None: it does
    clear(nc)


def clear(nc):
    """Forget what belongs to a connection: the state of a client that has none."""
    nc._phase = 1  # not connected, nor trying: see connection.py; 0 is up
    nc._broken = nc._refusal = None  # why the connection ends; its last -ERR
    nc._deaf = True  # nothing is read: not connected, or what has come is not protocol
    # Something beside reading, writing and waiting is to be done in the next turn:
    nc._todo = True
    nc._pong = nc._pending = False  # ... PONG, or subscriptions, are to be queued.
    nc._pings = nc._pongs = nc._silent = 0
    nc._chunk = nc._text = b""  # what goes out before all else; what has come of INFO or -ERR
    nc._chunks = None  # what goes out behind that chunk
    nc._fragments = None  # the subscription of a message in fragments
    reset(nc._f)


def check_subscription(nc, subject, handler, queue, max_msgs, chunked):
    """The subject and the queue, or None, as str. ValueError: one of these is not valid."""
    subject = check_subject(subject, True)
    queue = check_subject(queue, False, "queue") if queue else None
    if not callable(handler) or type(chunked) is not bool:
        raise ValueError("handler: give a function; chunked: True or False")
    check("max_msgs", max_msgs, 0)
    give_back(nc)
    return subject, queue


def give_back(nc):
    """Unload what is used to connect only, where a file of bytecode brings it back when it is
    needed.
    """
    if nc._phase == 0 and __file__.endswith(".mpy"):
        package = sys.modules["unats"]
        for name in ("connection", "servers", "refusal", "discover", "checks"):
            if sys.modules.pop("unats." + name, None) is not None:
                delattr(package, name)


def shuffle(nc, n):
    """Put the servers from that index on in a random order."""
    servers = nc._servers
    for i in range(len(servers) - 1, n, -1) if nc.randomize else ():
        j = n + getrandbits(16) % (i + 1 - n)
        servers[i], servers[j] = servers[j], servers[i]


def next_server(nc):
    """The server to try now, which is `nc.current` from then on."""
    i = nc._order[0] % len(nc._servers)
    nc._order[0] = i + 1
    nc.current = nc._servers[i]
    return nc.current


def wait_ms(nc):
    """Milliseconds until the next attempt: none within a round of all servers, growing ones after
    each.

    Half of it is random. How long a round is was settled when it began: what servers announce
    meanwhile can not put off the wait at its end.
    """
    order = nc._order
    failures, servers = order[5], len(nc._servers)
    if failures <= 1:
        order[1], order[2] = 0, servers
    if not 0 < order[2] <= failures:
        return 0
    order[2] = failures + servers
    wait = min(nc.reconnect_wait_ms << min(order[1], 16), nc.reconnect_max_wait_ms)
    order[1] += 1
    return wait - getrandbits(24) % (wait // 2 + 1)


def read_info(server, text):
    """Take what an INFO's JSON (bytes) says. ProtocolError: it is none."""
    try:
        fields = loads(text)
        server.ldm, server.connect_urls = False, ()
        for key in (
            "server_name", "version", "nonce", "max_payload", "client_id", "headers", "jetstream",
            "ldm", "tls_required", "tls_available", "connect_urls",
        ):  # fmt: skip
            value = fields.get(key)
            name = "name" if key == "server_name" else key
            wanted = list if key == "connect_urls" else type(getattr(Info, name))
            if type(value) is wanted:
                setattr(server, name, value[:16] if wanted is list else value)
    except (ValueError, AttributeError, RuntimeError):  # no JSON, no object, too deep
        from .errors import ProtocolError

        raise ProtocolError("INFO is not a JSON object") from None


def quoted(value):
    """A JSON string, the same on every port, of str or bytes. ValueError: it can be none; quotes
    nothing.
    """
    try:
        text = value if isinstance(value, str) else bytes(memoryview(value)).decode()
    except (ValueError, TypeError):
        text = "\0"  # what was raised quotes some of it
    for c in text:
        if c < " " or c == "\x7f" or 0xD800 <= ord(c) <= 0xDFFF:
            raise ValueError(
                "name and credentials: give str or bytes, UTF-8 without control characters"
            )
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def connect_line(nc):
    """CONNECT for the server at hand (bytes), its fields in an order that is the same everywhere.

    AuthError: `auth` failed.
    """
    server, info, auth = nc.current, nc.server, nc.auth
    user, password, token = nc._options[1]
    if server.user is not None:  # of the URL: for this server alone, and then nothing else
        user, password, token, auth = server.user, server.password, None, None
        if password is None:
            user, token = None, user
    fields = nc._options[0] + (
        ("headers", info.headers), ("no_responders", info.headers),
        ("user", user), ("pass", password), ("auth_token", token),
    )  # fmt: skip
    if auth is not None:
        from .auth import added

        fields += added(auth, info.nonce, fields)
    pairs = []
    for key, value in fields:
        if value is not None:
            value = str(value).lower() if isinstance(value, (bool, int)) else quoted(value)
            pairs.append(quoted(key) + ":" + value)
    return ("CONNECT {%s}\r\n" % ",".join(pairs)).encode()
