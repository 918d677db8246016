"""umqtt.simple with QoS 1: publish() waits for the server's PUBACK; there is `confirmed` only."""

import with_umqtt


class Driver(with_umqtt.Driver):
    def confirmed(self, count):
        publish, topic, payload = self.client.publish, self.topic, self.payload
        for _ in range(count):
            publish(topic, payload, False, 1)
