"""The issuer as an API: it owns the OpenID Connect scopes, and userinfo is what they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.store import api

if TYPE_CHECKING:
    from datetime import datetime

    from idp.store.api import Api
    from idp.store.database import Database, Session

# Texts of the consent page; OpenID Connect Core sections 5.4 and 11.
OIDC_SCOPES: Final = {
    "openid": "Know who you are",
    "profile": "See your profile: names, picture, language and the like",
    "email": "See your e-mail address",
    "address": "See your postal address",
    "phone": "See your phone number",
    "offline_access": "Stay connected while you are away",
}


def ensure(db: Database, issuer: str, now: datetime) -> None:
    """Make sure that the issuer stands in the store as an API; costs one read when it does."""
    with db.read() as tx:
        found = api.find(tx, issuer)
        if found is not None and {scope.name for scope in api.scopes(tx, found.id)} >= OIDC_SCOPES.keys():
            return
    with db.write() as tx:
        register(tx, issuer, now)


def register(tx: Session, issuer: str, now: datetime) -> Api:
    """Write the issuer's API and its scopes as far as they are missing."""
    own = api.find(tx, issuer) or api.create(tx, audience=issuer, name="Your account", now=now, builtin=True)
    there = {scope.name for scope in api.scopes(tx, own.id)}
    for name, description in OIDC_SCOPES.items():
        if name not in there:
            api.add_scope(tx, own.id, name, description)
    return own
