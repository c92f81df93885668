"""Is this token good: told to its own client and to the servers of its API."""

from __future__ import annotations

import pytest

from idp.store import account, api, client, grant, group, refresh_token, role, taking, token
from idp.store.digests import digest
from tests.fixtures.browser import claims
from tests.fixtures.clients import register

ORDERS = "https://orders.example"
SCOPE = "openid offline_access orders:read"
INACTIVE = {"active": False}


@pytest.fixture
def tokens(browser, web_app, alice):
    return browser.tokens(web_app, alice, scope=SCOPE, resource=ORDERS, prompt="consent")


def ask(http, caller, value, **form):
    return http.post("/introspect", data={"token": value, **form}, headers=caller.basic)


@pytest.mark.spec("RFC 7662 section 2.2")
def test_tells_the_gateway_of_an_api_about_its_tokens(http, gateway_client, tokens, alice, clock):
    told = ask(http, gateway_client, tokens["access_token"]).json
    assert told.pop("jti")
    assert told.pop("sid")
    assert told.pop("grant_id")
    assert told == {
        "active": True,
        "token_type": "Bearer",
        "iss": "https://localhost",
        "sub": alice.id,
        "aud": ORDERS,
        "client_id": "web-app",
        "iat": int(clock.timestamp),
        "exp": int(clock.timestamp) + 600,
        "scope": "orders:read",
        "roles": ["clerk"],
        "auth_time": int(clock.timestamp),
        "acr": "aal1",
        "amr": ["pwd"],
    }


def test_tells_a_client_about_its_own_tokens(http, web_app, tokens):
    assert ask(http, web_app, tokens["access_token"]).json["active"] is True
    told = ask(http, web_app, tokens["refresh_token"]).json
    assert (told["active"], told["scope"]) == (True, "orders:read openid offline_access")


@pytest.mark.attack("IN1")
@pytest.mark.spec("RFC 7662 section 2.1")
def test_tells_nobody_without_proof(http, web_app, public_app, tokens):
    for form in ({}, {"client_id": "web-app"}, {"client_id": "public-app"}):
        answer = http.post("/introspect", data={"token": tokens["access_token"], **form})
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
    answer = http.post("/introspect", data={"token": "x"}, headers={"Authorization": "Basic d2ViLWFwcDp4"})
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.attack("IN2")
def test_tells_others_nothing(http, services, tokens, browser, web_app, alice, gateway_client):
    other = register(services, "other", grant_types=["client_credentials"])
    assert ask(http, other, tokens["access_token"]).json == INACTIVE
    assert ask(http, other, tokens["refresh_token"]).json == INACTIVE
    assert ask(http, gateway_client, tokens["refresh_token"]).json == INACTIVE
    elsewhere = browser.tokens(web_app, alice)["access_token"]
    assert ask(http, gateway_client, elsewhere).json == INACTIVE


@pytest.mark.attack("IN3")
@pytest.mark.spec("RFC 7662 section 2.2")
def test_tells_no_more_than_inactive_of_what_is_no_token(http, web_app, tokens):
    for value in ("garbage", tokens["id_token"], tokens["access_token"] + "A", tokens["refresh_token"][:-1]):
        assert ask(http, web_app, value).json == INACTIVE


@pytest.mark.attack("IN3")
@pytest.mark.spec("RFC 7662 section 2.1")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "unknown"])
def test_a_wrong_hint_still_finds_it(http, web_app, tokens, kind, hint):
    assert ask(http, web_app, tokens[kind], token_type_hint=hint).json["active"] is True


@pytest.mark.attack("IN3")
def test_an_expired_token_is_inactive(http, web_app, tokens, clock):
    clock.advance(600)
    assert ask(http, web_app, tokens["access_token"]).json == INACTIVE
    clock.advance(30 * 86_400)
    assert ask(http, web_app, tokens["refresh_token"]).json == INACTIVE


@pytest.mark.attack("IN4")
@pytest.mark.parametrize("lost", ["membership", "role", "scope", "client's scope"])
def test_a_token_that_names_what_its_person_has_no_more_is_inactive(
    http, services, gateway_client, web_app, alice, tokens, orders_api, clock, lost
):
    with services.db.write() as tx:
        staff, clerk = group.find(tx, "staff"), role.find(tx, orders_api.id, "clerk")
        scope = api.find_scope(tx, orders_api.id, "orders:read").id
        if lost == "membership":
            taking.person_from_group(tx, staff.id, alice.id, clock())
        elif lost == "role":
            taking.role_from_group(tx, staff.id, clerk.id, clock())
        elif lost == "scope":
            taking.scope_from_role(tx, clerk.id, scope, clock())
        else:
            taking.scope_from_client(tx, web_app.client_id, scope, clock())
    assert ask(http, gateway_client, tokens["access_token"]).json == INACTIVE
    assert ask(http, web_app, tokens["refresh_token"]).json["active"]


@pytest.mark.attack("IN4")
@pytest.mark.parametrize(
    ("lost", "active"), [(None, True), ("a scope it never names", True), ("role", False), ("scope", False)]
)
def test_and_so_is_that_of_a_service(http, services, gateway_client, service, orders_api, clock, lost, active):
    form = {"grant_type": "client_credentials", "scope": "orders:read"}
    made = http.post("/token", data=form, headers=service.basic).json["access_token"]
    with services.db.write() as tx:
        if lost == "role":
            taking.role_from_client(tx, role.find(tx, orders_api.id, "clerk").id, "service", clock())
        elif lost is not None:
            name = "orders:read" if lost == "scope" else "orders:write"
            client.refuse_scope(tx, "service", api.find_scope(tx, orders_api.id, name).id)
    assert ask(http, gateway_client, made).json["active"] is active


@pytest.mark.attack("IN4")
@pytest.mark.parametrize("level", ["account", "client", "grant", "token", "session"])
def test_whatever_ended_it_ends_it(http, services, gateway_client, web_app, alice, tokens, clock, level):
    told = claims(tokens["access_token"])
    clock.advance(2)
    with services.db.write() as tx:
        if level == "account":
            account.void(tx, alice.id, clock(), reason="password changed")
        elif level == "client":
            client.disable(tx, web_app.client_id, clock())
            client.enable(tx, web_app.client_id, clock())
        elif level == "grant":
            row = refresh_token.find(tx, digest(tokens["refresh_token"]))
            grant.revoke(tx, row.grant_id, clock(), reason="test")
        elif level == "session":
            services.sessions.end(tx, told["sid"], clock())
        else:
            token.revoke(tx, told["jti"], expires_at=clock(), now=clock())
    assert ask(http, gateway_client, tokens["access_token"]).json == INACTIVE
    if level not in {"token", "client"}:
        assert ask(http, web_app, tokens["refresh_token"]).json == INACTIVE


def test_a_used_refresh_token_is_inactive(http, browser, web_app, tokens):
    browser.refresh(web_app, tokens["refresh_token"])
    assert ask(http, web_app, tokens["refresh_token"]).json == INACTIVE


@pytest.mark.attack("TK37")
def test_needs_a_token_and_is_never_kept(http, web_app):
    answer = http.post("/introspect", data={}, headers=web_app.basic)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.attack("TK5")
def test_takes_forms_by_post_alone(http, web_app):
    assert http.get("/introspect?token=x", headers=web_app.basic).status_code == 405
    assert http.post("/introspect?token=x", data={}, headers=web_app.basic).status_code == 400
    assert http.post("/introspect", json={"token": "x"}, headers=web_app.basic).status_code == 415
