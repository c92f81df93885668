"""The last question about a proof, once everything else allows the request: whether nonce and proof are fresh."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from idp.gateway.binding import challenge

if TYPE_CHECKING:
    from collections.abc import Callable

    from idp.gateway.binding.seen import Seen
    from idp.gateway.binding.shared import SharedSeen
    from idp.gateway.request import Decision, Request
    from idp.jose.dpop import Proof
    from idp.protocol.dpop import Nonces


class Replay:
    """The stage of every request with a proof."""

    regardless = False

    def __init__(self, seen: Seen, shared: SharedSeen | None, nonces: Callable[[], Nonces | None]) -> None:
        self._seen = seen
        self._shared = shared
        self._nonces = nonces
        self.seconds = 0.0 if shared is None else 2 * shared.seconds

    def begin(self, _request: Request, decision: Decision) -> Future[bool | None] | None:
        """Use the proof up here, and then where others would see it."""
        proof, facts = decision.proof, decision.facts
        if proof is None or facts is None:
            raise AssertionError("only a request with a proof comes here")
        nonces = self._nonces()
        if nonces is not None and not _with_nonce(nonces, proof, facts.now, decision):
            return None
        here = self._seen.claim(proof.key, ends=proof.ends, now=facts.now)
        if here is not True or self._shared is None:
            _settle(decision, here, closed=True)
            return None
        if self._shared.away and not _closed(decision):
            return None  # nobody waits for what is away
        return self._shared.claim(proof)

    def end(self, decision: Decision, outcome: bool | None) -> None:  # noqa: FBT001 - what a store says
        """Let pass what nobody has seen."""
        _settle(decision, outcome, closed=_closed(decision))

    def late(self, decision: Decision) -> None:
        """Redis has not answered in time."""
        _settle(decision, None, closed=_closed(decision))


def _with_nonce(nonces: Nonces, proof: Proof, now: float, decision: Decision) -> bool:
    current = nonces.current(now)
    if not nonces.accepts(proof.nonce, now):
        decision.no(challenge.use_nonce(current, _metadata(decision)))
        return False
    if proof.nonce != current:
        decision.answer_headers += (challenge.told(current),)
    return True


def _settle(decision: Decision, fresh: bool | None, *, closed: bool) -> None:  # noqa: FBT001 - what a store says
    if fresh is False:
        decision.no(challenge.bad_proof(_metadata(decision)), "proof was used before")
    elif fresh is None and closed:
        decision.no(challenge.NO_STORE)


def _closed(decision: Decision) -> bool:
    """Tell whether the route would rather refuse than not know."""
    return decision.rule is None or decision.rule.route.bind.dpop == "required"


def _metadata(decision: Decision) -> str:
    return "" if decision.rule is None else decision.rule.metadata
