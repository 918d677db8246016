"""The end of a client that loses nothing: see `Client.drain`."""

from .errors import DRAINING


def drain(client, timeout_ms):
    """Unsubscribe, handle what is under way, send what is queued, close; whether that worked."""
    client._check_not_busy()
    try:
        return client.connected and _drain(client, client._in(timeout_ms))
    finally:  # also when a handler raises
        client.close()


def _drain(client, until):
    client.state = DRAINING
    lines = client._subs.unsubscribe_all() if client._subs is not None else []
    while lines and client.connected and client._left(until) > 0:
        if client._out.line(lines[-1]):
            lines.pop()
        else:
            client._once(10)
    done = not lines
    published = -1
    while done and published != client.stats.out_msgs:  # handlers may publish, too
        published = client.stats.out_msgs
        done = client.flush(max(client._left(until), 0))
    return done
