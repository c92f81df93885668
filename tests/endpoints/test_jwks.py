"""The public keys."""

from __future__ import annotations

import jwt
import pytest

from tests.fixtures.clients import OIDC, register

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@pytest.mark.attack("JO27")
@pytest.mark.spec("RFC 7517 section 9.2")
def test_shows_public_parts_alone(http):
    keys = http.get("/jwks").json["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    assert not any(PRIVATE & key.keys() for key in keys)


@pytest.mark.spec("RFC 7517 section 4.5")
def test_every_key_has_a_name_and_a_use(http):
    keys = http.get("/jwks").json["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert {key["use"] for key in keys} == {"sig"}


def test_a_new_key_changes_the_etag(http, services, clock):
    before = http.get("/jwks")
    services.keyring.rotate(clock())
    clock.advance(2)
    after = http.get("/jwks", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert len(after.json["keys"]) == len(before.json["keys"]) + 2


@pytest.mark.spec("RFC 9068 section 4", "OpenID Connect Core section 3.1.3.7")
def test_another_library_verifies_our_tokens_by_it(http, browser, services, alice, clock, orders_api):
    client = register(
        services,
        "reader",
        scopes=(*OIDC, *orders_api.scopes),
        grant_types=["authorization_code"],
        redirect_uris=["https://app.example/cb"],
    )
    tokens = browser.tokens(client, alice, scope="openid orders:read", resource=orders_api.audience)
    keys = {key["kid"]: jwt.PyJWK(key) for key in http.get("/jwks").json["keys"]}
    for token, audience, alg in (
        (tokens["access_token"], orders_api.audience, "ES256"),
        (tokens["id_token"], client.client_id, "RS256"),
    ):
        key = keys[jwt.get_unverified_header(token)["kid"]]
        told = jwt.decode(
            token,
            key,
            algorithms=[alg],
            audience=audience,
            issuer="https://localhost",
            # The provider's clock stands still in 2030; what is checked here is the signature.
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        assert told["sub"] == alice.id
