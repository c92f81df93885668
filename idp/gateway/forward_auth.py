"""Forward-auth: a front holds the request and asks whether it may pass. Which words it uses is its contract.

Only a trusted peer may ask, or whoever can write to our unix socket. An answer has no body, and every identity header,
empty when there is nothing to say: a front that copies headers must never be left with the caller's.
"""

from __future__ import annotations

from typing import Final

from idp.gateway import answers, own, trace
from idp.gateway.answers import Headers
from idp.gateway.contracts import Front
from idp.gateway.decide import Gate
from idp.gateway.forwarding import complete
from idp.gateway.log import Log
from idp.gateway.peers import peer_of
from idp.gateway.policy import metadata
from idp.gateway.principal import NOBODY
from idp.gateway.request import Decision, Request
from idp.gateway.server.exchange import Answer, Receive, Scope, Send

_EMPTY: Final = ((b"content-length", b"0"), (b"cache-control", b"no-store"))


class ForwardAuth:
    """The shape as an application of the gateway's server."""

    def __init__(self, gate: Gate, front: Front, *, log: Log) -> None:
        self._gate = gate
        self._front = front
        self._log = log

    def instant(self, scope: Scope) -> Answer | None:
        """Answer at once, unless there is something to wait for."""
        arrival = scope["gatehouse.arrival"]
        if not self._front.addressed(arrival.target):
            described = metadata.answer(self._gate.rules.documents, arrival.method, arrival.host, arrival.target)
            return described or own.answer(self._gate, arrival.method, arrival.target, arrival.headers)
        peer = peer_of(scope["client"])
        if not self._gate.rules.peers.trusted(peer):
            return self._unheard(403, "peer is not trusted", peer)
        question = self._front.question(arrival)
        if question is None:
            return self._unheard(400, "not a question of this contract", peer)
        request = Request(
            method=question.method, target=question.target, host=question.host, headers=arrival.headers, peer=peer
        )
        request.relayed = True
        request.trace = trace.read(arrival.headers)
        decision = self._gate.decide_now(request)
        if decision.waits is not None:
            scope["gatehouse.waiting"] = (request, decision)
            return None
        return self._answer(decision)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer after what was waited for has come."""
        status, headers, body = self._answer(await self._gate.settle(*scope["gatehouse.waiting"]))
        await send({"status": status, "headers": headers})
        await send({"body": body})

    def _answer(self, decision: Decision) -> Answer:
        principal = decision.principal
        said = (*decision.answer_headers, (b"x-gatehouse-decision", decision.id.encode()))
        if decision.refusal is None and principal is not None:
            return 200, (*self._head(200), *said, *principal.headers, *complete(decision.upstream_headers)), b""
        refusal = decision.refusal or answers.FAULT
        return self._front.told(refusal.status), (*self._head(refusal.status), *NOBODY, *refusal.headers, *said), b""

    def _unheard(self, status: int, why: str, peer: str) -> Answer:
        """Refuse to be asked: nothing was decided, so there is no decision to log, but an operator wants to know."""
        self._log.event("question.refused", why=why, peer=peer)
        return self._front.told(status), (*self._head(status), *NOBODY), b""

    def _head(self, status: int) -> Headers:
        return (*_EMPTY, (b"x-gatehouse-status", b"%d" % status)) if self._front.coarse else _EMPTY
