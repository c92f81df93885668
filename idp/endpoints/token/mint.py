"""Making the tokens of an award: RFC 9068 access tokens and OpenID Connect ID tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from idp.jose.access_token import ACCESS_TOKEN_TYP
from idp.jose.hashes import half_hash
from idp.jose.sign import sign
from idp.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from idp.clients.client import Api, Client
    from idp.keys.rotation import Keyring
    from idp.store.grant import Grant

BEARER: Final = "Bearer"
ID_TOKEN_TYP: Final = "JWT"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """What an ID token says beside what the grant says."""

    nonce: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Award:
    """What a grant came to: everything the tokens will say. Never printed: it may hold a refresh token."""

    client: Client
    subject: str
    api: Api
    scopes: tuple[str, ...]
    roles: frozenset[str] = frozenset()
    grant: Grant | None = None
    id_token: IdToken | None = None
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Signs in the name of one issuer."""

    issuer: str
    keyring: Keyring
    id_token_lifetime: timedelta

    def tokens(self, award: Award, now: datetime) -> dict[str, object]:
        """Return the body of a token response (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3)."""
        lifetime = int(award.api.token_lifetime.total_seconds())
        access_token = self._access_token(award, now, lifetime)
        body: dict[str, object] = {
            "access_token": access_token,
            "token_type": BEARER,
            "expires_in": lifetime,
            # RFC 6749 section 5.1: required when it differs from what was asked; always there, nobody needs to guess.
            "scope": " ".join(award.scopes),
        }
        if award.refresh_token is not None:
            body["refresh_token"] = award.refresh_token
        if award.id_token is not None and award.grant is not None:
            body["id_token"] = self._id_token(award, award.grant, award.id_token, access_token, now)
        return body

    def _access_token(self, award: Award, now: datetime, lifetime: int) -> str:
        """RFC 9068 section 2.2. One audience; only the scopes and roles that mean something there."""
        issued = int(now.timestamp())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": award.subject,
            "aud": award.api.audience,
            "client_id": award.client.client_id,
            "iat": issued,
            "exp": issued + lifetime,
            "jti": new_id(),
            "scope": " ".join(award.scopes),
        }
        if award.roles:
            claims["roles"] = sorted(award.roles)
        if award.grant is not None:
            claims |= _authentication(award.grant)
            claims["grant_id"] = award.grant.id
        return sign(claims, self.keyring.signing(award.api.signing_alg, now), typ=ACCESS_TOKEN_TYP)

    def _id_token(self, award: Award, grant: Grant, facts: IdToken, access_token: str, now: datetime) -> str:
        """OpenID Connect Core section 2. People's claims only where asked for by name (section 5.5)."""
        alg = award.client.id_token_alg
        issued = int(now.timestamp())
        claims: dict[str, object] = {
            **facts.claims,
            "iss": self.issuer,
            "sub": award.subject,
            "aud": award.client.client_id,
            "iat": issued,
            "exp": issued + int(self.id_token_lifetime.total_seconds()),
            "at_hash": half_hash(access_token, alg),
            **_authentication(grant),
        }
        if facts.nonce is not None:
            claims["nonce"] = facts.nonce
        return sign(claims, self.keyring.signing(alg, now), typ=ID_TOKEN_TYP)


def _authentication(grant: Grant) -> dict[str, object]:
    """How and when the person signed in (RFC 9068 section 2.2.1, OpenID Connect Core section 2)."""
    facts: dict[str, object] = {
        "auth_time": int(grant.auth_time.timestamp()),
        "acr": grant.acr,
        "amr": list(grant.amr),
    }
    if grant.session_id is not None:
        facts["sid"] = grant.session_id
    return facts
