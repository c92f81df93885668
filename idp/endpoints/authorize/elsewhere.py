"""Step: sign-in at another provider. The browser leaves, comes back with an answer, and the answer is believed or not.

The way back is bound three times: to the browser by its flow cookie, to the sign-in by its row, to the connector by
its address; and it is good once (FD15, FD16, FD20). An answer by form_post comes from another site and brings no
cookie: it is turned into a GET of ours, which does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from flask import Blueprint, abort, make_response, redirect, request
from werkzeug.exceptions import RequestURITooLarge

from idp.accounts import federated, on_the_way
from idp.accounts.federated import NotWelcome, Unwelcome
from idp.endpoints.authorize import visit as visits
from idp.endpoints.authorize.flow import Step
from idp.endpoints.authorize.visit import Ended
from idp.federation.connector import NotSignedIn, Outcome, RedirectConnector
from idp.protocol import form as parameters
from idp.protocol import prompt
from idp.protocol.errors import InvalidRequest
from idp.store import signin, upstream_session
from idp.store.session import UNPROVED
from idp.web import cookies, elsewhere, form, metrics, refused
from idp.web.answer import NO_STORE
from idp.web.pages import page
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.accounts.connectors import Ready
    from idp.accounts.on_the_way import Returned
    from idp.endpoints.authorize.visit import Visit
    from idp.federation.connector import Identity
    from idp.protocol.form import Pairs

blueprint: Final = Blueprint("elsewhere", __name__)

MAX_QUERY: Final = 16_384
KNOWN: Final = frozenset({"code", "state", "iss", "error"})

LINKABLE: Final = frozenset({Unwelcome.LINK_FIRST, Unwelcome.NOT_LINKED})


def address(name: str, signin_id: str) -> str:
    """Write the address of a button; the sign-in's id, which only this browser can use, is what it proves."""
    return f"/federation/{quote(name)}?{urlencode({'signin': signin_id})}"


def buttons(visit: Visit) -> list[dict[str, str]]:
    """Describe the buttons of the sign-in page, in the operator's order."""
    return [
        {
            "name": ready.name,
            "href": address(ready.name, visit.signin.id),
            "label": ready.label,
            "icon": elsewhere.icon(ready.connector.brand),
        }
        for ready in services().connectors.redirecting(visit.now)
        if isinstance(ready.connector, RedirectConnector) and _will_do(visit, ready.connector)
    ]


def left_out(visit: Visit) -> list[str]:
    """Name the providers that have no button because they cannot show that somebody signs in just now."""
    live = services().connectors.redirecting(visit.now)
    return [
        ready.label
        for ready in live
        if isinstance(ready.connector, RedirectConnector) and not _will_do(visit, ready.connector)
    ]


def _will_do(visit: Visit, connector: RedirectConnector) -> bool:
    """Say whether a sign-in by a connector is what the app asks for (OpenID Connect Core section 3.1.2.1)."""
    return connector.fresh or not _of_now(visit)


def _of_now(visit: Visit) -> bool:
    return prompt.LOGIN in visit.request.prompt or visit.request.max_age is not None


def home_of(visit: Visit, username: str) -> str | None:
    """Return the way to the provider that people of a domain sign in at; their password is not looked at here."""
    domain = federated.domain_of(username)
    if domain is None:
        return None
    for ready in services().connectors.all(visit.now):
        if domain in ready.domains and isinstance(ready.connector, RedirectConnector):
            return address(ready.name, visit.signin.id)
    return None


@blueprint.get("/federation/<name>")
def begin(name: str) -> ResponseReturnValue:
    """Send the browser to another provider."""
    visit = visits.at(Step.LOGIN)
    ready, connector = _connector(name, visit.signin.id)
    asked = visit.request
    if not _will_do(visit, connector):
        return _page("not_fresh", ready, _onward(visit.signin.id, "Choose another way"), 400)
    choose = prompt.SELECT_ACCOUNT in asked.prompt
    try:
        shake = connector.begin(elsewhere.back(name), login_hint=asked.login_hint, fresh=_of_now(visit), choose=choose)
    except NotSignedIn as refusal:
        return _refuse(ready, refusal, visit.signin.id)
    with services().db.write() as tx:
        on_the_way.leave(
            tx, services().sealer, ready, shake, flow=cookies.flow(), signin_id=visit.signin.id, now=visit.now
        )
    response = make_response(redirect(shake.url, 303))
    response.headers["Cache-Control"] = NO_STORE
    return response


@blueprint.post(f"{elsewhere.CALLBACK}/<name>")
def posted(name: str) -> ResponseReturnValue:
    """Turn an answer by form_post into a GET of this site: a POST from another one brings no Lax cookie."""
    try:
        answer = [(key, value) for key, value in form.read(request) if key in KNOWN]
    except InvalidRequest:
        return _lost()
    response = make_response(redirect(f"{elsewhere.CALLBACK}/{quote(name)}?{urlencode(answer)}", 303))
    response.headers["Cache-Control"] = NO_STORE
    return response


