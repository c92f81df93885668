"""A browser's visit to a sign-in: everything a step needs, read once and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlencode

from flask import abort, make_response, redirect, request

from idp.accounts import roles
from idp.accounts.roles import SecondFactor
from idp.endpoints.authorize import flow
from idp.endpoints.authorize.flow import Step
from idp.protocol import prompt, redirect_uri, scope
from idp.protocol.errors import ProtocolError
from idp.protocol.params import AuthorizeRequest
from idp.store import consent, signin, totp
from idp.store.digests import digest
from idp.web import cookies
from idp.web.services import services

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Response

    from idp.accounts.sessions import Current
    from idp.clients.client import Client
    from idp.store.account import Account
    from idp.store.database import Session
    from idp.store.signin import Signin

TWICE: Final = timedelta(seconds=10)  # so long after the end of a sign-in its last button may be pressed again


class Ended(ProtocolError):
    """The sign-in was answered or has expired; the person starts again at the app."""

    error = "invalid_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What an app asks and who is at the browser: enough to decide, whether or not a sign-in has begun."""

    client: Client
    here: Current | None
    situation: flow.Situation
    now: datetime

    @property
    def request(self) -> AuthorizeRequest:
        """Return the request as it was read or frozen; nothing a browser sends later changes it."""
        return self.situation.request

    @property
    def scopes(self) -> dict[str, tuple[str, ...]]:
        """Return what would be granted, by audience."""
        return {audience: tuple(names) for audience, names in self.situation.policy.scopes.items()}

    def next_step(self) -> Step:
        """Name the next step, or refuse."""
        return flow.next_step(self.situation, self.now)

    def is_at(self, step: Step) -> bool:
        """Say whether this step is the one to do now; a refusal is told by the dispatcher, not by a step."""
        try:
            return self.next_step() is step
        except ProtocolError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Glance):
    """One request of the browser that owns a sign-in."""

    signin: Signin

    def url(self, step: Step = Step.RESPOND) -> str:
        """Give a step's address; without one the dispatcher's, where every step ends."""
        return address(step, self.signin.id)


def address(step: Step, signin_id: str) -> str:
    """Write the local address of a step. It is made of constants and an id, so it leads nowhere else (LG24)."""
    return beside(step, signin_id)


def beside(path: str, signin_id: str) -> str:
    """Write the local address of a page that belongs to a step."""
    return f"{path}?{urlencode({'signin': signin_id})}"


def onward(signin_id: str) -> Response:
    """Send the browser to the dispatcher (RFC 9700 section 4.12: 303, so that no form is posted again)."""
    return make_response(redirect(address(Step.RESPOND, signin_id), 303))


def at(step: Step) -> Visit:
    """Read the visit of the present request; leave for the dispatcher when it is not this step's turn (LG15)."""
    signin_id = request.args.get("signin", "")
    try:
        visit = load(signin_id)
    except Ended:
        if request.method == "POST":
            abort(onward(once_more(signin_id, step)))
        # Whoever goes back in the browser comes here: the dispatcher says that it is over.
        abort(onward(signin_id))
    if not visit.is_at(step):
        abort(redirect(visit.url(), 303))
    return visit


def load(signin_id: str) -> Visit:
    """Read a sign-in of this browser; another browser's is forbidden (AZ32)."""
    now, known = services().clock(), cookies.known_flow()
    with services().db.read() as tx:
        mine = signin.find_any(tx, signin_id, digest(known)) if known is not None else None
    mine = mine or _taken_up(signin_id, now)
    row = mine or _silent(signin_id)
    if row is None:
        _forbid()
    if row.finished_at is not None or row.expires_at <= now:
        raise Ended("this sign-in has ended")
    client = services().clients.find(row.client_id, now)
    if client is None:
        raise Ended("this sign-in has ended", reason="client is gone or disabled")
    secret = cookies.session_secret(request) if mine is not None else None
    with services().db.read() as tx:
        here = services().sessions.current_in(tx, secret, now)
        situation = _situation(tx, AuthorizeRequest.from_json(row.request), client, here, _progress(row, here))
    return Visit(signin=row, client=client, here=here, situation=situation, now=now)


def glance(asked: AuthorizeRequest, client: Client, now: datetime) -> Glance | None:
    """Look at a request before a sign-in begins for it; None when nobody is signed in, as most often."""
    secret = cookies.session_secret(request)
    if secret is None:
        return None
    with services().db.read() as tx:
        here = services().sessions.current_in(tx, secret, now)
        if here is None:
            return None
        situation = _situation(tx, asked, client, here, flow.Progress())
    return Glance(client=client, here=here, situation=situation, now=now)


