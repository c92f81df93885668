"""The ways into an account: what is shown, what is taken away, and how another one is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from idp.accounts import connectors
from idp.accounts.connectors import Definition
from idp.store import account as accounts
from idp.store import connector, identity
from idp.store.identity import Identity
from tests.fixtures.browser import Browser
from tests.fixtures.clients import App
from tests.fixtures.clock import FakeClock
from tests.fixtures.markup import Page
from tests.fixtures.people import Authenticator, Person
from tests.services.upstream import Upstream

WAYS = "/account/ways-in"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of store is enough here: what it promises has tests of its own."""
    return sqlite_url


@pytest.fixture
def connect(services: Any, upstream: Upstream) -> Callable[..., None]:
    """Connect the upstream."""

    def here(**more: Any) -> None:
        definition = Definition.parse("elsewhere", upstream.settings(label="Elsewhere", **more))
        with services.db.write() as tx:
            connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
        services.connectors.forget()

    return here


@pytest.fixture
def connected(connect: Callable[..., None]) -> None:
    """It is connected, open to everybody."""
    connect()


def come_in(browser: Browser, app: App, upstream: Upstream) -> TestResponse:
    """Sign in by the other provider."""
    page = browser.authorize(app)
    link = next(each for each in Page(page.text).links if "/federation/elsewhere?" in each)
    return browser.get(upstream.visit(browser.http.get(link).headers["Location"]))


def leave(browser: Browser) -> str:
    """Press the button on the account's page and be sent away."""
    gone = browser.http.get(f"{WAYS}/elsewhere")
    assert gone.headers["Location"].startswith("http://127.0.0.1"), gone.text
    return str(gone.headers["Location"])


def come_back(browser: Browser, upstream: Upstream) -> TestResponse:
    """Press it, agree there, come back to the account's page."""
    return browser.get(upstream.visit(leave(browser)))


def linked(services: Any, person: Person) -> list[Identity]:
    """Return who a person is elsewhere."""
    with services.db.read() as tx:
        return list(identity.of_account(tx, person.id))


