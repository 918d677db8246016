"""NATS identities of operator mode: operator, accounts, users, JWTs, creds, configuration.

    operator = Operator("try-out")
    account = operator.account("fleet", jetstream=True)
    user = account.user("board-1", publish=["sensors.board-1.>"], subscribe=["devices.board-1.>"])
    user.creds()                            # text of a .creds file
    account.revoke(user.public)             # and publish account.jwt() anew
    operator.server_config([account])       # text for nats-server's configuration file

The chain: the operator signs accounts, an account signs users, the server knows the operator and
keeps the accounts, a user brings its own JWT and signs the server's nonce. A JWT is three parts
joined by dots, each base64url without padding: header, claims and the signature of the first two.
Times are Unix seconds. Every object may be made again of its seed (`seed=`), so nothing else has
to be kept.

Seeds are secrets: `repr` does not show them.
"""

import base64
import hashlib
import json
import os
import time

import nkeys

_PREFIXES = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_UNLIMITED = -1


class Identity:
    """A key pair with a name: `kind`, `name`, `public` (text), `seed` (bytes)."""

    kind = None

    def __init__(self, name, seed=None):
        """Of a given seed, or of a new one.

        seed: bytes or str; ValueError if it is not one of this kind.
        """
        self.name = name
        self.seed = new_seed(self.kind) if seed is None else _bytes(seed)
        try:
            prefix, _ = nkeys.decode_seed(self.seed)
            self._key = nkeys.from_seed(bytearray(self.seed))
        except nkeys.NkeysError:
            raise ValueError("this is not an NKey's seed") from None
        if prefix != _PREFIXES[self.kind]:
            raise ValueError(
                "this is not the seed of an NKey for %s %s" % (_article(self.kind), self.kind)
            )
        self.public = self._key.public_key.decode()

    def __repr__(self):
        return "<%s %s %s>" % (type(self).__name__, self.name, self.public)

    def sign(self, claims):
        """The JWT of these claims, issued now by this identity."""
        claims = dict(claims, iss=self.public, iat=claims.get("iat", int(time.time())))
        claims["jti"] = _b32(hashlib.sha256(_json(claims)).digest())
        text = "%s.%s" % (_b64(_json(_HEADER)), _b64(_json(claims)))
        return "%s.%s" % (text, _b64(self._key.sign(text.encode())))


class Signer(Identity):
    """Who signs what is no JWT, with an NKey for users."""

    kind = "user"

    def sign_bytes(self, data):
        """The signature, 64 bytes."""
        return self._key.sign(data)


class Operator(Identity):
    """Whom the server trusts.

    issued: when (now). To be kept, with name and seed, if it is made again: a running server
    reloads its configuration only with the very same operator JWT.
    """

    kind = "operator"

    def __init__(self, name, seed=None, issued=None):
        super().__init__(name, seed)
        self.issued = int(time.time() if issued is None else issued)

    def account(self, name, **options):
        """A new `Account` of this operator; options as for `Account`."""
        return Account(self, name, **options)

    def jwt(self, system_account=None):
        """Its JWT, signed by itself."""
        nats = {"type": "operator", "version": 2}
        if system_account:
            nats["system_account"] = system_account.public
        return self.sign({"name": self.name, "sub": self.public, "iat": self.issued, "nats": nats})

    def server_config(self, accounts, system_account=None):
        """The part of nats-server's configuration that makes it know operator and accounts.

        The accounts are in it: after a change (a revocation) it has to be written and loaded anew.
        The server looks at an account once a second at most: a change may have to be loaded twice.
        """
        lines = ["operator: %s" % self.jwt(system_account), "resolver: MEMORY"]
        if system_account:
            lines.append("system_account: %s" % system_account.public)
        known = list(accounts) + ([system_account] if system_account else [])
        lines.append("resolver_preload: {")
        lines += ["  %s: %s" % (account.public, account.jwt()) for account in known]
        return "\n".join(lines + ["}", ""])


