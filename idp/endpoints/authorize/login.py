"""Step: user name and password."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flask import Blueprint, redirect, request

from idp.accounts.entrance import Entrance, Told, Vouched
from idp.accounts.local import Attempt, LocalSignIn, Proof, Refused
from idp.accounts.passwords import HashingBusy, PasswordTooLong
from idp.endpoints.authorize import elsewhere
from idp.endpoints.authorize import visit as visits
from idp.endpoints.authorize.flow import Step
from idp.protocol import prompt
from idp.store import device, signin
from idp.store.digests import digest, new_secret
from idp.web import cookies, metrics, refused
from idp.web.pages import page
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.endpoints.authorize.visit import Visit

blueprint: Final = Blueprint("login", __name__)

DEVICE_LIFETIME: Final = timedelta(days=365)
WINDOW_SECONDS: Final = "60"

# LG1: one text for an unknown name, a wrong password, a closed account and one that must wait.
NO_MATCH: Final = {
    "title": "That did not match",
    "text": "Check the user name and the password, capitals too. After several tries, wait a few minutes.",
}
TOO_MANY: Final = {
    "title": "Too many tries just now",
    "text": "Many sign-ins have failed in the last minute. Wait a minute, then try again.",
}
TOO_LONG: Final = {"title": "That password is too long", "text": "Passwords here have at most 4096 bytes."}
BUSY: Final = {"title": "Very many people are signing in", "text": "Wait a few seconds, then try again."}
TOLD: Final = {
    Told.CHANGE_PASSWORD: {
        "title": "Your password must be changed first",
        "text": "Your organization asks for a new password. Change it where you usually do, then sign in here.",
    },
    Told.AWAY: {
        "title": "Your organization's directory does not answer",
        "text": "Nobody can sign in from there just now. Wait a minute, then try again.",
    },
    Told.LINK_FIRST: {
        "title": "There is an account with your e-mail already",
        "text": "It is not linked to this sign-in. Sign in to it with its own password.",
    },
    Told.NOT_INVITED: {
        "title": "You have no account here yet",
        "text": "Your password is right, but nobody has let you in here. Ask whoever runs this service.",
    },
}
AWAY_SECONDS: Final = "30"


@blueprint.get("/login")
def show() -> Response:
    """Ask for user name and password."""
    visit = visits.at(Step.LOGIN)
    return _page(visit, visit.request.login_hint or _known(visit))


@blueprint.post("/login")
def submit() -> ResponseReturnValue:
    """Check them; on success this browser has a session with a new secret (LG19)."""
    visit = visits.at(Step.LOGIN)
    username, password = request.form.get("username", ""), request.form.get("password", "")
    home = elsewhere.home_of(visit, username)
    if home is not None:
        return redirect(home, 303)
    try:
        found = _entrance().authenticate(_attempt(visit, username, password), visit.now)
    except PasswordTooLong:
        return _page(visit, username, TOO_LONG, 400)
    except HashingBusy as busy:
        return _later(_page(visit, username, BUSY, busy.status), str(busy.retry_after))
    if found is Refused.TOO_MANY:
        refused.note("throttled", "too many tries", shown=False, client_id=visit.client.client_id)
        return _later(_page(visit, username, TOO_MANY, 429), WINDOW_SECONDS)
    answer = _signed_in(visit, found) if isinstance(found, Proof | Vouched) else found
    accepted = not isinstance(answer, Told | Refused | None)
    metrics.signin(
        "directory" if isinstance(found, Vouched | Told) else "password", "accepted" if accepted else "refused"
    )
    if isinstance(answer, Told):
        return _told(visit, username, answer)
    return _page(visit, username, _numbered(NO_MATCH), 400) if answer is None or isinstance(answer, Refused) else answer


def _told(visit: Visit, username: str, told: Told) -> Response:
    """Say what the person can do. Only the right password brings these, but for a directory that is away."""
    if told is Told.AWAY:
        return _later(_page(visit, username, _numbered(TOLD[told]), 503), AWAY_SECONDS)
    return _page(visit, username, _numbered(TOLD[told]), 400)


def _numbered(error: dict[str, str]) -> dict[str, str]:
    """Add the number under which the record has the reason, for whoever is asked for help."""
    return {**error, "support_id": support_id()}


def _signed_in(visit: Visit, proof: Proof | Vouched) -> Response | Told | None:
    """Open the session; None when the account was closed while its password was being checked."""
    known, fresh = cookies.device_secret(request), new_secret()
    with services().db.write() as tx:
        account = _entrance().accept(tx, proof, visit.now)
        if account is None or isinstance(account, Told):
            return account
        opened = services().sessions.sign_in(
            tx,
            account.id,
            cookies.session_secret(request),
            now=visit.now,
            user_agent=request.user_agent.string,
            ip=caller(),
        )
        if known is not None:
            # A secret planted in this browser before is worth nothing after.
            device.rotate(tx, digest(known), digest(fresh))
        device.remember(tx, digest(fresh), account.id, visit.now)
        signin.change(
            tx,
            visit.signin.id,
            visit.now,
            account_id=account.id,
            session_id=opened.session_id,
            authenticated_at=visit.now,
            password_at=visit.now,
            consented_at=None,
        )
        services().audit.record(
            tx, "signin.succeeded", account_id=account.id, client_id=visit.client.client_id, ip=caller()
        )
    response = visits.onward(visit.signin.id)
    cookies.set_session(response, opened.secret)
    cookies.set_device(response, fresh, DEVICE_LIFETIME)
    return response


def _attempt(visit: Visit, username: str, password: str) -> Attempt:
    known = cookies.device_secret(request)
    return Attempt(
        login=username,
        password=password,
        device_hash=None if known is None else digest(known),
        address=caller(),
        client_id=visit.client.client_id,
        support_id=support_id(),
    )


def _entrance() -> Entrance:
    parts = services()
    local = LocalSignIn(db=parts.db, passwords=parts.passwords, throttle=parts.throttle, audit=parts.audit)
    return Entrance(local=local, connectors=parts.connectors)


def _known(visit: Visit) -> str:
    """Name whoever is here already and is to prove it again; none where somebody else may be wanted."""
    if visit.here is None or prompt.SELECT_ACCOUNT in visit.request.prompt:
        return ""
    wanted = visit.request.subject
    return visit.here.account.username if wanted is None or wanted == visit.here.account.id else ""


def _page(visit: Visit, username: str, error: dict[str, str] | None = None, status: int = 200) -> Response:
    client = visit.client
    return page(
        "authorize/login.html",
        status,
        form_to=visit.request.redirect_uri,
        image_from=client.logo_uri,
        action=visit.url(Step.LOGIN),
        client_name=client.name,
        client_uri=client.client_uri,
        logo_uri=client.logo_uri,
        policy_uri=client.policy_uri,
        tos_uri=client.tos_uri,
        username=username,
        error=error,
        others=elsewhere.buttons(visit),
    )


def _later(response: Response, seconds: str) -> Response:
    response.headers["Retry-After"] = seconds
    return response
