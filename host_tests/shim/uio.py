"""MicroPython's `uio` for CPython: a BytesIO whose write takes (buf, off, n), and counts bytes."""

import io


class BytesIO(io.BytesIO):
    def __init__(self, initial=b""):
        super().__init__(b"" if isinstance(initial, int) else initial)  # or how much room there is

    def write(self, buf, *args):
        data = buf.encode() if isinstance(buf, str) else bytes(memoryview(buf).cast("B"))
        if len(args) == 1:
            data = data[: args[0]]
        elif args:
            data = data[min(args[0], len(data)) :][: args[1]]
        return super().write(data)
