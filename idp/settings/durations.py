"""Durations as people write them: 30s, 10m, 12h, 7d, or a number of seconds."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
WRITTEN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd]?)")


def parse(value: object) -> object:
    """Read a duration; what is not one is left for the type to refuse."""
    if isinstance(value, str):
        match = WRITTEN.fullmatch(value.strip())
        if match is None:
            raise ValueError("write a duration such as 30s, 10m, 12h or 7d")
        return dt.timedelta(seconds=float(match[1]) * UNITS[match[2] or "s"])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return dt.timedelta(seconds=value)
    return value


def show(value: dt.timedelta) -> str:
    """Write a duration with the largest unit that divides it."""
    seconds = value.total_seconds()
    for unit, size in reversed(UNITS.items()):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


Duration = Annotated[dt.timedelta, BeforeValidator(parse), PlainSerializer(show, when_used="json")]
