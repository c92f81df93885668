"""Numbers, spans and moments as people read them."""

from __future__ import annotations

import time
from typing import Final

DAY: Final = 86_400.0


def number(value: float) -> str:
    """Write a count."""
    return f"{int(value):,}"


def span(seconds: float) -> str:
    """Say how long, in the unit that fits."""
    for unit, length in (("days", DAY), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{int(seconds / length)} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def moment(at: float) -> str:
    """Write a moment."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def day(at: float) -> str:
    """Write a day."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def many(count: int, one: str) -> str:
    """Write a count of things whose plural is plain."""
    return f"{number(count)} {one}{'' if count == 1 else 's'}"
