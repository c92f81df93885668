"""Why a request was let through or refused: every rule that was looked at, passed or failed, in words.

The decision log holds no token, so a past decision is explained from the marks that were made then and the words of
the file as it is now; whether that is still the same file is said too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from idp.gateway.binding.model import ANYBODY
from idp.gateway.config import Config, Route
from idp.gateway.policy import words
from idp.gateway.policy.judge import Judge

Mark = Literal["passed", "FAILED", "not looked at", "note"]
_ALLOWED: Final = 200

# What ended a decision before any policy was looked at; whatever is not here is said by the verifier in its own words.
_EARLY: Final = {
    "no_route": "no route is for this host and path, and what no route names is denied",
    "method": "the path has routes, none of them for this method",
    "bad_host": "the host is missing, malformed or unknown to this gateway",
    "bad_target": "the target has more than one reading",
    "two_credentials": "more than one credential was sent",
    "method_override": "a header asks for another method than the request line",
    "no_credential": "no bearer token was sent",
    "audience": "the token is for another audience",
    "no_keys": "the keys of the issuer could not be had, so no token could be checked",
    "fault": "the gateway itself was at fault; its log has an event of that moment",
    "revoked": "the token, its session, its client or its person has been revoked",
    "bound to a key": "the token is bound to a key, and was sent as if it were anybody's",
    "not bound to a key": "the token is bound to no key, where one had to be proved",
    "bound to another key": "the proof is of another key than the token's",
    "not bound to a certificate": "the token is bound to no certificate, where the route demands one",
    "bound to another certificate": "the caller showed another certificate than the token's, or none",
    "not one proof": "no proof came with the token, or more than one",
    "proof nonce": "the proof lacks the nonce of this gateway, or has an old one",
    "proof store": "whether the proof was used before could not be known",
    "busy": "as many requests as the route allows were under way",
    "late": "something that had to be asked elsewhere did not answer in time",
}
# What ends a decision after the policy was looked at, and passed.
_LATER: Final = frozenset({"busy", "late", "proof nonce", "proof store", "proof was used before"})
_LIMIT: Final = "limit."


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing that was looked at."""

    mark: Mark
    text: str
    depth: int = 0

    def __str__(self) -> str:
        return f"  {'' if self.mark == 'note' else self.mark:13} {'   ' * self.depth}{self.text}"


def explain(config: Config, line: Mapping[str, Any]) -> tuple[str, tuple[Point, ...]]:
    """Explain a line of the decision log: one sentence, and what was looked at."""
    return _headline(line), tuple(_points(config, line))


def _headline(line: Mapping[str, Any]) -> str:
    asked = f"{line.get('method')} {line.get('host')}{line.get('path') or line.get('raw_path')}"
    status = line.get("status")
    if status != _ALLOWED:
        return f"{asked} was refused with {status}: {_why(line)}"
    if "shadow" in line:
        return f"{asked} was let through, because its route is in shadow mode"
    return f"{asked} was let through"


def _why(line: Mapping[str, Any]) -> str:
    if line.get("rule"):
        return f"{line['rule']} did not hold"
    why = str(line.get("why"))
    if why.startswith(_LIMIT):
        return f'the limit "{why.removeprefix(_LIMIT)}" was used up'
    return _EARLY.get(why, why)


def _points(config: Config, line: Mapping[str, Any]) -> Iterator[Point]:
    name = line.get("route")
    if name is None:
        yield Point(mark="FAILED", text=_why(line))
        return
    route = next((route for route in config.routes if route.id == name), None)
    if route is None:
        yield Point(mark="note", text=f'the file has no route "{name}" any more')
        return
    if line.get("policy", "") not in {config.digest, ""}:
        yield Point(mark="note", text="the file has changed since; these are the words of today's")
    yield Point(mark="passed", text=f'the request belongs to route "{name}": {words.where(route)}')
    later = _later(route, str(line.get("why")))
    decided = line.get("status") == _ALLOWED or bool(line.get("rule")) or later
    if not decided:
        yield Point(mark="FAILED", text=_why(line))
    else:
        yield Point(mark="passed", text=f"the token is sound and for {route.audience}")
    if route.bind != ANYBODY:
        yield Point(mark="note", text=f"the route asks for {route.bind}")
    if line.get("token"):
        yield Point(mark="note", text=f"the token has {line['token']}")
    if line.get("client_ip"):
        yield Point(mark="note", text=f"the client's address was {line['client_ip']}")
    yield from _policy(route, line, decided=decided)
    yield from _limits(route, line, later=later)


def _later(route: Route, why: str) -> bool:
    """Tell whether a request was refused although its token and the policy would have let it through."""
    limits = {_LIMIT + limit.name: limit.before for limit in route.limits or ()}
    return why in _LATER or limits.get(why) is False


def _limits(route: Route, line: Mapping[str, Any], *, later: bool) -> Iterator[Point]:
    """Say what the limits are; which were asked, and how full they were, only the moment itself knew."""
    why = str(line.get("why"))
    for limit in route.limits or ():
        mark: Mark = "FAILED" if why == _LIMIT + limit.name else "note"
        yield Point(mark=mark, text=f'limit "{limit.name}": {words.limit(limit)}')
    if later and not why.startswith(_LIMIT):
        yield Point(mark="FAILED", text=_why(line))


def _policy(route: Route, line: Mapping[str, Any], *, decided: bool) -> Iterator[Point]:
    steps = Judge(route.require, route.when, route.review, template=route.path).steps
    nodes = [(depth, condition, step.label) for step in steps for depth, condition in step.nodes()]
    marks = line.get("trace")
    if not isinstance(marks, str) or len(marks) != len(nodes):
        # Nothing failed, or the policy was never asked; then the parts of a condition were not told apart either.
        passed: Mark = "passed" if decided and not marks else "not looked at"
        for depth, condition, label in nodes:
            if depth == 0:
                yield Point(mark=passed, text=f"{label}: {words.sentence(condition)}")
        return
    for (depth, condition, label), mark in zip(nodes, marks, strict=True):
        text = words.phrase(condition) if depth else f"{label}: {words.phrase(condition)}"
        yield Point(mark="passed" if mark == "+" else "FAILED", text=text, depth=depth)
