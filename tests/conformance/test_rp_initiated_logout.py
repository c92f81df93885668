"""What OpenID's RP-Initiated Logout profile examines, behaviour by behaviour, by their names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.browser import Browser, parameters
from tests.fixtures.clients import App
from tests.fixtures.markup import Page
from tests.fixtures.people import Person
from tests.fixtures.provider import Http

AFTER = "https://app.example/signed-out"
PLACES = {"logout-confirm", "logged-out", "oauth-error"}


def logout(name: str) -> Any:
    """Mark a behaviour of the logout profile."""
    return pytest.mark.spec(f"OpenID Logout oidcc-{name}")


@logout("rp-initiated-logout-discovery-endpoint-verification")
def test_discovery_names_the_endpoint(http: Http) -> None:
    document = http.get("/.well-known/openid-configuration").get_json()
    assert document["end_session_endpoint"].endswith("/end_session")


@pytest.mark.parametrize(
    "state",
    [
        pytest.param("s" * 128, marks=logout("rp-initiated-logout")),
        pytest.param(None, marks=logout("rp-initiated-logout-no-state")),
    ],
)
def test_goes_back_with_the_state_and_the_session_is_over(
    browser: Browser, web_app: App, alice: Person, state: str | None
) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, **({"state": state} if state else {})}
    location = browser.http.get("/end_session", query_string=sent).headers["Location"]
    assert location == AFTER + (f"?state={state}" if state else "")
    assert parameters(browser.authorize(web_app, prompt="none"))["error"] == "login_required"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"post_logout_redirect_uri": "https://app.example/other"},
            marks=logout("rp-initiated-logout-bad-post-logout-redirect-uri"),
        ),
        pytest.param(
            {"post_logout_redirect_uri": f"{AFTER}?foo=bar"},
            marks=logout("rp-initiated-logout-query-added-to-post-logout-redirect-uri"),
        ),
        pytest.param({"id_token_hint": "modified"}, marks=logout("rp-initiated-logout-modified-id-token-hint")),
        pytest.param({"id_token_hint": "a.b.c"}, marks=logout("rp-initiated-logout-bad-id-token-hint")),
        pytest.param({"id_token_hint": None}, marks=logout("rp-initiated-logout-no-id-token-hint")),
    ],
)
def test_a_doubt_leads_to_a_page_and_never_away(
    browser: Browser, web_app: App, alice: Person, changes: dict[str, str | None]
) -> None:
    hint = browser.tokens(web_app, alice)["id_token"]
    if changes.get("id_token_hint") == "modified":
        changes = {"id_token_hint": hint[:-20] + "A" * 20}
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": "s", **changes}
    present = {name: value for name, value in sent.items() if value is not None}
    response = browser.http.get("/end_session", query_string=present)
    assert "Location" not in response.headers
    assert PLACES & Page(response.text).ids


@pytest.mark.parametrize(
    "names",
    [
        pytest.param((), marks=logout("rp-initiated-logout-no-params")),
        pytest.param(("id_token_hint",), marks=logout("rp-initiated-logout-no-post-logout-redirect-uri")),
        pytest.param(("state",), marks=logout("rp-initiated-logout-only-state")),
    ],
)
def test_without_an_address_the_person_reads_that_it_is_over(
    browser: Browser, web_app: App, alice: Person, names: tuple[str, ...]
) -> None:
    values = {"id_token_hint": browser.tokens(web_app, alice)["id_token"], "state": "s"}
    response = browser.http.get("/end_session", query_string={name: values[name] for name in names})
    if "logout-confirm" in Page(response.text).ids:
        response = browser.submit(response, "logout-confirm")
    assert "logged-out" in Page(response.text).ids
    assert parameters(browser.authorize(web_app, prompt="none"))["error"] == "login_required"
