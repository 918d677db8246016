"""Runs one of the steps of env.sh below a bar, on a terminal; what it prints goes to a log.

    python tools/step.py DONE TOTAL LOG COMMAND ...

Exit code: the command's. Needs rich and nothing else, which is what env.sh installs first.
"""

import subprocess
import sys
import time

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_LOOK_S = 0.1


def main(done, total, log, *command):
    columns = SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with open(log, "ab") as file, Progress(*columns, transient=True) as progress:
        progress.add_task(f"{done} of {total}", completed=int(done) - 1, total=int(total))
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ) as child:
            try:
                while child.poll() is None:
                    time.sleep(_LOOK_S)
            except KeyboardInterrupt:  # the command has had it too
                child.wait()
                return 130
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
