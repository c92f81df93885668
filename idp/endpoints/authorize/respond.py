"""The end of a sign-in: a code, or a refusal, on its way back to the app (RFC 6749 section 4.1.2, RFC 9207)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.endpoints.authorize import answer, flow
from idp.endpoints.authorize.visit import Ended
from idp.protocol import scope
from idp.store import code, grant, session, signin
from idp.store.digests import digest, new_secret
from idp.web import metrics, refused
from idp.web.pages import page
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask import Response

    from idp.accounts.sessions import Current
    from idp.endpoints.authorize.entry import Refused
    from idp.endpoints.authorize.visit import Glance
    from idp.protocol.errors import ProtocolError
    from idp.store.database import Session
    from idp.web.answer import Answer

# For people, by error; each says what happened and what to do.
WORDS = {
    "ended": (
        "This sign-in is over",
        "It was completed, or it waited too long. Go back to the app and begin again.",
    ),
    "target": (
        "This link does not belong to an app we know",
        "The app sent you here with an address that is not registered. If it happens again, tell its makers.",
    ),
    "request": (
        "The app asked in a way we do not understand",
        "Nothing was shared. Go back to the app; if it happens again, tell its makers.",
    ),
}


def issue(visit: Glance, here: Current, *, signin_id: str | None = None) -> Answer:
    """Claim the end of the sign-in, if one had to begin, and send a code (RFC 6749 section 4.1.2)."""
    secret = new_secret()
    with services().db.write() as tx:
        # Claim first: of two tabs that both come to the end, one gets a code.
        if signin_id is not None and signin.finish(tx, signin_id, visit.now) is None:
            raise Ended("this sign-in has ended")
        # Held until the commit: whoever signs out at this moment ends what is given here as well (LG23).
        if session.hold(tx, here.session.id, visit.now) is None:
            raise Ended("this sign-in has ended", reason="signed out meanwhile")
        _write_code(tx, visit, here, secret)
    metrics.authorized()
    return answer.back(visit.request.redirect_uri, visit.request.state, [("code", secret)])


def _write_code(tx: Session, visit: Glance, here: Current, secret: str) -> None:
    settings, request, held = services().settings, visit.request, here.session
    claims = request.claims.to_json()
    made = grant.create(
        tx,
        account_id=here.account.id,
        client_id=visit.client.client_id,
        session_id=held.id,
        scopes={audience: list(names) for audience, names in visit.scopes.items()},
        claims=claims,
        auth_time=held.auth_time,
        acr=flow.told_acr(request, held.acr),
        amr=list(held.amr),
        now=visit.now,
        expires_at=visit.now + settings.refresh_absolute,
    )
    code.create(
        tx,
        code_hash=digest(secret),
        grant_id=made.id,
        client_id=visit.client.client_id,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        dpop_jkt=request.dpop_jkt,
        nonce=request.nonce,
        resources=sorted(request.targets()),
        claims=claims,
        now=visit.now,
        expires_at=visit.now + settings.code_lifetime,
    )
    services().audit.record(
        tx,
        "code.issued",
        account_id=here.account.id,
        client_id=visit.client.client_id,
        ip=caller(),
        grant_id=made.id,
        scope=scope.render(scope.flatten(visit.scopes)),
    )


def refuse_on_page(refusal: ProtocolError, client_id: str | None) -> Response:
    """Tell the person, and the operator by a support id, what has nowhere to go."""
    refused.note(refusal.error, refusal.reason or refusal.description, client_id=client_id)
    return error_page("target", refusal)


def refuse_entry(entry: Refused) -> Response | Answer:
    """Tell the app at its registered address that it asked wrongly."""
    refusal, target, client = entry.refusal, entry.target, entry.client
    # RFC 9700 section 4.11.2: nobody reviewed this client, so its error must not be a way to any site at one click.
    shown = not client.reviewed and not entry.silent
    refused.note(refusal.error, refusal.reason or refusal.description, shown=shown, client_id=client.client_id)
    address = answer.location(target.redirect_uri, target.state, answer.error_members(refusal))
    if shown:
        return error_page("request", refusal, link={"href": address, "text": "Back to the app"})
    return answer.leave(address)


def error_page(
    words: str, refusal: ProtocolError, *, status: int = 400, link: dict[str, str] | None = None
) -> Response:
    """Render the page of an error that must not, or should not at once, go back to an address."""
    title, text = WORDS[words]
    return page(
        "authorize/error.html",
        status,
        title=title,
        text=text,
        support_id=support_id(),
        error=refusal.error,
        link=link,
    )
