"""What certification needs: one person whose every standard claim is filled, and static clients from a list.

The secrets here are known to everybody, so this mode listens on loopback only (idp.settings refuses the rest).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from idp.accounts.passwords import Passwords
from idp.clients import issuer_api
from idp.settings import Settings
from idp.store import account, api, client, migrate
from idp.store.database import Database, Session
from idp.store.digests import digest

USERNAME, PASSWORD = "alice", "alice-password"
EMAIL = "alice@example.com"
# OpenID Connect Core section 5.1: every claim that the profile, address and phone scopes release.
CLAIMS: dict[str, Any] = {
    "name": "Alice Liddell Carroll",
    "given_name": "Alice",
    "family_name": "Carroll",
    "middle_name": "Liddell",
    "nickname": "Ally",
    "preferred_username": USERNAME,
    "profile": "https://example.com/alice",
    "picture": "https://example.com/alice/picture.png",
    "website": "https://alice.example.com/",
    "gender": "female",
    "birthdate": "1990-05-04",
    "zoneinfo": "Europe/London",
    "locale": "en-GB",
    "phone_number": "+44 20 7946 0018",
    "phone_number_verified": True,
    "address": {
        "formatted": "1 Looking Glass Lane\nOxford\nOxfordshire\nOX1 2AB\nUnited Kingdom",
        "street_address": "1 Looking Glass Lane",
        "locality": "Oxford",
        "region": "Oxfordshire",
        "postal_code": "OX1 2AB",
        "country": "United Kingdom",
    },
}
MEMBERS = {
    "client_id": str,
    "client_secret": str,
    "client_name": str,
    "redirect_uris": list,
    "post_logout_redirect_uris": list,
    "grant_types": list,
    "response_types": list,
    "token_endpoint_auth_method": str,
    "jwks": dict,
    "scope": str,
    "require_pkce": bool,
}
GRANTS = ["authorization_code", "refresh_token"]


class UnusableClients(Exception):
    """The list of clients cannot be used; the text says which member of which client is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticClient:
    """One client of the list, with this mode's defaults filled in."""

    client_id: str
    name: str
    secret: str | None
    auth_method: str
    scopes: frozenset[str]
    facts: Mapping[str, object]

    @classmethod
    def parse(cls, place: int, said: object) -> StaticClient:
        """Read one entry (members named as in RFC 7591 section 2)."""
        if not isinstance(said, dict) or not said.get("client_id"):
            raise UnusableClients(f"client {place}: an object with a client_id is needed")
        for name, value in said.items():
            if not isinstance(value, MEMBERS.get(name, object)):
                raise UnusableClients(f"client {place}: {name} is not a {MEMBERS[name].__name__}")
        secret = said.get("client_secret")
        method = said.get("token_endpoint_auth_method", "client_secret_basic" if secret else "none")
        if method.startswith("client_secret") and not secret:
            raise UnusableClients(f"client {place}: {method} needs a client_secret")
        if method == "private_key_jwt" and not said.get("jwks"):
            raise UnusableClients(f"client {place}: private_key_jwt needs jwks")
        return cls(
            client_id=said["client_id"],
            name=str(said.get("client_name") or said["client_id"]),
            secret=secret,
            auth_method=method,
            scopes=frozenset(said.get("scope", " ".join(issuer_api.OIDC_SCOPES)).split()),
            facts={
                "redirect_uris": said.get("redirect_uris", []),
                "post_logout_redirect_uris": said.get("post_logout_redirect_uris", []),
                "grant_types": said.get("grant_types", GRANTS),
                "require_pkce": said.get("require_pkce", False),
                "jwks": said.get("jwks"),
                "require_consent": False,
            },
        )


def read_clients(file: Path | None) -> tuple[StaticClient, ...]:
    """Read the list; no file is no clients."""
    if file is None:
        return ()
    try:
        said = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise UnusableClients(f"{file}: this is no readable JSON file") from None
    entries: Sequence[object] = said.get("clients", []) if isinstance(said, dict) else said
    if not isinstance(entries, list):
        raise UnusableClients(f"{file}: a list of clients is needed")
    return tuple(StaticClient.parse(place, entry) for place, entry in enumerate(entries, start=1))


def seed(settings: Settings, clients: Sequence[StaticClient], now: datetime) -> None:
    """Fill an empty database with the person and the clients."""
    hashed = Passwords.from_settings(settings).hash(PASSWORD)
    database = Database.open(settings.database_url)
    try:
        migrate.upgrade(database.engine)
        with database.write() as tx:
            account.create(
                tx,
                username=USERNAME,
                email=EMAIL,
                email_verified=True,
                password_hash=hashed,
                claims=CLAIMS,
                now=now,
            )
            own = issuer_api.register(tx, settings.issuer, now)
            scopes = {scope.name: scope.id for scope in api.scopes(tx, own.id)}
            for one in clients:
                _register(tx, one, scopes, now)
    finally:
        database.close()


def _register(tx: Session, one: StaticClient, scopes: Mapping[str, str], now: datetime) -> None:
    client.create(
        tx,
        client_id=one.client_id,
        auth_method=one.auth_method,
        secret_hash=digest(one.secret) if one.secret else None,
        now=now,
        name=one.name,
        **one.facts,
    )
    for name in one.scopes & scopes.keys():
        client.allow_scope(tx, one.client_id, scopes[name])
