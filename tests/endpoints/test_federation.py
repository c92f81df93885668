"""Sign-out that goes both ways."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from idp.accounts import connectors
from idp.accounts.connectors import Definition
from tests.fixtures.browser import Browser
from tests.fixtures.clients import App
from tests.fixtures.markup import Page
from tests.services.upstream import CLIENT_ID, Claims, Upstream

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def connected(services: Any, upstream: Upstream) -> None:
    """Connect the upstream, and sign out there too."""
    definition = Definition.parse("elsewhere", upstream.settings(label="Elsewhere", sign_out_there=True))
    with services.db.write() as tx:
        connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
    services.connectors.forget()
    upstream.answers.id_token = lambda claims: {**claims, "sid": "s-1"}


def come_in(browser: Browser, app: App, upstream: Upstream) -> TestResponse:
    """Sign in by the other provider."""
    page = browser.authorize(app)
    link = next(each for each in Page(page.text).links if "/federation/elsewhere?" in each)
    return browser.get(upstream.visit(browser.http.get(link).headers["Location"]))


def told(upstream: Upstream, **changes: Any) -> Claims:
    """What an honest provider says of a sign-out."""
    honest = {
        "iss": upstream.issuer,
        "aud": CLIENT_ID,
        "iat": int(time.time()),
        "exp": int(time.time()) + 120,
        "jti": secrets.token_urlsafe(8),
        "sub": "u-1",
        "sid": "s-1",
        "events": {EVENT: {}},
        **changes,
    }
    return {name: value for name, value in honest.items() if value is not None}


def tell(browser: Browser, token: str) -> TestResponse:
    """Send a logout token, as a server does."""
    return browser.another().http.post("/federation/signed-out/elsewhere", data={"logout_token": token})


def signed_in(browser: Browser) -> bool:
    """Say whether this browser has a session."""
    return browser.http.get("/account/ways-in").status_code == 200


@pytest.mark.usefixtures("connected")
@pytest.mark.spec("OpenID Connect Back-Channel Logout section 2.5")
@pytest.mark.parametrize("left_out", [None, "sid", "sub", "exp"])
def test_a_sign_out_elsewhere_ends_the_session_here(
    browser: Browser, web_app: App, upstream: Upstream, left_out: str | None
) -> None:
    come_in(browser, web_app, upstream)
    assert signed_in(browser)
    changes = {} if left_out is None else {left_out: None}

    answer = tell(browser, upstream.sign(told(upstream, **changes), typ="logout+jwt"))

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert not signed_in(browser)


WRONG: dict[str, Claims] = {
    "iss of another": {"iss": "https://evil.example"},
    "aud of another": {"aud": "another"},
    "no iat": {"iat": None},
    "iat of long ago": {"iat": time.time() - 3600},
    "expired": {"exp": time.time() - 60},
    "no jti": {"jti": None},
    "no events": {"events": None},
    "another event": {"events": {"https://example/else": {}}},
    "a nonce": {"nonce": "x"},
    "nobody": {"sub": None, "sid": None},
    "sid is a number": {"sid": 7},
}


@pytest.mark.usefixtures("connected")
@pytest.mark.attack("FD17")
@pytest.mark.spec("OpenID Connect Back-Channel Logout section 2.6")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_logout_token_ends_nothing(browser: Browser, web_app: App, upstream: Upstream, wrong: str) -> None:
    come_in(browser, web_app, upstream)

    answer = tell(browser, upstream.sign(told(upstream, **WRONG[wrong]), typ="logout+jwt"))

    assert answer.status_code == 400
    assert signed_in(browser)


@pytest.mark.usefixtures("connected")
def test_a_logout_token_counts_once(browser: Browser, web_app: App, upstream: Upstream) -> None:
    come_in(browser, web_app, upstream)
    token = upstream.sign(told(upstream), typ="logout+jwt")
    tell(browser, token)
    come_in(browser, web_app, upstream)

    assert tell(browser, token).status_code == 400
    assert signed_in(browser)


@pytest.mark.usefixtures("connected")
def test_somebody_elses_sign_out_ends_nothing_of_mine(browser: Browser, web_app: App, upstream: Upstream) -> None:
    come_in(browser, web_app, upstream)

    assert tell(browser, upstream.sign(told(upstream, sub="u-2", sid=None))).status_code == 200
    assert signed_in(browser)


@pytest.mark.usefixtures("connected")
def test_a_logout_token_waits_for_nobody_when_the_keys_cannot_be_had(browser: Browser, upstream: Upstream) -> None:
    upstream.answers.status = {"/jwks": 500}

    assert tell(browser, upstream.sign(told(upstream))).status_code == 503


def test_nobody_is_told_of_a_connector_that_is_not_there(browser: Browser) -> None:
    assert tell(browser, "x").status_code == 400


@pytest.mark.usefixtures("connected")
@pytest.mark.spec("OpenID Connect RP-Initiated Logout section 2")
def test_signing_out_here_signs_out_elsewhere_and_comes_back(
    browser: Browser, web_app: App, upstream: Upstream
) -> None:
    come_in(browser, web_app, upstream)
    asked = browser.get("/end_session")

    gone = browser.post(asked, "logout-confirm")

    assert gone.headers["Location"].startswith(f"{upstream.issuer}/end_session?")
    params = parse_qs(urlsplit(gone.headers["Location"]).query)
    assert params["post_logout_redirect_uri"] == ["https://localhost/logout/elsewhere"]
    home = browser.get(f"/logout/elsewhere?state={params['state'][0]}")
    assert "logged-out" in Page(home.text).ids
    assert not signed_in(browser)


@pytest.mark.attack("LG24")
def test_nobody_can_be_sent_on_from_a_sign_out_that_never_was(browser: Browser) -> None:
    answer = browser.get("/logout/elsewhere?state=x&to=https://evil.example")

    assert "logged-out" in Page(answer.text).ids


@pytest.mark.attack("FD22")
@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("path", ["/federation", "/federation/elsewhere/test", "/federation/elsewhere/claims"])
def test_a_connector_is_tried_from_the_command_line_alone(browser: Browser, path: str) -> None:
    assert browser.http.get(path).status_code == 404
    assert browser.http.get("/federation/elsewhere").status_code == 403
