"""The cluster's other servers, which INFO names; loaded when it does."""

from .servers import is_address, read_url, shuffle

_MOST = 16  # are kept


def discover(nc, urls):
    """Take them for those that were named before. Only host and port of them are used.

    The order of those that were given stays, and the next one to be tried is not the one at hand.
    """
    servers, current = nc._servers, nc.current
    known = [str(server) for server in servers[: nc._order[3]]]
    del servers[nc._order[3] :]
    for url in urls:
        if len(servers) >= nc._order[3] + _MOST:
            break
        try:
            server = read_url(url.rpartition("@")[2] if len(url) < 262 else "")
        except (ValueError, AttributeError, TypeError):
            continue
        if is_address(server.host):
            server.tls_name = current.tls_name if is_address(current.host) else current.host
        if str(server) not in known:
            known.append(str(server))
            servers.append(server)
    shuffle(nc, nc._order[3])
    names = [str(server) for server in servers]
    nc._order[0] = names.index(str(current)) + 1 if str(current) in names else 0
