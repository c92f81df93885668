"""What a person's grant still buys: everything it rests on is looked at again each time (TK23)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idp.accounts import person
from idp.accounts.roles import Entitlements, entitlements
from idp.endpoints.token import target
from idp.endpoints.token.mint import Award, IdToken
from idp.protocol import claims
from idp.protocol.claims import ClaimsRequest
from idp.protocol.errors import InvalidGrant
from idp.protocol.scope import OFFLINE, OPENID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from idp.clients.client import Client
    from idp.protocol.params import TokenRequest
    from idp.protocol.scope import Scopes
    from idp.store import standing
    from idp.store.account import Account
    from idp.store.database import Session
    from idp.store.grant import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A grant that may still be used, the person behind it, and what is left of its scopes."""

    grant: Grant
    account: Account
    scopes: Scopes


def check(held: standing.Standing | None, client: Client, scopes: Scopes, now: datetime) -> Standing:
    """Refuse a grant that anything has ended since: its own end, the account's, the session's, the consent's."""
    if held is None or held.grant.client_id != client.client_id:
        raise InvalidGrant("the grant is not this client's")
    if not held.grant.live(now):
        raise InvalidGrant("the grant has ended")
    if held.account.disabled_at is not None:
        raise InvalidGrant("the account is closed")
    if held.account.not_before is not None and held.grant.created_at < held.account.not_before:
        raise InvalidGrant("the account has changed since")
    if held.session_ended_at is not None:
        raise InvalidGrant("the session has ended")
    if client.require_consent and not held.consented:
        raise InvalidGrant("consent was taken back")
    left = target.limit(scopes, client.scopes)
    if not left:
        raise InvalidGrant("nothing of the grant is left")
    return Standing(grant=held.grant, account=held.account, scopes=left)


def award(
    tx: Session,
    held: Standing,
    client: Client,
    form: TokenRequest,
    *,
    issuer: str,
    preferred: Sequence[str],
    nonce: str | None,
    refresh_token: str | None,
) -> Award:
    """Return the tokens' content for one audience, with the roles the person has there now."""
    audience = target.choose(held.scopes, asked=form.targets(), preferred=preferred, issuer=issuer)
    scopes = target.narrow(held.scopes, audience, form.scope())
    api = client.apis[audience]
    # The issuer's own scopes need no role; an API's are each granted by one.
    roles = Entitlements() if api.builtin else entitlements(tx, held.account.id, audience)
    if not api.builtin:
        scopes = tuple(name for name in scopes if name in roles.scopes)
    if not scopes:
        raise InvalidGrant("no role grants this any more")
    return Award(
        client=client,
        subject=held.account.id,
        api=api,
        scopes=scopes,
        roles=roles.roles,
        grant=held.grant,
        id_token=_id_token(held, nonce) if OPENID in held.scopes.get(issuer, ()) else None,
        refresh_token=refresh_token,
    )


def offline(scopes: Scopes, issuer: str) -> bool:
    """Say whether refresh tokens were consented to (OpenID Connect Core section 11)."""
    return OFFLINE in scopes.get(issuer, ())


def _id_token(held: Standing, nonce: str | None) -> IdToken:
    asked = ClaimsRequest.from_json(held.grant.claims)
    return IdToken(nonce=nonce, claims=claims.for_id_token(person.claims(held.account), asked=asked))
