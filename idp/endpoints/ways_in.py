"""The ways into one's account: the password, the other providers that are linked, and another one to add.

A way in is for good, and whoever adds one has the account. So only whoever has just signed in changes them, with the
second factor if there is one, and adds one only after the password of this account, if it has one: a stolen account
elsewhere must not bring its friends (FD12, LG16).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, make_response, redirect, request

from idp.accounts import federated, on_the_way, unlinking
from idp.accounts.federated import NotWelcome, Taken
from idp.federation.connector import Connector, NotSignedIn, PasswordChanger, RedirectConnector
from idp.protocol import acr
from idp.store import account as accounts
from idp.store import connector as connectors
from idp.store import handshake, identity, totp, upstream_session
from idp.web import cookies, elsewhere, metrics, refused
from idp.web.answer import NO_STORE
from idp.web.pages import page
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from idp.accounts.connectors import Ready
    from idp.accounts.on_the_way import Waiting
    from idp.accounts.sessions import Current

blueprint: Final = Blueprint("ways_in", __name__)

PASSWORD: Final = "/account/password"  # noqa: S105 - an address
RECENT: Final = timedelta(minutes=10)
LATE: Final = "Sign in again to change them: it has been a while."
BY_PASSWORD: Final = "To add another, sign in again with the password of this account."  # noqa: S105 - words


@blueprint.get(elsewhere.WAYS)
def ways() -> Response:
    """Show by what one signs in to one's account, and what could be added."""
    here = _here()
    return page("account/ways.html", 401, username=None, ways=[], locked=None) if here is None else _page(here)


@blueprint.post(elsewhere.WAYS)
def change() -> ResponseReturnValue:
    """Take a way in away, or link whoever has just come back from another provider."""
    here = _here()
    if here is None or not _proven(here):
        return redirect(elsewhere.WAYS, 303)
    if "unlink" in request.form:
        return _unlink(here, request.form["unlink"])
    yes = "link-allow" in request.form
    return _link(here, yes=yes) if yes or "link-deny" in request.form else redirect(elsewhere.WAYS, 303)


@blueprint.get(f"{elsewhere.WAYS}/<name>")
def leave(name: str) -> ResponseReturnValue:
    """Send the browser to another provider, to come back as somebody to link. It is a link: see decision 15."""
    here, now = _here(), services().clock()
    ready = services().connectors.find(name, now)
    if here is None or ready is None or not ready.visible or not _may_add(here):
        return redirect(elsewhere.WAYS, 303)
    connector = ready.connector
    if not isinstance(connector, RedirectConnector):
        return redirect(elsewhere.WAYS, 303)
    try:
        # Whoever is signed in there need not be who sits here.
        shake = connector.begin(elsewhere.back(name), fresh=connector.fresh, choose=True)
    except NotSignedIn as refusal:
        refused.note("ways-in", refusal.code or refusal.outcome.value, connector=ready.name)
        return _page(here, 503, elsewhere.words(refusal.outcome, ready.label) | {"support_id": support_id()})
    with services().db.write() as tx:
        on_the_way.leave(tx, services().sealer, ready, shake, flow=cookies.flow(), session_id=here.session.id, now=now)
    response = make_response(redirect(shake.url, 303))
    response.headers["Cache-Control"] = NO_STORE
    return response


def _unlink(here: Current, wanted: str) -> ResponseReturnValue:
    """Take a way in away, never the last one."""
    with services().db.write() as tx:
        account = accounts.hold(tx, here.account.id)
        mine = [each for each in identity.of_account(tx, here.account.id) if each.id == wanted]
        gone = bool(account and mine and unlinking.may_unlink(tx, account, mine[0]))
        if gone:
            unlinking.unlink(tx, mine[0], services().clock(), sessions=services().sessions, keep=here.session)
        services().audit.record(
            tx, "identity.unlinked" if gone else "identity.kept", account_id=here.account.id, ip=caller()
        )
    metrics.signin("unlink", "done" if gone else "refused")
    return redirect(elsewhere.WAYS, 303) if gone or not mine else _page(here, 409)


