"""Inserting one row by the plain statement: the unit of work costs ten times as much, to order what is one row.

The objects stay outside the session: they are read, and changed by statement only.
"""

from __future__ import annotations

from functools import cache
from typing import cast

from sqlalchemy import Table, bindparam
from sqlalchemy import insert as sql_insert
from sqlalchemy.orm import Session

from idp.store.prepared import Kind, Prepared, plain
from idp.store.types import Base


def fresh(kind: type[Kind], **values: object) -> Kind:
    """Return a row to be inserted; what is not given is None."""
    return plain(kind, {**_empty(kind), **values}.items())


def insert(tx: Session, row: Base) -> None:
    """Insert what a fresh object holds."""
    values = {name: value for name, value in vars(row).items() if not name.startswith("_") and value is not None}
    _statement(type(row), frozenset(values)).run(tx, values)


@cache
def _empty(kind: type[Base]) -> dict[str, None]:
    return dict.fromkeys(kind.__table__.columns.keys())


@cache
def _statement(kind: type[Base], names: frozenset[str]) -> Prepared:
    # What is left out takes the column's default in the table: those made in Python are for the unit of work alone.
    table = cast("Table", kind.__table__)
    return Prepared(sql_insert(table).values({name: bindparam(name) for name in sorted(names)}))
