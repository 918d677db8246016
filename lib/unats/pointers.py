"""What viper's pointers are in the plain flavour, where the kernels run as bytecode: the buffer
itself.
"""

_spread = bytearray(256)


def ptr8(buf):
    """The buffer. Where its items are no bytes they are copied: those of a str (this allocates
    above 256 characters), and of a memoryview of larger ones (this allocates).
    """
    if not isinstance(buf, str):
        return bytes(buf) if isinstance(buf, memoryview) and _is_longer(buf) else buf
    n = len(buf)
    to = _spread if n <= len(_spread) else bytearray(n)
    while n:
        n -= 1
        to[n] = min(ord(buf[n]), 255)
    return to


def _is_longer(buf):
    from .arguments import is_longer

    return is_longer(buf, len(buf))


def ptr32(buf):
    """The array itself."""
    return buf
