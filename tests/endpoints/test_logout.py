"""Signing out: at once for the app that proves what it means, otherwise after a question."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from idp.jose.sign import sign
from idp.store.audit import AuditRow
from idp.store.grant import Grant
from idp.store.session import BrowserSession
from tests.fixtures.browser import Browser, claims
from tests.fixtures.clients import App
from tests.fixtures.clock import FakeClock
from tests.fixtures.markup import Page
from tests.fixtures.people import Person
from tests.fixtures.provider import Http

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from idp.web.services import Services

AFTER = "https://app.example/signed-out"


def end(browser: Browser, **values: str) -> TestResponse:
    return browser.http.get("/end_session", query_string=values)


def asks(response: TestResponse) -> bool:
    return response.status_code == 200 and "logout-confirm" in Page(response.text).ids


def is_out(response: TestResponse) -> bool:
    return response.status_code == 200 and "logged-out" in Page(response.text).ids


def signed_in(browser: Browser, web_app: App) -> bool:
    return "code=" in browser.authorize(web_app, prompt="none").headers["Location"]


@pytest.mark.spec("OpenID Connect RP-Initiated Logout section 3")
def test_the_app_of_this_session_signs_out_at_once_and_gets_its_state(
    browser: Browser, web_app: App, alice: Person
) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    state = "s t" + "x" * 125
    response = end(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER, state=state)
    assert response.status_code == 303
    assert response.headers["Location"] == f"{AFTER}?{urlencode({'state': state}).replace('+', '%20')}"
    assert not signed_in(browser, web_app)


@pytest.mark.spec("OpenID Connect RP-Initiated Logout section 2")
def test_a_form_from_another_site_goes_on_by_get(browser: Browser, web_app: App, alice: Person) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    form = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER}
    response = browser.http.post("/end_session", data=form)
    assert response.status_code == 303
    assert browser.follow(response).headers["Location"] == AFTER
    assert not signed_in(browser, web_app)


@pytest.mark.attack("IN7", "LG23")
def test_signing_out_ends_everything_the_session_gave(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    tokens = browser.tokens(web_app, alice, scope="openid offline_access")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert browser.http.get("/userinfo", headers=bearer).status_code == 200
    end(browser, id_token_hint=tokens["id_token"])
    assert browser.http.get("/userinfo", headers=bearer).status_code == 401
    refused = browser.refresh(web_app, tokens["refresh_token"])
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")
    seen = browser.http.post("/introspect", data={"token": tokens["access_token"]}, headers=web_app.basic)
    assert seen.get_json() == {"active": False}
    with services.db.read() as tx:
        assert tx.scalars(select(BrowserSession)).one().ended_at is not None
        assert tx.scalars(select(Grant)).one().revoked_reason == "signed out"
        assert tx.scalars(select(AuditRow).where(AuditRow.event == "session.ended")).one().client_id == "web-app"


@pytest.mark.attack("LG19")
def test_cookies_are_taken_away_and_the_old_session_opens_nothing(
    browser: Browser, web_app: App, alice: Person
) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    before = browser.http.get_cookie("__Host-gh_session")
    flow = browser.http.get_cookie("__Host-gh_flow")
    assert before is not None
    assert flow is not None
    end(browser, id_token_hint=hint)
    assert browser.http.get_cookie("__Host-gh_session") is None
    after = browser.http.get_cookie("__Host-gh_flow")
    assert after is None or after.value != flow.value
    browser.http.set_cookie("__Host-gh_session", before.value, secure=True)
    assert not signed_in(browser, web_app)


@pytest.mark.attack("IN10")
@pytest.mark.parametrize("with_uri", [True, False])
def test_without_a_hint_the_person_is_asked_and_not_sent_on(
    browser: Browser, web_app: App, alice: Person, *, with_uri: bool
) -> None:
    browser.tokens(web_app, alice)
    values = {"client_id": web_app.client_id, "post_logout_redirect_uri": AFTER} if with_uri else {}
    page = end(browser, **values)
    assert asks(page)
    assert signed_in(browser, web_app)
    assert is_out(browser.submit(page, "logout-confirm"))
    assert not signed_in(browser, web_app)


@pytest.mark.attack("IN10")
def test_a_hint_of_another_session_or_person_asks(browser: Browser, web_app: App, alice: Person, bob: Person) -> None:
    hints = [browser.another().tokens(web_app, person)["id_token"] for person in (alice, bob)]
    browser.tokens(web_app, alice)
    for hint in hints:
        page = end(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER, state="s")
        assert asks(page)
        assert "form-action 'self' https:;" in page.headers["Content-Security-Policy"]
    assert signed_in(browser, web_app)
    assert browser.submit(page, "logout-confirm").headers["Location"] == f"{AFTER}?state=s"


@pytest.mark.attack("IN10")
def test_an_expired_hint_is_accepted(browser: Browser, web_app: App, alice: Person, clock: FakeClock) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    clock.advance(3600)
    assert end(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER).headers["Location"] == AFTER


def test_a_hint_of_a_session_that_is_over_leads_back(browser: Browser, web_app: App, alice: Person) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    end(browser, id_token_hint=hint)
    assert end(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER).headers["Location"] == AFTER


def refused(response: TestResponse) -> bool:
    return response.status_code == 400 and "oauth-error" in response.text and "Location" not in response.headers


@pytest.mark.attack("IN10")
@pytest.mark.parametrize(
    "uri",
    [f"{AFTER}/", f"{AFTER}?x=1", "https://evil.example/", "https://app.example/cb", "HTTPS://app.example/signed-out"],
)
def test_an_address_that_is_not_registered_leads_nowhere(
    browser: Browser, web_app: App, alice: Person, uri: str
) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    response = end(browser, id_token_hint=hint, post_logout_redirect_uri=uri)
    assert refused(response)
    assert 'href="/end_session"' in response.text
    assert uri not in response.text


@pytest.mark.attack("IN10")
def test_a_hint_that_is_not_ours_leads_nowhere(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    tokens = browser.tokens(web_app, alice)
    header, body, signature = tokens["id_token"].split(".")
    key = services.keyring.signing("RS256", services.clock())
    told = claims(tokens["id_token"])
    bad = [
        f"{header}.{body}.",
        f"eyJhbGciOiJub25lIn0.{body}.",
        f"{header}.{body}.{'A' * len(signature)}",
        sign({**told, "iss": "https://evil.example"}, key, typ="JWT"),
        sign({**told, "aud": ["web-app", "other"]}, key, typ="JWT"),
        sign({**told, "iat": told["iat"] + 3600}, key, typ="JWT"),
        tokens["access_token"],
    ]
    for hint in bad:
        assert refused(end(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER))
    assert signed_in(browser, web_app)


@pytest.mark.attack("IN10")
def test_a_client_that_is_not_the_hints_leads_nowhere(browser: Browser, web_app: App, alice: Person) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    assert refused(end(browser, id_token_hint=hint, client_id="public-app", post_logout_redirect_uri=AFTER))


def test_a_repeated_parameter_is_refused(http: Http) -> None:
    response = http.get("/end_session?state=a&state=b")
    assert refused(response)


@pytest.mark.attack("LG21")
def test_a_confirmation_without_the_token_of_its_browser_is_forged(
    browser: Browser, web_app: App, alice: Person
) -> None:
    browser.tokens(web_app, alice)
    page = end(browser)
    assert browser.http.post(browser.form(page).action, data={"logout-confirm": ""}).status_code == 403
    assert signed_in(browser, web_app)


def test_a_confirmation_whose_address_was_edited_is_checked_again(
    browser: Browser, web_app: App, alice: Person
) -> None:
    browser.tokens(web_app, alice)
    form = browser.form(end(browser))
    response = browser.http.post(f"{form.action}?post_logout_redirect_uri={AFTER}&client_id=web-app", data=form.fields)
    assert is_out(response)


def test_a_confirmation_with_a_hint_that_is_not_ours_leads_nowhere(
    browser: Browser, web_app: App, alice: Person
) -> None:
    browser.tokens(web_app, alice)
    form = browser.form(end(browser))
    assert refused(browser.http.post(f"{form.action}?id_token_hint=x.y.z", data=form.fields))
    assert signed_in(browser, web_app)


def test_nobody_signed_in_is_signed_out(http: Http) -> None:
    assert is_out(http.get("/end_session"))
    assert is_out(http.get("/end_session?state=only&ui_locales=de"))


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_other_methods_are_refused(http: Http, method: str) -> None:
    answer = http.open("/end_session", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


def test_a_query_above_16_kilobytes_is_refused(http: Http) -> None:
    assert http.get("/end_session?state=" + "a" * 16_400).status_code == 414


@pytest.mark.attack("LG29")
def test_pages_are_not_stored(browser: Browser, web_app: App, alice: Person) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    for response in (end(browser), end(browser, id_token_hint=hint, post_logout_redirect_uri=AFTER), end(browser)):
        assert response.headers["Cache-Control"] == "no-store"
