"""Sign-ins elsewhere that wait for the browser's return, and people from elsewhere who may link themselves.

A row is good once and for the browser that began it alone; what has to match on the way back is sealed (FD15, FD20).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from sqlalchemy import ColumnElement, ForeignKey, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import rows
from idp.store.types import Base

LIFETIME: Final = dt.timedelta(minutes=10)


class Handshake(Base):
    """One way there and back. `kept_sealed` is what the connector kept; `who_sealed` who came, until they link."""

    __tablename__ = "handshake"

    id: Mapped[str] = mapped_column(primary_key=True)
    state_hash: Mapped[bytes] = mapped_column(unique=True)
    flow_hash: Mapped[bytes]
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id", ondelete="CASCADE"), index=True)
    # One of the two: where a sign-in goes on, or whose session asked for another way in.
    signin_id: Mapped[str | None] = mapped_column(ForeignKey("signin.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[str | None] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"), index=True)
    kept_sealed: Mapped[bytes | None]
    who_sealed: Mapped[bytes | None]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]


def begin(
    tx: Session,
    *,
    handshake_id: str,
    state_hash: bytes,
    flow_hash: bytes,
    connector_id: str,
    signin_id: str | None = None,
    session_id: str | None = None,
    kept_sealed: bytes,
    now: dt.datetime,
) -> None:
    """Keep what has to match. One return is waited for at a time: another beginning takes its place."""
    tx.execute(delete(Handshake).where(_of(signin_id, session_id), Handshake.used_at.is_(None)))
    made = Handshake(
        id=handshake_id,
        state_hash=state_hash,
        flow_hash=flow_hash,
        connector_id=connector_id,
        signin_id=signin_id,
        session_id=session_id,
        kept_sealed=kept_sealed,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    rows.insert(tx, made)


def claim(tx: Session, *, state_hash: bytes, flow_hash: bytes, connector_id: str, now: dt.datetime) -> Handshake | None:
    """Use a row up: once, by the browser that began, for the connector it began with."""
    fits = (
        Handshake.state_hash == state_hash,
        Handshake.flow_hash == flow_hash,
        Handshake.connector_id == connector_id,
        Handshake.used_at.is_(None),
        Handshake.expires_at > now,
    )
    statement = update(Handshake).where(*fits).values(used_at=now).returning(Handshake)
    return tx.scalars(statement, execution_options={"populate_existing": True}).one_or_none()


def keep_who(tx: Session, handshake_id: str, who_sealed: bytes) -> None:
    """Remember who came, until they have signed in here and say whether to link."""
    tx.execute(update(Handshake).where(Handshake.id == handshake_id).values(who_sealed=who_sealed, kept_sealed=None))


def waiting(
    tx: Session, now: dt.datetime, *, signin_id: str | None = None, session_id: str | None = None
) -> Handshake | None:
    """Return who waits to be linked, in a sign-in or in a session."""
    chosen = select(Handshake).where(
        _of(signin_id, session_id), Handshake.who_sealed.is_not(None), Handshake.expires_at > now
    )
    return tx.scalars(chosen.order_by(Handshake.created_at.desc()).limit(1)).one_or_none()


def forget(tx: Session, handshake_id: str) -> bool:
    """Forget who waited; say whether they still did, so that of two answers one counts."""
    statement = update(Handshake).where(Handshake.id == handshake_id, Handshake.who_sealed.is_not(None))
    gone = statement.values(who_sealed=None).returning(Handshake.id)
    return tx.scalar(gone, execution_options={"synchronize_session": False}) is not None


def _of(signin_id: str | None, session_id: str | None) -> ColumnElement[bool]:
    return Handshake.signin_id == signin_id if signin_id is not None else Handshake.session_id == session_id
