"""Runs the steps in steps.json (a list of Python lines) on the Unix port.

Prints what the names take and the heap in use, at the start and after each step, collected first.
"""

import gc
import json
import sys

import micropython

with open("steps.json") as _file:
    _steps = json.load(_file)
sys.path[:] = ["", ".frozen"]
_scope = {"__name__": "__main__"}


def in_use():
    gc.collect()
    gc.collect()
    micropython.qstr_info()
    print("heap", gc.mem_alloc())


def run():
    in_use()
    for step in _steps:
        exec(step, _scope)
        in_use()


run()
