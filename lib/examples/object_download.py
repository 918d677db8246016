"""Gets a file from an object store, of any size, through a buffer of 1 KB."""

import unats
from unats.jetstream.objectstore import ObjectStore

SERVER = "nats://192.168.1.10:4222"
PATH = "/firmware.bin"


def progress(done, size):
    print(done, "of", size)


nc = unats.Client(SERVER, rx_size=1024)
nc.connect()
store = ObjectStore(nc, "files")
# It has another name until it is whole and its SHA-256 is right.
info = store.get_file("firmware.bin", PATH, progress=progress)
print(info.name, info.size, info.metadata)
nc.close()
