"""Names to addresses without waiting: questions over UDP (RFC 1035), and `name.local` (RFC 6762).

    resolver = Resolver("192.168.1.1")
    resolver.start("broker.example.org")
    addresses = resolver.poll()     # None: not yet; ["192.0.2.7", ...]; OSError: it failed

Each server has a socket of its own, connected to it: the network stack drops what others send, and
tells (lwIP does not) that nobody listens there. What does come is checked before it is believed,
and is read in a bounded number of steps.

Adds 4.2 KB to heap with 32-bit words, and 2.9 KB to flash; while a question is open, 200 bytes
more and a UDP socket for each server.
"""

import errno

import uselect
import usocket
import utime
from micropython import const

try:
    from os import urandom
except ImportError:
    from random import getrandbits

    def urandom(n):
        return getrandbits(8 * n).to_bytes(n, "big")


_MAX_SERVERS = const(4)  # and so many datagrams are read by one poll()
_MAX_SIZE = const(512)  # of an answer over UDP (RFC 1035, 4.2.1)
_MAX_NAME = const(255)  # bytes, as sent (RFC 1035, 3.1)
_MAX_STEPS = const(600)  # labels and pointers followed in one answer
_RETRY_MS = const(1000)  # then 2 s later, 4 s, ...

_A = b"\0\1\1"  # type and class IN, without the byte that has mDNS's bit
_CNAME = b"\0\5\1"
_BUSY = (errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS)  # says nothing about a server
_NO_SUCH_NAME = const(-2)  # as getaddrinfo's EAI_NONAME


