"""Where the page and the style of the gateway lie: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_PLACES: Final = (Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[2])


@cache
def read(path: str) -> str:
    """Read a file of `templates` or `static`."""
    for place in _PLACES:
        if (place / path).is_file():
            return (place / path).read_text("utf-8")
    raise FileNotFoundError(path)