@blueprint.get(f"{elsewhere.CALLBACK}/<name>")
def returned(name: str) -> ResponseReturnValue:
    """Take the answer; whoever it proves is signed in here, and the dispatcher says what comes next."""
    if len(request.query_string) > MAX_QUERY:
        raise RequestURITooLarge
    ready, connector = _connector(name, None)
    try:
        answer = parameters.decode(request.query_string)
    except InvalidRequest:
        return _lost()
    back = _claimed(ready, answer)
    if back is None:
        return _lost()
    visit = None if back.signin_id is None else _visit(back.signin_id)
    try:
        # Nothing is locked while the provider is asked.
        who = connector.finish(answer, back.kept, elsewhere.back(name))
    except NotSignedIn as refusal:
        return _refuse(ready, refusal, back.signin_id)
    if visit is None:
        return _told_to_the_account(back, who)
    try:
        response = _signed_in(visit, ready, who)
    except NotWelcome as refusal:
        return _unwelcome(visit, ready, back, who, refusal.why)
    metrics.signin("elsewhere", "accepted")
    return response


def _signed_in(visit: Visit, ready: Ready, who: Identity) -> Response:
    """Open a session as strong as the connector is trusted to say, else as a first factor alone (FD21, LG16)."""
    with services().db.write() as tx:
        arrived = federated.arrive(tx, ready, who, visit.now)
        account = arrived.account
        opened = services().sessions.sign_in(
            tx,
            account.id,
            cookies.session_secret(request),
            now=visit.now,
            user_agent=request.user_agent.string,
            ip=caller(),
            amr=("fed", *who.amr),
            level=who.acr,
            proved_at=UNPROVED if who.proved_ago is None else visit.now - timedelta(seconds=who.proved_ago),
        )
        upstream_session.put(
            tx,
            session_id=opened.session_id,
            connector_id=ready.id,
            external_id=who.external_id,
            sid=who.session,
            now=visit.now,
        )
        signin.change(
            tx,
            visit.signin.id,
            visit.now,
            account_id=account.id,
            session_id=opened.session_id,
            authenticated_at=visit.now,
            # LG17: who has a password here adds a first second factor with it, not with another provider's word.
            password_at=visit.now if account.password_hash is None else None,
            consented_at=None,
        )
        services().audit.record(
            tx,
            "signin.succeeded",
            account_id=account.id,
            client_id=visit.client.client_id,
            ip=caller(),
            connector=ready.name,
            created=arrived.created,
        )
    response = visits.onward(visit.signin.id)
    cookies.set_session(response, opened.secret)
    return response


def _told_to_the_account(back: Returned, who: Identity) -> Response:
    """Keep who came until the account's page has asked whether to link them."""
    with services().db.write() as tx:
        on_the_way.wait(tx, services().sealer, back.handshake_id, who)
    return make_response(redirect(elsewhere.WAYS, 303))


def _unwelcome(visit: Visit, ready: Ready, back: Returned, who: Identity, why: Unwelcome) -> Response:
    """Say why there is no way in; whoever has an account here is asked to sign in to it, and then whether to link."""
    linkable = why in LINKABLE
    with services().db.write() as tx:
        if linkable:
            on_the_way.wait(tx, services().sealer, back.handshake_id, who)
            signin.change(tx, visit.signin.id, visit.now, link_waits=True)
        services().audit.record(
            tx,
            "signin.refused",
            client_id=visit.client.client_id,
            ip=caller(),
            support_id=support_id(),
            reason=why.value,
            connector=ready.name,
        )
    metrics.signin("elsewhere", why.value)
    return _page(why, ready, _onward(visit.signin.id, "Sign in to link" if linkable else "Choose another way"), 403)


def _refuse(ready: Ready, refusal: NotSignedIn, signin_id: str | None) -> Response:
    refused.note("elsewhere", refusal.code or refusal.outcome.value, connector=ready.name)
    metrics.signin("elsewhere", refusal.outcome.value)
    status = 503 if refusal.outcome is Outcome.UNAVAILABLE else 400
    ways = {"href": elsewhere.WAYS, "text": "Back to your ways in"}
    return _page(refusal.outcome, ready, ways if signin_id is None else _onward(signin_id, "Back to sign-in"), status)


def _lost() -> Response:
    refused.note("elsewhere", "no such way back")
    return _page("lost", None, None, 400)


def _onward(signin_id: str, text: str) -> dict[str, str]:
    return {"href": visits.address(Step.RESPOND, signin_id), "text": text}


def _page(why: object, ready: Ready | None, link: dict[str, str] | None, status: int) -> Response:
    words = elsewhere.words(why, ready.label if ready is not None else "")
    return page("authorize/elsewhere.html", status, **words, support_id=support_id(), link=link)


def _claimed(ready: Ready, answer: Pairs) -> Returned | None:
    state, flow = parameters.single(answer).get("state"), cookies.known_flow()
    if not state or flow is None:
        return None
    now = services().clock()
    with services().db.write() as tx:
        back = on_the_way.come_back(tx, services().sealer, ready, state=state, flow=flow, now=now)
    if back is None or back.session_id is None:
        return back
    # Whoever left their account's page for another way in is the one who comes back to it.
    here = services().sessions.current(cookies.session_secret(request), now)
    return back if here is not None and here.session.id == back.session_id else None


def _visit(signin_id: str) -> Visit:
    try:
        return visits.load(signin_id)
    except Ended:
        abort(visits.onward(signin_id))  # the dispatcher says that it is over


def _connector(name: str, signin_id: str | None) -> tuple[Ready, RedirectConnector]:
    """Return a live connector; one that is switched off signs nobody in, on the way or not (FD19)."""
    ready = services().connectors.find(name, services().clock())
    if ready is None or not isinstance(ready.connector, RedirectConnector):
        if signin_id is not None:
            abort(visits.onward(signin_id))
        abort(404)
    return ready, ready.connector