class Resolver:
    """Asks for the IPv4 addresses of one name at a time, and never waits."""

    mdns = ("224.0.0.251", 5353)  # where a name that ends in `.local` is asked for

    def __init__(self, servers, timeout_ms=6000, port=53):
        """servers: an IPv4 address (str), or a list or tuple of up to 4; none: mDNS alone is left.

        timeout_ms: how long a question may take, less than 2**29; it is asked again after 1, 3,
        7, ... seconds. port: the servers'. ValueError: what is wrong with them. Allocates.
        """
        if isinstance(servers, str):
            servers = (servers,)
        good = isinstance(servers, (list, tuple)) and len(servers) <= _MAX_SERVERS
        self._servers = []
        for server in servers if good else ():
            good = good and _is_ipv4(str(server))
            self._servers.append((server, port))
        if not good:
            raise ValueError("name servers: give up to 4 IPv4 addresses")
        if not isinstance(timeout_ms, int) or not 0 < timeout_ms < 1 << 29:
            raise ValueError("timeout_ms: give a positive int")
        self._timeout = timeout_ms
        self._socks = ()
        self.close()

    def start(self, host):
        """Ask for host, a name (an address is its own answer), and return at once.

        A question before it is abandoned. A name that can be none, no server, no way there: all
        that is told by `poll`. Allocates.
        """
        self.close()
        if host.endswith("."):
            host = host[:-1]
        name = _encode(host)
        if ":" in host or _is_ipv4(host):  # an IPv6 address is not asked for either
            self._result = [host]
        elif not name:
            self._result = _NO_SUCH_NAME
        else:
            # RFC 6762: no id (18.1), and the bit for an answer to this socket alone (5.4)
            self._local = local = host.lower().endswith(".local")
            head = b"\0\0\0\0\0\1" if local else urandom(2) + b"\1\0\0\1"
            self._question = head + bytes(6) + name + (b"\0\0\1\x80\1" if local else b"\0\0\1\0\1")
            self._asked = (self.mdns,) if local else self._servers
            self._begun = utime.ticks_ms()
            self._next = _RETRY_MS  # after that
            self._open()
            self._ask()

    def _open(self):
        """A socket for each server, as far as there are any."""
        self._result = errno.EHOSTUNREACH  # if there is no server
        self._poll = uselect.poll()
        self._socks = []
        try:
            for _ in self._asked:
                sock = usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM)
                self._socks.append(sock)
                sock.setblocking(False)
                self._poll.register(sock, uselect.POLLIN)
                self._result = None
        except OSError as e:
            self._result = self._result and e.errno  # one socket will do

    def _ask(self):
        """Ask every server, those too that have refused: they may do better now."""
        self._silent = list(self._socks)
        for sock, server in zip(self._socks, self._asked):
            try:
                address = usocket.getaddrinfo(*server)[0][-1]  # numbers: at once
                if self._local:  # whoever has the name answers
                    sock.sendto(self._question, address)
                else:
                    sock.connect(address)
                    sock.send(self._question)
            except OSError as e:
                self._failed(sock, e.errno)

    def _failed(self, sock, error):
        """A server cannot tell. When there is no other to wait for, error is the result."""
        if error not in _BUSY and sock in self._silent:
            self._silent.remove(sock)
            if not self._silent:
                self._result = error

    def poll(self):
        """The addresses (a list of str, at least one), or None: not yet. Call it again and again.

        OSError: -2, no such name, or none with an IPv4 address; ETIMEDOUT, no answer in time;
        ECONNREFUSED, every server refuses to answer, or does not run; EHOSTUNREACH, there is no
        server; EINVAL, there is no question; or what the network says. A result stays until
        `start` or `close`. Reads at most one datagram of each server. Leaves nothing on the heap
        before something has come.
        """
        for sock, _ in self._poll.ipoll(0) if self._result is None else ():
            try:
                self._read(sock)
            except IndexError:
                pass  # an answer that ends too early
            except OSError as e:
                self._failed(sock, e.errno)
            if self._result is not None:
                break
        if self._result is None:
            elapsed = utime.ticks_diff(utime.ticks_ms(), self._begun)
            if not 0 <= elapsed < self._timeout:  # below 0: half a period of the clock is over
                self._result = errno.ETIMEDOUT
            elif elapsed >= self._next:
                self._next = 2 * self._next + _RETRY_MS
                self._ask()
        result = self._result
        if result is not None:
            self.close()
            self._result = result
        if isinstance(result, int):
            text = "no such name" if result == _NO_SUCH_NAME else "no name server answers"
            raise OSError(result, text)
        return result

    def close(self):
        """Abandon the question, if there is one. May be called twice."""
        for sock in self._socks:
            sock.close()
        self._socks = ()
        self._poll = None
        self._result = errno.EINVAL  # until there is a question

    def _read(self, sock):
        """Take a datagram, which may be the answer. IndexError: it ends too early."""
        a, sender = sock.recvfrom(_MAX_SIZE)
        code = a[3] & 15  # 0: no error; 3: no such name
        if a[:2] != self._question[:2] or a[2] & 0xF8 != 0x80 or a[4] or a[6]:
            return
        if self._local:
            port = sender[1] if isinstance(sender, tuple) else sender[2] << 8 | sender[3]
            if port != self.mdns[1]:  # must be ignored (RFC 6762, 6)
                return
        wanted = self._question[12:-5]
        self._steps = _MAX_STEPS
        at = 12
        if a[5] or not self._local:
            name, kind, at = self._owner(a, at)
            at += 4
            if a[5] != 1 or name != wanted or kind != _A:
                return
        found = [] if code else self._addresses(a, at, wanted)
        if found:
            self._result = found
        elif self._local or a[2] & 2:
            return  # somebody else may have the name; or the rest was cut off
        elif code == 3 or (code == 0 and (a[2] & 4 or a[3] & 0x80)):
            self._result = _NO_SUCH_NAME
        else:  # also one that is no authority, and does not ask one
            self._failed(sock, errno.ECONNREFUSED)

    def _addresses(self, a, start, wanted):
        """Those of the wanted name, or of what it is an alias of. IndexError: none so far."""
        while True:
            found = []
            before = wanted
            end = start
            try:
                for _ in range(a[7]):
                    name, kind, at = self._owner(a, end)
                    at += 10
                    end = at + (a[at - 2] << 8 | a[at - 1])
                    if name == wanted and kind == _A and end == at + 4:
                        found.append("%d.%d.%d.%d" % (a[at], a[at + 1], a[at + 2], a[at + 3]))
                    elif name == wanted and kind == _CNAME:
                        wanted = self._owner(a, at)[0]
            except IndexError:
                if not found:
                    raise
            if found or wanted == before:
                return found  # otherwise what it is an alias of may stand in front of it

    def _owner(self, a, at):
        """A name, whole and in lower case; what type and class follow it; and where they are.

        Each label and each pointer to the rest of a name (RFC 1035, 4.1.4) is a step, and steps
        run out: that ends loops, and long names that are read again and again. IndexError.
        """
        name = b""
        end = 0
        while self._steps and len(name) < _MAX_NAME:
            self._steps -= 1
            n = a[at]
            if not n:
                end = end or at + 1
                # lower() leaves the lengths alone: they are below 64
                return name.lower(), a[end : end + 2] + a[end + 3 : end + 4], end
            if n > 191:
                end = end or at + 2
                at = (n & 63) << 8 | a[at + 1]
            elif n < 64:
                name += a[at : at + 1 + n]
                at += 1 + n
            else:
                break
        raise IndexError


def _is_ipv4(host):
    """Whether host (str) is an IPv4 address in numbers."""
    parts = host.encode().split(b".")
    for part in parts:
        if not part.isdigit() or len(part) > 3 or int(part) > 255:
            return False
    return len(parts) == 4


def _encode(host):
    """The labels of host, each behind its length, in lower case; b"": it can be no name."""
    name = b""
    for label in host.encode().lower().split(b"."):
        if not 0 < len(label) < 64:
            return b""
        name += bytes((len(label),)) + label
    return name if len(name) < _MAX_NAME else b""
