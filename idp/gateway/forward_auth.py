"""Forward-auth for nginx `auth_request`: another server holds the request and asks whether it may pass.

The contract: the asking server is a trusted peer and says, once each, `X-Original-Method` and `X-Original-URI`; Host is
the one the client meant. It understands 200, 401 and 403 and makes anything else a 500, so the true status stands in
`X-Gatehouse-Status`. Every identity header is in every answer, empty when there is nothing to say.
"""

from __future__ import annotations

from typing import Final

from idp.gateway import answers, own
from idp.gateway.decide import Gate
from idp.gateway.peers import peer_of
from idp.gateway.policy import metadata
from idp.gateway.principal import NOBODY
from idp.gateway.request import Decision, Request
from idp.gateway.server.exchange import Answer, Receive, Scope, Send

AUTH: Final = b"/.gatehouse/auth"
_EMPTY: Final = ((b"content-length", b"0"), (b"cache-control", b"no-store"))
_ALLOWED: Final = (*_EMPTY, (b"x-gatehouse-status", b"200"))
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_METHOD: Final = b"x-original-method"
_URI: Final = b"x-original-uri"
_PASSED_ON: Final = frozenset({b"www-authenticate", b"allow", b"retry-after"})


class ForwardAuth:
    """The shape as an application of the gateway's server."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def instant(self, scope: Scope) -> Answer | None:
        """Answer at once, unless there is something to wait for."""
        arrival = scope["gatehouse.arrival"]
        if arrival.target.partition(b"?")[0] != AUTH:
            described = metadata.answer(self._gate.rules.documents, arrival.method, arrival.host, arrival.target)
            return described or own.answer(self._gate, arrival.method, arrival.target)
        request = self._request(scope)
        if request is None:
            return _refused(403 if not self._gate.rules.peers.trusted(peer_of(scope["client"])) else 400)
        decision = self._gate.decide_now(request)
        if decision.waits is not None:
            scope["gatehouse.waiting"] = (request, decision)
            return None
        return _answer(decision)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer after what was waited for has come."""
        status, headers, body = _answer(await self._gate.settle(*scope["gatehouse.waiting"]))
        await send({"status": status, "headers": headers})
        await send({"body": body})

    def _request(self, scope: Scope) -> Request | None:
        """Read what the asking server says; None when it may not ask or says it badly: nothing is guessed."""
        arrival = scope["gatehouse.arrival"]
        peer = peer_of(scope["client"])
        if not self._gate.rules.peers.trusted(peer):
            return None
        methods = [value for name, value in arrival.headers if name == _METHOD]
        targets = [value for name, value in arrival.headers if name == _URI]
        if len(methods) != 1 or len(targets) != 1 or not methods[0].isalpha():
            return None
        return Request(
            method=methods[0].decode("ascii"), target=targets[0], host=arrival.host, headers=arrival.headers, peer=peer
        )


def _answer(decision: Decision) -> Answer:
    principal = decision.principal
    if decision.refusal is None and principal is not None:
        said = (*_ALLOWED, (b"x-gatehouse-decision", decision.id.encode()))
        return 200, (*said, *principal.headers, *decision.upstream_headers, *decision.answer_headers), b""
    refusal = decision.refusal or answers.FAULT
    status, headers, body = _refused(refusal.status)
    more = tuple(header for header in refusal.headers if header[0] in _PASSED_ON)
    return status, (*headers, *more, *decision.answer_headers, (b"x-gatehouse-decision", decision.id.encode())), body


def _refused(status: int) -> Answer:
    told = status if status == _UNAUTHORIZED else _FORBIDDEN
    return told, (*_EMPTY, (b"x-gatehouse-status", b"%d" % status), *NOBODY), b""
