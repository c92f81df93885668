"""Documents that rarely change: served as bytes, with an ETag, to everybody's cache (RFC 9110 section 8.8)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Request

    Source = Callable[[], tuple[bytes, list[tuple[str, str]]]]
    """Gives a document as it is now: its bytes, and `headers` with its Content-Type."""

JSON = ("Content-Type", "application/json")


def etag_of(body: bytes) -> str:
    """Return a strong ETag for these bytes."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def serve(request: Request, body: bytes, etag: str, *, content_type: str, max_age: int) -> Response:
    """Answer with the bytes, or with 304 to a cache that has them. Any page of any origin may read them."""
    told = headers(etag, max_age)
    known = request.environ.get("HTTP_IF_NONE_MATCH")
    if known is not None and request.if_none_match.contains_weak(etag.strip('"')):
        return Response(status=304, headers=told)
    return Response(body, headers=[("Content-Type", content_type), *told])


def headers(etag: str, max_age: int) -> list[tuple[str, str]]:
    """Say how long it may be kept, and by whom."""
    return [
        ("ETag", etag),
        ("Cache-Control", f"public, max-age={max_age}"),
        ("Access-Control-Allow-Origin", "*"),  # public by nature, and asked for without credentials
    ]
