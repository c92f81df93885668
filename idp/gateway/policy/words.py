"""Conditions in words, for people who review them and for people who were refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from idp.gateway.config import Route
from idp.gateway.limits.model import Limit
from idp.gateway.policy.load import DAYS
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
    Reviewed,
    RoleAll,
    RoleAny,
    Scope,
    Window,
)

_RUN: Final = 3  # days in a row that are said by the first and the last


def sentence(condition: Condition) -> str:
    """Say a whole condition in one line."""
    if isinstance(condition, AnyOf):
        return "(" + " or ".join(map(sentence, condition.of)) + ")"
    if isinstance(condition, AllOf):
        return "(" + " and ".join(map(sentence, condition.of)) + ")"
    if isinstance(condition, Not):
        return f"not ({sentence(condition.of)})"
    return phrase(condition)


def phrase(condition: Condition) -> str:
    """Say a condition without its parts."""
    return _PHRASES[type(condition)](condition)


def holder(route: Route) -> tuple[str, ...]:
    """Say what a route demands of whoever brings the token."""
    proof = "the key of the token is proved (DPoP)" if route.bind.dpop == "required" else ""
    certificate = "the token is bound to the caller's certificate (mTLS)" if route.bind.mtls else ""
    return tuple(filter(None, (proof, certificate)))


def where(route: Route) -> str:
    """Say which requests a route is for."""
    return f"{','.join(sorted(route.methods))} {route.host or '*'}{route.path.text}"


def limit(one: Limit) -> str:
    """Say a limit in one line."""
    whom = _WHOM.get(one.by) or f"each {one.by.removeprefix('claim.')} of a token"
    when = ", before its token is looked at" if one.before else ""
    return f"at most {one.rate} for {whom}, {one.burst} at once{when}"


def beside(route: Route) -> Iterator[str]:
    """Say what else happens to a request of a route: how much passes, and with what it goes on."""
    yield from map(limit, route.limits or ())
    if route.concurrency is not None:
        yield f"at most {route.concurrency} at a time"
    yield from onward(route)


def onward(route: Route) -> Iterator[str]:
    """Say with what a request goes on, beside the identity."""
    if route.exchange is not None:
        yield f"goes on with a token {route.exchange}"
    if route.assertion is not None:
        yield f"goes on with a statement of the gateway {route.assertion}"


_WHOM: Final = {
    "ip": "each address",
    "client": "each client",
    "claim.client_id": "each client",
    "subject": "each subject",
    "claim.sub": "each subject",
    "route": "all callers together",
}


def _listed(names: Iterable[object], word: str = "or") -> str:
    *most, last = sorted(map(str, names))
    return f"{', '.join(most)} {word} {last}" if most else last


def _claim(condition: Claim) -> str:
    values = [str(value).lower() if isinstance(value, bool) else str(value) for value in condition.values]
    return f"claim {condition.name} is {_listed(values)}"


def _window(condition: Window) -> str:
    said = []
    if len(condition.days) < len(DAYS):
        said.append("on " + ", ".join(_spans(sorted(condition.days))))
    if condition.opens is not None and condition.closes is not None:
        said.append(f"from {_clock(condition.opens)} to {_clock(condition.closes)}")
    if condition.first is not None:
        said.append(f"from {condition.first} on")
    if condition.last is not None:
        said.append(f"until {condition.last}")
    return f"the time is {' '.join(said) or 'any'} in {condition.zone}"


def _spans(days: Sequence[int]) -> Iterator[str]:
    """Say days as the file may: three or more that follow each other by their ends."""
    for _, run in groupby(days, key=lambda day: day - days.index(day)):
        names = [DAYS[day] for day in run]
        yield from (f"{names[0]}-{names[-1]}",) if len(names) >= _RUN else names


def _clock(time: dt.time) -> str:
    return time.isoformat("minutes" if time.second == 0 else "seconds")


def age(seconds: int) -> str:
    """Say a span of time as the file does."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


_PHRASES: Final[dict[type[Any], Callable[[Any], str]]] = {
    Scope: lambda condition: "scope " + _listed(condition.names, "and"),
    RoleAny: lambda condition: "role " + _listed(condition.names),
    RoleAll: lambda condition: "role " + _listed(condition.names, "and"),
    Claim: _claim,
    Eq: lambda condition: f"{condition.left} equals {condition.right}",
    Method: lambda condition: "the method is " + _listed(condition.names),
    Host: lambda condition: "the host is " + _listed(condition.names),
    IpIn: lambda condition: "the client's address is in " + _listed(condition.written),
    Window: _window,
    Acr: lambda condition: "the sign-in is at least " + " or ".join(condition.values),
    MaxAge: lambda condition: f"the sign-in is at most {age(condition.seconds)} old",
    Reviewed: lambda condition: f"the rule was to be reviewed by {condition.by}",
    AnyOf: lambda _: "one of these",
    AllOf: lambda _: "all of these",
    Not: lambda _: "not this",
}
