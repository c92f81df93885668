"""Connections to one upstream: the one used last is used next, so that few stay open."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from idp.gateway.config import ServerConfig, Upstream
from idp.gateway.upstream import UpstreamConnection, UpstreamError

_IDLE: Final = 64
_IDLE_SECONDS: Final = 30.0


class Pool:
    """The connections to one upstream."""

    def __init__(self, upstream: Upstream, server: ServerConfig) -> None:
        self._upstream = upstream
        self._server = server
        self._tls = ssl.create_default_context() if upstream.tls else None
        self._idle: list[UpstreamConnection] = []
        self.connections: set[UpstreamConnection] = set()

    def idle(self) -> UpstreamConnection | None:
        """Give a connection that is open and idle."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """Open a new connection."""
        loop = asyncio.get_running_loop()
        upstream = self._upstream
        try:
            async with asyncio.timeout(self._server.connect_seconds):
                _, connection = await loop.create_connection(
                    self._connection, upstream.host, upstream.port, ssl=self._tls
                )
        except TimeoutError:
            raise UpstreamError("upstream does not accept a connection", 504) from None
        except OSError:
            raise UpstreamError("upstream cannot be reached") from None
        self.connections.add(connection)
        return connection

    def _connection(self) -> UpstreamConnection:
        return UpstreamConnection(
            response_seconds=self._server.response_seconds,
            body_seconds=self._server.limits.body_seconds,
            forget=self._forget,
        )

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request, if it is fit for one."""
        if connection.reusable and len(self._idle) < _IDLE:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.close()

    def check(self, now: float) -> None:
        """Close what has been idle for long: the other side will do so too, and rather between two requests."""
        while self._idle and now - self._idle[0].idle_since > _IDLE_SECONDS:
            self._idle.pop(0).close()

    def close(self) -> None:
        """Close everything."""
        for connection in tuple(self.connections):
            connection.close()

    def _forget(self, connection: UpstreamConnection) -> None:
        self.connections.discard(connection)
        if connection.idle and connection in self._idle:
            self._idle.remove(connection)
