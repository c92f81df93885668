"""Statements of the hot paths: written as everywhere, compiled once for a backend, sent through the driver itself.

Executing a statement through SQLAlchemy costs several times what the database takes to answer it: cache keys, contexts
and identity maps for one row that nobody changes. What is saved is that alone; the SQL and the types are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection, Dialect, exc
from sqlalchemy.orm import Session

from idp.store.types import Base

Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Mapping[str, Any]
Kind = TypeVar("Kind", bound=Base)
_Convert: TypeAlias = Callable[[Any], Any]


class Prepared:
    """One statement. `classes` are those whose columns it gives first: objects of theirs come back, to be read only.

    A statement that backends know under different names is given as a function of the dialect's name.
    """

    __slots__ = ("_classes", "_made", "_statement")

    def __init__(self, statement: Any, *classes: type[Base]) -> None:  # select, union, insert, update, delete
        self._statement: Final = statement
        self._classes: Final = classes
        self._made: dict[str, _Compiled] = {}

    def run(self, tx: Session, values: Values) -> None:
        """Execute what gives nothing back."""
        self._execute(tx, values)

    def one(self, tx: Session, values: Values) -> Row | None:
        """Return the only row, or None; several would be a mistake of ours."""
        made, rows = self._execute(tx, values)
        if len(rows) > 1:
            raise exc.MultipleResultsFound("several rows where one was expected")
        return made.read(rows[0]) if rows else None

    def all(self, tx: Session, values: Values) -> list[Row]:
        """Return every row."""
        made, rows = self._execute(tx, values)
        return [made.read(row) for row in rows]

    def _execute(self, tx: Session, values: Values) -> tuple[_Compiled, list[Row]]:
        tx.flush()  # what was added before is there before
        connection = tx.connection()
        dialect: Any = connection.dialect
        made = self._made.get(dialect.name)
        if made is None:
            statement = self._statement(dialect.name) if callable(self._statement) else self._statement
            made = self._made[dialect.name] = _Compiled(statement, self._classes, dialect)
        sql, parameters = made.bind(values)
        driver: Any = connection.connection.dbapi_connection
        try:
            cursor = driver.execute(sql, parameters)
            return made, cursor.fetchall() if made.gives_rows else []
        except dialect.loaded_dbapi.Error as trouble:
            raise _told(connection, sql, trouble) from trouble


class _Compiled:
    """A statement as one backend wants it, and how values go in and come out."""

    __slots__ = ("_in", "_lists", "_positional", "_sql", "gives_rows", "read")

    def __init__(self, statement: Any, classes: Sequence[type[Base]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if compiled.isinsert and compiled.insert_prefetch:
            raise TypeError("a default made in Python needs the unit of work")
        self._sql: str = str(compiled)
        self._positional: bool = compiled.positional
        names: list[str] = compiled.positiontup if compiled.positional else list(compiled.binds)
        self._in = [(name, _bound(compiled.binds[name], dialect)) for name in names]
        self._lists = frozenset(name for name in names if compiled.binds[name].expanding)
        columns = list(statement.exported_columns)
        self.gives_rows: Final = bool(columns)
        self.read: Final = _reader(classes, columns, dialect)

    def bind(self, values: Values) -> tuple[str, Sequence[object] | Mapping[str, object]]:
        """Put values in their places, as the backend keeps them."""
        if self._lists:
            return self._spread(values)
        if self._positional:
            return self._sql, [make(values) for _, make in self._in]
        return self._sql, {name: make(values) for name, make in self._in}

    def _spread(self, values: Values) -> tuple[str, Sequence[object] | Mapping[str, object]]:
        """Write a list as as many parameters as it has members; an empty one as NULL, in which nothing is."""
        sql, flat, named = self._sql, list[object](), dict[str, object]()
        for name, make in self._in:
            members = [make({name: each}) for each in values[name]] if name in self._lists else [make(values)]
            flat += members
            if name not in self._lists:
                named[name] = members[0]
                continue
            places = [f"{name}_{number}" for number in range(len(members))]
            named.update(zip(places, members, strict=True))
            marks = ["?" if self._positional else f"%({place})s" for place in places]
            sql = sql.replace(f"__[POSTCOMPILE_{name}]", ", ".join(marks) or "NULL")
        return sql, flat if self._positional else named


def _bound(bind: Any, dialect: Dialect) -> Callable[[Values], object]:
    """Return how one parameter is taken: from the caller by its name, or as it stands in the statement."""
    convert: _Convert | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if not bind.required:
        fixed = bind.value if convert is None else convert(bind.value)
        return lambda _values: fixed
    take = itemgetter(bind.key)
    return take if convert is None else lambda values: convert(take(values))


def _reader(classes: Sequence[type[Base]], columns: Sequence[Any], dialect: Dialect) -> Callable[[Row], Row]:
    """Return how a row is put together: each class takes as many columns as it has, the rest comes as it is."""
    outs = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    converts = [(place, convert) for place, convert in enumerate(outs) if convert is not None]
    keys, parts, start = [str(column.key) for column in columns], [], 0
    for each in classes:
        end = start + len(each.__table__.columns)
        parts.append((each, slice(start, end), keys[start:end]))
        start = end

    def read(row: Row) -> Row:
        values = list(row)
        for place, convert in converts:
            values[place] = convert(values[place])
        objects = [plain(kind, zip(names, values[part], strict=True)) for kind, part, names in parts]
        return (*objects, *values[start:])

    return read


def plain(kind: type[Kind], values: Iterable[tuple[str, Any]]) -> Kind:
    """Fill an object without the library's bookkeeping: its attributes can be read, and setting one fails."""
    made = kind.__new__(kind)
    made.__dict__.update(values)
    return made


def _told(connection: Connection, sql: str, trouble: Exception) -> Exception:
    """Say it as the library would, so that whoever tells troubles apart need not know this way."""
    dialect: Any = connection.dialect
    gone = dialect.is_disconnect(trouble, connection.connection.dbapi_connection, None)
    if gone:
        connection.invalidate(trouble)
    told: Exception = exc.DBAPIError.instance(
        sql,
        None,
        trouble,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=dialect,
    )
    return told
