"""Where the methods of `JetStream` are that are not in the package itself: loaded to find one."""

from . import JetStream, load

_HOMES = {
    "consumer": "making", "ordered": "ordered", "last_id": "last_id", "get": "stored",
    "last": "stored", "ensure_stream": "streams", "stream_info": "streams",
    "delete_stream": "streams", "purge": "streams",
}  # fmt: skip


def find(js, name):
    """The method of that name. AttributeError: there is none."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(name)
    stay = home not in ("streams", "making")  # those are seldom used
    module = __import__("unats.jetstream." + home, None, None, (home,)) if stay else load(home)
    function = getattr(module, name)
    if not stay:
        return lambda *arguments, **more: function(js, *arguments, **more)
    setattr(JetStream, name, function)
    return getattr(js, name)
