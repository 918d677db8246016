"""This project's client.

written: publish(), then poll(0), which hands what is queued to the socket (if that is full, poll()
until there is room). confirmed: publish(), then flush(), which waits for the server's PONG.
coalesced: publish() until the buffer is full, poll() when it is; at the end one flush().
"""

import unats

_WAIT_MS = 10000


class Driver:
    def __init__(self, port, buffer):
        self.count = 0
        self.nc = unats.Client("nats://127.0.0.1:%d" % port, rx_size=buffer, tx_size=buffer)
        self.nc.connect()

    def on_message(self, msg):
        self.count += 1

    def sync(self):
        if not self.nc.flush(_WAIT_MS):
            raise OSError("the server did not answer")

    def subscribe(self, subjects, size):
        handler = self.on_message
        for subject in subjects:
            while not self.nc.connected:
                self.nc.poll(_WAIT_MS)
            self.nc.subscribe(subject, handler)
            self.nc.poll(0)

    def receive(self, count):
        target = self.count + count
        poll = self.nc.poll
        while self.count < target:
            if not poll(_WAIT_MS):
                raise OSError("%d of %d messages" % (self.count + count - target, count))

    def prepare(self, subject, payload):
        self.subject = subject
        self.payload = payload

    def written(self, count):
        publish, poll, subject, payload = self.nc.publish, self.nc.poll, self.subject, self.payload
        for _ in range(count):
            while not publish(subject, payload):
                poll(_WAIT_MS)
            poll(0)

    def confirmed(self, count):
        publish, flush, subject, payload = (
            self.nc.publish,
            self.nc.flush,
            self.subject,
            self.payload,
        )
        for _ in range(count):
            publish(subject, payload)
            flush(_WAIT_MS)

    def coalesced(self, count):
        publish, poll, subject, payload = self.nc.publish, self.nc.poll, self.subject, self.payload
        for _ in range(count):
            while not publish(subject, payload):
                poll(_WAIT_MS)
        self.sync()

    # Readings: a payload built in place, {"t":21.53,"n":7}; built, and published as coalesced.

    def prepare_reading(self, subject):
        self.subject = subject
        self.payload = unats.Payload(48)
        self.built(1)

    def built(self, count):
        reading = self.payload
        for _ in range(count):
            reading.clear().text('{"t":').fixed(2153, 2).text(',"n":').int(7).text("}")

    def reading(self, count):
        self.coalesced(count)
