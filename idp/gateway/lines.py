"""On which line of a TOML file a field stands. tomllib does not say, and people need to know."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from typing import Final

Place = tuple[str | int, ...]

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL)
_PLAIN: Final = re.compile(r"[^,\]}\n#]*")
_ESCAPE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})|\\(.)")


def line_of(text: str, place: Place) -> int:
    """Find the line of a field, else of the nearest table around it; 1 when even that is not written out."""
    found = _places(text)
    while place and place not in found:
        place = place[:-1]
    return found.get(place, 1)


@lru_cache(maxsize=2)
def _places(text: str) -> dict[Place, int]:
    return _Scanner(text).run()


class _Scanner:
    """Walks through a text that tomllib has accepted, and notes where everything begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._found: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}  # of arrays of tables

    def run(self) -> dict[Place, int]:
        """Read table after table, field after field."""
        table: Place = ()
        while self._next():
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._field(table)
        return self._found

    def _next(self) -> str:
        """Skip to the next thing that says something, and give its first character."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _note(self, place: Place) -> None:
        self._found.setdefault(place, bisect_right(self._newlines, self._at - 1) + 1)

    def _header(self) -> Place:
        start, many = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        *outer, last = self._keys()
        place: Place = ()
        for key in outer:
            place = self._inside((*place, key))
        place = (*place, last)
        if many:
            self._counts[place] = self._counts.get(place, 0) + 1
        place = self._inside(place)
        self._at, end = start, self._at
        self._note(place)
        self._at = self._text.find("\n", end) if "\n" in self._text[end:] else len(self._text)
        return place

    def _inside(self, place: Place) -> Place:
        """A name of an array of tables means the last of them."""
        count = self._counts.get(place)
        return place if count is None else (*place, count - 1)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._next() == ".":
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        quoted = self._next() in {'"', "'"}
        match = (_STRING if quoted else _BARE).match(self._text, self._at)
        written = match[0] if match else ""
        self._at += len(written) or 1
        if not quoted:
            return written
        return _ESCAPE.sub(_unescaped, written[1:-1]) if written.startswith('"') else written[1:-1]

    def _field(self, table: Place) -> None:
        self._next()
        place = table
        start = self._at
        for key in self._keys():
            place = (*place, key)
            self._at, end = start, self._at
            self._note(place)
            self._at = end
        self._at += 1  # "="
        self._value(place)

    def _value(self, place: Place) -> None:
        first = self._next()
        self._note(place)
        if first == "[":
            self._list(place)
        elif first == "{":
            self._table(place)
        else:
            match = (_STRING if first in {'"', "'"} else _PLAIN).match(self._text, self._at)
            self._at += len(match[0]) if match and match[0] else 1

    def _list(self, place: Place) -> None:
        self._at += 1
        number = 0
        while (following := self._next()) not in {"]", ""}:
            if following == ",":
                self._at += 1
                continue
            self._value((*place, number))
            number += 1
        self._at += 1

    def _table(self, place: Place) -> None:
        self._at += 1
        while (following := self._next()) not in {"}", ""}:
            if following == ",":
                self._at += 1
                continue
            self._field(place)
        self._at += 1


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return (
        chr(int(code, 16)) if code else {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(match[3], match[3])
    )
