"""TLS, and an NKey instead of a password: the server knows only the public half of it."""

import time

import unats
from unats.auth import Nkey
from unats.tls import Tls

SERVER = "tls://nats.example.com:4222"
CA = "/ca.der"  # the certificate that the server's is signed by
SEED = "/board.nk"  # the file with the seed, "SU..."

if time.gmtime()[0] < 2024:
    raise SystemExit("set the clock first: certificates have a date")
nc = unats.Client(SERVER, tls=Tls(ca=CA), auth=Nkey(SEED))
nc.connect()
nc.publish("sensors.greenhouse-7.temp", b"21.53")
print("confirmed:", nc.flush())
nc.close()
