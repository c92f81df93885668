"""Reading TOML tables field by field: each problem is named with its line, its place and its field.

Problems are collected, so that one look at the file is enough to mend it. Whatever was not asked for is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from idp.gateway.lines import Place, line_of

T = TypeVar("T")

_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SIZE: Final = re.compile(r"(\d{1,12})(B|KB|MB|GB)")
_BYTES: Final = {"B": 1, "KB": 1_024, "MB": 1_048_576, "GB": 1_073_741_824}


class Wrong(ValueError):
    """A value that cannot be what its field needs; the text completes a sentence about the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the file."""

    line: int
    where: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.where}: {self.text}" if self.where else f"line {self.line}: {self.text}"


class Table:
    """One table of the file and what has been asked of it so far."""

    def __init__(
        self, values: Mapping[str, Any], *, place: Place, name: str, text: str, problems: list[Problem]
    ) -> None:
        self._values = values
        self._place = place
        self._name = name
        self.text = text
        self._problems = problems
        self._asked: set[str] = set()

    def __contains__(self, field: str) -> bool:
        return field in self._values

    def names(self) -> list[str]:
        """List the fields, for tables whose fields are names that people choose."""
        return list(self._values)

    def problem(self, field: str | None, text: str) -> None:
        """Note a problem with a field, or with the table itself."""
        place = self._place if field is None else (*self._place, field)
        said = text if field is None else f'field "{field}" {text}'
        self._problems.append(Problem(line=line_of(self.text, place), where=self._name, text=said))

    def value(self, field: str, read: Callable[[Any], T], default: T) -> T:
        """Read one field; a missing one has the default, a wrong one is a problem and has the default too."""
        self._asked.add(field)
        if field not in self._values:
            return default
        try:
            return read(self._values[field])
        except ValueError as wrong:
            self.problem(field, str(wrong))
            return default

    def required(self, field: str, read: Callable[[Any], T], default: T) -> T:
        """Read one field that has no default; the one given only carries the reading to its end."""
        if field not in self._values:
            self.problem(field, "is missing")
        return self.value(field, read, default)

    def table(self, field: str, name: str | None = None) -> Table:
        """Open a table inside; a missing one is empty."""
        nothing: Mapping[str, Any] = {}
        values = self.value(field, mapping, nothing)
        return Table(
            values,
            place=(*self._place, field),
            name=name or (f"{self._name}.{field}" if self._name else field),
            text=self.text,
            problems=self._problems,
        )

    def switched(self, field: str) -> Table | None:
        """Open a table that may be `true` instead, for nothing but defaults; None when it is false or missing."""
        off: bool | Mapping[str, Any] = False
        value = self.value(field, switch, off)
        if value is False:
            return None
        if value is True:
            return Table({}, place=(*self._place, field), name=self._name, text=self.text, problems=self._problems)
        return self.table(field)

    def tables(self, field: str) -> list[Table]:
        """Open every table of a list of tables."""
        listed: list[Mapping[str, Any]] = self.value(field, mappings, [])
        return [
            Table(values, place=(*self._place, field, number), name=self._title(field, values, number), text=self.text,
                  problems=self._problems)
            for number, values in enumerate(listed)
        ]  # fmt: skip

    def _title(self, field: str, values: Mapping[str, Any], number: int) -> str:
        if self._name:
            return f"{self._name}.{field}[{number + 1}]"
        name = values.get("id")
        kind = field.removesuffix("s")
        return f'{kind} "{name}"' if isinstance(name, str) and name.isprintable() else f"{kind} {number + 1}"

    def finish(self) -> None:
        """Name every field that nobody asked for."""
        for field in self._values:
            if field not in self._asked:
                self.problem(field, "is unknown")


def mapping(value: Any) -> Mapping[str, Any]:
    """Read a table."""
    if not isinstance(value, dict):
        raise Wrong("must be a table")
    return value


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Read a list of tables."""
    if not isinstance(value, list):
        raise Wrong("must be a list of tables")
    return [mapping(each) for each in value]


def text(value: Any) -> str:
    """Read printable text that is not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Wrong("must be text")
    return value


def words(value: Any) -> tuple[str, ...]:
    """Read a list of different texts."""
    if not isinstance(value, list) or not value:
        raise Wrong("must be a list of texts, and not an empty one")
    read = tuple(text(each) for each in value)
    if len(set(read)) != len(read):
        raise Wrong("names something twice")
    return read


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise Wrong("must be true or false")
    return value


def switch(value: Any) -> bool | Mapping[str, Any]:
    """Read true, false or a table."""
    if not isinstance(value, bool | dict):
        raise Wrong("must be true, false or a table")
    return value


def count(value: Any) -> int:
    """Read a whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Wrong("must be a whole number above zero")
    return value


def duration(value: Any) -> float:
    """Read a span of time such as "300ms", "30s", "5m", "24h"."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise Wrong('must be a span of time such as "30s", "5m" or "24h"')
    return int(match[1]) * _SECONDS[match[2]]


def size(value: Any) -> int:
    """Read a number of bytes such as "32KB" or "10MB"."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise Wrong('must be a size such as "32KB" or "10MB"')
    return int(match[1]) * _BYTES[match[2]]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Reads one word out of a few; the schema lists them."""

    choices: tuple[str, ...]

    def __call__(self, value: Any) -> str:
        """Read one of them."""
        if value not in self.choices:
            raise Wrong("must be " + " or ".join(f'"{choice}"' for choice in self.choices))
        return str(value)


def one_of(*choices: str) -> OneOf:
    """Read one word out of a few."""
    return OneOf(choices)
