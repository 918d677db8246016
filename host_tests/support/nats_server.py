"""A real nats-server on loopback, which the tests may kill and start again."""

import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from .paths import NATS_SERVER, needed
from .ports import free_port

_START_S = 30
_ATTEMPTS = 5
_PORT_TAKEN = "address already in use"


class NatsServer:
    """A nats-server; as a context manager it is started and stopped.

    `config`: text of a configuration file, `args`: further command-line words, `jetstream`: with
    JetStream, whose files survive `kill`. `port`: a given one instead of a free one. The port
    stays the same over restarts. `url`, `port`, `pid`, `log` (all it has said), `folder` (its own,
    gone after `stop`). It ends only the process that it started.
    """

    def __init__(self, config="", args=(), jetstream=False, port=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="unats-server-"))
        self._config = config
        self._args = list(args)
        if jetstream:
            self._args += ["-js", "-sd", str(self.folder / "jetstream")]
        self.port = port
        self._process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return "nats://127.0.0.1:%d" % self.port

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self):
        """Start, or start again on the same port; return once connections are accepted."""
        assert not self.running, "already running"
        may_move = self.port is None
        for _ in range(_ATTEMPTS):
            if may_move:
                self.port = free_port()
            if self._try_to_start():
                return self
            time.sleep(0.2)  # whoever has the port may leave it soon
        raise AssertionError("nats-server: port %d stays taken\n%s" % (self.port, self.log))

    def _try_to_start(self):
        """Whether it runs now; False: somebody else has a port that it needs."""
        said = len(self.log)
        self._process = self._spawn()
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._listens():
                return True
            if not self.running:
                if _PORT_TAKEN in self.log[said:]:
                    return False
                break
            time.sleep(0.01)
        self.kill()
        raise AssertionError("nats-server did not start\n%s" % self.log)

    def _spawn(self):
        command = [needed(NATS_SERVER), "-a", "127.0.0.1", "-p", str(self.port)]
        command += ["--ports_file_dir", str(self.folder)]
        if self._config:
            path = self.folder / "server.conf"
            path.write_text(self._config)
            command += ["-c", str(path)]
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                command + self._args,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def _listens(self):
        """It writes this file, named for its process, once its ports are open."""
        try:
            text = (self.folder / ("nats-server_%d.ports" % self.pid)).read_text()
            return bool(json.loads(text)["nats"])
        except (FileNotFoundError, json.JSONDecodeError):
            return False

    def signal(self, number):
        """Send a signal: SIGHUP reloads the configuration, SIGUSR2 is lame duck mode, SIGSTOP
        freezes.
        """
        self._process.send_signal(number)

    def configure(self, config):
        """Another configuration, for the next start or, with SIGHUP, for the running server."""
        self._config = config
        (self.folder / "server.conf").write_text(config)

    def reload(self, config):
        """Another configuration, from now on or, if it does not run, from its start on."""
        self.configure(config)
        while self.running and not self._listens():  # the signal would end it before that
            time.sleep(0.01)
        if self.running:
            self.signal(signal.SIGHUP)

    def kill(self):
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.running:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)  # it may have been frozen
        if self._process:
            self._process.wait()

    def restart(self):
        """kill -9, and start again on the same port."""
        self.kill()
        self.start()

    def stop(self):
        """End it, and remove all it has left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
