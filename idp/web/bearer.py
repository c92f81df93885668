"""The token of a request and the answers of a protected resource (RFC 6750, RFC 9449 section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Response

from idp.jose import dpop
from idp.protocol import bearer
from idp.protocol.errors import InsufficientScope, InvalidDpopProof, UseDpopNonce
from idp.protocol.form import every
from idp.web import form
from idp.web.answer import NO_STORE, answer
from idp.web.proofs import NONCE
from idp.web.server import error_body

if TYPE_CHECKING:
    from flask import Request

    from idp.protocol.bearer import Credential
    from idp.protocol.errors import ProtocolError

REALM = "gatehouse"
CHALLENGE = "WWW-Authenticate"
ALGS: Final = " ".join(dpop.ALGS)
UNAUTHORIZED: Final = 401


def token_of(request: Request) -> Credential | None:
    """Return the one access token of a request: header, or body of a POSTed form. None if there is none."""
    # RFC 6750 section 2.3: a token in the query is not looked at, so that it never becomes a habit.
    header = request.headers.get("Authorization")
    # WSGI joins repeated headers with a comma, which no token contains.
    sent = header.split(",") if header is not None else []
    return bearer.read(sent, form=_in_body(request))


def ask() -> Response:
    """Ask for a token, in either way in which one may be sent (RFC 6750 section 3.1, RFC 9449 section 7.2)."""
    response = Response(status=UNAUTHORIZED, headers={"Cache-Control": NO_STORE})
    response.headers.add(CHALLENGE, bearer.challenge(realm=REALM))
    response.headers.add(CHALLENGE, bearer.challenge(scheme="DPoP", realm=REALM, algs=ALGS))
    return response


def challenge(error: ProtocolError, *, scope: str = "", proved: bool = False) -> Response:
    """Answer 401, 403 or 400 with the challenge that fits. `proved`: only with a proof will the token do."""
    proved = proved or isinstance(error, InvalidDpopProof | UseDpopNonce)
    # RFC 9449 section 7.1: at a resource a proof that will not do is 401; the errors are the token endpoint's too.
    status = UNAUTHORIZED if isinstance(error, InvalidDpopProof | UseDpopNonce) else error.status
    response = answer(error_body(error), status)
    needed = scope if isinstance(error, InsufficientScope) else ""
    response.headers[CHALLENGE] = bearer.challenge(
        scheme="DPoP" if proved else "Bearer",
        realm=REALM,
        error=error.error,
        description=error.description,
        scope=needed,
        algs=ALGS if proved else "",
    )
    if isinstance(error, UseDpopNonce):
        response.headers[NONCE] = error.nonce
    return response


def _in_body(request: Request) -> tuple[str, ...]:
    if request.method != "POST" or not form.is_form(request.environ.get("CONTENT_TYPE", "")):
        return ()
    return every(form.read(request), "access_token")
