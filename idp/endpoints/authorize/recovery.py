"""The second factor's other page: a recovery code instead of the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, request

from idp.accounts import recovery
from idp.endpoints.authorize import second_factor
from idp.endpoints.authorize import visit as visits
from idp.endpoints.authorize.flow import Step
from idp.web import metrics
from idp.web.pages import page
from idp.web.services import caller, services

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.endpoints.authorize.visit import Visit

blueprint: Final = Blueprint("recovery", __name__)

NO_MATCH: Final = {
    "title": "That is not one of your open codes",
    "text": "Each code works once. Check it letter by letter, or take the next one.",
}


@blueprint.get("/mfa/recovery")
def show() -> Response:
    """Ask for a recovery code."""
    return _page(visits.at(Step.SECOND_FACTOR))


@blueprint.post("/mfa/recovery")
def submit() -> ResponseReturnValue:
    """Use a recovery code up; on success the session has a new secret (LG19)."""
    visit = visits.at(Step.SECOND_FACTOR)
    here = second_factor.person(visit)
    with services().db.write() as tx:
        used = recovery.use(tx, here.account.id, request.form.get("recovery-code", ""), visit.now)
        services().audit.record(
            tx,
            "recovery.used" if used else "recovery.refused",
            account_id=here.account.id,
            client_id=visit.client.client_id,
            ip=caller(),
            left=recovery.left(tx, here.account.id),
        )
        opened = services().sessions.step_up(tx, here.session) if used else None
    metrics.signin("recovery", "accepted" if used else "refused")
    if not used:
        return _page(visit, NO_MATCH, 400)
    return second_factor.onward(visit, opened)


def _page(visit: Visit, error: dict[str, str] | None = None, status: int = 200) -> Response:
    return page(
        "authorize/recovery.html",
        status,
        form_to=visit.request.redirect_uri,
        action=second_factor.recovery_url(visit),
        error=error,
        mfa_url=visit.url(Step.SECOND_FACTOR),
    )
