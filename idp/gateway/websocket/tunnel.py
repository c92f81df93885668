"""Bytes both ways between a client and the server behind it, until one of them, or the gateway, has had enough.

Nothing is stored: an end that does not take what comes for it has the other end wait. Nothing here is a task; what
happens, happens when bytes arrive or when the clock looks.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from idp.gateway.websocket.frames import Frames, close_frame
from idp.gateway.websocket.model import WebSocket

# RFC 6455 section 7.4.1, and the registry that it began.
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
POLICY: Final = 1008
BAD_GATEWAY: Final = 1014
EXPIRED: Final = 4401  # private use: get another token, come back

_FOREVER: Final = float("inf")
_BOUNDARY_SECONDS: Final = 0.5  # for the rest of an open frame
_ANSWER_SECONDS: Final = 2.0  # for the other side's close


class Side(Protocol):
    """What a connection tells when it no longer speaks HTTP."""

    def received(self, data: bytes) -> None:
        """Take what came."""

    def lost(self) -> None:
        """It is gone."""

    def full(self) -> None:
        """It takes no more for now."""

    def drained(self) -> None:
        """It takes more again."""


class _Side:
    def __init__(self, tunnel: Tunnel, *, client: bool) -> None:
        self._tunnel = tunnel
        self._client = client

    def received(self, data: bytes) -> None:
        (self._tunnel.from_client if self._client else self._tunnel.from_upstream)(data)

    def lost(self) -> None:
        (self._tunnel.client_lost if self._client else self._tunnel.upstream_lost)()

    def full(self) -> None:
        self._other().pause_reading()

    def drained(self) -> None:
        self._other().resume_reading()

    def _other(self) -> asyncio.Transport:
        return self._tunnel.upstream if self._client else self._tunnel.client


class Tunnel:
    """One WebSocket."""

    client: asyncio.Transport
    upstream: asyncio.Transport

    def __init__(self, rule: WebSocket) -> None:
        self._loop = asyncio.get_running_loop()
        self._rule = rule
        self._began = self._heard = self._loop.time()
        self._down = Frames(masked=False)
        self._up = Frames(masked=True)
        self._close = b""  # the frame with which we end it
        self._told = False  # it was sent to the client
        self._until = _FOREVER
        self._gone = 0
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.why = "closed"
        self.up = self.down = 0  # bytes
        self._early = [b"", b""]  # what each end had said before it was joined to the other

    def join_client(self, transport: asyncio.Transport, early: bytes) -> Side:
        """Take over the client's end."""
        self.client, self._early[0] = transport, early
        return _Side(self, client=True)

    def join_upstream(self, transport: asyncio.Transport, early: bytes) -> Side:
        """Take over the other end."""
        self.upstream, self._early[1] = transport, early
        return _Side(self, client=False)

    def begin(self) -> None:
        """Both ends are there: pass on what waits."""
        from_client, from_upstream = self._early
        self._early = [b"", b""]
        self.from_client(from_client)
        self.from_upstream(from_upstream)

    # What comes

    def from_client(self, data: bytes) -> None:
        """Pass frames on; after our own close, wait for the client's."""
        self._heard = self._loop.time()
        passed = self._up.feed(data)
        if not self._close:
            self._pass_up(passed)
        elif self._up.ended:
            self._finish()

    def _pass_up(self, passed: bytes) -> None:
        if passed:
            self.up += len(passed)
            self.upstream.write(passed)
        if self._up.broken:
            self.end(PROTOCOL_ERROR, "protocol error")
        elif self._up.ended and self._down.ended:
            self._finish()

    def from_upstream(self, data: bytes) -> None:
        """Pass frames on; when we are ending, only the rest of the open one."""
        self._heard = self._loop.time()
        passed = self._down.feed(data)
        if passed:
            self.down += len(passed)
            self.client.write(passed)
        if self._down.broken:
            self.end(BAD_GATEWAY, "bad gateway")
        elif self._down.ended and self._close:
            self._tell()
        elif self._down.ended and self._up.ended:
            self._finish()

    def client_lost(self) -> None:
        """Nobody listens any more."""
        self._lost()

    def upstream_lost(self) -> None:
        """A server that leaves without a close frame has failed; the client gets one from us, if that is possible."""
        if not self._close and not self._down.closed and self._down.between:
            self.end(BAD_GATEWAY, "bad gateway")
        if self._told and not self._gone:
            self._gone += 1
            return
        if not self._down.between:  # a frame that will never be whole
            self.client.abort()
        self._lost()

    def _lost(self) -> None:
        self._gone += 1
        self._finish()
        if self._gone > 1 and not self.done.done():
            self.done.set_result(None)

    # What ends it

    def end(self, code: int, why: str) -> None:
        """Close it with a code: between two frames, or not at all."""
        if self._close or self._until < _FOREVER:
            return
        self.why = why
        self._close = close_frame(code, why, masked=False)
        self._until = self._loop.time() + _BOUNDARY_SECONDS
        if self._up.between and not self._up.closed:
            self.upstream.write(close_frame(code, why, masked=True))
        else:
            self.upstream.abort()
        self._down.stop()
        if self._down.ended:
            self._tell()

    def _tell(self) -> None:
        """Send our close frame, unless the server behind has already sent one."""
        if self._told:
            return
        self._told = True
        self._until = self._loop.time() + _ANSWER_SECONDS
        if not self._down.closed:
            self.client.write(self._close)
        self.client.resume_reading()
        if self._up.ended:
            self._finish()

    def _finish(self) -> None:
        """Both have said what they had to say: close, and give what is written a moment to arrive."""
        self._until = min(self._until, self._loop.time() + _ANSWER_SECONDS)
        for transport in (self.client, self.upstream):
            transport.close()

    def abort(self) -> None:
        """End it at once, frames or not."""
        for transport in (self.client, self.upstream):
            transport.abort()

    def check(self, now: float) -> None:
        """End what has been idle, or open, for too long; and what does not end by itself."""
        if now >= self._until:
            self.abort()
        elif now - self._heard >= self._rule.idle:
            self.end(GOING_AWAY, "idle")
        elif now - self._began >= self._rule.max_age:
            self.end(GOING_AWAY, "too old")
