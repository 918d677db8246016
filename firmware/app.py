"""The application of a board: publishes its readings, obeys commands, and never gives up.

    sensors.<device>.<kind>    out: {"v":21.53,"seq":7,"up":61,"boot":3}
                               seq counts the readings of that kind since this start of the board,
                               up is when it was taken, in seconds since then, boot numbers the
                               starts (if the outbox has a folder in flash, which is where they are
                               counted)
    devices.<device>.hello     out: on each connection, with up and boot, and with the reasons of
                               the last reset and of the last disconnection; and with the failure
                               that ended the application before, if one did
    devices.<device>.error     out: a sensor that begins to fail, readings that are not accepted
    devices.<device>.led       in:  on, off, toggle, or empty to read it; replies on or off
    devices.<device>.info      in:  replies with the board's state as JSON
                               a command may be in any case, with blanks and line ends around it;
                               the two are endpoints of the service "board", so that
                               `nats micro ls` and `nats micro stats board` know of each board

It knows the hardware only as a `board` (see boards), time only as a `clock` (the utime module) and
the network only as a `client` (unats.Client), so a test can give it others. Once connected, a turn
of the loop allocates nothing unless something out of the ordinary has to be told.

Readings go through an `outbox` (unats.outbox.Outbox), which keeps them while there is no
connection: they are taken at their time all the same, from the start on. A board's clock is not
set, so what tells the age of one that comes late is `up`: any later message of the same boot says
how late it is. Without an outbox, what is due while there is no connection is counted as unsent
and lost.
"""

import gc
import json
import sys
from io import StringIO

from micropython import const

import unats
from boards import machine_name, micropython_version

_TURN_MS = const(250)  # longest time in one turn
_START_AGAIN_MS = const(10000)
_WELL_MS = const(300000)
_GIVE_UP_MS = const(5000)  # with the longest turn less than any watchdog has
_STARVED = const(5)  # attempts to connect
_PAYLOAD_SIZE = const(96)
_COMMAND_SIZE = const(64)  # bytes; nothing longer is one

_LED_HELP = b"error: send on, off or toggle, or nothing to read the LED"


class Caught:
    """A `with` block that ends up in `error` when it raises an Exception, instead of passing it
    on.

    `except Exception as e` would need a frame that does not fit MicroPython's stack and is put on
    the heap for each call; this one takes nothing from it.
    """

    def __init__(self):
        self.error = None

    def __enter__(self):
        self.error = None

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception):
            self.error = error
            return True
        return False


class Channel:
    """One kind of reading: its sensor, where its readings go, and how it has fared."""

    def __init__(self, device, kind, sensor):
        self.kind = kind
        self.sensor = sensor
        self.subject = "sensors.%s.%s" % (device, kind)
        self.seq = 0
        self.fault = Caught()
        self.errors = 0
        self.failing = False
        self.off = False


