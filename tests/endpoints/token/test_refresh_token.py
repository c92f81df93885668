"""Each refresh token once, one successor, one family."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from idp.app import create_app
from idp.endpoints.token.refresh_token import derive
from idp.store import account, api, audit, client, consent, grant, group, refresh_token, role
from idp.store.digests import digest
from tests.fixtures.browser import Browser, claims
from tests.fixtures.clients import OIDC, register
from tests.fixtures.provider import Http
from tests.fixtures.race import at_once

ORDERS = "https://orders.example"
SCOPE = "openid profile offline_access orders:read orders:write"


@pytest.fixture
def tokens(browser, web_app, alice):
    return browser.tokens(web_app, alice, scope=SCOPE, prompt="consent")


@pytest.fixture
def public_tokens(browser, public_app, alice):
    return browser.tokens(public_app, alice, scope=SCOPE, prompt="consent")


def is_refused(answer, error="invalid_grant"):
    assert (answer.status_code, answer.json["error"]) == (400, error), answer.text
    return True


def given(answer):
    assert answer.status_code == 200, answer.text
    return answer.json


def grant_of(services, token):
    with services.db.read() as tx:
        return refresh_token.find(tx, digest(token)).grant_id


@pytest.mark.spec("RFC 6749 section 6", "OpenID Connect Core section 12.2")
def test_gives_new_tokens_for_the_same_person(browser, web_app, tokens, clock):
    clock.advance(90)
    fresh = given(browser.refresh(web_app, tokens["refresh_token"]))
    before, after = claims(tokens["id_token"]), claims(fresh["id_token"])
    assert fresh["refresh_token"] != tokens["refresh_token"]
    for name in ("iss", "sub", "aud", "auth_time", "sid", "acr", "amr"):
        assert after[name] == before[name]
    assert after["iat"] == before["iat"] + 90
    assert "nonce" not in after


@pytest.mark.attack("TK18")
@pytest.mark.spec("RFC 9700 section 4.14.2")
def test_a_used_token_ends_the_family(browser, web_app, tokens, clock, services):
    second = given(browser.refresh(web_app, tokens["refresh_token"]))["refresh_token"]
    clock.advance(11)
    assert is_refused(browser.refresh(web_app, tokens["refresh_token"]))
    assert is_refused(browser.refresh(web_app, second))
    with services.db.read() as tx:
        assert "refresh_token.reused" in [row.event for row in audit.recent(tx, 5)]


@pytest.mark.attack("TK18")
def test_within_the_grace_the_same_client_gets_the_same_successor(browser, web_app, tokens, clock):
    first = given(browser.refresh(web_app, tokens["refresh_token"]))
    clock.advance(9)
    again = given(browser.refresh(web_app, tokens["refresh_token"]))
    assert again["refresh_token"] == first["refresh_token"]
    assert given(browser.refresh(web_app, first["refresh_token"]))


@pytest.mark.attack("TK18")
def test_the_grace_ends_when_the_successor_is_used(browser, web_app, tokens):
    second = given(browser.refresh(web_app, tokens["refresh_token"]))["refresh_token"]
    third = given(browser.refresh(web_app, second))["refresh_token"]
    assert is_refused(browser.refresh(web_app, tokens["refresh_token"]))
    assert is_refused(browser.refresh(web_app, third))


@pytest.mark.attack("TK18")
def test_a_public_client_has_no_grace(browser, public_app, public_tokens):
    second = given(browser.refresh(public_app, public_tokens["refresh_token"]))["refresh_token"]
    assert is_refused(browser.refresh(public_app, public_tokens["refresh_token"]))
    assert is_refused(browser.refresh(public_app, second))


@pytest.mark.attack("TK18")
def test_a_fapi2_client_keeps_its_token(browser, web_app, tokens, services, clock):
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, clock(), {"fapi2": True})
    clock.advance(1)
    for _ in range(3):
        clock.advance(30)
        assert given(browser.refresh(web_app, tokens["refresh_token"]))["refresh_token"] == tokens["refresh_token"]


@pytest.mark.attack("TK19")
def test_of_a_hundred_at_once_every_success_carries_one_successor(app, browser, web_app, tokens):
    answers = at_once(100, lambda: Browser(app, web_app).refresh(web_app, tokens["refresh_token"]))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
    assert given(browser.refresh(web_app, answers[0].json["refresh_token"]))


@pytest.mark.attack("TK19")
def test_of_a_hundred_public_clients_at_once_one_wins_and_the_family_ends(app, browser, public_app, public_tokens):
    answers = at_once(100, lambda: Browser(app, public_app).refresh(public_app, public_tokens["refresh_token"]))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert is_refused(browser.refresh(public_app, won[0].json["refresh_token"]))


@pytest.mark.attack("TK20")
def test_a_replay_after_a_restart_is_refused(browser, web_app, tokens, settings, clock):
    given(browser.refresh(web_app, tokens["refresh_token"]))
    clock.advance(11)
    restarted = create_app(settings, clock=clock)
    restarted.test_client_class = Http
    assert is_refused(Browser(restarted, web_app).refresh(web_app, tokens["refresh_token"]))
    restarted.extensions["idp"].db.close()


@pytest.mark.attack("TK21")
@pytest.mark.spec("RFC 6749 section 10.4")
def test_refuses_the_token_of_another_client(browser, web_app, public_app, tokens):
    assert is_refused(browser.refresh(public_app, tokens["refresh_token"]))
    assert given(browser.refresh(web_app, tokens["refresh_token"]))


@pytest.mark.attack("TK22")
@pytest.mark.spec("RFC 6749 section 6")
def test_refuses_more_scope_than_was_granted_and_keeps_the_token(browser, web_app, alice):
    tokens = browser.tokens(web_app, alice, scope="openid offline_access orders:read", prompt="consent")
    for scope in ("openid orders:write", "openid email", "unknown"):
        assert is_refused(browser.refresh(web_app, tokens["refresh_token"], scope=scope), "invalid_scope")
    assert given(browser.refresh(web_app, tokens["refresh_token"]))


@pytest.mark.attack("TK22")
@pytest.mark.parametrize("resource", ["https://nowhere.example", "orders", [ORDERS, "https://localhost"]])
def test_refuses_a_resource_that_was_not_granted_and_keeps_the_token(browser, web_app, tokens, resource):
    answer = browser.refresh(web_app, tokens["refresh_token"], resource=resource)
    assert is_refused(answer, "invalid_target")
    assert given(browser.refresh(web_app, tokens["refresh_token"]))


@pytest.mark.spec("RFC 6749 section 6")
def test_less_scope_narrows_this_token_and_not_the_next(browser, web_app, tokens):
    narrow = given(browser.refresh(web_app, tokens["refresh_token"], resource=ORDERS, scope="orders:read"))
    assert narrow["scope"] == claims(narrow["access_token"])["scope"] == "orders:read"
    wide = given(browser.refresh(web_app, narrow["refresh_token"], resource=ORDERS))
    assert wide["scope"] == "orders:read orders:write"


@pytest.mark.spec("RFC 8707 section 2.2")
def test_may_ask_for_another_consented_audience(browser, web_app, tokens):
    assert claims(tokens["access_token"])["aud"] == "https://localhost"
    there = given(browser.refresh(web_app, tokens["refresh_token"], resource=ORDERS))
    assert claims(there["access_token"])["aud"] == ORDERS
    back = given(browser.refresh(web_app, there["refresh_token"]))
    assert claims(back["access_token"])["aud"] == "https://localhost"


def test_goes_on_with_the_audience_of_the_code(browser, web_app, alice):
    tokens = browser.tokens(web_app, alice, scope=SCOPE, prompt="consent", resource=ORDERS)
    fresh = given(browser.refresh(web_app, tokens["refresh_token"]))
    assert claims(fresh["access_token"])["aud"] == ORDERS
    assert claims(given(browser.refresh(web_app, fresh["refresh_token"]))["access_token"])["aud"] == ORDERS


@pytest.mark.attack("TK23")
@pytest.mark.parametrize("ending", ["disabled", "deleted", "password", "consent", "memory", "session", "client"])
def test_ends_with_what_it_stands_on(browser, web_app, alice, tokens, services, clock, ending):
    grant_id = grant_of(services, tokens["refresh_token"])
    with services.db.write() as tx:
        if ending == "disabled":
            account.disable(tx, alice.id, clock())
        elif ending == "deleted":
            tx.execute(delete(account.Account).where(account.Account.id == alice.id))
        elif ending == "password":
            services.sessions.end_all(tx, alice.id, clock(), reason="password changed")
        elif ending == "consent":
            consent.revoke(tx, alice.id, web_app.client_id, clock())
            grant.revoke_client(tx, alice.id, web_app.client_id, clock(), reason="consent revoked")
        elif ending == "memory":
            consent.revoke(tx, alice.id, web_app.client_id, clock())
        elif ending == "session":
            services.sessions.end(tx, grant.find(tx, grant_id).session_id, clock())
        else:
            client.disable(tx, web_app.client_id, clock())
    clock.advance(1)
    answer = browser.refresh(web_app, tokens["refresh_token"])
    assert answer.status_code in {400, 401}
    assert answer.json["error"] in {"invalid_grant", "invalid_client"}


@pytest.mark.attack("TK23")
def test_roles_are_looked_at_again(browser, web_app, tokens, services, orders_api, alice):
    with services.db.write() as tx:
        clerk = role.find(tx, orders_api.id, "clerk")
        write = next(scope for scope in api.scopes(tx, orders_api.id) if scope.name == "orders:write")
        role.remove_scope(tx, clerk.id, write.id)
    fewer = given(browser.refresh(web_app, tokens["refresh_token"], resource=ORDERS))
    assert fewer["scope"] == "orders:read"
    with services.db.write() as tx:
        group.remove_member(tx, group.find(tx, "staff").id, alice.id)
    assert is_refused(browser.refresh(web_app, fewer["refresh_token"], resource=ORDERS))
    assert given(browser.refresh(web_app, fewer["refresh_token"]))


def test_what_the_client_may_no_longer_ask_is_gone(browser, web_app, tokens, services, orders_api, clock):
    with services.db.write() as tx:
        for scope in api.scopes(tx, orders_api.id):
            client.refuse_scope(tx, web_app.client_id, scope.id)
    clock.advance(1)
    assert is_refused(browser.refresh(web_app, tokens["refresh_token"], resource=ORDERS), "invalid_target")


@pytest.mark.attack("TK24")
def test_dies_of_old_age_however_often_it_is_used(browser, web_app, tokens, clock):
    token, day = tokens["refresh_token"], 86_400
    for _ in range(4):
        clock.advance(22 * day)
        token = given(browser.refresh(web_app, token))["refresh_token"]
    clock.advance(2 * day)
    assert is_refused(browser.refresh(web_app, token))


@pytest.mark.attack("TK24")
def test_dies_of_lying_idle(browser, web_app, tokens, clock):
    clock.advance(30 * 86_400)
    assert is_refused(browser.refresh(web_app, tokens["refresh_token"]))


@pytest.mark.parametrize("token", ["unknown", "", "x" * 4000])
def test_refuses_what_it_never_gave(browser, web_app, token):
    answer = browser.refresh(web_app, token)
    assert answer.status_code == 400


def test_a_client_without_the_grant_gets_no_refresh_token(browser, services, alice):
    plain = register(
        services, "plain", scopes=OIDC, grant_types=["authorization_code"], redirect_uris=["https://app.example/cb"]
    )
    assert "refresh_token" not in browser.tokens(plain, alice, scope="openid offline_access", prompt="consent")


def test_a_successor_cannot_be_foreseen_without_the_key():
    assert derive(b"k" * 32, "token") == derive(b"k" * 32, "token")
    assert derive(b"k" * 32, "token") != derive(b"l" * 32, "token")
    assert len(derive(b"k" * 32, "token")) == 43
