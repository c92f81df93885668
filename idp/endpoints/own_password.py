"""A new password for whoever is signed in and has theirs in a directory that takes one.

The old one is asked for and counts as a sign-in does: a session that was left open changes nothing. What was open in
other browsers ends, and this one goes on under new secrets: whoever changes a password may know why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, redirect, request

from idp.accounts.entrance import NewPassword, Told, Vouched
from idp.accounts.local import Attempt, Refused
from idp.accounts.passwords import PasswordTooLong
from idp.federation.connector import NotSignedIn, PasswordChanger
from idp.store import identity
from idp.store.digests import new_secret
from idp.web import cookies, door, metrics
from idp.web.elsewhere import WAYS
from idp.web.pages import page
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.accounts.connectors import Ready
    from idp.accounts.sessions import Current
    from idp.store.identity import Identity

blueprint: Final = Blueprint("own_password", __name__)

NOT_SET: Final = "Your new password is not set"
NOT_THE_SAME: Final = "The two that you typed are not the same."
WRONG: Final = "Check the one you have until now. After several tries, wait a few minutes."
TOO_LONG: Final = "Passwords here have at most 4096 bytes."
TOLD: Final = {
    Told.AWAY: "Your organization's directory does not answer. Wait a minute, then try again.",
    Told.CHANGE_PASSWORD: "Your organization wants it changed where you usually do.",
}


@blueprint.get("/account/password/<way>")
def show(way: str) -> ResponseReturnValue:
    """Ask for it, with the rules."""
    found = _mine(way)
    return redirect(WAYS, 303) if found is None else _page(*found)


@blueprint.post("/account/password/<way>")
def change(way: str) -> ResponseReturnValue:
    """Set it, and go on here alone."""
    found = _mine(way)
    if found is None:
        return redirect(WAYS, 303)
    here, ready, mine = found
    new = request.form.get("new-password", "")
    if new != request.form.get("new-password-again", ""):
        return _page(*found, NOT_THE_SAME)
    now = services().clock()
    try:
        answer = door.new_passwords().change_own(ready, mine, _attempt(here), new, now, here=here)
    except PasswordTooLong:
        return _page(*found, TOO_LONG)
    if not isinstance(answer, Vouched) and answer is not Told.CHANGED:
        metrics.signin("new-password", "refused")
        return _page(*found, _why(answer))
    metrics.signin("new-password", "accepted")
    response = page(
        "account/new_password.html", username=here.account.username, label=ready.label, done=True, ways=WAYS
    )
    _go_on(response, here, answer, now)
    return response


def _go_on(response: Response, here: Current, answer: Vouched | Told, now: datetime) -> None:
    """Give this browser new secrets, if its session has not ended meanwhile."""
    fresh = new_secret()
    with services().db.write() as tx:
        if isinstance(answer, Vouched):
            door.entrance().accept(tx, answer, now)
        renewed = services().sessions.renew(tx, here.session)
        if renewed is None:
            return
        door.remember(tx, here.account.id, fresh, now)
    cookies.set_session(response, renewed.secret)
    door.set_device(response, fresh)


def _mine(way: str) -> tuple[Current, Ready, Identity] | None:
    """Return who is here and the way in whose password they may change; None when there is none."""
    now = services().clock()
    here = services().sessions.current(cookies.session_secret(request), now)
    if here is None:
        return None
    with services().db.read() as tx:
        mine = next((each for each in identity.of_account(tx, here.account.id) if each.id == way), None)
    live = {each.id: each for each in services().connectors.all(now)}
    ready = None if mine is None else live.get(mine.connector_id)
    if mine is None or ready is None or not isinstance(ready.connector, PasswordChanger):
        return None
    return (here, ready, mine) if ready.connector.changes else None


def _attempt(here: Current) -> Attempt:
    return Attempt(
        login=here.account.username,
        password=request.form.get("password", ""),
        device_hash=door.device_hash(),
        address=caller(),
        support_id=support_id(),
    )


def _why(answer: Refused | Told | NewPassword) -> str:
    if isinstance(answer, NewPassword) and answer.why is not None:
        return answer.why
    return TOLD.get(answer, WRONG) if isinstance(answer, Told) else WRONG


def _page(here: Current, ready: Ready, mine: Identity, why: str | None = None) -> Response:
    rules: tuple[str, ...] = ()
    if isinstance(ready.connector, PasswordChanger):
        try:
            rules = ready.connector.password_rules(mine.username)
        except NotSignedIn:
            rules = ()
    return page(
        "account/new_password.html",
        200 if why is None else 400,
        username=here.account.username,
        there=mine.username,
        label=ready.label,
        rules=rules,
        error=None if why is None else {"title": NOT_SET, "text": why},
        ways=WAYS,
        action=f"/account/password/{mine.id}",
        done=False,
    )
