"""Known devices: a browser on which an account has signed in before."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, UniqueConstraint, and_, bindparam, delete, exists, or_, select, update
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from idp.store import upsert
from idp.store.identity import Identity
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, UtcDateTime


class Device(Base):
    """One browser and one account: it is not throttled like a stranger."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("cookie_hash", "account_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    cookie_hash: Mapped[bytes]
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[dt.datetime]
    last_seen_at: Mapped[dt.datetime] = mapped_column(index=True)


_KNOWN = Prepared(
    select(Device.id).where(
        Device.cookie_hash == bindparam("cookie_hash"), Device.account_id == bindparam("account_id")
    )
)


def known(tx: Session, cookie_hash: bytes, account_id: str) -> bool:
    """Say whether this account has signed in with this cookie before."""
    return _KNOWN.one(tx, {"cookie_hash": cookie_hash, "account_id": account_id}) is not None


_THEM = aliased(Identity)
_LINKED = exists().where(_THEM.connector_id == bindparam("connector_id"), _THEM.external_id == bindparam("external_id"))
_OWNER = Prepared(
    select(Device.account_id)
    .join(Identity, Identity.account_id == Device.account_id)
    .where(
        Device.cookie_hash == bindparam("cookie_hash"),
        Identity.connector_id == bindparam("connector_id"),
        or_(
            Identity.external_id == bindparam("external_id"),
            and_(Device.account_id == bindparam("account_id"), ~_LINKED),
        ),
    )
    .limit(1)
)


def owner(tx: Session, cookie_hash: bytes, connector_id: str, external_id: str, account_id: str) -> str | None:
    """Return the account that knows this cookie and is somebody elsewhere; None when it is another's cookie.

    Whom no account is known to be there (some directories tell the name alone beforehand) is taken for `account_id`.
    """
    row = _OWNER.one(
        tx,
        {
            "cookie_hash": cookie_hash,
            "connector_id": connector_id,
            "external_id": external_id,
            "account_id": account_id,
        },
    )
    return None if row is None else str(row[0])


_NOW = bindparam("now", type_=UtcDateTime())
_REMEMBER = upsert.prepared(
    Device,
    lambda insert: insert.values(
        id=bindparam("id"),
        cookie_hash=bindparam("cookie_hash"),
        account_id=bindparam("account_id"),
        created_at=_NOW,
        last_seen_at=_NOW,
    ).on_conflict_do_update(index_elements=["cookie_hash", "account_id"], set_={"last_seen_at": _NOW}),
)


def remember(tx: Session, cookie_hash: bytes, account_id: str, now: dt.datetime) -> None:
    """Remember a device after a sign-in."""
    _REMEMBER.run(tx, {"id": new_id(), "cookie_hash": cookie_hash, "account_id": account_id, "now": now})


_ROTATE = Prepared(update(Device).where(Device.cookie_hash == bindparam("old")).values(cookie_hash=bindparam("new")))


def rotate(tx: Session, old_hash: bytes, new_hash: bytes) -> None:
    """Move what is known of one cookie to its successor."""
    _ROTATE.run(tx, {"old": old_hash, "new": new_hash})


def forget(tx: Session, account_id: str) -> None:
    """Forget every device of an account: each is a stranger again."""
    tx.execute(delete(Device).where(Device.account_id == account_id))
