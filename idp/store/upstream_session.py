"""Which sessions here began with a sign-in elsewhere, so that a sign-out there ends them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.session import BrowserSession
from idp.store.types import Base


class UpstreamSession(Base):
    """The sign-in elsewhere that a session came from. `sid` is the name of the session over there, if it has one."""

    __tablename__ = "upstream_session"

    session_id: Mapped[str] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"), primary_key=True)
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id", ondelete="CASCADE"), index=True)
    external_id: Mapped[str]
    sid: Mapped[str | None]
    created_at: Mapped[dt.datetime]


def put(
    tx: Session, *, session_id: str, connector_id: str, external_id: str, sid: str | None, now: dt.datetime
) -> None:
    """Write down where a session came from; the last sign-in counts."""
    row = {
        "session_id": session_id,
        "connector_id": connector_id,
        "external_id": external_id,
        "sid": sid,
        "created_at": now,
    }
    statement = upsert.insert(tx, UpstreamSession).values(row)
    changed = {name: row[name] for name in ("connector_id", "external_id", "sid", "created_at")}
    tx.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=changed))


def find(tx: Session, session_id: str) -> UpstreamSession | None:
    """Return where a session came from."""
    return tx.get(UpstreamSession, session_id)


def open_ones(tx: Session, connector_id: str, *, external_id: str | None, sid: str | None) -> Sequence[tuple[str, str]]:
    """Return the open sessions that a sign-out elsewhere is about, each with its account."""
    chosen = (
        select(UpstreamSession.session_id, BrowserSession.account_id)
        .join(BrowserSession, BrowserSession.id == UpstreamSession.session_id)
        .where(UpstreamSession.connector_id == connector_id, BrowserSession.ended_at.is_(None))
    )
    if external_id is not None:
        chosen = chosen.where(UpstreamSession.external_id == external_id)
    if sid is not None:
        chosen = chosen.where(UpstreamSession.sid == sid)
    return [(row[0], row[1]) for row in tx.execute(chosen)]
