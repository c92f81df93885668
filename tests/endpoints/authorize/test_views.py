"""GET and POST /authorize: what ends on a page, what goes back to the app, and what is frozen."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from sqlalchemy import func, select

from idp.endpoints.authorize.flow import Step
from idp.jose.sign import sign
from idp.store import account, client
from idp.store.audit import AuditRow
from idp.store.signin import Signin
from idp.web import logs
from tests.fixtures import clients as registry
from tests.fixtures.browser import STATE, Browser, claims, parameters
from tests.fixtures.clients import App
from tests.fixtures.clock import FakeClock
from tests.fixtures.markup import Page
from tests.fixtures.people import Api, Person
from tests.fixtures.provider import ISSUER, Http

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

    from idp.web.services import Services

# Where the rows differ only in what is sent, one kind of database is enough.
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def said(app: Flask) -> Iterator[StringIO]:
    """What the provider logs."""
    root = logging.getLogger()
    handlers, level, stream = root.handlers, root.level, StringIO()
    logs.configure("warning", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def is_page(response: TestResponse) -> bool:
    return (
        response.status_code == 400 and "oauth-error" in Page(response.text).ids and "Location" not in response.headers
    )


def error_of(response: TestResponse) -> str:
    assert response.status_code == 303
    sent = parameters(response)
    assert sent["iss"] == ISSUER
    assert set(sent) <= {"error", "error_description", "error_uri", "state", "iss"}
    assert sent.get("error_description", "ok").isascii()
    return sent["error"]


class TestWhereErrorsGo:
    """The address decides first: without a registered one nobody is redirected."""

    @ONE_DATABASE
    @pytest.mark.attack("AZ1", "AZ2", "AZ3")
    @pytest.mark.parametrize(
        "uri",
        [
            "https://evil.example/cb", "https://app.example/cb/", "https://app.example:444/cb", "http://app.example/cb",
            "https://APP.example/cb", "https://app.example/cb?x=1", "https://app.example/cb#x", "https://app.example/",
            "https://app.example.evil/cb", "https://app.example@evil/cb", "https://app.example\\evil/cb",
            "https://app.example/%2e%2e/cb", "https://app.example/..;/cb", "https://app.example/cb\0",
            "https://app.example/cb\r\nSet-Cookie: a=b", "https://xn--pp-xia.example/cb",
        ],
    )  # fmt: skip
    def test_an_address_that_is_not_registered_gets_a_page(self, browser: Browser, web_app: App, uri: str) -> None:
        assert is_page(browser.authorize(web_app, redirect_uri=uri))

    @pytest.mark.attack("AZ4")
    def test_a_native_app_may_vary_the_port_alone(self, browser: Browser, public_app: App) -> None:
        assert "login-submit" in browser.authorize(public_app, redirect_uri="http://127.0.0.1:51004/cb").text
        assert is_page(browser.authorize(public_app, redirect_uri="http://127.0.0.1:51004/cb/"))
        assert is_page(browser.authorize(public_app, redirect_uri="http://localhost:51004/cb"))

    @pytest.mark.attack("AZ5")
    def test_no_address_gets_a_page(self, browser: Browser, web_app: App) -> None:
        assert is_page(browser.authorize(web_app, redirect_uri=None))

    @pytest.mark.attack("AZ7")
    def test_unknown_and_disabled_clients_get_the_same_page(
        self, browser: Browser, web_app: App, services: Services
    ) -> None:
        with services.db.write() as tx:
            client.disable(tx, web_app.client_id, services.clock())
        pages = [browser.authorize(web_app), browser.authorize(web_app, client_id="nobody")]
        assert all(map(is_page, pages))
        assert len({Page(page.text).text.replace(support_id(page), "") for page in pages}) == 1

    @pytest.mark.attack("AZ9")
    @pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
    def test_a_repeated_client_or_address_gets_a_page(self, browser: Browser, web_app: App, name: str) -> None:
        asked = browser.request(web_app)
        assert is_page(browser.authorize(web_app, **{name: [asked[name], asked[name]]}))

    @pytest.mark.attack("AZ9")
    def test_another_repeated_parameter_goes_back_and_a_repeated_state_is_left_out(
        self, browser: Browser, web_app: App
    ) -> None:
        assert error_of(browser.authorize(web_app, scope=["openid", "openid"])) == "invalid_request"
        repeated = browser.authorize(web_app, state=["one", "two"])
        assert error_of(repeated) == "invalid_request"
        assert "state" not in parameters(repeated)

    @pytest.mark.attack("AZ8")
    def test_an_error_of_an_unreviewed_client_is_a_page_with_a_link(self, browser: Browser, services: Services) -> None:
        fresh = registry.register(
            services, "fresh", scopes=("openid",), grant_types=["authorization_code"],
            redirect_uris=["https://fresh.example/cb"], reviewed=False,
        )  # fmt: skip
        response = browser.authorize(fresh, response_type="token")
        assert is_page(response)
        assert 'href="https://fresh.example/cb?error=unsupported_response_type' in response.text
        assert error_of(browser.authorize(fresh, response_type="token", prompt="none")) == "unsupported_response_type"

    @pytest.mark.attack("LO1", "AZ16")
    def test_a_page_names_a_support_id_that_the_log_knows_and_nothing_the_caller_wrote(
        self, browser: Browser, web_app: App, said: StringIO
    ) -> None:
        response = browser.authorize(web_app, redirect_uri="https://<script>alert(1)</script>")
        assert "alert(1)" not in response.text
        assert "alert(1)" not in said.getvalue()
        (line,) = [json.loads(line) for line in said.getvalue().splitlines() if support_id(response) in line]
        assert (line["event"], line["client_id"], line["reason"]) == ("refused", "web-app", "redirect_uri differs")
        assert urlsplit(response.request.path).path == "/authorize"

    @pytest.mark.parametrize(
        "path", ["/nowhere", "/login", "/login?signin=none", "/authorize?signin=none", "/end_session?id_token_hint=x"]
    )
    def test_every_support_id_shown_is_in_the_log(self, http: Http, said: StringIO, path: str) -> None:
        assert support_id(http.get(path)) in said.getvalue()

    @pytest.mark.attack("LO2")
    def test_callers_whom_nobody_knows_leave_no_audit_rows(
        self, browser: Browser, web_app: App, http: Http, services: Services
    ) -> None:
        browser.authorize(web_app, prompt="none")
        browser.authorize(web_app, response_type="token")
        browser.authorize(web_app, redirect_uri="https://evil.example")
        http.get("/authorize?client_id=nobody")
        http.get("/end_session?id_token_hint=x")
        with services.db.read() as tx:
            assert not [row.event for row in tx.scalars(select(AuditRow)) if "refused" in row.event]


def support_id(page: TestResponse) -> str:
    return page.text.split('class="mono">')[1].split("<")[0]


REFUSED = [
    ("AZ10", {"response_type": "token"}, "unsupported_response_type"),
    ("AZ10", {"response_type": "code id_token"}, "unsupported_response_type"),
    ("AZ10", {"response_type": None}, "invalid_request"),
    ("AZ12", {"response_mode": "fragment"}, "invalid_request"),
    ("AZ12", {"response_mode": "form_post"}, "invalid_request"),
    ("AZ13", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ("AZ14", {"code_challenge_method": "plain"}, "invalid_request"),
    ("AZ14", {"code_challenge_method": None}, "invalid_request"),
    ("AZ14", {"code_challenge_method": "S512"}, "invalid_request"),
    ("AZ15", {"code_challenge": "short"}, "invalid_request"),
    ("AZ17", {"scope": "nonsense"}, "invalid_scope"),
    ("AZ17", {"scope": None}, "invalid_scope"),
    ("AZ18", {"prompt": "none"}, "login_required"),
    ("AZ18", {"prompt": "none login"}, "invalid_request"),
    ("AZ38", {"resource": "https://unknown.example"}, "invalid_target"),
    ("AZ38", {"resource": "orders"}, "invalid_target"),
    ("AZ38", {"resource": "https://orders.example#x"}, "invalid_target"),
    ("AZ38", {"audience": "https://unknown.example"}, "invalid_target"),
    ("AZ16", {"request": "x.y.z"}, "request_not_supported"),
    ("AZ16", {"request_uri": "http://169.254.169.254/"}, "request_uri_not_supported"),
    ("AZ16", {"max_age": "soon"}, "invalid_request"),
    ("AZ16", {"claims": "{"}, "invalid_request"),
]


@ONE_DATABASE
@pytest.mark.parametrize(
    ("wishes", "error"), [pytest.param(w, e, marks=pytest.mark.attack(row)) for row, w, e in REFUSED]
)
@pytest.mark.attack("AZ30")
@pytest.mark.spec("RFC 6749 section 4.1.2.1", "RFC 9207 section 2")
def test_a_faulty_request_goes_back_with_its_error(
    browser: Browser, web_app: App, wishes: dict[str, Any], error: str
) -> None:
    response = browser.authorize(web_app, **wishes)
    assert error_of(response) == error
    assert parameters(response)["state"] == STATE


@pytest.mark.spec("OpenID Connect Core section 7.2.1")
def test_registration_as_a_parameter_is_not_supported(browser: Browser, web_app: App) -> None:
    assert error_of(browser.authorize(web_app, registration="{}")) == "registration_not_supported"


@pytest.mark.attack("AZ10")
def test_a_client_without_the_grant_may_not_ask_for_codes(
    browser: Browser, services: Services, orders_api: Api
) -> None:
    machine = registry.register(
        services,
        "machine",
        scopes=("openid",),
        grant_types=["client_credentials"],
        redirect_uris=["https://m.example/"],
    )
    assert error_of(browser.authorize(machine)) == "unsupported_response_type"


@pytest.mark.attack("AZ13")
def test_a_confidential_client_that_need_not_may_go_without_a_challenge(
    browser: Browser, services: Services, orders_api: Api
) -> None:
    calm = registry.register(
        services, "calm", scopes=("openid",), grant_types=["authorization_code"],
        redirect_uris=["https://calm.example/cb"], require_pkce=False,
    )  # fmt: skip
    page = browser.authorize(calm, code_challenge=None, code_challenge_method=None)
    assert "login-submit" in Page(page.text).ids


@pytest.mark.attack("AZ17")
def test_a_known_scope_beyond_the_client_is_refused_and_an_unknown_one_ignored(
    browser: Browser, services: Services, orders_api: Api
) -> None:
    small = registry.register(
        services,
        "small",
        scopes=("openid",),
        grant_types=["authorization_code"],
        redirect_uris=["https://s.example/cb"],
    )
    assert error_of(browser.authorize(small, scope="openid orders:read")) == "invalid_scope"
    assert "login-submit" in browser.authorize(small, scope="openid nonsense offline_access").text


@ONE_DATABASE
@pytest.mark.attack("AZ16")
@pytest.mark.parametrize("state", ["a b&c=d%/?#é", 'x"><script>alert(1)</script>', "a\r\nSet-Cookie: x=y", "s" * 4096])
def test_state_comes_back_byte_for_byte(browser: Browser, web_app: App, state: str) -> None:
    response = browser.authorize(web_app, state=state, prompt="none")
    assert parameters(response)["state"] == state
    assert "\n" not in response.headers["Location"]


@ONE_DATABASE
@pytest.mark.attack("AZ16")
@pytest.mark.parametrize("name", ["state", "nonce"])
def test_a_state_of_64_kilobytes_is_refused(browser: Browser, web_app: App, http: Http, name: str) -> None:
    asked = browser.request(web_app, **{name: "x" * 65_536})
    assert http.post("/authorize", data=asked).status_code == 400


@ONE_DATABASE
@pytest.mark.attack("AZ39")
@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(http: Http, method: str) -> None:
    response = http.open("/authorize", method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, POST"


@pytest.mark.attack("AZ39")
def test_a_query_above_16_kilobytes_is_refused(http: Http) -> None:
    assert http.get("/authorize?client_id=" + "a" * 16_384).status_code == 414


@pytest.mark.attack("AZ35")
def test_no_other_site_may_read_the_answer(http: Http, browser: Browser, web_app: App) -> None:
    response = http.get("/authorize", query_string=browser.request(web_app), headers={"Origin": "https://app.example"})
    assert "access-control-" not in str(response.headers).lower()


@ONE_DATABASE
@pytest.mark.parametrize("body", [b"client_id=%FF", b"\xff\xfe", b""])
def test_bytes_that_are_no_form_get_a_page(http: Http, body: bytes) -> None:
    assert is_page(http.post("/authorize", data=body, content_type="application/x-www-form-urlencoded"))


def test_a_post_that_is_no_form_is_refused(http: Http) -> None:
    assert http.post("/authorize", json={"client_id": "web-app"}).status_code == 415


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
def test_a_request_by_post_is_frozen_and_goes_on_by_get(browser: Browser, web_app: App) -> None:
    response = browser.http.post("/authorize", data=browser.request(web_app))
    assert response.status_code == 303
    assert urlsplit(response.headers["Location"]).path == "/authorize"
    assert urlsplit(response.headers["Location"]).query.startswith("signin=")
    assert "login-submit" in browser.follow(response).text


@pytest.mark.attack("AZ11")
def test_what_is_added_on_the_way_changes_nothing(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    page = browser.authorize(web_app, scope="openid")
    action = (
        browser.form(page).action + "&" + urlencode({"scope": "openid email", "redirect_uri": "https://evil.example"})
    )
    form = {
        **browser.form(page).fields,
        "username": alice.username,
        "password": alice.password,
        "scope": "openid email",
    }
    response = browser.follow(browser.http.post(action, data=form))
    answer = browser.finish(response, alice)
    assert answer.headers["Location"].startswith("https://app.example/cb?")
    token = browser.redeem(web_app, parameters(answer)["code"]).get_json()
    assert token["scope"] == "openid"


@pytest.mark.attack("AZ32")
def test_a_sign_in_belongs_to_its_browser(browser: Browser, web_app: App, alice: Person) -> None:
    page = browser.authorize(web_app)
    address = page.request.full_path
    assert browser.another().http.get(address).status_code == 403
    mallory = browser.another()
    mallory.authorize(web_app)
    assert mallory.http.get(address).status_code == 403
    assert mallory.http.get(address.replace("/login", "/authorize")).status_code == 403


@ONE_DATABASE
@pytest.mark.attack("LG24")
@pytest.mark.parametrize("path", ["/login", "/consent", "/mfa", "/authorize"])
@pytest.mark.parametrize("wish", ["//evil.example", "\\evil.example", "a\r\nLocation: https://evil.example"])
def test_nothing_in_an_address_leads_away(http: Http, path: str, wish: str) -> None:
    response = http.get(path, query_string={"signin": wish, "next": wish})
    assert response.status_code == (400 if path == "/authorize" else 403)
    assert "Location" not in response.headers


@pytest.mark.attack("LG29", "AZ33", "AZ36")
def test_pages_are_not_stored_not_framed_and_keep_their_address_to_themselves(browser: Browser, web_app: App) -> None:
    for response in (browser.authorize(web_app), browser.authorize(web_app, redirect_uri="https://evil.example")):
        assert response.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.attack("LG21")
def test_a_sign_in_without_the_token_of_its_browser_is_forged(browser: Browser, web_app: App, alice: Person) -> None:
    page = browser.authorize(web_app)
    typed = {"username": alice.username, "password": alice.password}
    assert browser.http.post(browser.form(page).action, data=typed).status_code == 403


def test_a_sign_in_ends_after_ten_minutes(browser: Browser, web_app: App, clock: FakeClock) -> None:
    page = browser.authorize(web_app)
    clock.advance(600)
    ended = browser.http.get(page.request.full_path.replace("/login", "/authorize"))
    assert is_page(ended)
    assert browser.post(page, "login-submit", username="alice", password="x").status_code == 403


def test_going_back_to_a_page_of_a_finished_sign_in_says_that_it_is_over(
    browser: Browser, web_app: App, alice: Person
) -> None:
    page = browser.authorize(web_app)
    browser.finish(page, alice)
    again = browser.get(page.request.full_path)
    assert is_page(again)
    assert "This sign-in is over" in again.text


def test_a_sign_in_ends_with_its_client(browser: Browser, web_app: App, services: Services, clock: FakeClock) -> None:
    page = browser.authorize(web_app)
    with services.db.write() as tx:
        client.disable(tx, web_app.client_id, services.clock())
    clock.advance(2)
    assert is_page(browser.http.get(page.request.full_path.replace("/login", "/authorize")))


def test_a_refused_request_leaves_no_sign_in_behind(browser: Browser, web_app: App, services: Services) -> None:
    browser.authorize(web_app, response_type="token")
    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Signin)) == 0


class TestHints:
    """id_token_hint names who is expected (OpenID Connect Core section 3.1.2.1)."""

    @pytest.mark.attack("AZ21")
    def test_a_hint_of_the_person_here_is_silent_even_when_expired(
        self, browser: Browser, web_app: App, alice: Person, clock: FakeClock
    ) -> None:
        hint = browser.tokens(web_app, alice)["id_token"]
        clock.advance(3600)
        response = browser.authorize(web_app, prompt="none", id_token_hint=hint)
        assert "code" in parameters(response)

    @pytest.mark.attack("AZ21")
    def test_a_hint_of_somebody_else_waits_for_that_person(
        self, browser: Browser, web_app: App, alice: Person, bob: Person
    ) -> None:
        hint = browser.another().tokens(web_app, bob)["id_token"]
        browser.tokens(web_app, alice)
        assert error_of(browser.authorize(web_app, prompt="none", id_token_hint=hint)) == "login_required"
        page = browser.authorize(web_app, id_token_hint=hint)
        assert "login-submit" in Page(page.text).ids
        assert error_of(browser.log_in(page, alice)) == "login_required"

    @pytest.mark.attack("AZ21")
    def test_without_anybody_here_a_hint_is_login_required(self, browser: Browser, web_app: App, alice: Person) -> None:
        hint = browser.another().tokens(web_app, alice)["id_token"]
        assert error_of(browser.authorize(web_app, prompt="none", id_token_hint=hint)) == "login_required"

    @pytest.mark.attack("AZ21")
    def test_a_hint_that_is_not_ours_or_for_another_app_is_refused(
        self, browser: Browser, web_app: App, public_app: App, alice: Person, services: Services
    ) -> None:
        tokens = browser.tokens(web_app, alice)
        hint, now = tokens["id_token"], services.clock()
        key = services.keyring.signing("RS256", now)
        foreign = sign({**claims(hint), "iss": "https://evil.example"}, key, typ="JWT")
        header, body, signature = hint.split(".")
        broken = ".".join((header, body, signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")))
        for bad in (foreign, broken, tokens["access_token"], "garbage", f"{header}.{body}."):
            assert error_of(browser.authorize(web_app, id_token_hint=bad)) == "invalid_request"
        assert error_of(browser.authorize(public_app, id_token_hint=hint)) == "invalid_request"

    def test_a_hint_is_not_kept(self, browser: Browser, web_app: App, alice: Person, services: Services) -> None:
        hint = browser.tokens(web_app, alice)["id_token"]
        browser.authorize(web_app, id_token_hint=hint, prompt="login")
        with services.db.read() as tx:
            kept = tx.scalars(select(Signin.request)).all()
        assert hint not in str(kept)
        assert kept[-1]["subject"] == alice.id


@pytest.mark.attack("AZ18")
def test_a_frame_without_cookies_is_told_that_nobody_is_signed_in(browser: Browser, web_app: App) -> None:
    begun = browser.http.get("/authorize", query_string=browser.request(web_app, prompt="none"))
    assert error_of(browser.another().http.get(begun.headers["Location"])) == "login_required"


@pytest.mark.attack("AZ20")
@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "1"}])
def test_a_new_sign_in_is_real_and_later(
    browser: Browser, web_app: App, alice: Person, clock: FakeClock, wish: dict[str, str]
) -> None:
    before = claims(browser.tokens(web_app, alice)["id_token"])
    clock.advance(5)
    page = browser.authorize(web_app, **wish)
    assert "login-submit" in Page(page.text).ids
    after = claims(browser.tokens(web_app, alice, **wish)["id_token"])
    assert after["auth_time"] == before["auth_time"] + 5
    assert after["sub"] == before["sub"]


@pytest.mark.attack("AZ22")
def test_an_unmet_strength_is_refused_and_never_downgraded(
    browser: Browser, web_app: App, alice: Person, services: Services
) -> None:
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, services.clock(), {"mfa": "off"})
    page = browser.log_in(browser.authorize(web_app, acr_values="aal2"), alice)
    assert error_of(page) == "unmet_authentication_requirements"
    essential = '{"id_token":{"acr":{"essential":true,"values":["aal3"]}}}'
    assert error_of(browser.authorize(web_app, claims=essential)) == "unmet_authentication_requirements"


@pytest.mark.spec("RFC 8707 section 2")
def test_a_scope_of_another_resource_is_refused(browser: Browser, web_app: App, orders_api: Api) -> None:
    response = browser.authorize(web_app, scope="orders:read", resource=ISSUER)
    assert error_of(response) == "invalid_scope"


def test_a_closed_account_signs_in_no_more(
    browser: Browser, web_app: App, alice: Person, services: Services, clock: FakeClock
) -> None:
    browser.tokens(web_app, alice)
    with services.db.write() as tx:
        account.disable(tx, alice.id, services.clock())
    assert error_of(browser.authorize(web_app, prompt="none")) == "login_required"


def test_every_step_has_an_address_of_its_own() -> None:
    assert len({str(step) for step in Step}) == len(Step)


def test_a_post_of_another_site_leaves_the_sign_in_in_progress_alone(
    browser: Browser, web_app: App, alice: Person
) -> None:
    waiting = browser.authorize(web_app)
    # A cross-site form brings no Lax cookie; the browser takes the cookies of the answer all the same.
    posted = browser.another().http.post("/authorize", data=browser.request(web_app, state="other"))
    assert "Set-Cookie" not in posted.headers
    second = browser.follow(browser.http.get(posted.headers["Location"]))
    assert parameters(browser.finish(browser.log_in(waiting, alice), alice))["state"] != "other"
    later = browser.follow(browser.http.get(browser.form(second).action))
    assert parameters(browser.finish(later, alice))["state"] == "other"


@pytest.mark.attack("AZ32")
def test_a_posted_sign_in_belongs_to_the_first_browser_that_goes_on_with_it(
    browser: Browser, http: Http, web_app: App
) -> None:
    address = http.post("/authorize", data=browser.request(web_app)).headers["Location"]
    assert browser.follow(browser.http.get(address)).status_code == 200
    assert browser.another().http.get(address).status_code == 403


def test_an_address_that_begins_too_many_sign_ins_waits(
    app: Flask, browser: Browser, web_app: App, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(app.extensions["idp"].throttle.limits, begun=3)
    monkeypatch.setattr(app.extensions["idp"].throttle, "limits", limits)

    def begin(address: str) -> TestResponse:
        asked = browser.request(web_app)
        return app.test_client().get("/authorize", query_string=asked, environ_base={"REMOTE_ADDR": address})

    assert [begin("192.0.2.1").status_code for _ in range(4)] == [303, 303, 303, 429]
    refused = begin("192.0.2.1")
    assert refused.headers["Retry-After"] == "60"
    assert "Wait a minute" in refused.text
    # Others, and whoever is nobody in particular, go on.
    assert [begin(address).status_code for address in ("192.0.2.2", *["127.0.0.1"] * 4)] == [303] * 5
    clock.advance(60)
    assert begin("192.0.2.1").status_code == 303
