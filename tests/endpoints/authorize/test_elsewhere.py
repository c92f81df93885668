"""Sign-in at another provider, from the button to the app, and every way it must not go."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import update
from werkzeug.test import TestResponse

from idp.accounts import connectors
from idp.accounts.connectors import Definition
from idp.store import account as accounts
from idp.store import connector as store
from idp.store import identity
from idp.store.account import Account
from idp.store.database import Database
from tests.fixtures.browser import Browser, parameters
from tests.fixtures.clients import App
from tests.fixtures.clock import FakeClock
from tests.fixtures.markup import Page
from tests.fixtures.people import Authenticator, Person
from tests.services.upstream import Upstream

Connect = Callable[..., None]


@pytest.fixture
def connect(services: Any, upstream: Upstream) -> Connect:
    """Connect the upstream under a name."""

    def under(name: str = "elsewhere", **more: Any) -> None:
        definition = Definition.parse(name, upstream.settings(label="Elsewhere", **more))
        with services.db.write() as tx:
            connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
        services.connectors.forget()

    return under


def go(browser: Browser, page: TestResponse, name: str = "elsewhere") -> str:
    """Press the button and be sent away."""
    link = next(each for each in Page(page.text).links if f"/federation/{name}?" in each)
    gone = browser.http.get(link)
    assert gone.status_code == 303, gone.text
    return str(gone.headers["Location"])


def back(browser: Browser, upstream: Upstream, page: TestResponse, name: str = "elsewhere") -> TestResponse:
    """Press the button, agree there, come back, follow."""
    return browser.get(upstream.visit(go(browser, page, name)))


def people(db: Database) -> list[Account]:
    with db.read() as tx:
        return list(accounts.listing(tx))


def test_somebody_new_comes_in_by_another_provider(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()

    response = back(browser, upstream, browser.authorize(web_app))
    answer = parameters(browser.submit(response, "consent-allow") if response.status_code == 200 else response)

    tokens = browser.redeem(web_app, answer["code"]).get_json()
    assert tokens["id_token"]
    account = next(each for each in people(services.db) if each.username == "ada")
    assert (account.email, account.email_verified, account.password_hash) == ("ada@elsewhere.example", True, None)
    with services.db.read() as tx:
        linked = identity.of_account(tx, account.id)
    assert [each.external_id for each in linked] == ["u-1"]


@pytest.mark.attack("FD11")
def test_the_same_person_is_known_again_by_what_never_changes(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()
    back(browser, upstream, browser.authorize(web_app))
    upstream.person |= {"preferred_username": "renamed", "email": "new@elsewhere.example"}
    other = browser.another()
    back(other, upstream, other.authorize(web_app))

    assert sorted(each.username for each in people(services.db)) == ["renamed"]


@pytest.mark.attack("FD11", "FD12")
def test_another_person_with_the_same_name_and_email_is_another_person(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()
    back(browser, upstream, browser.authorize(web_app))
    upstream.person |= {"sub": "u-2", "email_verified": False}
    other = browser.another()
    back(other, upstream, other.authorize(web_app))

    assert len(people(services.db)) == 2


@pytest.mark.attack("FD15", "FD20")
def test_an_answer_is_good_once(browser: Browser, web_app: App, connect: Connect, upstream: Upstream) -> None:
    connect()
    answer = upstream.visit(go(browser, browser.authorize(web_app)))
    browser.get(answer)

    again = browser.get(answer)

    assert (again.status_code, Page(again.text).title) == (400, "This way back does not fit - Gatehouse")


@pytest.mark.attack("FD15")
def test_an_answer_counts_only_in_the_browser_that_began(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()
    answer = upstream.visit(go(browser, browser.authorize(web_app)))
    stranger = browser.another()
    stranger.authorize(web_app)

    assert stranger.get(answer).status_code == 400
    assert browser.another().get(answer).status_code == 400
    assert not people(services.db)


@pytest.mark.attack("FD15")
@pytest.mark.parametrize("query", ["", "code=x", "code=x&state=", "code=x&state=y", "state=%ff", "error=x"])
def test_an_answer_without_the_right_state_is_none(
    browser: Browser, web_app: App, connect: Connect, query: str
) -> None:
    connect()
    browser.authorize(web_app)

    assert browser.get(f"/federation/callback/elsewhere?{query}").status_code == 400


@pytest.mark.attack("FD16")
def test_an_answer_for_one_connector_is_none_for_another(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream
) -> None:
    connect("first")
    connect("second")
    answer = upstream.visit(go(browser, browser.authorize(web_app), "first"))

    assert browser.get(answer.replace("/first?", "/second?")).status_code == 400


@pytest.mark.attack("FD15")
def test_an_answer_that_comes_too_late_is_none(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, clock: Any
) -> None:
    connect()
    answer = upstream.visit(go(browser, browser.authorize(web_app)))
    clock.advance(601)

    assert browser.get(answer).status_code == 400


@pytest.mark.attack("FD19")
def test_a_connector_that_was_switched_off_on_the_way_signs_nobody_in(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()
    answer = upstream.visit(go(browser, browser.authorize(web_app)))
    with services.db.write() as tx:
        found = store.find(tx, "elsewhere")
        assert found is not None
        store.disable(tx, found.id, services.clock())
    services.connectors.forget()

    assert browser.get(answer).status_code == 404
    assert "/federation/elsewhere" not in browser.another().authorize(web_app).text


@pytest.mark.attack("FD19")
def test_a_closed_account_stays_closed(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()
    back(browser, upstream, browser.authorize(web_app))
    with services.db.write() as tx:
        accounts.disable(tx, people(services.db)[0].id, services.clock())
    other = browser.another()

    refused = back(other, upstream, other.authorize(web_app))

    assert (refused.status_code, Page(refused.text).title) == (403, "This account is closed - Gatehouse")


@pytest.mark.spec("OAuth 2.0 Form Post Response Mode section 2")
def test_an_answer_by_form_post_comes_back_with_the_browsers_cookies(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect(response_mode="form_post")
    answer = urlsplit(upstream.visit(go(browser, browser.authorize(web_app))))
    form = {name: values[0] for name, values in parse_qs(answer.query).items()}

    posted = browser.another().http.post(answer.path, data={**form, "user": '{"name": "not kept"}'})

    assert posted.status_code == 303
    assert "user" not in posted.headers["Location"]
    browser.get(posted.headers["Location"])
    assert [each.username for each in people(services.db)] == ["ada"]


@pytest.mark.attack("FD17")
def test_an_answer_that_proves_nothing_is_told_in_words(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream
) -> None:
    connect()
    upstream.answers.id_token = lambda claims: {**claims, "aud": "another"}

    refused = back(browser, upstream, browser.authorize(web_app))

    assert refused.status_code == 400
    assert "We could not believe the answer" in refused.text
    assert "aud" not in Page(refused.text).text


def test_a_provider_that_is_away_is_told_in_words(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream
) -> None:
    connect()
    page = browser.authorize(web_app)
    upstream.answers.status = {"/.well-known/openid-configuration": 500}
    link = next(each for each in Page(page.text).links if "/federation/elsewhere?" in each)

    refused = browser.get(link)

    assert (refused.status_code, Page(refused.text).title) == (503, "Elsewhere does not answer - Gatehouse")


def test_a_no_leads_back_to_the_sign_in_page(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream
) -> None:
    connect()
    upstream.answers.redirect = lambda params: {**params, "error": "access_denied"}

    refused = back(browser, upstream, browser.authorize(web_app))
    onward = next(each for each in Page(refused.text).links if each.startswith("/authorize?"))

    assert "login-submit" in Page(browser.get(onward).text).ids


@pytest.mark.attack("FD12")
def test_an_account_with_the_same_email_is_not_given_away(
    browser: Browser, alice: Person, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect()
    _verified(services, alice, "ada@elsewhere.example")

    refused = back(browser, upstream, browser.authorize(web_app))

    assert (refused.status_code, Page(refused.text).title) == (403, "You have an account here already - Gatehouse")
    assert len(people(services.db)) == 1


@pytest.mark.attack("FD12", "LG16")
def test_linking_asks_for_the_password_and_the_second_factor(
    browser: Browser,
    alice: Person,
    authenticator: Authenticator,
    web_app: App,
    connect: Connect,
    upstream: Upstream,
    services: Any,
) -> None:
    connect(provisioning="linked")
    refused = back(browser, upstream, browser.authorize(web_app))
    page = browser.get(next(each for each in Page(refused.text).links if each.startswith("/authorize?")))
    assert "login-submit" in Page(page.text).ids

    second = browser.log_in(page, alice)
    assert "mfa-submit" in Page(second.text).ids
    asked = browser.submit(second, "mfa-submit", otp=authenticator.code())
    assert Page(asked.text).title == "Link Elsewhere? - Gatehouse"
    browser.submit(asked, "link-allow")

    with services.db.read() as tx:
        assert [each.external_id for each in identity.of_account(tx, alice.id)] == ["u-1"]
    other = browser.another()
    assert "mfa-submit" in Page(back(other, upstream, other.authorize(web_app)).text).ids


def test_whoever_has_no_password_links_a_second_provider_by_the_first(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect("first")
    back(browser, upstream, browser.authorize(web_app), "first")
    connect("second", provisioning="linked")
    other = browser.another()
    refused = back(other, upstream, other.authorize(web_app), "second")
    page = other.get(next(each for each in Page(refused.text).links if each.startswith("/authorize?")))

    asked = back(other, upstream, page, "first")
    other.submit(asked, "link-allow")

    (account,) = people(services.db)
    with services.db.read() as tx:
        assert len(identity.of_account(tx, account.id)) == 2


def test_not_now_links_nothing_and_goes_on(
    browser: Browser, alice: Person, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect(provisioning="linked")
    refused = back(browser, upstream, browser.authorize(web_app))
    page = browser.get(next(each for each in Page(refused.text).links if each.startswith("/authorize?")))

    onward = browser.submit(browser.log_in(page, alice), "link-deny")

    assert "link-allow" not in Page(onward.text).ids
    with services.db.read() as tx:
        assert not identity.of_account(tx, alice.id)


@pytest.mark.attack("FD21", "LG16")
def test_our_own_second_factor_is_asked_whatever_the_provider_says(
    browser: Browser,
    alice: Person,
    authenticator: Authenticator,
    web_app: App,
    connect: Connect,
    upstream: Upstream,
    services: Any,
) -> None:
    connect()
    upstream.amr = ["mfa"]
    _link(services, alice, upstream)

    assert "mfa-submit" in Page(back(browser, upstream, browser.authorize(web_app)).text).ids


def test_a_provider_whose_second_factor_is_trusted_is_not_asked_twice(
    browser: Browser,
    alice: Person,
    authenticator: Authenticator,
    web_app: App,
    connect: Connect,
    upstream: Upstream,
    services: Any,
) -> None:
    connect(trusted_amr=["mfa"])
    upstream.amr = ["mfa"]
    _link(services, alice, upstream)

    assert "mfa-submit" not in Page(back(browser, upstream, browser.authorize(web_app)).text).ids


@pytest.mark.attack("LG16")
def test_our_second_factor_after_a_sign_in_elsewhere_is_as_good_as_after_a_password(
    browser: Browser,
    alice: Person,
    authenticator: Authenticator,
    web_app: App,
    connect: Connect,
    upstream: Upstream,
    services: Any,
) -> None:
    connect()
    _link(services, alice, upstream)
    page = back(browser, upstream, browser.authorize(web_app, acr_values="aal2"))

    onward = browser.submit(page, "mfa-submit", otp=authenticator.code())

    assert "mfa-submit" not in Page(onward.text).ids


@pytest.mark.attack("FD14")
@pytest.mark.parametrize(
    "email", ["ada@ok.example@evil.example", "ada@evil.example", "ada@OK.example.evil.example", "@ok.example"]
)
def test_only_the_domains_that_may_come_come(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any, email: str
) -> None:
    connect(provisioning="domains", allowed_domains=["ok.example"])
    upstream.person["email"] = email

    refused = back(browser, upstream, browser.authorize(web_app))

    assert refused.status_code == 403
    assert not people(services.db)


@pytest.mark.attack("FD14")
def test_a_domain_that_may_come_comes_with_a_verified_address_alone(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, services: Any
) -> None:
    connect(provisioning="domains", allowed_domains=["ok.example"])
    upstream.person |= {"email": "ada@OK.example", "email_verified": False}
    assert back(browser, upstream, browser.authorize(web_app)).status_code == 403
    upstream.person["email_verified"] = True

    other = browser.another()
    assert back(other, upstream, other.authorize(web_app)).status_code != 403


def test_a_name_of_the_providers_domain_leads_there_and_its_password_is_not_looked_at(
    browser: Browser, web_app: App, connect: Connect
) -> None:
    connect(domains=["elsewhere.example"], visible=False)
    page = browser.authorize(web_app)
    assert "/federation/elsewhere" not in page.text

    sent = browser.post(page, "login-submit", username="ada@elsewhere.example", password="secret")

    assert sent.headers["Location"].startswith("/federation/elsewhere?")


def test_a_button_that_does_not_exist_leads_back(browser: Browser, web_app: App) -> None:
    page = browser.authorize(web_app)
    signin = parse_qs(urlsplit(browser.form(page).action).query)["signin"][0]

    assert "login-submit" in Page(browser.get(f"/federation/nobody?{urlencode({'signin': signin})}").text).ids


def _verified(services: Any, person: Person, email: str) -> None:
    with services.db.write() as tx:
        values = {"email": email, "email_key": email, "email_verified": True}
        tx.execute(update(Account).where(Account.id == person.id).values(values))


def _link(services: Any, person: Person, upstream: Upstream) -> None:
    with services.db.write() as tx:
        found = store.find(tx, "elsewhere")
        assert found is not None
        identity.create(
            tx,
            connector_id=found.id,
            external_id=upstream.person["sub"],
            account_id=person.id,
            username="ada",
            username_key="ada",
            email=None,
            now=services.clock(),
        )


OF_NOW: list[dict[str, Any]] = [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "600"}]


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
@pytest.mark.parametrize("asked", OF_NOW)
def test_who_cannot_show_a_sign_in_of_now_is_not_asked_for_one(
    browser: Browser, web_app: App, connect: Connect, asked: dict[str, Any]
) -> None:
    connect(fresh="never")
    usual = next(each for each in Page(browser.authorize(web_app).text).links if "/federation/elsewhere?" in each)

    page = browser.authorize(web_app, **asked)

    assert not [each for each in Page(page.text).links if "/federation/elsewhere?" in each]
    assert "Elsewhere cannot be used here" in Page(page.text).text
    typed = browser.http.get(usual.partition("?")[0] + "?" + urlsplit(page.request.url).query)
    assert typed.status_code == 400
    assert "Elsewhere will not do here" in Page(typed.text).text


@pytest.mark.parametrize("asked", OF_NOW)
def test_who_can_is_asked_for_one_and_says_when_it_was(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, clock: FakeClock, asked: dict[str, Any]
) -> None:
    connect()
    page = browser.authorize(web_app, **asked)
    assert "left-out" not in Page(page.text).ids

    response = back(browser, upstream, page)

    answer = parameters(browser.submit(response, "consent-allow") if response.status_code == 200 else response)
    claims = identity_of(browser.redeem(web_app, answer["code"]).get_json())
    assert abs(claims["auth_time"] - clock.timestamp) < 60


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "600"}])
def test_a_sign_in_of_yesterday_there_is_none_where_one_of_now_is_asked_for(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, asked: dict[str, Any]
) -> None:
    connect()
    upstream.person["auth_time"] = time.time() - 86_400

    response = back(browser, upstream, browser.authorize(web_app, **asked))

    assert (response.status_code, Page(response.text).title) == (400, "We could not believe the answer - Gatehouse")


@pytest.mark.spec("RFC 9470 section 4")
def test_of_a_sign_in_that_nobody_dates_no_token_says_that_it_was_now(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream
) -> None:
    connect()
    upstream.answers.id_token = lambda claims: {name: claims[name] for name in claims if name != "auth_time"}

    response = back(browser, upstream, browser.authorize(web_app))

    answer = parameters(browser.submit(response, "consent-allow") if response.status_code == 200 else response)
    tokens = browser.redeem(web_app, answer["code"]).get_json()
    assert "auth_time" not in identity_of(tokens)
    assert "auth_time" not in identity_of(tokens, "access_token")
    # The app that asks how long ago it was has it asked again.
    assert "login-submit" in Page(browser.authorize(web_app, max_age="86400").text).ids


def test_a_sign_in_of_an_hour_ago_there_is_as_old_here(
    browser: Browser, web_app: App, connect: Connect, upstream: Upstream, clock: FakeClock
) -> None:
    connect()
    upstream.person["auth_time"] = time.time() - 3600
    response = back(browser, upstream, browser.authorize(web_app))
    answer = parameters(browser.submit(response, "consent-allow") if response.status_code == 200 else response)
    claims = identity_of(browser.redeem(web_app, answer["code"]).get_json())
    assert abs(claims["auth_time"] - (clock.timestamp - 3600)) < 60
    assert "login-submit" in Page(browser.authorize(web_app, max_age="3000").text).ids
    assert "login-submit" not in Page(browser.authorize(web_app, max_age="4200").text).ids


def identity_of(tokens: dict[str, str], which: str = "id_token") -> dict[str, Any]:
    """Read the claims of a token."""
    body = tokens[which].split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
