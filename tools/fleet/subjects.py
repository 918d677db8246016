"""The subjects of a fleet, and which of them a board may use.

**Each board has an account of its own**, and its user in there may use its own subjects only. An
account for all boards would not do: whoever publishes chooses where the answer goes, so a board
could have the server answer (the stream's acknowledgement, a stored message) to another's subject,
past all permissions. Answers across accounts come to the account of whoever asked. What leaves a
board's account:

    sensors.<device>.>, logs.<device>.>                 to the fleet's account, where the stream is
    $JS.API.DIRECT.GET.READINGS.sensors.<device>.>, .logs.<device>.>
                                                        likewise: what the stream holds of these
    $KV.presence.<device>                               likewise: the board's presence
    $KV.config.<device>.reported.>                      likewise: its configuration, and
    $JS.API.DIRECT.GET.KV_config.$KV.config.<device>.desired.>, ._all.desired.>
                                                        what is wanted of it,
    $KV.config.<device>.desired.>, ._all.desired.>      which the board may subscribe to
    $JS.API. ... OBJ_firmware ...                       what it takes to read updates
    homeassistant.<component>.<device>.<name>.config    for the fleet's account to subscribe to
    homeassistant.status                                for the boards: Home Assistant has started
    devices.<device>.hello, .error, .led.state
                                                        for the fleet's account to subscribe to
    devices.<device>.>                                  commands, from the fleet's account to the
                                                        board
    $SRV.>                                              likewise to all of them: which services
                                                        are there? (ADR-32)
"""

STREAM = "READINGS"
READINGS = "sensors.>"  # what it takes,
LOGS = "logs.>"  # ... too
PRESENCE = "presence"  # key-value buckets
CONFIG = "config"
FIRMWARE = "firmware"  # an object store
ALL = "_all"  # whose wishes are for all boards
INBOX = "_INBOX.%s"  # of a device: where replies to it come
DOMAIN = "fleet"  # how a board calls the JetStream of the fleet's account: its own has none
_API = f"$JS.{DOMAIN}.API."
# What describes an update, a consumer of its pieces, one object's; and its next messages.
_UPDATES = (
    f"DIRECT.GET.OBJ_{FIRMWARE}.$O.{FIRMWARE}.M.*",
    f"CONSUMER.CREATE.OBJ_{FIRMWARE}.*.$O.{FIRMWARE}.C.*",
    f"CONSUMER.DELETE.OBJ_{FIRMWARE}.*",
)
_PIECES = f"CONSUMER.MSG.NEXT.OBJ_{FIRMWARE}.*"
STATUS = "homeassistant.status"  # Home Assistant has started
_SERVICES = "$SRV.>"  # asks which services there are, and all of them answer
_EVENTS = ("hello", "error", "led.state")  # what a device tells on devices.<device>. by itself


def of_board(device):
    """What a device's user may do in its account: subjects to publish, and to subscribe to."""
    inbox = INBOX % device + ".>"
    publish = [
        *_kept(device),
        *[f"devices.{device}.{event}" for event in _EVENTS],
        _presence(device),
        *_reported(device),
        *_announced(device),
        *[_API + call for call in (*_UPDATES, _PIECES)],
        inbox,
    ]
    subscribe = [f"devices.{device}.>", _SERVICES, *_desired(device), STATUS, inbox]
    return {"publish": publish, "subscribe": subscribe}


def join(account, fleet, device):
    """The account of a device, with what it shares with the fleet's."""
    for subject in (*_kept(device), _presence(device), *_reported(device)):
        fleet.share(account, subject, "service")
    for call in (*_UPDATES, _PIECES):
        tokens = iter(range(1, 3))
        local = ".".join(f"${next(tokens)}" if t == "*" else t for t in (_API + call).split("."))
        fleet.share(account, "$JS.API." + call, "service", call == _PIECES, local)
    for subject in _desired(device):
        fleet.share(account, subject, "stream")
    account.share(fleet, f"devices.{device}.>", "service")
    account.share(fleet, _SERVICES, "service", many=True)
    fleet.share(account, STATUS, "stream")
    for subject in (*_announced(device), *[f"devices.{device}.{event}" for event in _EVENTS]):
        account.share(fleet, subject, "stream")
    return account


def _presence(device):
    return f"$KV.{PRESENCE}.{device}"


def _announced(device):
    """Where it tells Home Assistant what it has."""
    return [f"homeassistant.{kind}.{device}.*.config" for kind in ("sensor", "light")]


def _desired(device):
    """Where it hears what is wanted of it."""
    return [f"$KV.{CONFIG}.{whose}.desired.>" for whose in (device, ALL)]


def _reported(device):
    """Where it asks for that, and answers."""
    asks = [f"$JS.API.DIRECT.GET.KV_{CONFIG}.{subject}" for subject in _desired(device)]
    return [*asks, f"$KV.{CONFIG}.{device}.reported.>"]


def _kept(device):
    """What goes into the stream, and where it asks what that holds of it."""
    kept = [f"sensors.{device}.>", f"logs.{device}.>"]
    return [*kept, *[f"$JS.API.DIRECT.GET.{STREAM}.{subject}" for subject in kept]]
