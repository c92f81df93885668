"""POST /introspect (RFC 7662): is this token good, told to its own client and to the servers of its API.

Asked for `application/token-introspection+jwt`, the answer is signed (RFC 9701), so that whoever passes it on, or
keeps it, can show that it is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from idp.accounts import roles
from idp.jose.sign import sign
from idp.protocol.confirmation import token_type
from idp.protocol.errors import InvalidClient, InvalidRequest
from idp.store import grant, session
from idp.store import token as tokens
from idp.web.answer import NO_STORE, answer
from idp.web.presented_token import access_token, find_refresh_token
from idp.web.server import presented
from idp.web.services import services

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idp.clients.client import Client
    from idp.store.database import Session
    from idp.web.services import Services

blueprint = Blueprint("introspect", __name__)

SIGNED = "application/token-introspection+jwt"
SIGNED_TYP = "token-introspection+jwt"
# RFC 7662 section 2.2: one answer for expired, revoked, unknown and not yours: it tells nothing.
INACTIVE: Mapping[str, object] = {"active": False}
# Told as they stand in the token; the rest of it is between client and provider.
TOLD = (
    "iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope", "roles", "sid", "grant_id",
    "auth_time", "acr", "amr", "act", "may_act", "txn", "parents", "cnf",
)  # fmt: skip


@blueprint.post("/introspect")
def introspect() -> Response:
    """Answer an introspection request (RFC 7662 section 2.1)."""
    held = services()
    now = held.clock()
    proof, values = presented(request)
    caller = held.client_authentication.authenticate(proof, now)
    if caller.public:
        # RFC 7662 section 2.1: the endpoint must not be open to whoever knows a client_id.
        raise InvalidClient("client authentication failed", reason="public client")
    if "token" not in values:
        raise InvalidRequest("token is missing")
    state = _state(held, caller, values["token"], now)
    wanted = request.accept_mimetypes.best_match(("application/json", SIGNED))
    return _signed(held, caller, state, now) if wanted == SIGNED else answer(state)


def _signed(held: Services, caller: Client, state: Mapping[str, object], now: datetime) -> Response:
    """RFC 9701 section 5: for the asker alone; no sub and no exp outside, so that it passes for no other token."""
    told = {
        "iss": held.settings.issuer,
        "aud": caller.client_id,
        "iat": int(now.timestamp()),
        "token_introspection": state,
    }
    token = sign(told, held.keyring.signing(caller.id_token_alg, now), typ=SIGNED_TYP)
    return Response(token, headers={"Content-Type": SIGNED, "Cache-Control": NO_STORE})


def _state(held: Services, caller: Client, token: str, now: datetime) -> Mapping[str, object]:
    found = access_token(held, token, now)
    with held.db.read() as tx:
        if found is None:
            return _refresh_state(tx, caller, token, now)
        mine = found.client_id == caller.client_id or found.claims["aud"] in caller.serves
        # What gateways hear by `token-claims-change`, whoever asks hears here.
        if not mine or not tokens.is_live(tx, found.claims, now) or not roles.still_held(tx, found.claims):
            return INACTIVE
    told = {name: found.claims[name] for name in TOLD if name in found.claims}
    cnf = found.claims.get("cnf")
    return {"active": True, "token_type": token_type(cnf if isinstance(cnf, dict) else None), **told}


def _refresh_state(tx: Session, caller: Client, token: str, now: datetime) -> Mapping[str, object]:
    row = find_refresh_token(tx, token)
    if row is None or row.client_id != caller.client_id or row.used_at is not None or now >= row.idle_expires_at:
        return INACTIVE
    held = grant.find(tx, row.grant_id)
    if held is None or not held.live(now):
        return INACTIVE
    opened = session.find(tx, held.session_id) if held.session_id is not None else None
    if opened is not None and opened.ended_at is not None:
        return INACTIVE
    names = dict.fromkeys(name for names in row.scopes.values() for name in names)
    return {
        "active": True,
        "client_id": row.client_id,
        "sub": held.account_id,
        "scope": " ".join(names),
        "iat": int(row.created_at.timestamp()),
        "exp": int(min(row.idle_expires_at, held.expires_at).timestamp()),
    }
