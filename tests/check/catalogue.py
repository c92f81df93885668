"""The catalogue of attacks: ids, what each means, and why some do not apply yet."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "attacks.toml"
LATER = "later"


@functools.cache
def areas() -> dict[str, dict[str, str]]:
    """Return id and sentence, by area, in the order of the file."""
    return {area: rows for area, rows in _read().items() if area != LATER}


@functools.cache
def later() -> dict[str, str]:
    """Return the ids that do not apply yet, and why."""
    return _read()[LATER]


@functools.cache
def ids() -> frozenset[str]:
    """Return every id."""
    return frozenset(name for rows in areas().values() for name in rows)


def _read() -> dict[str, dict[str, str]]:
    return tomllib.loads(FILE.read_text("utf-8"))
