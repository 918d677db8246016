"""What viper's pointers are in the plain flavour, where the kernels run as bytecode: the buffer
itself.
"""

from uio import BytesIO

_spread = bytearray(256)
_stream = BytesIO(256)


def ptr8(buf):
    """The buffer. Where its items are no bytes they are copied: those of a str (this allocates
    above 256 characters), and of a memoryview of larger ones (this allocates).
    """
    if not isinstance(buf, str):
        if isinstance(buf, memoryview):
            _stream.seek(0)  # a stream writes bytes, whatever the items are
            return bytes(buf) if _stream.write(buf, len(buf), 1) else buf
        return buf
    n = len(buf)
    if n > len(_spread):
        return buf.encode()
    # By a stream: a character taken out of a str is interned, and a new one takes heap.
    _stream.seek(0)
    _stream.write(buf, n)
    _stream.seek(0)
    _stream.readinto(_spread, n)
    return _spread


def ptr32(buf):
    """The array itself."""
    return buf
