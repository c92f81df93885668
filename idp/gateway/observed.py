"""What a gate has decided, for whoever watches: counts by route, result and reason, and the last refusals.

Both on the way of every request: two steps of a dict, and for a refusal a row of a bounded list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import isinf
from typing import TYPE_CHECKING, Final, NamedTuple

from idp.gateway.metrics import Reading, Registry
from idp.gateway.request import Decision, Request

if TYPE_CHECKING:
    from idp.gateway.decide import Gate

KEPT: Final = 50
ALLOWED: Final = "allowed"
SHADOWED: Final = "shadowed"  # let pass, because its route is in shadow mode
REFUSED: Final = "refused"


class Refused(NamedTuple):
    """One refusal; nothing that the decision log does not hold, and neither token nor query."""

    at: float
    id: str
    status: int
    reason: str
    route: str
    method: str
    path: str
    shadow: bool
    rule: str = ""  # what of the policy did not hold, if it was that


class Observed:
    """What was decided."""

    def __init__(self, metrics: Registry) -> None:
        self._decisions = metrics.counter(
            "gatehouse_decisions_total", "Decisions, by route, result and reason", "route", "result", "reason"
        )
        self._tokens = metrics.counter(
            "gatehouse_tokens_total", "Tokens believed: verified anew, or remembered", "cache"
        )
        self._exchanges = metrics.histogram(
            "gatehouse_exchange_seconds", "Questions for an exchanged token, by what came of them", "route", "outcome"
        )
        self.refusals: deque[Refused] = deque(maxlen=KEPT)

    def decided(self, at: float, request: Request, decision: Decision) -> None:
        """Note a decision."""
        route = decision.rule.route.id if decision.rule is not None else ""
        if decision.caller is not None:
            self._tokens.inc("hit" if decision.cached else "miss")
        if decision.allowed and not decision.shadow:
            self._decisions.inc(route, ALLOWED, "")
            return
        shadow = decision.allowed
        reason = decision.shadow if shadow else decision.reason
        self._decisions.inc(route, SHADOWED if shadow else REFUSED, reason)
        path = decision.path or request.target.partition(b"?")[0].decode("latin-1")
        rule = "" if decision.judged else decision.failed
        self.refusals.append(
            Refused(at, decision.id, decision.status, reason, route, request.method, path, shadow, rule)
        )

    def exchanged(self, seconds: float, route: str, outcome: str) -> None:
        """Note a question to a provider; what was kept from an earlier one asks nothing."""
        self._exchanges.observe(seconds, route, outcome)

    def sums(self) -> dict[str, float]:
        """Tell how many decisions came to which result."""
        found = dict.fromkeys((ALLOWED, SHADOWED, REFUSED), 0.0)
        for (_, result, _), count in self._decisions.counted():
            found[result] = found.get(result, 0) + count
        return found

    def of_routes(self) -> dict[str, tuple[float, float]]:
        """Tell for each route how often it let pass and how often it refused."""
        found: dict[str, tuple[float, float]] = {}
        for (route, result, _), count in self._decisions.counted():
            passed, refused = found.get(route, (0.0, 0.0))
            found[route] = (passed, refused + count) if result == REFUSED else (passed + count, refused)
        return found

    def cache(self) -> tuple[float, float]:
        """Tell how many tokens were remembered, and how many verified anew."""
        return self._tokens.value("hit"), self._tokens.value("miss")


def watch(gate: Gate, metrics: Registry) -> None:
    """Let metrics say how old a gate's keys are, what it has heard of revocations, and by which file it decides."""

    def policy() -> Reading:
        yield (gate.rules.config.digest,), 1.0

    def ages() -> Reading:
        return [((name,), age) for name, source in gate.sources.items() if (age := source.age()) is not None]

    def silences() -> Reading:
        # Never heard is no number that one could compare with a limit; absence is.
        return [((name,), feed.silence()) for name, feed in gate.feeds.items() if not isinf(feed.silence())]

    def delays() -> Reading:
        return [((name,), feed.delay) for name, feed in gate.feeds.items() if feed.delay is not None]

    def fetches() -> Iterator[tuple[tuple[str, ...], float]]:
        for name, source in gate.sources.items():
            for outcome, count in source.fetches.items():
                yield (name, outcome), float(count)

    metrics.gauge("gatehouse_policy_info", "The file in force, by its digest", "policy", read=policy)
    metrics.gauge(
        "gatehouse_policy_loaded_timestamp_seconds", "When the file in force was loaded",
        read=lambda: [((), gate.loaded_at)],
    )  # fmt: skip
    metrics.gauge(
        "gatehouse_ready", "Whether tokens of every issuer can be checked", read=lambda: [((), float(gate.ready()))]
    )
    metrics.gauge("gatehouse_jwks_age_seconds", "Age of an issuer's keys", "issuer", read=ages)
    metrics.gauge(
        "gatehouse_jwks_fetches_total", "Fetches of an issuer's keys", "issuer", "outcome", read=fetches, kind="counter"
    )
    metrics.gauge(
        "gatehouse_limits_alone", "Whether this gateway counts for itself because Redis is away",
        read=lambda: [((), float(gate.limits.shared.away))] if gate.limits.shared is not None else [],
    )  # fmt: skip
    metrics.gauge(
        "gatehouse_revocation_silence_seconds", "Since an issuer's events were heard to their end", "issuer",
        read=silences,
    )  # fmt: skip
    metrics.gauge("gatehouse_revocation_delay_seconds", "From the latest event to its arrival", "issuer", read=delays)
    metrics.gauge(
        "gatehouse_revoked_entries", "What is known to be revoked", "issuer",
        read=lambda: [((name,), float(len(feed.revoked))) for name, feed in gate.feeds.items()],
    )  # fmt: skip
