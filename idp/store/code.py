"""Authorization codes: a digest that can be claimed once."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import rows
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, JsonList, JsonObject


class Code(Base):
    """What a code is bound to (RFC 6749 section 4.1.2, RFC 7636 section 4.4)."""

    __tablename__ = "code"

    id: Mapped[str] = mapped_column(primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    grant_id: Mapped[str] = mapped_column(ForeignKey("authorization_grant.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str]
    redirect_uri: Mapped[str | None]
    code_challenge: Mapped[str | None]
    dpop_jkt: Mapped[str | None]  # RFC 9449 section 10
    nonce: Mapped[str | None]
    resources: Mapped[JsonList]
    claims: Mapped[JsonObject]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime | None]


def create(
    tx: Session,
    *,
    code_hash: bytes,
    grant_id: str,
    client_id: str,
    redirect_uri: str | None,
    code_challenge: str | None,
    dpop_jkt: str | None = None,
    nonce: str | None,
    resources: JsonList,
    claims: JsonObject,
    now: dt.datetime,
    expires_at: dt.datetime,
) -> Code:
    """Insert a code."""
    code = rows.fresh(
        Code,
        id=new_id(),
        code_hash=code_hash,
        grant_id=grant_id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        dpop_jkt=dpop_jkt,
        nonce=nonce,
        resources=resources,
        claims=claims,
        created_at=now,
        expires_at=expires_at,
    )
    rows.insert(tx, code)
    return code


# Built once: writing a statement in Python costs more than sending it.
_CLAIM = Prepared(
    update(Code)
    .where(Code.code_hash == bindparam("key"), Code.used_at.is_(None))
    .values(used_at=bindparam("now"))
    .returning(Code),
    Code,
)


def claim(tx: Session, code_hash: bytes, now: dt.datetime) -> Code | None:
    """Claim a code; of all who try at once, one gets it. Expired ones are claimed too: the caller says why not."""
    row = _CLAIM.one(tx, {"key": code_hash, "now": now})
    return None if row is None else row[0]


def find(tx: Session, code_hash: bytes) -> Code | None:
    """Return a code, used or not: a reused one leads to the grant to revoke."""
    return tx.scalars(select(Code).where(Code.code_hash == code_hash)).one_or_none()
