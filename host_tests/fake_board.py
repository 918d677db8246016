"""A board at the end of a serial line: MicroPython's Unix port on a pty.

`FakeBoard.port` is what a program opens as the serial port; a folder is the board's flash. The
prompt, the raw REPL and the file system calls behind it are MicroPython's own. What the Unix port
has not, a bridge between the two ends adds: soft reset (Ctrl-D) and `machine.reset()`, after which
boot.py and main.py run as they do on a board. It is not a board in that its flash is the host's
file system, its speed the host's, and its machine code the host's.
"""

import fcntl
import os
import pty
import select
import subprocess
import termios
import threading
import tty
from pathlib import Path

_HARD_RESET = 77  # exit code of machine.reset()

_STARTUP = """
import sys, os
class machine:
    def reset():
        sys.exit(%d)
sys.modules['machine'] = machine
sys.path[:] = ['', '.frozen', os.getcwd() + '/lib']
%s
def run(path):
    try:
        with open(path) as file:
            source = file.read()
    except OSError:
        return
    try:
        exec(compile(source, path, 'exec'), {'__name__': '__main__'})
    except Exception as error:
        sys.print_exception(error)
    except KeyboardInterrupt:
        print('interrupted')
run('boot.py')
if %r:
    run('main.py')
"""

_OTHER_MPY = """
class implementation:
    name = 'micropython'
    version = sys.implementation.version
    _mpy = %d
class Sys:
    implementation = implementation
    real = sys
    def __getattr__(self, name):
        return getattr(self.real, name)
sys.modules['sys'] = Sys()
"""


class FakeBoard:
    """Use as a context manager. `flash` is the folder, `events` what happened to the board so far.

    `events` holds "soft reset", "hard reset" and ("write", path) for each file opened for writing.
    `output` is all that the board has printed. `mpy` overrides sys.implementation._mpy.
    """

    def __init__(self, micropython, flash, mpy=None):
        self._micropython = micropython
        self.flash = Path(flash)
        self.events = []
        self.output = b""
        self._patch = "" if mpy is None else _OTHER_MPY % mpy
        self._child = None

    def __enter__(self):
        self._outer, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._wake, self._stop = os.pipe()
        self._boot(run_main=True)
        self._bridge = threading.Thread(target=self._run)
        self._bridge.start()
        return self

    def __exit__(self, *_):
        os.write(self._stop, b"x")
        self._bridge.join()
        self._end_child()
        for fd in (self._outer, self._slave, self._wake, self._stop):
            os.close(fd)

    def _boot(self, run_main):
        self._inner, slave = pty.openpty()
        tty.setraw(slave)
        mode = termios.tcgetattr(slave)
        mode[3] |= termios.ISIG  # Ctrl-C interrupts the running program
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        startup = _STARTUP % (_HARD_RESET, self._patch, run_main)
        self._child = subprocess.Popen(
            [self._micropython, "-i", "-c", startup],
            cwd=self.flash,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  one call
        )
        os.close(slave)

    def _end_child(self):
        self._child.kill()
        self._child.wait()
        os.close(self._inner)

    def _run(self):
        while True:
            ready, _, _ = select.select([self._outer, self._inner, self._wake], [], [])
            if self._wake in ready:
                return
            if self._outer in ready:
                self._to_board(os.read(self._outer, 4096))
            if self._inner in ready:
                self._from_board()

    def _to_board(self, data):
        self._note_writes(data)
        os.write(self._inner, data)

    def _note_writes(self, data):
        # mpremote opens each file that it writes with one short command.
        for part in data.split(b"f=open('")[1:]:
            path, _, rest = part.partition(b"'")
            if rest.startswith(b",'wb')"):
                self.events.append(("write", path.decode()))

    def _from_board(self):
        try:
            data = os.read(self._inner, 4096)
        except OSError:  # EIO: the process has ended
            data = b""
        self.output += data
        if data:
            os.write(self._outer, data)
        else:
            self._reset()

    def _reset(self):
        hard = self._child.wait() == _HARD_RESET
        os.close(self._inner)
        self.events.append("hard reset" if hard else "soft reset")
        if not hard:
            os.write(self._outer, b"\r\nMPY: soft reboot\r\n")
        self._boot(run_main=hard)
        if not hard:
            os.write(
                self._inner, b"\x01"
            )  # a board stays in the raw REPL; this process starts outside it
