"""INSERT ... ON CONFLICT, which both backends have under the same name and SQLAlchemy under two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from idp.store.prepared import Prepared, Row, Values
from idp.store.types import Base


def insert(tx: Session, table: type[Base]) -> sqlite.Insert:
    """Return the backend's own insert; the two have the same `on_conflict_*` methods."""
    if tx.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)


class PreparedInsert:
    """A statement that begins with such an insert, written once for each backend."""

    def __init__(self, table: type[Base], write: Callable[[sqlite.Insert], Any]) -> None:
        self._made = {
            "postgresql": Prepared(write(postgresql.insert(table))),  # type: ignore[arg-type]
            "sqlite": Prepared(write(sqlite.insert(table))),
        }

    def one(self, tx: Session, values: Values) -> Row | None:
        """Return the row, or None where nothing was written."""
        return self._made[tx.get_bind().dialect.name].one(tx, values)
