"""How a connection of a client ends: with a reason, and so that the client hears it."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from idp.gateway.server.exchange import STATUS_LINES

FOREVER: Final = float("inf")
_LINGER_SECONDS: Final = 2.0


class Parting(HttpToolsProtocol):
    """What uvicorn gives, with a deadline and an end in two steps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deadline = FOREVER
        self.lingering = False
        self._dated: list[tuple[bytes, bytes]] = []
        self._date = b""

    def say(self, status: int) -> None:
        """Answer with a bare status, and end."""
        self.transport.write(
            STATUS_LINES[status]
            + self.date
            + b"content-length: 0\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.linger()

    def linger(self) -> None:
        """Close in two steps: a client still sending would lose the answer to a reset (RFC 9112 section 9.6)."""
        if self.transport.is_closing() or self.lingering:
            return
        self.lingering = True
        self.deadline = self.loop.time() + _LINGER_SECONDS
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    @property
    def date(self) -> bytes:
        """The Date header as uvicorn keeps it, once a second (RFC 9110 section 6.6.1)."""
        headers = self.server_state.default_headers
        if headers is not self._dated:
            self._dated = headers
            self._date = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return self._date
