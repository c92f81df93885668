"""Making the tokens of an award: RFC 9068 access tokens and OpenID Connect ID tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from idp.clients.client import REFERENCE
from idp.jose.access_token import ACCESS_TOKEN_TYP
from idp.jose.hashes import half_hash
from idp.jose.sign import sign
from idp.protocol.confirmation import token_type
from idp.store import reference_token
from idp.store.digests import digest, new_secret
from idp.store.session import UNPROVED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.clients.client import Api, Client
    from idp.keys.rotation import Signers
    from idp.protocol.confirmation import Confirmation
    from idp.store.database import Session
    from idp.store.grant import Grant
    from idp.web.services import Services

ID_TOKEN_TYP: Final = "JWT"  # noqa: S105 - a media type
JTI_BYTES: Final = 16


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
    cnf: Confirmation | None = None  # without this key the access token is worth nothing
    reference: str | None = field(default=None, repr=False)  # the access token itself, when it is not a JWT
    # Of an exchange: claims of its own, an end that is not the API's, and what the audit keeps (RFC 8693).
    claims: Mapping[str, object] = field(default_factory=dict)
    expires_at: int | None = None
    issued_token_type: str | None = None
    recorded: Mapping[str, object] = field(default_factory=dict)

    @property
    def account_id(self) -> str | None:
        """Name the person it is about; None for a service."""
        return self.subject if self.grant is not None or "grant_id" in self.claims else None


def require_keys(award: Award, signers: Signers) -> None:
    """Fail while all can still be undone, should an algorithm that these tokens need have lost its key."""
    for alg in _algs(award):
        signers(alg)


def _algs(award: Award) -> tuple[str, ...]:
    identity = () if award.id_token is None or award.grant is None else (award.client.id_token_alg,)
    return identity if award.client.access_token_format == REFERENCE else (award.api.signing_alg, *identity)


def tokens(award: Award, signers: Signers, held: Services, now: datetime) -> dict[str, object]:
    """Return the body of a token response (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3)."""
    issued = int(now.timestamp())
    lifetime = _end(award, issued) - issued
    # RFC 6749 section 5.1: required when it differs from what was asked; always there, so nobody needs to guess.
    scope = " ".join(award.scopes)
    access_token = award.reference or _signed(award, signers, held, now)
    body: dict[str, object] = {
        "access_token": access_token,
        "token_type": token_type(award.cnf),
        "expires_in": lifetime,
        "scope": scope,
    }
    if award.issued_token_type is not None:
        body["issued_token_type"] = award.issued_token_type  # RFC 8693 section 2.2.1
    if award.refresh_token is not None:
        body["refresh_token"] = award.refresh_token
    if award.id_token is not None and award.grant is not None:
        body["id_token"] = _id_token(award, award.grant, award.id_token, access_token, signers, held, now)
    return body


def kept(tx: Session, award: Award, held: Services, now: datetime) -> Award:
    """Keep what an access token means, for clients that are given references; others' tokens are their own record."""
    if award.client.access_token_format != REFERENCE:
        return award
    reference = new_secret()
    reference_token.create(
        tx,
        token_hash=digest(reference),
        client_id=award.client.client_id,
        claims=_access_claims(award, held, now),
        now=now,
        expires_at=datetime.fromtimestamp(_end(award, int(now.timestamp())), UTC),
    )
    return replace(award, reference=reference)


def _end(award: Award, issued: int) -> int:
    return issued + int(award.api.token_lifetime.total_seconds()) if award.expires_at is None else award.expires_at


def _signed(award: Award, signers: Signers, held: Services, now: datetime) -> str:
    claims = _access_claims(award, held, now)
    return sign(claims, signers(award.api.signing_alg), typ=ACCESS_TOKEN_TYP)


def _access_claims(award: Award, held: Services, now: datetime) -> dict[str, object]:
    """RFC 9068 section 2.2. One audience; only the scopes and roles that mean something there."""
    issued = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": held.settings.issuer,
        "sub": award.subject,
        "aud": award.api.audience,
        "client_id": award.client.client_id,
        "iat": issued,
        "exp": _end(award, issued),
        "jti": secrets.token_urlsafe(JTI_BYTES),
        "scope": " ".join(award.scopes),
    }
    if award.roles:
        claims["roles"] = sorted(award.roles)
    if award.grant is not None:
        claims |= _authentication(award.grant)
        claims["grant_id"] = award.grant.id
    if award.cnf is not None:
        claims["cnf"] = award.cnf
    return {**claims, **award.claims}


def _id_token(  # noqa: PLR0917 - each is a fact of its own
    award: Award, grant: Grant, facts: IdToken, access_token: str, signers: Signers, held: Services, now: datetime
) -> str:
    """OpenID Connect Core section 2. People's claims only where asked for by name (section 5.5)."""
    alg = award.client.id_token_alg
    issued = int(now.timestamp())
    claims: dict[str, object] = {
        **facts.claims,
        "iss": held.settings.issuer,
        "sub": award.subject,
        "aud": award.client.client_id,
        "iat": issued,
        "exp": issued + int(held.settings.id_token_lifetime.total_seconds()),
        "at_hash": half_hash(access_token, alg),
        **_authentication(grant),
    }
    if facts.nonce is not None:
        claims["nonce"] = facts.nonce
    return sign(claims, signers(alg), typ=ID_TOKEN_TYP)


def _authentication(grant: Grant) -> dict[str, object]:
    """How and when the person signed in (RFC 9068 section 2.2.1, OpenID Connect Core section 2)."""
    facts: dict[str, object] = {"acr": grant.acr, "amr": list(grant.amr)}
    if grant.auth_time != UNPROVED:  # a gateway that asks for a recent sign-in then has none
        facts["auth_time"] = int(grant.auth_time.timestamp())
    if grant.session_id is not None:
        facts["sid"] = grant.session_id
    return facts
