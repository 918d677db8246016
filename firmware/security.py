"""What the settings say about TLS and about credentials in files: checked, and made what the
client takes.

Loaded only if they say something about it: a board without has no heap to spare.
"""

import settings

_FILES = ("creds", "nkey", "ca", "cert", "key")  # names of files on the board
_SLOW_MS = 15000


def check(values, wrong, asks_for_tls):
    """Call wrong(field, text or None) for what may be a mistake; see `settings.check`.

    asks_for_tls: whether one of the servers is a tls:// one.
    """
    for field in _FILES:
        wrong(field, _file(values, field))
    for field in ("creds", "nkey"):
        others = [
            other for other in ("user", "token", "creds") if other in values and other != field
        ]
        if field in values and others:
            wrong(field, "cannot be combined with %s: keep one of them" % others[0])
    if ("cert" in values) != ("key" in values):
        wrong("cert", "and key belong together: give both, or leave both out")
    if "ca" not in values:
        if asks_for_tls:
            wrong(
                "ca",
                "is missing: tls:// needs the file with the certificate that is to be trusted",
            )
        for field in ("cert", "tls_first", "ntp"):
            if field in values:
                wrong(field, "has no effect without TLS: add ca, or leave it out")
    if "ntp" in values:
        wrong("ntp", settings.text_in(values, "ntp") or _host(values["ntp"]))
    if "inbox" in values:
        wrong("inbox", settings.text_in(values, "inbox") or _inbox(values["inbox"]))


def absent(values):
    """The mistakes in what is named: files that are not there."""
    found = []
    for field in _FILES:
        if field in values:
            try:
                open(values[field], "rb").close()
            except OSError:
                text = "names a file that is not on the board: put it there"
                if field in ("creds", "ca"):
                    text += " (`make credentials`)"
                found.append((field, text))
    return found


def options(config):
    """What else these settings tell the client: TLS, and who the board is. ValueError: a file is
    no good.

    More time for connecting: a board may take seconds for the handshake, and for signing.
    """
    found = {"connect_timeout_ms": _SLOW_MS}
    if config.ca is not None:
        from unats.tls import Tls

        found["tls"] = Tls(
            config.ca,
            cert=config.cert,
            key=config.key,
            handshake_first=config.tls_first,
            handshake_timeout_ms=_SLOW_MS,
        )
    if config.creds is not None:
        from unats.auth import UserCredentials

        found["auth"] = UserCredentials(config.creds)
    elif config.nkey is not None:
        from unats.auth import Nkey

        found["auth"] = Nkey(config.nkey)
    return found


def _file(values, field):
    if field not in values:
        return None
    text = settings.text_in(values, field)
    if not text:
        name = values[field]
        if (
            len(name) > 100
            or "\n" in name
            or name.startswith("-----")
            or (len(name) == 58 and name.startswith("S"))
        ):
            return "must be the name of a file on the board, not what is in the file"
    return text


def _host(text):
    for character in text:
        if character <= " " or character in ":/@":
            return 'must be a name or an address and nothing else, like "pool.ntp.org"'
    return None


def _inbox(text):
    for token in text.split("."):
        if not settings.is_name(token):
            return 'may have only letters, digits, - and _, in parts joined by dots, like "_INBOX.greenhouse-7"'  # noqa: E501
    return None
