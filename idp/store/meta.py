"""A few facts about the database itself: its epoch, how it came here."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.types import Base

EPOCH = "epoch"


class Meta(Base):
    """One fact."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


def get(tx: Session, key: str) -> str | None:
    """Return a fact."""
    return tx.scalar(select(Meta.value).where(Meta.key == key))


def put(tx: Session, key: str, value: str) -> None:
    """Write a fact down."""
    statement = upsert.insert(tx, Meta).values(key=key, value=value)
    tx.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def epoch(tx: Session) -> int:
    """Return how often the database was restored from a backup."""
    return int(get(tx, EPOCH) or 0)


def next_epoch(tx: Session) -> int:
    """Begin a new epoch and return it."""
    number = epoch(tx) + 1
    put(tx, EPOCH, str(number))
    return number
