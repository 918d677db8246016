"""What the C code of a port does once it has power: runs boot.py, then main.py, each where it is.

    micropython power_on.py CODE

Runs on MicroPython. CODE is a folder with what was deployed, which on a board lies in the same
root as settings and readings; here that is the working folder.
"""

# ruff: noqa: F821  MicroPython has execfile

import os
import sys


class Chip:
    """What a chip has of the module `machine` for boot.py to look at."""

    WDT_RESET = 1

    @staticmethod
    def reset_cause():
        try:
            with open("reset-cause") as file:
                return int(file.read() == "watchdog")
        except OSError:
            return 0


sys.modules["machine"] = Chip
execfile(sys.argv[1] + "/boot.py", {"__name__": "__main__"})
del sys.modules["machine"], Chip
# boot.py has gone into the folder of an update, if one counts.
execfile(
    "main.py" if "main.py" in os.listdir() else sys.argv[1] + "/main.py", {"__name__": "__main__"}
)