def _taken_up(signin_id: str, now: datetime) -> Signin | None:
    """Take up a sign-in that a cross-site POST began: it could not say which browser it came from, this GET can."""
    if request.path != Step.RESPOND or request.method != "GET":
        return None
    with services().db.read() as tx:
        found = signin.find_elsewhere(tx, signin_id)
    if found is None or found.flow_hash != digest(signin_id):
        return None
    with services().db.write() as tx:
        return signin.take_up(tx, signin_id, digest(cookies.flow()), now)


def once_more(signin_id: str, step: Step) -> str:
    """Begin the same request again for whoever pressed a button twice: the first answer went to a page that is gone.

    It passes every step anew, so a repeated form opens nothing that this browser could not have asked for.
    """
    now, browser = services().clock(), digest(cookies.flow())
    with services().db.read() as tx:
        row = signin.find_any(tx, signin_id, browser)
    done = None if row is None else (row.consented_at if step is Step.CONSENT else row.authenticated_at)
    if row is None or done is None or row.finished_at is None or now - row.finished_at > TWICE:
        _forbid()
    with services().db.write() as tx:
        again = signin.create(
            tx,
            flow_hash=browser,
            client_id=row.client_id,
            request=row.request,
            now=now,
            expires_at=now + services().settings.signin_lifetime,
        )
    return again.id


def turned_down(signin_id: str) -> AuthorizeRequest | None:
    """Return what this browser has refused, if it was a moment ago: whoever presses twice is answered twice."""
    now = services().clock()
    with services().db.read() as tx:
        row = signin.find_any(tx, signin_id, digest(cookies.flow()))
    if row is None or row.consented_at is not None or row.finished_at is None or now - row.finished_at > TWICE:
        return None
    return AuthorizeRequest.from_json(row.request)


def _silent(signin_id: str) -> Signin | None:
    """Find a prompt=none request whose browser kept no cookie, as in a frame of another site.

    It is owed its answer by redirect (OpenID Connect Core section 3.1.2.6): that nobody is signed in.
    """
    with services().db.read() as tx:
        row = signin.find_elsewhere(tx, signin_id)
    return row if row is not None and prompt.NONE in AuthorizeRequest.from_json(row.request).prompt else None


def _progress(row: Signin, here: Current | None) -> flow.Progress:
    return flow.Progress(
        session_id=row.session_id,
        authenticated=row.authenticated_at is not None,
        password_at=row.password_at,
        # One person's yes is nobody else's: the browser may have changed hands since.
        link_waits=bool(row.link_waits),
        consented=row.consented_at is not None and here is not None and row.account_id == here.account.id,
    )


def _situation(
    tx: Session, asked: AuthorizeRequest, client: Client, here: Current | None, progress: flow.Progress
) -> flow.Situation:
    return flow.Situation(
        request=asked,
        asker=flow.Asker(
            require_consent=client.require_consent,
            default_acr_values=client.default_acr_values,
            impersonable=client.public and not redirect_uri.proves_identity(asked.redirect_uri),
        ),
        progress=progress,
        standing=_standing(here),
        policy=flow.NOBODY if here is None else _policy(tx, client, asked, here.account),
    )


def _standing(here: Current | None) -> flow.Standing | None:
    if here is None:
        return None
    session = here.session
    return flow.Standing(
        session_id=session.id, account_id=here.account.id, auth_time=session.auth_time, acr=session.acr
    )


def _policy(tx: Session, client: Client, asked: AuthorizeRequest, person: Account) -> flow.Policy:
    settings = services().settings
    issuer = settings.issuer
    wanted = scope.by_audience(asked.scope, allowed=client.scopes, issuer=issuer, targets=asked.targets())
    entitled = roles.entitlements_at(tx, person.id, [name for name in wanted if name != issuer])
    second_factor = roles.second_factor(tx, person, client, wanted, settings.mfa)
    has_factor = totp.has_confirmed(tx, person.id)
    optional = second_factor is SecondFactor.OPTIONAL
    return flow.Policy(
        # Whoever has a second factor is asked for it, unless policy says off.
        mfa_required=second_factor is SecondFactor.REQUIRED or (optional and has_factor),
        has_factor=has_factor,
        may_enrol=second_factor is not SecondFactor.OFF,
        scopes=scope.entitle(wanted, issuer=issuer, entitled={name: held.scopes for name, held in entitled.items()}),
        remembered=consent.remembered(tx, person.id, client.client_id),
    )


def _forbid() -> NoReturn:
    abort(403)
