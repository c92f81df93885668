"""The policy of a route as written into conditions. Every problem is named with its place; an odd one never loads."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Network, ip_network
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.host import valid_host
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
    Network,
    Not,
    Operand,
    Require,
    Review,
    RoleAll,
    RoleAny,
    Scope,
    Window,
)

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ACR: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # it is told in a quoted list (RFC 9470 section 3)
_NOTHING: Final[Condition] = AnyOf(of=())  # never holds; stands in for what cannot be read, so that reading goes on
_NONE: Final[tuple[Any, ...]] = ()
_EVERY_DAY: Final = frozenset(range(7))
_DEEPEST: Final = 8


def require(table: t.Table) -> Require:
    """Read what a token must carry."""
    read = Require(
        scopes=table.value("scope", values.scopes, frozenset()),
        role_any=table.value("role_any", names, frozenset()),
        role_all=table.value("role_all", names, frozenset()),
        claims=table.value("claims", claims, _NONE),
        acr=table.value("acr", strengths, _NONE),
        max_age=table.value("max_age", seconds, None),
    )
    table.finish()
    return read


def review(table: t.Table) -> Review:
    """Read who looks at a rule again and until when."""
    read = Review(
        owner=table.required("owner", t.text, "?"),
        by=table.required("by", day, dt.date.max),
        expired=cast("Any", table.value("expired", t.one_of("deny", "warn"), "warn")),
    )
    table.finish()
    return read


def roles(table: t.Table) -> Mapping[str, frozenset[str]]:
    """Read which scopes the holders of a role may have: for looking at rules, never for widening a token."""
    nothing: frozenset[str] = frozenset()
    declared = {name: table.value(name, listed_scopes, nothing) for name in table.names()}
    table.finish()
    return declared


def when(table: t.Table, variables: tuple[str, ...]) -> tuple[Condition, ...]:
    """Read the conditions of a route, all of which must hold."""
    return tuple(_condition(each, variables, 1) for each in table.tables("when"))


def _condition(table: t.Table, variables: tuple[str, ...], depth: int) -> Condition:
    """Read one condition: a table with a single field. Each level is a condition of its own."""
    if len(table.names()) != 1:
        table.problem(None, "must hold one condition, not " + ("none" if not table.names() else "several"))
    if depth > _DEEPEST:
        table.problem(None, f"is nested deeper than {_DEEPEST} levels")
        return _NOTHING
    found: list[Condition] = []
    for name, read in _LEAVES.items():
        if name in table:
            found.append(table.value(name, read, _NOTHING))
    if "eq" in table:
        found.append(table.value("eq", _eq(variables), _NOTHING))
    if "time" in table:
        found.append(_window(table.table("time")))
    for name, kind in (("any", AnyOf), ("all", AllOf)):
        if name in table:
            found.append(kind(of=_several(table, name, variables, depth)))
    if "not" in table:
        found.append(Not(of=_condition(table.table("not"), variables, depth + 1)))
    table.finish()
    return found[0] if found else _NOTHING


def _several(table: t.Table, name: str, variables: tuple[str, ...], depth: int) -> tuple[Condition, ...]:
    inner = tuple(_condition(each, variables, depth + 1) for each in table.tables(name))
    if not inner:  # an empty `all` would hold, and open what somebody meant to guard
        table.problem(name, "must hold at least one condition")
    return inner


def _window(table: t.Table) -> Window:
    window = Window(
        zone=table.required("tz", zone, "UTC"),
        days=table.value("days", days, _EVERY_DAY),
        opens=table.value("from", clock, None),
        closes=table.value("to", clock, None),
        first=table.value("first", day, None),
        last=table.value("last", day, None),
    )
    if (window.opens is None) != (window.closes is None):
        table.problem(None, 'needs "from" and "to", or neither')
    elif window.opens is not None and window.opens == window.closes:
        table.problem("to", "must differ from from: without both the whole day is inside")
    if window.first is not None and window.last is not None and window.last < window.first:
        table.problem("last", "must not be before first")
    table.finish()
    return window


def names(value: Any) -> frozenset[str]:
    """Read a list of names."""
    return frozenset(t.words(value))


def listed_scopes(value: Any) -> frozenset[str]:
    """Read a list of scopes that may be empty."""
    return frozenset() if value == [] else values.scopes(value)


def one_or_more(value: Any) -> tuple[str, ...]:
    """Read a text, or a list of them."""
    return (value,) if isinstance(value, str) and value else t.words(value)


def strengths(value: Any) -> tuple[str, ...]:
    """Read an `acr`, or a list of them of which one will do."""
    given = one_or_more(value)
    if not all(_ACR.fullmatch(each) for each in given):
        raise t.Wrong('must be an acr such as "aal2", or a list of them')
    return given


def seconds(value: Any) -> int:
    """Read a span of whole seconds."""
    span = t.duration(value)
    if span != int(span):
        raise t.Wrong("must be whole seconds")
    return int(span)


def claims(value: Any) -> tuple[Claim, ...]:
    """Read `{ name = value or [values], ... }`."""
    given = t.mapping(value)
    if not given:
        raise t.Wrong("must name a claim")
    return tuple(Claim(name=t.text(name), values=_values(each)) for name, each in given.items())


def _values(value: Any) -> tuple[str | int | bool, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(each, str | int) for each in listed):
        raise t.Wrong("may compare a claim with texts, whole numbers, true and false")
    return tuple(listed)


def networks(value: Any) -> IpIn:
    """Read a list of networks."""
    written = t.words(value)
    return IpIn(written=written, networks=tuple(_network(each) for each in written))


def _network(written: str) -> Network:
    try:
        network = ip_network(written)
    except ValueError:
        raise t.Wrong('must be a list of networks such as "10.0.0.0/8" or "2001:db8::/32"') from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise t.Wrong("must have IPv4 networks in IPv4 form: that is how addresses are compared")
    return (network.version, int(network.netmask), int(network.network_address))


def hosts(value: Any) -> frozenset[str]:
    """Read a list of hosts."""
    given = frozenset(each.lower() for each in t.words(value))
    if not all(valid_host(each.encode()) for each in given):
        raise t.Wrong("must be a list of host names, with their ports if those matter")
    return given


def _eq(variables: tuple[str, ...]) -> Callable[[Any], Condition]:
    def read(value: Any) -> Condition:
        sides = t.words(value)
        if len(sides) != 2:  # noqa: PLR2004 - an equation has two sides
            raise t.Wrong('must be two different sides such as ["claim.sub", "path.uid"]')
        left, right = (_operand(side, variables) for side in sides)
        return Eq(left=left, right=right)

    return read


def _operand(written: str, variables: tuple[str, ...]) -> Operand:
    kind, _, name = written.partition(".")
    if kind not in {"claim", "path"} or not name:
        raise t.Wrong('must be two sides such as ["claim.sub", "path.uid"]')
    if kind == "path" and name not in variables:
        raise t.Wrong("names a variable that the path does not have")
    return Operand(kind=cast("Any", kind), name=name)


def days(value: Any) -> frozenset[int]:
    """Read days: "mon-fri", or ["mon", "wed"]. A span may run over the end of the week."""
    found: set[int] = set()
    for each in one_or_more(value):
        start, dash, end = each.partition("-")
        if start not in DAYS or (dash and end not in DAYS):
            raise t.Wrong('must be days such as "mon-fri" or ["sat", "sun"]')
        at, last = DAYS.index(start), DAYS.index(end or start)
        found |= {(at + step) % 7 for step in range((last - at) % 7 + 1)}
    return frozenset(found)


def clock(value: Any) -> dt.time | None:
    """Read a time of day."""
    if not isinstance(value, dt.time):
        raise t.Wrong("must be a time such as 08:00:00, without quotes")
    return value


def day(value: Any) -> dt.date:
    """Read a date."""
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise t.Wrong("must be a date such as 2027-03-31, without quotes")
    return value


def zone(value: Any) -> str:
    """Read a time zone that this machine knows."""
    name = t.text(value)
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an escape, a folder, a name that nobody knows
        raise t.Wrong('must be a time zone that this machine knows, such as "Europe/Paris"') from None
    return name


_LEAVES: Final[Mapping[str, Callable[[Any], Condition]]] = {
    "scope": lambda value: Scope(names=values.scopes([value] if isinstance(value, str) else value)),
    "role": lambda value: RoleAny(names=frozenset({t.text(value)})),
    "role_any": lambda value: RoleAny(names=names(value)),
    "role_all": lambda value: RoleAll(names=names(value)),
    "claims": lambda value: _all(claims(value)),
    "method": lambda value: Method(names=values.methods(value)),
    "host": lambda value: Host(names=hosts(value)),
    "ip_in": networks,
    "acr": lambda value: Acr(values=strengths(value)),
    "max_age": lambda value: MaxAge(seconds=seconds(value)),
}


def _all(given: tuple[Claim, ...]) -> Condition:
    return given[0] if len(given) == 1 else AllOf(of=given)
