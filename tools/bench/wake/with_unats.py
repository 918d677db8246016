"""Sends readings with this client and its outbox, as a board does that woke: PORT MODE COUNT.

MODE: "early" with CONNECT, "stream" after it, both confirmed by a JetStream stream; or "none".
"""

import sys

import unats
from unats.outbox import Outbox

port, mode, count = sys.argv[1:]
nc = unats.Client("nats://127.0.0.1:" + port, name="greenhouse-7")
outbox = Outbox(nc, "greenhouse-7", ack="none" if mode == "none" else "stream")
if mode == "early":
    from unats.outbox.pipelined import Pipelined

    Pipelined(nc, outbox)
for seq in range(int(count)):
    outbox.put("sensors.greenhouse-7.temp", '{"v":21.53,"seq":%d,"up":0,"boot":7}' % (seq + 1))
nc.connect()
if not outbox.flush():
    raise OSError("not confirmed")
nc.close()
