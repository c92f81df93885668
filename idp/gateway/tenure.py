"""What was let through once is looked at again for as long as it lasts (attack row GW22).

Revocations are looked up at every turn of the clock, four times a second. Everything else (keys that were withdrawn, a
new file, hours that are over, a reference that its issuer no longer knows) every half minute, and at once when the
rules change. What does not hold any more is cut; an ordinary answer may outlive its token by a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from idp.gateway.binding.check import NotTheHolder
from idp.gateway.decide import Gate
from idp.gateway.log import Log
from idp.gateway.policy.facts import Facts
from idp.gateway.request import Decision, Request
from idp.gateway.revocation.doubt import InDoubt
from idp.gateway.rules import Rule
from idp.gateway.verifier import Refused, Unavailable

_AGAIN: Final = 30.0
_DOUBT_AGAIN: Final = 1.0
_DOUBTS: Final = 10
_OUTLIVES: Final = 60.0

EXPIRED: Final = "expired"
REVOKED: Final = "revoked"
DRAINING: Final = "draining"


class Tenure:
    """One request that is being answered."""

    __slots__ = (
        "_again", "_cuts", "_decision", "_doubts", "_ends", "_gate", "_log", "_request", "_rules", "_wall",
        "begun", "cut", "why",
    )  # fmt: skip

    def __init__(
        self,
        gate: Gate,
        request: Request,
        decision: Decision,
        *,
        cut: Callable[[str], object],
        cuts: Callable[[], bool],
        log: Log,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._gate = gate
        # Another file may have come while the decision waited for a stage: then it is looked at with the first turn.
        self._rules = gate.rules if gate.rules.config.digest == decision.policy else None
        self._request = request
        self._decision = decision
        self._log = log
        self._wall = wall
        self._cuts = cuts
        self._ends: float | None = None  # read when somebody first asks: most answers are over before
        self._again = 0.0
        self._doubts = 0
        self.cut = cut
        self.begun = False  # the client has heard something
        self.why = ""  # it was cut

    @property
    def endless(self) -> bool:
        """Tell whether nobody waits for its end, so that an expired token, or a gateway that stops, need not either."""
        return self._cuts()

    def check(self, now: float) -> None:
        """Look whether it still holds."""
        if self.why:
            return
        try:
            why = self._doubtful(now)
        except Exception as fault:  # noqa: BLE001 - attack row GW24: a fault of ours ends it, and never the clock
            self._log.event("decide.fault", kind=type(fault).__name__)
            why = "fault"
        if why:
            self.end(why)

    def end(self, why: str) -> None:
        """Cut it, once."""
        if self.why:
            return
        self.why = why
        self._log.event("stream.cut", id=self._decision.id, why=why)
        self.cut(why)

    def _doubtful(self, now: float) -> str:
        """Say what stands against it; "" when nothing does."""
        rule, caller = self._decision.rule, self._decision.caller
        if rule is None or caller is None:
            raise AssertionError("nobody was let through")
        feed = self._gate.feeds.get(rule.route.issuer)
        if feed is not None and feed.revoked.covers(caller.marks):
            return REVOKED
        wall = self._wall()
        if self._ends is None:
            self._ends = float(str(caller.claims["exp"])) + self._leeway(rule)
            self._again = now + _AGAIN
        if wall >= self._ends:
            return EXPIRED if self._cuts() or wall >= self._ends + _OUTLIVES else ""
        due = now >= self._again or self._rules is not self._gate.rules
        return self._looked(rule, now, wall) if due else ""

    def _looked(self, rule: Rule, now: float, wall: float) -> str:
        """Judge it again, and say when that is due next."""
        self._rules = self._gate.rules
        self._again = now + _AGAIN
        try:
            why = self._judged(rule, wall)
        except InDoubt as doubt:
            return self._asked(doubt, now)
        except (Refused, NotTheHolder) as no:
            return no.reason
        except Unavailable:
            return "no_keys"
        self._doubts = 0
        return why

    def _leeway(self, rule: Rule) -> float:
        """A token counts for a stream as long as it does for a request."""
        issuers = self._gate.rules.config.issuers
        return next((issuer.leeway for issuer in issuers if issuer.name == rule.route.issuer), 0.0)

    def _asked(self, doubt: InDoubt, now: float) -> str:
        """Ask the issuer, and look again soon; a doubt that stays is a no."""
        self._doubts += 1
        if doubt.question is None or self._doubts > _DOUBTS:
            return "in_doubt"
        doubt.question.ask()
        self._again = now + _DOUBT_AGAIN
        return ""

    def _judged(self, before: Rule, wall: float) -> str:
        """Judge it by the rules that count now, as if it came now; nothing is counted and nothing waited for."""
        rules, facts, request = self._gate.rules, self._decision.facts, self._request
        routes = rules.find(facts.host, facts.path) if facts is not None else None
        route = routes.get(request.method) if routes is not None else None
        if route is None or facts is None or route.issuer != before.route.issuer:
            return "no_route"
        if before.route.websocket is not None and route.websocket is None:
            return "no_websocket"
        again = Facts(request, host=facts.host, path=facts.path, now=wall, addresses=rules.addresses)
        return self._still(rules.rule(route), again)

    def _still(self, rule: Rule, facts: Facts) -> str:
        """Ask what the gate asks of a token and a rule."""
        headers = facts.request.headers
        token = next((value for name, value in headers if name == b"authorization"), b"").partition(b" ")[2].strip(b" ")
        principal, _ = rule.verifier.verify(token, facts.now)
        feed = rule.verifier.feed
        if feed is not None and not feed.passes(principal, token, rule.on_stale):
            return REVOKED
        if rule.audience not in principal.audiences:
            return "audience"
        # A bound token was proved when it came; a proof is good for once, and none is asked for again.
        rule.binding.suits(facts.request, principal, given=self._decision.proved)
        failure = rule.judge(principal, facts)
        return "" if failure is None or rule.shadow else failure.refusal.reason
