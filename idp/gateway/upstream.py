"""One connection to a server behind the gateway: HTTP/1.1 on httptools, streaming both ways, never holding a body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from idp.gateway.headers import OF_THE_HOP
from idp.gateway.upstreams.errors import Stale, Unheard, UpstreamError
from idp.gateway.websocket.tunnel import Side, Tunnel

_FOREVER: Final = float("inf")
_READ: Final = 65_536
_HELD: Final = 131_072
_HEAD: Final = 65_536
_SWITCHING: Final = 101
_FINAL: Final = 200
_NO_CONTENT: Final = 204
_HIGHEST: Final = 599


class UpstreamConnection(asyncio.Protocol):
    """A connection, used for one request after another."""

    def __init__(
        self, *, response_seconds: float, body_seconds: float, forget: Callable[[UpstreamConnection], None]
    ) -> None:
        self._response_seconds = response_seconds
        self._body_seconds = body_seconds
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._deadline = _FOREVER
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._write_paused = self._read_paused = False
        self._side: Side | None = None  # set once no HTTP is spoken any more
        self._rest = b""
        self.idle = True
        self.idle_since = 0.0
        self.generation = 0
        self.used = False
        self._reset(head_only=False)

    def _reset(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._upgrade = False
        self._heard = False
        self._head_bytes = 0
        self._raw: list[tuple[bytes, bytes]] = []
        self._nominated: frozenset[bytes] = frozenset()
        self._framed = False
        self._keep_alive = True
        self._chunks: list[bytes] = []
        self._held = 0
        self._fault: UpstreamError | None = None
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.dated = False
        self.complete = False

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        transport.max_size = _READ  # type: ignore[attr-defined]  # asyncio's own have it

    def connection_lost(self, exc: Exception | None) -> None:
        """A body without a length ends here; anything else was cut off."""
        self._transport = None
        self._deadline = _FOREVER
        self._forget(self)
        if self._side is not None:
            self._side.lost()
            return
        if not self.complete and not self.idle:
            ends_here = self.status and not self._framed and exc is None
            if ends_here:
                self.complete = True
            elif self._fault is None:
                lost = UpstreamError if self._heard else Stale if self.used else Unheard
                self._fault = lost("upstream closed the connection")
        self._wake()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse an answer. What nobody asked for ends the connection."""
        if self._side is not None:
            self._side.received(data)
            return
        if self.idle:
            self.close()
            return
        self._heard = True
        self._deadline = self._loop.time() + self._body_seconds
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switched(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._fail(UpstreamError("upstream answer cannot be read"))
        if not self.status and self._head_bytes > _HEAD:
            self._fail(UpstreamError("upstream header is too long"))
        self._wake()

    def _switched(self, rest: bytes) -> None:
        """What follows is of another protocol; it waits until somebody takes it."""
        self._rest = rest
        self._keep_alive = False
        self._deadline = _FOREVER
        if self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The server behind reads slowly."""
        self._write_paused = True
        if self._side is not None:
            self._side.full()

    def resume_writing(self) -> None:
        """It reads again, or never will."""
        self._write_paused = False
        if self._side is not None:
            self._side.drained()
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done():
            writer.set_result(None)

    # The parser

    def on_message_begin(self) -> None:
        """An answer begins. After the one that was asked for there is none: whatever this is, it is for nobody."""
        if self.complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the answer; trailers stay behind."""
        if self.status:
            return
        name = name.lower()
        if name == b"connection":
            self._nominated |= {each.strip().lower() for each in value.split(b",")}
        elif name == b"content-length" or name == b"transfer-encoding":  # noqa: PLR1714 - faster than a set
            self._framed = True
        elif name == b"date":
            self.dated = True
        if name not in OF_THE_HOP:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole; 1xx answers are between the two of us (RFC 9110 section 15.2)."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        switching = status == _SWITCHING
        if (switching and not (self._upgrade and self._parser.should_upgrade())) or status > _HIGHEST:
            raise UpstreamError("upstream switches protocols unasked, or answers with no status")
        if status < _FINAL and not switching:
            self._raw.clear()
            self._nominated = frozenset()
            self._framed = self.dated = False
            return
        if sum(len(name) + len(value) for name, value in self._raw) > _HEAD:
            raise UpstreamError("upstream header is too long")
        self._keep_alive = self._parser.should_keep_alive()
        nominated = self._nominated
        self.headers = [each for each in self._raw if each[0] not in nominated] if nominated else self._raw
        self.status = status
        if status in {204, 304}:
            self._framed = True
        if status == _NO_CONTENT:  # RFC 9110 section 8.6: with a length, some client would wait for it
            self.headers = [each for each in self.headers if each[0] != b"content-length"]
        if self._head_only:
            # The parser would wait for a body that does not come, so it is not asked again.
            self._framed = self.complete = True
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body until it is fetched; stop reading when too much is kept."""
        if self.complete:
            self._keep_alive = False
            return
        self._chunks.append(body)
        self._held += len(body)
        if self._held > _HELD and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer ends."""
        if self.status:
            self.complete = True

    # The gateway

    def begin(self, head: bytes, *, head_only: bool, upgrade: bool = False) -> None:
        """Send the head of a request (and what is there of its body)."""
        self._reset(head_only=head_only)
        self._upgrade = upgrade
        self.idle = False
        self._deadline = self._loop.time() + self._response_seconds
        if self._transport is None:
            raise Stale("upstream closed the connection")
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body, no faster than it is read."""
        if self._transport is None:
            raise UpstreamError("upstream closed the connection")
        self._deadline = self._loop.time() + self._response_seconds
        self._transport.write(data)
        if self._write_paused:
            self._writer = self._loop.create_future()
            await self._writer

    def switch(self, tunnel: Tunnel) -> None:
        """Speak HTTP no more."""
        if self._transport is None:
            raise UpstreamError("upstream closed the connection")
        self._side = tunnel.join_upstream(self._transport, self._rest)
        self._rest = b""
        self._transport.resume_reading()

    async def answered(self) -> None:
        """Wait for the head of the answer."""
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        """Give the next piece of the body; b"" when it has ended."""
        while not self._chunks and not self.complete:
            await self._more()
        return self.take()

    def take(self) -> bytes:
        """Give what there is of the body."""
        if not self._chunks:
            return b""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        if self._read_paused and self._transport is not None:
            self._read_paused = False
            self._transport.resume_reading()
        return body

    @property
    def faulty(self) -> bool:
        """Tell whether the other side has failed to answer as it should."""
        return self._fault is not None

    @property
    def reusable(self) -> bool:
        """Tell whether another request may be sent here: never where nobody reads, for its answer would not come."""
        return self.complete and self._keep_alive and self._side is None and not self._read_paused and self.open

    @property
    def open(self) -> bool:
        """Tell whether the other side is still there, as far as we know."""
        return self._transport is not None and not self._transport.is_closing()

    def rest(self) -> None:
        """Wait idle for the next request."""
        self.idle = self.used = True
        self.idle_since = self._loop.time()
        self._deadline = _FOREVER

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """End what has taken too long."""
        if now >= self._deadline and not (self._read_paused or self.complete):
            self._fail(UpstreamError("upstream takes too long", 504))
            self._wake()

    async def _more(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._reader = self._loop.create_future()
        await self._reader

    def _fail(self, fault: UpstreamError) -> None:
        if not self.complete and self._fault is None:
            self._fault = fault
        self.close()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
