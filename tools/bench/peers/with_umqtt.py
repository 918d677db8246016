"""umqtt.simple over nats-server's MQTT, QoS 0.

It has no buffer of its own: publish() writes each message to the socket, in four pieces. written
and coalesced are therefore the same calls, the latter with one answer awaited at the end.
confirmed: publish(), then ping(), and wait_msg() until the server's answer to it, which as in NATS
comes after everything sent before has been taken in.
"""

from umqtt.simple import MQTTClient


class Driver:
    def __init__(self, port, buffer):
        self.count = 0
        self.client = MQTTClient("bench", "127.0.0.1", port)
        self.client.set_callback(self.on_message)
        self.client.connect()

    def on_message(self, topic, payload):
        self.count += 1

    def sync(self):
        count = self.count
        self.client.ping()
        self.client.wait_msg()
        if self.count != count:
            raise OSError("more messages than were sent")

    def subscribe(self, subjects, size):
        for subject in subjects:
            self.client.subscribe(subject.replace(".", "/").encode())

    def receive(self, count):
        target = self.count + count
        wait_msg = self.client.wait_msg
        while self.count < target:
            wait_msg()

    def prepare(self, subject, payload):
        self.topic = subject.replace(".", "/").encode()
        self.payload = payload

    def written(self, count):
        publish, topic, payload = self.client.publish, self.topic, self.payload
        for _ in range(count):
            publish(topic, payload)

    def confirmed(self, count):
        publish, ping, wait_msg = self.client.publish, self.client.ping, self.client.wait_msg
        topic, payload = self.topic, self.payload
        for _ in range(count):
            publish(topic, payload)
            ping()
            wait_msg()

    def coalesced(self, count):
        self.written(count)
        self.client.sock.setsockopt(6, 1, 1)  # TCP_NODELAY: the kernel is not to hold back the end
        self.sync()
