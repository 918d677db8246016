"""What was set from afar, over the settings of the file: kept in flash, and taken back if it costs
the connection. See twin.py, which gets it from the server.

    over        the values in force: {field: value}
    before      those before them, as long as these are on trial
    changed     the fields that are: {field: revision}
    starts      how often the board has started since then
    refused     what was taken back, lest it is tried again: {field: [revision, why]}
"""

import kept

PATH = "config.json"

_STARTS = 2  # then a trial is over


def values(settings, check):
    """Return the settings (a dict) with what is over them.

    check(values) gives the mistakes in them: with any what is over them has no effect.
    """
    state = kept.load(PATH)
    if "before" in state:
        state["starts"] = state.get("starts", 0) + 1
        if state["starts"] > _STARTS:
            take_back(state, "the board did not connect with it, in %d starts" % _STARTS)
        try:
            kept.save(PATH, state)
        except OSError as e:
            print("config.json: cannot be written:", e)
    over = state.get("over")
    if not isinstance(over, dict) or not over:
        return settings
    found = dict(settings)
    found.update(over)
    mistakes = check(found)
    if not mistakes:
        return found
    print("what was set from afar has no effect:", *["%s: %s" % m for m in mistakes])
    return settings


def take_back(state, why):
    """Have what was before be in force again."""
    refused = state.setdefault("refused", {})
    for field, revision in state.get("changed", {}).items():
        refused[field] = [revision, why]
    state["over"] = state["before"]
    confirm(state)


def confirm(state):
    """What is in force is no longer on trial."""
    for name in ("before", "changed", "starts"):
        state.pop(name, None)
