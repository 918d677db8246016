"""Identities of operator mode: what the JWTs say, and that the official client gets in."""

import base64
import re
import time

import nkeys
import pytest
from nacl.signing import VerifyKey

from support.nats_server import NatsServer
from support.peer import Peer
from tools.fleet import nats_jwt


@pytest.fixture
def account():
    return nats_jwt.Operator("operator").account("account")


def _verify(jwt, public):
    """That whoever has this public key signed the JWT; nacl raises otherwise."""
    text, _, signature = jwt.rpartition(".")
    raw = base64.b32decode(public + "=" * (-len(public) % 8))[1:33]
    VerifyKey(raw).verify(text.encode(), base64.urlsafe_b64decode(signature + "=="))


def test_the_chain_of_signatures(account):
    user = account.user("board")
    operator = account.operator
    for jwt, by, of in (
        (operator.jwt(), operator, operator),
        (account.jwt(), operator, account),
        (user.jwt(), account, user),
    ):
        _verify(jwt, by.public)
        claims = nats_jwt.decode(jwt)
        assert (claims["iss"], claims["sub"], claims["name"]) == (by.public, of.public, of.name)
        assert claims["nats"]["type"] == of.kind and claims["nats"]["version"] == 2
        assert abs(claims["iat"] - time.time()) < 60 and "exp" not in claims


def test_what_a_user_may(account):
    user = account.user(
        "b",
        publish=["a"],
        subscribe=["c"],
        deny_publish=["d"],
        responses=2,
        expires=99.9,
        bearer=True,
    )
    claims = nats_jwt.decode(user.jwt())
    nats = claims["nats"]
    assert (nats["pub"], nats["sub"]) == ({"allow": ["a"], "deny": ["d"]}, {"allow": ["c"]})
    assert nats["resp"]["max"] == 2 and nats["bearer_token"] is True and claims["exp"] == 99
    with pytest.raises(ValueError, match="would mean all"):
        account.user("b", publish=[]).jwt()


def test_revocation_is_in_the_accounts_jwt(account):
    user = account.user("b")
    assert "revocations" not in nats_jwt.decode(account.jwt())["nats"]
    account.revoke(user.public, at=17.5)
    assert nats_jwt.decode(account.jwt())["nats"]["revocations"] == {user.public: 17}


def test_made_again_of_its_seed(account):
    user = account.user("b")
    for seed in (user.seed, user.seed.decode() + "\n"):
        assert account.user("b", seed=seed).public == user.public
    for seed in (
        account.seed,
        b"",
        b"rubbish",
        user.seed[:-1],
        nkeys.encode_seed(bytes(32), nkeys.PREFIX_BYTE_SERVER),
    ):
        with pytest.raises(ValueError):
            account.user("b", seed=seed)


def test_the_operators_jwt_stays_the_same():
    operator = nats_jwt.Operator("o", issued=1000)
    again = nats_jwt.Operator("o", seed=operator.seed, issued=1000)
    assert operator.jwt() == again.jwt()


def test_a_seed_is_in_no_repr(account):
    for identity in (account.operator, account, account.user("b")):
        assert identity.seed.decode()[5:] not in repr(identity) + str(identity)


def test_creds_have_the_usual_form(account):
    user = account.user("b")
    found = re.findall(
        r"^-{3,}[^\n]*-{3,}\n([\w\-.=]+)\n-{3,}[^\n]*-{3,}$", user.creds(), re.MULTILINE
    )
    assert found[1] == user.seed.decode()
    assert nats_jwt.decode(found[0])["sub"] == user.public


def test_the_official_client_gets_in(account, tmp_path):
    path = tmp_path / "user.creds"
    path.write_text(account.user("b", publish=["a.>"]).creds())
    with NatsServer(account.operator.server_config([account])) as server:
        with Peer(server.url, user_credentials=str(path)) as peer:
            messages = peer.subscribe("a.b")
            peer.publish("a.b", b"x")
            assert messages.get(timeout=20).data == b"x"
