"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
from typing import TypeAlias

from sqlalchemy import JSON, DateTime, LargeBinary, MetaData, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.types import TypeDecorator

from idp.protocol.errors import InvalidRequest

JsonObject: TypeAlias = dict[str, object]
JsonList: TypeAlias = list[str]
ScopeMap: TypeAlias = dict[str, list[str]]

MFA_CHOICES = "mfa IN ('off', 'optional', 'required')"
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Unstorable(InvalidRequest, DontWrapMixin):
    """Text holds a NUL or half a surrogate pair: one backend would refuse it, so both do."""


class PlainText(TypeDecorator[str]):
    """Text that every backend can hold; anything else is the caller's fault, not ours."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Refuse what PostgreSQL cannot store."""
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Unstorable("a value holds characters that cannot be stored")
        return value


class UtcDateTime(TypeDecorator[dt.datetime]):
    """An aware moment in UTC; a naive one is a mistake and is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _dialect: Dialect) -> dt.datetime | None:
        """Store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive time: every moment in the store is aware and UTC")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, _dialect: Dialect) -> dt.datetime | None:
        """Return UTC, whatever the backend's session thinks."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Base(DeclarativeBase):
    """All tables. JSON values are replaced whole, never changed in place."""

    # A registry, not a bare type map: Flask-SQLAlchemy derives its own base from this one.
    registry = registry(
        metadata=MetaData(naming_convention=NAMES),
        type_annotation_map={
            str: PlainText,
            bytes: LargeBinary,
            dt.datetime: UtcDateTime,
            JsonObject: JSON(none_as_null=True),
            JsonList: JSON(none_as_null=True),
            ScopeMap: JSON(none_as_null=True),
        },
    )
