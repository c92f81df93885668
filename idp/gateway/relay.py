"""The body of a request on its way to the server behind, and the answer on its way back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from idp.gateway.answers import Headers
from idp.gateway.server.exchange import Receive, Send
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.errors import UpstreamError

_CHUNK_END: Final = b"0\r\n\r\n"


class TooLarge(Exception):
    """The body has grown past the limit of its route."""


class Gone(Exception):
    """The client left."""


class Relay:
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

    async def both(self, connection: UpstreamConnection, send: Send, told: Headers) -> None:
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
            await answer(connection, send, told)
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
            body, more = await next_piece(self._receive)
            await connection.write(self.framed(body, last=not more))


async def answer(connection: UpstreamConnection, send: Send, told: Headers) -> None:
    """Pass the answer on as it comes, with what the gate has to say about it."""
    await connection.answered()
    headers = [*connection.headers, *told] if told else connection.headers
    await send({"status": connection.status, "headers": headers, "dated": connection.dated})
    body = connection.take()
    while not connection.complete:
        await send({"body": body, "more_body": True})
        body = await connection.read()
    await send({"body": body + connection.take()})


async def next_piece(receive: Receive) -> tuple[bytes, bool]:
    """Wait for a piece of the body, and say whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message["body"], message["more_body"]
