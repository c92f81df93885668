"""The words of the policy language as frozen values. Nothing here reads a file or decides."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

# A network as (version, mask, bits): what a comparison of numbers needs, and nothing more.
Network: TypeAlias = tuple[int, int, int]
Value: TypeAlias = str | int | bool
Mode = Literal["enforce", "shadow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The token has all of these scopes."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAny:
    """The token has one of these roles."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAll:
    """The token has all of these roles."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim of the token is one of these values, or a list that holds one of them."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """One side of an `eq`: a claim of the token or a variable of the path."""

    kind: Literal["claim", "path"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Eq:
    """Both sides are there and say the same."""

    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """The request has one of these methods."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The request is for one of these hosts."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IpIn:
    """The client's address is known and lies in one of these networks."""

    written: tuple[str, ...]
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The local time is on these days, between these hours, within these dates.

    A window across midnight belongs to the day on which it opens.
    """

    zone: str
    days: frozenset[int] = frozenset(range(7))  # 0 is Monday
    opens: dt.time | None = None
    closes: dt.time | None = None  # no longer inside
    first: dt.date | None = None
    last: dt.date | None = None  # still inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Acr:
    """The sign-in was at least as strong as one of these (RFC 9470)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxAge:
    """The sign-in is no older than this (RFC 9470)."""

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """The rule has been looked at in time. Not a word of the language: `review` with `expired = "deny"` adds it."""

    by: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """One of these holds."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """All of these hold."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """This does not hold, and it is known not to: a missing claim or an unknown address satisfies no `not`."""

    of: Condition


Leaf: TypeAlias = (
    Scope | RoleAny | RoleAll | Claim | Eq | Method | Host | IpIn | Window | Acr | MaxAge | Reviewed
)  # fmt: skip
Condition: TypeAlias = Leaf | AnyOf | AllOf | Not


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Who looks at a rule again, until when, and what happens if nobody does."""

    owner: str
    by: dt.date  # the last good day, UTC
    expired: Literal["deny", "warn"] = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """What a token must carry for a route."""

    scopes: frozenset[str] = frozenset()
    role_any: frozenset[str] = frozenset()
    role_all: frozenset[str] = frozenset()
    claims: tuple[Claim, ...] = ()
    acr: tuple[str, ...] = ()
    max_age: int | None = None


ANY_TOKEN: Final = Require()  # for the audience; everything else is a choice


def parts(condition: Condition) -> tuple[Condition, ...]:
    """Give what a condition is made of; a leaf is made of nothing."""
    if isinstance(condition, AnyOf | AllOf):
        return condition.of
    return (condition.of,) if isinstance(condition, Not) else ()
