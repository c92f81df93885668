"""What gateways must be told: an outbox, written in the transaction that makes it true.

Each event waits once for each stream, and an acknowledgement takes it away. No reader has a position, so none can
run past a transaction that commits late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ForeignKey,
    Integer,
    Select,
    Text,
    UniqueConstraint,
    and_,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.protocol.security_event import Kind
from idp.store import rows, upsert
from idp.store.ids import new_id
from idp.store.types import Base, JsonList, UtcDateTime

IDS: Final = 100  # of grants in one event: a security event token stays small
STREAMS: Final = 64  # of one client: more than it has gateways at work
_LOCK: Final = 0x6964705F65766E74  # "idp_evnt"


class Event(Base):
    """Something is over: the ids of tokens, sessions, grants, subjects, a client or a key. Never changed.

    No foreign keys: what it is about may be deleted before everybody has heard.
    """

    __tablename__ = "security_event"

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(index=True)
    kind: Mapped[str]
    ids: Mapped[JsonList]
    reason: Mapped[str]
    not_before: Mapped[dt.datetime | None]
    expires_at: Mapped[dt.datetime | None]  # of the one token, or the one key, that it is about


class Stream(Base):
    """One gateway that is told. It opens when it first asks, and is forgotten when it has not asked for long."""

    __tablename__ = "event_stream"
    __table_args__ = (UniqueConstraint("client_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"))
    name: Mapped[str]
    created_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime] = mapped_column(index=True)


class Waiting(Base):
    """An event that a stream has not acknowledged."""

    __tablename__ = "event_waiting"

    stream_id: Mapped[str] = mapped_column(ForeignKey("event_stream.id", ondelete="CASCADE"), primary_key=True)
    event_id: Mapped[str] = mapped_column(
        ForeignKey("security_event.id", ondelete="CASCADE"), primary_key=True, index=True
    )


def tell(
    tx: Session,
    kind: Kind,
    ids: Sequence[str],
    now: dt.datetime,
    *,
    reason: str,
    not_before: dt.datetime | None = None,
    expires_at: dt.datetime | None = None,
) -> None:
    """Write an event and let it wait for every stream."""
    _lock(tx, "pg_advisory_xact_lock_shared")
    event_id = new_id()
    event = Event(id=event_id, at=now, kind=kind, ids=list(ids), reason=reason)
    event.not_before, event.expires_at = not_before, expires_at
    rows.insert(tx, event)
    waits = select(Stream.id, literal(event_id))
    tx.execute(insert(Waiting).from_select(["stream_id", "event_id"], waits))


def tell_each(
    tx: Session, subjects: Select[str], now: dt.datetime, *, reason: str, not_before: dt.datetime, together: int = IDS
) -> None:
    """Write that tokens about many are void: two statements, and an event for every `together` of them."""
    _lock(tx, "pg_advisory_xact_lock_shared")
    found, batch = subjects.subquery(), new_id() + "."
    part = (func.row_number(type_=Integer).over(order_by=found.c.id) - 1) // together
    numbered = select(found.c.id, part.label("part")).subquery()
    listed = func.json_agg if tx.get_bind().dialect.name == "postgresql" else func.json_group_array
    events = select(
        literal(batch).concat(cast(numbered.c.part, Text)),
        literal(now, UtcDateTime()),
        literal("account"),
        listed(numbered.c.id),
        literal(reason),
        literal(not_before, UtcDateTime()),
    ).group_by(numbered.c.part)
    tx.execute(insert(Event).from_select(["id", "at", "kind", "ids", "reason", "not_before"], events))
    mine = (Event.at == now, Event.id.startswith(batch))
    tx.execute(
        insert(Waiting).from_select(["stream_id", "event_id"], select(Stream.id, Event.id).join(Event, and_(*mine)))
    )


def tell_grants(tx: Session, grant_ids: Sequence[str], now: dt.datetime, *, reason: str) -> None:
    """Write that grants are over."""
    for start in range(0, len(grant_ids), IDS):
        tell(tx, "grants", grant_ids[start : start + IDS], now, reason=reason)


def find_stream(tx: Session, client_id: str, name: str) -> Stream | None:
    """Return a stream of a client."""
    return tx.scalars(select(Stream).where(Stream.client_id == client_id, Stream.name == name)).one_or_none()


def open_stream(tx: Session, client_id: str, name: str, now: dt.datetime, *, since: dt.datetime) -> str:
    """Open a stream and let everything wait for it that happened since; return its id. Opening twice is once."""
    # Whoever writes an event meanwhile either sees this stream or is seen here.
    _lock(tx, "pg_advisory_xact_lock")
    row = {"id": new_id(), "client_id": client_id, "name": name, "created_at": now, "seen_at": now}
    made: str | None = tx.scalar(upsert.insert(tx, Stream).values(row).on_conflict_do_nothing().returning(Stream.id))
    if made is None:
        there = find_stream(tx, client_id, name)
        if there is None:
            raise RuntimeError("a stream went while it was opened")
        return there.id
    told = select(literal(made), Event.id).where(Event.at > since)
    tx.execute(insert(Waiting).from_select(["stream_id", "event_id"], told))
    newest = select(Stream.id).where(Stream.client_id == client_id).order_by(Stream.seen_at.desc(), Stream.id.desc())
    tx.execute(delete(Stream).where(Stream.client_id == client_id, Stream.id.not_in(newest.limit(STREAMS))))
    return made


def seen(tx: Session, stream_id: str, now: dt.datetime) -> None:
    """Remember that a stream is in use."""
    tx.execute(update(Stream).where(Stream.id == stream_id).values(seen_at=now))


def waiting(tx: Session, stream_id: str, *, since: dt.datetime, limit: int) -> Sequence[Event]:
    """Return what a stream has not acknowledged and what may still matter, oldest first."""
    mine = (Waiting.stream_id == stream_id, Event.at > since)
    found = select(Event).join(Waiting, Waiting.event_id == Event.id).where(*mine)
    return tx.scalars(found.order_by(Event.at, Event.id).limit(limit)).all()


def acknowledge(tx: Session, stream_id: str, event_ids: Sequence[str]) -> int:
    """Take events away that a stream has taken over; return how many waited. Unknown ones mean nothing."""
    gone = delete(Waiting).where(Waiting.stream_id == stream_id, Waiting.event_id.in_(event_ids))
    return len(tx.scalars(gone.returning(Waiting.event_id)).all())


def listing(tx: Session) -> Sequence[tuple[Stream, int]]:
    """Return every stream and how much waits for it."""
    return [(each.stream, each.waiting) for each in standing(tx)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one stream is."""

    stream: Stream
    waiting: int
    oldest: dt.datetime | None  # when the first happened that it has not acknowledged

    def lag(self, now: dt.datetime) -> dt.timedelta:
        """Tell for how long something has waited."""
        return dt.timedelta(0) if self.oldest is None else max(dt.timedelta(0), now - self.oldest)


def standing(tx: Session) -> Sequence[Standing]:
    """Return how far every stream is, by client and name."""
    counted = (
        select(Waiting.stream_id, func.count().label("waiting"), func.min(Event.at).label("oldest"))
        .join(Event, Event.id == Waiting.event_id)
        .group_by(Waiting.stream_id)
        .subquery()
    )
    found = select(Stream, counted.c.waiting, counted.c.oldest).outerjoin(counted, counted.c.stream_id == Stream.id)
    return [
        Standing(stream=row[0], waiting=row[1] or 0, oldest=row[2])
        for row in tx.execute(found.order_by(Stream.client_id, Stream.name))
    ]


def outbox(tx: Session) -> int:
    """Return how many events are kept."""
    return tx.scalar(select(func.count()).select_from(Event)) or 0


def _lock(tx: Session, function: str) -> None:
    # SQLite has one writer at a time anyway.
    if tx.get_bind().dialect.name == "postgresql":
        tx.execute(text(f"SELECT {function}({_LOCK})"))
