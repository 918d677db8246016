"""The smallest way to send a reading: `unats_simple`, one file, which waits and gives up."""

import unats_simple

HOST = "192.168.1.10"
PORT = 4222

try:
    nc = unats_simple.Client(HOST, PORT, timeout_s=5)
    nc.publish("sensors.greenhouse-7.temp", b"21.53")
    nc.close()  # returns once the server has it
    print("sent")
except OSError as e:
    print("not sent:", e)
