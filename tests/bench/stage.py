"""Our provider as it is measured: `idp run`, a durable database, one API, a service and an app that asks for codes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from idp.accounts.sessions import Sessions
from idp.store import api, consent, group, role
from tests.bench.contest import Sample
from tests.bench.wrk import load
from tests.fixtures import clients, people
from tests.fixtures.clients import App
from tests.services.provider import Provider, session

AUDIENCE = "https://orders.example"
SCOPES = ("orders:read", "orders:write")
REDIRECT = "https://app.example/cb"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SERVICE_FORM = urlencode({"grant_type": "client_credentials", "scope": "orders:read", "resource": AUDIENCE})
AUTHORIZE = {
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "scope": "openid orders:read",
    "state": "state-of-the-app",
    "nonce": "nonce-of-the-app",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "resource": AUDIENCE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running provider and who acts on it."""

    provider: Provider
    service: App
    web_app: App
    alice: people.Person

    @property
    def pid(self) -> int:
        """The process whose family is the server."""
        assert self.provider.program is not None
        return self.provider.program.pid

    def load(self, script: str, plan: dict[str, object], seconds: float, **more: Any) -> Sample:
        """Run one round of a script."""
        return load(f"http://127.0.0.1:{self.provider.port}", script, plan, seconds=seconds, pids=(self.pid,), **more)

    def service_tokens(self, seconds: float) -> Sample:
        """Ask for client_credentials tokens."""
        return self.load("same", service_plan(self.service.basic), seconds)


def set_up(folder: Path, *, server: str = "granian", workers: int = 1, **chosen: Any) -> Stage:
    """Start a provider with everything in it."""
    provider = Provider(folder, server=server, workers=workers, **chosen)
    services = provider.services
    with provider.db.write() as tx:
        orders = api.create(tx, audience=AUDIENCE, name="Orders", now=services.clock())
        clerk = role.create(tx, api_id=orders.id, name="clerk")
        for name in SCOPES:
            role.add_scope(tx, clerk.id, api.add_scope(tx, orders.id, name, name).id)
        staff = group.create(tx, name="staff")
        group.add_role(tx, staff.id, clerk.id)
        alice = people.register(tx, "alice", services)
        group.add_member(tx, staff.id, alice.id)
    service = clients.register(services, "service", scopes=SCOPES, grant_types=["client_credentials"])
    web_app = clients.register(
        services,
        "web-app",
        scopes=("openid", "offline_access", *SCOPES),
        grant_types=clients.CODE_AND_REFRESH,
        redirect_uris=[REDIRECT],
    )
    with provider.db.write() as tx:
        role.add_client(tx, clerk.id, service.client_id)
        allowed = {AUDIENCE: list(SCOPES), provider.issuer: ["openid", "offline_access"]}
        consent.allow(tx, alice.id, web_app.client_id, allowed, services.clock())
    provider.start()
    return Stage(provider=provider, service=service, web_app=web_app, alice=alice)


def service_plan(basic: dict[str, str]) -> dict[str, object]:
    """What a service sends for a token, the same to every contestant."""
    return {"method": "POST", "path": "/token", "headers": {**FORM, **basic}, "body": SERVICE_FORM, "status": 200}


def flow_cookie(stage: Stage) -> str:
    """Begin a sign-in as a browser would, and return the cookie that binds it to that browser."""
    query = urlencode({**AUTHORIZE, "client_id": stage.web_app.client_id})
    begun = session().get(stage.provider.url(f"/authorize?{query}"), allow_redirects=False, timeout=10)
    assert begun.status_code == 303, begun.text
    return cookies(begun.headers["Set-Cookie"])


def signed_in(stage: Stage) -> str:
    """Return the cookies of a browser in which alice is signed in."""
    services = stage.provider.services
    with services.db.write() as tx:
        opened = Sessions.from_settings(services.db, services.settings).sign_in(
            tx, stage.alice.id, None, now=services.clock(), user_agent="benchmark", ip="127.0.0.1"
        )
    return f"{flow_cookie(stage)}; __Host-gh_session={opened.secret}"


def cookies(header: str) -> str:
    """Turn Set-Cookie into Cookie."""
    return "; ".join(f"{name}={morsel.value}" for name, morsel in SimpleCookie(header).items())
