"""A board without a network: its USB port, and `make bridge` on the computer at the other end."""

import sys

import unats
from unats.uart import Uart

PORT = None  # None: USB; or machine.UART(0, 115200)

if PORT is None:
    transport = Uart(sys.stdin.buffer, sys.stdout.buffer)
else:
    transport = Uart(PORT)
nc = unats.Client("nats://bridge", transport=transport)
nc.connect()
nc.publish("sensors.greenhouse-7.temp", b"21.53")
print("confirmed:", nc.flush())
nc.close()
