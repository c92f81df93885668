"""Step: whether somebody from elsewhere is the account that has just signed in here, second factor and all (FD12).

`flow.next_step` names this step only after a password of this very sign-in, and only when whoever has a second factor
has shown it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, abort, redirect, request

from idp.accounts import federated, on_the_way
from idp.accounts.federated import NotWelcome, Taken
from idp.endpoints.authorize import second_factor
from idp.endpoints.authorize import visit as visits
from idp.endpoints.authorize.flow import Step
from idp.store import handshake, signin
from idp.web import elsewhere, metrics
from idp.web.pages import page
from idp.web.services import caller, services

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.accounts.connectors import Ready
    from idp.accounts.on_the_way import Waiting
    from idp.endpoints.authorize.visit import Visit

blueprint: Final = Blueprint("link", __name__)


@blueprint.get(Step.LINK)
def ask() -> Response:
    """Say who would be linked to which account."""
    visit = visits.at(Step.LINK)
    ready, waiting = _waiting(visit)
    return _page(visit, ready, waiting)


@blueprint.post(Step.LINK)
def decide() -> ResponseReturnValue:
    """Link, or do not; either way the question has been answered."""
    visit = visits.at(Step.LINK)
    ready, waiting = _waiting(visit)
    here = second_factor.person(visit)
    yes = "link-allow" in request.form
    if not yes and "link-deny" not in request.form:
        return redirect(visit.url(Step.LINK), 303)
    try:
        with services().db.write() as tx:
            if not handshake.forget(tx, waiting.handshake_id):
                return visits.onward(visit.signin.id)  # of two answers one counts
            if yes:
                federated.link(tx, ready, waiting.who, here.account, visit.now)
            signin.change(tx, visit.signin.id, visit.now, link_waits=None)
            services().audit.record(
                tx,
                "identity.linked" if yes else "identity.link_refused",
                account_id=here.account.id,
                client_id=visit.client.client_id,
                ip=caller(),
                connector=ready.name,
            )
    except Taken:
        return _page(visit, ready, waiting, elsewhere.TAKEN, 400)
    except NotWelcome as refusal:  # the connector has changed since
        return _page(visit, ready, waiting, elsewhere.words(refusal.why, ready.label), 403)
    metrics.signin("link", "allowed" if yes else "denied")
    return visits.onward(visit.signin.id)


def _waiting(visit: Visit) -> tuple[Ready, Waiting]:
    """Return who waits; when nobody does any more, go on without."""
    with services().db.read() as tx:
        waiting = on_the_way.waiting(tx, services().sealer, visit.now, signin_id=visit.signin.id)
    live = services().connectors.all(visit.now)
    ready = next((each for each in live if waiting is not None and each.id == waiting.connector_id), None)
    if waiting is None or ready is None:
        with services().db.write() as tx:
            signin.change(tx, visit.signin.id, visit.now, link_waits=None)
        abort(visits.onward(visit.signin.id))
    return ready, waiting


def _page(
    visit: Visit, ready: Ready, waiting: Waiting, error: dict[str, str] | None = None, status: int = 200
) -> Response:
    who = waiting.who
    return page(
        "authorize/link.html",
        status,
        form_to=visit.request.redirect_uri,
        action=visit.url(Step.LINK),
        label=ready.label,
        there=who.email or who.username,
        username=second_factor.person(visit).account.username,
        error=error,
    )
