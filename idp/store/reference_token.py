"""Access tokens that say nothing by themselves: the holder has 256 random bits, what they mean stays here."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import rows
from idp.store.types import Base, JsonObject


class ReferenceToken(Base):
    """The claims that a JWT in its place would carry; the digest of the token finds them."""

    __tablename__ = "reference_token"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"), index=True)
    claims: Mapped[JsonObject]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)


def create(
    tx: Session, *, token_hash: bytes, client_id: str, claims: JsonObject, now: dt.datetime, expires_at: dt.datetime
) -> None:
    """Insert a token."""
    row = ReferenceToken(
        token_hash=token_hash, client_id=client_id, claims=claims, created_at=now, expires_at=expires_at
    )
    rows.insert(tx, row)


def find(tx: Session, token_hash: bytes) -> ReferenceToken | None:
    """Return a token, in time or not; whether anything has ended it is asked as of every token."""
    return tx.get(ReferenceToken, token_hash)
