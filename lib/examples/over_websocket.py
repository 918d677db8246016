"""Where only HTTP gets through: a WebSocket, with a header that the proxy wants to see."""

import unats
from unats.websocket import WebSocket

SERVER = "ws://192.168.1.10:8080/nats"

nc = unats.Client(SERVER, transport=WebSocket(headers={"X-Key": "open"}))
nc.connect()
nc.publish("sensors.greenhouse-7.temp", b"21.53")
print("confirmed:", nc.flush())
nc.close()
