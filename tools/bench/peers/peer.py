"""Runs one job of the benchmark with one client, on MicroPython; started by bench.py.

    micropython peer.py CLIENT JOB PORT SIZE SUBSCRIPTIONS COUNT BUFFER

CLIENT names a module here with a class Driver: Driver(port, buffer) connects; subscribe(subjects,
size); receive(count) returns once so many messages more have reached the handler; written(count),
confirmed(count) and coalesced(count) publish, after prepare(subject, payload); built(count) builds
a reading and reading(count) publishes it, after prepare_reading(subject); sync() returns once the
server has answered. Only these calls are timed, and only what they allocate is counted.

Talks to bench.py on stdin and stdout, a line each way: `ready`, `go`, then the result as JSON.
"""

import gc
import json
import sys

import micropython
import utime


def subjects(subscriptions):
    """As many subjects, all of the same length: sensors.00042.temp"""
    return ["sensors.%05d.temp" % i for i in range(subscriptions)]


def ready():
    print("ready")
    if sys.stdin.readline() != "go\n":
        sys.exit(2)


def timed(call, count):
    """Microseconds and heap bytes that call(count) takes."""
    gc.collect()
    heap = micropython.mem_total()
    start = utime.ticks_us()
    call(count)
    took = utime.ticks_diff(utime.ticks_us(), start)
    return took, micropython.mem_total() - heap


def main(client, job, port, size, subscriptions, count, buffer):
    driver = __import__(client).Driver(int(port), int(buffer))
    names = subjects(int(subscriptions))
    if job == "receive":
        driver.subscribe(names, int(size))
        driver.sync()
        call = driver.receive
    else:
        if job in ("built", "reading"):
            driver.prepare_reading(names[0])
        else:
            driver.prepare(names[0], bytes([97 + i % 26 for i in range(int(size))]))
        driver.sync()
        call = getattr(driver, job)
    ready()
    took, heap = timed(call, int(count))
    driver.sync()
    print(json.dumps({"us": took, "heap": heap}))


main(*sys.argv[1:])
