"""What the boards of a fleet need on their server: the stream of their readings and logs, and the
buckets of what else their settings ask for.
"""

import asyncio

import nats.js.errors
from nats.js.api import KeyValueConfig, RePublish, StreamConfig

from tools.fleet.subjects import CONFIG, FIRMWARE, LOGS, PRESENCE, READINGS, STREAM

_READY_S = 5
_HISTORY = 8  # of a value in the configuration
_MARKER_S = 3600  # for so long a watcher that was away sees that a board has gone


async def make(nc):
    """See to it that all of it is there; what is there already stays as it is."""
    js = nc.jetstream()
    await ready(js)
    config = StreamConfig(name=STREAM, subjects=[READINGS, LOGS], allow_direct=True)
    if not await _unless_there(js.add_stream(config)):
        await _add_logs(js)
    await _unless_there(_make_presence(js))
    config = KeyValueConfig(bucket=CONFIG, direct=True, history=_HISTORY)
    await _unless_there(js.create_key_value(config))
    await _unless_there(js.create_object_store(FIRMWARE))


async def ready(js):
    """Wait until JetStream answers: an account has it a moment after its first connection."""
    for _ in range(_READY_S * 10):
        try:
            await js.account_info()
            return
        except nats.js.errors.ServiceUnavailableError:
            await asyncio.sleep(0.1)


async def _make_presence(js):
    config = KeyValueConfig(
        bucket=PRESENCE,
        direct=True,
        limit_marker_ttl=_MARKER_S,
        republish=RePublish(src=f"$KV.{PRESENCE}.>", dest=f"{PRESENCE}.>"),
    )
    try:
        await js.create_key_value(config)
    except nats.js.errors.KeyValueLimitMarkerTTLNotSupportedError:  # before 2.11
        await js.create_key_value(config.evolve(limit_marker_ttl=None))


async def _add_logs(js):
    """Have the stream that is there already take logs, too."""
    config = (await js.stream_info(STREAM)).config
    if LOGS not in config.subjects:
        await js.update_stream(config.evolve(subjects=[*config.subjects, LOGS]))


async def _unless_there(making):
    """False: it is there, and is not like that."""
    try:
        await making
    except nats.js.errors.BadRequestError as error:
        if error.err_code != 10058:
            raise
        return False
    return True
