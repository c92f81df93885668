"""Brings a database to the tables of this version, one process at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import autogenerate, command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from idp.store import backends
from idp.store.patience import unhurried
from idp.store.tables import metadata
from idp.store.types import PlainText, UtcDateTime

HERE = Path(__file__).parent / "migrations"
LOCK = 0x6964705F6D696772  # "idp_migr": any number will do that nobody else takes
LOCK_WAIT_SECONDS = 60


class Outdated(ValueError):
    """The database is not at the tables of this version."""


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Go forward to a revision. Two processes that start at once do it once: the second waits, then finds it done."""
    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Go back to a revision; data that the older tables have no place for is lost."""
    _run(engine, lambda config: command.downgrade(config, revision))


def current(engine: Engine) -> str | None:
    """Return the revision a database is at; None when it has no tables yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the revision of this version."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def check(engine: Engine) -> list[str]:
    """Return what separates a database from the tables of this version; nothing when all is well."""
    found = current(engine)
    if found is None:
        return ["the database has no tables yet; run `idp db upgrade`"]
    if found != newest():
        return [f"the database is at revision {found}, this version needs {newest()}; run `idp db upgrade`"]
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [f"the tables differ from this version: {_told(each)}" for each in _differences(context)]


def require_current(engine: Engine) -> None:
    """Refuse to start on a database of another version."""
    found = current(engine)
    if found != newest():
        raise Outdated("the database is not at the tables of this version; run `idp db upgrade`")


def revise(engine: Engine, message: str, number: str) -> None:
    """Write a new migration from the difference to the models; for developers, who then read and correct it."""
    _run(engine, lambda config: command.revision(config, message, autogenerate=True, rev_id=number))


def known() -> frozenset[str]:
    """Return every revision this version can start from."""
    return frozenset(each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions())


def rebuild(connection: Connection) -> None:
    """Drop every table and make them anew, empty, in the transaction at hand."""
    config = _on(connection)
    command.downgrade(config, "base")
    command.upgrade(config, "head")


def render_item(kind: str, thing: Any, _context: object) -> str | Literal[False]:
    """Write our column types as plain ones: a migration must not change when they do."""
    if kind == "type" and isinstance(thing, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(thing, PlainText):
        return "sa.Text()"
    return False


def _run(engine: Engine, act: Callable[[Config], object]) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with alone(engine) as connection:
        act(_on(connection))


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """Hold the one lock of migrations, in the transaction that makes them."""
    with engine.execution_options(**{backends.WRITES: True}).connect() as connection:
        if engine.dialect.name == "sqlite":
            with _rebuilding(connection):
                yield connection
            return
        with unhurried(connection), connection.begin():
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT_SECONDS * 1000}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            yield connection


@contextmanager
def _rebuilding(connection: Connection) -> Iterator[None]:
    # SQLite changes a table by making it anew: with foreign keys on, dropping the old one would empty its children.
    driver = connection.connection.driver_connection
    if driver is None:
        raise Outdated("the database went away")
    driver.execute("PRAGMA foreign_keys = OFF")
    driver.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_SECONDS * 1000}")
    try:
        with connection.begin():
            yield
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise Outdated("a migration left rows that point nowhere")
    finally:
        connection.invalidate()  # the next user gets a connection with the usual pragmas


def _on(connection: Connection) -> Config:
    config = _config()
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata
    return config


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config


def _differences(context: MigrationContext) -> list[Any]:
    return list(autogenerate.compare_metadata(context, metadata))


def _told(difference: Any) -> str:
    first = difference[0] if isinstance(difference, list) else difference
    return " ".join(str(getattr(part, "name", part)) for part in first if part is not None)
