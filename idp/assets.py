"""Where templates and static files lie, and the addresses of the static ones. Standard library only."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent


class AssetMissing(Exception):
    """A file or folder that the package should carry is not there."""


@cache
def folder(name: str) -> Path:
    """Return `templates` or `static`: inside the package in a wheel, beside it in a checkout."""
    for place in (_HERE / name, _HERE.parent / name):
        if place.is_dir():
            return place
    raise AssetMissing(name)


@cache
def fingerprint(path: str) -> str:
    """Return a short hash of the content of one static file."""
    file = folder("static") / path
    if not file.is_file():
        raise AssetMissing(path)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def address(path: str) -> str:
    """Return the address of a static file; it changes with the content, so it may be kept for ever."""
    return f"/static/{path}?v={fingerprint(path)}"
