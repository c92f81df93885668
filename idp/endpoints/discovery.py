"""The two metadata documents, made once (OpenID Connect Discovery section 4, RFC 8414 section 3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from flask import Blueprint, request

from idp.protocol import metadata
from idp.web.document import JSON, etag_of, headers, serve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Response

    from idp.protocol.metadata import ServerFacts
    from idp.web.document import Source

OPENID: Final = "/.well-known/openid-configuration"
OAUTH: Final = "/.well-known/oauth-authorization-server"
MAX_AGE: Final = 3600


def blueprint(facts: ServerFacts) -> Blueprint:
    """Return the endpoints for these facts; `idp.app` gathers them from the registries that enforce them."""
    made = Blueprint("discovery", __name__)
    openid, oauth = _bytes(metadata.openid(facts)), _bytes(metadata.oauth(facts))
    openid_etag, oauth_etag = etag_of(openid), etag_of(oauth)

    @made.get(OPENID)
    def openid_configuration() -> Response:
        return serve(request, openid, openid_etag, content_type="application/json", max_age=MAX_AGE)

    @made.get(OAUTH)
    def oauth_authorization_server() -> Response:
        return serve(request, oauth, oauth_etag, content_type="application/json", max_age=MAX_AGE)

    return made


def sources(facts: ServerFacts) -> dict[str, Source]:
    """Return where the bytes come from, by path, for whoever needs nothing else of the application."""
    openid, oauth = _bytes(metadata.openid(facts)), _bytes(metadata.oauth(facts))
    return {OPENID: _source(openid), OAUTH: _source(oauth)}


def _source(body: bytes) -> Source:
    told = [JSON, *headers(etag_of(body), MAX_AGE)]
    return lambda: (body, told)


def _bytes(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")
