"""The end of a sign-in: one code, once, to the registered address."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from idp.store import group, session, signin
from idp.store.audit import AuditRow
from idp.store.code import Code
from idp.store.database import Session
from idp.store.digests import digest
from idp.store.grant import Grant
from idp.store.session import BrowserSession
from idp.store.signin import Signin
from tests.fixtures import clients as registry
from tests.fixtures.browser import NONCE, STATE, Browser, claims, parameters
from tests.fixtures.clients import App
from tests.fixtures.clock import FakeClock
from tests.fixtures.people import Api, Authenticator, Person
from tests.fixtures.provider import ISSUER

if TYPE_CHECKING:
    from idp.web.services import Services


@pytest.mark.attack("AZ30")
@pytest.mark.spec("RFC 6749 section 4.1.2", "RFC 9207 section 2")
def test_an_answer_has_a_code_the_state_and_who_answers(browser: Browser, web_app: App, alice: Person) -> None:
    answer = browser.answer(web_app, alice)
    assert set(answer) == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == (STATE, ISSUER)


def test_without_a_state_none_comes_back(browser: Browser, web_app: App, alice: Person) -> None:
    assert set(browser.answer(web_app, alice, state=None)) == {"code", "iss"}


@pytest.mark.attack("AZ37", "ST1")
@pytest.mark.spec("RFC 6749 section 10.10")
def test_a_code_is_256_random_bits_lives_a_minute_and_is_kept_as_a_digest(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    codes = {browser.code(web_app, alice) for _ in range(3)}
    assert len(codes) == 3
    assert {len(code) for code in codes} == {43}
    with services.db.read() as tx:
        rows = tx.scalars(select(Code)).all()
    assert {row.code_hash for row in rows} == {digest(code) for code in codes}
    assert {row.expires_at - row.created_at for row in rows} == {dt.timedelta(seconds=60)}


def test_a_code_is_bound_to_what_was_asked(
    browser: Browser, web_app: App, alice: Person, services: Services, orders_api: Api
) -> None:
    browser.code(web_app, alice, scope="openid orders:read", resource=orders_api.audience)
    with services.db.read() as tx:
        code, grant = tx.scalars(select(Code)).one(), tx.scalars(select(Grant)).one()
    assert (code.client_id, code.redirect_uri, code.nonce) == ("web-app", web_app.redirect_uri, NONCE)
    assert code.resources == [orders_api.audience]
    assert grant.scopes == {ISSUER: ["openid"], orders_api.audience: ["orders:read"]}
    assert (grant.account_id, grant.acr, grant.amr) == (alice.id, "aal1", ["pwd"])


@pytest.mark.attack("AZ36")
def test_an_answer_is_a_303_that_nobody_keeps_and_that_repeats_nothing(
    browser: Browser, web_app: App, alice: Person
) -> None:
    response = browser.finish(browser.authorize(web_app), alice)
    assert response.status_code == 303
    assert response.headers["Cache-Control"] == "no-store"
    assert response.data == b""


def test_the_query_of_a_registered_address_stays(
    browser: Browser, services: Services, orders_api: Api, alice: Person
) -> None:
    app = registry.register(
        services, "asker", scopes=("openid",), grant_types=["authorization_code"],
        redirect_uris=["https://ask.example/cb?tenant=a%20b"], require_consent=False,
    )  # fmt: skip
    location = browser.finish(browser.authorize(app), alice).headers["Location"]
    assert urlsplit(location).query.startswith("tenant=a%20b&code=")
    assert orders_api.audience not in location


@pytest.mark.attack("LG15")
def test_a_finished_sign_in_answers_no_second_time(browser: Browser, web_app: App, alice: Person) -> None:
    page = browser.sign_in(alice, web_app)
    resume = page.request.full_path.replace("/consent", "/authorize")
    assert browser.submit(page, "consent-allow").status_code == 303
    again = browser.http.get(resume)
    assert again.status_code == 400
    assert "oauth-error" in again.text


@pytest.mark.spec("RFC 6749 section 4.1.2.1")
def test_without_any_role_api_scopes_are_access_denied(browser: Browser, web_app: App, bob: Person) -> None:
    answer = parameters(browser.sign_in(bob, web_app, scope="orders:read"))
    assert answer["error"] == "access_denied"


def test_scopes_beyond_the_persons_roles_are_left_out_and_the_response_tells(
    browser: Browser, web_app: App, bob: Person
) -> None:
    tokens = browser.tokens(web_app, bob, scope="openid orders:read")
    assert tokens["scope"] == "openid"


def test_a_role_lost_during_the_sign_in_is_not_granted(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    page = browser.sign_in(alice, web_app, scope="openid orders:read")
    with services.db.write() as tx:
        staff = group.find(tx, "staff")
        assert staff is not None
        group.remove_member(tx, staff.id, alice.id)
    answer = browser.submit(page, "consent-allow")
    assert browser.redeem(web_app, parameters(answer)["code"]).get_json()["scope"] == "openid"


def test_a_second_factor_shows_in_the_strength(
    browser: Browser, web_app: App, alice: Person, authenticator: Authenticator
) -> None:
    answer = browser.answer(web_app, alice, authenticator)
    told = claims(browser.redeem(web_app, answer["code"]).get_json()["id_token"])
    assert (told["acr"], told["amr"]) == ("aal2", ["pwd", "otp", "mfa"])


@pytest.mark.spec("OpenID Connect Core section 5.5.1.1")
def test_a_weaker_wish_is_answered_in_its_own_words(
    browser: Browser, web_app: App, alice: Person, authenticator: Authenticator
) -> None:
    answer = browser.answer(web_app, alice, authenticator, acr_values="aal1")
    told = claims(browser.redeem(web_app, answer["code"]).get_json()["id_token"])
    assert told["acr"] == "aal1"
    assert "otp" in told["amr"]


@pytest.mark.attack("AZ20")
@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
def test_a_silent_answer_keeps_the_time_of_the_sign_in(
    browser: Browser, web_app: App, alice: Person, clock: FakeClock
) -> None:
    before = claims(browser.tokens(web_app, alice)["id_token"])
    clock.advance(100)
    after = claims(browser.tokens(web_app, alice, prompt="none", max_age=10_000)["id_token"])
    assert after["auth_time"] == before["auth_time"]
    assert after["sid"] == before["sid"]


def test_an_issued_code_and_a_refusal_are_recorded(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    browser.code(web_app, alice)
    browser.authorize(web_app, prompt="none", scope="openid phone")
    with services.db.read() as tx:
        events = {row.event: row for row in tx.scalars(select(AuditRow))}
    assert events["code.issued"].account_id == alice.id
    assert events["authorize.refused"].detail["error"] == "consent_required"


@pytest.mark.spec("RFC 6749 section 10.5")
def test_of_many_tabs_that_end_one_sign_in_at_once_one_gets_a_code(
    browser: Browser, web_app: App, alice: Person, services: Services, app: Flask
) -> None:
    browser.tokens(web_app, alice)
    begun = browser.http.post("/authorize", data=browser.request(web_app))
    cookies = {name: browser.http.get_cookie(name) for name in ("__Host-gh_session", "__Host-gh_flow")}

    def finish(_: int) -> int:
        tab = app.test_client()
        for name, cookie in cookies.items():
            assert cookie is not None
            tab.set_cookie(name, cookie.value, secure=True)
        return int(tab.get(begun.headers["Location"]).status_code)

    with ThreadPoolExecutor(8) as pool:
        ends = sorted(pool.map(finish, range(8)))
    assert ends == [303, *[400] * 7]
    with services.db.read() as tx:
        assert len(tx.scalars(select(Code)).all()) == 2


@pytest.mark.attack("LG23")
def test_a_session_that_ended_elsewhere_gets_no_code(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    browser.tokens(web_app, alice)
    with services.db.write() as tx:
        for row in tx.scalars(select(BrowserSession)).all():
            services.sessions.end(tx, row.id, services.clock())
    assert parameters(browser.authorize(web_app, prompt="none"))["error"] == "login_required"


@pytest.mark.attack("LG23")
def test_signing_out_between_the_last_step_and_the_code_leaves_no_code(
    browser: Browser, web_app: App, alice: Person, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.tokens(web_app, alice)
    begun = browser.http.post("/authorize", data=browser.request(web_app))
    finish = signin.finish

    def sign_out_then_finish(tx: Session, signin_id: str, now: dt.datetime) -> Signin | None:
        for row in tx.scalars(select(BrowserSession)).all():
            services.sessions.end(tx, row.id, now)
        return finish(tx, signin_id, now)

    monkeypatch.setattr(signin, "finish", sign_out_then_finish)
    assert browser.http.get(begun.headers["Location"]).status_code == 400
    with services.db.read() as tx:
        assert all(row.revoked_at is not None for row in tx.scalars(select(Grant)))


def test_where_session_and_consent_are_there_the_first_answer_is_the_code(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    browser.tokens(web_app, alice)
    with services.db.read() as tx:
        before = len(tx.scalars(select(Signin)).all())
    answer = parameters(browser.http.get("/authorize", query_string=browser.request(web_app)))
    assert browser.redeem(web_app, answer["code"]).status_code == 200
    with services.db.read() as tx:
        assert len(tx.scalars(select(Signin)).all()) == before


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"prompt": "consent"}, {"max_age": "0"}, {"scope": "email"}])
def test_a_wish_that_needs_a_page_begins_a_sign_in(
    browser: Browser, web_app: App, alice: Person, wish: dict[str, str]
) -> None:
    browser.tokens(web_app, alice)
    begun = browser.http.get("/authorize", query_string=browser.request(web_app, **wish))
    assert begun.headers["Location"].startswith("/authorize?signin=")


@pytest.mark.attack("LG23")
def test_signing_out_at_the_moment_of_an_answer_at_once_leaves_no_code(
    browser: Browser, web_app: App, alice: Person, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.tokens(web_app, alice)
    hold = session.hold

    def sign_out_then_hold(tx: Session, session_id: str, now: dt.datetime) -> object:
        services.sessions.end(tx, session_id, now)
        return hold(tx, session_id, now)

    monkeypatch.setattr(session, "hold", sign_out_then_hold)
    page = browser.authorize(web_app)
    assert "login-submit" in page.text
    with services.db.read() as tx:
        assert len(tx.scalars(select(Code)).all()) == 1


@pytest.mark.attack("LG15")
def test_a_step_of_a_sign_in_that_is_to_be_refused_leads_to_the_dispatcher(
    browser: Browser, web_app: App, bob: Person
) -> None:
    page = browser.authorize(web_app, scope="orders:read")
    login = page.request.full_path
    browser.post(page, "login-submit", username=bob.username, password=bob.password)
    response = browser.http.get(login)
    assert response.headers["Location"].startswith("/authorize?signin=")
    assert parameters(browser.follow(response))["error"] == "access_denied"
