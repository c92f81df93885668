"""Sessions: `read()` costs no transaction, `write()` is one, and a refusal commits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sqlalchemy import Engine, create_engine, exc, text
from sqlalchemy.orm import Session

from idp.protocol.errors import ProtocolError, TemporarilyUnavailable
from idp.store import backends
from idp.store.types import Base, UtcDateTime

__all__ = ["Base", "Database", "Session", "StoreUnavailable", "UtcDateTime"]

AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError, exc.DisconnectionError)
WRITE_WAIT = 3.0


class StoreUnavailable(TemporarilyUnavailable):
    """The database is away, full, or too busy: worth another try (503)."""


class Database:
    """The store of one process: an engine and the two ways to use it."""

    def __init__(self, engine: Engine) -> None:
        backends.prepare(engine)
        self.engine = engine
        self.dialect = engine.dialect.name
        self._reading = engine if self.dialect == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writing = engine.execution_options(**{backends.WRITES: True})
        # SQLite has one writer and polls for its turn; threads of one process queue here instead, which is fair.
        self._turn = threading.Lock() if self.dialect == "sqlite" else None

    @classmethod
    def open(cls, url: str) -> Database:
        """Open a database by URL and make sure it is there and durable."""
        complete = backends.complete(url)
        backends.make_room(complete)
        database = cls(create_engine(complete, **backends.options(complete)))
        database.ping()
        return database

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session without a transaction: each statement sees what is committed now."""
        with Session(self._reading, expire_on_commit=False, autoflush=False) as session, _told_as_unavailable():
            yield session
            if session.new or session.dirty or session.deleted:
                raise RuntimeError("a read changed rows: use write()")

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session in one transaction. No hashing, network or rendering inside: writers wait for each other."""
        with self._my_turn(), Session(self._writing, expire_on_commit=False) as session, _told_as_unavailable():
            if self._turn is not None:
                session.connection()  # BEGIN IMMEDIATE now: what is read below is still true at the commit
            try:
                yield session
            except StoreUnavailable:
                raise
            except ProtocolError:
                # A refusal is an outcome: its revocations and its audit row must persist.
                session.commit()
                raise
            session.commit()

    def ping(self) -> None:
        """Ask the database for a sign of life."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _my_turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._turn is None else _turn(self._turn)


@contextmanager
def _turn(lock: threading.Lock) -> Iterator[None]:
    if not lock.acquire(timeout=WRITE_WAIT):
        raise StoreUnavailable("the store is busy", reason="no turn to write within the limit")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    """Name the database's own troubles; the cause stays attached for the log."""
    try:
        yield
    except AWAY as trouble:
        raise StoreUnavailable("the store is not available", reason=type(trouble).__name__) from trouble