class App:
    """Everything a board does.

    client      unats.Client; its on_event has to call on_event() here
    clock       ticks_ms, ticks_add, ticks_diff and sleep_ms, as in utime
    board       boards.Board
    device      the board's name, one token of a subject
    period_ms   time between two readings of each sensor
    sensors     list of (kind, sensors.Sensor)
    outbox      unats.outbox.Outbox, or None: readings are published, or lost
    """

    def __init__(self, client, clock, board, device, period_ms, sensors, outbox=None):
        self.client = client
        self.outbox = outbox
        self.time = None  # an ntp.Ntp, where connecting needs the clock to be set
        self.has_service = True  # whether the commands are endpoints of a service
        # What ended the application before, text, until it has been told and all has gone well for
        # a while; empty: it was told by an earlier start.
        self.failure = None
        self._well_at = None  # when that while is over
        self.board = board
        self.device = device
        self.unsent = 0
        self.faults = 0
        self.connections = 0
        self.disconnected = None
        self._clock = clock
        self.period_ms = period_ms
        self.channels = [Channel(device, kind, sensor) for kind, sensor in sensors]
        self._put = outbox.put if outbox is not None else client.publish
        self.boot = outbox.start if outbox is not None else None
        self._payload = unats.Payload(_PAYLOAD_SIZE)
        # While what knows it is loaded anyway:
        self.version = getattr(unats, "__version__", "unknown")
        self.log = None  # logs.Logs.log: where what is said goes, too
        self.parts = None  # parts.Parts: what else the settings ask for
        self._fault = Caught()
        self._failing = None  # the error of the last turn, if that failed,
        self._failing_since = 0  # ... and when the first of these turns did
        self._refused_command = Caught()
        self._refusal = None  # the outbox's last_error that was looked at,
        self._refusal_told = None  # ... and the text that was told
        self._starved = 0  # attempts to connect that found no memory
        self._network = None
        self._announce = False
        self.due = None  # no readings yet
        self._start_at = None

    def run(self):
        """Run until Ctrl-C. Whatever goes wrong in a turn is reported, and the next one follows;
        when every turn has failed for some seconds the last error is raised, with the readings
        that wait in flash.
        """
        try:
            self.start()
            while not self.hopeless():
                self.turn()
        except KeyboardInterrupt:
            self._failing = None
        if self._failing is not None:
            self.board.feed()  # flash may take its time
            with self._fault:
                self.keep()
            raise self._failing
        with self._fault:
            self.stop()
        if self._fault.error is not None:
            print("not all is stopped:", self._fault.error)

    def hopeless(self):
        """Say whether turns have done nothing but fail for some seconds, or no connection has
        found memory for a while: after a reset it is not in pieces.
        """
        if self._starved >= _STARVED:
            self._failing = MemoryError("no room for a connection")
            return True
        if self._failing is None:
            return False
        now = self._clock.ticks_ms()
        return self._clock.ticks_diff(now, self._failing_since) >= _GIVE_UP_MS

    def start(self):
        """Subscribe to the commands and start the watchdog; connecting is left to the loop."""
        self.introduce()
        commands = ("led", self._on_led), ("info", self._on_info)
        if self.has_service:
            self._offer(commands)
        else:
            for name, handler in commands:
                self.client.subscribe(self._subject(name), handler)
        self.board.start_watchdog()
        if self.outbox is not None:
            self.due = self._clock.ticks_ms()

    def stop(self):
        """Stop, with the readings that still wait in flash."""
        self.board.release_watchdog()
        if self.parts is not None:
            self.parts.leave("stopped")
        self.keep()
        self.client.close()
        self.say("stopped")

    def keep(self):
        """Put the readings that wait into flash."""
        if self.outbox is not None and not self.outbox.sync():
            self.say("%d readings are in RAM only" % len(self.outbox))

    def turn(self):
        """One turn of the loop, of at most a quarter of a second.

        A turn that fails does not feed the watchdog. Writing readings to flash may take it some
        100 ms longer.
        """
        with self._fault:
            self._serve()
            self._measure()
            self._send()
            if self.parts is not None:
                self.parts.turn()
            if self._well_at is not None:
                self._look_at_failure()
            self.board.feed()
            self._failing = None
        if self._fault.error is not None:
            self._failed(self._fault.error)

    def _failed(self, error):
        self.faults += 1
        if self._failing is None:
            self._failing_since = self._clock.ticks_ms()
        self._failing = error
        with self._fault:  # with the heap full even telling it can fail
            self.tell("error in the loop:", error)
        self._clock.sleep_ms(_TURN_MS)

    def on_event(self, client, event, detail):
        """Take note of what the client tells; what follows from it is done in the loop."""
        if event == "connected" or event == "reconnected":
            self.connections += 1
            self._starved = 0
            self._announce = True
        elif event == "disconnected":
            self.disconnected = reason(detail)
            self.say("disconnected: " + self.disconnected, "warning")
        elif event == "error":
            self.say("client: " + reason(detail), "warning")
            self._starved += str(detail) == "out of memory"

    # Network

    def _serve(self):
        if self._reachable():
            self.client.poll(self._wait())
        else:
            self._clock.sleep_ms(self._wait())
        if self._announce and self.client.connected:
            self.hello()

    def _reachable(self):
        """Say whether polling makes sense. Without a network it would only lengthen the waits
        between the client's attempts, unless a connection is there that outlasts the gap."""
        up = self.board.network_up()
        if up is not self._network:
            self._network = up
            self.say("network is up" if up else "network is away", "info" if up else "warning")
        if self.client.connected:
            return True
        if up:
            self.keep_started()
        return up

    def keep_started(self):
        """Have the client connect, unless it is at it: at once, then every ten seconds.

        Where it needs the clock, not before that is set: it would be told so, and wait longer and
        longer.
        """
        state = self.client.state
        if state != "disconnected" and state != "closed":
            return
        if self.time is not None and not self.time.is_set():
            return
        now = self._clock.ticks_ms()
        if self._start_at is not None and self._clock.ticks_diff(now, self._start_at) < 0:
            return
        self._start_at = self._clock.ticks_add(now, _START_AGAIN_MS)
        try:
            self.client.connect(wait=False)
        except OSError as e:
            self.say("cannot connect: " + reason(e), "warning")

    def _wait(self):
        """Milliseconds until the next readings, at most a turn's length."""
        if self.due is None:
            return _TURN_MS
        left = self._clock.ticks_diff(self.due, self._clock.ticks_ms())
        if left < 0:
            return 0
        return left if left < _TURN_MS else _TURN_MS

    def hello(self):
        """Publish who and how the board is; once more on the next turn if that is not taken."""
        gc.collect()  # importing and connecting leave garbage behind, what follows does not
        hello = {
            "board": self.board.name,
            "reset": self.board.reset_cause(),
            "up": self.board.uptime(),
            "boot": self.boot,
            "connections": self.connections,
            "disconnected": self.disconnected,
        }
        if self.failure:
            hello["failure"] = self.failure
        if not self.client.publish(self._subject("hello"), json.dumps(hello)):
            return
        self._announce = False
        if self.failure is not None:
            self.failure_told()
        self.say("connected")
        if self.due is None:
            self.due = self._clock.ticks_ms()

    def failure_told(self):
        """It is not told again; a board that fails soon after this waits longer all the same."""
        import failure

        self.failure = None
        failure.told()
        self._well_at = self._clock.ticks_add(self._clock.ticks_ms(), _WELL_MS)

    def _look_at_failure(self):
        if self._clock.ticks_diff(self._clock.ticks_ms(), self._well_at) >= 0:
            self.went_well()

    def went_well(self):
        """All has gone well for a while: the next failure is the first one. One that was not told
        yet is kept.
        """
        if self._well_at is not None or self.failure == "":
            import failure

            self._well_at = self.failure = None
            failure.forget()

    # Readings

    def measure(self, missing=False):
        """Take a reading of each kind; missing: only of those that have given none yet."""
        for channel in self.channels:
            if not channel.off and not (missing and channel.seq):
                self._take(channel)

    def _measure(self):
        if self.due is None:
            return
        now = self._clock.ticks_ms()
        if self._clock.ticks_diff(now, self.due) < 0:
            return
        self.due = self._clock.ticks_add(self.due, self.period_ms)
        if self._clock.ticks_diff(now, self.due) >= 0:  # fell behind: go on from here
            self.due = self._clock.ticks_add(now, self.period_ms)
        self.measure()

    def _send(self):
        """Let the outbox do its part."""
        if self.outbox is None:
            return
        self.outbox.poll()
        if self.outbox.last_error is not self._refusal:
            self._refusal = self.outbox.last_error
            self._refused(reason(self._refusal))

    def _refused(self, text):
        """Tell why readings are not accepted, once; a board tries again and again by itself."""
        if text == self._refusal_told:
            return
        self._refusal_told = text
        self.say("readings are not accepted: " + text, "error")
        report = {"outbox": text, "waiting": len(self.outbox)}
        self.client.publish(self._subject("error"), json.dumps(report))

    def _take(self, channel):
        """Take one reading; a sensor that raises costs its own reading, and no other."""
        with channel.fault:
            self._publish(channel)
        if channel.fault.error is not None:
            self._sensor_failed(channel, channel.fault.error)

    def _publish(self, channel):
        if self._read(channel.sensor, channel.seq + 1):
            channel.seq += 1
            channel.failing = False
            if not self._put(channel.subject, self._payload):
                self.unsent += 1

    def _read(self, sensor, seq):
        """Build the payload of a reading; False if the sensor has nothing to say."""
        value = sensor.read()
        if value is None:
            return False
        if isinstance(value, float):
            value = round(value * 10**sensor.decimals)
        self._payload.clear().text('{"v":').fixed(value, sensor.decimals)
        self._payload.text(',"seq":').int(seq).text(',"up":').int(self.board.uptime())
        if self.boot is not None:
            self._payload.text(',"boot":').int(self.boot)
        self._payload.text("}")
        return True

    def _sensor_failed(self, channel, error):
        channel.errors += 1
        if channel.failing:
            return
        channel.failing = True
        text = reason(error)
        self.say("sensor %s: %s" % (channel.kind, text), "error")
        report = {"sensor": channel.kind, "error": text, "errors": channel.errors}
        self.client.publish(self._subject("error"), json.dumps(report))

    # Commands

    def _offer(self, commands):
        """Make them the endpoints of a service."""
        from unats.services import Service

        about = {"device": self.device, "board": self.board.name}
        service = Service(self.client, "board", self.version, "readings and commands", about)
        for name, handler in commands:
            service.endpoint(name, handler, self._subject(name), queue=None)

    def _on_led(self, msg):
        self._obey(self._switch, msg)

    def _on_info(self, msg):
        self._obey(self._tell, msg)

    def _obey(self, what, msg):
        """Call what(msg, command), which replies. Allocates.

        What fails costs this command and nothing else: it is answered, printed and counted, and
        the turn goes on, so that nobody's message keeps the watchdog from being fed.
        """
        with self._refused_command:
            what(msg, command_of(msg))
        error = self._refused_command.error
        if error is None:
            return
        self.faults += 1
        with self._refused_command:  # with the heap full even telling it can fail
            self.tell("a command failed:", error)
            msg.respond("error: " + reason(error))

    def _switch(self, msg, command):
        led = self.board.led
        try:
            if command == b"":
                lit = led()
            elif command == b"on":
                lit = led(True)
            elif command == b"off":
                lit = led(False)
            elif command == b"toggle":
                lit = led(not led())
            else:
                msg.respond(_LED_HELP)
                return
        except OSError as e:
            msg.respond("error: " + str(e))
            return
        msg.respond(b"on" if lit else b"off")

    def _tell(self, msg, command):
        msg.respond(json.dumps(self.info()))

    def info(self):
        """Return the board's state. Garbage is collected first, so heap_used can be compared."""
        readings = {}
        errors = {}
        for channel in self.channels:
            readings[channel.kind] = channel.seq
            if channel.errors:
                errors[channel.kind] = channel.errors
        try:
            lit = self.board.led()
        except OSError:
            lit = None
        return {
            "device": self.device,
            "board": self.board.name,
            "machine": machine_name(),
            "micropython": micropython_version(),
            "unats": self.version,
            "uptime": self.board.uptime(),
            "boot": self.boot,
            "reset": self.board.reset_cause(),
            "connections": self.connections,
            "disconnected": self.disconnected,
            "rssi": self.board.rssi(),
            "led": lit,
            "readings": readings,
            "unsent": self.unsent,
            "outbox": None if self.outbox is None else self._figures(),
            "sensor_errors": errors,
            "faults": self.faults,
            "heap_used": self.board.heap_used(),
            "heap_free": self.board.heap_free(),
        }

    def _figures(self):
        """What the outbox counts, see `unats.outbox.spool.Stats`."""
        outbox, stats = self.outbox, self.outbox.stats
        error = outbox.last_error
        return {
            "ack": "stream" if outbox.acknowledged else "none",
            "waiting": len(outbox),
            "acked": stats.acked,
            "resent": stats.resent,
            "dropped": stats.dropped,
            "damaged": stats.damaged,
            "rejected": stats.rejected,
            "unverified": stats.unverified,
            "unconfirmed": stats.unconfirmed,
            "error": None if error is None else reason(error),
        }

    def _subject(self, name):
        return "devices.%s.%s" % (self.device, name)

    def introduce(self):
        """Print what the board is, and why it started."""
        self.say("is a %s, last reset: %s" % (self.board.name, self.board.reset_cause()))

    def say(self, text, level="info"):
        """Print a line for whoever watches the prompt, and those who read the logs."""
        print("[%5d s] %s: %s" % (self.board.uptime(), self.device, text))
        if self.log is not None:
            self.log(level, text)

    def tell(self, text, error):
        """Say what has failed, with the traceback."""
        trace = StringIO()
        sys.print_exception(error, trace)
        self.say(text + "\n" + trace.getvalue().rstrip(), "error")


def command_of(msg):
    """Return the word of a command, bytes: in lower case, and without what shells and bridges put
    around it, blanks, line ends and NUL; b"?" if it is too long to be one. Allocates.
    """
    if msg.size > _COMMAND_SIZE:
        return b"?"
    return bytes(msg.buffer[msg.start : msg.end]).strip(b" \t\r\n\0").lower()


def reason(error):
    """Return an error's kind and text."""
    if error is None:
        return "closed"
    return "%s: %s" % (type(error).__name__, error)
