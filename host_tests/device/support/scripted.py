"""A transport that plays a script, for tests on CPython and on MicroPython alike.

    net = Scripted()
    net.handshake()                      # INFO; then PONG for the client's first PING, and for all
                                         others
    net.feed(b"MSG a 1 2\r\nhi\r\n")     # a piece: what one readinto gives at most
    net.pause()                          # nothing for now, once
    net.end()                            # the server closes

A script may be added to while it is played. `next_connection()` begins the one for the next time
the client opens; when there is none left, opening is refused.

Once its script is written the transport allocates nothing, as long as it does not record what is
written (`Scripted(keep=0)`) or has room for it from the start (`keep=` that many bytes).
"""

import errno
import io
import json
import sys

import utime

_ALL = 1 << 29  # no limit
_PING = b"PING\r\n"
_ON_MICROPYTHON = sys.implementation.name == "micropython"

INFO = {
    "server_id": "SCRIPTED",
    "version": "2.15.1",
    "max_payload": 1048576,
    "headers": True,
    "proto": 1,
}


def _take(stream, buf, n):
    """Read n bytes of the stream to the start of buf."""
    if _ON_MICROPYTHON:
        stream.readinto(buf, n)
    else:
        stream.readinto(memoryview(buf)[:n])


def _give(stream, buf, off, n):
    """Write n bytes of buf from off on to the stream."""
    if _ON_MICROPYTHON:
        stream.write(buf, off, n)
    else:
        stream.write(memoryview(buf)[off : off + n])


def _sink(keep):
    if keep == 0:
        return None
    return io.BytesIO(keep) if keep and _ON_MICROPYTHON else io.BytesIO()


# The steps of a script. `read` is one readinto; `more` says that the next step belongs to the same
# message, so that no PONG may come in between; `blocks` says that the step has nothing to give
# yet.


class _Piece:
    def __init__(self, data, times, more):
        self._stream = io.BytesIO(data)
        self._size = self._left = len(data)
        self._times = times
        self.more = more

    def blocks(self, net):
        return False

    def read(self, net, buf):
        n = min(self._left, len(buf), net.read_limit)
        _take(self._stream, buf, n)
        self._left -= n
        net._current = self
        if self._left == 0:
            self._finish(net)
        return n

    def _rewind(self):
        self._stream.seek(0)
        self._left = self._size

    def _finish(self, net):
        self._times -= 1
        net._current = None
        if self._times:
            self._rewind()
        else:
            net._done(self)


class _Pong(_Piece):
    """The answer to a PING; it is in no script, and comes between two messages."""

    def __init__(self):
        super().__init__(b"PONG\r\n", 1, False)

    def _finish(self, net):
        net._current = None
        self._rewind()


class _Pause:
    def __init__(self, times, more):
        self._times = times
        self.more = more

    def blocks(self, net):
        return False

    def read(self, net, buf):
        self._times -= 1
        if self._times == 0:
            net._done(self)


class _Pings:
    """Holds back what follows until the client has sent this many PINGs."""

    more = False

    def __init__(self, count):
        self._count = count

    def blocks(self, net):
        return net.pings < self._count

    def read(self, net, buf):
        if self.blocks(net):
            return None
        net._done(self)
        return net.readinto(buf)


class _End:
    more = False

    def blocks(self, net):
        return False

    def read(self, net, buf):
        return 0


class _Failure:
    more = False

    def __init__(self, error):
        self._error = error

    def blocks(self, net):
        return False

    def read(self, net, buf):
        if not net._is_last(self):
            net._done(self)
        raise self._error


