"""Server URLs and the order in which servers are tried."""

from random import getrandbits

from .handshake import quoted


class Server:
    """One server: `host`, `port`, `user` and `password` of its URL (or None), `tls`, and `tls_name`.

    The latter: whom its certificate names, if it is known by its address only and was discovered.
    """

    tls_name = None

    def __init__(self, url):
        """Take `[nats://|tls://][user[:password]@]host[:port]`, an IPv6 address in brackets.

        ValueError: what is wrong with it, quoting nothing: it may be credentials at the wrong place.
        """
        if not isinstance(url, str):
            raise ValueError("server URL: give a str")
        scheme, _, rest = url.rpartition("://")
        if scheme not in ("", "nats", "tls"):
            raise ValueError("server URL: it must begin with nats:// or tls://")
        self.tls = scheme == "tls"
        user, at, address = rest.rpartition("@")
        user, colon, password = user.partition(":")
        self.user = _unquote(user) if at else None
        self.password = _unquote(password) if colon else None
        host, _, port = address.rstrip("/").rpartition(":")
        if not host or "]" in port:
            host, port = address.rstrip("/"), "4222"
        self.host = host.strip("[]")
        if ":" in host and host[0] != "[" or min(self.host or " ") <= " " or "/" in host:
            raise ValueError("server URL: a host[:port] must follow nats:// and user:password@")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("server URL: the port must be 1 to 65535")
        self.port = int(port)
        if ("[" in host or "]" in host) and host != "[%s]" % self.host or not _is_name(self.host):
            raise ValueError("server URL: no such name or address of a host")

    def is_address(self):
        """Whether `host` is an IP address."""
        return ":" in self.host or self.host.replace(".", "").isdigit()

    def __str__(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)


def _is_name(host):
    """Whether these can be the characters of a host's name or address."""
    for c in host:
        if c <= " " or c in "/?#[]@,\\":
            return False
    return True


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


class Servers:
    """The servers to try, in a circle. `urls`: one URL or a list of them."""

    def __init__(self, urls, randomize):
        if not isinstance(urls, (str, list, tuple)) or not all([isinstance(url, str) for url in urls]):
            raise ValueError("servers: give a URL, or a list of them")
        self._all = [Server(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not self._all:
            raise ValueError("servers: give at least one URL")
        self.tls = any([server.tls for server in self._all])  # then all of them
        self._given = len(self._all)  # the others were discovered, and may go again
        self._next = 0
        self._round = self._round_end = 0
        self.current = None
        if randomize:
            self._shuffle(0)

    def _shuffle(self, start):
        servers = self._all
        for i in range(len(servers) - 1, start, -1):
            j = start + getrandbits(16) % (i + 1 - start)
            servers[i], servers[j] = servers[j], servers[i]

    def discovered(self, urls, randomize):
        """Add the cluster's servers that INFO names, instead of those that it named before.

        Only host and port of them are used. The order of those that were given stays. The next one to
        be tried is not the one at hand.
        """
        known = [str(server) for server in self._all[: self._given]]
        del self._all[self._given :]
        for url in urls:
            try:
                server = Server(url.rpartition("@")[2])
            except ValueError:
                continue
            current = self.current
            if current and server.is_address():
                server.tls_name = current.tls_name if current.is_address() else current.host
            if str(server) not in known:
                known.append(str(server))
                self._all.append(server)
        if randomize:
            self._shuffle(self._given)
        names = [str(server) for server in self._all]
        current = str(self.current)
        self._next = names.index(current) + 1 if current in names else 0

    def __len__(self):
        return len(self._all)

    def rounds(self, failures):
        """How many rounds of all servers are over, if one has just ended with this failure; else 0.

        How long a round is was settled when it began: what servers announce meanwhile can not put
        off the wait at its end.
        """
        if failures <= 1:
            self._round, self._round_end = 0, len(self)
        if not 0 < self._round_end <= failures:
            return 0
        self._round += 1
        self._round_end = failures + len(self)
        return self._round

    def wait(self, failures, retry):
        """Milliseconds until the next attempt: none within a round of all servers, growing ones after each.

        retry: the first wait and the longest, in ms; half of each is random.
        """
        rounds = self.rounds(failures)
        if not rounds:
            return 0
        wait = min(retry[0] << min(rounds - 1, 16), retry[1])
        return wait - getrandbits(24) % (wait // 2 + 1)

    def next(self):
        """The server to try now, which is `current` from then on."""
        i = self._next % len(self._all)
        self.current = self._all[i]
        self._next = i + 1
        return self.current