@pytest.mark.attack("FD12")
@pytest.mark.usefixtures("connected")
def test_whoever_has_just_signed_in_adds_another_way_in_and_comes_by_it(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    assert f"{WAYS}/elsewhere" in Page(browser.get(WAYS).text).links

    asked = come_back(browser, upstream)
    assert "Link Elsewhere" in asked.text
    assert "ada@elsewhere.example" in asked.text
    assert not linked(services, alice)  # coming back is not agreeing
    done = browser.submit(asked, "link-allow")

    assert [each.external_id for each in linked(services, alice)] == ["u-1"]
    assert "link-allow" not in Page(done.text).ids
    other = browser.another()
    come_in(other, web_app, upstream)
    assert alice.username in other.get(WAYS).text


@pytest.mark.usefixtures("connected")
def test_a_no_links_nothing_and_is_not_asked_again(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)

    done = browser.submit(come_back(browser, upstream), "link-deny")

    assert "link-allow" not in Page(done.text).ids
    assert not linked(services, alice)


@pytest.mark.attack("FD20")
@pytest.mark.usefixtures("connected")
def test_of_two_answers_one_counts(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    asked = come_back(browser, upstream)
    browser.post(asked, "link-allow")
    with services.db.write() as tx:
        identity.unlink(tx, identity.of_account(tx, alice.id)[0].id)

    browser.post(asked, "link-allow")

    assert not linked(services, alice)


@pytest.mark.usefixtures("connected")
def test_asks_the_provider_for_a_sign_in_of_now(browser: Browser, web_app: App, alice: Person) -> None:
    browser.sign_in(alice, web_app)

    assert parse_qs(urlsplit(leave(browser)).query)["prompt"] == ["login"]


@pytest.mark.attack("FD12", "LG16")
@pytest.mark.usefixtures("connected")
def test_who_has_a_second_factor_shows_it_first(
    browser: Browser, web_app: App, alice: Person, authenticator: Authenticator, upstream: Upstream, services: Any
) -> None:
    page = browser.sign_in(alice, web_app)
    assert browser.http.get(f"{WAYS}/elsewhere").headers["Location"] == WAYS
    assert f"{WAYS}/elsewhere" not in Page(browser.get(WAYS).text).links

    browser.submit(page, "mfa-submit", otp=authenticator.code())
    browser.submit(come_back(browser, upstream), "link-allow")

    assert linked(services, alice)


@pytest.mark.attack("FD12", "LG16")
@pytest.mark.usefixtures("connected")
def test_whoever_signed_in_a_while_ago_adds_nothing(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any, clock: FakeClock
) -> None:
    browser.sign_in(alice, web_app)
    asked = come_back(browser, upstream)
    clock.advance(601)

    assert browser.http.get(f"{WAYS}/elsewhere").headers["Location"] == WAYS
    late = browser.post(asked, "link-allow")

    assert late.headers["Location"] == WAYS
    assert not linked(services, alice)
    assert "link-allow" not in Page(browser.get(WAYS).text).ids


@pytest.mark.attack("FD12", "LG17")
def test_whoever_came_by_another_provider_adds_none_to_an_account_with_a_password(
    browser: Browser, web_app: App, connect: Callable[..., None], upstream: Upstream, services: Any
) -> None:
    connect()
    come_in(browser, web_app, upstream)
    asked = _second(browser, upstream)
    assert "link-allow" in Page(asked.text).ids  # without a password here, that sign-in is all there is
    with services.db.write() as tx:
        account = accounts.listing(tx)[0]
        accounts.set_password(tx, account.id, "$argon2id$x", services.clock())

    assert "sign in again with the password" in browser.get(WAYS).text
    assert browser.http.get(f"{WAYS}/elsewhere").headers["Location"] == WAYS
    browser.post(asked, "link-allow")

    with services.db.read() as tx:
        assert [each.external_id for each in identity.of_account(tx, account.id)] == ["u-1"]


def _second(browser: Browser, upstream: Upstream) -> TestResponse:
    """Come back as somebody else there."""
    upstream.person |= {"sub": "u-2", "preferred_username": "other", "email": "other@elsewhere.example"}
    return come_back(browser, upstream)


@pytest.mark.attack("FD15", "FD20")
@pytest.mark.usefixtures("connected")
def test_an_answer_belongs_to_the_session_that_asked_and_counts_once(
    browser: Browser, web_app: App, alice: Person, bob: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    answer = upstream.visit(leave(browser))
    stranger = browser.another()
    stranger.sign_in(bob, web_app)

    assert stranger.get(answer).status_code == 400
    assert "link-allow" not in Page(stranger.get(WAYS).text).ids
    assert "link-allow" in Page(browser.get(answer).text).ids
    assert browser.get(answer).status_code == 400
    assert not linked(services, bob)


@pytest.mark.attack("FD15")
@pytest.mark.usefixtures("connected")
def test_an_answer_is_none_for_the_next_person_at_the_same_browser(
    browser: Browser, web_app: App, alice: Person, bob: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    answer = upstream.visit(leave(browser))
    browser.log_in(browser.authorize(web_app, prompt="login"), bob)

    assert browser.get(answer).status_code == 400
    assert not linked(services, bob)
    assert not linked(services, alice)


@pytest.mark.attack("FD12")
@pytest.mark.usefixtures("connected")
def test_somebody_elses_identity_stays_theirs(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any
) -> None:
    come_in(browser.another(), web_app, upstream)
    browser.sign_in(alice, web_app)

    refused = browser.submit(come_back(browser, upstream), "link-allow")

    assert (refused.status_code, "another account" in refused.text) == (409, True)
    assert not linked(services, alice)


@pytest.mark.attack("FD14")
def test_who_may_not_come_by_a_connector_is_not_linked_by_it(
    browser: Browser,
    web_app: App,
    alice: Person,
    connect: Callable[..., None],
    upstream: Upstream,
    services: Any,
) -> None:
    connect(provisioning="domains", allowed_domains=["ok.example"])
    browser.sign_in(alice, web_app)

    assert browser.submit(come_back(browser, upstream), "link-allow").status_code == 403
    assert not linked(services, alice)


@pytest.mark.attack("FD17")
@pytest.mark.usefixtures("connected")
def test_an_answer_that_is_not_believed_asks_nothing(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream
) -> None:
    browser.sign_in(alice, web_app)
    upstream.answers.id_token = lambda claims: {**claims, "aud": "another"}

    refused = come_back(browser, upstream)

    assert refused.status_code == 400
    assert WAYS in Page(refused.text).links
    assert "link-allow" not in Page(browser.get(WAYS).text).ids


@pytest.mark.attack("F15")
@pytest.mark.usefixtures("connected")
def test_a_provider_that_does_not_answer_is_told_on_the_same_page(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream
) -> None:
    browser.sign_in(alice, web_app)
    upstream.answers.status = {"/.well-known/openid-configuration": 500}

    told = browser.http.get(f"{WAYS}/elsewhere")

    assert (told.status_code, "Elsewhere does not answer" in told.text) == (503, True)


@pytest.mark.attack("FD19")
@pytest.mark.usefixtures("connected")
def test_a_connector_that_is_switched_off_links_nobody(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    asked = come_back(browser, upstream)
    with services.db.write() as tx:
        row = connector.find(tx, "elsewhere")
        assert row is not None
        connector.disable(tx, row.id, services.clock())
    services.connectors.forget()

    assert browser.http.get(f"{WAYS}/elsewhere").headers["Location"] == WAYS
    browser.post(asked, "link-allow")

    assert not linked(services, alice)


@pytest.mark.attack("LG21")
@pytest.mark.usefixtures("connected")
def test_another_site_links_nothing(
    browser: Browser, web_app: App, alice: Person, upstream: Upstream, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    come_back(browser, upstream)

    assert browser.http.post(WAYS, data={"link-allow": "1"}).status_code == 403
    assert not linked(services, alice)


@pytest.mark.parametrize("name", ["elsewhere", "nobody"])
def test_who_is_not_signed_in_is_sent_nowhere(browser: Browser, name: str) -> None:
    assert browser.http.get(f"{WAYS}/{name}").headers["Location"] == WAYS


@pytest.mark.usefixtures("connected")
def test_a_form_without_a_button_changes_nothing(browser: Browser, web_app: App, alice: Person) -> None:
    browser.sign_in(alice, web_app)
    form = browser.form(browser.get(WAYS))

    for data in ({}, {"link-allow": "1"}):
        assert browser.http.post(WAYS, data={**form.fields, **data}).headers["Location"] == WAYS


@pytest.mark.usefixtures("connected")
def test_the_only_way_in_is_never_taken_away(browser: Browser, web_app: App, upstream: Upstream, services: Any) -> None:
    come_in(browser, web_app, upstream)
    page = browser.get("/account/ways-in")
    assert "your only way in" in page.text
    with services.db.read() as tx:
        link = identity.of_account(tx, accounts.listing(tx)[0].id)[0]
    form = browser.form(page)

    kept = browser.http.post("/account/ways-in", data={**form.fields, "unlink": link.id})

    assert kept.status_code == 409
    with services.db.read() as tx:
        assert identity.of_account(tx, link.account_id)


@pytest.mark.usefixtures("connected")
@pytest.mark.attack("LG17")
def test_a_way_in_is_taken_away_by_whoever_has_just_signed_in(
    browser: Browser, web_app: App, upstream: Upstream, services: Any, clock: FakeClock
) -> None:
    come_in(browser, web_app, upstream)
    with services.db.write() as tx:
        account = accounts.listing(tx)[0]
        accounts.set_password(tx, account.id, "$argon2id$x", services.clock())
        link = identity.of_account(tx, account.id)[0]
    form = browser.form(browser.get("/account/ways-in"))
    clock.advance(601)
    late = browser.http.post("/account/ways-in", data={**form.fields, "unlink": link.id})
    assert late.status_code == 303
    with services.db.read() as tx:
        assert identity.of_account(tx, account.id)
    assert "Sign in again" in browser.get("/account/ways-in").text
    clock.advance(-601)

    browser.http.post("/account/ways-in", data={**form.fields, "unlink": link.id})

    with services.db.read() as tx:
        assert not identity.of_account(tx, account.id)
    assert "kept here, your only way in" in browser.get("/account/ways-in").text


@pytest.mark.usefixtures("connected")
def test_who_takes_a_way_in_away_stays_signed_in_and_nobody_else_who_came_by_it(
    browser: Browser, web_app: App, upstream: Upstream, services: Any
) -> None:
    other = browser.another()
    come_in(other, web_app, upstream)
    come_in(browser, web_app, upstream)
    with services.db.write() as tx:
        account = accounts.listing(tx)[0]
        accounts.set_password(tx, account.id, "$argon2id$x", services.clock())
        link = identity.of_account(tx, account.id)[0]
    form = browser.form(browser.get(WAYS))

    browser.http.post(WAYS, data={**form.fields, "unlink": link.id})

    assert browser.http.get(WAYS).status_code == 200
    assert other.http.get(WAYS).status_code == 401


@pytest.mark.usefixtures("connected")
@pytest.mark.attack("LG17")
def test_the_word_of_a_provider_that_does_not_say_when_is_enough_where_it_is_the_only_one(
    browser: Browser, web_app: App, upstream: Upstream, services: Any, clock: FakeClock
) -> None:
    upstream.answers.id_token = lambda claims: {name: claims[name] for name in claims if name != "auth_time"}
    come_in(browser, web_app, upstream)
    assert f"{WAYS}/elsewhere" in Page(browser.get(WAYS).text).links
    clock.advance(601)
    assert "Sign in again" in browser.get(WAYS).text
    clock.advance(-601)

    with services.db.write() as tx:
        accounts.set_password(tx, accounts.listing(tx)[0].id, "$argon2id$x", services.clock())

    assert "Sign in again" in browser.get(WAYS).text


@pytest.mark.usefixtures("connected")
@pytest.mark.attack("FD12")
def test_whoever_has_a_password_in_a_directory_adds_a_way_in_with_it(
    browser: Browser, web_app: App, upstream: Upstream, services: Any
) -> None:
    come_in(browser, web_app, upstream)
    with services.db.write() as tx:
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=services.clock())
        named = {"external_id": "guid-1", "username": "ada", "username_key": "ada", "email": None}
        mine = accounts.listing(tx)[0].id
        identity.create(tx, connector_id=row.id, account_id=mine, now=services.clock(), **named)

    page = Page(browser.get(WAYS).text)

    assert f"{WAYS}/elsewhere" not in page.links
    assert "sign in again with the password of this account" in page.text
    assert browser.http.get(f"{WAYS}/elsewhere").headers["Location"] == WAYS


@pytest.mark.attack("FD7")
@pytest.mark.usefixtures("connected")
def test_a_directory_is_not_taken_away_by_whoever_has_another_way_in(
    browser: Browser, web_app: App, upstream: Upstream, services: Any
) -> None:
    come_in(browser, web_app, upstream)
    with services.db.write() as tx:
        account = accounts.listing(tx)[0]
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=services.clock())
        named = {"external_id": "guid-1", "username": "ada", "username_key": "ada", "email": None}
        directory = identity.create(tx, connector_id=row.id, account_id=account.id, now=services.clock(), **named)
    page = browser.get(WAYS)
    assert f'value="{directory.id}"' not in page.text
    form = browser.form(page)

    kept = browser.http.post(WAYS, data={**form.fields, "unlink": directory.id})

    assert kept.status_code == 409
    with services.db.read() as tx:
        assert len(identity.of_account(tx, account.id)) == 2


@pytest.mark.attack("LG21")
@pytest.mark.usefixtures("connected")
def test_a_way_in_is_not_taken_away_by_another_site(browser: Browser, web_app: App, upstream: Upstream) -> None:
    come_in(browser, web_app, upstream)

    assert browser.http.post("/account/ways-in", data={"unlink": "x"}).status_code == 403


def test_nobody_sees_nothing(browser: Browser) -> None:
    assert browser.http.get("/account/ways-in").status_code == 401
