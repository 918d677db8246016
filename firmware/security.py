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


def check_files(values):
    """The mistakes in the files that are named: they are not there, or hold no credentials.

    Without `inbox` in the values, it is set to what the creds allow.
    """
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
    return found or _check_credentials(values)


def _check_credentials(values):
    from unats import auth

    try:
        if "nkey" in values:
            auth.Nkey(values["nkey"]).check()
        if "creds" in values:
            claims = auth.UserCredentials(values["creds"]).claims()
            if "inbox" not in values:
                values["inbox"] = inbox(claims)
    except OSError as e:  # AuthError, which quotes no secret
        return [("creds" if "creds" in values else "nkey", str(e))]
    if "creds" in values and values["inbox"] is None:
        del values["inbox"]
        if values.get("outbox") != "off":
            text = (
                "is missing: the creds do not let replies come to _INBOX.>; give what the subjects"
                " begin with that they have for that, or have them allow it"
            )
            return [("inbox", text)]
    return []


def inbox(claims):
    """What the subjects of replies can begin with, by the claims of a user's JWT; None: nothing.

    "_INBOX" if its `sub` allows that, or says nothing; else the first of those allowed that is
    called an inbox, as "_INBOX.greenhouse-7.>" is. (nats-io/jwt, user_claims.go: nats.sub.allow
    and .deny; what the account has for all users does not stand in there.)
    """
    rules = claims.get("nats")
    rules = rules.get("sub") if isinstance(rules, dict) else None
    rules = rules if isinstance(rules, dict) else {}
    allowed = [text for text in rules.get("allow") or [">"] if isinstance(text, str)]
    denied = [text for text in rules.get("deny") or [] if isinstance(text, str)]
    prefixes = ["_INBOX"]
    for text in allowed:
        for end in (".>", ".*.*"):
            if text.endswith(end):
                prefixes.append(text[: -len(end)])
    for prefix in prefixes:
        if (
            not _inbox(prefix)
            and any(part.lstrip("_").lower().startswith("inbox") for part in prefix.split("."))
            and any(_covers(text, prefix) for text in allowed)
            and not any(_covers(text, prefix) for text in denied)
        ):
            return prefix
    return None


def _covers(pattern, prefix):
    """Whether all subjects PREFIX.<something>.* match the pattern."""
    tokens = prefix.split(".") + ["<something>", "*"]
    parts = pattern.split(".")
    for i, part in enumerate(parts):
        if i == len(tokens):
            return False
        if part == ">":
            return True
        if part != "*" and part != tokens[i]:
            return False
    return len(parts) == len(tokens)


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