class Scripted:
    """The transport. What a test may set at any time, and look at:

    read_limit, write_limit     bytes that one call moves at most; write_limit 0: nothing is taken
    ready_after                 how often `ready` says no after `open`; -1: for ever
    ready_error                 what `ready` raises, or None
    answer_pings                whether a PING gets its PONG
    on_write                    None, or f(net), called after each write that took something
    clock                       None, or a Clock that `wait` moves on instead of sleeping
    opens closes reads writes waits waited_ms out_bytes pings is_open host port
    """

    def __init__(self, clock=None, keep=None):
        self.read_limit = self.write_limit = _ALL
        self.ready_after = 0
        self.ready_error = None
        self.answer_pings = False
        self.on_write = None
        self.clock = clock
        self.opens = self.closes = self.reads = self.writes = self.waits = self.waited_ms = 0
        self.out_bytes = 0
        self.is_open = False
        self.host = self.port = None
        self._keep = keep
        self._sink = _sink(keep)
        self._scripts = [[]]
        self._played = 0  # how many scripts have been begun
        self._refusals = []
        self._write_steps = []
        self._pong = _Pong()
        self._begin([])

    # Writing the script

    def feed(self, data, times=1, more=False):
        """A piece of bytes, as often as `times` says; `more`: the next piece goes on with its
        message.
        """
        self._scripts[-1].append(_Piece(data, times, more))

    def split(self, data, *offsets, pauses=0):
        """Data in pieces that end at the offsets, with so many pauses between them."""
        start = 0
        for end in offsets:
            self.feed(data[start:end], more=True)
            if pauses:
                self.pause(pauses, more=True)
            start = end
        self.feed(data[start:])

    def pause(self, times=1, more=False):
        """readinto answers None so many times."""
        self._scripts[-1].append(_Pause(times, more))

    def after_pings(self, count):
        """What follows comes once the client has sent so many PINGs on this connection."""
        self._scripts[-1].append(_Pings(count))

    def end(self):
        """The server has closed: readinto answers 0 from here on."""
        self._scripts[-1].append(_End())

    def fail(self, error):
        """readinto raises the error: once, or again and again as the last step."""
        self._scripts[-1].append(_Failure(error))

    def handshake(self, **fields):
        """The server's side of connecting; fields are put into INFO."""
        info = dict(INFO)
        info.update(fields)
        pairs = ['"%s":%s' % (name, json.dumps(info[name])) for name in sorted(info)]
        self.feed(("INFO {%s}\r\n" % ",".join(pairs)).encode())
        self.after_pings(1)
        self.answer_pings = True

    def next_connection(self):
        """What is scripted from now on is for the next connection."""
        self._scripts.append([])

    def refuse(self, error, times=1):
        """The next calls of open raise the error."""
        self._refusals.extend([error] * times)

    def on_writes(self, *steps):
        """What the next calls of write do: a number of bytes to take at most, None, or an error to
        raise.
        """
        self._write_steps.extend(steps)

    # Looking at what came

    def sent(self):
        """The bytes written since the connection was opened, or since `forget`."""
        return self._sink.getvalue()

    def forget(self):
        """Begin recording anew."""
        self._sink = _sink(self._keep)

    # The transport's contract

    def open(self, host, port):
        self.opens += 1
        self.host = host
        self.port = port
        if self._refusals:
            raise self._refusals.pop(0)
        if self._played == len(self._scripts):
            raise OSError(errno.ECONNREFUSED, "ECONNREFUSED")
        self._begin(self._scripts[self._played])
        self._played += 1
        self.is_open = True
        self.forget()

    def _begin(self, script):
        self._steps = script
        self._at = 0
        self._current = None
        self._not_ready = self.ready_after
        self.pings = 0
        self._matched = 0  # how many bytes of a PING were written last
        self._pongs_due = 0
        self._pong._rewind()

    def ready(self):
        self._check_open()
        if self.ready_error is not None:
            raise self.ready_error
        if self._not_ready == 0:
            return True
        self._not_ready -= 1
        return False

    def readinto(self, buf):
        self._check_open()
        self.reads += 1
        step = self._step()
        if step is None:
            return None
        if step is self._pong and self._current is None:
            self._pongs_due -= 1
        return step.read(self, buf)

    def write(self, buf, off, n):
        self._check_open()
        self.writes += 1
        n = self._allowed(n)
        if n:
            self._record(buf, off, n)
        return n

    def wait(self, timeout_ms, writing):
        self._check_open()
        self.waits += 1
        if self._is_readable() or (writing and self._is_writable()):
            return
        self.waited_ms += timeout_ms
        if self.clock is None:
            utime.sleep_ms(min(timeout_ms, 1))
        else:
            self.clock.sleep_ms(timeout_ms)

    def close(self):
        if self.is_open:
            self.closes += 1
        self.is_open = False

    def _check_open(self):
        if not self.is_open:
            raise OSError(errno.EBADF, "EBADF")

    def _step(self):
        """What the next readinto reads, or None."""
        if self._current is not None:
            return self._current
        if self._pongs_due:
            return self._pong
        return self._steps[self._at] if self._at < len(self._steps) else None

    def _done(self, step):
        self._at += 1
        self._current = self._steps[self._at] if step.more else None

    def _is_last(self, step):
        return self._steps[-1] is step

    def _is_readable(self):
        step = self._step()
        return step is not None and not step.blocks(self)

    def _is_writable(self):
        if self._not_ready < 0:
            return False
        if self._write_steps:
            return self._write_steps[0] is not None
        return self.write_limit > 0

    def _allowed(self, n):
        """How many of n bytes this write takes."""
        if not self._write_steps:
            return min(n, self.write_limit) or None
        step = self._write_steps.pop(0)
        if step is None:
            return None
        if isinstance(step, BaseException):
            raise step
        return min(n, step)

    def _record(self, buf, off, n):
        self.out_bytes += n
        if self._sink is not None:
            _give(self._sink, buf, off, n)
        self._look_for_pings(buf, off, off + n)
        if self.on_write is not None:
            self.on_write(self)

    def _look_for_pings(self, buf, at, end):
        while at < end:
            self._look_at(buf[at])
            at += 1

    def _look_at(self, byte):
        if byte == _PING[self._matched]:
            self._matched += 1
        else:
            self._matched = 1 if byte == _PING[0] else 0
        if self._matched == len(_PING):
            self._matched = 0
            self.pings += 1
            if self.answer_pings:
                self._pongs_due += 1


class Clock:
    """Stands in for `utime` where nothing shall depend on real time: it moves when told, and by
    sleeping.

    `install` puts it in the place of utime in modules that imported it; `remove` undoes that.
    """

    def __init__(self, now=0, period=1 << 30):
        self._now = now % period
        self._period = period
        self._modules = []

    def install(self, *modules):
        for module in modules:
            self._modules.append((module, module.utime))
            module.utime = self
        return self

    def remove(self):
        for module, utime_of_module in self._modules:
            module.utime = utime_of_module
        self._modules.clear()

    def sleep_ms(self, ms):
        self._now = (self._now + max(ms, 0)) % self._period

    def ticks_ms(self):
        return self._now

    def ticks_add(self, ticks, delta):
        half = self._period >> 1
        if not -half < delta < half:
            raise OverflowError("ticks interval overflow")
        return (ticks + delta) % self._period

    def ticks_diff(self, end, start):
        half = self._period >> 1
        return (end - start + half) % self._period - half
