"""Publishes a reading every second."""

import unats

SERVER = "nats://192.168.1.10:4222"

nc = unats.Client(SERVER, name="greenhouse-7")
nc.connect(wait=False)  # poll() does it, and does it again whenever that is needed
reading = unats.Payload(64)
n = 0
due = nc.deadline(0)
while True:
    nc.poll(100)
    if nc.left(due) == 0:
        due = nc.deadline(1000)
        n += 1
        reading.clear().text('{"t":').fixed(2153, 2).text(',"n":').int(n).text("}")
        if not nc.publish("sensors.greenhouse-7.temp", reading):
            print("not connected:", nc.last_error)
