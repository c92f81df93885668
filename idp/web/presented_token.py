"""A token that somebody asks about: what it is, and whose (RFC 7662, RFC 7009).

Hints are never trusted to exclude: a wrong token_type_hint still finds the token (RFC 7009 section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idp.jose.access_token import verify_access_token
from idp.jose.strict import JoseError
from idp.jose.verify import LEEWAY, check_audience
from idp.store import reference_token, refresh_token
from idp.store.digests import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idp.store.database import Session
    from idp.store.refresh_token import RefreshToken
    from idp.web.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """One of ours, in time: well signed, or kept here. Whether anything has ended it is another question."""

    claims: Mapping[str, object]

    @property
    def client_id(self) -> str:
        """Name the client it was issued to."""
        return str(self.claims["client_id"])


def access_token(held: Services, token: str, now: datetime) -> AccessToken | None:
    """Read an access token of ours; None for anything else, an ID token too."""
    try:
        return AccessToken(claims=claims_of(held, token, now, audiences=None, leeway=0))
    except JoseError:
        return None


def claims_of(
    held: Services, token: str, now: datetime, *, audiences: frozenset[str] | None, leeway: float = LEEWAY
) -> Mapping[str, object]:
    """Return what an access token says, a JWT by itself and a reference by what was kept; or refuse it."""
    if "." not in token:
        return _kept(held, token, now, audiences)
    return verify_access_token(
        token,
        held.keyring.verifying(now),
        issuer=held.settings.issuer,
        audiences=audiences,
        algs=held.keyring.algs,
        now=now.timestamp(),
        leeway=leeway,
    )


def _kept(held: Services, token: str, now: datetime, audiences: frozenset[str] | None) -> Mapping[str, object]:
    with held.db.read() as tx:
        row = reference_token.find(tx, digest(token))
    if row is None:
        raise JoseError("no such reference")
    if now >= row.expires_at:
        raise JoseError("token has expired")
    if audiences is not None:
        check_audience(row.claims, audiences)
    return row.claims


def find_refresh_token(tx: Session, token: str) -> RefreshToken | None:
    """Find a refresh token of ours, used or not."""
    return refresh_token.find(tx, digest(token))
