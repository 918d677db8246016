"""How the arguments of `publish` are read where they are not plain bytes and ASCII.

`Client.publish` leaves them in a list, `nc._rest`, where they become what `kernels.encode` takes:

    0 subject   1 reply subject   2 headers   3 payload   4 bytes of it   5 bytes of the subject
                6 its start
    7 of its bits, 1: the subjects are known to be valid; 2: the payload is sent separately, see
    `chunked.py`

Loaded when there is such an argument, or the buffer is full; once it is loaded, publishing does
not allocate.
"""

from uio import BytesIO

from .checks import check, check_subject
from .kernels import PARTS, drained, encode_rest

_REPLY = PARTS[1]

_BYTES = (bytes, bytearray)
_KINDS = (bytes, bytearray, memoryview)
_probe = BytesIO(1)


def publish(nc):
    """Queue the message in `nc._rest`: see `Client.publish`."""
    rest = nc._rest
    _read(nc, rest)
    done = _queue(nc, rest)
    rest[0] = rest[1] = rest[2] = rest[3] = None  # for the collector
    return done


def _read(nc, rest):
    size = size_of(rest[3])
    rest[3] = utf8(rest[3])
    if rest[4] == -1:
        rest[4] = size
    else:
        check("n", rest[4], 0, size)
    rest[2] = b"" if rest[2] is None else header_block(nc, rest[2])
    rest[1] = text_of(rest[1]) if rest[1] else b""
    rest[6] = rest[7] = 0
    if rest[0] is nc._rx:  # the message at hand: to its reply subject
        rest[6] = nc._f[_REPLY]
        rest[5] = nc._f[_REPLY + 1] - rest[6]
        rest[7] = 1
    else:
        rest[0] = text_of(rest[0])
        rest[5] = len(rest[0])


def _queue(nc, rest):
    while True:
        done = encode_rest(nc)
        if done > 0:
            return rest[7] < 2 or nc.feature("chunked").send(nc)
        if done == -1:
            rest[0] = checked(rest[0])
            rest[5] = len(rest[0])
            rest[1] = checked(rest[1]) if rest[1] else b""
            rest[7] += 1
        elif done or not drained(nc):
            if (
                done == 0
                and nc.connected
                and rest[5] + len(rest[1]) + len(rest[2]) + rest[4] + 36 <= nc.tx_size
            ):
                nc.stats.dropped += 1  # it is full, and nothing leaves at the moment
                return False
            if not nc.feature("chunked").begin(nc):
                nc.stats.dropped += 1
                return False
            rest[7] += 2


def utf8(data):
    """What can be a payload as what its bytes are in: of a str that is not ASCII new ones
    (allocates). ValueError.
    """
    if isinstance(data, str):
        return data.encode() if is_longer(data, len(data)) else data
    if hasattr(data, "fixed"):  # a Payload
        return data.buffer
    if not isinstance(data, _KINDS):
        raise ValueError("payload: give bytes, bytearray, memoryview, str or a Payload")
    return data


def size_of(data):
    """How many bytes a payload has."""
    if hasattr(data, "fixed"):
        return data.size
    n = len(utf8(data))
    while isinstance(data, memoryview) and is_longer(data, n):  # it counts its items
        n += len(data)
    return n


def is_longer(data, n):
    """Whether there are more than n bytes in it: of a memoryview or a str only a stream tells
    without allocating.
    """
    _probe.seek(0)
    return _probe.write(data, n, 1) > 0


def text_of(text):
    """A subject of a kind whose bytes can be read; ValueError: it is of another."""
    return text if isinstance(text, str) or isinstance(text, _KINDS) else checked(text)


def checked(text):
    """A subject to publish to, as bytes. Allocates. ValueError: it is none."""
    return check_subject(text).encode()


def is_block(headers):
    """Whether these bytes begin with NATS/1.0, and end with their only empty line."""
    return headers.find(b"NATS/1.0") == 0 and headers.find(b"\r\n\r\n") == len(headers) - 4


def header_block(nc, headers):
    """A ready header block as it is, or that of a dict. ValueError: it is none, or the server
    knows no headers.
    """
    if nc.connected and not nc.server.headers:
        raise ValueError("headers: this server does not know them")
    if isinstance(headers, _BYTES) and is_block(headers):
        return headers
    from .headers import encode

    return encode(headers)
