"""Asking the person: shown from the server's copy, answered once, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from idp.endpoints.authorize import consent as step
from idp.store import client, consent, group, signin
from idp.store.audit import AuditRow
from tests.fixtures.browser import STATE, Browser, parameters
from tests.fixtures.clients import App
from tests.fixtures.clock import FakeClock
from tests.fixtures.markup import Page
from tests.fixtures.people import Person
from tests.fixtures.provider import ISSUER

if TYPE_CHECKING:
    from idp.web.services import Services


def test_says_in_words_what_the_app_would_be_able_to_do(browser: Browser, alice: Person) -> None:
    page = browser.sign_in(alice, scope="openid email orders:read offline_access nonsense")
    words = Page(page.text).text
    assert {"consent-allow", "consent-deny"} <= Page(page.text).ids
    for part in ("Web App", "alice", "See your e-mail address", "Act for you while you are away", "app.example"):
        assert part in words
    assert "Read orders" in words
    assert "Orders" in words
    assert "nonsense" not in words


def test_shows_only_what_the_persons_roles_grant(browser: Browser, bob: Person) -> None:
    page = browser.sign_in(bob, scope="openid orders:read")
    assert "Read orders" not in page.text


def test_allowing_goes_back_with_a_code_and_is_remembered(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    page = browser.sign_in(alice, scope="openid email")
    assert "code" in parameters(browser.submit(page, "consent-allow"))
    with services.db.read() as tx:
        kept = consent.remembered(tx, alice.id, "web-app")
    assert {audience: set(names) for audience, names in kept.items()} == {ISSUER: {"openid", "email"}}
    assert "code" in parameters(browser.authorize(web_app, scope="openid"))
    assert "consent-allow" in browser.authorize(web_app, scope="openid phone").text


@pytest.mark.spec("RFC 6749 section 4.1.2.1")
def test_refusing_is_access_denied_and_ends_the_sign_in(browser: Browser, alice: Person) -> None:
    page = browser.sign_in(alice)
    answer = parameters(browser.submit(page, "consent-deny"))
    assert answer == {
        "error": "access_denied",
        "error_description": "the person said no",
        "state": STATE,
        "iss": ISSUER,
    }
    assert browser.post(page, "consent-allow").status_code == 403


@pytest.mark.attack("AZ19")
def test_prompt_none_without_consent_is_consent_required(browser: Browser, web_app: App, alice: Person) -> None:
    browser.sign_in(alice)
    assert parameters(browser.authorize(web_app, prompt="none"))["error"] == "consent_required"


def test_prompt_consent_asks_again(browser: Browser, web_app: App, alice: Person) -> None:
    browser.tokens(web_app, alice)
    page = browser.authorize(web_app, prompt="consent")
    assert "consent-allow" in page.text
    assert "code" in parameters(browser.submit(page, "consent-allow"))


def test_a_consent_taken_back_is_asked_for_again(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    browser.tokens(web_app, alice)
    with services.db.write() as tx:
        consent.revoke(tx, alice.id, "web-app", services.clock())
    assert "consent-allow" in browser.authorize(web_app).text


@pytest.mark.spec("OpenID Connect Core section 11")
def test_a_client_that_needs_no_consent_may_be_granted_offline_access(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, services.clock(), {"require_consent": False})
    answer = browser.sign_in(alice, scope="openid offline_access")
    tokens = browser.redeem(web_app, parameters(answer)["code"]).get_json()
    assert "refresh_token" in tokens


@pytest.mark.attack("AZ31", "LG21")
def test_a_forged_answer_is_forbidden(browser: Browser, alice: Person) -> None:
    page = browser.sign_in(alice)
    assert browser.http.post(browser.form(page).action, data={"consent-allow": "allow"}).status_code == 403


@pytest.mark.attack("AZ31")
def test_a_replayed_answer_is_forbidden(browser: Browser, alice: Person, clock: FakeClock) -> None:
    page = browser.sign_in(alice)
    assert browser.submit(page, "consent-allow").status_code == 303
    clock.advance(11)
    assert browser.post(page, "consent-allow").status_code == 403


def test_a_button_that_is_pressed_twice_leads_on(browser: Browser, web_app: App, alice: Person) -> None:
    page = browser.sign_in(alice)
    first = parameters(browser.submit(page, "consent-allow"))
    second = parameters(browser.submit(page, "consent-allow"))
    assert second["state"] == first["state"]
    assert second["code"] != first["code"]
    assert browser.redeem(web_app, second["code"]).status_code == 200


def test_a_button_that_is_pressed_twice_before_the_first_answer_leads_on(
    browser: Browser, web_app: App, alice: Person
) -> None:
    page = browser.sign_in(alice)
    browser.post(page, "consent-allow")
    assert "code" in parameters(browser.submit(page, "consent-allow"))


def test_a_no_that_is_pressed_twice_is_told_twice_and_done_once(
    browser: Browser, alice: Person, services: Services, clock: FakeClock
) -> None:
    page = browser.sign_in(alice)
    first, second = (browser.post(page, "consent-deny") for _ in range(2))
    assert (second.status_code, second.location) == (303, first.location)
    assert parameters(second)["error"] == "access_denied"
    with services.db.read() as tx:
        rows = tx.scalars(select(AuditRow).where(AuditRow.event == "authorize.refused")).all()
    assert len(rows) == 1
    clock.advance(11)
    assert browser.post(page, "consent-deny").status_code == 403


def test_a_no_that_comes_while_another_is_on_its_way_is_told_as_well(
    browser: Browser, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser.sign_in(alice)
    monkeypatch.setattr(signin, "finish", lambda *_: None)
    assert parameters(browser.post(page, "consent-deny"))["error"] == "access_denied"


@pytest.mark.attack("AZ31", "AZ32")
def test_the_no_of_another_browser_is_forbidden(browser: Browser, alice: Person, bob: Person) -> None:
    page = browser.sign_in(alice)
    browser.post(page, "consent-deny")
    other = browser.another()
    form = other.form(other.sign_in(bob))
    response = other.http.post(browser.form(page).action, data={**form.fields, "consent-deny": "deny"})
    assert response.status_code == 403


@pytest.mark.attack("AZ31")
def test_pressing_twice_opens_nothing_that_was_refused(browser: Browser, alice: Person) -> None:
    page = browser.sign_in(alice)
    browser.post(page, "consent-deny")
    assert browser.post(page, "consent-allow").status_code == 403


@pytest.mark.attack("AZ31")
@pytest.mark.parametrize("button", ["consent-allow", "consent-deny"])
def test_an_answer_to_what_another_person_was_asked_asks_again(
    browser: Browser, web_app: App, alice: Person, bob: Person, services: Services, button: str
) -> None:
    stale = browser.sign_in(alice)
    browser.sign_in(bob, prompt="login")
    again = browser.post(stale, button)
    assert again.status_code == 303
    assert "signed in as <strong>bob</strong>" in browser.follow(again).text
    with services.db.read() as tx:
        assert consent.remembered(tx, bob.id, web_app.client_id) == {}


@pytest.mark.attack("AZ31")
def test_an_edited_scope_changes_nothing(browser: Browser, web_app: App, alice: Person) -> None:
    page = browser.sign_in(alice, scope="openid")
    answer = browser.submit(page, "consent-allow", scope="openid email", scopes="email")
    assert browser.redeem(web_app, parameters(answer)["code"]).get_json()["scope"] == "openid"


@pytest.mark.attack("AZ32")
def test_an_approval_in_another_browser_is_forbidden(browser: Browser, alice: Person, bob: Person) -> None:
    page = browser.sign_in(alice)
    other = browser.another()
    theirs = other.sign_in(bob)
    form = other.form(theirs)
    response = other.http.post(browser.form(page).action, data={**form.fields, "consent-allow": "allow"})
    assert response.status_code == 403


@pytest.mark.attack("LG15")
def test_consent_before_its_turn_leads_back_to_the_start(browser: Browser, web_app: App) -> None:
    page = browser.authorize(web_app)
    response = browser.http.get(page.request.full_path.replace("/login", "/consent"))
    assert response.status_code == 303
    assert response.headers["Location"].startswith("/authorize?signin=")


@pytest.mark.attack("LG15")
def test_an_answer_of_neither_yes_nor_no_asks_again(browser: Browser, alice: Person) -> None:
    page = browser.sign_in(alice)
    assert "consent-allow" in browser.submit(page).text


@pytest.mark.attack("AZ34")
def test_an_answer_is_followed_by_303(browser: Browser, alice: Person) -> None:
    page = browser.sign_in(alice)
    assert browser.post(page, "consent-allow").status_code == 303


def test_consent_is_recorded(browser: Browser, web_app: App, alice: Person, services: Services) -> None:
    browser.tokens(web_app, alice, scope="openid email")
    with services.db.read() as tx:
        row = tx.scalars(select(AuditRow).where(AuditRow.event == "consent.granted")).one()
    assert (row.account_id, row.client_id, row.detail["scope"]) == (alice.id, "web-app", "openid email")


def test_every_openid_scope_has_words() -> None:
    assert set(step.WORDS) == {"openid", "profile", "email", "address", "phone", "offline_access"}


@pytest.mark.attack("AZ31")
def test_the_yes_of_one_person_is_not_the_yes_of_the_next_at_this_browser(
    browser: Browser, web_app: App, alice: Person, bob: Person
) -> None:
    browser.sign_in(alice)
    allowed = browser.post(browser.authorize(web_app), "consent-allow")
    browser.sign_in(bob, prompt="login")
    assert "consent-allow" in browser.follow(browser.http.get(allowed.headers["Location"])).text


@pytest.mark.attack("AZ31")
def test_a_yes_to_prompt_consent_is_that_persons_alone(
    browser: Browser, web_app: App, alice: Person, bob: Person
) -> None:
    for person in (bob, alice):
        browser.finish(browser.authorize(web_app, prompt="login"), person)
    allowed = browser.post(browser.authorize(web_app, prompt="consent"), "consent-allow")
    browser.sign_in(bob, prompt="login")
    assert "consent-allow" in browser.follow(browser.http.get(allowed.headers["Location"])).text


@pytest.mark.attack("AZ31")
def test_a_new_sign_in_ends_the_yes_that_was_before_it(
    browser: Browser, web_app: App, alice: Person, bob: Person
) -> None:
    browser.sign_in(alice)
    allowed = browser.post(browser.authorize(web_app), "consent-allow")
    browser.http.delete_cookie("__Host-gh_session")
    login = browser.follow(browser.http.get(allowed.headers["Location"]))
    assert "consent-allow" in browser.log_in(login, bob).text


@pytest.mark.spec("RFC 8252 section 8.6")
def test_an_app_on_the_device_is_answered_in_the_persons_sight_each_time(
    browser: Browser, public_app: App, alice: Person
) -> None:
    browser.tokens(public_app, alice)
    page = browser.authorize(public_app)
    assert "consent-allow" in page.text
    assert parameters(browser.authorize(public_app, prompt="none"))["error"] == "consent_required"
    assert "code" in parameters(browser.submit(page, "consent-allow"))
    assert "code" in parameters(browser.sign_in(alice, public_app, prompt="login"))


def test_what_was_not_shown_is_asked_for(browser: Browser, web_app: App, bob: Person, services: Services) -> None:
    page = browser.sign_in(bob, web_app, scope="openid orders:read")
    assert "orders:read" not in page.text
    with services.db.write() as tx:
        staff = group.find(tx, "staff")
        assert staff is not None
        group.add_member(tx, staff.id, bob.id)
    again = browser.submit(page, "consent-allow")
    assert "orders:read" in again.text
    code = parameters(browser.submit(again, "consent-allow"))["code"]
    assert set(browser.redeem(web_app, code, resource="https://orders.example").get_json()["scope"].split()) == {
        "orders:read"
    }
