"""Connections to one server: the one used last is used next, so that few stay open."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from idp.gateway.config import ServerConfig
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.errors import Unreached
from idp.gateway.upstreams.model import Origin
from idp.gateway.upstreams.tls import Tls

_IDLE: Final = 64
_IDLE_SECONDS: Final = 30.0


class Pool:
    """The connections to one server."""

    def __init__(self, origin: Origin, server: ServerConfig, *, tls: Tls | None = None) -> None:
        self._origin = origin
        self._server = server
        self._tls = tls
        self._idle: list[UpstreamConnection] = []
        self._retired = False
        self.connections: set[UpstreamConnection] = set()

    def idle(self) -> UpstreamConnection | None:
        """Give a connection that is open and idle."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and self._current(connection):
                return connection
            connection.close()
        return None

    def _current(self, connection: UpstreamConnection) -> bool:
        """Tell whether it was made with the certificates that count now."""
        return self._tls is None or connection.generation == self._tls.generation

    async def connect(self) -> UpstreamConnection:
        """Open a new connection."""
        loop = asyncio.get_running_loop()
        origin, tls = self._origin, self._tls
        context, name = (None, None) if tls is None else (tls.context, tls.name(origin.host))
        generation = 0 if tls is None else tls.generation
        try:
            async with asyncio.timeout(self._server.connect_seconds):
                _, connection = await loop.create_connection(
                    self._connection, origin.host, origin.port, ssl=context, server_hostname=name
                )
        except TimeoutError:
            raise Unreached("upstream does not accept a connection", 504) from None
        except ssl.SSLError as refused:  # before OSError, which it is: who reads the log has to know
            raise Unreached(f"upstream cannot be trusted: {_why(refused)}") from None
        except OSError:
            raise Unreached("upstream cannot be reached") from None
        connection.generation = generation
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
        if connection.reusable and len(self._idle) < _IDLE and not self._retired:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.close()

    def check(self, now: float) -> None:
        """Close what has been idle for long: the other side will do so too, and rather between two requests."""
        while self._idle and now - self._idle[0].idle_since > _IDLE_SECONDS:
            self._idle.pop(0).close()

    def retire(self) -> None:
        """Keep nothing any more: what is in use goes on to its end."""
        self._retired = True
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close everything."""
        for connection in tuple(self.connections):
            connection.close()

    def _forget(self, connection: UpstreamConnection) -> None:
        self.connections.discard(connection)
        if connection.idle and connection in self._idle:
            self._idle.remove(connection)


def _why(refused: ssl.SSLError) -> str:
    """Say what was wrong in OpenSSL's words, which are constant."""
    if isinstance(refused, ssl.SSLCertVerificationError):
        return refused.verify_message
    return refused.reason or "TLS"
