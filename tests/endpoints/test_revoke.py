"""A client gives back a token, and with a refresh token everything of its grant."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from idp.store import audit
from idp.store.database import StoreUnavailable

SCOPE = "openid offline_access"


@pytest.fixture
def tokens(browser, web_app, alice):
    return browser.tokens(web_app, alice, scope=SCOPE, prompt="consent")


def give_back(http, caller, value, **form):
    if caller.secret is None:
        return http.post("/revoke", data={"token": value, "client_id": caller.client_id, **form})
    return http.post("/revoke", data={"token": value, **form}, headers=caller.basic)


def is_alive(http, token):
    return http.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.attack("IN7")
@pytest.mark.spec("RFC 7009 section 2.1")
@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "unknown"])
def test_a_refresh_token_takes_its_family_and_access_tokens_along(http, browser, web_app, tokens, hint):
    fresh = browser.refresh(web_app, tokens["refresh_token"]).json
    form = {} if hint is None else {"token_type_hint": hint}
    answer = give_back(http, web_app, fresh["refresh_token"], **form)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert not is_alive(http, tokens["access_token"])
    assert not is_alive(http, fresh["access_token"])
    assert browser.refresh(web_app, fresh["refresh_token"]).json["error"] == "invalid_grant"


@pytest.mark.attack("IN7")
def test_a_used_refresh_token_does_as_well(http, browser, web_app, tokens):
    fresh = browser.refresh(web_app, tokens["refresh_token"]).json
    give_back(http, web_app, tokens["refresh_token"])
    assert not is_alive(http, fresh["access_token"])


@pytest.mark.spec("RFC 7009 section 2.1")
@pytest.mark.parametrize("hint", [None, "refresh_token"])
def test_an_access_token_goes_alone(http, browser, web_app, tokens, hint):
    form = {} if hint is None else {"token_type_hint": hint}
    assert give_back(http, web_app, tokens["access_token"], **form).status_code == 200
    assert not is_alive(http, tokens["access_token"])
    assert is_alive(http, browser.refresh(web_app, tokens["refresh_token"]).json["access_token"])


def test_a_public_client_may_give_back_its_own(http, browser, public_app, alice):
    tokens = browser.tokens(public_app, alice, scope=SCOPE, prompt="consent")
    assert give_back(http, public_app, tokens["refresh_token"]).status_code == 200
    assert not is_alive(http, tokens["access_token"])


@pytest.mark.attack("IN5")
@pytest.mark.spec("RFC 7009 section 2.1")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_refuses_the_token_of_another_client_and_leaves_it_alive(http, public_app, tokens, kind):
    answer = give_back(http, public_app, tokens[kind])
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    assert is_alive(http, tokens["access_token"])


@pytest.mark.attack("IN6")
@pytest.mark.spec("RFC 7009 section 2.2")
@pytest.mark.parametrize("value", ["unknown", "a.b.c", "x" * 4000])
def test_an_unknown_token_is_as_gone_as_can_be(http, web_app, value):
    assert give_back(http, web_app, value).status_code == 200


def test_giving_back_twice_is_once(http, web_app, tokens):
    for _ in range(2):
        assert give_back(http, web_app, tokens["access_token"]).status_code == 200
        assert give_back(http, web_app, tokens["refresh_token"]).status_code == 200


@pytest.mark.attack("IN6", "TK25")
def test_says_503_and_never_200_while_the_store_is_away(http, services, web_app, tokens, monkeypatch):
    give_back(http, web_app, "unknown")

    @contextmanager
    def away(_self):
        raise StoreUnavailable("the store is not available")
        yield

    monkeypatch.setattr(type(services.db), "write", away)
    answer = give_back(http, web_app, tokens["access_token"])
    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]
    monkeypatch.undo()
    assert is_alive(http, tokens["access_token"])


def test_needs_proof_and_a_token(http, web_app, tokens):
    assert http.post("/revoke", data={"token": tokens["access_token"]}).status_code == 401
    assert http.post("/revoke", data={}, headers=web_app.basic).json["error"] == "invalid_request"


def test_is_written_down(http, services, web_app, tokens):
    give_back(http, web_app, tokens["access_token"])
    give_back(http, web_app, tokens["refresh_token"])
    with services.db.read() as tx:
        assert [row.event for row in audit.recent(tx, 2)] == ["token.revoked", "grant.revoked"]
