"""Backups, consistent while serving: always one SQLite file with these tables, from either kind of database."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from idp.store import backends, copying, migrate
from idp.store.copying import Progress, silent
from idp.store.database import Database
from idp.store.patience import unhurried

FORMAT = "1"
FORMAT_KEY = "backup_format"
MADE_AT_KEY = "backup_made_at"
MADE_FROM_KEY = "backup_made_from"
PAGES = 256
READ_CHUNK = 1 << 20


class BackupRefused(ValueError):
    """A backup or a restore that would lose or overwrite something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A finished backup."""

    file: Path
    bytes: int
    sha256: str
    revision: str


def backup(db: Database, file: Path, now: dt.datetime, progress: Progress = silent) -> Backup:
    """Write a backup of the database as it is at one moment; others go on reading and writing meanwhile."""
    migrate.require_current(db.engine)
    if file.exists():
        raise BackupRefused(f"{file} is already there; choose another name")
    part = file.with_name(f"{file.name}.part")
    with _private(part):
        source = backends.sqlite_file(db.engine)
        if source is None:
            _copy_rows(db, part, progress)
        else:
            _copy_pages(source, part, progress)
        _sign(part, db.dialect, now)
        _flush(part)
        part.rename(file)
        _flush(file.absolute().parent)
    return Backup(file=file, bytes=file.stat().st_size, sha256=_sha256(file), revision=migrate.newest())


@contextmanager
def _private(part: Path) -> Iterator[None]:
    """Make the file, readable by its owner alone; take it away again when it is not finished."""
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield
    finally:
        for leftover in (part, part.with_name(f"{part.name}-wal"), part.with_name(f"{part.name}-shm")):
            leftover.unlink(missing_ok=True)


def _copy_pages(source: Path, part: Path, progress: Progress) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as live, closing(sqlite3.connect(part)) as copy:
        # A read transaction held over all steps: the copy is of this moment and is never begun anew by writers.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copy, pages=PAGES, progress=lambda _, left, total: progress("pages", total - left, total))
        live.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode = DELETE")


def _copy_rows(db: Database, part: Path, progress: Progress) -> None:
    into = Database.open(f"sqlite:///{part.absolute()}")
    try:
        migrate.upgrade(into.engine)
        snapshot = db.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with snapshot.connect() as source, unhurried(source), source.begin(), into.engine.begin() as target:
            for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
                source.execute(text(f"SET LOCAL {limit} = 0"))
            copying.copy(source, target, progress=progress)
    finally:
        into.close()
    with closing(sqlite3.connect(part)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


def _sign(part: Path, dialect: str, now: dt.datetime) -> None:
    facts = {FORMAT_KEY: FORMAT, MADE_AT_KEY: now.isoformat(), MADE_FROM_KEY: dialect}
    with closing(sqlite3.connect(part)) as copy, copy:
        copy.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", facts.items())


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(file: Path) -> str:
    hasher = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(READ_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
