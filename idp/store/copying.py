"""Copying every table from one database to another, whatever kind each is."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from sqlalchemy import Connection, Table, func, insert, select

from idp.store.tables import metadata

BATCH = 500
Progress = Callable[[str, int, int], object]
"""Told the table, the rows done and the rows in all."""


def silent(_table: str, _done: int, _total: int) -> None:
    """Show no progress."""


def tables(*, without: Container[str] = ()) -> Iterator[Table]:
    """Return the tables, parents first."""
    return (table for table in metadata.sorted_tables if table.name not in without)


def copy(
    source: Connection, target: Connection, *, without: Container[str] = (), progress: Progress = silent
) -> dict[str, int]:
    """Copy all rows; both connections are in a transaction. Return how many, by table."""
    total = sum(count(source, table) for table in tables(without=without))
    done = 0
    copied = {}
    for table in tables(without=without):
        before = done
        rows = source.execution_options(yield_per=BATCH).execute(select(table))
        for batch in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in batch])
            done += len(batch)
            progress(table.name, done, total)
        copied[table.name] = done - before
    return copied


def count(connection: Connection, table: Table) -> int:
    """Count the rows of a table."""
    return connection.scalar(select(func.count()).select_from(table)) or 0
