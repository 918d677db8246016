"""The client under asyncio, MicroPython's and CPython's.

    import asyncio
    from unats import aio

    async def main():
        async with aio.Client("nats://192.168.1.10:4222") as nc:
            await nc.publish("sensors.greenhouse-7.temp", b"21.53")
            reply = await nc.request("time.now")
            async for msg in nc.subscribe("devices.greenhouse-7.>"):
                await msg.respond(msg.data)

    asyncio.run(main())

It is `unats.Client` with the same arguments, and is given to everything that takes one; but a task
calls `poll()`, and what waited is awaited: `connect`, `flush`, `drain`, `request`, and every call
of JetStream, key-value, object stores and the outbox that has a waiting form. `watch` without a
handler is for `async for`; other calls that take a handler are by
`nc.each(lambda handler: jobs.consume(handler))`. An outbox is polled by the task, every 100 ms at
least, once `nc.on_turn += (lambda: outbox.poll() or 100,)` was said. Handlers are functions,
called by the task; what they raise goes to the loop's exception handler.

The task sleeps until something comes, is published, or is due: it takes nothing while there is
nothing. Only a message larger than `tx_size` is sent here and now, and without a `resolver`
looking up a name has everything wait. An await that is cancelled leaves the client as it is; a
cancelled `connect()` or `drain()` leaves it closed. Allocates. Heap: 4 KB, beside asyncio's own.
"""

import asyncio

import uselect
from micropython import const

from . import client
from .errors import NotConnected
from .kernels import publish

_LONG = const(0x0FFFFFFF)  # ms
_LOOK_MS = const(200)  # between looks whether there is something to do that nothing told of
_WRITE_MS = const(10)  # between looks whether there is room to write


