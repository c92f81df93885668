"""What a sound file may still get wrong: rules that never apply, that everybody passes, that nobody looks at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from idp.gateway.config import Config, Route
from idp.gateway.policy import reach
from idp.gateway.policy.judge import Judge
from idp.gateway.policy.model import Acr, AllOf, AnyOf, Condition, Host, Method, Not, Window
from idp.gateway.routes import bare
from idp.protocol import acr

_SOON: Final = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at. A warning is meant to stop a pipeline, a note is not."""

    level: Literal["warning", "note"]
    route: str
    text: str

    def __str__(self) -> str:
        return f'{self.level}: route "{self.route}" {self.text}' if self.route else f"{self.level}: {self.text}"


def findings(config: Config, today: dt.date) -> tuple[Finding, ...]:
    """Look at a whole file."""
    found: list[Finding] = []
    for route in config.routes:
        found += [Finding(level=level, route=route.id, text=text) for level, text in _of(route, config, today)]
    found += [Finding(level="warning", route="", text=text) for text in _roles(config)]
    return tuple(sorted(found, key=lambda each: each.level == "note"))


Said = Iterator[tuple[Literal["warning", "note"], str]]


def _of(route: Route, config: Config, today: dt.date) -> Said:
    yield from _review(route, today)
    for _, condition in _judge(route).nodes():
        yield from _condition(condition, today)
    reason = _dead(route, today)
    if reason:
        yield "warning", f"can never be passed: {reason}"
    for other in config.routes:
        missing = route.methods - other.methods
        if missing and other is not route and _takes_away(other, route) and not _elsewhere(other, missing, config):
            yield (
                "note",
                f'is shadowed: for {other.path.text} only route "{other.id}" answers, and not to '
                + (", ".join(sorted(missing))),
            )
    if route.limits is None:
        yield "warning", "has no limit: one caller may take all of it (`limit = []` says that this is meant)"
    if _asks_about_anything(route, config):
        yield "note", "takes references, and no limit by ip comes before: each made-up one costs the provider an answer"
    if route.mode == "shadow":
        yield "note", "is in shadow mode: every sound token passes"
    elif reach.reach(route, reach.Holder(name="", roles=frozenset(), scopes=frozenset()), "GET") == "yes":
        yield "note", f"asks for nothing but a token for {route.audience}"


def _asks_about_anything(route: Route, config: Config) -> bool:
    """Tell whether anybody may have the provider asked about what they make up, as often as they like."""
    referring = any(issuer.name == route.issuer and issuer.reference_tokens for issuer in config.issuers)
    return referring and not any(limit.by == "ip" and limit.before for limit in route.limits or ())


def _review(route: Route, today: dt.date) -> Said:
    review = route.review
    if review is None:
        return
    then = "; then it denies" if review.expired == "deny" else ""
    if review.by < today:
        yield "warning", f"was to be reviewed by {review.owner} by {review.by}"
    elif review.by <= today + _SOON:
        yield "warning", f"is to be reviewed by {review.owner} by {review.by}{then}"


def _condition(condition: Condition, today: dt.date) -> Said:
    if isinstance(condition, Acr):
        for value in condition.values:
            if acr.level(value) == 0:
                yield "note", f'asks for acr "{value}", of which only the exact value is enough'
    elif isinstance(condition, Window) and condition.last is not None and condition.last < today:
        yield "note", f"has a time that ended on {condition.last}"


def _judge(route: Route) -> Judge:
    return Judge(route.require, route.when, route.review, template=route.path)


def _dead(route: Route, today: dt.date) -> str:
    """Say why no request whatever can pass a route, as far as that follows from the file."""
    for step in _judge(route).steps:
        if not any(_possible(step.condition, route, method, today) for method in route.methods):
            return f"{step.label} contradicts the route itself"
    return ""


def _possible(condition: Condition, route: Route, method: str, today: dt.date, *, known: bool = True) -> bool:
    """Tell whether a condition can hold (or, under a `not`, fail to hold) for a method of the route."""
    if isinstance(condition, Not):
        return _possible(condition.of, route, method, today, known=not known)
    if isinstance(condition, AnyOf | AllOf):
        joined: Callable[[Sequence[bool]], bool] = any if isinstance(condition, AnyOf) is known else all
        return joined([_possible(part, route, method, today, known=known) for part in condition.of])
    if isinstance(condition, Method):
        return (method in condition.names) is known
    if isinstance(condition, Host) and route.host is not None and known:
        return any(bare(name) == bare(route.host) for name in condition.names)
    if isinstance(condition, Window) and known:
        return condition.last is None or condition.last >= today
    return True


def _takes_away(special: Route, general: Route) -> bool:
    """Tell whether a more special template takes paths out of a general one, on a host of both."""
    if special.host != general.host or special.path.text == general.path.text or not _inside(special, general):
        return False
    return special.path.segments != general.path.segments or general.path.rest


def _inside(special: Route, general: Route) -> bool:
    mine, theirs = special.path.segments, general.path.segments
    if general.path.rest:
        if len(mine) < len(theirs):
            return False
    elif special.path.rest or len(mine) != len(theirs):
        return False
    return all(other is None or one == other for one, other in zip(mine, theirs, strict=False))


def _elsewhere(special: Route, missing: frozenset[str], config: Config) -> bool:
    """Tell whether other routes with the same template answer to the methods that one lacks."""
    same = [other for other in config.routes if other.host == special.host and other.path.text == special.path.text]
    return missing <= frozenset[str]().union(*(other.methods for other in same))


def _roles(config: Config) -> Iterator[str]:
    """Compare the declared roles with those the rules name."""
    if not config.roles:
        return
    named = {role: route.id for route in config.routes for role in reach.named_roles(route)}
    for role in sorted(named.keys() - config.roles.keys()):
        yield f'nobody has the role "{role}" that route "{named[role]}" names'
    anybody, everything = reach.anybody(config), reach.everything(config)
    for holder in reach.holders(config):
        opened = (
            reach.reach(route, holder, method) != reach.reach(route, anybody, method)
            or reach.needs_company(route, holder, everything, method)
            for route in config.routes
            for method in route.methods
        )
        if not any(opened):
            yield f'the role "{holder.name}" opens nothing'
