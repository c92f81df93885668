"""uvicorn's httptools protocol with the checks it leaves to others: Host, framing, sizes and deadlines.

uvicorn keeps what it does well: listening, the flow of bytes, signals, draining. The parsing callbacks are ours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import httptools

from idp.gateway.config import Limits
from idp.gateway.server.arrival import Arrival, Unreadable
from idp.gateway.server.exchange import Exchange, Shape, switching
from idp.gateway.server.parting import FOREVER, Parting
from idp.gateway.websocket.tunnel import Side, Tunnel

_READ: Final = 65_536
# Chunk extensions and trailers are bytes that nobody will use: some are normal, a stream of them is an attack.
_OVERHEAD: Final = 65_536
_OVERHEAD_PER_BYTE: Final = 16


class GatewayProtocol(Parting):
    """One connection of a client."""

    limits: Limits = Limits()  # set by `protocol_with`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shape = cast("Shape", self.app)
        self.draining = False
        self._arrival = Arrival()
        self._exchange: Exchange | None = None  # the one whose request is being read
        self._running: Exchange | None = None  # the one being answered
        self._queue: deque[Exchange] = deque()
        self._reading_head = False
        self._head_bytes = 0
        self._begun = 0
        self._body_bytes = 0
        self._overhead = 0
        self._in_queue = False
        self._side: Side | None = None  # set once no HTTP is spoken any more
        self._rest = b""  # what came behind the request that asked for another protocol

    # The transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Begin, or refuse when there are too many connections already."""
        super().connection_made(transport)
        transport.max_size = _READ  # type: ignore[attr-defined]  # asyncio's own have it
        self.deadline = self.loop.time() + self.limits.header_seconds
        if len(self.connections) > self.limits.connections:
            self.refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell everybody who works for this client that it is gone."""
        self.connections.discard(self)
        self.deadline = FOREVER
        for exchange in (self._running, *self._queue):
            if exchange is not None:
                exchange.disconnect()
        if self._side is not None:
            self._side.lost()
        self._queue.clear()
        self.flow.resume_writing()
        self.parser = None  # type: ignore[assignment]  # it holds this object, and nobody parses any more

    def data_received(self, data: bytes) -> None:
        """Take what came: requests, or what another protocol says."""
        if self._side is not None:
            self._side.received(data)
        elif not self.lingering:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse, and end the connection at the first thing with two readings."""
        fresh = not self._reading_head and self._exchange is None
        if fresh:
            self.deadline = self.loop.time() + self.limits.header_seconds
        self._begun = self._body_bytes = 0
        was_reading_head = self._reading_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self.refuse(cause.status if isinstance(cause, Unreadable) else 500)
            return
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self.refuse(400)
            return
        if self._reading_head:
            # A chunk that also held other requests does not count: its head cannot have begun long ago.
            if (was_reading_head and not self._begun) or (fresh and self._begun <= 1):
                self._head_bytes += len(data)
            if self._head_bytes > self.limits.header_bytes:
                self.refuse(431)
        elif self._exchange is not None:
            self._count_body(len(data))

    def _upgrade(self, rest: bytes) -> None:
        """Keep what follows for the other protocol, if there is to be one; it is not read on until then."""
        if not self._arrival.websocket:
            self.refuse(400)
            return
        self._rest = rest
        self.deadline = FOREVER
        self.flow.pause_reading()

    def switch(self, headers: Iterable[tuple[bytes, bytes]], tunnel: Tunnel) -> None:
        """Speak HTTP no more (RFC 9110 section 15.2.2)."""
        self.transport.write(switching(headers))
        self._side = tunnel.join_client(self.transport, self._rest)
        self._rest = b""
        self.flow.resume_reading()

    def _count_body(self, fed: int) -> None:
        """Move the deadline along with the body, and refuse one that consists of wrapping."""
        self.deadline = self.loop.time() + self.limits.body_seconds
        self._overhead += max(0, fed - (1 + _OVERHEAD_PER_BYTE) * self._body_bytes)
        if self._overhead > _OVERHEAD + self.limits.header_bytes:
            self.refuse(400)

    # The parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arrival = Arrival()
        self._reading_head = True
        self._head_bytes = 0
        self._overhead = 0
        self._begun += 1

    def on_url(self, url: bytes) -> None:
        """Keep the target as it came; what is decided on is what is forwarded."""
        self._arrival.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._arrival.header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head as a whole and let the gateway decide."""
        arrival = self._arrival
        self._reading_head = False
        arrival.check(self.parser.get_method().decode("ascii"), self.parser.get_http_version())
        arrival.check_size(self.limits.header_bytes)
        if arrival.websocket and not self.parser.should_upgrade():  # two readings of one header
            raise Unreadable(400)
        scope = {
            "type": "http",
            "method": arrival.method,
            "headers": arrival.headers,
            "client": self.client,
            "scheme": self.scheme,
            "gatehouse.arrival": arrival,
        }
        exchange = Exchange(self, arrival, scope, keep_alive=self.parser.should_keep_alive() and not arrival.websocket)
        self._exchange = exchange
        if not arrival.has_body:
            exchange.request_complete = True
        if self._running is None and not self.flow.write_paused:
            self._begin(exchange)
        else:  # pipelined: one at a time, in order (RFC 9112 section 9.3.2), and none for who does not read answers
            self.flow.pause_reading()
            self._queue.append(exchange)

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the body."""
        self._body_bytes += len(body)
        cast("Exchange", self._exchange).feed(body)

    def on_message_complete(self) -> None:
        """The request ends; no deadline while it is answered."""
        exchange, self._exchange = cast("Exchange", self._exchange), None
        self.deadline = FOREVER
        exchange.end()
        if exchange.complete and self._running is None:
            self._wait_for_next()

    # The answers

    def _begin(self, exchange: Exchange) -> None:
        self._running = exchange
        answer = self.shape.instant(exchange.scope)
        if answer is not None:
            exchange.answer(answer)
            return
        exchange.task = self.loop.create_task(exchange.run(self.shape))
        exchange.task.add_done_callback(self.tasks.discard)
        if "gatehouse.over" in exchange.scope:
            over: Callable[[], None] = exchange.scope["gatehouse.over"]
            exchange.task.add_done_callback(lambda _: over())
        self.tasks.add(exchange.task)

    def exchanged(self, exchange: Exchange) -> None:
        """One answer is complete: close, or go on with the next request."""
        self.server_state.total_requests += 1
        self._running = None
        if not exchange.request_complete:
            # The rest of the body would have to be read to find the next request: not for an answer already given.
            self.linger()
        elif not exchange.keep_alive or self.draining:
            self.transport.close()
            self.deadline = self.loop.time() + self.limits.body_seconds
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Take the next request; none is read on behalf of a client that does not read its answers."""
        if self._queue:
            self._begin_queued()
        elif self.flow.write_paused:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()
            if self._exchange is None and not self._reading_head:
                self._wait_for_next()

    def _begin_queued(self) -> None:
        """Go through what was pipelined in a loop: answers that come at once would else nest without end."""
        if self._in_queue:
            return
        self._in_queue = True
        while self._queue and self._running is None and not (self.flow.write_paused or self.transport.is_closing()):
            self._begin(self._queue.popleft())
        self._in_queue = False

    def _wait_for_next(self) -> None:
        self.deadline = self.loop.time() + self.limits.keep_alive_seconds

    def refuse(self, status: int) -> None:
        """Answer with a bare status and end: nothing after it on this connection can be trusted to be a request."""
        if self._running is not None:  # its answer must not be mixed with this one
            self.transport.abort()
            return
        self.say(status)

    # The clock and the end

    def check(self, now: float) -> None:
        """End what has taken too long; asked a few times a second."""
        if self.flow.write_paused and self.deadline == FOREVER:
            self.deadline = now + self.limits.body_seconds
        if now < self.deadline:
            return
        if self.lingering or self.transport.is_closing():
            self.transport.abort()
        elif self._reading_head and self._running is None:
            self.refuse(408)
        elif self._running is None:
            (self.transport.abort if self.flow.write_paused else self.transport.close)()
        elif self.flow.read_paused and not self.flow.write_paused:  # it is we who do not read
            self.deadline = now + self.limits.body_seconds
        else:
            self._give_up(self._running)

    def _give_up(self, exchange: Exchange) -> None:
        """The client neither sends nor reads: say so if nothing has been said yet."""
        begun = exchange.started
        exchange.disconnect()
        self._running = None
        if begun:
            self.transport.abort()
        else:
            self.refuse(408)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        super().pause_writing()
        if self._side is not None:
            self._side.full()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._side is not None:
            self._side.drained()
        elif self._running is None and not self.lingering:
            self._go_on()
        if self._exchange is None and self._running is not None:
            self.deadline = FOREVER

    def shutdown(self) -> None:
        """Finish what is being answered, then close (called by uvicorn on SIGTERM)."""
        self.draining = True
        if self._running is None:
            self.transport.close()


def protocol_with(limits: Limits) -> type[GatewayProtocol]:
    """Give the protocol with these limits: uvicorn makes the instances itself."""
    return type("LimitedProtocol", (GatewayProtocol,), {"limits": limits})
