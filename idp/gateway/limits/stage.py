"""The limits of one route: those before the token is looked at, those after, and what counts while Redis is away.

With Redis every bucket of a request is asked for in one question, which comes after the judgement; whoever is refused
by then is asked about too, as far as its address is limited. Before the judgement nothing waits: there a bucket of this
gateway alone, as large as the limit, keeps a flood of bad tokens from costing more than the limit allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, Protocol

from idp.gateway.limits import headers
from idp.gateway.limits.bucket import Ask, Local, Taken
from idp.gateway.limits.callers import caller

if TYPE_CHECKING:
    from idp.gateway.config import Route
    from idp.gateway.limits.model import Limit
    from idp.gateway.request import Decision, Request

_LOCAL_SECONDS: Final = 1.0  # never used up: what is kept here is there at once


class Shared(Protocol):
    """Buckets that several gateways share. A Future that brings None says: nobody answers, count for yourself."""

    seconds: float
    away: bool

    def take(self, asked: Sequence[Ask]) -> Future[Taken | None]:
        """Take from all or from none."""

    def suspect(self) -> None:
        """Hear that an answer did not come in time."""


class Attempt:
    """What a request has taken so far, and where."""

    __slots__ = ("alone", "counts")

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone  # from this gateway's share, because Redis was away
        self.counts: list[headers.Count] = []


class Counted:
    """A limit of a route with everything that can be prepared."""

    __slots__ = ("_caller", "_scope", "_stranger", "limit", "meter", "share")

    def __init__(self, limit: Limit, route: Route, replicas: int) -> None:
        self.limit = limit
        self.meter = limit.meter()
        self.share = limit.meter(replicas)
        self._caller = caller(limit.by)
        self._stranger = limit.before
        # A limit that is changed starts with empty buckets: old levels would be in other units.
        place = limit.name if limit.shared else f"{route.id}\n{limit.name}"
        issuer = "" if limit.before else route.issuer  # two providers may give the same name to two people
        self._scope = "\n".join((place, limit.by, limit.rate, str(limit.burst), issuer))

    def ask(self, decision: Decision, *, alone: bool = False) -> Ask:
        """Name the bucket of a request."""
        if decision.facts is None:
            raise AssertionError("a rule that was found has facts")
        key = (self._scope, self._caller(decision.facts, decision.caller))
        return Ask(self.share if alone else self.meter, key, self._stranger)


class Limits:
    """A stage, and a door before it."""

    def __init__(
        self, limits: Sequence[Limit], route: Route, *, full: Local, share: Local, shared: Shared | None, replicas: int
    ) -> None:
        self._all = tuple(Counted(limit, route, replicas) for limit in limits)
        self._before = tuple(each for each in self._all if each.limit.before)
        self._after = self._all[len(self._before) :]
        self._full, self._share, self._shared = full, share, shared
        self._policy = headers.policy(limits)
        self.seconds = _LOCAL_SECONDS if shared is None else shared.seconds
        self.regardless = bool(self._before)

    def before(self, request: Request, decision: Decision) -> None:
        """Count a request whose token nobody has looked at. Judged again after a fetch of keys it is still the same."""
        if not self._before or request.attempt is not None:
            return
        request.attempt = Attempt(alone=self._shared is not None and self._shared.away)
        if not self._take(decision, request.attempt, self._before):
            self._tell(decision, request.attempt)

    def begin(self, request: Request, decision: Decision) -> Future[Taken | None] | None:
        """Count a request that may go on; with Redis also one that may not, for it has made its attempt."""
        if decision.reason.startswith(headers.LIMIT):
            return None
        if self._shared is None:
            attempt = request.attempt or Attempt(alone=False)
            if decision.refusal is None:
                self._take(decision, attempt, self._after)
            self._tell(decision, attempt)
        elif self._shared.away:
            self._alone(decision, request.attempt)
        else:
            return self._shared.take([each.ask(decision) for each in self._concerned(decision)])
        return None

    def end(self, decision: Decision, outcome: Taken | None) -> None:
        """Go on by what Redis says, or alone."""
        if outcome is None:
            self._alone(decision, decision.facts.request.attempt if decision.facts else None)
            return
        counted = self._concerned(decision)
        attempt = Attempt(alone=False)
        attempt.counts = [(each.limit, each.meter, level) for each, level in zip(counted, outcome.levels, strict=True)]
        if outcome.passed:
            self._share.note([each.ask(decision, alone=True) for each in counted])
        else:
            decision.no(headers.too_many(attempt.counts))
        self._tell(decision, attempt)

    def late(self, decision: Decision) -> None:
        """Redis may answer later; the request goes on alone."""
        if self._shared is not None:
            self._shared.suspect()
        self.end(decision, None)

    def _concerned(self, decision: Decision) -> tuple[Counted, ...]:
        return self._all if decision.refusal is None else self._before

    def _alone(self, decision: Decision, before: Attempt | None) -> None:
        """Take from this gateway's share of each limit, and from none twice."""
        left = self._concerned(decision)
        if before is not None and before.alone:
            attempt, left = before, left[len(self._before) :]
        else:
            attempt = Attempt(alone=True)
        self._take(decision, attempt, left)
        self._tell(decision, attempt)

    def _take(self, decision: Decision, attempt: Attempt, counted: Sequence[Counted]) -> bool:
        asked = [each.ask(decision, alone=attempt.alone) for each in counted]
        taken = (self._share if attempt.alone else self._full).take(asked)
        for number, level in enumerate(taken.levels):
            attempt.counts.append((counted[number].limit, asked[number].meter, level))
        if not taken.passed:
            decision.no(headers.too_many(attempt.counts[-len(asked) :]))
        return taken.passed

    def _tell(self, decision: Decision, attempt: Attempt) -> None:
        decision.answer_headers += headers.told(self._policy, attempt.counts)
