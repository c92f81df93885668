"""The list of static clients, and what is in the store before certification begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idp.accounts.passwords import Passwords
from idp.demo import conformance
from idp.demo.conformance import StaticClient, UnusableClients
from idp.jose.keys import SigningKey
from idp.protocol import claims
from idp.settings import Settings
from idp.store import account, client
from idp.store.database import Database
from idp.store.digests import digest
from tests.fixtures.clock import FakeClock

CALLBACK = "https://suite.example/callback"
KEYS = {"keys": [SigningKey.generate("ES256").public_jwk()]}
WHOLE: dict[str, Any] = {
    "client_id": "suite-1",
    "client_secret": "s",
    "redirect_uris": [CALLBACK, "http://localhost:1234/cb"],
    "post_logout_redirect_uris": ["https://suite.example/post"],
    "grant_types": ["authorization_code"],
    "token_endpoint_auth_method": "client_secret_post",
    "jwks": KEYS,
    "scope": "openid email",
    "require_pkce": True,
}
LEAST = {"client_id": "suite", "client_secret": "any", "redirect_uris": [CALLBACK]}


def written(tmp_path: Path, said: object) -> Path:
    file = tmp_path / "clients.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    return file


def one(**members: object) -> StaticClient:
    return StaticClient.parse(1, LEAST | members)


def test_every_member_is_taken_over() -> None:
    found = StaticClient.parse(1, WHOLE)
    wanted = found.registration
    assert (wanted.client_id, wanted.secret, wanted.auth_method) == ("suite-1", "s", "client_secret_post")
    assert (wanted.redirect_uris, wanted.post_logout_redirect_uris) == (
        (CALLBACK, "http://localhost:1234/cb"),
        ("https://suite.example/post",),
    )
    assert (wanted.grant_types, wanted.jwks, wanted.require_pkce) == (("authorization_code",), KEYS, True)
    assert found.scopes == {"openid", "email"}


def test_the_defaults_are_those_of_this_mode() -> None:
    wanted = one().registration
    assert wanted.auth_method == "client_secret_basic"
    assert wanted.grant_types == ("authorization_code", "refresh_token")
    assert (wanted.require_pkce, wanted.require_consent) == (False, False)
    assert one().scopes == {"openid", "profile", "email", "address", "phone", "offline_access"}


def test_members_that_nobody_knows_or_that_are_null_are_ignored() -> None:
    assert one(jwks=None, response_types=["code"], contacts=["a@b.example"], scope=None) == one()


@pytest.mark.parametrize("secret", ["x", "pässword", "a" * 500, "with:colon and space"])
def test_any_secret_will_do(secret: str) -> None:
    assert one(client_secret=secret).registration.secret == secret


@pytest.mark.parametrize("method", ["private_key_jwt", "none"])
def test_a_secret_that_the_method_does_not_use_is_left_out(method: str) -> None:
    assert one(token_endpoint_auth_method=method, jwks=KEYS).registration.secret is None


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"client_id": 7}, "client_id: write a text"),
        ({"client_id": "with space"}, "client_id: write"),
        ({"client_secret": ["s"]}, "client_secret: write a text"),
        ({"client_secret": ""}, "client_secret: client_secret_basic needs one"),
        ({"client_secret": None}, "client_secret: client_secret_basic needs one"),
        ({"redirect_uris": CALLBACK}, "redirect_uris: write a list of texts"),
        ({"redirect_uris": [7]}, "redirect_uris: write a list of texts"),
        ({"redirect_uris": []}, "redirect_uris: authorization_code needs one"),
        ({"redirect_uris": [f"{CALLBACK}#part"]}, "redirect_uris: redirect URI"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "redirect_uris: redirect URI"),
        ({"post_logout_redirect_uris": ["/relative"]}, "post_logout_redirect_uris: "),
        ({"grant_types": ["password"]}, "grant_types: write some of"),
        ({"grant_types": "authorization_code"}, "grant_types: write a list of texts"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method: write one of"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks: private_key_jwt needs"),
        ({"jwks": []}, "jwks: write an object"),
        ({"jwks": {"keys": []}}, "jwks: write a JWK Set"),
        ({"scope": ["openid"]}, "scope: write a text"),
        ({"require_pkce": "yes"}, "require_pkce: write true or false"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg: write one of"),
    ],
    ids=str,
)
def test_a_bad_member_is_told_by_its_own_name(members: dict[str, object], words: str) -> None:
    with pytest.raises(UnusableClients) as refused:
        StaticClient.parse(3, LEAST | members)
    assert f"client 3: {words}" in str(refused.value)


@pytest.mark.parametrize("said", ["text", 7, None, [], {}, {"client_id": ""}, {"client_secret": "s"}])
def test_an_entry_is_an_object_with_a_name(said: object) -> None:
    with pytest.raises(UnusableClients, match="client 1: write an object with a client_id"):
        StaticClient.parse(1, said)


@pytest.mark.parametrize("said", ["", "{", '"text"', "7", "{}", '{"clients": {}}', "\ud800"])
def test_a_file_without_a_list_is_told(tmp_path: Path, said: str) -> None:
    file = tmp_path / "clients.json"
    file.write_bytes(said.encode("utf-8", "surrogatepass"))
    with pytest.raises(UnusableClients, match=r"clients\.json: "):
        conformance.read_clients(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableClients, match="no readable JSON"):
        conformance.read_clients(tmp_path / "none.json")


def test_a_list_may_stand_alone_or_in_an_object_and_no_file_is_no_clients(tmp_path: Path) -> None:
    alone = conformance.read_clients(written(tmp_path, [LEAST]))
    assert conformance.read_clients(written(tmp_path, {"clients": [LEAST]})) == alone
    assert conformance.read_clients(None) == ()


def test_a_name_stands_once(tmp_path: Path) -> None:
    with pytest.raises(UnusableClients, match="stands once"):
        conformance.read_clients(written(tmp_path, [LEAST, LEAST]))


@pytest.fixture
def seeded(settings: Settings, clock: FakeClock, db: Database) -> Database:
    public = {"client_id": "public", "token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK]}
    clients = [StaticClient.parse(place, said) for place, said in enumerate([WHOLE, LEAST, public], start=1)]
    conformance.seed(settings, clients, clock())
    return db


def test_alice_is_there_with_every_standard_claim(seeded: Database) -> None:
    with seeded.read() as tx:
        alice = account.find_by_login(tx, "alice")
    assert alice is not None
    assert Passwords().verify(alice.password_hash, conformance.PASSWORD).accepted
    # These are columns of their own.
    own = {"email", "email_verified", "updated_at", "sub"}
    assert set(alice.claims) | own == set(claims.STANDARD) | {"sub"}
    assert set(alice.claims["address"]) == set(claims.ADDRESS)
    assert alice.email_verified


def test_clients_are_registered_by_the_rules_of_all(seeded: Database) -> None:
    with seeded.read() as tx:
        found = {name: client.find(tx, name) for name in ("suite-1", "suite", "public")}
    assert all(found.values())
    rows = {name: row for name, row in found.items() if row is not None}
    assert rows["suite"].secret_hash == digest("any")
    # RFC 9700 section 2.1.1: a public client is never spared.
    assert {name: row.require_pkce for name, row in rows.items()} == {"suite-1": True, "suite": False, "public": True}
