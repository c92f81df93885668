"""What two files say beside their routes: whom they trust, where they listen, where limits are counted.

Compared as it is written, so that it is said in the words of the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from idp.gateway.policy.diff import Change

# The routes have words of their own, and the defaults are part of each.
_ELSEWHERE: Final = frozenset({"routes", "defaults"})
_ABSENT: Final = "not said"


def beside(old: str, new: str) -> Iterator[Change]:
    """Compare two texts that have been found sound."""
    before, after = (dict(_flat(_top(text))) for text in (old, new))
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if was != now:
            yield Change(what="changed", route="", who="", text=f"{name} was {was}, now {now}")


def _top(text: str) -> dict[str, Any]:
    return {name: value for name, value in tomllib.loads(text).items() if name not in _ELSEWHERE}


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, _said(value)


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
