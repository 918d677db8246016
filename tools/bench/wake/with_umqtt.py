"""Sends the readings of with_unats.py with umqtt.simple and QoS 1: PORT COUNT.

Each waits for its PUBACK.
"""

import sys

from umqtt.simple import MQTTClient

port, count = sys.argv[1:]
client = MQTTClient("greenhouse-7", "127.0.0.1", int(port))
client.connect()
for seq in range(int(count)):
    client.publish(
        b"sensors/greenhouse-7/temp", b'{"v":21.53,"seq":%d,"up":0,"boot":7}' % (seq + 1), False, 1
    )
client.disconnect()
