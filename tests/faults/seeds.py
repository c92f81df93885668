"""Codes and refresh tokens by the thousand, written straight into the store of a running provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import requests
from sqlalchemy import func, select

from idp.store import code, grant, refresh_token
from idp.store.digests import digest, new_secret
from idp.store.refresh_token import RefreshToken
from tests.fixtures import clients, people
from tests.fixtures.clients import App
from tests.services.provider import Provider, session

REDIRECT = "https://app.example/cb"
PATIENCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """A code that waits for its client."""

    app: App
    code: str
    grant_id: str

    def redeem(self, provider: Provider, caller: requests.Session | None = None) -> requests.Response:
        """Ask for its tokens."""
        form = {"grant_type": "authorization_code", "code": self.code, "redirect_uri": REDIRECT}
        return _post(provider, "/token", self.app, form, caller)

    def is_active(self, provider: Provider, token: str) -> bool:
        """Ask whether a token still lives."""
        return bool(_post(provider, "/introspect", self.app, {"token": token}, None).json()["active"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A refresh token, the first of its family."""

    app: App
    token: str
    grant_id: str

    def refresh(self, provider: Provider, caller: requests.Session | None = None) -> requests.Response:
        """Trade it."""
        form = {"grant_type": "refresh_token", "refresh_token": self.token}
        return _post(provider, "/token", self.app, form, caller)

    def leaves(self, provider: Provider) -> int:
        """Count the unused tokens of the family."""
        unused = (RefreshToken.grant_id == self.grant_id, RefreshToken.used_at.is_(None))
        with provider.db.read() as tx:
            return tx.scalar(select(func.count()).select_from(RefreshToken).where(*unused)) or 0


def rivals(number: int) -> list[requests.Session]:
    """Callers with a connection each."""
    return [session() for _ in range(number)]


def issue_codes(provider: Provider, number: int) -> list[Redemption]:
    """Write codes, each with a grant of its own."""
    app, person = _cast(provider)
    now = provider.clock()
    made = []
    with provider.db.write() as tx:
        for _ in range(number):
            secret, held = new_secret(), _grant(tx, provider, app, person)
            code.create(
                tx,
                code_hash=digest(secret),
                grant_id=held,
                client_id=app.client_id,
                redirect_uri=REDIRECT,
                code_challenge=None,
                nonce=None,
                resources=[provider.issuer],
                claims={},
                now=now,
                expires_at=now + timedelta(hours=1),
            )
            made.append(Redemption(app=app, code=secret, grant_id=held))
    return made


def issue_refresh_tokens(provider: Provider, number: int) -> list[Family]:
    """Write refresh tokens, each the first of a family."""
    app, person = _cast(provider)
    now = provider.clock()
    made = []
    with provider.db.write() as tx:
        for _ in range(number):
            secret, held = new_secret(), _grant(tx, provider, app, person)
            refresh_token.create(
                tx,
                token_hash=digest(secret),
                grant_id=held,
                client_id=app.client_id,
                scopes={provider.issuer: ["openid", "offline_access"]},
                now=now,
                idle_expires_at=now + timedelta(days=1),
            )
            made.append(Family(app=app, token=secret, grant_id=held))
    return made


def _cast(provider: Provider) -> tuple[App, people.Person]:
    """A person and an app; new ones each time, so that calls do not disturb each other."""
    name = f"racer-{new_secret()[:8].lower()}"
    app = clients.register(
        provider.services,
        name,
        scopes=("openid", "offline_access"),
        grant_types=clients.CODE_AND_REFRESH,
        redirect_uris=[REDIRECT],
        require_pkce=False,
        require_consent=False,
    )
    with provider.db.write() as tx:
        return app, people.register(tx, name, provider.services)


def _grant(tx: object, provider: Provider, app: App, person: people.Person) -> str:
    now = provider.clock()
    made = grant.create(
        tx,
        account_id=person.id,
        client_id=app.client_id,
        session_id=None,
        scopes={provider.issuer: ["openid", "offline_access"]},
        auth_time=now,
        acr="aal1",
        amr=["pwd"],
        now=now,
        expires_at=now + timedelta(days=90),
    )
    return made.id


def _post(
    provider: Provider, path: str, app: App, form: dict[str, str], caller: requests.Session | None
) -> requests.Response:
    return (caller or session()).post(provider.url(path), data=form, headers=app.basic, timeout=PATIENCE)
