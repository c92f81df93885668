"""Who the person is, to whoever holds their token."""

from __future__ import annotations

import pytest

from idp.store import account, api, client
from tests.fixtures.people import CLAIMS

ALL = "openid profile email address phone"
ORDERS = "https://orders.example"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def token(browser, web_app, alice):
    return browser.tokens(web_app, alice, scope=ALL)["access_token"]


@pytest.mark.spec("OpenID Connect Core section 5.3.1", "RFC 6750 section 2")
@pytest.mark.parametrize("way", ["get", "post header", "post body", "lower case scheme"])
def test_answers_every_way_of_asking(http, token, way):
    if way == "get":
        answer = http.get("/userinfo", headers=bearer(token))
    elif way == "post header":
        answer = http.post("/userinfo", headers=bearer(token))
    elif way == "post body":
        answer = http.post("/userinfo", data={"access_token": token})
    else:
        answer = http.get("/userinfo", headers={"Authorization": f"bearer {token}"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.spec("OpenID Connect Core section 5.1", "OpenID Connect Core section 5.4")
def test_tells_every_standard_claim_of_the_scopes(http, token, alice, clock):
    told = http.get("/userinfo", headers=bearer(token)).json
    assert told == {
        **CLAIMS,
        "sub": alice.id,
        "email": alice.email,
        "email_verified": True,
        "updated_at": int(clock.timestamp),
    }


@pytest.mark.spec("OpenID Connect Core section 5.3.2")
def test_tells_sub_alone_for_openid_alone(http, browser, web_app, alice):
    tokens = browser.tokens(web_app, alice)
    assert http.get("/userinfo", headers=bearer(tokens["access_token"])).json == {"sub": alice.id}


@pytest.mark.spec("OpenID Connect Core section 5.5")
def test_tells_a_claim_asked_for_by_name_also_after_a_refresh(http, browser, web_app, alice):
    asked = {
        "claims": '{"userinfo":{"name":{"essential":true}}}',
        "scope": "openid offline_access",
        "prompt": "consent",
    }
    tokens = browser.tokens(web_app, alice, **asked)
    assert http.get("/userinfo", headers=bearer(tokens["access_token"])).json["name"] == CLAIMS["name"]
    fresh = browser.refresh(web_app, tokens["refresh_token"]).json
    assert http.get("/userinfo", headers=bearer(fresh["access_token"])).json["name"] == CLAIMS["name"]


@pytest.mark.spec("RFC 6750 section 3")
def test_asks_for_a_token_without_naming_an_error(http):
    answer = http.get("/userinfo")
    assert answer.status_code == 401
    asked = answer.headers.getlist("WWW-Authenticate")
    assert asked == ['Bearer realm="gatehouse"', 'DPoP realm="gatehouse", algs="ES256 RS256 EdDSA PS256"']


@pytest.mark.attack("IN9")
@pytest.mark.spec("RFC 6750 section 2.3")
def test_does_not_look_for_a_token_in_the_query(http, token):
    answer = http.get(f"/userinfo?access_token={token}")
    assert answer.status_code == 401
    assert "error" not in answer.headers["WWW-Authenticate"]


@pytest.mark.attack("IN9", "GW16")
@pytest.mark.spec("RFC 6750 section 2")
@pytest.mark.parametrize("way", ["header and body", "two headers", "two in the body"])
def test_refuses_a_token_in_two_places(http, token, way):
    if way == "header and body":
        answer = http.post("/userinfo", headers=bearer(token), data={"access_token": token})
    elif way == "two headers":
        answer = http.get("/userinfo", headers={"Authorization": f"Bearer {token},Bearer {token}"})
    else:
        answer = http.post("/userinfo", data={"access_token": [token, "x"]})
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.attack("IN8")
def test_refuses_an_id_token(http, browser, web_app, alice):
    answer = http.get("/userinfo", headers=bearer(browser.tokens(web_app, alice)["id_token"]))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.attack("IN8")
def test_refuses_a_token_for_another_api(http, browser, web_app, alice):
    tokens = browser.tokens(web_app, alice, scope="openid orders:read", resource=ORDERS)
    answer = http.get("/userinfo", headers=bearer(tokens["access_token"]))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


@pytest.mark.attack("IN8")
@pytest.mark.spec("RFC 6750 section 3.1")
def test_says_which_scope_is_missing(http, browser, web_app, alice):
    tokens = browser.tokens(web_app, alice, scope="profile", nonce=None)
    answer = http.get("/userinfo", headers=bearer(tokens["access_token"]))
    assert (answer.status_code, answer.json["error"]) == (403, "insufficient_scope")
    assert 'scope="openid"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "", "é", 'x"y', "x" * 20_000])
def test_refuses_garbage(http, token):
    answer = http.get("/userinfo", headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")})
    assert answer.status_code in {400, 401}


@pytest.mark.attack("LG23")
@pytest.mark.parametrize("ending", ["time", "account", "session", "client", "deleted"])
def test_refuses_a_token_that_has_ended(http, services, token, alice, web_app, clock, ending):
    with services.db.write() as tx:
        if ending == "account":
            account.disable(tx, alice.id, clock())
        elif ending == "session":
            services.sessions.end_all(tx, alice.id, clock(), reason="signed out everywhere")
        elif ending == "client":
            client.disable(tx, web_app.client_id, clock())
        elif ending == "deleted":
            client.remove(tx, web_app.client_id, clock())
    if ending == "time":
        clock.advance(631)
    answer = http.get("/userinfo", headers=bearer(token))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


def test_a_services_own_token_tells_of_nobody(http, services, service, orders_api):
    # Even if an operator gave a service a scope of the issuer, its token names no person.
    with services.db.write() as tx:
        own = api.find(tx, "https://localhost")
        client.allow_scope(tx, service.client_id, api.find_scope(tx, own.id, "openid").id)
    answer = http.post("/token", data={"grant_type": "client_credentials"}, headers=service.basic)
    refused = http.get("/userinfo", headers=bearer(answer.json["access_token"]))
    assert refused.status_code == 401
