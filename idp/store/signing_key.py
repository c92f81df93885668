"""Signing keys: public part in the open, private part sealed, and the moments of their life."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import event
from idp.store.types import Base, JsonObject

# The longest that a gateway may go on with keys when it cannot fetch them (`max_stale`).
BELIEVED: Final = dt.timedelta(days=7)


class SigningKey(Base):
    """One key pair; `id` is its kid. `private_sealed` is bound to ("signing_key", "private_sealed", id)."""

    __tablename__ = "signing_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    alg: Mapped[str]
    public_jwk: Mapped[JsonObject]
    private_sealed: Mapped[bytes]
    created_at: Mapped[dt.datetime]
    publish_at: Mapped[dt.datetime]
    sign_from: Mapped[dt.datetime]
    retired_at: Mapped[dt.datetime | None]
    remove_at: Mapped[dt.datetime | None]
    withdrawn_at: Mapped[dt.datetime | None]


def create(
    tx: Session,
    *,
    kid: str,
    alg: str,
    public_jwk: JsonObject,
    private_sealed: bytes,
    now: dt.datetime,
    publish_at: dt.datetime,
    sign_from: dt.datetime,
) -> SigningKey:
    """Insert a key."""
    key = SigningKey(
        id=kid,
        alg=alg,
        public_jwk=public_jwk,
        private_sealed=private_sealed,
        created_at=now,
        publish_at=publish_at,
        sign_from=sign_from,
    )
    tx.add(key)
    tx.flush()
    return key


def find(tx: Session, kid: str) -> SigningKey | None:
    """Return a key by its kid."""
    return tx.get(SigningKey, kid)


def listing(tx: Session) -> Sequence[SigningKey]:
    """Return every key, oldest first."""
    return tx.scalars(select(SigningKey).order_by(SigningKey.sign_from, SigningKey.id)).all()


def present(tx: Session, now: dt.datetime) -> Sequence[SigningKey]:
    """Return the keys that are neither withdrawn nor past their removal, oldest first."""
    kept = or_(SigningKey.remove_at.is_(None), SigningKey.remove_at > now)
    found = select(SigningKey).where(SigningKey.withdrawn_at.is_(None), kept)
    return tx.scalars(found.order_by(SigningKey.sign_from, SigningKey.id)).all()


def retire(tx: Session, kid: str, *, retired_at: dt.datetime, remove_at: dt.datetime) -> bool:
    """Set when a key stops signing and when it leaves; the first decision stands."""
    same = update(SigningKey).where(SigningKey.id == kid, SigningKey.retired_at.is_(None))
    changed = same.values(retired_at=retired_at, remove_at=remove_at).returning(SigningKey.id)
    return tx.scalar(changed, execution_options={"synchronize_session": "fetch"}) is not None


def withdraw(tx: Session, kid: str, now: dt.datetime) -> bool:
    """Take a key away at once: what it signed is no longer believed, here and wherever events are heard."""
    same = update(SigningKey).where(SigningKey.id == kid, SigningKey.withdrawn_at.is_(None))
    changed = same.values(withdrawn_at=now).returning(SigningKey.id)
    if tx.scalar(changed, execution_options={"synchronize_session": "fetch"}) is None:
        return False
    event.tell(tx, "key", [kid], now, reason="key withdrawn", expires_at=now + BELIEVED)
    return True
