"""Reading a connector's configuration: each value once, with its type; what nobody asked for is refused."""

from __future__ import annotations

from collections.abc import Mapping

from idp.federation.connector import Misconfigured


class Values:
    """The table of one connector. Messages name fields, never values: one of them may be a password."""

    def __init__(self, table: Mapping[str, object]) -> None:
        self._table = table
        self._asked: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """Read a text that is not empty."""
        value = self._take(name, default)
        if value == "":
            raise Misconfigured(f"{name}: this setting is needed")
        if not isinstance(value, str) or not value.strip():
            raise Misconfigured(f"{name}: write a text in quotes")
        return value

    def maybe(self, name: str) -> str | None:
        """Read a text that may be missing."""
        self._asked.add(name)
        return self.text(name) if name in self._table else None

    def texts(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Read a list of texts; one text counts as a list of one."""
        value = self._take(name, default)
        found = (value,) if isinstance(value, str) else value
        if not isinstance(found, list | tuple) or not all(isinstance(each, str) and each for each in found):
            raise Misconfigured(f"{name}: write a list of texts")
        return tuple(found)

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise Misconfigured(f"{name}: write true or false")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """Read a whole number within bounds."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Misconfigured(f"{name}: write a whole number from {least} to {most}")
        return value

    def seconds(self, name: str, default: float, *, most: float) -> float:
        """Read a time in seconds."""
        value = self._take(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= most:
            raise Misconfigured(f"{name}: write a number of seconds, at most {most:g}")
        return float(value)

    def choice(self, name: str, default: str | None, among: tuple[str, ...]) -> str:
        """Read one of a few words."""
        value = self._take(name, default)
        if not isinstance(value, str) or value not in among:
            raise Misconfigured(f"{name}: write one of {', '.join(among)}")
        return value

    def table(self, name: str) -> Mapping[str, object]:
        """Read a table; a missing one is empty."""
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise Misconfigured(f"{name}: write a table")
        return value

    def nothing_else(self) -> None:
        """Refuse what was not asked for: a misspelt safeguard is no safeguard."""
        unknown = sorted(set(self._table) - self._asked)
        if unknown:
            raise Misconfigured(f"{unknown[0]}: there is no such setting of this kind of connector")

    def _take(self, name: str, default: object) -> object:
        self._asked.add(name)
        value = self._table.get(name, default)
        if value is None:
            raise Misconfigured(f"{name}: this setting is needed")
        return value
