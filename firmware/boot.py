"""Runs first on a board, before main.py: chooses the version of the application that starts.

What `make deploy` has put there is in the root. An update comes into a folder of its own, and
slot.json says which one counts: {"slot":"update-a","starts":1,"before":"","why":null}. As long as
it has `starts` that version is on trial: one that was not confirmed in two starts, or that the
watchdog has ended, is given up for the one before. See update.py, which writes that file; an
update never touches this one. Whatever fails here leads to the version in the root, and a board
whose slot.json is missing starts as if this file were empty.
"""


def choose():
    """Have MicroPython find main.py, and what that imports, in the folder that counts."""
    import json
    import os
    import sys

    state = None
    for name in ("slot.json", "slot.json.new"):
        try:
            with open(name) as file:
                state = json.load(file)
            break
        except (OSError, ValueError):
            pass
    if not state or not state["slot"]:
        return
    if "starts" in state:
        bitten = state["starts"] and ended_by_watchdog()
        if bitten or state["starts"] >= 2:
            why = state.get("why") or "it ended twice before it was confirmed"
            failed = {"why": "the watchdog ended it" if bitten else why}
            failed.update({name: state.get(name) for name in ("version", "revision")})
            state = {"slot": state["before"], "failed": failed}
        else:
            state["starts"] += 1
        try:
            with open("slot.json.new", "w") as file:
                json.dump(state, file)
            os.rename("slot.json.new", "slot.json")
        except OSError:  # what can't be counted is not tried
            state["slot"] = state.get("before", state["slot"])
    if state["slot"]:
        os.stat(state["slot"] + "/main.py")
        home = os.getcwd()
        path = (home if home != "/" else "") + "/" + state["slot"]
        sys.path[0:0] = [path, path + "/lib"]
        os.chdir(state["slot"])  # main.py goes back


def ended_by_watchdog():
    """Say whether the last start was."""
    import sys

    import machine

    if machine.reset_cause() != machine.WDT_RESET:
        return False
    if sys.platform != "rp2":
        return True
    # machine.reset() uses the watchdog, too, and leaves no mark in a scratch register (pico-sdk).
    rp2350 = "RP2350" in sys.implementation._machine
    return machine.mem32[0x400D801C if rp2350 else 0x4005801C] == 0x6AB73121


try:
    choose()
except Exception as e:
    print("boot.py:", e)
