"""Step: a first authenticator app, inside the sign-in that demands one, within five minutes of the password (LG17).

`flow.next_step` keeps that rule: it names this step only then, and never for an account that has a factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, request
from markupsafe import Markup

from idp.accounts import recovery, totp
from idp.endpoints.authorize import second_factor
from idp.endpoints.authorize import visit as visits
from idp.endpoints.authorize.flow import Step
from idp.web import cookies
from idp.web.pages import page
from idp.web.services import caller, services

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.accounts.totp import Enrolment
    from idp.endpoints.authorize.visit import Visit

blueprint: Final = Blueprint("enrol", __name__)

NO_MATCH: Final = {
    "title": "That is not the code",
    "text": "Type the six digits the app shows now. If it goes on, check that the clock of your phone is right.",
}


@blueprint.get("/mfa/enrol")
def show() -> Response:
    """Offer a seed as picture and as text."""
    visit = visits.at(Step.ENROL)
    return _page(visit, _offer(visit))


@blueprint.post("/mfa/enrol")
def submit() -> ResponseReturnValue:
    """Keep the seed once a code proves that the app has it, and show the recovery codes, once."""
    visit = visits.at(Step.ENROL)
    here, offer = second_factor.person(visit), _offer(visit)
    with services().db.write() as tx:
        kept = totp.confirm(
            tx,
            services().sealer,
            here.account.id,
            enrolment=offer,
            typed=request.form.get("otp", ""),
            now=visit.now,
        )
        codes = recovery.issue(tx, here.account.id, visit.now) if kept else []
        opened = services().sessions.step_up(tx, here.session) if kept else None
        services().audit.record(
            tx,
            "totp.enrolled" if kept else "totp.refused",
            account_id=here.account.id,
            client_id=visit.client.client_id,
            ip=caller(),
        )
    if not kept:
        return _page(visit, offer, NO_MATCH, 400)
    response = page("authorize/recovery_codes.html", codes=codes, continue_url=visit.url())
    if opened is not None:
        cookies.set_session(response, opened.secret)
    return response


def _offer(visit: Visit) -> Enrolment:
    parts, here = services(), second_factor.person(visit)
    return totp.begin(
        parts.sealer,
        signin_id=visit.signin.id,
        account_id=here.account.id,
        username=here.account.username,
        issuer_name=parts.settings.name,
    )


def _page(visit: Visit, offer: Enrolment, error: dict[str, str] | None = None, status: int = 200) -> Response:
    return page(
        "authorize/enrol.html",
        status,
        form_to=visit.request.redirect_uri,
        action=visit.url(Step.ENROL),
        qr_svg=Markup(offer.svg),  # noqa: S704 - drawn by segno from our own seed; its text is not in the markup
        secret=offer.grouped,
        issuer_name=services().settings.name,
        error=error,
    )
