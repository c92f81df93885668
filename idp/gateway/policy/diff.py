"""Two files compared: which routes differ, and who gains or loses reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from idp.gateway.config import Config, Route
from idp.gateway.policy import reach, words
from idp.gateway.policy.judge import Judge
from idp.gateway.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference, as a program may read it."""

    what: str  # added, removed, changed; of somebody's reach: gains, loses, or differs where a program cannot say which
    route: str
    who: str
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


def diff(old: Config, new: Config) -> tuple[Change, ...]:
    """Compare two files."""
    return (*_routes(old, new), *_reach(old, new))


def _routes(old: Config, new: Config) -> Iterator[Change]:
    before = {route.id: route for route in old.routes}
    after = {route.id: route for route in new.routes}
    for name in sorted(after.keys() - before.keys()):
        text = f"{name}: {words.where(after[name])} with {needs(after[name])}"
        yield Change(what="added", route=name, who="", text=text)
    for name in sorted(before.keys() - after.keys()):
        yield Change(what="removed", route=name, who="", text=f"{name}: {words.where(before[name])}")
    for name in sorted(before.keys() & after.keys()):
        for text in _fields(before[name], after[name]):
            yield Change(what="changed", route=name, who="", text=f"{name}: {text}")


def _fields(one: Route, other: Route) -> Iterator[str]:
    if words.where(one) != words.where(other):
        yield f"for {words.where(one)}, now for {words.where(other)}"
    if needs(one) != needs(other):
        yield f"asked for {needs(one)}, now for {needs(other)}"
    for name in (each.name for each in fields(Route)):
        if name in {"id", "host", "methods", "path", "require", "when", "review", "limits", "bind"}:
            continue
        was, now = getattr(one, name), getattr(other, name)
        if was != now:
            yield f"{name} was {_shown(was)}, now {_shown(now)}"
    if one.limits != other.limits:
        yield f"limits were {_limits(one)}, now {_limits(other)}"
    if one.bind != other.bind and words.holder(one) == words.holder(other):
        yield f"asked for {one.bind}, now for {other.bind}"
    if one.review != other.review:
        yield f"review was {_review(one)}, now {_review(other)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _limits(route: Route) -> str:
    return "; ".join(map(words.limit, route.limits or ())) or "none"


def _review(route: Route) -> str:
    review = route.review
    return "none" if review is None else f"by {review.owner} by {review.by}, else {review.expired}"


def needs(route: Route) -> str:
    """Say all that a route asks for in one line."""
    steps = Judge(route.require, route.when, None, template=route.path).steps
    return " and ".join([*(words.sentence(step.condition) for step in steps), *words.holder(route)]) or "any token"


def _reach(old: Config, new: Config) -> Iterator[Change]:
    """Ask both files about every request that either of them names."""
    trees = Routes(old.routes), Routes(new.routes)
    who_old = {holder.name: holder for holder in (reach.anybody(old), *reach.holders(old))}
    who_new = {holder.name: holder for holder in (reach.anybody(new), *reach.holders(new))}
    for host, path, method, text in sorted({request for config in (old, new) for request in _requests(config)}):
        one, other = (_route(tree, host, path, method) for tree in trees)
        for name in sorted(who_old.keys() | who_new.keys()):
            was, now = _door(one, who_old.get(name), method), _door(other, who_new.get(name), method)
            what = _direction(was, now)
            if what is None:
                continue
            asked = other or one
            said = f"{name}: {method} {host}{text} was {_said(was)}, now {_said(now)}"
            yield Change(what=what, route=asked.id if asked else "", who=name, text=said)


# The conditions under which somebody gets through, all of which must hold; None: never.
_Door = tuple[str, ...] | None


def _door(route: Route | None, holder: reach.Holder | None, method: str) -> _Door:
    if route is None or holder is None or reach.reach(route, holder, method) == "no":
        return None
    return tuple(reach.conditions(route, holder, method))


def _direction(was: _Door, now: _Door) -> str | None:
    if was is None or now is None:
        return None if was is now else "loses" if now is None else "gains"
    before, after = set(was), set(now)
    if before == after:
        return None
    return "loses" if before < after else "gains" if after < before else "differs"


def _said(door: _Door) -> str:
    if door is None:
        return "closed"
    return f"open if {' and '.join(door)}" if door else "open"


def _requests(config: Config) -> Iterator[tuple[str, str, str, str]]:
    for route in config.routes:
        # A value that no template is likely to name stands for every other.
        path = "/" + "/".join("~any~" if segment is None else segment for segment in route.path.segments)
        path = path.rstrip("/") + "/~any~" if route.path.rest else path
        for method in route.methods:
            yield route.host or "*", path, method, route.path.text


def _route(tree: Routes, host: str, path: str, method: str) -> Route | None:
    return (tree.find(host, path) or {}).get(method)
