"""Switches an LED, and survives whatever it is sent."""

import sys

import unats

SERVER = "nats://192.168.1.10:4222"


def on_led(msg):
    print("led", "on" if msg.to_int() else "off")  # ValueError for "abc"


def on_event(nc, event, detail):
    print(event, detail or "")


nc = unats.Client(SERVER, name="greenhouse-7", on_event=on_event)
nc.subscribe("devices.greenhouse-7.led", on_led)  # kept across reconnects
nc.connect(wait=False)
while True:
    try:
        nc.poll(1000)
    except Exception as e:  # a handler's
        print("failed:", e)
        if hasattr(sys, "print_exception"):
            sys.print_exception(e)
