"""Ids of assertions and proofs that were presented: each counts once (RFC 7523 section 3, RFC 9449 section 11.1)."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Exists, bindparam, exists, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import meta, upsert
from idp.store.meta import Meta
from idp.store.types import Base


class UsedJti(Base):
    """One used id; `key` is a digest of the client and its `jti`. Forgotten when the assertion has expired."""

    __tablename__ = "used_jti"

    key: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime]


FLOOR = "assertions_after"
# No assertion is accepted that ends later than this from now: longest life, leeway twice.
LONGEST = dt.timedelta(minutes=6)


def claim(tx: Session, key: str, expires_at: dt.datetime, now: dt.datetime) -> bool:
    """Claim an id: true once, and never for an assertion that may have been used before a restore."""
    return _claimed(
        tx, key, expires_at, now, forgotten=exists().where(Meta.key == FLOOR, Meta.value >= _moment(expires_at))
    )


def claim_proof(tx: Session, key: str, expires_at: dt.datetime, now: dt.datetime) -> bool:
    """Claim the id of a proof of possession: true once. After a restore it proves nothing that still counts."""
    return _claimed(tx, key, expires_at, now, forgotten=None)


def _claimed(tx: Session, key: str, expires_at: dt.datetime, now: dt.datetime, *, forgotten: Exists | None) -> bool:
    row = select(
        bindparam("key", key, UsedJti.key.type),
        bindparam("expires_at", expires_at, UsedJti.expires_at.type),
        bindparam("used_at", now, UsedJti.used_at.type),
    )
    row = row if forgotten is None else row.where(~forgotten)
    statement = upsert.insert(tx, UsedJti).from_select(["key", "expires_at", "used_at"], row).on_conflict_do_nothing()
    return tx.scalar(statement.returning(UsedJti.key)) is not None


def refuse_until(tx: Session, moment: dt.datetime) -> None:
    """Refuse every assertion that ends before a moment: which of them were used is not known after a restore."""
    meta.put(tx, FLOOR, _moment(moment))


def _moment(moment: dt.datetime) -> str:
    # One width, so that text compares as time does.
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
