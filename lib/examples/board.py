"""What a board does all day: it publishes a reading every ten seconds, and obeys."""

import unats

SERVER = "nats://192.168.1.10:4222"


def on_led(msg):
    print("led", msg.to_int())  # ValueError for "abc"


nc = unats.Client(SERVER, name="greenhouse-7")
nc.subscribe("devices.greenhouse-7.led", on_led)  # kept across reconnects
nc.connect(wait=False)  # poll() does it, as often as is needed
due = nc.deadline(0)
while True:
    try:
        nc.poll(100)  # wait at most 100 ms, handle what has come
    except Exception as e:  # a handler's: anybody can send it anything
        print("failed:", e)
    if nc.connected and nc.left(due) == 0:
        due = nc.deadline(10000)
        nc.publish("sensors.greenhouse-7.temp", b"21.53")
