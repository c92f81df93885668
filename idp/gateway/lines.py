"""On which line of a TOML file a field stands. tomllib does not say, and people need to know."""

from __future__ import annotations

import re

Place = tuple[str | int, ...]


def line_of(text: str, place: Place) -> int:
    """Find the line of a field, or of the table nearest to it; 1 when even that is not written out.

    Good enough for a message: a field inside an inline table is found on the line of that table.
    """
    lines = text.split("\n")
    start = 0
    header: list[str] = []
    for at, step in enumerate(place):
        if isinstance(step, int):
            start = _nth(lines, rf"\s*\[\[\s*{_keys(header)}\s*\]\]", step, start)
            continue
        header.append(step)
        follows_list = at + 1 < len(place) and isinstance(place[at + 1], int)
        if follows_list:
            continue
        start = _next(lines, header, step, start)
    return start + 1


def _next(lines: list[str], header: list[str], field: str, start: int) -> int:
    """Find `[a.b]`, else `b = ...`, below a line; stay where we are if there is neither."""
    table = re.compile(rf"\s*\[\s*{_keys(header)}\s*\]")
    key = re.compile(rf"\s*(?:\w[\w-]*\s*\.\s*)*{_key(field)}\s*[=.]|.*[{{,]\s*{_key(field)}\s*=")
    for number, line in enumerate(lines[start:], start):
        if table.match(line) or key.match(line):
            return number
        if number > start and re.match(r"\s*\[\[", line):
            break
    return start


def _nth(lines: list[str], pattern: str, number: int, start: int) -> int:
    seen = [at for at, line in enumerate(lines) if re.match(pattern, line)]
    return seen[number] if number < len(seen) else start


def _keys(names: list[str]) -> str:
    return r"\s*\.\s*".join(_key(name) for name in names)


def _key(name: str) -> str:
    return rf"""["']?{re.escape(name)}["']?"""
