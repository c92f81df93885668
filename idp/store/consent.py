"""Consent and its memory: what a person has allowed a client, by audience."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import ForeignKey, UniqueConstraint, bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, ScopeMap


class Consent(Base):
    """One account, one client."""

    __tablename__ = "consent"
    __table_args__ = (UniqueConstraint("account_id", "client_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"), index=True)
    scopes: Mapped[ScopeMap]
    granted_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]


# Built once: asked for each sign-in.
_REMEMBERED = Prepared(
    select(Consent.scopes).where(
        Consent.account_id == bindparam("account_id"),
        Consent.client_id == bindparam("client_id"),
        Consent.revoked_at.is_(None),
    )
)


def remembered(tx: Session, account_id: str, client_id: str) -> ScopeMap:
    """Return what the account has allowed the client and not taken back."""
    row = _REMEMBERED.one(tx, {"account_id": account_id, "client_id": client_id})
    return {} if row is None else row[0]


def allow(tx: Session, account_id: str, client_id: str, scopes: ScopeMap, now: dt.datetime) -> None:
    """Add to what is allowed; after a revocation it starts anew."""
    row = {"id": new_id(), "account_id": account_id, "client_id": client_id, "scopes": scopes}
    first = upsert.insert(tx, Consent).values(row | {"granted_at": now, "updated_at": now})
    # Of two first ones at once the second waits here, and adds to the other.
    alone = first.on_conflict_do_nothing(index_elements=["account_id", "client_id"]).returning(Consent.id)
    if tx.scalar(alone) is not None:
        return
    matching = (Consent.account_id == account_id, Consent.client_id == client_id)
    held = tx.scalars(select(Consent).where(*matching).with_for_update()).one()
    before = {} if held.revoked_at else held.scopes
    audiences = before.keys() | scopes.keys()
    held.scopes = {name: sorted({*before.get(name, ()), *scopes.get(name, ())}) for name in audiences}
    held.granted_at = now if held.revoked_at else held.granted_at
    held.updated_at, held.revoked_at = now, None
    tx.flush()


def of_account(tx: Session, account_id: str) -> Sequence[Consent]:
    """Return what an account has allowed, by client."""
    live = (Consent.account_id == account_id, Consent.revoked_at.is_(None))
    return tx.scalars(select(Consent).where(*live).order_by(Consent.client_id)).all()


def revoke(tx: Session, account_id: str, client_id: str, now: dt.datetime) -> bool:
    """Take consent back; the grants go with `grant.revoke_client`."""
    matching = (Consent.account_id == account_id, Consent.client_id == client_id, Consent.revoked_at.is_(None))
    ended = update(Consent).where(*matching).values(revoked_at=now, updated_at=now).returning(Consent.id)
    return tx.scalar(ended) is not None
