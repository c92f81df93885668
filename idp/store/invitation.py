"""Invitations: who may take an account that an operator has made for them, by which connector, until when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import ForeignKey, UniqueConstraint, delete, exists, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.account import Account
from idp.store.identity import Identity
from idp.store.types import Base


class Invitation(Base):
    """One account, at one connector: whoever has this e-mail there, verified, takes it. Good once."""

    __tablename__ = "invitation"
    __table_args__ = (UniqueConstraint("connector_id", "email_key"),)

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id", ondelete="CASCADE"), primary_key=True)
    email_key: Mapped[str]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)


def put(tx: Session, *, account_id: str, connector_id: str, email_key: str, expires_at: dt.datetime) -> None:
    """Invite; what was said of this account, or of this e-mail, at this connector before no longer holds."""
    tx.execute(delete(Invitation).where(Invitation.connector_id == connector_id, Invitation.email_key == email_key))
    row = {
        "account_id": account_id,
        "connector_id": connector_id,
        "email_key": email_key,
        "expires_at": expires_at,
    }
    statement = upsert.insert(tx, Invitation).values(row)
    changed = {"email_key": email_key, "expires_at": expires_at}
    tx.execute(statement.on_conflict_do_update(index_elements=["account_id", "connector_id"], set_=changed))


def claim(tx: Session, *, connector_id: str, email_key: str, now: dt.datetime) -> str | None:
    """Use an invitation up and return whose account it gives: one that is open and that nobody comes to otherwise."""
    waits = select(Account.id).where(
        Account.disabled_at.is_(None),
        Account.password_hash.is_(None),
        ~exists().where(Identity.account_id == Account.id),
    )
    used = delete(Invitation).where(
        Invitation.connector_id == connector_id,
        Invitation.email_key == email_key,
        Invitation.expires_at > now,
        Invitation.account_id.in_(waits),
    )
    return tx.scalar(used.returning(Invitation.account_id), execution_options={"synchronize_session": False})


def of_account(tx: Session, account_id: str, now: dt.datetime) -> Sequence[Invitation]:
    """Return the invitations to an account that still hold."""
    chosen = select(Invitation).where(Invitation.account_id == account_id, Invitation.expires_at > now)
    return tx.scalars(chosen.order_by(Invitation.expires_at)).all()
