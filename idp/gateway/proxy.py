"""The streaming reverse proxy: what the gate lets through travels on, byte for byte, under a verified name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final, cast

from idp.gateway import answers, onward, own, trace
from idp.gateway.decide import Gate
from idp.gateway.log import Log
from idp.gateway.peers import peer_of
from idp.gateway.policy import metadata
from idp.gateway.relay import Gone, Relay, TooLarge, answer, next_piece
from idp.gateway.request import Decision, Request
from idp.gateway.rules import Rule
from idp.gateway.server.arrival import Arrival
from idp.gateway.server.exchange import Answer, Message, Receive, Scope, Send
from idp.gateway.server.watch import Watched
from idp.gateway.tenure import DRAINING, EXPIRED, REVOKED, Tenure
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.behind import Behind
from idp.gateway.upstreams.dispatch import Sending, reach
from idp.gateway.upstreams.errors import UpstreamError
from idp.gateway.upstreams.model import Upstream
from idp.gateway.websocket import entry, handshake
from idp.gateway.websocket import tunnel as tunnels
from idp.gateway.websocket.tunnel import POLICY, Tunnel

# RFC 9110 section 9.2.2: doing it twice does no harm, so a connection that was dead already may be replaced.
_AGAIN: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SWITCHING: Final = 101
_EVENTS: Final = b"text/event-stream"
_CODES: Final = {
    EXPIRED: (tunnels.EXPIRED, "token expired"),
    REVOKED: (POLICY, "token revoked"),
    DRAINING: (tunnels.GOING_AWAY, "going away"),
}
_TOO_LARGE: Final = answers.Refusal(status=413, reason="body", error="invalid_request", text="the body is too large")


class Proxy:
    """The shape as an application of the gateway's server."""

    def __init__(self, gate: Gate, *, log: Log, wall: Callable[[], float] = time.time) -> None:
        config = gate.rules.config
        self._gate = gate
        self._log = log
        self._body_bytes = config.server.limits.body_bytes
        self.behind = Behind(lambda: gate.rules.config, log=log)
        self._wall = wall
        self._held: set[Tenure | Tunnel] = set()
        self._draining = False

    def watched(self) -> Iterator[Watched]:
        """Give everything with a deadline."""
        yield from self.behind.watched()
        yield from tuple(self._held)

    def drain(self) -> None:
        """Take leave of those who would stay for ever; whoever has an end in sight may finish."""
        self._draining = True
        for held in tuple(self._held):
            if isinstance(held, Tenure) and held.endless:
                held.end(DRAINING)

    def instant(self, scope: Scope) -> Answer | None:
        """Refuse at once what is refused; what is allowed needs the upstream."""
        arrival: Arrival = scope["gatehouse.arrival"]
        if arrival.target.startswith(own.PREFIX):
            return own.answer(self._gate, arrival.method, arrival.target, arrival.headers)
        described = metadata.answer(self._gate.rules.documents, arrival.method, arrival.host, arrival.target)
        if described is not None:
            return described
        if arrival.websocket:
            scope["gatehouse.marked"] = entry.reveal(self._gate.rules, arrival)
        request = Request(
            method=arrival.method,
            target=arrival.target,
            host=arrival.host,
            headers=arrival.headers,
            peer=peer_of(scope["client"]),
        )
        request.replaced_host = arrival.replaced_host
        request.trace = trace.of(arrival.headers)
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
        passage = self._passage(scope, request, decision, receive, send)
        try:
            await self._in_time(passage)
        except TooLarge:
            await _say(send, self._too_large(decision))
        except UpstreamError as fault:
            self._log.event("upstream.failed", id=decision.id, status=fault.status, reason=fault.reason)
            status, headers, text = _failed(fault).answer(decision.id)
            await _say(send, (status, headers + decision.answer_headers, text))
        except Gone:
            return
        except asyncio.CancelledError:
            if not passage.tenure.why or passage.begun:
                raise
            await _say(send, _ended(passage).answer(decision.id))
        finally:
            self._held.discard(passage.tenure)
            decision.over()

    def _passage(self, scope: Scope, request: Request, decision: Decision, receive: Receive, send: Send) -> Passage:
        rule = decision.rule
        route = rule.route if rule else None
        if rule is None or route is None or route.upstream is None:
            raise AssertionError("a request without a server behind its route does not load")
        task = cast("asyncio.Task[None]", asyncio.current_task())
        passage = Passage(scope, request, decision, rule, receive=receive, send=send)
        passage.tenure = Tenure(
            self._gate,
            request,
            decision,
            cut=lambda _why: task.cancel(),
            cuts=passage.cuts,
            log=self._log,
            wall=self._wall,
        )
        self._held.add(passage.tenure)
        return passage

    async def _in_time(self, passage: Passage) -> None:
        """Forward within the time that the route gives, if it gives one. A WebSocket has a limit of its own."""
        seconds = passage.rule.route.seconds
        if seconds is None or passage.arrival.websocket:
            await self._forward(passage)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._forward(passage)
        except TimeoutError:
            raise UpstreamError("exchange takes longer than its route allows", 504) from None

    async def _forward(self, passage: Passage) -> None:
        arrival, decision, receive = passage.arrival, passage.decision, passage.receive
        if arrival.websocket:
            refused = entry.refusal(passage.rule.route.websocket, arrival)
            if refused is not None:
                self._log.event("websocket.refused", id=decision.id, why=refused.reason)
                await _say(passage.send, refused.answer(decision.id))
                return
        body, more = b"", arrival.has_body
        if more:
            body, more = await next_piece(receive)
        relay = Relay(receive, chunked=arrival.chunked, limit=self._limit(decision))
        head = onward.head(passage.scope, passage.request, decision, passage.rule, self._gate.rules.peers)
        servers = self.behind.of(passage.upstream)
        member, connection = await reach(
            servers,
            Sending(
                head=head + relay.framed(body, last=not more),
                head_only=arrival.method == "HEAD",
                repeatable=arrival.method in _AGAIN and not arrival.has_body,
                upgrade=arrival.websocket,
            ),
        )
        passage.connection = connection
        told = decision.answer_headers
        try:
            if more:
                await relay.both(connection, passage.said, told)
            elif connection.status == _SWITCHING:
                await self._tunnel(passage, connection)
            else:
                await answer(connection, passage.said, told)
        finally:
            servers.release(member, connection)

    async def _tunnel(self, passage: Passage, connection: UpstreamConnection) -> None:
        """Let bytes through both ways, as long as the decision holds."""
        arrival, rule = passage.arrival, passage.rule.route.websocket
        if rule is None or not handshake.accepts(connection.headers, handshake.key_of(arrival.headers)):
            raise UpstreamError("upstream accepts another WebSocket")
        headers = [each for each in connection.headers if each[0] != b"content-length"]
        if passage.scope["gatehouse.marked"] and not handshake.chosen(headers):
            headers.append(handshake.choice())
        tunnel = Tunnel(rule)
        await passage.said({"tunnel": tunnel, "headers": [*headers, *passage.decision.answer_headers]})
        connection.switch(tunnel)
        passage.tenure.cut = lambda why: tunnel.end(*_CODES.get(why, (POLICY, "no longer allowed")))
        self._held.add(tunnel)
        began = self._wall()
        try:
            tunnel.begin()
            if self._draining:
                passage.tenure.end(DRAINING)
            await tunnel.done
        finally:
            tunnel.abort()
            self._held.discard(tunnel)
            self._log.event(
                "websocket.closed", id=passage.decision.id, why=tunnel.why, up=tunnel.up, down=tunnel.down,
                seconds=round(self._wall() - began, 1),
            )  # fmt: skip


