"""Refresh tokens: each can be claimed once and has one successor; the family is the grant."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, bindparam, select, update
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from idp.store import rows
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, JsonObject, ScopeMap


class RefreshToken(Base):
    """One link of a family. `scopes` is by audience and may be narrower than the grant's; `cnf` names its key."""

    __tablename__ = "refresh_token"

    id: Mapped[str] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("authorization_grant.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str]
    scopes: Mapped[ScopeMap]
    cnf: Mapped[JsonObject | None]
    created_at: Mapped[dt.datetime]
    idle_expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime | None]
    successor_hash: Mapped[bytes | None]


def create(
    tx: Session,
    *,
    token_hash: bytes,
    grant_id: str,
    client_id: str,
    scopes: ScopeMap,
    cnf: JsonObject | None = None,
    now: dt.datetime,
    idle_expires_at: dt.datetime,
) -> RefreshToken:
    """Insert a refresh token."""
    token = rows.fresh(
        RefreshToken,
        id=new_id(),
        token_hash=token_hash,
        grant_id=grant_id,
        client_id=client_id,
        scopes=scopes,
        cnf=cnf,
        created_at=now,
        idle_expires_at=idle_expires_at,
    )
    rows.insert(tx, token)
    return token


# Built once: writing a statement in Python costs more than sending it.
_CLAIM = Prepared(
    update(RefreshToken)
    .where(RefreshToken.token_hash == bindparam("key"), RefreshToken.used_at.is_(None))
    .values(used_at=bindparam("now"), successor_hash=bindparam("successor"))
    .returning(RefreshToken),
    RefreshToken,
)


def claim(tx: Session, token_hash: bytes, now: dt.datetime, *, successor_hash: bytes) -> RefreshToken | None:
    """Claim a token for its one successor; of all who try at once, one gets it."""
    row = _CLAIM.one(tx, {"key": token_hash, "now": now, "successor": successor_hash})
    return None if row is None else row[0]


def find(tx: Session, token_hash: bytes) -> RefreshToken | None:
    """Return a token, used or not."""
    return tx.scalars(select(RefreshToken).where(RefreshToken.token_hash == token_hash)).one_or_none()


def unused_successor(tx: Session, token_hash: bytes, used_since: dt.datetime) -> RefreshToken | None:
    """Return the successor of a token used at or after `used_since`, while nobody has used the successor."""
    successor = aliased(RefreshToken)
    statement = (
        select(successor)
        .join(RefreshToken, RefreshToken.successor_hash == successor.token_hash)
        .where(RefreshToken.token_hash == token_hash, RefreshToken.used_at >= used_since, successor.used_at.is_(None))
    )
    return tx.scalars(statement).one_or_none()


def touch(tx: Session, token_hash: bytes, idle_expires_at: dt.datetime) -> None:
    """Move the idle limit of a token that is not rotated."""
    same = update(RefreshToken).where(RefreshToken.token_hash == token_hash, RefreshToken.used_at.is_(None))
    tx.execute(same.values(idle_expires_at=idle_expires_at))
