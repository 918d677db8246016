"""A service: `nats micro ls` finds it, and counts what it answers."""

import unats
from unats.services import Service, ServiceError

SERVER = "nats://192.168.1.10:4222"


def on_divide(msg):
    a, b = msg.json()
    if not b:
        raise ServiceError(400, "by zero")
    msg.respond(b"%d" % (a // b))


nc = unats.Client(SERVER)
nc.connect()
service = Service(nc, "calculator", "1.0.0", description="divides")
service.endpoint("divide", on_divide)
print("service", service.id)
while True:
    nc.poll(1000)
