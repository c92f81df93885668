"""Conditions into closures over a principal and the facts of a request.

`known=True` asks whether a condition is known to hold, `known=False` whether it is known not to: `not` turns the
question around and moves inwards, so what is unknown (a claim that is missing, an address nobody trusted has said)
opens nothing, however often it is negated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast
from zoneinfo import ZoneInfo

from idp.gateway.policy.facts import Facts
from idp.gateway.policy.model import (
    Acr,
    AllOf,
    AnyOf,
    Claim,
    Condition,
    Eq,
    Host,
    IpIn,
    MaxAge,
    Method,
    Not,
    Operand,
    Reviewed,
    RoleAll,
    RoleAny,
    Scope,
    Window,
)
from idp.gateway.principal import Principal
from idp.gateway.routes import bare
from idp.gateway.template import Template
from idp.protocol import acr

Check: TypeAlias = Callable[[Principal, Facts], bool]
Reader: TypeAlias = Callable[[Principal, Facts], str | None]


class Leaf(Protocol):
    """Compiles one kind of condition."""

    def __call__(self, condition: Any, *, known: bool) -> Check:
        """Give the check for this question."""


_AHEAD: Final = 60.0  # more than any clock may be ahead (decisions: one leeway)
_PAIR: Final = 2


class Compiler:
    """For one route: variables of the path are found by place, not by name.

    Kinds of leaves may be assumed to hold: to find out whether only they are in the way.
    """

    def __init__(self, template: Template, assumed: tuple[type[Condition], ...] = ()) -> None:
        self._template = template
        self._assumed = assumed

    def check(self, condition: Condition, *, known: bool = True) -> Check:
        """Compile a condition."""
        if isinstance(condition, Not):
            return self.check(condition.of, known=not known)
        if isinstance(condition, AnyOf | AllOf):
            checks = [self.check(each, known=known) for each in condition.of]
            return _any(checks) if isinstance(condition, AnyOf) is known else _all(checks)
        if known and isinstance(condition, self._assumed):
            return lambda _principal, _facts: True
        return self._leaf(condition, known=known)

    def _leaf(self, condition: Condition, *, known: bool) -> Check:
        if isinstance(condition, Eq):
            return _eq(self._operand(condition.left), self._operand(condition.right), known=known)
        return cast("Leaf", _LEAVES[type(condition)])(condition, known=known)

    def _operand(self, operand: Operand) -> Reader:
        if operand.kind == "claim":
            return _claim_text(operand.name)
        names, segments = self._template.names, self._template.segments
        if self._template.rest and operand.name == names[-1]:
            start = len(segments)
            return lambda _principal, facts: "/".join(facts.segments[start:])
        places = [at for at, segment in enumerate(segments) if segment is None]
        place = places[names.index(operand.name)]
        return lambda _principal, facts: facts.segments[place]


def _any(checks: Sequence[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == _PAIR:
        first, second = checks
        return lambda principal, facts: first(principal, facts) or second(principal, facts)

    def holds(principal: Principal, facts: Facts) -> bool:
        for check in checks:  # noqa: SIM110 - half the cost of any() with a generator
            if check(principal, facts):
                return True
        return False

    return holds


def _all(checks: Sequence[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == _PAIR:
        first, second = checks
        return lambda principal, facts: first(principal, facts) and second(principal, facts)

    def holds(principal: Principal, facts: Facts) -> bool:
        for check in checks:  # noqa: SIM110 - a loop costs half of what `all` with a generator does
            if not check(principal, facts):
                return False
        return True

    return holds


def _claim_text(name: str) -> Reader:
    if name == "sub":
        return lambda principal, _facts: principal.subject

    def read(principal: Principal, facts: Facts) -> str | None:
        value = facts.claim(principal, name)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    return read


def _eq(left: Reader, right: Reader, *, known: bool) -> Check:
    def holds(principal: Principal, facts: Facts) -> bool:
        one, other = left(principal, facts), right(principal, facts)
        return one is not None and other is not None and (one == other) is known

    return holds


def _scope(condition: Scope, *, known: bool) -> Check:
    names = condition.names
    if known:
        return lambda principal, _facts: names <= principal.scopes
    return lambda principal, _facts: not names <= principal.scopes


def _role_any(condition: RoleAny, *, known: bool) -> Check:
    names = condition.names
    if known:
        return lambda principal, _facts: not names.isdisjoint(principal.roles)
    return lambda principal, _facts: names.isdisjoint(principal.roles)


def _role_all(condition: RoleAll, *, known: bool) -> Check:
    names = condition.names
    if known:
        return lambda principal, _facts: names <= principal.roles
    return lambda principal, _facts: not names <= principal.roles


def _claim(condition: Claim, *, known: bool) -> Check:
    name = condition.name
    # 1 is True to Python, and not to the one who wrote the rule.
    wanted = frozenset((type(value), value) for value in condition.values)

    def holds(principal: Principal, facts: Facts) -> bool:
        value = facts.claim(principal, name)
        if isinstance(value, list):
            found = any((type(each), each) in wanted for each in value if isinstance(each, str | int))
            return found is known
        if not isinstance(value, str | int):
            return False
        return ((type(value), value) in wanted) is known

    return holds


def _method(condition: Method, *, known: bool) -> Check:
    names = condition.names
    return lambda _principal, facts: (facts.method in names) is known


def _host(condition: Host, *, known: bool) -> Check:
    names = condition.names
    return lambda _principal, facts: (facts.host in names or bare(facts.host) in names) is known


def _ip_in(condition: IpIn, *, known: bool) -> Check:
    networks = condition.networks

    def holds(_principal: Principal, facts: Facts) -> bool:
        number = facts.number
        if number is None:
            return False
        version, value = number
        for of, mask, bits in networks:
            if of == version and value & mask == bits:
                return known
        return not known

    return holds


def _window(condition: Window, *, known: bool) -> Check:
    zone, days = ZoneInfo(condition.zone), condition.days
    opens, closes = condition.opens, condition.closes
    first, last = condition.first or dt.date.min, condition.last or dt.date.max
    overnight = opens is not None and closes is not None and closes < opens

    def holds(_principal: Principal, facts: Facts) -> bool:
        local = dt.datetime.fromtimestamp(facts.now, zone)
        date, time = local.date(), local.time()
        inside = True
        if opens is not None and closes is not None:
            inside = opens <= time < closes if not overnight else time >= opens or time < closes
            if overnight and time < closes:
                date -= dt.timedelta(days=1)
        return (inside and date.weekday() in days and first <= date <= last) is known

    return holds


def _acr(condition: Acr, *, known: bool) -> Check:
    values = condition.values

    def holds(principal: Principal, facts: Facts) -> bool:
        actual = facts.claim(principal, "acr")
        if not isinstance(actual, str):
            return False
        return any(actual == wanted or acr.meets(actual, wanted) for wanted in values) is known

    return holds


def _max_age(condition: MaxAge, *, known: bool) -> Check:
    seconds = condition.seconds

    def holds(principal: Principal, facts: Facts) -> bool:
        at = facts.claim(principal, "auth_time")
        if isinstance(at, bool) or not isinstance(at, int | float) or at > facts.now + _AHEAD:
            return False
        return (facts.now - at <= seconds) is known

    return holds


def _reviewed(condition: Reviewed, *, known: bool) -> Check:
    end = dt.datetime.combine(condition.by, dt.time.max, tzinfo=dt.UTC).timestamp()
    return lambda _principal, facts: (facts.now <= end) is known


_LEAVES: Final = {
    Scope: _scope,
    RoleAny: _role_any,
    RoleAll: _role_all,
    Claim: _claim,
    Method: _method,
    Host: _host,
    IpIn: _ip_in,
    Window: _window,
    Acr: _acr,
    MaxAge: _max_age,
    Reviewed: _reviewed,
}
