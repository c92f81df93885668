"""Which tables a database has, told without the library that changes them: who only serves need not carry it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Engine, inspect, text

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"


def is_newest(engine: Engine) -> bool:
    """Say whether a database has the tables of this version."""
    return current(engine) == newest()


def current(engine: Engine) -> str | None:
    """Return the revision a database is at; None when it has no tables yet."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def newest() -> str:
    """Return the revision of this version: migrations are numbered, and the number is the revision."""
    return max(file.name.partition("_")[0] for file in VERSIONS.glob("[0-9]*_*.py"))
