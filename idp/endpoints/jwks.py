"""GET /jwks (RFC 7517 section 5): the public keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, request

from idp.web.document import JSON, headers, serve
from idp.web.services import services

if TYPE_CHECKING:
    from flask import Response

    from idp.web.document import Source
    from idp.web.services import Services

blueprint = Blueprint("jwks", __name__)


@blueprint.get("/jwks")
def jwks() -> Response:
    """Answer with the published keys; caches may keep them half as long as a key is shown before it signs."""
    held = services()
    body, etag = held.keyring.jwks_document(held.clock())
    # RFC 7517 section 8.5.1 has a type of its own, but clients of today expect plain JSON.
    return serve(request, body, etag, content_type="application/json", max_age=_max_age(held))


def source(held: Services) -> Source:
    """Return where the bytes come from, for whoever needs nothing else of the application."""
    max_age = _max_age(held)

    def read() -> tuple[bytes, list[tuple[str, str]]]:
        body, etag = held.keyring.jwks_document(held.clock())
        return body, [JSON, *headers(etag, max_age)]

    return read


def _max_age(held: Services) -> int:
    return int(held.settings.publish_lead.total_seconds() / 2)
