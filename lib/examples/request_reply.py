"""Answers requests, and makes one."""

import unats

SERVER = "nats://192.168.1.10:4222"


def on_celsius(msg):
    msg.respond(b"%d" % ((msg.to_int() - 32) * 5 // 9))


nc = unats.Client(SERVER)
nc.subscribe("celsius", on_celsius, queue="converters")  # one of several converters gets it
nc.connect()
print("68 F are", nc.request("celsius", b"68").text, "C")
try:
    nc.request("kelvin", b"68")
except unats.NoResponders:
    print("nobody knows kelvin")
nc.drain()
