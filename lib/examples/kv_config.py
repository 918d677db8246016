"""Its configuration comes from a key-value bucket, and changes while it runs."""

import unats
from unats.jetstream.kv import KeyValue

SERVER = "nats://192.168.1.10:4222"

config = {"period_s": 10}


def on_entry(entry):
    if entry is None:
        print("that is all there is now:", config)
    elif entry.operation == "PUT" and entry.value.isdigit():
        config[entry.key.split(".")[-1]] = int(entry.value)
        print("changed:", config)


nc = unats.Client(SERVER)
nc.connect()
kv = KeyValue(nc, "config")
kv.create_bucket(history=5)
kv.watch("greenhouse-7.*", on_entry)  # goes on over lost connections
while True:
    nc.poll(1000)
