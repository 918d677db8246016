"""Small files of JSON in flash that are whole at any moment: the old content or the new one."""

import json
import os


def load(path):
    """Return the dict that is kept at `path`; an empty one if there is none that can be read."""
    for name in (path, path + ".new"):  # where renaming takes two steps, as with FAT
        try:
            with open(name) as file:
                found = json.load(file)
            if isinstance(found, dict):
                return found
        except (OSError, ValueError):
            pass
    return {}


def save(path, value):
    """Keep a dict at `path`. OSError: flash takes nothing, what was kept before is there still."""
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.rename(path + ".new", path)
