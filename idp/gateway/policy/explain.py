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
from idp.gateway.policy import reasons, words
from idp.gateway.policy.judge import Judge

Mark = Literal["passed", "FAILED", "not looked at", "note"]
_ALLOWED: Final = 200

# Said of a token that was looked at, and is not sound for this route.
_UNSOUND: Final = frozenset({"revoked", "audience"})


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
    status, was = line.get("status"), "would be" if line.get("untried") else "was"
    if status != _ALLOWED:
        return f"{asked} {was} refused with {status}: {_why(line)}"
    return f"{asked} {was} let through" + (", because its route is in shadow mode" if "shadow" in line else "")


def _why(line: Mapping[str, Any]) -> str:
    return reasons.said(str(line.get("why")), "" if _later(line) else str(line.get("rule") or ""))


def _later(line: Mapping[str, Any]) -> bool:
    """Tell whether a request was refused although its token and the policy would have let it through."""
    return line.get("judged") is True


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
    decided = line.get("status") == _ALLOWED or bool(line.get("rule")) or _later(line)
    if decided or (line.get("sub_hash") and line.get("why") not in _UNSOUND):
        yield Point(mark="passed", text=f"the token is sound and for {route.audience}")
    if route.bind != ANYBODY:
        yield Point(mark="note", text=f"the route asks for {route.bind}")
    yield from (Point(mark="note", text=line[note]) for note in ("token", "untried") if line.get(note))
    if line.get("client_ip"):
        yield Point(mark="note", text=f"the client's address was {line['client_ip']}")
    if not decided:
        yield Point(mark="FAILED", text=_why(line))
    yield from _policy(route, line, decided=decided)
    yield from _beside(route, line)


def _beside(route: Route, line: Mapping[str, Any]) -> Iterator[Point]:
    """Say what else the route does; which limits were asked, and how full they were, only the moment itself knew."""
    why = str(line.get("why"))
    for limit in route.limits or ():
        mark: Mark = "FAILED" if why == reasons.LIMIT + limit.name else "note"
        yield Point(mark=mark, text=f'limit "{limit.name}": {words.limit(limit)}')
    yield from (Point(mark="note", text=text) for text in words.onward(route))
    if _later(line) and not why.startswith(reasons.LIMIT):
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
