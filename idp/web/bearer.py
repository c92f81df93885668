"""The token of a request and the answers of a protected resource (RFC 6750)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

from idp.protocol import bearer
from idp.protocol.errors import InsufficientScope
from idp.protocol.form import every
from idp.web import form
from idp.web.answer import NO_STORE, answer
from idp.web.server import error_body

if TYPE_CHECKING:
    from flask import Request

    from idp.protocol.errors import ProtocolError

REALM = "gatehouse"


def token_of(request: Request) -> str | None:
    """Return the one access token of a request: header, or body of a POSTed form. None if there is none."""
    # RFC 6750 section 2.3: a token in the query is not looked at, so that it never becomes a habit.
    header = request.headers.get("Authorization")
    # WSGI joins repeated headers with a comma, which no token contains.
    sent = header.split(",") if header is not None else []
    return bearer.read(sent, form=_in_body(request))


def challenge(error: ProtocolError | None = None, *, scope: str = "") -> Response:
    """Answer 401, 403 or 400 with the challenge that fits; without an error it only asks (section 3.1)."""
    if error is None:
        response = Response(status=401)
        response.headers["WWW-Authenticate"] = bearer.challenge(realm=REALM)
    else:
        response = answer(error_body(error), error.status)
        needed = scope if isinstance(error, InsufficientScope) else ""
        response.headers["WWW-Authenticate"] = bearer.challenge(
            realm=REALM, error=error.error, description=error.description, scope=needed
        )
    response.headers["Cache-Control"] = NO_STORE
    return response


def _in_body(request: Request) -> tuple[str, ...]:
    if request.method != "POST" or not form.is_form(request.environ.get("CONTENT_TYPE", "")):
        return ()
    return every(form.read(request), "access_token")
