"""The end of a client that loses nothing: see `Client.drain`."""


def drain(nc, timeout_ms):
    """Unsubscribe, handle what is under way, send what is queued, close; whether that worked."""
    until = nc.deadline(timeout_ms)
    try:
        if not nc.connected:
            return False
        nc.state = "draining"
        lines = [b"UNSUB %d\r\n" % sid for sid in sorted(nc.subscriptions)]
        while lines and nc.connected and nc.left(until):
            if nc.control(lines[-1]):
                lines.pop()
            else:
                nc.poll(min(nc.left(until), 10))
        published = -1
        done = not lines
        while done and published != nc.stats.out_msgs:  # handlers may publish, too
            published = nc.stats.out_msgs
            done = nc.flush(nc.left(until))
        return done
    finally:  # also when a handler raises
        nc.close()
