"""The gateway inside an ASGI server, in front of one application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from idp.gateway.answers import Headers
from idp.gateway.decide import Gate
from idp.gateway.peers import peer_of
from idp.gateway.policy import metadata
from idp.gateway.request import Request

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SAFE: Final = "/!$&'()*+,=:@"
_POLICY_VIOLATION: Final = 1008  # RFC 6455 section 7.4.1
# The server beneath has framed the request already.
_KEPT: Final = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


class Guarded:
    """An ASGI application behind the gate: `app = Guarded(app, gate)`."""

    def __init__(self, app: Application, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an allowed request through, under a verified name; of the rest only the server's own lifespan passes."""
        self._gate.start()
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        request = _request(scope)
        described = metadata.answer(self._gate.rules.documents, request.method, request.host, request.target)
        if described is not None:
            await _say(send, described)
            return
        decision = await self._gate.settle(request, self._gate.decide_now(request))
        if decision.principal is None or decision.rule is None:
            await _say(send, decision.answer())
            return
        drops = decision.rule.strip.drops
        kept = [(name, value) for name, value in scope["headers"] if name in _KEPT or not drops(name)]
        headers = [*kept, *decision.principal.headers, *decision.upstream_headers]
        named = {**scope, "headers": headers, "gatehouse.principal": decision.principal}
        try:
            await self._app(named, receive, _with(decision.answer_headers, send))
        finally:
            decision.over()


def _with(headers: Headers, send: Send) -> Send:
    """Add to the application's answer what the gate has to say about it."""
    if not headers:
        return send

    async def added(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return added


async def _say(send: Send, answer: metadata.Answer) -> None:
    status, headers, body = answer
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def _request(scope: Scope) -> Request:
    raw = scope.get("raw_path")
    path = raw if isinstance(raw, bytes) else quote(scope["path"], safe=_SAFE).encode("ascii")
    query = scope.get("query_string", b"")
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    request = Request(
        method=scope["method"],
        target=path + b"?" + query if query else path,
        host=hosts[0] if len(hosts) == 1 else b"",
        headers=scope["headers"],
        peer=peer_of(scope.get("client")),
    )
    request.seen = scope["path"]
    return request
