"""Flash memory as a block device in RAM, for MicroPython's own file systems."""


class Flash:
    """A block device in RAM. `on_change(data)` is called with all that is in it,
    at every change.
    """

    def __init__(self, block_size, blocks, data=None):
        self.block_size = block_size
        self.data = data or bytearray(b"\xff" * (block_size * blocks))
        self.on_change = None
        self.written = self.erased = 0

    def readblocks(self, block, buf, offset=0):
        at = block * self.block_size + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        at = block * self.block_size + offset
        half = len(buf) // 2
        self.data[at : at + half] = buf[:half]
        self.changed()
        self.data[at : at + len(buf)] = buf
        self.written += len(buf)
        self.changed()

    def changed(self):
        if self.on_change is not None:
            self.on_change(self.data)

    def ioctl(self, op, block):
        if op == 4:
            return len(self.data) // self.block_size
        if op == 5:
            return self.block_size
        if op == 6:
            at = block * self.block_size
            self.data[at : at + self.block_size] = b"\xff" * self.block_size
            self.erased += 1
            self.changed()
            return 0
