"""Signing out: RP-initiated logout with and without questions (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from flask import Blueprint, make_response, redirect, request
from werkzeug.exceptions import RequestURITooLarge

from idp.protocol import form as parameters
from idp.protocol import redirect_uri
from idp.protocol.errors import InvalidRequest
from idp.web import cookies, form, id_token_hint, metrics, refused, sign_out_elsewhere
from idp.web.answer import NO_STORE
from idp.web.pages import page
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flask import Response
    from flask.typing import ResponseReturnValue

    from idp.accounts.sessions import Current
    from idp.clients.client import Client
    from idp.protocol.form import Pairs
    from idp.web.id_token_hint import Hint

blueprint: Final = Blueprint("logout", __name__)

END_SESSION: Final = "/end_session"
CONFIRM: Final = "/logout"
MAX_QUERY: Final = 16_384
KNOWN: Final = frozenset({"id_token_hint", "client_id", "post_logout_redirect_uri", "state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A request to sign out whose every claim was checked."""

    values: Mapping[str, str]
    hint: Hint | None
    client: Client | None
    return_to: str | None

    @property
    def confirm_url(self) -> str:
        """Where the answer goes: the same values, which are checked again there."""
        return _with(CONFIRM, self.values)


@blueprint.route(END_SESSION, methods=("GET", "POST"), head=False, provide_automatic_options=False)
def end_session() -> ResponseReturnValue:
    """Sign out at once when the app proves that it means this very session, else ask (section 2)."""
    try:
        pairs = _pairs()
        if request.method == "POST":
            # A cross-site POST brings no Lax cookie; the redirect does.
            return redirect(_with(END_SESSION, _values(pairs)), 303)
        now = services().clock()
        wish = _read(_values(pairs), now)
    except InvalidRequest as refusal:
        return _refuse(refusal)
    here = services().sessions.current(cookies.session_secret(request), now)
    if here is not None and not _is_about(wish.hint, here):
        return _ask(wish, here)
    return _finish(wish, here, now)


@blueprint.post(CONFIRM)
def confirmed() -> ResponseReturnValue:
    """Sign out because the person said so; the form carried this browser's CSRF token (LG21)."""
    now = services().clock()
    try:
        wish = _read(_values(_query()), now)
    except InvalidRequest as refusal:
        return _refuse(refusal)
    return _finish(wish, services().sessions.current(cookies.session_secret(request), now), now)


def _read(values: Mapping[str, str], now: datetime) -> Wish:
    """Check who asks and where the browser may go afterwards; a doubt means it goes nowhere (section 3)."""
    held = services()
    hint = None
    if "id_token_hint" in values:
        hint = id_token_hint.read(values["id_token_hint"], held.keyring, issuer=held.settings.issuer, now=now)
        if hint is None:
            raise InvalidRequest("id_token_hint is not an ID token of this provider")
        if values.get("client_id", hint.client_id) != hint.client_id:
            raise InvalidRequest("client_id is not the one of id_token_hint")
    named = hint.client_id if hint is not None else values.get("client_id")
    client = held.clients.find(named, now) if named is not None else None
    wanted = values.get("post_logout_redirect_uri")
    if wanted is not None and client is not None and wanted not in client.post_logout_redirect_uris:
        raise InvalidRequest("post_logout_redirect_uri is not registered")
    # Without a hint nobody has proved that this app ever signed anyone in: no redirect.
    proven = hint is not None and client is not None
    return Wish(values=values, hint=hint, client=client, return_to=wanted if proven else None)


def _is_about(hint: Hint | None, here: Current) -> bool:
    """Say whether the app means the session of this browser, not another one or another person's (IN10)."""
    if hint is None or hint.subject != here.account.id:
        return False
    return hint.session_id == here.session.id


def _ask(wish: Wish, here: Current) -> Response:
    return page(
        "logout/confirm.html",
        form_to=wish.return_to,
        action=wish.confirm_url,
        client_name=wish.client.name if wish.client else None,
        username=here.account.username,
    )


def _finish(wish: Wish, here: Current | None, now: datetime) -> ResponseReturnValue:
    """End the session and everything it gave to apps, then go back or say so."""
    elsewhere = None if here is None else sign_out_elsewhere.connector_of(here.session.id, now)
    if here is not None:
        with services().db.write() as tx:
            services().sessions.end(tx, here.session.id, now, reason="signed out")
            services().audit.record(
                tx,
                "session.ended",
                account_id=here.account.id,
                client_id=wish.client.client_id if wish.client else None,
                ip=caller(),
                session_id=here.session.id,
            )
        metrics.signin("logout", "ended")
    response = _leave(wish, wish.return_to) if wish.return_to is not None else _done(wish)
    cookies.clear_session(response)
    cookies.new_flow()
    there = None if elsewhere is None else sign_out_elsewhere.leave(elsewhere, response.headers.get("Location"))
    if there is not None:
        response = make_response(redirect(there, 303))
        response.headers["Cache-Control"] = NO_STORE
        cookies.clear_session(response)
    return response


@blueprint.get(sign_out_elsewhere.PATH)
def back_from_elsewhere() -> ResponseReturnValue:
    """Go on where the browser was going when it left to sign out elsewhere as well."""
    onward = sign_out_elsewhere.back(request.args.get("state", ""))
    if onward is None:
        return page("logout/done.html", client_name=None, continue_url=None)
    response = make_response(redirect(onward, 303))
    response.headers["Cache-Control"] = NO_STORE
    return response


def _leave(wish: Wish, return_to: str) -> Response:
    """Go back to the app with its state (section 3)."""
    state = [("state", wish.values["state"])] if "state" in wish.values else []
    response = make_response(redirect(redirect_uri.with_params(return_to, state), 303))
    response.headers["Cache-Control"] = NO_STORE
    return response


def _done(wish: Wish) -> Response:
    client = wish.client if wish.hint is not None else None
    return page(
        "logout/done.html",
        client_name=client.name if client else None,
        continue_url=client.client_uri if client else None,
    )


def _refuse(refusal: InvalidRequest) -> Response:
    """Say that the app asked wrongly, and let the person sign out all the same."""
    refused.note(refusal.error, refusal.reason or refusal.description)
    return page(
        "authorize/error.html",
        400,
        title="The app asked to sign you out in a way we do not understand",
        text="You are not signed out yet. You can do it here.",
        support_id=support_id(),
        error=refusal.error,
        link={"href": END_SESSION, "text": "Sign out"},
    )


def _pairs() -> Pairs:
    return form.read(request) if request.method == "POST" else _query()


def _query() -> Pairs:
    if len(request.query_string) > MAX_QUERY:
        raise RequestURITooLarge
    return parameters.decode(request.query_string)


def _values(pairs: Pairs) -> dict[str, str]:
    """Keep what means something here, each once; everything else is ignored."""
    if parameters.repeated(pairs) & KNOWN:
        raise InvalidRequest("a parameter came more than once")
    values = {name: value for name, value in parameters.single(pairs).items() if name in KNOWN}
    parameters.refuse_misfits(values, KNOWN)
    return values


def _with(path: str, values: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(values)}" if values else path
