"""What may go wrong with a server behind the gateway."""

from __future__ import annotations


class UpstreamError(Exception):
    """The server behind did not answer as it should. `status` is what the client hears."""

    def __init__(self, reason: str, status: int = 502, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after


class Unreached(UpstreamError):
    """No connection came about, so nobody has seen the request: another server may be tried."""


class Unheard(UpstreamError):
    """The connection was closed before a byte of an answer: what does no harm twice may be sent to another server."""


class Stale(Unheard):
    """An idle connection had been closed by the other side before it saw the request: another one may be tried."""
