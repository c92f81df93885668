"""One request and its answer: the ASGI side of a connection, with back-pressure both ways."""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from idp.gateway.server.arrival import Arrival
    from idp.gateway.server.protocol import GatewayProtocol

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]

_LOG: Final = logging.getLogger("idp.gateway")
BUFFERED: Final = 65_536
_ERROR: Final = 400
_NO_BODY: Final = frozenset({204, 304})


class Shape(Protocol):
    """An ASGI application that can often answer at once, without a task of its own."""

    def instant(self, scope: Scope) -> Answer | None:
        """Answer now, or None: then the application is called."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None:
        """Answer as ASGI does."""


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


STATUS_LINES: Final = {status: _status_line(status) for status in range(100, 600)}


def switching(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the head of the last answer in HTTP, before WebSocket is spoken (RFC 6455 section 4.2.2)."""
    parts = [STATUS_LINES[101], b"connection: Upgrade\r\nupgrade: websocket\r\n"]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    return b"".join([*parts, b"\r\n"])


class Exchange:
    """What ASGI calls receive and send, for one request."""

    __slots__ = (
        "_arrival",
        "_chunked",
        "_chunks",
        "_expects",
        "_head",
        "_held",
        "_left",
        "_protocol",
        "_waiter",
        "complete",
        "disconnected",
        "keep_alive",
        "request_complete",
        "scope",
        "started",
        "task",
    )

    def __init__(self, protocol: GatewayProtocol, arrival: Arrival, scope: Scope, *, keep_alive: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        self.request_complete = False
        self.started = False
        self.complete = False
        self.disconnected = False
        self._protocol = protocol
        self._arrival = arrival
        self._expects = arrival.expects
        self._chunks: list[bytes] = []
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False
        self._left: int | None = None

    # What the connection tells

    def feed(self, data: bytes) -> None:
        """Take a piece of the body; stop reading when nobody fetches it."""
        if self.complete:
            return
        self._chunks.append(data)
        self._held += len(data)
        if self._held > BUFFERED:
            self._protocol.flow.pause_reading()
        self._wake()

    def end(self) -> None:
        """The request has come to its end."""
        self.request_complete = True
        self._wake()

    def disconnect(self) -> None:
        """The client is gone: whoever works for it may stop."""
        self.disconnected = True
        self._wake()
        if self.task is not None and not self.complete:
            self.task.cancel()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What the application calls

    async def run(self, app: Shape) -> None:
        """Run the application to an answer, whatever it does."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self.disconnected:
                self._protocol.transport.abort()
        except Exception as fault:  # noqa: BLE001 - the last door: no fault may leave a client without an end
            _LOG.error("exchange failed", exc_info=fault)
            self._fail()
        else:
            if not self.complete:
                self._fail()

    def _fail(self) -> None:
        if self.disconnected or self.complete:
            return
        if self.started and not self._head:
            self._protocol.transport.abort()  # half an answer must not look like a whole one
            return
        self.keep_alive = False
        self.started = False
        self.answer((500, ((b"content-length", b"0"), (b"cache-control", b"no-store")), b""))

    async def receive(self) -> Message:
        """Give the next piece of the body (ASGI http.request)."""
        if self._expects and not self.started:
            self._expects = False
            if not self._chunks and not self.request_complete:
                self._protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._chunks or self.request_complete or self.disconnected or self.complete):
            self._protocol.flow.resume_reading()
            self._waiter = self._protocol.loop.create_future()
            await self._waiter
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        self._protocol.flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self.request_complete}

    async def send(self, message: Message) -> None:
        """Take a piece of the answer (ASGI http.response.start and http.response.body)."""
        flow = self._protocol.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if "tunnel" in message:
            self.started = self.complete = True
            self._protocol.switch(message["headers"], message["tunnel"])
            return
        if self.started and "status" in message:
            # A second head: the answer has failed half-way, and must not look whole.
            self.disconnected = True
            self._protocol.transport.abort()
            return
        if not self.started:
            self.started = True
            self._head = self._write_head(message["status"], message["headers"], dated=message.get("dated", False))
            return
        self._write_body(message.get("body", b""), last=not message.get("more_body", False))

    def answer(self, answer: Answer) -> None:
        """Give a whole answer in one write."""
        status, headers, body = answer
        self.started = True
        self._head = self._write_head(status, headers, dated=False)
        self._write_body(body, last=True)

    def _write_head(self, status: int, headers: Any, *, dated: bool) -> bytes:
        parts = [STATUS_LINES[status]]
        self._left = None
        for name, value in headers:
            if name == b"content-length":
                self._left = int(value)
            parts += (name, b": ", value, b"\r\n")
        if not dated:
            parts.append(self._protocol.date)
        if self._arrival.method == "HEAD" or status in _NO_BODY:
            self._left = 0
        elif self._left is None:
            self._chunked = self._arrival.version == "1.1"
            if self._chunked:
                parts.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if self._protocol.draining or (status >= _ERROR and not self.request_complete):
            self.keep_alive = False
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        elif self._arrival.version == "1.0":
            parts.append(b"connection: keep-alive\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def _write_body(self, body: bytes, *, last: bool) -> None:
        """Write a piece, with the head if that still waits. A wrong length ends the connection, not the framing."""
        if self._chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if last:
                body += b"0\r\n\r\n"
        elif self._left is not None:
            if self._arrival.method == "HEAD":
                body = b""
            self._left -= len(body)
            if self._left < 0 or (last and self._left):
                self._protocol.transport.abort()
                return
        if self._head:
            body = self._head + body
            self._head = b""
        if body:
            self._protocol.transport.write(body)
        if last:
            self.complete = True
            self._protocol.exchanged(self)
