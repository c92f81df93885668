"""The end of a sign-in: one code, once, to the registered address."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from idp.store import group
from idp.store.audit import AuditRow
from idp.store.code import Code
from idp.store.digests import digest
from idp.store.grant import Grant
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
