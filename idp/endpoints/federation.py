"""Another provider's word that somebody signed out there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from flask import Blueprint, Response, request

from idp.federation.connector import NotSignedIn, Outcome
from idp.federation.oidc import Oidc
from idp.protocol import form as parameters
from idp.protocol.errors import InvalidRequest, TemporarilyUnavailable
from idp.store import upstream_session, used_jti
from idp.store.digests import digest
from idp.web import form, metrics
from idp.web.answer import NO_STORE
from idp.web.services import caller, services

blueprint: Final = Blueprint("federation", __name__)

SIGNED_OUT: Final = "/federation/signed-out"


@blueprint.post(f"{SIGNED_OUT}/<name>")
def signed_out(name: str) -> Response:
    """End the sessions that a logout token is about (OpenID Connect Back-Channel Logout section 2.5)."""
    ended = _end(name, parameters.single(form.read(request)).get("logout_token", ""))
    metrics.signin("logout", "elsewhere" if ended else "nobody")
    return Response(status=200, headers={"Cache-Control": NO_STORE})


def _end(name: str, token: str) -> int:
    now = services().clock()
    ready = services().connectors.find(name, now)
    if ready is None or not isinstance(ready.connector, Oidc):
        raise InvalidRequest("no such connector")
    try:
        over = ready.connector.signed_out(token)
    except NotSignedIn as wrong:
        if wrong.outcome is Outcome.UNAVAILABLE:
            raise TemporarilyUnavailable("the keys cannot be had now", reason=wrong.code) from None
        raise InvalidRequest("the logout token is not believed", reason=wrong.code) from None
    with services().db.write() as tx:
        key = digest(f"logout {ready.id} {over.jti}").hex()
        if not used_jti.claim_proof(tx, key, datetime.fromtimestamp(over.expires, UTC), now):
            raise InvalidRequest("the logout token was used before")
        found = upstream_session.open_ones(tx, ready.id, external_id=over.external_id, sid=over.sid)
        for session_id, account_id in found:
            services().sessions.end(tx, session_id, now, reason="signed out elsewhere")
            services().audit.record(
                tx, "session.ended", account_id=account_id, ip=caller(), session_id=session_id, connector=ready.name
            )
    return len(found)
