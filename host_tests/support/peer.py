"""The independent other side: the official Python client, used from ordinary code."""

import asyncio
import queue
import threading
import time

import nats
from nats.errors import Error as NatsError

_PATIENCE_S = 30
_OFTEN_S = 60


def try_often(action):
    """What action() returns once it does, while servers come and go."""
    deadline = time.monotonic() + _OFTEN_S
    while True:
        try:
            return action()
        except (NatsError, OSError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class Peer:
    """nats-py on an event loop in a thread of its own. `nc` is its client, `run` awaits anything
    on it.

    with Peer(server.url) as peer:
        messages = peer.subscribe("sensors.>")   # a queue.Queue of nats.aio.msg.Msg
        peer.publish("devices.a.led", b"on")
        messages.get(timeout=...)
    """

    def __init__(self, url, **options):
        self._url = url
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.nc = None

    def __enter__(self):
        self._thread.start()
        try:
            self.nc = self.run(nats.connect(self._url, **self._options))
        except BaseException:
            self._stop_loop()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.run(self.nc.close())
        finally:
            self._stop_loop()

    def _stop_loop(self):
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine):
        """The coroutine's result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE_S)

    def publish(self, subject, payload=b"", reply="", headers=None):
        """Publish, and return once the server has it."""
        self.run(self.nc.publish(subject, payload, reply, headers))
        self.flush()

    def subscribe(self, subject, queue_group=""):
        """A queue with the messages as they come; the server knows of it when this returns."""
        messages = queue.Queue()

        async def take(msg):
            messages.put(msg)

        self.run(self.nc.subscribe(subject, queue_group, take))
        self.flush()
        return messages

    def respond(self, subject, answer):
        """Answer requests on the subject with answer(msg): bytes."""

        async def reply(msg):
            await msg.respond(answer(msg))

        self.run(self.nc.subscribe(subject, cb=reply))
        self.flush()

    def request(self, subject, payload=b"", timeout=_PATIENCE_S):
        return self.run(self.nc.request(subject, payload, timeout=timeout))

    def flush(self):
        self.run(self.nc.flush())


async def _cancel_all():
    """What nats-py's subscriptions have begun, and leave behind."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
