"""The streaming reverse proxy: what the gate lets through travels on, byte for byte, under a verified name."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from idp.gateway import answers, own
from idp.gateway.decide import Gate
from idp.gateway.log import Log
from idp.gateway.peers import peer_of
from idp.gateway.policy import metadata
from idp.gateway.request import Decision, Request
from idp.gateway.rules import Rule
from idp.gateway.server.arrival import Arrival
from idp.gateway.server.exchange import Answer, Receive, Scope, Send
from idp.gateway.upstream import UpstreamConnection, UpstreamError
from idp.gateway.upstreams.behind import Behind
from idp.gateway.upstreams.dispatch import Sending, reach

# RFC 9110 section 9.2.2: doing it twice does no harm, so a connection that was dead already may be replaced.
_AGAIN: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOO_LARGE: Final = answers.Refusal(status=413, reason="body", error="invalid_request", text="the body is too large")
_CHUNK_END: Final = b"0\r\n\r\n"


class TooLarge(Exception):
    """The body has grown past the limit of its route."""


class Gone(Exception):
    """The client left."""


class Proxy:
    """The shape as an application of the gateway's server."""

    def __init__(self, gate: Gate, *, log: Log) -> None:
        config = gate.rules.config
        self._gate = gate
        self._log = log
        self._body_bytes = config.server.limits.body_bytes
        self.behind = Behind(lambda: gate.rules.config, log=log)

    def instant(self, scope: Scope) -> Answer | None:
        """Refuse at once what is refused; what is allowed needs the upstream."""
        arrival: Arrival = scope["gatehouse.arrival"]
        if arrival.target.startswith(own.PREFIX):
            return own.answer(self._gate, arrival.method, arrival.target, arrival.headers)
        described = metadata.answer(self._gate.rules.documents, arrival.method, arrival.host, arrival.target)
        if described is not None:
            return described
        request = Request(
            method=arrival.method,
            target=arrival.target,
            host=arrival.host,
            headers=arrival.headers,
            peer=peer_of(scope["client"]),
        )
        request.replaced_host = arrival.replaced_host
        decision = self._gate.decide_now(request)
        scope["gatehouse.waiting"] = (request, decision)
        if decision.waits is not None:
            return None
        answer = self._refusal(arrival, decision)
        if decision.holds:
            # The task that forwards may be cancelled before it has begun.
            scope["gatehouse.over"] = decision.over
        return answer

    def _refusal(self, arrival: Arrival, decision: Decision) -> Answer | None:
        if not decision.allowed:
            return decision.answer()
        if arrival.length <= self._limit(decision):
            return None
        decision.over()
        return self._too_large(decision)

    def _too_large(self, decision: Decision) -> Answer:
        self._log.event("body.too_large", id=decision.id, limit=self._limit(decision))
        status, headers, body = _TOO_LARGE.answer(decision.id)
        return status, headers + decision.answer_headers, body

    def _limit(self, decision: Decision) -> int:
        return (decision.rule.route.body_bytes if decision.rule else None) or self._body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward an allowed request."""
        arrival: Arrival = scope["gatehouse.arrival"]
        request, decision = scope["gatehouse.waiting"]
        if decision.waits is not None:
            decision = await self._gate.settle(request, decision)
            refusal = self._refusal(arrival, decision)
            if refusal is not None:
                await _say(send, refusal)
                return
        try:
            await self._in_time(scope, decision, receive, send)
        except TooLarge:
            await _say(send, self._too_large(decision))
        except UpstreamError as fault:
            self._log.event("upstream.failed", id=decision.id, status=fault.status, reason=fault.reason)
            status, headers, text = _failed(fault).answer(decision.id)
            await _say(send, (status, headers + decision.answer_headers, text))
        except Gone:
            return
        finally:
            decision.over()

    async def _in_time(self, scope: Scope, decision: Decision, receive: Receive, send: Send) -> None:
        """Forward within the time that the route gives, if it gives one."""
        seconds = decision.rule.route.seconds if decision.rule else None
        if seconds is None:
            await self._forward(scope, decision, receive, send)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._forward(scope, decision, receive, send)
        except TimeoutError:
            raise UpstreamError("exchange takes longer than its route allows", 504) from None

    async def _forward(self, scope: Scope, decision: Decision, receive: Receive, send: Send) -> None:
        arrival: Arrival = scope["gatehouse.arrival"]
        rule = decision.rule
        route = rule.route if rule else None
        if rule is None or route is None or route.upstream is None:
            raise UpstreamError("route has no upstream")
        servers = self.behind.of(route.upstream)
        body, more = b"", arrival.has_body
        if more:
            body, more = await _next(receive)
        relay = _Relay(receive, chunked=arrival.chunked, limit=self._limit(decision))
        head = self._head(scope, decision, rule) + relay.framed(body, last=not more)
        member, connection = await reach(
            servers,
            Sending(
                head=head,
                head_only=arrival.method == "HEAD",
                repeatable=arrival.method in _AGAIN and not arrival.has_body,
            ),
        )
        told = decision.answer_headers
        try:
            await (relay.both(connection, send, told) if more else _answer(connection, send, told))
        finally:
            servers.release(member, connection)

    def _head(self, scope: Scope, decision: Decision, rule: Rule) -> bytes:
        """Write the request for the upstream: the same target, no header of ours by anybody else."""
        arrival: Arrival = scope["gatehouse.arrival"]
        parts = [arrival.method.encode("ascii"), b" ", arrival.target, b" HTTP/1.1\r\nhost: ", arrival.host, b"\r\n"]
        drops, nominated = rule.strip.drops, arrival.nominated
        for name, value in arrival.headers:
            if not drops(name) and name not in nominated:
                parts += (name, b": ", value, b"\r\n")
        if arrival.chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
        elif arrival.lengths:
            parts += (b"content-length: ", arrival.lengths[0], b"\r\n")
        parts += self._origin(scope, arrival)
        # After Connection was obeyed, so that no client can have it removed (attack row GW3).
        parts += (
            decision.principal.wire if decision.principal else b"",
            b"x-gatehouse-decision: ",
            decision.id.encode(),
        )
        for name, value in decision.upstream_headers:
            parts += (b"\r\n", name, b": ", value)
        parts.append(b"\r\n\r\n")
        return b"".join(parts)

    def _origin(self, scope: Scope, arrival: Arrival) -> tuple[bytes, ...]:
        """Say where the request came from; only a trusted peer is quoted (attack row GW9)."""
        peer = peer_of(scope["client"])
        proto, before = scope["scheme"].encode(), b""
        if self._gate.rules.peers.trusted(peer):
            said = dict(arrival.headers)
            before = said.get(b"x-forwarded-for", b"")
            proto = said.get(b"x-forwarded-proto", proto)
        address = peer.encode() or b"unknown"
        chain = before + b", " + address if before else address
        return (
            b"x-forwarded-for: ", chain, b"\r\nx-forwarded-proto: ", proto,
            b"\r\nx-forwarded-host: ", arrival.host, b"\r\n",
        )  # fmt: skip


class _Relay:
    """The body of a request on its way to the upstream."""

    def __init__(self, receive: Receive, *, chunked: bool, limit: int) -> None:
        self._receive = receive
        self._chunked = chunked
        self._limit = limit
        self._sent = 0

    def framed(self, body: bytes, *, last: bool) -> bytes:
        """Frame a piece as the upstream was told, within the limit."""
        self._sent += len(body)
        if self._sent > self._limit:
            raise TooLarge
        if not self._chunked:
            return body
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (_CHUNK_END if last else b"")

    async def both(self, connection: UpstreamConnection, send: Send, told: answers.Headers) -> None:
        """Send the body and give the answer at the same time: an upstream may answer before it has heard all."""
        sending = asyncio.ensure_future(self._send(connection))
        answering = asyncio.ensure_future(connection.answered())
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not answering.done():
                sending.result()
            elif sending.done() and isinstance(sending.exception(), TooLarge):
                raise TooLarge
            await answering
            await _answer(connection, send, told)
            if not sending.done():
                connection.close()
        finally:
            for task in (sending, answering):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, UpstreamError, TooLarge, Gone):
                    await task
            if sending.cancelled() or sending.exception() is not None:
                connection.close()

    async def _send(self, connection: UpstreamConnection) -> None:
        more = True
        while more:
            body, more = await _next(self._receive)
            await connection.write(self.framed(body, last=not more))


async def _answer(connection: UpstreamConnection, send: Send, told: answers.Headers) -> None:
    """Pass the answer on as it comes, with what the gate has to say about it."""
    await connection.answered()
    headers = [*connection.headers, *told] if told else connection.headers
    await send({"status": connection.status, "headers": headers, "dated": connection.dated})
    body = connection.take()
    while not connection.complete:
        await send({"body": body, "more_body": True})
        body = await connection.read()
    await send({"body": body + connection.take()})


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message["body"], message["more_body"]


async def _say(send: Send, answer: Answer) -> None:
    """Answer instead of the upstream; when its answer has begun, ending short tells the client that it is torn."""
    status, headers, body = answer
    await send({"status": status, "headers": headers})
    await send({"body": body})


def _failed(fault: UpstreamError) -> answers.Refusal:
    text = "the server behind the gateway did not answer"
    if fault.retry_after is None:
        return answers.Refusal(status=fault.status, reason="upstream", error="bad_gateway", text=text)
    wait = ((b"retry-after", b"%d" % fault.retry_after),)
    return answers.Refusal(
        status=fault.status, reason="upstream", error="temporarily_unavailable", text=text, headers=wait
    )
