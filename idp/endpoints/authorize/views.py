"""GET and POST /authorize: freeze what was asked, then lead the browser from step to step (RFC 6749 section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestURITooLarge

from idp.endpoints.authorize import answer, entry, respond, visit
from idp.endpoints.authorize.entry import NoTarget, Refused
from idp.endpoints.authorize.flow import Step
from idp.endpoints.authorize.visit import Ended
from idp.protocol import form as parameters
from idp.protocol.errors import InvalidRequest, ProtocolError
from idp.store import signin
from idp.store.digests import digest
from idp.web import cookies, form
from idp.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from idp.protocol.form import Pairs

blueprint = Blueprint("authorize", __name__)

MAX_QUERY = 16_384


# A HEAD would begin a sign-in that nobody goes on with.
@blueprint.route("/authorize", methods=("GET", "POST"), head=False, provide_automatic_options=False)
def authorize() -> ResponseReturnValue:
    """Begin a sign-in, or go on with one."""
    try:
        pairs = _pairs()
        if request.method == "GET" and [name for name, _ in pairs] == ["signin"]:
            return _go_on(pairs[0][1])
        return _begin(pairs)
    except Ended as ended:
        return respond.error_page("ended", ended)
    except NoTarget as refused:
        return respond.refuse_on_page(refused.refusal, refused.client_id)
    except Refused as refused:
        return respond.refuse_entry(refused)


def _begin(pairs: Pairs) -> ResponseReturnValue:
    """Freeze the request in a row that only this browser can go on with (AZ11), and come back by GET.

    A cross-site POST brings no Lax cookie; the redirect does. So the session is read only afterwards.
    """
    held = services()
    now = held.clock()
    entered = entry.read(pairs, now)
    browser = digest(cookies.flow())
    with held.db.write() as tx:
        row = signin.create(
            tx,
            flow_hash=browser,
            client_id=entered.client.client_id,
            request=entered.request.to_json(),
            now=now,
            expires_at=now + held.settings.signin_lifetime,
        )
    return visit.onward(row.id)


def _go_on(signin_id: str) -> ResponseReturnValue:
    """Ask what is next and send the browser there, or back to the app."""
    here = visit.load(signin_id)
    try:
        step = here.next_step()
    except ProtocolError as refusal:
        return answer.refuse(here, refusal)
    if here.here is not None:
        services().sessions.touch(here.here, here.now)
        if step is Step.RESPOND:
            return respond.issue(here, here.here)
    return redirect(here.url(step), 303)


def _pairs() -> Pairs:
    """Read the parameters from where the method puts them, and from nowhere else."""
    try:
        if request.method == "POST":
            return form.read(request)
        if len(request.query_string) > MAX_QUERY:
            raise RequestURITooLarge
        return parameters.decode(request.query_string)
    except InvalidRequest as refusal:
        raise NoTarget(refusal) from None
    except RequestEntityTooLarge:
        raise NoTarget(InvalidRequest("the request is too large")) from None
