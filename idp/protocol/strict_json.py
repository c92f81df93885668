"""JSON parameters read strictly: no duplicate members, no NaN, bounded depth and size (RFC 8259 section 4)."""

from __future__ import annotations

import json
from typing import NoReturn

MAX_DEPTH = 8
MAX_DIGITS = 19  # a 64-bit integer


class Malformed(ValueError):
    """The text is not the JSON object we accept."""


def read_object(text: str) -> dict[str, object]:
    """Parse one JSON object; anything doubtful is refused rather than guessed."""
    # Depth first: the parser recurses, so a deep text must not reach it.
    if _depth(text) > MAX_DEPTH:
        raise Malformed("too deep")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer)
    except (ValueError, RecursionError) as fault:
        raise Malformed("not JSON") from fault
    if not isinstance(value, dict):
        raise Malformed("not an object")
    return value


def _depth(text: str) -> int:
    """Count brackets without regard to strings: an upper bound is enough to refuse by."""
    deepest = depth = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed("duplicate member")
    return dict(pairs)


def _refuse(_: str) -> NoReturn:
    raise Malformed("not a number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Malformed("number is too long")
    return int(digits)
