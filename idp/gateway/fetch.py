"""One document from an issuer over HTTP: whole within three seconds, small, from that very address, or not at all."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 3.0
LARGEST: Final = 262_144
_OK: Final = 200
_NOT_MODIFIED: Final = 304


class FetchError(Exception):
    """Nothing usable came. `reason` is constant and for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer. `body` is None when it has not changed since `etag`."""

    body: bytes | None
    etag: str | None
    max_age: float | None
    date: float | None


Fetch = Callable[[str, str | None], Fetched]


def fetcher(ca_file: Path | None = None, *, seconds: float = SECONDS) -> Fetch:
    """Make the function that fetches. Redirects are an error: the address is the identity (RFC 8414 section 3)."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def fetch(url: str, etag: str | None) -> Fetched:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=seconds, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
        return _within(connection, parts.path or "/", etag, seconds)

    return fetch


def _within(connection: http.client.HTTPConnection, path: str, etag: str | None, seconds: float) -> Fetched:
    """Bound the whole exchange: a timeout of the socket alone would let a drop every two seconds go on for ever."""
    watch = threading.Timer(seconds, _cut, [connection])
    watch.daemon = True
    watch.start()
    try:
        connection.connect()
        if not watch.is_alive():  # spent while connecting, before there was anything to cut
            raise FetchError("issuer cannot be reached")
        return _exchange(connection, path, etag)
    except (OSError, http.client.HTTPException, ValueError):
        raise FetchError("issuer cannot be reached") from None
    finally:
        watch.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(2)
        except OSError:
            return


def _exchange(connection: http.client.HTTPConnection, path: str, etag: str | None) -> Fetched:
    headers = {"Accept": "application/json", "Connection": "close"} | ({"If-None-Match": etag} if etag else {})
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    max_age = _max_age(answer.headers.get("Cache-Control", ""))
    date = _date(answer.headers.get("Date"))
    if answer.status == _NOT_MODIFIED and etag:
        return Fetched(body=None, etag=etag, max_age=max_age, date=date)
    if answer.status != _OK:
        raise FetchError("issuer answers with another status")
    body = answer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise FetchError("issuer sends too much")
    if answer.length:  # http.client returns what came when the connection ends early
        raise FetchError("issuer stops in the middle")
    return Fetched(body=body, etag=answer.headers.get("ETag"), max_age=max_age, date=date)


def _max_age(cache_control: str) -> float | None:
    for part in cache_control.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name == "max-age" and value.isascii() and value.isdecimal():
            return float(value[:9])
    return None


def _date(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError):
        return None
