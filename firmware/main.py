"""What the board runs after boot.py: the application, and the way back when something ends it.

The watchdog runs before anything that can fail or hang. What wiring.py raises, also while it is
imported, is printed and kept for the next `hello` (see failure.py); then the board waits, longer
each time, and is reset. Ctrl-C reaches the prompt at any time, and a mistake in the settings stays
there.

Here stands only what is needed if no other file can be read or no memory is left. The same file
runs on a real board and on the simulated one.
"""

import gc
import os
import sys

import utime

# An update starts in its folder, see boot.py; settings and readings are not in there.
_home = os.getcwd().rsplit("/update-", 1)
if len(_home) == 2:
    os.chdir(_home[0] or "/")

_WAIT_S = 60  # if it cannot even be looked into what happened
_RESET = 3  # exit code where there is nothing to be reset


def main():
    """Run the application until Ctrl-C, or until it is told of a mistake in the settings.

    Whatever else ends it has the board reset. (Leaving with sys.exit() would make a board restart
    at once, for ever.)
    """
    dog = error = None
    try:
        try:
            import watchdog as dog

            dog.start()
            gc.collect()  # what compiling these files has left behind
            import wiring

            run = wiring.made()
            del wiring, sys.modules["wiring"]  # it has done its work
            gc.collect()
            if run is not None:
                run()
        except Exception as e:
            error = e
        if error is not None:
            come_back(error, dog)
    except KeyboardInterrupt:
        print("interrupted")
    if dog is not None:
        dog.release()


def come_back(error, dog=None):
    """Tell what happened, wait, and reset the board. dog: the watchdog's module, or None."""
    wait_s = _WAIT_S
    try:
        make_room()
        sys.print_exception(error)
        from failure import keep

        wait_s = keep(error)
        print("starts again in %d s, unless Ctrl-C comes now" % wait_s)
    except Exception:
        pass  # there may be no memory for it, or nothing to be read; what counts is coming back
    for _ in range(4 * wait_s):
        if dog is not None:
            dog.feed()
        utime.sleep_ms(250)
    reset()


def make_room():
    """Give back the heap that the application's modules take."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("unats", "wiring", "app", "boards", "settings", "sensors"):
            del sys.modules[name]
    gc.collect()


def reset():
    """Reset the board, or end the process that simulates one."""
    try:
        from machine import reset
    except ImportError:
        sys.exit(_RESET)
    reset()


if __name__ == "__main__":
    main()
