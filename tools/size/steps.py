"""Runs the steps in steps.json (a list of Python lines) on the Unix port.

Prints the heap in use at the start and after each step, a number a line, collected first.
"""

import gc
import json
import sys

with open("steps.json") as _file:
    _steps = json.load(_file)
sys.path[:] = ["", ".frozen"]
_scope = {"__name__": "__main__"}


def in_use():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def run():
    print(in_use())
    for step in _steps:
        exec(step, _scope)
        print(in_use())


run()
