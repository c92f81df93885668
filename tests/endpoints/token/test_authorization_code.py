"""One code, one redemption."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from sqlalchemy import delete

from idp.store import account, audit, consent, grant, group
from idp.store import code as codes
from idp.store.digests import digest
from tests.fixtures.browser import CHALLENGE, NONCE, VERIFIER, Browser, claims
from tests.fixtures.clients import OIDC, register
from tests.fixtures.race import at_once

ORDERS = "https://orders.example"


def is_refused(answer, error="invalid_grant"):
    assert (answer.status_code, answer.json["error"]) == (400, error), answer.text
    return True


@pytest.mark.spec("RFC 6749 section 4.1.4", "OpenID Connect Core section 3.1.3.3")
def test_buys_tokens(browser, web_app, alice, clock):
    answer = browser.redeem(web_app, browser.code(web_app, alice, scope="openid profile"))
    assert answer.status_code == 200
    assert set(answer.json) == {"access_token", "token_type", "expires_in", "scope", "id_token"}
    access, identity = claims(answer.json["access_token"]), claims(answer.json["id_token"])
    assert (access["sub"], access["aud"], access["client_id"]) == (alice.id, "https://localhost", "web-app")
    assert (identity["sub"], identity["aud"], identity["nonce"]) == (alice.id, "web-app", NONCE)
    assert identity["auth_time"] == identity["iat"] == int(clock.timestamp)
    assert identity["exp"] == identity["iat"] + 300
    assert (identity["acr"], identity["amr"]) == ("aal1", ["pwd"])
    assert identity["sid"] == access["sid"]


@pytest.mark.spec("OpenID Connect Core section 5.4")
def test_tells_no_claims_in_the_id_token_unless_asked_by_name(browser, web_app, alice):
    scope = "openid profile email address phone"
    plain = claims(browser.tokens(web_app, alice, scope=scope)["id_token"])
    assert not {"name", "email", "address", "phone_number"} & plain.keys()
    asked = browser.tokens(web_app, alice, scope=scope, claims='{"id_token":{"email":{"essential":true}}}')
    assert claims(asked["id_token"])["email"] == alice.email


@pytest.mark.spec("OpenID Connect Core section 3.1.3.6")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_signs_the_id_token_as_the_client_registered(browser, services, alice, alg):
    client = register(
        services,
        "chooser",
        scopes=OIDC,
        grant_types=["authorization_code"],
        redirect_uris=["https://app.example/cb"],
        id_token_alg=alg,
    )
    tokens = browser.tokens(client, alice)
    header = json.loads(base64.urlsafe_b64decode(tokens["id_token"].split(".")[0] + "=="))
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert header["alg"] == alg
    assert claims(tokens["id_token"])["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def test_adds_no_nonce_that_was_not_sent(browser, web_app, alice):
    assert "nonce" not in claims(browser.tokens(web_app, alice, nonce=None)["id_token"])


@pytest.mark.spec("RFC 9068 section 3", "RFC 8707 section 2.2")
def test_the_token_is_for_the_resource_asked_at_authorize(browser, web_app, alice):
    tokens = browser.tokens(web_app, alice, scope="openid orders:read", resource=ORDERS)
    told = claims(tokens["access_token"])
    assert (told["aud"], told["scope"], told["roles"]) == (ORDERS, "orders:read", ["clerk"])
    assert tokens["scope"] == "orders:read"
    assert "id_token" in tokens


@pytest.mark.spec("RFC 8707 section 2.2")
@pytest.mark.parametrize("name", ["resource", "audience"])
def test_the_token_is_for_the_resource_asked_now(browser, web_app, alice, name):
    code = browser.code(web_app, alice, scope="openid orders:read")
    told = claims(browser.redeem(web_app, code, **{name: ORDERS}).json["access_token"])
    assert told["aud"] == ORDERS


def test_the_token_is_for_userinfo_when_nothing_is_said(browser, web_app, alice):
    told = claims(browser.tokens(web_app, alice, scope="openid orders:read")["access_token"])
    assert (told["aud"], told["scope"]) == ("https://localhost", "openid")
    assert "roles" not in told


def test_the_token_is_for_the_only_api_without_openid(browser, web_app, alice):
    tokens = browser.tokens(web_app, alice, scope="orders:read", nonce=None)
    assert claims(tokens["access_token"])["aud"] == ORDERS
    assert "id_token" not in tokens


@pytest.mark.parametrize("resource", ["https://nowhere.example", [ORDERS, "https://localhost"]])
def test_refuses_a_resource_that_was_not_granted(browser, web_app, alice, resource):
    code = browser.code(web_app, alice, scope="openid orders:read")
    assert is_refused(browser.redeem(web_app, code, resource=resource), "invalid_target")


@pytest.mark.attack("TK11")
@pytest.mark.parametrize("change", [lambda _: "unknown", lambda code: code[:-1], lambda code: code + "A"])
def test_refuses_an_unknown_truncated_or_suffixed_code(browser, web_app, alice, change):
    assert is_refused(browser.redeem(web_app, change(browser.code(web_app, alice))))


@pytest.mark.attack("TK11", "AZ37")
@pytest.mark.spec("RFC 6749 section 4.1.2")
def test_refuses_a_code_after_a_minute(browser, web_app, alice, clock):
    code = browser.code(web_app, alice)
    clock.advance(60)
    assert is_refused(browser.redeem(web_app, code))


@pytest.mark.attack("TK12")
@pytest.mark.spec("RFC 6749 section 4.1.3")
def test_refuses_the_code_of_another_client(browser, web_app, public_app, alice):
    code = browser.code(web_app, alice)
    assert is_refused(browser.redeem(public_app, code, redirect_uri=web_app.redirect_uri))
    assert is_refused(browser.redeem(web_app, code))


@pytest.mark.attack("TK13")
@pytest.mark.spec("RFC 6749 section 4.1.2")
@pytest.mark.parametrize("later", [0, 30])
def test_a_code_used_twice_ends_all_it_bought(browser, web_app, alice, clock, later):
    code = browser.code(web_app, alice, scope="openid offline_access", prompt="consent")
    tokens = browser.redeem(web_app, code).json
    clock.advance(later)
    assert is_refused(browser.redeem(web_app, code))
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert browser.http.get("/userinfo", headers=bearer).status_code == 401
    assert is_refused(browser.refresh(web_app, tokens["refresh_token"]))


@pytest.mark.attack("TK13")
def test_a_reused_code_is_written_down(browser, web_app, alice, services):
    code = browser.code(web_app, alice)
    browser.redeem(web_app, code)
    browser.redeem(web_app, code)
    with services.db.read() as tx:
        events = [row.event for row in audit.recent(tx, 10)]
    assert "code.redeemed" in events
    assert events[-1] == "code.reused"


@pytest.mark.attack("TK14")
@pytest.mark.spec("RFC 6749 section 10.5")
def test_of_a_hundred_at_once_one_gets_tokens_and_they_end(app, web_app, alice, browser):
    code = browser.code(web_app, alice, scope="openid offline_access", prompt="consent")
    answers = at_once(100, lambda: Browser(app, web_app).redeem(web_app, code))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) <= 1
    assert {answer.status_code for answer in answers} <= {200, 400}
    for answer in won:
        assert is_refused(browser.refresh(web_app, answer.json["refresh_token"]))


@pytest.mark.attack("TK15")
@pytest.mark.spec("RFC 6749 section 4.1.3")
@pytest.mark.parametrize("uri", [None, "https://app.example/cb/", "https://app.example/CB", "https://evil.example/cb"])
def test_refuses_another_redirect_uri(browser, web_app, alice, uri):
    assert is_refused(browser.redeem(web_app, browser.code(web_app, alice), redirect_uri=uri))


@pytest.mark.attack("TK16")
@pytest.mark.spec("RFC 7636 section 4.6")
@pytest.mark.parametrize("verifier", [None, VERIFIER[:-1] + "X", CHALLENGE, "short", "x" * 129])
def test_a_wrong_verifier_burns_the_code(browser, public_app, alice, verifier):
    code = browser.code(public_app, alice)
    assert is_refused(browser.redeem(public_app, code, code_verifier=verifier))
    assert is_refused(browser.redeem(public_app, code))


@pytest.mark.attack("TK17")
@pytest.mark.spec("RFC 9700 section 4.8.2")
def test_refuses_a_verifier_where_no_challenge_was(browser, services, alice):
    client = register(
        services,
        "old-app",
        scopes=OIDC,
        grant_types=["authorization_code"],
        redirect_uris=["https://app.example/cb"],
        require_pkce=False,
    )
    asked = {"code_challenge": None, "code_challenge_method": None}
    assert is_refused(browser.redeem(client, browser.code(client, alice, **asked)))
    again = browser.redeem(client, browser.code(client, alice, **asked), code_verifier=None)
    assert again.status_code == 200


def test_gives_no_refresh_token_without_offline_access(browser, web_app, alice):
    assert "refresh_token" not in browser.tokens(web_app, alice, scope="openid profile")


def test_keeps_neither_code_nor_refresh_token(browser, web_app, alice, services):
    code = browser.code(web_app, alice)
    with services.db.read() as tx:
        row = codes.find(tx, digest(code))
    assert row is not None
    assert code not in str(vars(row))


@pytest.mark.attack("TK23")
@pytest.mark.parametrize("ending", ["disabled", "grant", "group", "consent", "session"])
def test_refuses_a_code_whose_ground_has_gone(browser, web_app, alice, services, clock, ending):
    code = browser.code(web_app, alice, scope="orders:read", nonce=None)
    with services.db.write() as tx:
        held = codes.find(tx, digest(code))
        if ending == "disabled":
            account.disable(tx, alice.id, clock())
        elif ending == "grant":
            grant.revoke(tx, held.grant_id, clock(), reason="test")
        elif ending == "group":
            tx.execute(delete(group.GroupMember))
        elif ending == "consent":
            consent.revoke(tx, alice.id, web_app.client_id, clock())
        else:
            services.sessions.end(tx, grant.find(tx, held.grant_id).session_id, clock())
    assert is_refused(browser.redeem(web_app, code))
