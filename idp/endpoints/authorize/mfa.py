"""Step: a code from the authenticator app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, request

from idp.accounts import totp
from idp.accounts.totp import LABEL, Outcome
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

blueprint: Final = Blueprint("mfa", __name__)

ERRORS: Final = {
    Outcome.WRONG: {
        "title": "That is not the code",
        "text": "Type the six digits the app shows now. If it goes on, check that the clock of your phone is right.",
    },
    Outcome.USED: {"title": "This code has been used", "text": "Each code works once. Wait for the next one."},
    Outcome.LOCKED: {
        "title": "Codes from the app no longer work",
        "text": "There were too many wrong ones. Use a recovery code, or ask the people who run this service.",
    },
}


@blueprint.get("/mfa")
def show() -> Response:
    """Ask for a code."""
    return _page(visits.at(Step.SECOND_FACTOR))


@blueprint.post("/mfa")
def submit() -> ResponseReturnValue:
    """Check the code and use it up; on success the session has a new secret (LG19)."""
    visit = visits.at(Step.SECOND_FACTOR)
    here = second_factor.person(visit)
    typed = request.form.get("otp", "")
    with services().db.write() as tx:
        outcome = totp.check(
            tx,
            services().sealer,
            here.account.id,
            typed=typed,
            now=visit.now,
            limit=services().settings.totp_failures,
        )
        event = "mfa.accepted" if outcome is Outcome.ACCEPTED else "mfa.refused"
        services().audit.record(
            tx,
            event,
            account_id=here.account.id,
            client_id=visit.client.client_id,
            ip=caller(),
            outcome=outcome.value,
        )
        opened = services().sessions.step_up(tx, here.session) if outcome is Outcome.ACCEPTED else None
    metrics.signin("totp", outcome.value)
    if outcome is not Outcome.ACCEPTED:
        return _page(visit, ERRORS[outcome], 400)
    return second_factor.onward(visit, opened)


def _page(visit: Visit, error: dict[str, str] | None = None, status: int = 200) -> Response:
    return page(
        "authorize/mfa.html",
        status,
        form_to=visit.request.redirect_uri,
        action=visit.url(Step.SECOND_FACTOR),
        label=LABEL,
        error=error,
        recovery_url=second_factor.recovery_url(visit),
    )
