"""Access tokens that say nothing by themselves, for clients that are to learn nothing from them."""

from __future__ import annotations

import re

import pytest

from idp.jose.keys import KeySet
from idp.jose.verify import verify
from idp.store import client, grant, prune, reference_token, token
from idp.store.digests import digest
from tests.endpoints.token.conftest import ORDERS, STOCK, exchange
from tests.fixtures.browser import claims

SIGNED = "application/token-introspection+jwt"
ALGS = frozenset({"ES256", "RS256"})


@pytest.fixture(autouse=True)
def references(services, web_app, service):
    """The web app and the service are given references."""
    with services.db.write() as tx:
        for each in (web_app, service):
            client.change(tx, each.client_id, services.clock(), {"access_token_format": "reference"})
    services.clients.forget()


@pytest.fixture
def tokens(browser, web_app, alice):
    return browser.tokens(web_app, alice, scope="openid offline_access orders:read", resource=ORDERS, prompt="consent")


def introspect(http, caller, value, **headers):
    return http.post("/introspect", data={"token": value}, headers={**caller.basic, **headers})


@pytest.mark.attack("ST1")
def test_it_is_256_random_bits_of_which_only_a_digest_is_kept(services, tokens):
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", tokens["access_token"])
    with services.db.read() as tx:
        row = reference_token.find(tx, digest(tokens["access_token"]))
    assert row is not None
    assert tokens["access_token"] not in str(row.claims)


@pytest.mark.spec("RFC 7662 section 2.2")
def test_introspection_tells_what_a_jwt_in_its_place_would_say(
    http, services, browser, web_app, gateway_client, tokens
):
    told = introspect(http, gateway_client, tokens["access_token"]).json
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, services.clock(), {"access_token_format": "jwt"})
    services.clients.forget()
    jwt = claims(browser.refresh(web_app, tokens["refresh_token"]).json["access_token"])
    assert {**told, "jti": None} == {
        "active": True,
        "token_type": "Bearer",
        **jwt,
        "jti": None,
    }


@pytest.mark.attack("IN2")
def test_it_is_told_to_nobody_else(http, services, service, tokens):
    assert introspect(http, service, tokens["access_token"]).json == {"active": False}


@pytest.mark.spec("RFC 6749 section 4.4")
def test_a_service_gets_one_too(http, service, gateway_client):
    given = http.post("/token", data={"grant_type": "client_credentials"}, headers=service.basic).json
    told = introspect(http, gateway_client, given["access_token"]).json
    assert (told["active"], told["sub"], told["scope"]) == (True, "service", "orders:read orders:write")


def test_userinfo_takes_it_and_knows_whom_it_is_for(http, browser, web_app, alice, tokens):
    def ask(value):
        return http.get("/userinfo", headers={"Authorization": f"Bearer {value}"})

    assert ask(
        browser.refresh(web_app, tokens["refresh_token"], audience="https://localhost").json["access_token"]
    ).json
    assert ask(tokens["access_token"]).status_code == 401
    assert ask("A" * 43).status_code == 401


@pytest.mark.attack("IN3")
def test_it_ends_to_the_second(http, gateway_client, tokens, clock):
    clock.advance(599)
    assert introspect(http, gateway_client, tokens["access_token"]).json["active"] is True
    clock.advance(1)
    assert introspect(http, gateway_client, tokens["access_token"]).json == {"active": False}


ENDINGS = {
    "given back": lambda tx, told, now: token.revoke(tx, told["jti"], expires_at=now, now=now),
    "grant revoked": lambda tx, told, now: grant.revoke(tx, told["grant_id"], now, reason="test"),
    "client closed": lambda tx, told, now: client.disable(tx, told["client_id"], now),
}


@pytest.mark.attack("IN4")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_whatever_ends_a_token_ends_it(http, services, gateway_client, tokens, clock, ending):
    with services.db.read() as tx:
        told = reference_token.find(tx, digest(tokens["access_token"])).claims
    clock.advance(2)
    with services.db.write() as tx:
        ending(tx, told, clock())
    assert introspect(http, gateway_client, tokens["access_token"]).json == {"active": False}


@pytest.mark.spec("RFC 7009 section 2.1")
def test_it_can_be_given_back(http, web_app, gateway_client, tokens):
    assert http.post("/revoke", data={"token": tokens["access_token"]}, headers=web_app.basic).status_code == 200
    assert introspect(http, gateway_client, tokens["access_token"]).json == {"active": False}


def test_a_gateway_turns_it_into_a_jwt_by_exchange(http, gateway, tokens):
    answer = exchange(http, gateway, tokens["access_token"])
    assert (claims(answer.json["access_token"])["aud"], answer.json["scope"]) == (STOCK, "orders:read")


def test_what_is_over_is_forgotten(services, tokens, clock):
    clock.advance(2 * 3600)
    assert prune.prune(services.db, clock(), stop=100)["reference_token"] == 1


@pytest.mark.spec("RFC 9701 section 5")
def test_the_answer_can_be_signed_for_the_one_who_asks(http, services, gateway_client, tokens, clock):
    plain = introspect(http, gateway_client, tokens["access_token"])
    answer = introspect(http, gateway_client, tokens["access_token"], Accept=SIGNED)
    assert (answer.status_code, answer.content_type) == (200, SIGNED)
    assert answer.headers["Cache-Control"] == "no-store"
    keys = KeySet.from_remote(http.get("/jwks").data)
    seen = verify(answer.text, keys, typ=frozenset({"token-introspection+jwt"}), algs=ALGS)
    assert seen.header["alg"] == "RS256"
    assert seen.claims == {
        "iss": "https://localhost",
        "aud": gateway_client.client_id,
        "iat": int(clock.timestamp),
        "token_introspection": plain.json,
    }


@pytest.mark.spec("RFC 9701 section 5")
def test_a_signed_refusal_tells_no_more_than_a_plain_one(http, gateway_client):
    answer = introspect(http, gateway_client, "A" * 43, Accept=SIGNED)
    assert claims(answer.text)["token_introspection"] == {"active": False}


@pytest.mark.attack("JO23")
@pytest.mark.spec("RFC 9701 section 8.1")
def test_a_signed_answer_is_no_token(http, gateway_client, tokens):
    answer = introspect(http, gateway_client, tokens["access_token"], Accept=SIGNED).text
    assert introspect(http, gateway_client, answer).json == {"active": False}
    assert http.get("/userinfo", headers={"Authorization": f"Bearer {answer}"}).status_code == 401


@pytest.mark.spec("RFC 9701 section 4")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (f"{SIGNED}, application/json;q=0.5", SIGNED),
        (f"{SIGNED};q=0.5, application/json", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_json_is_what_comes_unless_the_signed_form_is_preferred(http, gateway_client, tokens, accept, kind):
    assert introspect(http, gateway_client, tokens["access_token"], Accept=accept).content_type == kind


def test_discovery_says_how_answers_are_signed(http):
    told = http.get("/.well-known/oauth-authorization-server").json
    assert "RS256" in told["introspection_signing_alg_values_supported"]
