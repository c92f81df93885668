"""Whether whoever brings a token is the one it is bound to (RFC 9449 section 7, RFC 8705 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.protocol import client_certificate
from idp.protocol.confirmation import Bound, Unconfirmable
from idp.protocol.errors import InvalidDpopProof, InvalidToken
from idp.web.proofs import HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flask import Request

    from idp.jose.dpop import Proof
    from idp.protocol.bearer import Credential
    from idp.web.services import Services

_TEXT: Final = "the access token is not valid here"


class Unproved(InvalidToken):
    """The token is for the holder of a key, and that was not shown; the way to show it is told."""


def check(
    held: Services, request: Request, credential: Credential, claims: Mapping[str, object], now: datetime
) -> Proof | None:
    """Return the proof that is left to be used up, None when the token needs none, or refuse."""
    try:
        bound = Bound.read(claims.get("cnf")) or Bound()
    except Unconfirmable:
        raise InvalidToken(_TEXT, reason="bound to something unknown") from None
    if bound.x5t is not None:
        certificate = held.client_certificate(request.environ)
        if certificate is None or client_certificate.thumbprint(certificate) != bound.x5t:
            raise InvalidToken(_TEXT, reason="bound to another certificate")
    if credential.dpop is not (bound.jkt is not None):
        raise Unproved(_TEXT, reason="the scheme is not the one of this token")
    if bound.jkt is None:
        return None
    given, token = request.environ.get(HEADER), credential.token
    proof = held.proofs.check(given, method=request.method, path=request.path, now=now, access_token=token)
    if proof is None:
        raise InvalidDpopProof("the DPoP proof is missing")
    if proof.jkt != bound.jkt:
        raise Unproved(_TEXT, reason="bound to another key")
    return proof
