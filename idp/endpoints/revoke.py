"""POST /revoke (RFC 7009): a client gives back a token, and with a refresh token everything of its grant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from idp.clients import given_back
from idp.protocol.errors import InvalidGrant, InvalidRequest
from idp.store import grant
from idp.web.answer import NO_STORE
from idp.web.presented_token import AccessToken, access_token, find_refresh_token
from idp.web.server import presented
from idp.web.services import caller as address
from idp.web.services import services

if TYPE_CHECKING:
    from datetime import datetime

    from idp.clients.client import Client
    from idp.store.database import Session
    from idp.web.services import Services

blueprint = Blueprint("revoke", __name__)


@blueprint.post("/revoke")
def revoke() -> Response:
    """Answer a revocation request; an unknown token is as gone as can be (RFC 7009 section 2.2)."""
    held = services()
    now = held.clock()
    proof, values = presented(request)
    caller = held.client_authentication.authenticate(proof, now)
    if "token" not in values:
        raise InvalidRequest("token is missing")
    token = values["token"]
    found = access_token(held, token, now)
    with held.db.write() as tx:
        if found is not None:
            _revoke_access_token(tx, held, caller, found, now)
        else:
            _revoke_refresh_token(tx, held, caller, token, now)
    return Response(status=200, headers={"Cache-Control": NO_STORE})


def _revoke_access_token(tx: Session, held: Services, caller: Client, found: AccessToken, now: datetime) -> None:
    _refuse_foreign(found.client_id, caller)
    longest = max(held.settings.access_token_longest, held.settings.access_token_lifetime)
    alone = given_back.give_back(tx, found.claims, now, window=longest)
    event = "token.revoked" if alone else "token.revoked_with_others"
    held.audit.record(tx, event, client_id=caller.client_id, ip=address(), jti=str(found.claims["jti"]))


def _revoke_refresh_token(tx: Session, held: Services, caller: Client, token: str, now: datetime) -> None:
    row = find_refresh_token(tx, token)
    if row is None:
        return
    _refuse_foreign(row.client_id, caller)
    # RFC 7009 section 2.1: the access tokens of the same grant go too; so does every refresh token of the family.
    if grant.revoke(tx, row.grant_id, now, reason="revoked by the client"):
        held.audit.record(tx, "grant.revoked", client_id=caller.client_id, ip=address(), grant_id=row.grant_id)


def _refuse_foreign(owner: str, caller: Client) -> None:
    if owner != caller.client_id:
        raise InvalidGrant("the token was issued to another client")
