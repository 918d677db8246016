"""The time of day, which TLS needs: a certificate is valid from one day to another.

A board's clock starts anew with each power-on, in 2000 or 2021. So before it connects over TLS it
asks a time server (NTP, RFC 5905), again and again until one has answered. The answer is not
authenticated: whoever can forge it can make an old certificate look valid, but not one that the
board's authority never signed.
"""

from micropython import const

_FIRST_YEAR = const(2024)  # no clock that was ever set is before that
_AGAIN_MS = const(10000)


class Ntp:
    """Sees to it that the clock of `board` is set, by asking `host`; tells by say(text) how it
    goes.

    names: a `names.Names` to look up the host with; None: the system does, and that waits, too.
    """

    def __init__(self, board, clock, host, say, names=None):
        self._board = board
        self._clock = clock
        self._host = host
        self._say = say
        self._names = names
        self._looking_up = False
        self._again_at = None
        self._told = None

    def is_set(self):
        """Whether it is set; if not, try to, now or when it is time to: at once, then every ten
        seconds.

        An attempt waits for the answer, a second at most.
        """
        if self._year() >= _FIRST_YEAR:
            return True
        now = self._clock.ticks_ms()
        if self._again_at is None or self._clock.ticks_diff(now, self._again_at) >= 0:
            self._try()
        return self._year() >= _FIRST_YEAR

    def _year(self):
        return self._clock.gmtime()[0]

    def _try(self):
        """Go on with an attempt, or begin one."""
        try:
            host = self._host if self._names is None else self._address()
            if host is None:
                return  # not known yet
            self._board.feed()  # the watchdog: it may take some seconds
            self._board.set_clock(host)
            text = "is %04d-%02d-%02d %02d:%02d UTC" % self._clock.gmtime()[:5]
            if self._year() < _FIRST_YEAR:
                text += ", says the time server: that cannot be"
        except Exception as e:  # ntptime raises this and that, also for a damaged answer
            text = "is not set, the time server does not answer: %s" % (e or type(e).__name__)
        self._looking_up = False
        self._again_at = self._clock.ticks_add(self._clock.ticks_ms(), _AGAIN_MS)
        if text != self._told:
            self._told = text
            self._say("the clock " + text)

    def _address(self):
        """The host's address; None while it is asked for. OSError: it has none."""
        if not self._looking_up:
            self._names.start(self._host)
            self._looking_up = True
        found = self._names.poll()
        return found[0] if found else None
