"""Names of servers to addresses, without holding up the loop: the client's `resolver`.

The platform's own way waits for the answer: 13 s on a Pico W whose name servers are silent, and
its watchdog bites after 8. `unats.dns` asks, and is polled. Whom to ask the board knows once it
has joined its network, so that is found out anew for each question.
"""


class Names:
    """Asks the name servers of `board`, one name at a time. See `unats.dns.Resolver`."""

    def __init__(self, board):
        self._board = board
        self._resolver = None

    def start(self, host):
        """Ask for `host`; a question before it is abandoned. OSError: there is no asking."""
        from unats.dns import Resolver

        if self._resolver is not None:
            self._resolver.close()
        self._resolver = Resolver(self._board.name_servers())
        self._resolver.start(host)

    def poll(self):
        """The addresses (a list of str), or None: not yet. OSError: there are none."""
        return self._resolver.poll()
