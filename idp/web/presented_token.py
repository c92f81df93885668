"""A token that somebody asks about: what it is, and whose (RFC 7662, RFC 7009).

Hints are never trusted to exclude: a wrong token_type_hint still finds the token (RFC 7009 section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idp.jose.access_token import verify_access_token
from idp.jose.strict import JoseError
from idp.store import refresh_token
from idp.store.digests import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idp.store.database import Session
    from idp.store.refresh_token import RefreshToken
    from idp.web.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """One of ours, with a good signature, in time. Whether anything has ended it is another question."""

    claims: Mapping[str, object]

    @property
    def client_id(self) -> str:
        """Name the client it was issued to."""
        return str(self.claims["client_id"])


def access_token(held: Services, token: str, now: datetime) -> AccessToken | None:
    """Read an access token of ours; None for anything else, an ID token too."""
    try:
        claims = verify_access_token(
            token,
            held.keyring.verifying(now),
            issuer=held.settings.issuer,
            audiences=None,
            algs=held.keyring.algs,
            now=now.timestamp(),
            leeway=0,
        )
    except JoseError:
        return None
    return AccessToken(claims=claims)


def find_refresh_token(tx: Session, token: str) -> RefreshToken | None:
    """Find a refresh token of ours, used or not."""
    return refresh_token.find(tx, digest(token))
