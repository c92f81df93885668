"""What the demo's database holds: one API, one person, three clients. Run again, it mends what is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from idp.accounts.passwords import Passwords
from idp.clients import issuer_api
from idp.demo.facts import (
    AUDIENCE,
    PUBLIC,
    PUBLIC_REDIRECT,
    READ,
    SCOPES,
    SERVICE,
    USERNAME,
    WEB,
    Facts,
)
from idp.settings import Settings, SettingsError
from idp.store import account, api, client, group, migrate, role
from idp.store.database import Database
from idp.store.digests import digest
from idp.store.sealed import UnsafeKeyFile, create_master_key

if TYPE_CHECKING:
    from idp.store.database import Session

PERSON: dict[str, object] = {
    "name": "Ada Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "nickname": "Ada",
    "locale": "en",
    "zoneinfo": "Europe/London",
}
EMAIL = "ada@example.org"
OIDC = ("openid", "profile", "email", "offline_access")
GROUP, CLERK, REPORTER = "order clerks", "clerk", "reporter"
ASKS: dict[str, object] = {
    "grant_types": ["authorization_code", "refresh_token"],
    "require_pkce": True,
    "require_consent": True,
}


def seed(settings: Settings, facts: Facts, now: datetime) -> None:
    """Bring key, tables and rows to what the facts say; what is already so is left alone."""
    if not settings.master_key_file.exists():
        create_master_key(settings.master_key_file)
    database = Database.open(settings.database_url)
    try:
        migrate.upgrade(database.engine)
        hashed = _password_hash(database, settings, facts)
        with database.write() as tx:
            _rows(tx, facts, hashed, now)
    finally:
        database.close()


def _password_hash(database: Database, settings: Settings, facts: Facts) -> str | None:
    """Hash the password, outside any transaction, unless the account has it already."""
    with database.read() as tx:
        ada = account.find_by_login(tx, USERNAME)
    passwords = Passwords.from_settings(settings)
    if ada is not None and passwords.verify(ada.password_hash, facts.password).accepted:
        return None
    return passwords.hash(facts.password)


def _rows(tx: Session, facts: Facts, hashed: str | None, now: datetime) -> None:
    own = issuer_api.register(tx, facts.places.issuer, now)
    orders = api.find(tx, AUDIENCE) or api.create(tx, audience=AUDIENCE, name="Orders API", now=now)
    scopes = {name: _scope(tx, orders.id, name, text) for name, text in SCOPES.items()}
    oidc = [scope.id for scope in api.scopes(tx, own.id) if scope.name in OIDC]
    clerk = _role(tx, orders.id, CLERK, list(scopes.values()))
    reporter = _role(tx, orders.id, REPORTER, [scopes[READ]])
    _ada(tx, clerk, hashed, now)
    _client(
        tx,
        now,
        client_id=WEB,
        name="Orders Desk",
        auth_method="client_secret_basic",
        secret=facts.web_secret,
        scopes=[*oidc, *scopes.values()],
        facts={
            **ASKS,
            "redirect_uris": [facts.web_redirect],
            "post_logout_redirect_uris": [facts.signed_out],
            "client_uri": facts.places.app_url,
        },
    )
    _client(
        tx,
        now,
        client_id=PUBLIC,
        name="Orders in your pocket",
        auth_method="none",
        scopes=[*oidc, *scopes.values()],
        facts={**ASKS, "redirect_uris": [PUBLIC_REDIRECT], "application_type": "native"},
    )
    _client(
        tx,
        now,
        client_id=SERVICE,
        name="Nightly order report",
        auth_method="client_secret_basic",
        secret=facts.service_secret,
        scopes=[scopes[READ]],
        facts={"grant_types": ["client_credentials"]},
    )
    # A report only reads, so placing an order is refused, with the reason.
    role.add_client(tx, reporter, SERVICE)


def _scope(tx: Session, api_id: str, name: str, text: str) -> str:
    found = api.find_scope(tx, api_id, name) or api.add_scope(tx, api_id, name, text)
    return found.id


def _role(tx: Session, api_id: str, name: str, scopes: list[str]) -> str:
    found = role.find(tx, api_id, name) or role.create(tx, api_id=api_id, name=name)
    for scope in scopes:
        role.add_scope(tx, found.id, scope)
    return found.id


def _ada(tx: Session, clerk: str, hashed: str | None, now: datetime) -> None:
    ada = account.find_by_login(tx, USERNAME)
    if ada is None:
        ada = account.create(
            tx, username=USERNAME, email=EMAIL, email_verified=True, password_hash=hashed, claims=PERSON, now=now
        )
    elif hashed is not None:
        account.set_password(tx, ada.id, hashed, now)
    clerks = group.find(tx, GROUP) or group.create(tx, name=GROUP)
    group.add_member(tx, clerks.id, ada.id)
    group.add_role(tx, clerks.id, clerk)


def _client(
    tx: Session,
    now: datetime,
    *,
    client_id: str,
    name: str,
    auth_method: str,
    scopes: list[str],
    secret: str | None = None,
    facts: Mapping[str, object],
) -> None:
    wanted: dict[str, object] = {**facts, "secret_hash": None if secret is None else digest(secret)}
    found = client.find(tx, client_id)
    if found is None:
        client.create(tx, client_id=client_id, name=name, auth_method=auth_method, now=now, **wanted)
    elif any(getattr(found, column) != value for column, value in wanted.items()):
        client.change(tx, client_id, now, wanted)
    for scope in scopes:
        client.allow_scope(tx, client_id, scope)


def _refuse_other_issuer(settings: Settings, facts: Facts) -> None:
    # A folder with another issuer is somebody's own provider: no demo account goes in there.
    if settings.issuer != facts.places.issuer:
        raise SettingsError([f"issuer: the demo is always {facts.places.issuer}; leave it unset, or use `idp run`"])


def main() -> int:
    """Look after the rows of the facts on standard input; say in words why it cannot be done."""
    facts = Facts.from_json(sys.stdin.read())
    try:
        settings = Settings.load(None)
        _refuse_other_issuer(settings, facts)
        seed(settings, facts, datetime.now(UTC))
    except (SettingsError, UnsafeKeyFile) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
