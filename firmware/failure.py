"""What ended the application, kept over the reset until it has been told in a `hello`; and for how
many times in a row, until the application has run well for five minutes.

In the file PATH: how many times in a row it happened, the last one's kind and text, of at most 120
characters, and where it came from. What may be a secret of the settings is left out. Where the
file cannot be written nothing is kept, and the board waits for a minute each time.

Loaded when something has failed, and when there is something to be told.
"""

import json
import os
import sys

from micropython import const

PATH = "failure.txt"

_FIRST_WAIT_S = const(5)  # doubles each time
_LONGEST_WAIT_S = const(300)
_UNKNOWN_WAIT_S = const(60)
_LONGEST_TEXT = const(120)
_LONGEST_TRACE = const(6)  # lines
_LONGEST_WORD = const(40)  # a seed or a key has more
_NOT_TOLD = "(left out: it may hold a secret)"


def keep(error):
    """Keep an exception; return for how many seconds to wait before the board is reset."""
    count, _ = _read()
    count += 1
    try:
        with open(PATH, "w") as file:
            file.write("%d\n%s\n%s" % (count, text_of(error), _traceback_of(error)))
    except OSError as e:
        print("the failure is not kept: flash takes nothing:", e)
        return _UNKNOWN_WAIT_S
    return min(_FIRST_WAIT_S << min(count - 1, 10), _LONGEST_WAIT_S)


def kept():
    """Return what is kept, text for people; empty: it has been told; None: there is nothing."""
    count, text = _read()
    return "%s (%d times)" % (text, count) if text and count > 1 else text


def told():
    """It has been told; how often there was one in a row is still kept."""
    count, _ = _read()
    try:
        with open(PATH, "w") as file:
            file.write("%d\n" % count)
    except OSError:
        pass  # it is told once more after the next start


def forget():
    """The application has run well for a while."""
    try:
        os.remove(PATH)
    except OSError:
        pass  # it is not there


def text_of(error):
    """Return kind and text of an exception, without secrets and not too long."""
    kind = type(error).__name__
    text = without_secrets(" ".join(str(error).split()))
    return (kind + ": " + text if text else kind)[:_LONGEST_TEXT]


def without_secrets(text):
    """Return the text, or if it may hold a secret, that it was left out."""
    return _NOT_TOLD if _may_hold_secret(text) else text


def traceback():
    """Return the traceback of what is kept, or an empty str."""
    try:
        with open(PATH) as file:
            return file.read().split("\n", 2)[2]
    except (OSError, IndexError, UnicodeError):
        return ""


def _traceback_of(error):
    """Return where an exception came from, a line for each file, and what it is at the end."""
    from io import StringIO

    text = StringIO()
    sys.print_exception(error, text)
    lines = [line for line in text.getvalue().split("\n") if line.startswith("  File ")]
    return "\n".join(lines[-_LONGEST_TRACE:] + [text_of(error)])


def _read():
    """Return the count and the text; 0 and None: there is nothing, or nothing that can be read."""
    try:
        with open(PATH) as file:
            count, text = file.read(_LONGEST_TEXT + 16).split("\n", 1)
        return max(int(count), 0), text.split("\n", 1)[0][:_LONGEST_TEXT]
    except (OSError, ValueError):
        return 0, None


def _may_hold_secret(text):
    for word in text.split(" "):
        if len(word) > _LONGEST_WORD:
            return True
    try:
        if "settings.json" not in os.listdir():
            return False
        with open("settings.json") as file:
            for secret in _secrets(json.load(file)):
                if secret in text:
                    return True
        return False
    except Exception:  # unreadable, or of any shape: nobody knows what is secret
        return bool(text)


def _secrets(values):
    """Return what must not be told of the settings."""
    found = [values[name] for name in ("password", "token", "wifi_password") if name in values]
    servers = values["server"]
    for url in (servers if isinstance(servers, str) else ",".join(servers)).split(","):
        if "@" in url:
            url = url.split("//")[-1]
            found.append(url[: url.rfind("@")].split(":", 1)[-1])
    return [text for text in found if text]
