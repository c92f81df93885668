"""What the steps of a second factor share: who is here, and how a raised session goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import abort, redirect

from idp.endpoints.authorize import visit as visits
from idp.web import cookies

if TYPE_CHECKING:
    from flask import Response

    from idp.accounts.sessions import Current, Opened
    from idp.endpoints.authorize.visit import Visit

RECOVERY: Final = "/mfa/recovery"


def person(visit: Visit) -> Current:
    """Return who is signed in; these steps have their turn only when somebody is."""
    if visit.here is None:
        abort(redirect(visit.url(), 303))
    return visit.here


def recovery_url(visit: Visit) -> str:
    """Write the address of the way around a lost authenticator: another page of the same step."""
    return f"{RECOVERY}?signin={visit.signin.id}"


def onward(visit: Visit, opened: Opened | None) -> Response:
    """Go to the dispatcher, with the new secret if the session was still there to be raised."""
    response = visits.onward(visit.signin.id)
    if opened is not None:
        cookies.set_session(response, opened.secret)
    return response
