"""INSERT ... ON CONFLICT, which both backends have under the same name and SQLAlchemy under two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from idp.store.prepared import Prepared
from idp.store.types import Base


def insert(tx: Session, table: type[Base]) -> sqlite.Insert:
    """Return the backend's own insert; the two have the same `on_conflict_*` methods."""
    return _insert(table, tx.get_bind().dialect.name)


def prepared(table: type[Base], write: Callable[[sqlite.Insert], Any], *classes: type[Base]) -> Prepared:
    """Write a statement upon the backend's own insert, to be compiled once."""
    return Prepared(lambda dialect: write(_insert(table, dialect)), *classes)


def _insert(table: type[Base], dialect: str) -> sqlite.Insert:
    if dialect == "postgresql":
        return postgresql.insert(table)  # type: ignore[return-value]  # no common type has them
    return sqlite.insert(table)
