"""Parameters as they came: every pair in order, so that a repeated one is seen (RFC 6749 section 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl

from idp.protocol.errors import InvalidRequest

Pairs = Sequence[tuple[str, str]]

MAX_PAIRS = 100
MAX_VALUE = 4_096
# Tokens and the claims member are long by nature; everything else is a name, an address or a nonce.
MAX_LONG_VALUE = 16_384
LONG = frozenset(
    {
        "actor_token",
        "assertion",
        "claims",
        "client_assertion",
        "id_token_hint",
        "request",
        "subject_token",
        "token",
    }
)
# RFC 8707 section 2: the one parameter that may come more than once.
REPEATABLE = frozenset({"resource"})


def decode(raw: bytes) -> Pairs:
    """Split a query or a form body into pairs; bytes that are not UTF-8 are refused, not replaced."""
    try:
        return parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_PAIRS,
        )
    except ValueError as fault:
        raise InvalidRequest("request is not form-encoded UTF-8", reason=str(fault)[:200]) from None


def repeated(pairs: Pairs) -> frozenset[str]:
    """Name the parameters that came more than once and must not."""
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        return frozenset()  # as almost always: counting costs more than the rest of a small form
    counts = Counter(names)
    return frozenset(name for name, count in counts.items() if count > 1 and name not in REPEATABLE)


def single(pairs: Pairs) -> Mapping[str, str]:
    """Give what came exactly once; a parameter without a value counts as omitted (RFC 6749 section 3.1)."""
    again = repeated(pairs)
    once = {name: value for name, value in pairs if value and name not in again and name not in REPEATABLE}
    return MappingProxyType(once)


def every(pairs: Pairs, name: str) -> tuple[str, ...]:
    """Give all values of a repeatable parameter, in order, each once."""
    return tuple(dict.fromkeys(value for key, value in pairs if key == name and value))


def fits(name: str, value: str) -> bool:
    """Say whether a value is short enough to keep, and free of NUL, which no store can hold."""
    return len(value) <= (MAX_LONG_VALUE if name in LONG else MAX_VALUE) and "\0" not in value


def refuse_misfits(values: Mapping[str, str], names: frozenset[str]) -> None:
    """Refuse a known parameter that is too long; unknown ones are never looked at."""
    if not all(fits(name, value) for name, value in values.items() if name in names):
        raise InvalidRequest("a parameter is too long or holds a NUL")
