"""GET and POST /userinfo (OpenID Connect Core section 5.3): who the person is, to whoever holds their token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, request

from idp.accounts import person
from idp.jose.strict import JoseError
from idp.protocol import claims
from idp.protocol.claims import ClaimsRequest
from idp.protocol.errors import InsufficientScope, InvalidDpopProof, InvalidRequest, InvalidToken, UseDpopNonce
from idp.protocol.scope import OPENID
from idp.store import account, grant
from idp.store import token as tokens
from idp.web import holder, metrics, proofs
from idp.web.answer import answer
from idp.web.bearer import ask, challenge, token_of
from idp.web.presented_token import claims_of
from idp.web.services import services

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Response

    from idp.protocol.bearer import Credential
    from idp.web.services import Services

blueprint = Blueprint("userinfo", __name__)


@blueprint.route("/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    """Answer with the person's claims, or with the challenge that says what is missing (RFC 6750 section 3)."""
    credential = None
    try:
        credential = token_of(request)
        return ask() if credential is None else _answer(credential)
    except (InvalidRequest, InvalidToken, InsufficientScope, InvalidDpopProof, UseDpopNonce) as refusal:
        metrics.refused(request.endpoint, refusal.error)
        proved = isinstance(refusal, holder.Unproved) or (credential is not None and credential.dpop)
        return challenge(refusal, scope=OPENID, proved=proved)


def _answer(credential: Credential) -> Response:
    held = services()
    now = held.clock()
    response = answer(_told(held, credential, now))
    if credential.dpop:
        for name, value in held.proofs.told(now):
            response.headers[name] = value
    return response


def _told(held: Services, credential: Credential, now: datetime) -> dict[str, object]:
    try:
        found = claims_of(held, credential.token, now, audiences=frozenset({held.settings.issuer}))
    except JoseError as error:
        raise InvalidToken("the access token is not valid here", reason=error.reason) from None
    proof = holder.check(held, request, credential, found, now)
    scopes = str(found.get("scope", "")).split()
    with held.db.read() as tx:
        if not tokens.is_live(tx, found, now):
            raise InvalidToken("the access token has ended")
        # A person's token names its grant; a service's own token tells of nobody.
        held_grant = grant.find(tx, str(found.get("grant_id", "")))
        if OPENID not in scopes or held_grant is None:
            raise InsufficientScope("the access token is without openid")
        owner = account.find(tx, held_grant.account_id)
    if owner is None:
        raise InvalidToken("the access token has ended")
    if proof is not None:
        with held.db.write() as tx:
            proofs.spend(tx, proof, now)
    asked = ClaimsRequest.from_json(held_grant.claims)
    # OpenID Connect Core section 5.3.2: sub always, and it is the ID token's.
    return {"sub": owner.id, **claims.for_userinfo(person.claims(owner), scopes=scopes, asked=asked)}
