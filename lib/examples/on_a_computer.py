"""The same program on CPython, as on a gateway. What MicroPython has and CPython has not comes
from `host_tests/shim`.
"""

import sys

ROOT = "/opt/unats"  # a clone of this repository
SERVER = "nats://192.168.1.10:4222"

sys.path[:0] = [ROOT + "/lib", ROOT + "/host_tests/shim"]

import micropython  # noqa: E402,F401  first: it makes viper's names known

import unats  # noqa: E402

nc = unats.Client(SERVER)
nc.connect()
nc.publish("sensors.gateway.temp", b"21.53")
print("confirmed:", nc.flush())
nc.close()
