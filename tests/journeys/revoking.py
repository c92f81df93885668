"""Two gateways before an API, two workers of a provider behind them, and somebody who revokes."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import requests

from idp.store import api, grant, group, refresh_token, role, session
from idp.store.digests import digest, new_secret
from tests.fixtures import clients, people
from tests.fixtures.clients import App
from tests.services import provider as providers
from tests.services.gateway import Gateway
from tests.services.provider import IDP, Provider

AUDIENCE = "https://orders.example"
POLL = 0.3  # seconds, as gateways look by default
BY_SECRET = 'client = {{ id = "{id}", secret_file = "{file}" }}'
BY_KEY = 'client = {{ id = "{id}", key_file = "{file}" }}'
STREAM = '\nrevocation = {{ journal = "{folder}/revoked.journal" }}\n'


@dataclass(kw_only=True)
class Line:
    """Everything at work."""

    provider: Provider
    gateways: list[Gateway]
    service: App
    app: App
    staff: str
    orders: str

    def own_token(self, caller: requests.Session | None = None) -> str:
        """A service's token for itself."""
        form = {"grant_type": "client_credentials", "scope": "orders:read"}
        url, headers = self.provider.url("/token"), self.service.basic
        answer = (caller or providers.session()).post(url, data=form, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def revoke(self, token: str, caller: requests.Session | None = None) -> None:
        """Give it back (RFC 7009)."""
        url, headers = self.provider.url("/revoke"), self.service.basic
        answer = (caller or providers.session()).post(url, data={"token": token}, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text

    def signed_in(self, name: str) -> tuple[people.Person, str, str]:
        """A person with a session, and the access token of an app they use."""
        provider, now = self.provider, self.provider.clock()
        later = now + timedelta(days=1)
        with provider.db.write() as tx:
            person = people.register(tx, name, provider.services)
            group.add_member(tx, self.staff, person.id)
            times = {"idle_expires_at": later, "expires_at": later}
            opened = session.create(
                tx, cookie_hash=digest(name), account_id=person.id, acr="aal1", amr=["pwd"], now=now, **times
            )
            held = grant.create(
                tx,
                account_id=person.id,
                client_id=self.app.client_id,
                session_id=opened.id,
                scopes={AUDIENCE: ["orders:read"], provider.issuer: ["openid", "offline_access"]},
                auth_time=now,
                acr="aal1",
                amr=["pwd"],
                now=now,
                expires_at=later,
            )
            secret = new_secret()
            refresh_token.create(
                tx,
                token_hash=digest(secret),
                grant_id=held.id,
                client_id=self.app.client_id,
                scopes=held.scopes,
                now=now,
                idle_expires_at=later,
            )
        form = {"grant_type": "refresh_token", "refresh_token": secret, "resource": AUDIENCE}
        answer = providers.session().post(provider.url("/token"), data=form, headers=self.app.basic, timeout=20)
        assert answer.status_code == 200, answer.text
        return person, opened.id, str(answer.json()["access_token"])

    def revoked_after(self, caller: requests.Session) -> float:
        """Revoke a fresh token; how many seconds later has the last gateway begun to refuse it?"""
        token = self.own_token(caller)
        assert all(ask(gateway, token, caller) for gateway in self.gateways)
        # At any moment: whoever has just seen a refusal would else always revoke right after a gateway has looked.
        time.sleep(random.uniform(0, POLL))
        self.revoke(token, caller)
        since = time.monotonic()
        return max(wait(gateway, token, since) for gateway in self.gateways)

    def allowed(self, token: str) -> list[bool]:
        """What each gateway says now."""
        return [ask(gateway, token) for gateway in self.gateways]

    def refused_after(self, token: str, since: float) -> list[float]:
        """How many seconds after a moment each gateway began to refuse; a limit tells that it never did."""
        with ThreadPoolExecutor(len(self.gateways)) as pool:
            return list(pool.map(lambda gateway: wait(gateway, token, since), self.gateways))


def ask(gateway: Gateway, token: str, caller: requests.Session | None = None) -> bool:
    answer = (caller or providers.session()).get(gateway.url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


def wait(gateway: Gateway, token: str, since: float) -> float:
    """Wait for the first refusal; how many seconds after a moment did it come?"""
    caller = providers.session()
    while _passes(gateway, token, caller):
        if time.monotonic() - since > 15:
            return float("inf")
        time.sleep(0.002)
    return time.monotonic() - since


def _passes(gateway: Gateway, token: str, caller: requests.Session) -> bool:
    """An answer that is under way is cut by the revocation: no refusal yet, the next one is."""
    try:
        return ask(gateway, token, caller)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return True


@contextmanager
def running(folder: Path, database_url: str, **chosen: object) -> Iterator[Line]:
    """Two workers on PostgreSQL, one gateway with a secret and one with a key."""
    with Provider(folder / "provider", database_url=database_url, workers=2, **chosen) as provider:
        held = provider.services
        now = provider.clock()
        with provider.db.write() as tx:
            orders = api.create(tx, audience=AUDIENCE, name="Orders", now=now)
            scope = api.add_scope(tx, orders.id, "orders:read", "Read orders")
            clerk, staff = role.create(tx, api_id=orders.id, name="clerk"), group.create(tx, name="staff")
            role.add_scope(tx, clerk.id, scope.id)
            group.add_role(tx, staff.id, clerk.id)
        service = clients.register(held, "service", scopes=("orders:read",), grant_types=["client_credentials"])
        app = clients.register(
            held,
            "web-app",
            scopes=("orders:read", "openid", "offline_access"),
            grant_types=clients.CODE_AND_REFRESH,
            redirect_uris=["https://app.example/cb"],
            require_consent=False,
        )
        gateways = [_gateway(folder, provider, number, orders.id) for number in (1, 2)]
        try:
            yield Line(provider=provider, gateways=gateways, service=service, app=app, staff=staff.id, orders=orders.id)
        finally:
            for gateway in gateways:
                gateway.stop()


def _gateway(folder: Path, provider: Provider, number: int, api_id: str) -> Gateway:
    """Register a gateway as an operator would, and start it."""
    name, home = f"gateway-{number}", folder / f"gateway-{number}"
    proof = folder / f"{name}.proof"
    if number == 1:
        made = clients.register(provider.services, name, grant_types=[])
        proof.write_text(f"{made.secret}\n")
        lines = BY_SECRET
    else:
        jwks = folder / f"{name}.jwks"
        jwks.write_text(_run([IDP, "gateway", "key", proof]))
        provider.idp("client", "create", name, "--service", "--auth-method", "private_key_jwt", "--jwks", str(jwks))
        lines = BY_KEY
    with provider.db.write() as tx:
        api.add_resource_client(tx, api_id, name)
    more = (lines + STREAM).format(id=name, file=proof, folder=home)
    return Gateway(home, issuer=provider.issuer, audience=AUDIENCE, more=more)


def _run(argv: list[object]) -> str:
    return subprocess.run([str(each) for each in argv], check=True, capture_output=True, text=True, timeout=60).stdout
