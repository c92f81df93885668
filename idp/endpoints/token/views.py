"""POST /token."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import Blueprint

from idp.web.services import services

if TYPE_CHECKING:
    from flask import Response

blueprint = Blueprint("token", __name__)


@blueprint.post("/token")
def token() -> Response:
    """Answer a token request (RFC 6749 section 3.2)."""
    return cast("Response", services().server.create_token_response())
