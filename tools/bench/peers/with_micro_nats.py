"""micro-nats, on asyncio.

written: publish(wait=True), which returns when the stream has been drained. confirmed: that, then
a PING, and waiting until the client has seen the PONG. coalesced: publish() without waiting starts
a task each, so the loop gets its turn after every 16 messages or 16 KB; at the end one PING.

It imports `logging`, `base64` and `datetime`, which MicroPython does not bring along: those in the
folder `missing` do nothing, which is to its advantage.
"""

import asyncio

from micro_nats.client import Client
from micro_nats.model import ServerContext
from micro_nats.protocol.cmd.client import Ping

_IN_FLIGHT = 16384  # bytes of payload in tasks at a time, at most 16 of them


class Driver:
    def __init__(self, port, buffer):
        self.count = self.target = 0
        self.client = Client(ServerContext("nats://127.0.0.1:%d" % port))
        self.reached = asyncio.Event()
        self.answered = asyncio.Event()
        self.on_pong = self.client.manager.on_pong
        self.client.manager.on_pong = self._on_pong
        asyncio.run(self._connect())

    async def _connect(self):
        await self.client.connect()
        while not self.client.is_connected():
            await asyncio.sleep(0)

    async def _on_message(self, message):
        self.count += 1
        if self.count == self.target:
            self.reached.set()

    async def _on_pong(self, pong):
        await self.on_pong(pong)
        self.answered.set()

    async def _answer(self):
        self.answered.clear()
        await self.client.manager.safe_write(Ping().marshal(), flush=True)
        await self.answered.wait()

    def sync(self):
        asyncio.run(self._answer())

    def subscribe(self, subjects, size):
        asyncio.run(self._subscribe(subjects))

    async def _subscribe(self, subjects):
        for subject in subjects:
            await self.client.subscribe(subject, self._on_message)
            await asyncio.sleep(0)

    def receive(self, count):
        self.target = self.count + count
        asyncio.run(self.reached.wait())

    def prepare(self, subject, payload):
        self.subject = subject
        self.payload = payload

    def written(self, count):
        asyncio.run(self._written(count))

    async def _written(self, count):
        publish, subject, payload = self.client.publish, self.subject, self.payload
        for _ in range(count):
            await publish(subject, payload, wait=True)

    def confirmed(self, count):
        asyncio.run(self._confirmed(count))

    async def _confirmed(self, count):
        publish, subject, payload = self.client.publish, self.subject, self.payload
        for _ in range(count):
            await publish(subject, payload, wait=True)
            await self._answer()

    def coalesced(self, count):
        asyncio.run(self._coalesced(count))

    async def _coalesced(self, count):
        publish, subject, payload = self.client.publish, self.subject, self.payload
        tasks = max(1, min(16, _IN_FLIGHT // len(payload)))
        for i in range(count):
            await publish(subject, payload)
            if i % tasks == 0:
                await asyncio.sleep(0)
        stream = self.client.manager.io.write_stream
        stream.s.setsockopt(6, 1, 1)  # TCP_NODELAY: the kernel is not to hold back the end
        await self._answer()
