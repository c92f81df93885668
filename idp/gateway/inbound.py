"""The caller's token, once more, for the stages that see to it that it goes no further."""

from __future__ import annotations

from idp.gateway import answers
from idp.gateway.credential import find
from idp.gateway.request import Decision, Request

_AUTHORIZATION = b"authorization"


def inbound(request: Request, decision: Decision) -> bytes | None:
    """Give the token of an allowed request; refuse one that carries it in a second place, where it would travel on."""
    token = find(request.headers, b"")
    if token is None:
        raise AssertionError("an allowed request has a token")
    if token in request.target or any(token in value for name, value in request.headers if name != _AUTHORIZATION):
        decision.no(answers.TWO_CREDENTIALS, "the token is in a second place")
        return None
    return token
