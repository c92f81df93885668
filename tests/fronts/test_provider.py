"""The provider itself behind Traefik: its pages and endpoints, and the address of whoever calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from idp.clients import issuer_api
from idp.store import audit
from tests.cli.serving.visitor import Visitor
from tests.fixtures import clients, people
from tests.fixtures.browser import CHALLENGE
from tests.fixtures.clients import App
from tests.fixtures.people import Person
from tests.fronts.places import Places
from tests.services import fronts
from tests.services.program import free_port
from tests.services.provider import Provider, session

pytestmark = pytest.mark.xdist_group("front-traefik")
HOME = "127.0.0.2"
CLAIMED = "203.0.113.7"
LIES = {
    "X-Forwarded-For": CLAIMED,
    "X_Forwarded_For": CLAIMED,
    "X.Forwarded.For": CLAIMED,
    "X-Real-IP": CLAIMED,
    "Forwarded": f"for={CLAIMED};host=evil.example;proto=http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": "/evil",
}


class FromHome(HTTPAdapter):
    """Connects from an address that is nobody's proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=(HOME, 0), **options)


def at_home() -> requests.Session:
    made = session()
    made.mount("http://", FromHome())
    return made


@pytest.fixture(scope="module")
def provider(box: Path) -> Iterator[Provider]:
    """Two workers of gunicorn, reached through Traefik alone."""
    folder = box / "provider-behind-traefik"
    folder.mkdir()
    port = free_port()
    running = Provider(
        folder / "provider",
        server="gunicorn",
        workers=2,
        issuer=f"http://localhost:{port}",
        trusted_proxies=["127.0.0.1/32"],
    )
    running.issuer = running.settings.issuer  # where callers find it
    issuer_api.ensure(running.db, running.issuer, running.clock())
    with running:
        places = Places(folder=folder, front=port, api=9, gateway=9, provider=running.port)
        with fronts.traefik(places, provider_name="localhost"):
            yield running


@pytest.fixture(scope="module")
def alice(provider: Provider) -> Person:
    with provider.db.write() as tx:
        return people.register(tx, "alice", provider.services)


@pytest.fixture(scope="module")
def app(provider: Provider) -> App:
    return clients.register(
        provider.services, "web-app", scopes=clients.OIDC, redirect_uris=["https://app.example/cb"],
        grant_types=["authorization_code", "refresh_token"],
    )  # fmt: skip


def addresses(provider: Provider) -> set[str | None]:
    with provider.db.read() as tx:
        return {row.ip for row in audit.recent(tx, 200) if row.ip is not None}


@pytest.mark.attack("GW12", "GW9")
def test_a_person_signs_in_and_an_app_gets_tokens_and_the_record_has_their_address(provider, alice, app):
    visitor = Visitor(provider, alice)
    visitor._http.mount("http://", FromHome())
    visitor._http.headers.update(LIES)
    answer = visitor.redeem(app, visitor.code(app))
    assert answer.status_code == 200, answer.text
    assert answer.json()["refresh_token"]
    claims = at_home().get(
        provider.url("/userinfo"), headers={"Authorization": f"Bearer {answer.json()['access_token']}"}, timeout=20
    ).json()  # fmt: skip
    assert claims["sub"] == alice.id
    assert addresses(provider) == {HOME}


def test_what_the_provider_says_about_itself_is_what_callers_use(provider):
    document = at_home().get(provider.url("/.well-known/openid-configuration"), headers=LIES, timeout=20).json()
    assert document["issuer"] == provider.issuer
    assert all(value.startswith(provider.issuer) for name, value in document.items() if name.endswith("_endpoint"))
    assert at_home().get(document["jwks_uri"], timeout=20).json()["keys"]


def test_pages_come_whole_and_set_their_cookies(provider, app):
    asked = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "response_type": "code", "scope": "openid"}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    page = at_home().get(provider.url("/authorize"), params=asked, headers=LIES, timeout=20, allow_redirects=False)
    assert page.status_code == 303
    assert page.headers["Location"].startswith(("/authorize?", f"{provider.issuer}/authorize?"))
    cookies = page.raw.headers.getlist("Set-Cookie")
    assert cookies
    assert all(cookie.startswith("__Host-gh_") and "Secure" in cookie for cookie in cookies)


def test_errors_at_the_token_endpoint_are_its_own(provider, app):
    answer = at_home().post(provider.url("/token"), data={"grant_type": "password"}, headers=app.basic, timeout=20)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    assert answer.headers["Cache-Control"] == "no-store"
    refused = at_home().post(provider.url("/token"), data={"grant_type": "authorization_code"}, timeout=20)
    assert refused.status_code == 401
