"""The beginning of `python -m tools.run`; see run.py.

What that imports takes half a second, in which Ctrl-C has nothing to end but this process.
"""

import os
import signal
import sys


def main():
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from tools.run import run

    return run.main()


sys.exit(main())
