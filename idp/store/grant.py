"""Grants: one consented authorization. Everything issued from it hangs on it and dies with it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import ColumnElement, ForeignKey, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import event, rows
from idp.store.ids import new_id
from idp.store.types import Base, JsonList, JsonObject, ScopeMap


class Grant(Base):
    """Who allowed which client what, and how they had signed in. `scopes` is by audience.

    `claims` is the request's claims parameter: userinfo answers it as long as the grant lives.
    """

    __tablename__ = "authorization_grant"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"), index=True)
    session_id: Mapped[str | None] = mapped_column(ForeignKey("session.id"), index=True)
    scopes: Mapped[ScopeMap]
    claims: Mapped[JsonObject] = mapped_column(default=dict)
    auth_time: Mapped[dt.datetime]
    acr: Mapped[str]
    amr: Mapped[JsonList]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    revoked_at: Mapped[dt.datetime | None]
    revoked_reason: Mapped[str | None]

    def live(self, now: dt.datetime) -> bool:
        """Say whether tokens may still be issued from it."""
        return self.revoked_at is None and now < self.expires_at


def create(
    tx: Session,
    *,
    account_id: str,
    client_id: str,
    session_id: str | None,
    scopes: ScopeMap,
    auth_time: dt.datetime,
    acr: str,
    amr: JsonList,
    now: dt.datetime,
    expires_at: dt.datetime,
    claims: JsonObject | None = None,
) -> Grant:
    """Insert a grant."""
    grant = rows.fresh(
        Grant,
        id=new_id(),
        account_id=account_id,
        client_id=client_id,
        session_id=session_id,
        scopes=scopes,
        claims=claims or {},
        auth_time=auth_time,
        acr=acr,
        amr=amr,
        created_at=now,
        expires_at=expires_at,
    )
    rows.insert(tx, grant)
    return grant


def find(tx: Session, grant_id: str) -> Grant | None:
    """Return a grant, live or not."""
    return tx.get(Grant, grant_id)


def find_for_update(tx: Session, grant_id: str) -> Grant | None:
    """Return a grant and hold it: nobody revokes it before this transaction ends."""
    statement = select(Grant).where(Grant.id == grant_id).with_for_update()
    return tx.scalars(statement.execution_options(populate_existing=True)).one_or_none()


def of_account(tx: Session, account_id: str, now: dt.datetime) -> Sequence[Grant]:
    """Return the live grants of an account, newest first."""
    live = (Grant.account_id == account_id, Grant.revoked_at.is_(None), Grant.expires_at > now)
    return tx.scalars(select(Grant).where(*live).order_by(Grant.id.desc())).all()


def revoke(tx: Session, grant_id: str, now: dt.datetime, *, reason: str) -> bool:
    """End a grant and with it its code, refresh family and access tokens; say whether it was still live."""
    return bool(_revoke(tx, Grant.id == grant_id, now, reason))


def revoke_session(tx: Session, session_id: str, now: dt.datetime, *, reason: str) -> int:
    """End every grant made in a session; return how many."""
    return len(_revoke(tx, Grant.session_id == session_id, now, reason))


def revoke_account(tx: Session, account_id: str, now: dt.datetime, *, reason: str) -> int:
    """End every grant of an account; return how many."""
    return len(_revoke(tx, Grant.account_id == account_id, now, reason))


def revoke_others(tx: Session, account_id: str, session_id: str, now: dt.datetime, *, reason: str) -> int:
    """End every grant of an account but those made in one session; return how many."""
    elsewhere = Grant.session_id.is_distinct_from(session_id)
    return len(_revoke(tx, (Grant.account_id == account_id) & elsewhere, now, reason))


def revoke_client(tx: Session, account_id: str, client_id: str, now: dt.datetime, *, reason: str) -> int:
    """End every grant of an account to one client; return how many."""
    return len(_revoke(tx, (Grant.account_id == account_id) & (Grant.client_id == client_id), now, reason))


def _revoke(tx: Session, which: ColumnElement[bool], now: dt.datetime, reason: str) -> Sequence[str]:
    # The first reason stands: a grant revoked twice was revoked the first time.
    statement = update(Grant).where(which, Grant.revoked_at.is_(None))
    ended = statement.values(revoked_at=now, revoked_reason=reason).returning(Grant.id)
    ids = tx.scalars(ended, execution_options={"synchronize_session": "fetch"}).all()
    event.tell_grants(tx, ids, now, reason=reason)
    return ids
