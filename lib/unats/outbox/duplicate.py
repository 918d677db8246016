"""A duplicate on a first sending: the stream has a message of the id of a reading that was never
sent. Loaded when that happens; allocates.
"""

from binascii import a2b_base64

import utime

from unats.errors import Error
from unats.nuid import random_hex, write_hex

from .held import held_of, is_behind
from .heldspool import ID, NUMBER


def look_into(sender, i, ack):
    """The stream has a message of the id of the sender's i-th reading, which was never sent: look
    whether it is the same. Otherwise it gets another id, and is held until the stream has it.
    """
    number = sender._first + i

    def answered(answer, error):
        i = number - sender._first
        if not 0 <= i < sender._count or sender._acks >> i & 1:
            return
        spool = sender._spool
        at = spool.source.skip(i)
        spool.take(at)
        same = None if error else _is_same(answer, spool)
        if same is False:
            write_hex(sender._header, sender._seq_at, spool.source.seq(at), 8)
            id = sender._id()
            id = id[:-ID] + random_hex(6).encode() + id[-NUMBER:]
            sender.last_error = Error("the id of a reading is taken, in stream " + ack.stream)
            sender.accepted()
            payload = bytes(spool.body[: spool.size])
            if is_behind(sender, i) or not held_of(sender).keep(spool.subject, payload, id):
                return
        else:
            spool.stats.unverified += same is None
            spool.stats.acked += 1
        sender._settle(i)

    sender._ack_at = utime.ticks_add(utime.ticks_ms(), sender._ack_ms)
    sender._stored.js.call(
        "STREAM.MSG.GET." + ack.stream, {"seq": ack.seq}, answered, max(sender._ack_ms // 2, 1)
    )


def _is_same(answer, spool):
    """Whether the message is the reading that was taken out; None: that can't be told."""
    try:
        message = answer["message"]
        if message["subject"].encode() != spool.subject:
            return False
        data = message.get("data") or ""
        return a2b_base64(data.encode()) == bytes(spool.body[: spool.size])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
