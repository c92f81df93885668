"""Asking an issuer something by POST: one connection that is kept, whole within seconds, or not at all."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from idp.gateway.fetch import SECONDS, FetchError

LARGEST: Final = 1_048_576
_OK: Final = 200
_REFUSED: Final = frozenset({400, 401, 403})
# What a connection says that the other side had closed while nobody looked.
_STALE: Final = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class Stale(FetchError):
    """A connection that had been idle was closed by the other side: nobody knows whether it heard the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer, whatever it is. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Caller:
    """One connection to one issuer, for one thread at a time."""

    def __init__(self, ca_file: Path | None = None, *, seconds: float = SECONDS) -> None:
        self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seconds = seconds
        self._connection: http.client.HTTPConnection | None = None
        self._origin = ("", "")

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Send a body and give the answer's. What is sent may arrive twice: it must do no harm."""
        try:
            said = self.send(url, body, headers)
        except Stale:
            said = self.send(url, body, headers)
        if said.status in _REFUSED:
            raise FetchError("issuer refuses the gateway")
        if said.status != _OK:
            raise FetchError("issuer answers with another status")
        return said.body

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Said:
        """Send a body once, and give whatever is answered. Stale: what counts only once is to be made anew."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if self._origin != (parts.scheme, parts.netloc):
            self.close()
            self._origin = (parts.scheme, parts.netloc)
        used = self._connection is not None
        try:
            return self._within(target, body, headers)
        except _STALE:
            self.close()
            raise (Stale if used else FetchError)("issuer cannot be reached") from None
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            raise FetchError("issuer cannot be reached") from None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        scheme, netloc = self._origin
        parts = urlsplit(f"{scheme}://{netloc}")
        host = parts.hostname or ""
        if scheme == "https":
            return http.client.HTTPSConnection(host, parts.port, timeout=self._seconds, context=self._context)
        return http.client.HTTPConnection(host, parts.port, timeout=self._seconds)

    def _within(self, target: str, body: bytes, headers: Mapping[str, str]) -> Said:
        """Bound the whole exchange, as `fetch` does."""
        connection = self._connection = self._connection or self._open()
        watch = threading.Timer(self._seconds, _cut, [connection])
        watch.daemon = True
        watch.start()
        try:
            connection.request("POST", target, body=body, headers={"Accept": "application/json", **headers})
            answer = connection.getresponse()
            read = answer.read(LARGEST)
        finally:
            watch.cancel()
        if answer.length:  # too long, or ended early: http.client returns what came
            raise http.client.IncompleteRead(read)
        if answer.will_close:
            self.close()
        return Said(
            status=answer.status, headers={name.lower(): value for name, value in answer.headers.items()}, body=read
        )


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(2)
