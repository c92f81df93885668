"""What a route does when the provider has said nothing for too long: nobody knows what was revoked since."""

from __future__ import annotations

from idp.gateway.config import OnStale
from idp.gateway.request import Asks
from idp.gateway.revocation.introspect import Introspector, Question


class InDoubt(Exception):
    """Whether the token counts cannot be known; `question` may find out."""

    def __init__(self, question: Asks | None = None) -> None:
        super().__init__()
        self.question = question


def settle(rule: OnStale, introspector: Introspector, token: bytes) -> bool:
    """Tell whether a token may pass in times of silence; raise InDoubt when it may not, or not yet."""
    if rule.then == "allow":
        return True
    if rule.then == "deny":
        raise InDoubt
    known = introspector.known(token)
    if known is not None:
        return known
    if not introspector.away:
        raise InDoubt(Question(introspector, token))
    introspector.probe(token)
    if rule.otherwise == "deny":
        raise InDoubt
    return True