class Passage:
    """One allowed request on its way through."""

    tenure: Tenure

    def __init__(
        self, scope: Scope, request: Request, decision: Decision, rule: Rule, *, receive: Receive, send: Send
    ) -> None:
        self.scope = scope
        self.request = request
        self.arrival: Arrival = scope["gatehouse.arrival"]
        self.decision = decision
        self.rule = rule
        self.receive = receive
        self.send = send
        self.connection: UpstreamConnection | None = None
        self.begun = False  # the client has heard something

    @property
    def upstream(self) -> Upstream:
        """What stands behind; the loader makes sure of it."""
        return cast("Upstream", self.rule.route.upstream)

    async def said(self, message: Message) -> None:
        """Send a piece of the answer."""
        self.begun = True
        await self.send(message)

    def cuts(self) -> bool:
        """Tell whether the answer ends with its token: as the route says, else where nobody waits for its end."""
        chosen = self.rule.route.on_expiry
        if chosen is not None and not self.arrival.websocket:
            return chosen == "cut"
        headers = self.connection.headers if self.connection is not None else ()
        return self.arrival.websocket or any(
            name == b"content-type" and value.lower().startswith(_EVENTS) for name, value in headers
        )


async def _say(send: Send, answer: Answer) -> None:
    """Answer instead of the upstream; when its answer has begun, ending short tells the client that it is torn."""
    status, headers, body = answer
    await send({"status": status, "headers": headers})
    await send({"body": body})


def _ended(passage: Passage) -> answers.Refusal:
    """Say that it no longer holds, to a client that has heard nothing yet."""
    why = passage.tenure.why
    return passage.rule.invalid_token if why in {EXPIRED, REVOKED} else answers.NOT_ALLOWED


def _failed(fault: UpstreamError) -> answers.Refusal:
    text = "the server behind the gateway did not answer"
    if fault.retry_after is None:
        return answers.Refusal(status=fault.status, reason="upstream", error="bad_gateway", text=text)
    wait = ((b"retry-after", b"%d" % fault.retry_after),)
    return answers.Refusal(
        status=fault.status, reason="upstream", error="temporarily_unavailable", text=text, headers=wait
    )
