"""unats: a NATS client for MicroPython that never blocks and, once connected, never allocates.

import unats
nc = unats.Client("nats://192.168.1.10:4222", name="greenhouse-7")
nc.subscribe("devices.greenhouse-7.led", on_led)
nc.connect()
while True:
    nc.poll(100)
"""

from .client import Client

_HOMES = {
    "Payload": "payload",
    "Msg": "kernels",
    "Subscription": "state",
    "__version__": "servers",
}


def __getattr__(name):
    """Load a feature, or a name of one, when it is first used: until then it is free."""
    module = _HOMES.get(name) or ("errors" if name[0].isupper() else name)
    try:
        found = __import__(__name__ + "." + module, None, None, (module,))
        if module != name:
            found = getattr(found, name)
    except ImportError:
        raise AttributeError(name)
    globals()[name] = found
    return found
