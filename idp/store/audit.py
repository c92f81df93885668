"""The audit table: rows enter unchained, the sealer numbers and chains them; nothing is ever changed or deleted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TypedDict

from sqlalchemy import BigInteger, Index, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import rows
from idp.store.ids import new_id
from idp.store.types import Base, JsonObject


class AuditRow(Base):
    """One event. `seq` and `hash` are None until it is sealed. No foreign keys: the record outlives its subjects."""

    __tablename__ = "audit"

    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime]
    event: Mapped[str]
    actor: Mapped[str | None]
    account_id: Mapped[str | None] = mapped_column(index=True)
    client_id: Mapped[str | None]
    ip: Mapped[str | None]
    detail: Mapped[JsonObject]
    support_id: Mapped[str | None] = mapped_column(index=True)
    seq: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    hash: Mapped[bytes | None]


# What waits for the sealer is few among many: it is found without walking the chain.
Index("ix_audit_unsealed", AuditRow.id, sqlite_where=AuditRow.seq.is_(None), postgresql_where=AuditRow.seq.is_(None))


class AuditCheckpoint(Base):
    """The head of the chain at a moment, under a code that needs a key from outside the database."""

    __tablename__ = "audit_checkpoint"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes]
    mac: Mapped[bytes]
    at: Mapped[dt.datetime]


class Place(TypedDict):
    """Where a row stands in the chain."""

    id: str
    seq: int
    hash: bytes


def append(
    tx: Session,
    *,
    event: str,
    at: dt.datetime,
    actor: str | None,
    account_id: str | None,
    client_id: str | None,
    ip: str | None,
    support_id: str | None,
    detail: JsonObject,
) -> AuditRow:
    """Insert an event, unchained."""
    row = rows.fresh(
        AuditRow,
        id=new_id(),
        at=at,
        event=event,
        actor=actor,
        account_id=account_id,
        client_id=client_id,
        ip=ip,
        support_id=support_id,
        detail=detail,
    )
    rows.insert(tx, row)
    return row


def unsealed(tx: Session, limit: int) -> Sequence[AuditRow]:
    """Return the oldest rows that wait for the sealer."""
    return tx.scalars(select(AuditRow).where(AuditRow.seq.is_(None)).order_by(AuditRow.id).limit(limit)).all()


def unsealed_count(tx: Session) -> int:
    """Count the rows that wait for the sealer."""
    return tx.scalar(select(func.count()).select_from(AuditRow).where(AuditRow.seq.is_(None))) or 0


def head(tx: Session) -> AuditRow | None:
    """Return the last sealed row."""
    sealed = select(AuditRow).where(AuditRow.seq.is_not(None))
    return tx.scalars(sealed.order_by(AuditRow.seq.desc()).limit(1)).one_or_none()


def seal(tx: Session, places: Sequence[Place]) -> None:
    """Give rows their places in the chain. A place is taken once: the numbers are unique."""
    tx.execute(update(AuditRow), places)


def chain(tx: Session, *, batch: int = 1000) -> Iterator[AuditRow]:
    """Walk the sealed rows in order."""
    last = -1
    while True:
        found = select(AuditRow).where(AuditRow.seq > last).order_by(AuditRow.seq).limit(batch)
        rows = tx.scalars(found).all()
        yield from rows
        if len(rows) < batch:
            return
        last = rows[-1].seq or 0
        tx.expunge_all()


def recent(tx: Session, limit: int, *, after: str = "") -> Sequence[AuditRow]:
    """Return the newest rows, oldest of them first; with `after`, only those that came later."""
    newest = select(AuditRow).where(AuditRow.id > after).order_by(AuditRow.id.desc()).limit(limit)
    return list(reversed(tx.scalars(newest).all()))


def add_checkpoint(tx: Session, *, seq: int, chained: bytes, mac: bytes, at: dt.datetime) -> None:
    """Insert a checkpoint."""
    tx.add(AuditCheckpoint(seq=seq, hash=chained, mac=mac, at=at))
    tx.flush()


def checkpoints(tx: Session) -> Sequence[AuditCheckpoint]:
    """Return every checkpoint in order."""
    return tx.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.seq)).all()
