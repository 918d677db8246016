"""What the boards of a fleet need on their server: the stream of their readings, and the buckets
of what else their settings ask for.
"""

import nats.js.errors
from nats.js.api import KeyValueConfig, StreamConfig

from tools.fleet.fleet import CONFIG, PRESENCE, READINGS, STREAM

_HISTORY = 8  # of a value in the configuration
_MARKER_S = 3600  # for so long a watcher that was away sees that a board has gone


async def make(nc):
    """See to it that all of it is there; what is there already stays as it is."""
    js = nc.jetstream()
    streams = (StreamConfig(name=STREAM, subjects=[READINGS], allow_direct=True),)
    for config in streams:
        await _unless_there(js.add_stream(config))
    await _unless_there(_make_presence(js))
    config = KeyValueConfig(bucket=CONFIG, direct=True, history=_HISTORY)
    await _unless_there(js.create_key_value(config))


async def _make_presence(js):
    config = KeyValueConfig(bucket=PRESENCE, direct=True, limit_marker_ttl=_MARKER_S)
    try:
        await js.create_key_value(config)
    except nats.js.errors.KeyValueLimitMarkerTTLNotSupportedError:  # before 2.11
        await js.create_key_value(config.evolve(limit_marker_ttl=None))


async def _unless_there(making):
    try:
        await making
    except nats.js.errors.BadRequestError as error:
        if error.err_code != 10058:  # it is, and is not like that
            raise
