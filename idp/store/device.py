"""Known devices: a browser on which an account has signed in before."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, UniqueConstraint, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.ids import new_id
from idp.store.types import Base


class Device(Base):
    """One browser and one account: it is not throttled like a stranger."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("cookie_hash", "account_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    cookie_hash: Mapped[bytes]
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[dt.datetime]
    last_seen_at: Mapped[dt.datetime] = mapped_column(index=True)


def known(tx: Session, cookie_hash: bytes, account_id: str) -> bool:
    """Say whether this account has signed in with this cookie before."""
    found = select(Device.id).where(Device.cookie_hash == cookie_hash, Device.account_id == account_id)
    return tx.scalar(found) is not None


def remember(tx: Session, cookie_hash: bytes, account_id: str, now: dt.datetime) -> None:
    """Remember a device after a sign-in."""
    row = {"id": new_id(), "cookie_hash": cookie_hash, "account_id": account_id}
    statement = upsert.insert(tx, Device).values(row | {"created_at": now, "last_seen_at": now})
    same = ["cookie_hash", "account_id"]
    tx.execute(statement.on_conflict_do_update(index_elements=same, set_={"last_seen_at": now}))


def rotate(tx: Session, old_hash: bytes, new_hash: bytes) -> None:
    """Move what is known of one cookie to its successor."""
    tx.execute(update(Device).where(Device.cookie_hash == old_hash).values(cookie_hash=new_hash))


def forget(tx: Session, account_id: str) -> None:
    """Forget every device of an account: each is a stranger again."""
    tx.execute(delete(Device).where(Device.account_id == account_id))
