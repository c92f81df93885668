"""Assertion ids that were presented: each counts once (RFC 7523 section 3, item 7)."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.types import Base


class UsedJti(Base):
    """One used id; `key` is a digest of the client and its `jti`. Forgotten when the assertion has expired."""

    __tablename__ = "used_jti"

    key: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime]


def claim(tx: Session, key: str, expires_at: dt.datetime, now: dt.datetime) -> bool:
    """Claim an id: true once."""
    row = {"key": key, "expires_at": expires_at, "used_at": now}
    statement = upsert.insert(tx, UsedJti).values(row).on_conflict_do_nothing()
    return tx.scalar(statement.returning(UsedJti.key)) is not None
