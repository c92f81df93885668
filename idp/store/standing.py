"""Everything a grant rests on, in one statement: the grant, its account, its session's end, its consent.

Built once: writing a statement in Python costs more than sending it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from idp.store.account import Account
from idp.store.consent import Consent
from idp.store.database import Session
from idp.store.grant import Grant
from idp.store.prepared import Prepared
from idp.store.refresh_token import RefreshToken
from idp.store.session import BrowserSession
from idp.store.types import ScopeMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A grant and what it rests on, as it is now. `consented` is empty when nothing is remembered."""

    grant: Grant
    account: Account
    session_ended_at: dt.datetime | None
    consented: ScopeMap


_LEADS_TO = (
    select(Grant, Account)
    .join(Account, Account.id == Grant.account_id)
    .outerjoin(BrowserSession, BrowserSession.id == Grant.session_id)
    .outerjoin(
        Consent,
        (Consent.account_id == Grant.account_id)
        & (Consent.client_id == Grant.client_id)
        & Consent.revoked_at.is_(None),
    )
    # Held until the end of the transaction: nobody revokes the grant between this look and what it buys.
    .with_for_update(of=Grant)
)
_OF_GRANT = Prepared(
    _LEADS_TO.add_columns(BrowserSession.ended_at, Consent.scopes).where(Grant.id == bindparam("key")), Grant, Account
)
_OF_TOKEN = Prepared(
    _LEADS_TO.add_columns(RefreshToken, BrowserSession.ended_at, Consent.scopes)
    .join(RefreshToken, RefreshToken.grant_id == Grant.id)
    .where(RefreshToken.token_hash == bindparam("key")),
    Grant,
    Account,
    RefreshToken,
)


def of_grant(tx: Session, grant_id: str) -> Standing | None:
    """Return what a grant rests on, and hold the grant."""
    row = _OF_GRANT.one(tx, {"key": grant_id})
    return None if row is None else _standing(*row)


def of_refresh_token(tx: Session, token_hash: bytes) -> tuple[RefreshToken, Standing] | None:
    """Return a refresh token, used or not, and what its grant rests on; hold the grant."""
    row = _OF_TOKEN.one(tx, {"key": token_hash})
    if row is None:
        return None
    grant, account, token, ended_at, consented = row
    return token, _standing(grant, account, ended_at, consented)


def _standing(grant: Grant, account: Account, ended_at: dt.datetime | None, consented: ScopeMap | None) -> Standing:
    return Standing(grant=grant, account=account, session_ended_at=ended_at, consented=consented or {})