class Account(Identity):
    """A closed group of users.

    jetstream: whether it may store. expires: Unix seconds, or None. `revocations`: public keys of
    users (or `*`) and the time up to which their JWTs are void. `exports`, `imports`: what `share`
    has agreed.
    """

    kind = "account"

    def __init__(self, operator, name, seed=None, jetstream=False, expires=None):
        super().__init__(name, seed)
        self.operator = operator
        self.jetstream = jetstream
        self.expires = expires
        self.revocations = {}
        self.exports = []
        self.imports = []

    def share(self, other, subject, kind, many=False, local=None):
        """Let `other` reach what this account has on a subject, under the same one, or `local`.

        kind "service": what `other` publishes there comes here, and the answer to it goes back, in
        `other` only; many: there may be several answers. kind "stream": what is published here
        comes to those of `other` who subscribe.
        """
        what = {"name": subject, "subject": subject, "type": kind}
        shared = dict(what, response_type="Stream") if many else what
        if shared not in self.exports:
            self.exports.append(shared)
        imported = dict(what, account=self.public)
        if local is not None:
            imported["local_subject"] = local
        other.imports.append(imported)

    def user(self, name, **options):
        """A new `User` of this account; options as for `User`."""
        return User(self, name, **options)

    def revoke(self, public="*", at=None):
        """Make void what was issued for a user up to a time, by default now.

        The user is a public key, or `*` for all.
        """
        self.revocations[public] = int(time.time() if at is None else at)

    def jwt(self):
        """Its JWT, signed by the operator."""
        limits = dict.fromkeys(
            ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _UNLIMITED
        )
        limits["wildcards"] = True
        if self.jetstream:
            limits.update(
                dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), _UNLIMITED)
            )
        nats = {
            "limits": limits,
            "default_permissions": {"pub": {}, "sub": {}},
            "type": "account",
            "version": 2,
        }
        for name in ("exports", "imports"):
            if getattr(self, name):
                nats[name] = getattr(self, name)
        if self.revocations:
            nats["revocations"] = self.revocations
        claims = {"name": self.name, "sub": self.public, "nats": nats}
        return self.operator.sign(_until(claims, self.expires))


class User(Identity):
    """One device, or person.

    publish, subscribe: the subjects that it may use (None: all). deny_publish, deny_subscribe:
    those it may not. responses: it may answer requests, so many messages each, whatever the
    reply's subject is. expires: Unix seconds, or None. bearer: the JWT is enough, nothing has to
    be signed. issued: when (now).
    """

    kind = "user"

    def __init__(
        self,
        account,
        name,
        seed=None,
        *,
        publish=None,
        subscribe=None,
        deny_publish=None,
        deny_subscribe=None,
        responses=0,
        expires=None,
        bearer=False,
        issued=None,
    ):
        super().__init__(name, seed)
        self.account = account
        self.publish, self.deny_publish = publish, deny_publish
        self.subscribe, self.deny_subscribe = subscribe, deny_subscribe
        self.responses = responses
        self.expires = expires
        self.bearer = bearer
        self.issued = issued

    def jwt(self):
        """Its JWT, signed by the account."""
        nats = {
            "pub": _rules(self.publish, self.deny_publish),
            "sub": _rules(self.subscribe, self.deny_subscribe),
        }
        nats.update(subs=_UNLIMITED, data=_UNLIMITED, payload=_UNLIMITED, type="user", version=2)
        if self.responses:
            nats["resp"] = {"max": self.responses, "ttl": 0}
        if self.bearer:
            nats["bearer_token"] = True
        claims = {"name": self.name, "sub": self.public, "nats": nats}
        if self.issued is not None:
            claims["iat"] = int(self.issued)
        return self.account.sign(_until(claims, self.expires))

    def creds(self):
        """The text of its .creds file: JWT and seed."""
        return _CREDS % (self.jwt(), self.seed.decode())


_CREDS = """\
-----BEGIN NATS USER JWT-----
%s
------END NATS USER JWT------

Whoever has what follows is this user. Keep it secret, and out of version control.

-----BEGIN USER NKEY SEED-----
%s
------END USER NKEY SEED------
"""


def new_seed(kind):
    """A new seed (bytes) of an NKey for an operator, account or user."""
    return nkeys.encode_seed(os.urandom(32), _PREFIXES[kind])


def decode(jwt):
    """The claims of a JWT. They are not verified."""
    part = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _rules(allow, deny):
    rules = {}
    if allow is not None:
        rules["allow"] = list(allow)
    if deny is not None:
        rules["deny"] = list(deny)
    if allow is not None and not rules["allow"]:
        raise ValueError("an empty list of allowed subjects would mean all: deny ['>'] instead")
    return rules


def _until(claims, expires):
    return claims if expires is None else dict(claims, exp=int(expires))


def _bytes(seed):
    return seed.strip().encode() if isinstance(seed, str) else bytes(seed).strip()


def _article(kind):
    return "a" if kind == "user" else "an"


def _json(value):
    return json.dumps(value, separators=(",", ":")).encode()


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _b32(data):
    return base64.b32encode(data).rstrip(b"=").decode()
