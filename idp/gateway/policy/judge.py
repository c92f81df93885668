"""The policy of one route, ready to judge: what must hold, in the order in which it is looked at.

Strength of the sign-in comes last in importance: nobody is sent to sign in again for a request that would be refused
anyway (RFC 9470 section 4 promises that the repeated request is worth it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from idp.gateway import answers
from idp.gateway.answers import Refusal
from idp.gateway.policy.compile import Check, Compiler
from idp.gateway.policy.facts import Facts
from idp.gateway.policy.model import (
    Acr,
    AllOf,
    AnyOf,
    Claim,
    Condition,
    MaxAge,
    Require,
    Review,
    Reviewed,
    RoleAll,
    RoleAny,
    Scope,
    parts,
)
from idp.gateway.principal import Principal
from idp.gateway.template import Template
from idp.protocol import acr

_STRENGTH: Final = (Acr, MaxAge)
_TOKEN: Final = (Scope, RoleAny, RoleAll, Claim, Acr, MaxAge)
_ROLE: Final = "the access token lacks a role that is required here"
_CLAIM: Final = "the access token lacks a claim that is required here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that must hold: where it stands in the file, and what is answered when it does not."""

    label: str
    condition: Condition
    check: Check
    but_for_strength: Check  # would it hold after a stronger or newer sign-in?
    but_for_token: Check  # would it hold with another token of the same person?
    refusal: Refusal

    def nodes(self) -> Iterator[tuple[int, Condition]]:
        """Walk through the condition, each before its parts, with how deep it stands."""
        return _walk(self.condition, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first thing in the way, and the answer."""

    label: str
    refusal: Refusal


class Judge:
    """Judges requests for one route."""

    __slots__ = ("_acr", "_compiler", "_max_age", "_metadata", "_nodes", "_scopes", "steps")

    def __init__(
        self,
        require: Require,
        when: tuple[Condition, ...],
        review: Review | None,
        *,
        template: Template,
        metadata: str = "",
    ) -> None:
        self._acr = require.acr
        self._max_age = require.max_age
        self._metadata = metadata
        self._scopes = require.scopes
        self._compiler = Compiler(template)
        lenient, other = Compiler(template, _STRENGTH), Compiler(template, _TOKEN)
        self.steps = tuple(
            Step(
                label=label,
                condition=condition,
                check=self._compiler.check(condition),
                but_for_strength=lenient.check(condition),
                but_for_token=other.check(condition),
                refusal=refusal,
            )
            for label, condition, refusal in self._asked(require, when, review)
        )
        self._nodes: tuple[Check, ...] | None = None

    def _asked(
        self, require: Require, when: tuple[Condition, ...], review: Review | None
    ) -> Iterator[tuple[str, Condition, Refusal]]:
        if review is not None and review.expired == "deny":
            yield "review", Reviewed(by=review.by), answers.NOT_ALLOWED
        scope = self._lacks("scope", "the access token lacks a scope that is required here")
        if require.scopes:
            yield "require.scope", Scope(names=require.scopes), scope
        if require.role_any:
            yield "require.role_any", RoleAny(names=require.role_any), self._lacks("role", _ROLE)
        if require.role_all:
            yield "require.role_all", RoleAll(names=require.role_all), self._lacks("role", _ROLE)
        for claim in require.claims:
            yield f"require.claims.{claim.name}", claim, self._lacks("claim", _CLAIM)
        for number, condition in enumerate(when, 1):
            yield f"when[{number}]", condition, answers.NOT_ALLOWED
        if require.acr:
            yield "require.acr", Acr(values=require.acr), answers.NOT_ALLOWED
        if require.max_age is not None:
            yield "require.max_age", MaxAge(seconds=require.max_age), answers.NOT_ALLOWED

    def _lacks(self, reason: str, text: str) -> Refusal:
        return answers.insufficient(self._scopes, reason=reason, text=text, metadata=self._metadata)

    def __call__(self, principal: Principal, facts: Facts) -> Failure | None:
        """Find what stands in the way; None lets the request through."""
        for step in self.steps:
            if not step.check(principal, facts):
                return self._failure(step, principal, facts)
        return None

    def _failure(self, first: Step, principal: Principal, facts: Facts) -> Failure:
        for step in self.steps:
            if step.but_for_strength(principal, facts):
                continue
            refusal = step.refusal
            if refusal is answers.NOT_ALLOWED and step.but_for_token(principal, facts):
                refusal = self._lacks("condition", "the access token does not reach this far")
            return Failure(label=step.label, refusal=refusal)
        weak = [step.condition for step in self.steps if not step.check(principal, facts)]
        wanted = _strongest([self._acr, *(_acr_values(condition) for condition in weak)])
        ages = [age for condition in weak for age in _ages(condition)]
        if self._max_age is not None:
            ages.append(self._max_age)
        refusal = answers.stronger(wanted, min(ages, default=None), self._metadata)
        return Failure(label=first.label, refusal=refusal)

    def trace(self, principal: Principal, facts: Facts) -> str:
        """Look at everything, in the order of `nodes`, whatever came before: a mark for each, `+` or `-`."""
        if self._nodes is None:
            self._nodes = tuple(self._compiler.check(condition) for _, condition in self.nodes())
        return "".join("+" if check(principal, facts) else "-" for check in self._nodes)

    def nodes(self) -> Iterator[tuple[int, Condition]]:
        """Walk through all conditions, each before its parts, with how deep it stands."""
        for step in self.steps:
            yield from step.nodes()


def _walk(condition: Condition, depth: int) -> Iterator[tuple[int, Condition]]:
    yield depth, condition
    for part in parts(condition):
        yield from _walk(part, depth + 1)


def _acr_values(condition: Condition) -> tuple[str, ...]:
    """Name the sign-ins that would satisfy a condition, as far as it asks for any. What a `not` asks is nothing."""
    if isinstance(condition, Acr):
        return condition.values
    if isinstance(condition, AnyOf):
        return tuple(value for part in condition.of for value in _acr_values(part))
    return _strongest(map(_acr_values, condition.of)) if isinstance(condition, AllOf) else ()


def _strongest(demands: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Of demands that must all be met, give the one that is hardest to meet."""
    return max(demands, key=lambda values: min((acr.level(value) for value in values), default=-1), default=())


def _ages(condition: Condition) -> Iterator[int]:
    if isinstance(condition, MaxAge):
        yield condition.seconds
    elif isinstance(condition, AnyOf | AllOf):
        for part in condition.of:
            yield from _ages(part)
