"""Who can, what can: what follows from the file alone, before any request is made.

Only roles and scopes are known beforehand. Everything else (whose resource it is, when, from where, how somebody
signed in) is open, so the answer is yes, no, or "if" with the conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from idp.gateway.config import Config, Route
from idp.gateway.policy import words
from idp.gateway.policy.judge import Judge
from idp.gateway.policy.model import AllOf, AnyOf, Condition, Host, Method, Not, RoleAll, RoleAny, Scope
from idp.gateway.routes import bare

Answer = Literal["yes", "if", "no"]
ANYBODY: Final = "no role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody with these roles, whose tokens may have these scopes."""

    name: str
    roles: frozenset[str]
    scopes: frozenset[str]


def anybody(config: Config) -> Holder:
    """Give the holder of no role. Its token may have the scopes that no declared role stands for."""
    owned = {scope for scopes in config.roles.values() for scope in scopes}
    return Holder(name=ANYBODY, roles=frozenset(), scopes=_asked(config) - owned)


def holders(config: Config) -> tuple[Holder, ...]:
    """Give one holder for each declared role; when none is declared, for each that a rule names, with any scope."""
    common = anybody(config).scopes
    declared = config.roles or {name: common for route in config.routes for name in named_roles(route)}
    return tuple(
        Holder(name=name, roles=frozenset({name}), scopes=scopes | common) for name, scopes in sorted(declared.items())
    )


def everything(config: Config) -> Holder:
    """Give somebody who holds every role."""
    all_of = holders(config)
    roles = frozenset(role for holder in all_of for role in holder.roles)
    scopes = frozenset(scope for holder in all_of for scope in holder.scopes)
    return Holder(name="all roles", roles=roles, scopes=scopes | anybody(config).scopes)


def named_roles(route: Route) -> frozenset[str]:
    """Collect the roles that a route names, anywhere."""
    found: set[str] = set()
    for _, condition in _judge(route).nodes():
        if isinstance(condition, RoleAny | RoleAll):
            found |= condition.names
    return frozenset(found)


def _asked(config: Config) -> frozenset[str]:
    found: set[str] = set()
    for route in config.routes:
        for _, condition in _judge(route).nodes():
            if isinstance(condition, Scope):
                found |= condition.names
    return frozenset(found)


def reach(route: Route, holder: Holder, method: str) -> Answer:
    """Say whether a holder gets through a route."""
    steps = () if route.mode == "shadow" else _judge(route).steps  # in whose hands a token is counts there too
    known = [_known(step.condition, route, holder, method) for step in steps]
    if False in known:
        return "no"
    return "if" if None in known or words.holder(route) else "yes"


def conditions(route: Route, holder: Holder, method: str) -> Iterator[str]:
    """Say what decides for a holder beyond roles and scopes, without the parts that these have settled."""
    for step in () if route.mode == "shadow" else _judge(route).steps:
        if _known(step.condition, route, holder, method) is None:
            yield words.sentence(_open(step.condition, route, holder, method))
    yield from words.holder(route)


def _open(condition: Condition, route: Route, holder: Holder, method: str) -> Condition:
    """Leave of a condition what is not known yet."""
    if isinstance(condition, Not):
        return Not(of=_open(condition.of, route, holder, method))
    if isinstance(condition, AnyOf | AllOf):
        left = [part for part in condition.of if _known(part, route, holder, method) is None]
        parts = tuple(_open(part, route, holder, method) for part in left)
        return parts[0] if len(parts) == 1 else type(condition)(of=parts)
    return condition


def needs_company(route: Route, holder: Holder, others: Holder, method: str) -> bool:
    """Tell whether a role opens a route only together with others, and is missed there."""
    if reach(route, holder, method) != "no" or reach(route, others, method) == "no":
        return False
    without = Holder(name="", roles=others.roles - holder.roles, scopes=others.scopes)
    return reach(route, without, method) == "no"


def _judge(route: Route) -> Judge:
    return Judge(route.require, route.when, None, template=route.path)


def _known(condition: Condition, route: Route, holder: Holder, method: str) -> bool | None:
    if isinstance(condition, Not):
        inner = _known(condition.of, route, holder, method)
        return None if inner is None else not inner
    if isinstance(condition, AnyOf | AllOf):
        decisive = isinstance(condition, AnyOf)
        return _joined((_known(part, route, holder, method) for part in condition.of), decisive=decisive)
    return _leaf(condition, route, holder, method)


def _joined(known: Iterable[bool | None], *, decisive: bool) -> bool | None:
    found = set(known)
    if decisive in found:
        return decisive
    return None if None in found else not decisive


def _leaf(condition: Condition, route: Route, holder: Holder, method: str) -> bool | None:
    if isinstance(condition, Scope):
        return condition.names <= holder.scopes
    if isinstance(condition, RoleAny):
        return not condition.names.isdisjoint(holder.roles)
    if isinstance(condition, RoleAll):
        return condition.names <= holder.roles
    if isinstance(condition, Method):
        return method in condition.names
    if isinstance(condition, Host) and route.host is not None:
        # Named with its port or without: only what the route itself fixes is known.
        fits = route.host in condition.names or bare(route.host) in condition.names
        return fits or None if route.host == bare(route.host) else fits
    return None
