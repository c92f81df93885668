"""Step: user name and password; and where the directory wants a new password, that one too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from flask import Blueprint, redirect, request

from idp.accounts.entrance import NewPassword, Told, Vouched
from idp.accounts.local import Proof, Refused
from idp.accounts.passwords import HashingBusy, PasswordTooLong
from idp.endpoints.authorize import admit, elsewhere, negotiate
from idp.endpoints.authorize import visit as visits
from idp.endpoints.authorize.flow import Step
from idp.protocol import prompt
from idp.web import door, metrics, refused
from idp.web.pages import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.endpoints.authorize.visit import Visit

blueprint: Final = Blueprint("login", __name__)

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
    Told.CHANGED: {
        "title": "Your password is changed",
        "text": "The new one is not known everywhere yet. Wait a minute, then sign in with it.",
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
NOT_SET: Final = "Your new password is not set"
NOT_THE_SAME: Final = "The two that you typed are not the same."
NEW_PASSWORD: Final = "/login/new-password"  # noqa: S105 - an address

Found: TypeAlias = Proof | Vouched | Refused | Told | NewPassword
"""What came of a password."""


@blueprint.get("/login")
def show() -> Response:
    """Ask a browser of a domain for its ticket, and everybody for user name and password."""
    visit = visits.at(Step.LOGIN)
    username = visit.request.login_hint or _known(visit)
    return negotiate.answer(visit, lambda error, status: _page(visit, username, error, status))


@blueprint.post("/login")
def submit() -> ResponseReturnValue:
    """Check them; on success this browser has a session with a new secret (LG19)."""
    visit = visits.at(Step.LOGIN)
    username, password = request.form.get("username", ""), request.form.get("password", "")
    home = elsewhere.home_of(visit, username)
    if home is not None:
        return redirect(home, 303)
    brought = admit.attempt(visit, username, password)
    return _answer(visit, username, lambda: door.entrance().authenticate(brought, visit.now))


@blueprint.get(NEW_PASSWORD)
def lead_back() -> Response:
    """Lead whoever comes again to sign-in: only the right password opens that page."""
    return visits.onward(visits.at(Step.LOGIN).signin.id)


@blueprint.post(NEW_PASSWORD)
def change() -> ResponseReturnValue:
    """Set a new password where the old one is kept, and sign in with it; a wrong old one is a failed sign-in."""
    visit = visits.at(Step.LOGIN)
    typed = [request.form.get(name, "") for name in ("username", "password", "new-password", "new-password-again")]
    username, old, new, again = typed
    brought = admit.attempt(visit, username, old)

    def ask() -> Found:
        if new == again:
            return door.new_passwords().change(brought, new, visit.now)
        # The rules are for who has the right password, the second time too.
        found = door.entrance().authenticate(brought, visit.now)
        return replace(found, why=NOT_THE_SAME) if isinstance(found, NewPassword) else found

    return _answer(visit, username, ask)


def _answer(visit: Visit, username: str, ask: Callable[[], Found]) -> ResponseReturnValue:
    """Let in, ask for a new password, or say why not."""
    try:
        found = ask()
        answer = _signed_in(visit, found) if isinstance(found, Proof | Vouched) else found
    except PasswordTooLong:
        return _page(visit, username, TOO_LONG, 400)
    except HashingBusy as busy:
        return admit.later(_page(visit, username, BUSY, busy.status), str(busy.retry_after))
    if found is Refused.TOO_MANY:
        refused.note("throttled", "too many tries", shown=False, client_id=visit.client.client_id)
        return admit.later(_page(visit, username, TOO_MANY, 429), WINDOW_SECONDS)
    accepted = not isinstance(answer, Told | Refused | NewPassword | None)
    where = "directory" if isinstance(found, Vouched | Told | NewPassword) else "password"
    metrics.signin(where, "accepted" if accepted else "refused")
    if isinstance(answer, Told | NewPassword):
        return _told(visit, username, answer)
    if answer is None or isinstance(answer, Refused):
        return _page(visit, username, admit.numbered(NO_MATCH), 400)
    return answer


def _signed_in(visit: Visit, proof: Proof | Vouched) -> Response | Told | None:
    """Let in; who is right and may not in all the same waits as long as who is wrong (LG1)."""
    answer = admit.signed_in(visit, proof)
    if answer is None and isinstance(proof, Vouched):
        door.entrance().local.in_vain(proof.attempt)
    return answer


def _told(visit: Visit, username: str, told: Told | NewPassword) -> Response:
    """Say what the person can do. Only the right password brings these, but for a directory that is away."""
    if isinstance(told, NewPassword):
        return _new_password(visit, username, told)
    if told is Told.AWAY:
        return admit.later(_page(visit, username, admit.numbered(TOLD[told]), 503), AWAY_SECONDS)
    return _page(visit, username, admit.numbered(TOLD[told]), 400)


def _new_password(visit: Visit, username: str, wanted: NewPassword) -> Response:
    error = None if wanted.why is None else {"title": NOT_SET, "text": wanted.why}
    return page(
        "authorize/new_password.html",
        200 if error is None else 400,
        form_to=visit.request.redirect_uri,
        action=visits.beside(NEW_PASSWORD, visit.signin.id),
        username=username,
        rules=wanted.rules,
        error=error,
    )


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
        left_out=elsewhere.left_out(visit),
    )