def _link(here: Current, *, yes: bool) -> ResponseReturnValue:
    """Link, or do not; either way the question has been answered."""
    ready, waiting = _waiting(here)
    if ready is None or waiting is None or (yes and not _may_add(here)):
        return redirect(elsewhere.WAYS, 303)
    try:
        with services().db.write() as tx:
            account = accounts.hold(tx, here.account.id)
            if account is None or not handshake.forget(tx, waiting.handshake_id):
                return redirect(elsewhere.WAYS, 303)  # of two answers one counts
            if yes:
                federated.link(tx, ready, waiting.who, account, services().clock())
            services().audit.record(
                tx,
                "identity.linked" if yes else "identity.link_refused",
                account_id=here.account.id,
                ip=caller(),
                connector=ready.name,
            )
    except Taken:
        return _page(here, 409, elsewhere.TAKEN)
    except NotWelcome as refusal:
        return _page(here, 403, elsewhere.words(refusal.why, ready.label))
    metrics.signin("link", "allowed" if yes else "denied")
    return redirect(elsewhere.WAYS, 303)


def _here() -> Current | None:
    return services().sessions.current(cookies.session_secret(request), services().clock())


def _waiting(here: Current) -> tuple[Ready | None, Waiting | None]:
    """Return who has come back from another provider to be linked, and by which connector."""
    now = services().clock()
    with services().db.read() as tx:
        waiting = on_the_way.waiting(tx, services().sealer, now, session_id=here.session.id)
    live = services().connectors.all(now)
    return next((each for each in live if waiting is not None and each.id == waiting.connector_id), None), waiting


def _proven(here: Current) -> bool:
    """Say whether this person signed in a moment ago, with the second factor if there is one (LG16, LG17)."""
    with services().db.read() as tx:
        has_factor = totp.has_confirmed(tx, here.account.id)
        since = here.session.auth_time
        if not unlinking.has_password(tx, here.account):
            # Another provider's word is all that this account has, whether it says when it asked or not.
            began = upstream_session.find(tx, here.session.id)
            since = since if began is None else max(since, began.created_at)
    if services().clock() - since > RECENT:
        return False
    return not has_factor or acr.meets(here.session.acr, acr.AAL2)


def _may_add(here: Current) -> bool:
    """Say whether this person has shown enough to add a way in (FD12)."""
    if not _proven(here):
        return False
    with services().db.read() as tx:
        return not unlinking.has_password(tx, here.account) or "pwd" in here.session.amr


def _page(here: Current, status: int = 200, error: dict[str, str] | None = None) -> Response:
    now = services().clock()
    with services().db.read() as tx:
        rows = {each.id: each for each in connectors.listing(tx)}
        held = identity.of_account(tx, here.account.id)
        last = not unlinking.has_another(tx, here.account)
    live = [(each.id, each.connector) for each in services().connectors.all(now)]
    changers = {connector_id for connector_id, live_one in live if _changes(live_one)}
    shown = [
        {
            "id": each.id,
            "label": rows[each.connector_id].label,
            "there": each.email or each.username,
            "last": last,
            "stays": last or unlinking.is_directory(rows[each.connector_id]),
            "password": f"{PASSWORD}/{each.id}" if each.connector_id in changers else None,
        }
        for each in held
    ]
    others = _others(now)
    ready, waiting = _waiting(here)
    asked = None
    if ready is not None and waiting is not None:
        asked = {"label": ready.label, "there": waiting.who.email or waiting.who.username}
    proven, may_add = _proven(here), _may_add(here)
    return page(
        "account/ways.html",
        status,
        username=here.account.username,
        ways=shown,
        password=here.account.password_hash is not None,
        locked=None if proven else LATE,
        others=others if may_add else [],
        by_password=BY_PASSWORD if proven and not may_add and others else None,
        waiting=asked if may_add else None,
        error=error,
        action=elsewhere.WAYS,
    )


def _changes(connector: Connector) -> bool:
    return isinstance(connector, PasswordChanger) and connector.changes


def _others(now: datetime) -> list[dict[str, str]]:
    return [
        {
            "name": ready.name,
            "href": f"{elsewhere.WAYS}/{ready.name}",
            "label": ready.label,
            "icon": elsewhere.icon(ready.connector.brand),
        }
        for ready in services().connectors.redirecting(now)
        if isinstance(ready.connector, RedirectConnector)
    ]
