"""The life of a board that sleeps: wake, read the sensors, send, have it confirmed, sleep.

    wake -> readings -> Wi-Fi -> server: what waits, and these -> confirmed -> deep sleep
              |            (away, or too slow: awake_s)                            ^
              +----------------------> to flash -----------------------------------+

It is awake for a bounded time whatever happens, and nothing that it has read is lost by a wake
without Wi-Fi or server: the readings go to flash, a block of it for each such wake, and leave with
those of a later one. With `outbox` "stream" they leave together with CONNECT (see
`unats.outbox.pipelined`), and are confirmed by the stream; with "none" they leave once the server
has answered, and are confirmed as being there.

A board that sleeps hears no commands, and says hello only to tell what has failed before. After
power-on it stays awake for some seconds more, and says so: Ctrl-C then ends the program, which is
how to get to its prompt, and to deploy.
"""

from micropython import const

from app import Caught

_TURN_MS = const(50)
_LINGER_MS = const(10000)
_FLUSH_MS = const(1000)


class Wake:
    """One wake of the board of `app`: its client, outbox and sensors, but not its loop.

    sleep_ms: how long to sleep afterwards. awake_ms: the longest time until then, from here on.
    """

    def __init__(self, app, clock, sleep_ms, awake_ms):
        self._app = app
        self._board = app.board
        self._outbox = app.outbox
        self._clock = clock
        self._sleep_ms = sleep_ms
        self._awake_ms = awake_ms
        self._joined = False
        self._fault = Caught()

    def run(self):
        """Do it all. Returns after Ctrl-C only, with the readings in flash; whatever else goes
        wrong is told, and the board sleeps."""
        try:
            self._app.introduce()
            self._board.start_watchdog()
            self._guarded(self._read)
            self._guarded(self._send)
            if not self._board.slept():
                self._guarded(self._linger)
            self._guarded(self._keep)
        except KeyboardInterrupt:
            self._app.stop()
            return
        if self._app.parts is not None:
            self._app.parts.leave("asleep", self._sleep_ms // 1000)
        self._guarded(self._app.client.close)
        self._board.deep_sleep(self._sleep_ms)

    def _guarded(self, step):
        with self._fault:
            step()
        error = self._fault.error
        if error is not None:
            with self._fault:  # with the heap full even telling it can fail
                self._app.say("this wake failed: %r" % error, "error")

    def _read(self):
        self._board.network_up()  # joining goes on while the sensors are read
        self._app.measure()

    def _send(self):
        """Send everything, in bounded time."""
        until = self._clock.ticks_add(self._clock.ticks_ms(), self._awake_ms)
        while self._clock.ticks_diff(until, self._clock.ticks_ms()) > 0:
            done = self._turn()
            self._board.feed()
            if done:
                return

    def _linger(self):
        self._app.say("sleeps in %d s, unless Ctrl-C comes now" % (_LINGER_MS // 1000))
        until = self._clock.ticks_add(self._clock.ticks_ms(), _LINGER_MS)
        while self._clock.ticks_diff(until, self._clock.ticks_ms()) > 0:
            self._turn()
            self._board.feed()

    def _turn(self):
        """One step; whether everything is sent and confirmed."""
        client = self._app.client
        if not (self._board.network_up() or client.connected):
            self._clock.sleep_ms(_TURN_MS)
            return False
        if not self._joined:
            self._joined = True
            self._app.measure(missing=True)  # the strength of the signal, for one
        if not client.connected:
            self._app.keep_started()
        client.poll(_TURN_MS)
        if self._app.failure and client.connected:
            self._app.hello()
            client.flush(_FLUSH_MS)  # it may be asleep in the next moment
        parts = self._app.parts
        if parts is not None:
            parts.turn()
        return self._outbox.flush(0) and not (parts is not None and parts.busy())

    def _keep(self):
        """Put what was not confirmed into flash."""
        self._app.went_well()
        kept = self._outbox.sync()
        stats = self._outbox.stats
        text = "%d readings are confirmed, %d wait in %s; sleeps for %d s"
        where = "flash" if kept else "RAM: flash takes nothing"
        self._app.say(text % (stats.acked, len(self._outbox), where, self._sleep_ms // 1000))
