"""What viper's pointers are in the plain flavour, where the kernels run as bytecode: the buffer
itself.
"""

_spread = bytearray(256)


def ptr8(buf):
    """The buffer; a str, which has no bytes then, is spread out in another (allocates above 256
    characters).
    """
    if not isinstance(buf, str):
        return buf
    n = len(buf)
    to = _spread if n <= len(_spread) else bytearray(n)
    while n:
        n -= 1
        to[n] = min(ord(buf[n]), 255)
    return to


def ptr32(buf):
    """The array itself."""
    return buf
