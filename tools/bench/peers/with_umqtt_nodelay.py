"""umqtt.simple with TCP_NODELAY set on its socket by the application, which it does not do itself.

Without it the kernel holds back a message's second piece until the server has acknowledged the
first, and that takes up to 40 ms when the client then waits for an answer.
"""

import with_umqtt


class Driver(with_umqtt.Driver):
    def __init__(self, port, buffer):
        super().__init__(port, buffer)
        self.client.sock.setsockopt(6, 1, 1)
