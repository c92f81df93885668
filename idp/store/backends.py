"""What SQLite and PostgreSQL need to be told, so that the rest of the store need not know which one it is."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

WRITES = "idp_writes"
WAIT_SECONDS = 3
POOL = 10
POOL_OVERFLOW = 10

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # FULL, not NORMAL: what a client was told survives the power cut, at one fsync per write.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8192",
    # Statistics or a damaged schema never run code: only built-in functions in the schema.
    "PRAGMA trusted_schema = OFF",
)
POSTGRESQL_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in (
        ("statement_timeout", WAIT_SECONDS * 1000),
        ("lock_timeout", WAIT_SECONDS * 1000),
        ("idle_in_transaction_session_timeout", 10_000),
        ("timezone", "UTC"),
    )
)


class UnsafeDatabase(ValueError):
    """The database cannot be used: it may forget what was promised, or it is none that we know."""


def complete(url: str) -> URL:
    """Fill in the driver and make a SQLite path absolute, so that no part of the product resolves it its own way."""
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise UnsafeDatabase("database_url: this is not a database URL") from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return parsed.set(drivername="sqlite", database=str(Path(parsed.database).absolute()))
        case "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
    raise UnsafeDatabase("database_url: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


def make_room(url: URL) -> None:
    """Make a SQLite file readable by its owner alone before the driver makes one that everybody may read."""
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def options(url: URL) -> dict[str, Any]:
    """Return the engine options: small pools and short waits, because a page that hangs is worse than a 503."""
    chosen: dict[str, Any] = {"pool_size": POOL, "max_overflow": POOL_OVERFLOW, "pool_timeout": WAIT_SECONDS}
    if url.get_backend_name() == "sqlite":
        return chosen | {"connect_args": {"timeout": WAIT_SECONDS, "check_same_thread": False}}
    arguments = {
        "connect_timeout": WAIT_SECONDS,
        "tcp_user_timeout": WAIT_SECONDS * 1000,
        "application_name": "idp",
        "options": POSTGRESQL_OPTIONS,
    }
    return chosen | {"connect_args": arguments, "pool_recycle": 1800}


def prepare(engine: Engine) -> None:
    """Hang our listeners on an engine, once."""
    if engine.dialect.name == "sqlite":
        _once(engine.pool, "connect", _connect_sqlite)
        _once(engine, "begin", _begin_sqlite)
        return
    _once(engine.dialect, "do_connect", _impatient)
    _once(engine.pool, "connect", _connect_postgresql)


def _once(target: Any, name: str, listener: Any) -> None:
    # Asked of the target itself: `event.contains` knows it by its address, and the next engine may be given that.
    if listener not in tuple(getattr(target.dispatch, name)):
        event.listen(target, name, listener)


def _connect_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver begins nothing by itself: reads stay in autocommit, write() begins IMMEDIATE.
    connection.isolation_level = None
    for pragma in SQLITE_PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _impatient(_dialect: Any, _entry: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    # Loaded with the first connection: who keeps SQLite need not carry the other driver, which is 8 MB.
    return importlib.import_module("idp.store.patience").Impatient.connect(*positional, **named)


def _connect_postgresql(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("SHOW synchronous_commit")
    answer = cursor.fetchone()
    cursor.close()
    connection.rollback()
    if answer is None or answer[0] == "off":
        raise UnsafeDatabase("database_url: PostgreSQL has synchronous_commit off, so it may forget a used code")


def sqlite_file(engine: Engine) -> Path | None:
    """Return the database file, if it is SQLite."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return Path(engine.url.database)
