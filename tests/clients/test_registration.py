"""What may be registered as a client."""

from __future__ import annotations

import dataclasses

import pytest

from idp.clients.registration import Registration, Unregistrable, problems, register, registered
from idp.jose.keys import SigningKey
from idp.store import client
from idp.store.digests import digest
from tests.fixtures.certificates import make

GOOD = Registration(client_id="shop", name="Shop", redirect_uris=("https://shop.example/cb",))
JWKS = {"keys": [SigningKey.generate("ES256").public_jwk()]}


def wrong(**change):
    return problems(dataclasses.replace(GOOD, **change))


def test_takes_an_ordinary_client():
    assert problems(GOOD) == ()


@pytest.mark.attack("AZ6")
@pytest.mark.spec("RFC 9700 section 2.6")
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://shop.example/cb",
        "https://shop.example/cb#part",
        "com.example.app:/cb",
        "//shop.example/cb",
        "/cb",
        "https:///cb",
        "",
    ],
)
@pytest.mark.parametrize("field", ["redirect_uris", "post_logout_redirect_uris"])
def test_refuses_addresses_that_could_be_somebody_elses(uri, field):
    assert [line.partition(":")[0] for line in wrong(**{field: (uri,)})] == [field]


@pytest.mark.attack("AZ6")
@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1/cb", "http://[::1]:8080/cb", "http://localhost/cb", "com.example.app:/cb"]
)
def test_a_native_client_may_use_loopback_and_its_own_scheme(uri):
    assert wrong(application_type="native", auth_method="none", redirect_uris=(uri,)) == ()


@pytest.mark.attack("TK29")
@pytest.mark.spec("RFC 9700 section 4.15")
def test_refuses_a_client_id_that_looks_like_an_account():
    assert wrong(client_id="01a20a5a-d594-7e79-bd31-7c77d345934b")


@pytest.mark.parametrize("client_id", ["", "a b", "a:b", "ä", "x" * 101, "a\n"])
def test_refuses_a_client_id_that_cannot_travel(client_id):
    assert wrong(client_id=client_id)


@pytest.mark.parametrize(
    "change",
    [
        {"auth_method": "client_secret_jwt"},
        {"auth_method": "private_key_jwt"},
        {"auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {"auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
        {"grant_types": ("password",)},
        {"grant_types": ("refresh_token",)},
        {"grant_types": ("client_credentials",), "auth_method": "none"},
        {"grant_types": ("urn:ietf:params:oauth:grant-type:token-exchange",), "auth_method": "none"},
        {"redirect_uris": ()},
        {"application_type": "desktop"},
        {"id_token_alg": "none"},
        {"access_token_format": "opaque"},
        {"name": ""},
        {"name": "Shop\x1b[2J"},
        {"logo_uri": "javascript:alert(1)"},
        {"tos_uri": "ftp://shop.example"},
        {"fapi2": True},
        {"auth_method": "tls_client_auth"},
        {"auth_method": "tls_client_auth", "tls_subject": ("subject_dn", "orders")},
        {"auth_method": "tls_client_auth", "tls_subject": ("cn", "orders")},
        {"tls_subject": ("san_dns", "orders.example")},
        {"auth_method": "self_signed_tls_client_auth"},
        {"auth_method": "self_signed_tls_client_auth", "jwks": JWKS},
        {"secret": "short"},
        {"secret": "a" * 64},
        {"secret": "x" * 64, "auth_method": "none"},
    ],
)
def test_tells_what_is_wrong(change):
    assert len(wrong(**change)) == 1


@pytest.mark.spec("RFC 8705 section 2.1.2", "RFC 8705 section 2.2.2")
@pytest.mark.parametrize(
    "change",
    [
        {"auth_method": "tls_client_auth", "tls_subject": ("subject_dn", "CN=orders,O=Example,C=FR")},
        {"auth_method": "self_signed_tls_client_auth", "jwks": make().jwks},
        {"auth_method": "tls_client_auth", "tls_subject": ("san_ip", "192.0.2.7"), "fapi2": True},
        {"dpop_bound": True, "certificate_bound": True},
    ],
)
def test_a_client_may_be_known_by_its_certificate(db, clock, change):
    wanted = dataclasses.replace(GOOD, **change)
    with db.write() as tx:
        register(tx, wanted, clock())
        row = client.find(tx, "shop")
    kept = registered(row)
    assert kept == dataclasses.replace(wanted, secret=None)
    assert problems(kept) == ()


def test_tells_everything_at_once():
    assert len(wrong(client_id="", name="", id_token_alg="none")) == 3


def test_makes_a_secret_that_only_the_client_knows(db, clock):
    with db.write() as tx:
        secret = register(tx, GOOD, clock())
        row = client.find(tx, "shop")
    assert len(secret) == 43
    assert row.secret_hash == digest(secret)


def test_a_public_client_has_no_secret_and_must_use_pkce(db, clock):
    wanted = dataclasses.replace(GOOD, auth_method="none", require_pkce=False)
    with db.write() as tx:
        assert register(tx, wanted, clock()) is None
        row = client.find(tx, "shop")
    assert (row.secret_hash, row.require_pkce) == (None, True)


def test_keeps_the_keys_of_a_client(db, clock):
    wanted = dataclasses.replace(GOOD, auth_method="private_key_jwt", jwks=JWKS)
    with db.write() as tx:
        assert register(tx, wanted, clock()) is None
        assert client.find(tx, "shop").jwks == JWKS


def test_refuses_a_name_that_is_taken(db, clock):
    with db.write() as tx:
        register(tx, GOOD, clock())
        with pytest.raises(Unregistrable, match="already"):
            register(tx, GOOD, clock())


def test_takes_a_weak_secret_only_where_any_is_taken(db, clock):
    with db.write() as tx, pytest.raises(Unregistrable):
        register(tx, dataclasses.replace(GOOD, secret="secret"), clock())
    with db.write() as tx:
        assert register(tx, dataclasses.replace(GOOD, secret="secret", any_secret=True), clock()) == "secret"
