"""Looking for damage, and for settings of the database that could forget what was promised."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sqlalchemy import Connection

from idp.store import backends
from idp.store.database import Database


def problems(db: Database) -> list[str]:
    """Return what is wrong with the database itself; nothing when all is well."""
    with db.engine.connect() as connection:
        if db.dialect == "sqlite":
            return [*_sqlite(connection), *_file(db)]
        return list(_postgresql(connection))


def _sqlite(connection: Connection) -> Iterator[str]:
    for (answer,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if answer != "ok":
            yield f"damaged: {answer}"
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        yield "damaged: rows point to rows that are not there"
    if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
        yield "the journal is not WAL: the file system may not support it, readers and writers block each other"


def _file(db: Database) -> Iterator[str]:
    file = backends.sqlite_file(db.engine)
    if file is not None and os.access(file, os.R_OK) and file.stat().st_mode & 0o077:
        yield f"others may read {file}; run `chmod 600 {file}`"


def _postgresql(connection: Connection) -> Iterator[str]:
    for setting in ("synchronous_commit", "fsync", "full_page_writes"):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "off":
            yield f"{setting} is off: after a crash a used code or a revoked token may come back"
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        yield "this server is a standby and cannot be written to"
