"""What certification needs: one person whose every standard claim is filled, and static clients from a list.

The secrets here are known to everybody, so this mode listens on loopback only (idp.settings refuses the rest).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from idp.accounts.passwords import Passwords
from idp.clients import issuer_api, registration
from idp.clients.client import AUTHORIZATION_CODE, BASIC, POST, REFRESH_TOKEN
from idp.clients.registration import Registration
from idp.settings import Settings
from idp.store import account, api, client, migrate
from idp.store.database import Database, Session

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
KINDS: Mapping[str, type] = {
    "client_id": str,
    "client_secret": str,
    "client_name": str,
    "redirect_uris": list,
    "post_logout_redirect_uris": list,
    "grant_types": list,
    "token_endpoint_auth_method": str,
    "application_type": str,
    "id_token_signed_response_alg": str,
    "jwks": dict,
    "scope": str,
    "require_pkce": bool,
}
SECRET_METHODS = frozenset({BASIC, POST})
IN_WORDS = {str: "a text", list: "a list of texts", dict: "an object", bool: "true or false"}
# What the registration rules call differently from RFC 7591.
PUBLIC_NAMES = {
    "name": "client_name",
    "auth_method": "token_endpoint_auth_method",
    "id_token_alg": "id_token_signed_response_alg",
    "secret": "client_secret",
}
GRANTS = (AUTHORIZATION_CODE, REFRESH_TOKEN)
SCOPE = " ".join(issuer_api.OIDC_SCOPES)


class UnusableClients(Exception):
    """The list of clients cannot be used; the text says which member of which client is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticClient:
    """One client of the list, with this mode's defaults filled in."""

    place: int
    registration: Registration
    scopes: frozenset[str]

    @classmethod
    def parse(cls, place: int, said: object) -> StaticClient:
        """Read one entry: members as in RFC 7591 section 2, unknown ones ignored as there."""
        if not isinstance(said, dict) or not said.get("client_id"):
            raise UnusableClients(f"client {place}: write an object with a client_id")
        said = {name: value for name, value in said.items() if value is not None}
        for name, kind in KINDS.items():
            if name in said and not _is(kind, said[name]):
                raise UnusableClients(f"client {place}: {name}: write {IN_WORDS[kind]}")
        wanted = _registration(said)
        wrong = [*registration.problems(wanted), *_secret(wanted)]
        if wrong:
            raise UnusableClients("\n".join(f"client {place}: {_named(each)}" for each in wrong))
        return cls(place=place, registration=wanted, scopes=frozenset(said.get("scope", SCOPE).split()))


def _is(kind: type, value: object) -> bool:
    if isinstance(value, list):
        return kind is list and all(isinstance(each, str) for each in value)
    return isinstance(value, kind)


def _registration(said: Mapping[str, Any]) -> Registration:
    return Registration(
        client_id=said["client_id"],
        name=said.get("client_name", said["client_id"]),
        # RFC 7591 section 2: the method of a client that names none.
        auth_method=said.get("token_endpoint_auth_method", BASIC),
        grant_types=tuple(said.get("grant_types", GRANTS)),
        redirect_uris=tuple(said.get("redirect_uris", ())),
        post_logout_redirect_uris=tuple(said.get("post_logout_redirect_uris", ())),
        application_type=said.get("application_type", "web"),
        require_pkce=said.get("require_pkce", False),
        require_consent=False,
        jwks=said.get("jwks"),
        id_token_alg=said.get("id_token_signed_response_alg", "RS256"),
        secret=said.get("client_secret") if said.get("token_endpoint_auth_method", BASIC) in SECRET_METHODS else None,
        any_secret=True,
    )


def _secret(wanted: Registration) -> Iterator[str]:
    # Elsewhere a missing secret is made; here nobody would learn it.
    if wanted.has_secret and not wanted.secret:
        yield f"client_secret: {wanted.auth_method} needs one"


def _named(problem: str) -> str:
    name, colon, words = problem.partition(":")
    return f"{PUBLIC_NAMES.get(name, name)}{colon}{words}"


def read_clients(file: Path | None) -> tuple[StaticClient, ...]:
    """Read the list; no file is no clients."""
    if file is None:
        return ()
    try:
        said = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise UnusableClients(f"{file}: this is no readable JSON file") from None
    entries = said.get("clients") if isinstance(said, dict) else said
    if not isinstance(entries, list):
        raise UnusableClients(f"{file}: write a list of clients")
    clients = tuple(StaticClient.parse(place, entry) for place, entry in enumerate(entries, start=1))
    if len({one.registration.client_id for one in clients}) < len(clients):
        raise UnusableClients(f"{file}: each client_id stands once")
    return clients


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
    registration.register(tx, one.registration, now)
    for name in one.scopes & scopes.keys():
        client.allow_scope(tx, one.registration.client_id, scopes[name])
