"""INSERT ... ON CONFLICT, which both backends have under the same name and SQLAlchemy under two."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from idp.store.types import Base


def insert(tx: Session, table: type[Base]) -> sqlite.Insert:
    """Return the backend's own insert; the two have the same `on_conflict_*` methods."""
    if tx.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)
