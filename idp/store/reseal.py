"""Sealing every sealed column anew, under the newest master key.

A few rows at a time, each only if it is still what was opened: it may be broken off and run again at any time, and
beside a provider that serves, whose workers open either key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Column, Row, Table, select, update

from idp.store.copying import Progress, silent
from idp.store.database import Database
from idp.store.sealed import Sealer
from idp.store.tables import metadata

BATCH: Final = 100
SUFFIX: Final = "_sealed"

Sealed = Column[bytes]


def columns() -> Iterator[tuple[Table, Sealed]]:
    """Give every sealed column: by its name, so that none can be forgotten."""
    for table in metadata.sorted_tables:
        yield from ((table, column) for column in table.columns if column.name.endswith(SUFFIX))


def reseal(db: Database, sealer: Sealer, progress: Progress = silent) -> dict[str, int]:
    """Seal what is under an older key; say how many rows, by table."""
    return {table.name: _column(db, sealer, table, column, progress) for table, column in columns()}


def _column(db: Database, sealer: Sealer, table: Table, column: Sealed, progress: Progress) -> int:
    done = 0
    # Until a look from end to end finds nothing: a worker may add a row under the older key meanwhile.
    while stale := sum(1 for rows in _batches(db, table, column) for row in rows if sealer.stale(row[1])):
        for rows in _batches(db, table, column):
            done += _batch(db, sealer, (table, column), [row for row in rows if sealer.stale(row[1])])
            progress(table.name, done, stale)
    return done


def _batches(db: Database, table: Table, column: Sealed) -> Iterator[list[Row[str, bytes]]]:
    key: Column[str] = table.c.id
    last = ""
    while True:
        with db.read() as tx:
            statement = select(key, column).where(key > last, column.is_not(None)).order_by(key).limit(BATCH)
            rows = list(tx.execute(statement))
        if not rows:
            return
        yield rows
        last = rows[-1][0]


def _batch(db: Database, sealer: Sealer, place: tuple[Table, Sealed], rows: list[Row[str, bytes]]) -> int:
    table, column = place
    # Opened and sealed outside the transaction: writers wait for each other.
    fresh = []
    for row, old in rows:
        opened = sealer.open(table.name, column.name, row, old)
        fresh.append((row, old, sealer.seal(table.name, column.name, row, opened)))
    done = 0
    if fresh:
        with db.write() as tx:
            for row, old, new in fresh:
                same = (table.c.id == row, column == old)
                changed = update(table).where(*same).values({column: new}).returning(table.c.id)
                done += tx.scalar(changed) is not None
    return done
