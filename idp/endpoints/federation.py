"""Around sign-in elsewhere: the ways into one's account, and another provider's word that somebody signed out there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, redirect, request

from idp.accounts import federated
from idp.federation.connector import NotSignedIn, Outcome
from idp.federation.oidc import Oidc
from idp.protocol import acr
from idp.protocol import form as parameters
from idp.protocol.errors import InvalidRequest, TemporarilyUnavailable
from idp.store import account as accounts
from idp.store import connector as connectors
from idp.store import identity, totp, upstream_session, used_jti
from idp.store.digests import digest
from idp.web import cookies, form, metrics
from idp.web.answer import NO_STORE
from idp.web.pages import page
from idp.web.services import caller, services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from idp.accounts.sessions import Current

blueprint: Final = Blueprint("federation", __name__)

SIGNED_OUT: Final = "/federation/signed-out"
WAYS: Final = "/account/ways-in"
RECENT: Final = timedelta(minutes=10)  # a way in is taken away only by whoever has just signed in


@blueprint.get(WAYS)
def ways() -> Response:
    """Show by which other providers one signs in to one's account."""
    here = services().sessions.current(cookies.session_secret(request), services().clock())
    if here is None:
        return page("account/ways.html", 401, username=None, ways=[], locked=None)
    return _page(here)


@blueprint.post(WAYS)
def unlink() -> ResponseReturnValue:
    """Take a way in away, never the last one."""
    now = services().clock()
    here = services().sessions.current(cookies.session_secret(request), now)
    if here is None or not _proven(here, now):
        return redirect(WAYS, 303)
    wanted = request.form.get("unlink", "")
    with services().db.write() as tx:
        account = accounts.hold(tx, here.account.id)
        mine = [each for each in identity.of_account(tx, here.account.id) if each.id == wanted]
        gone = bool(account and mine and federated.may_unlink(tx, account))
        if gone:
            identity.unlink(tx, wanted)
        services().audit.record(
            tx, "identity.unlinked" if gone else "identity.kept", account_id=here.account.id, ip=caller()
        )
    metrics.signin("unlink", "done" if gone else "refused")
    return redirect(WAYS, 303) if gone or not mine else _page(here, 409)


def _page(here: Current, status: int = 200) -> Response:
    now = services().clock()
    with services().db.read() as tx:
        labels = {each.id: each.label for each in connectors.listing(tx)}
        held = identity.of_account(tx, here.account.id)
        last = not federated.may_unlink(tx, here.account)
    shown = [
        {"id": each.id, "label": labels[each.connector_id], "there": each.email or each.username, "last": last}
        for each in held
    ]
    locked = None if _proven(here, now) else "Sign in again to change them: it has been a while."
    return page(
        "account/ways.html",
        status,
        username=here.account.username,
        ways=shown,
        password=here.account.password_hash is not None,
        locked=locked,
        action=WAYS,
    )


def _proven(here: Current, now: datetime) -> bool:
    """Say whether this person signed in a moment ago, with the second factor if there is one (LG16, LG17)."""
    if now - here.session.auth_time > RECENT:
        return False
    with services().db.read() as tx:
        has_factor = totp.has_confirmed(tx, here.account.id)
    return not has_factor or acr.meets(here.session.acr, acr.AAL2)


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
