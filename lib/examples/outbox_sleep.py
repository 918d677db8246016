"""Wakes, takes a reading, sends what it has, and sleeps again: no reading is lost, and none comes
twice, however long the server is away.
"""

import sys

import unats
from unats.outbox import Outbox
from unats.outbox.pipelined import Pipelined

SERVER = "nats://192.168.1.10:4222"
FOLDER = "/outbox"

nc = unats.Client(SERVER)
outbox = Outbox(nc, "greenhouse-7", path=FOLDER)
Pipelined(nc, outbox)  # readings leave along with CONNECT
outbox.put("sensors.greenhouse-7.temp", b"21.53")
try:
    nc.connect(5000)
except unats.Error as e:
    print("not connected:", e)
if outbox.flush(5000):
    print("the stream has all of it")
else:
    print(len(outbox), "wait", "in flash" if outbox.sync() else "in RAM")
nc.close()
try:
    import machine

    machine.deepsleep(60000)
except (ImportError, AttributeError):
    sys.exit()  # this is no board
