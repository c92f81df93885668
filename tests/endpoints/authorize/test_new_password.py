"""A new password in a directory ends what the old one has opened, however the change goes on (TK23, ASVS 7.4.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from idp.accounts import administration
from idp.accounts.passwords import Passwords, Verdict
from idp.store import account, audit, device, identity, signin
from idp.store import session as sessions
from idp.store.account import Account
from idp.store.digests import digest
from idp.web import cookies
from tests.fixtures.browser import parameters
from tests.fixtures.markup import Page
from tests.services import house as houses
from tests.services.house import NEW, PASSWORD, House


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of store is enough here: what it promises has tests of its own."""
    return sqlite_url


@pytest.fixture
def house(services: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    """A directory with one person in it."""
    made = House(people={"bea": PASSWORD})
    houses.connect(services, made, monkeypatch)
    return made


def attempt(browser: Any, app: Any, name: str = "bea", password: str = PASSWORD, **params: Any) -> Any:
    return browser.submit(browser.authorize(app, **params), "login-submit", username=name, password=password)


def tokens(browser: Any, app: Any, **typed: Any) -> dict[str, Any]:
    """Sign in for an app that may come again by itself."""
    page = attempt(browser, app, scope="openid offline_access", prompt="consent", **typed)
    found: dict[str, Any] = browser.redeem(app, parameters(browser.submit(page, "consent-allow"))["code"]).get_json()
    return found


def renew(browser: Any, page: Any, new: str = NEW, **typed: str) -> Any:
    filled = {"password": PASSWORD, "new-password": new, "new-password-again": new, **typed}
    return browser.submit(page, "new-password-submit", **filled)


def person(services: Any) -> Account:
    with services.db.read() as tx:
        found = account.find_by_login(tx, "bea")
    assert found is not None
    return found


def known(services: Any, browser: Any) -> bool:
    """Say whether she is known at this browser."""
    cookie = browser.http.get_cookie(cookies.DEVICE)
    assert cookie is not None
    with services.db.read() as tx:
        return device.known(tx, digest(cookie.value), person(services).id)


def signed_in(browser: Any) -> bool:
    return "You are signed in as" in Page(browser.get("/account/ways-in").text).text


def own_page(browser: Any, services: Any) -> Any:
    with services.db.read() as tx:
        (mine,) = identity.of_account(tx, person(services).id)
    return browser.get(f"/account/password/{mine.id}")


def refused(browser: Any, app: Any, held: dict[str, Any]) -> bool:
    answer = browser.refresh(app, held["refresh_token"])
    return answer.status_code == 400 and answer.get_json()["error"] == "invalid_grant"


@pytest.mark.attack("TK23")
@pytest.mark.parametrize("slow", [False, True], ids=["and is let in", "and is not let in at once"])
def test_whoever_changes_the_password_at_sign_in_ends_what_the_old_one_has_opened(
    browser: Any, web_app: Any, services: Any, house: House, *, slow: bool
) -> None:
    before = browser.another()
    held = tokens(before, web_app)
    assert known(services, before)
    house.must_change.add("bea")
    house.slow_to_tell = slow

    page = renew(browser, attempt(browser, web_app))

    assert ("Your password is changed" in Page(page.text).text) is slow
    assert not signed_in(before)
    assert refused(before, web_app, held)
    assert not known(services, before)
    assert signed_in(browser) is not slow


@pytest.mark.attack("TK23")
def test_what_the_new_password_opens_lasts(browser: Any, web_app: Any, house: House) -> None:
    tokens(browser, web_app)
    house.must_change.add("bea")
    page = renew(browser, attempt(browser, web_app, scope="openid offline_access", prompt="login consent"))
    held = browser.redeem(web_app, parameters(browser.submit(page, "consent-allow"))["code"]).get_json()
    assert browser.refresh(web_app, held["refresh_token"]).status_code == 200


@pytest.mark.attack("TK23")
def test_devices_are_forgotten_though_who_changed_it_is_not_let_in(
    browser: Any, web_app: Any, services: Any, house: House, clock: Any
) -> None:
    before = browser.another()
    attempt(before, web_app)
    house.must_change.add("bea")
    page = attempt(browser, web_app)
    with services.db.write() as tx:
        administration.disable(tx, person(services), clock())
    assert "login-submit" in Page(renew(browser, page).text).ids
    assert house.people["bea"] == NEW
    assert not known(services, before)


@pytest.mark.attack("TK23")
@pytest.mark.parametrize("slow", [False, True], ids=["known at once", "not known everywhere"])
def test_whoever_changes_their_own_keeps_this_browser_and_ends_the_others(
    browser: Any, web_app: Any, services: Any, house: House, *, slow: bool
) -> None:
    before = browser.another()
    held = tokens(before, web_app)
    mine = tokens(browser, web_app)
    stolen = browser.http.get_cookie(cookies.SESSION).value
    page = own_page(browser, services)
    house.slow_to_tell = slow

    assert "password-changed" in Page(renew(browser, page).text).ids

    assert not signed_in(before)
    assert refused(before, web_app, held)
    assert not known(services, before)
    assert signed_in(browser)
    assert browser.refresh(web_app, mine["refresh_token"]).status_code == 200
    assert known(services, browser)
    assert browser.http.get_cookie(cookies.SESSION).value != stolen


@pytest.mark.attack("TK23")
def test_a_grant_whose_session_is_over_ends_with_the_password_too(
    browser: Any, web_app: Any, services: Any, house: House
) -> None:
    before = browser.another()
    held = tokens(before, web_app)
    with services.db.write() as tx:
        (one,) = sessions.of_account(tx, person(services).id, services.clock())
        assert sessions.end(tx, one.id, services.clock())
    attempt(browser, web_app)
    renew(browser, own_page(browser, services))
    assert refused(before, web_app, held)


def test_a_change_is_told_though_the_account_was_closed_meanwhile(
    browser: Any, web_app: Any, services: Any, house: House, clock: Any
) -> None:
    attempt(browser, web_app)
    page = own_page(browser, services)

    def close() -> None:
        with services.db.write() as tx:
            administration.disable(tx, person(services), clock())

    house.changed = close
    assert "password-changed" in Page(renew(browser, page).text).ids
    assert not signed_in(browser)


@pytest.mark.attack("TK23")
def test_the_record_says_whose_password_was_changed(browser: Any, web_app: Any, services: Any, house: House) -> None:
    attempt(browser, web_app)
    renew(browser, own_page(browser, services))
    with services.db.read() as tx:
        (row,) = [each for each in audit.recent(tx, limit=100) if each.event == "directory.password_changed"]
    assert row.account_id == person(services).id
    assert row.detail["connector"] == "corp"


@pytest.mark.attack("LG17", "FD12")
def test_a_directorys_word_is_not_the_password_of_an_account_that_has_one(
    browser: Any, web_app: Any, services: Any, house: House, clock: Any
) -> None:
    attempt(browser, web_app)
    with services.db.write() as tx:
        account.set_password(tx, person(services).id, services.passwords.hash("hers, here"), clock())
    other = browser.another()
    assert "consent-allow" in Page(attempt(other, web_app, "CORP\\bea").text).ids
    assert (facts(services, other), password_at(services, other)) == ((["fed"], "aal1"), None)
    # With the one of this account it is one.
    third = browser.another()
    assert "consent-allow" in Page(attempt(third, web_app, password="hers, here").text).ids
    assert facts(services, third) == (["pwd"], "aal1")
    assert password_at(services, third) == clock()


def test_who_has_no_other_password_signs_in_with_one(browser: Any, web_app: Any, services: Any, house: House) -> None:
    attempt(browser, web_app)
    assert facts(services, browser) == (["pwd"], "aal1")
    assert password_at(services, browser) == services.clock()
    with services.db.read() as tx:
        (row,) = [each for each in audit.recent(tx, limit=100) if each.event == "signin.succeeded"]
    assert row.detail["connector"] == "corp"


@pytest.mark.attack("LG1", "FD6")
def test_the_right_password_of_a_closed_account_costs_what_a_wrong_one_does(
    browser: Any, web_app: Any, services: Any, house: House, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(browser, web_app)
    with services.db.write() as tx:
        administration.disable(tx, person(services), clock())
    hashed: list[str] = []
    genuine = Passwords.verify

    def verify(self: Passwords, stored: str | None, password: str) -> Verdict:
        hashed.append(password)
        return genuine(self, stored, password)

    monkeypatch.setattr(Passwords, "verify", verify)
    assert "login-submit" in Page(attempt(browser.another(), web_app).text).ids
    assert hashed == [PASSWORD]
    with services.db.read() as tx:
        row = next(iter(audit.recent(tx, limit=1)))
    assert (row.detail["reason"], row.account_id) == ("closed", person(services).id)


def facts(services: Any, browser: Any) -> tuple[list[str], str]:
    """Say how the person of a browser has signed in."""
    cookie = browser.http.get_cookie(cookies.SESSION)
    with services.db.read() as tx:
        found = sessions.find_by_cookie(tx, digest(cookie.value), services.clock())
    assert found is not None
    return found.amr, found.acr


def password_at(services: Any, browser: Any) -> datetime | None:
    cookie = browser.http.get_cookie(cookies.SESSION)
    with services.db.read() as tx:
        found = sessions.find_by_cookie(tx, digest(cookie.value), services.clock())
        assert found is not None
        row = tx.query(signin.Signin).filter_by(session_id=found.id).one()
    at: datetime | None = row.password_at
    return at
