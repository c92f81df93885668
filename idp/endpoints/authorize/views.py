"""GET and POST /authorize: freeze what was asked, then lead the browser from step to step (RFC 6749 section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestURITooLarge, TooManyRequests

from idp.endpoints.authorize import answer, entry, respond, visit
from idp.endpoints.authorize.entry import NoTarget, Refused
from idp.endpoints.authorize.flow import Step
from idp.endpoints.authorize.visit import Ended
from idp.protocol import form as parameters
from idp.protocol.errors import InvalidRequest, ProtocolError
from idp.store import signin
from idp.store.digests import digest
from idp.web import cookies, form
from idp.web.services import caller, services

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from idp.endpoints.authorize.entry import Entry
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
    """Answer at once where there is nothing to show, else freeze the request and come back by GET."""
    now = services().clock()
    entered = entry.read(pairs, now)
    return _answer_at_once(entered, now) or _freeze(entered, now)


def _answer_at_once(entered: Entry, now: datetime) -> ResponseReturnValue | None:
    """Give a code where session and consent are there: no page comes between that a row would have to outlive.

    A cross-site POST brings no Lax cookie; the redirect of `_freeze` does. Refusals too go that way: they are claimed.
    """
    seen = visit.glance(entered.request, entered.client, now) if request.method == "GET" else None
    if seen is None or seen.here is None or not seen.is_at(Step.RESPOND):
        return None
    services().sessions.touch(seen.here, now)
    try:
        return respond.issue(seen, seen.here)
    except Ended:  # signed out at this moment: begin as for everybody who is not signed in
        return None


def _freeze(entered: Entry, now: datetime) -> ResponseReturnValue:
    """Keep the request in a row that only this browser can go on with (AZ11).

    A cross-site POST brings no cookie, and giving one would end what the browser has begun in another tab: then the
    row waits for the GET that follows, which brings it.
    """
    held = services()
    unknown = request.method == "POST" and cookies.known_flow() is None
    browser = None if unknown else digest(cookies.flow())
    with held.db.write() as tx:
        if not held.throttle.may_begin(tx, caller(), now):
            raise TooManyRequests(retry_after=int(held.throttle.limits.window.total_seconds()))
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
            return respond.issue(here, here.here, signin_id=here.signin.id)
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
