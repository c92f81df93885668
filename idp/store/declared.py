"""What declarations (a gateway's file, applied) have made: so that they take back what is theirs and nothing else."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from sqlalchemy import delete, exc, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.types import Base

Item: TypeAlias = tuple[str, ...]
"""A kind and names: ("scope", audience, name)."""

_LOCK: Final = 0x6964705F6465636C  # "idp_decl"


class Declared(Base):
    """One thing that one declaration has made, or shares with another that made it.

    No foreign keys: the kinds of things differ, and what is gone is simply forgotten at the next apply.
    """

    __tablename__ = "declared"

    declaration: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[dt.datetime]


class Collided(Exception):
    """Somebody made the same thing at the same moment."""


@contextmanager
def alone(tx: Session) -> Iterator[None]:
    """Apply one declaration at a time; a clash with somebody who works by hand is told as one."""
    if tx.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    try:
        yield
        tx.flush()
    except exc.IntegrityError as clash:
        raise Collided from clash


def made(tx: Session) -> dict[str, frozenset[Item]]:
    """Return what each declaration has made."""
    found: dict[str, set[Item]] = {}
    for declaration, item in tx.execute(select(Declared.declaration, Declared.item)):
        found.setdefault(declaration, set()).add(_read(item))
    return {declaration: frozenset(items) for declaration, items in found.items()}


def remember(tx: Session, declaration: str, items: Sequence[Item], now: dt.datetime) -> None:
    """Write down what a declaration has made; twice is once."""
    for item in items:
        row = {"declaration": declaration, "item": _written(item), "created_at": now}
        tx.execute(upsert.insert(tx, Declared).values(row).on_conflict_do_nothing())


def forget(tx: Session, declaration: str, items: Sequence[Item]) -> None:
    """A declaration has no more to do with these."""
    written = [_written(item) for item in items]
    tx.execute(delete(Declared).where(Declared.declaration == declaration, Declared.item.in_(written)))


def _written(item: Item) -> str:
    return json.dumps(item, ensure_ascii=True, separators=(",", ":"))


def _read(item: str) -> Item:
    return tuple(json.loads(item))
