"""Sessions: `read()` costs no transaction, `write()` is one, and a refusal commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, exc, text
from sqlalchemy.orm import Session

from idp.store import backends
from idp.store.together import StoreUnavailable, Together, committing
from idp.store.types import Base, UtcDateTime

__all__ = ["Base", "Database", "Session", "StoreUnavailable", "UtcDateTime"]

AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError, exc.DisconnectionError)
WRITE_WAIT = 3.0


class Database:
    """The store of one process: an engine and the two ways to use it."""

    def __init__(self, engine: Engine) -> None:
        backends.prepare(engine)
        self.engine = engine
        self.dialect = engine.dialect.name
        self._reading = engine if self.dialect == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writing = engine.execution_options(**{backends.WRITES: True})
        # SQLite has one writer and polls for its turn; threads of one process queue here instead, and share commits.
        self._together = Together(self._writing) if self.dialect == "sqlite" else None

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
        with _told_as_unavailable():
            if self._together is not None:
                with self._together.session(WRITE_WAIT) as session:
                    yield session
            else:
                with Session(self._writing, expire_on_commit=False) as session, committing(session):
                    yield session

    def ping(self) -> None:
        """Ask the database for a sign of life."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    """Name the database's own troubles; the cause stays attached for the log."""
    try:
        yield
    except AWAY as trouble:
        raise StoreUnavailable("the store is not available", reason=type(trouble).__name__) from trouble