class Client(client.Client):
    """As `unats.Client`, for one loop. `turned`: an asyncio.Event that is set for a moment after
    each turn, and stays so when there are no more.

    It stands before the transport's `uselect.poll()`: so it knows the socket, and how long
    `poll()` would wait for it, and has asyncio wait instead.
    """

    def __init__(self, servers, **options):
        super().__init__(servers, **options)
        self.turned = asyncio.Event()
        self._wake = asyncio.Event()  # there is to be a turn
        self._task = self._watcher = self._sock = None
        self._flags = self._ms = 0
        self._notes = False  # whether waiting is noted only
        self._poller, self.transport.poll = self.transport.poll, self

    def connect(self, timeout_ms=None, wait=True):
        """As `unats.Client.connect`; to be awaited, unless wait=False."""
        connection = self.connection()
        connection.connect(self, None, False)
        if not self._task:
            self.turned.clear()
            self._task = asyncio.create_task(self._drive())
        return self.wait(connection.connecting(self, timeout_ms)) if wait else _NOW

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *error):
        await (self.close() if error[0] else self.drain())

    def close(self):
        """Close at once. May be awaited."""
        super().close()
        self._wake.set()
        return _NOW

    def publish(self, subject, payload=b"", reply=None, headers=None, n=-1):
        """Queue a message. Awaited, it waits for room, and for the next connection; not awaited,
        it is as `unats.Client.publish`. NotConnected: the client is closed.
        """
        if publish(self, subject, payload, reply, headers, n):
            self._wake.set()
            return _NOW if self.stats.out_msgs & 7 else _SOON
        return _Queued(False, self._queue, subject, payload, reply, headers, n)

    async def _queue(self, *what):
        done = False
        while not done:
            if self.turned.is_set():
                raise NotConnected("closed")
            await self.turned.wait()
            self.stats.dropped -= 1  # it was not, the time before
            done = publish(self, *what)
        self._wake.set()

    def subscribe(self, subject, handler=None, queue=None, max_msgs=0, chunked=False, size=16):
        """With a handler, as `unats.Client.subscribe`. Without one, what is to be iterated over:
        copies of messages, of which up to `size` wait; see `Each`.
        """
        if handler is not None:
            return super().subscribe(subject, handler, queue, max_msgs, chunked)
        return self.each(
            lambda take: self.subscribe(
                subject, lambda msg: take(msg.copy()), queue, max_msgs, chunked
            ), size
        )  # fmt: skip

    def each(self, start, size=16):
        """What start(handler) has the handler be called with, to be iterated over: see `Each`."""
        self._wake.set()
        return Each(self, start, size)

    def resubscribe(self):
        self._wake.set()
        super().resubscribe()

    async def wait(self, steps):
        """Do these steps, see `unats.waiting`, between turns."""
        ms = 0
        try:
            while True:
                if ms < 2:
                    self._wake.set()
                try:
                    ms = next(steps)
                except StopIteration as e:
                    return e.value
                # (Not by `wait_for`, which loses a cancellation on CPython before 3.12. There is a
                # turn at least every _LOOK_MS; and afterwards there are none.)
                await self.turned.wait()
                if not self._task:
                    await asyncio.sleep(0.01)
        finally:
            steps.close()

    # The task

    async def _drive(self):
        try:
            while self.state not in ("closed", "disconnected"):
                self._wake.clear()
                self._ms, self._notes, n = 0, True, 0
                try:
                    n = self.poll(_LONG)
                except Exception as e:
                    asyncio.get_event_loop().call_exception_handler(
                        {"message": "a handler failed", "exception": e, "future": self._task}
                    )
                self._notes = False
                self.turned.set()
                self.turned.clear()
                if n or not self._ms:
                    await asyncio.sleep(0)
                    continue
                if self._sock and not self._watcher:
                    self._watcher = asyncio.create_task(self._watch(self._sock))
                try:
                    await asyncio.wait_for(self._wake.wait(), self._ms / 1000)
                except asyncio.TimeoutError:
                    pass
        finally:
            self._task = None
            self.turned.set()

    async def _watch(self, sock):
        nothing = bytearray()
        stream = getattr(sock, "stream", None) or asyncio.StreamReader(sock)  # (not on CPython)
        while True:
            await stream.readinto(nothing)
            self._wake.set()
            await self.turned.wait()

    def sleep_ms(self, ms):
        self._ms = ms

    # As `uselect.poll()`

    def register(self, sock, flags):
        self._poller.register(sock, flags)
        self._sock, self._flags = sock, flags

    modify = register

    def unregister(self, sock):
        watcher, self._watcher, self._sock = self._watcher, None, None
        if watcher:
            watcher.cancel()
        self._poller.unregister(sock)

    def ipoll(self, ms):
        if not self._notes or not ms:
            return self._poller.ipoll(ms)
        self._notes = False  # what waits further on, in a handler, really does
        for found in self._poller.ipoll(0):
            return (found,)
        self._ms = min(ms, _LOOK_MS if self._flags == uselect.POLLIN else _WRITE_MS)
        return ()


class Each:
    """What a handler would be called with, for `async for`. It ends with the client, or after
    `stop()`; an error that ends the source is raised. `dropped`: how many came while as many as
    there is room for were waiting. All else is the source's, as `unsubscribe` of a subscription.
    """

    def __init__(self, nc, start, size):
        self._nc, self._size = nc, size
        self._pending = []
        self._over = False
        self.dropped = 0
        self._source = start(self._take)

    def _take(self, what):
        if len(self._pending) < self._size:
            self._pending.append(what)
        else:
            self.dropped += 1

    def __getattr__(self, name):
        return getattr(self._source, name)

    def stop(self):
        """End it. What has come already is given still."""
        self._over = True
        end = getattr(self._source, "stop", None) or self._source.unsubscribe
        end()

    def __aiter__(self):
        return self

    async def __anext__(self):
        nc, source = self._nc, self._source
        while not self._pending:
            if source.error:
                raise source.error
            ended = hasattr(source, "sid") and source.sid not in nc.subscriptions
            if ended or self._over or nc.turned.is_set():
                raise StopAsyncIteration
            await nc.turned.wait()
        return self._pending.pop(0)


class _Queued:
    """Whether a message was queued; awaited, it is then."""

    def __init__(self, done, queue=None, *what):
        self._done, self._queue, self._what = done, queue, what

    def __bool__(self):
        return self._done

    def __iter__(self):  # for MicroPython's await
        return self._queue(*self._what) if self._queue else iter(())

    def __await__(self):
        return self._queue(*self._what).__await__() if self._queue else iter(())


_NOW = _Queued(True)
_SOON = _Queued(True, asyncio.sleep, 0)  # the others have their turn now and then
