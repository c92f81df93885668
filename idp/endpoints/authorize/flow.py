"""What comes next in a sign-in: a pure function of what was asked, what happened, who is here, and the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from idp.protocol import acr, prompt, scope
from idp.protocol.errors import (
    AccessDenied,
    ConsentRequired,
    LoginRequired,
    UnmetAuthenticationRequirements,
)
from idp.protocol.params import AuthorizeRequest

# LG17: a first factor is added only within this time of the password, inside the sign-in that demands it.
PASSWORD_IS_FRESH = timedelta(minutes=5)


class Step(StrEnum):
    """The pages of a sign-in, by their addresses, and its end."""

    LOGIN = "/login"
    SECOND_FACTOR = "/mfa"
    ENROL = "/mfa/enrol"
    LINK = "/link"
    CONSENT = "/consent"
    RESPOND = "/authorize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What has happened inside this sign-in."""

    session_id: str | None = None
    authenticated: bool = False
    password_at: datetime | None = None
    consented: bool = False
    link_waits: bool = False  # somebody from elsewhere may be this account


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The session the browser has now: who, since when, how strongly."""

    session_id: str
    account_id: str
    auth_time: datetime
    acr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What the rules ask about the client."""

    require_consent: bool
    default_acr_values: tuple[str, ...] = ()
    # Whether anybody else could be given this client's answer and use it (RFC 8252 section 8.6).
    impersonable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the rules say of this person at this client. `scopes` is what the roles leave of what was asked."""

    mfa_required: bool = False
    has_factor: bool = False
    may_enrol: bool = True
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remembered: Mapping[str, Sequence[str]] = field(default_factory=dict)


NOBODY = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that decides."""

    request: AuthorizeRequest
    asker: Asker
    progress: Progress = Progress()
    standing: Standing | None = None
    policy: Policy = NOBODY


def next_step(at: Situation, now: datetime) -> Step:
    """Name the next step, or refuse by raising what the client is to be told."""
    silent = prompt.NONE in at.request.prompt
    standing = at.standing
    if standing is None or _must_sign_in(at.request, at.progress, standing, now):
        # OpenID Connect Core section 3.1.2.6: prompt=none shows nothing.
        if silent:
            raise LoginRequired("nobody suitable is signed in")
        return Step.LOGIN
    step = _strengthen(at, standing, now) or _link(at, standing)
    if step is not None:
        if silent:
            raise LoginRequired("a stronger sign-in is needed")
        return step
    if not at.policy.scopes:
        raise AccessDenied("no role of this person grants what was asked")
    if _must_consent(at):
        if silent:
            raise ConsentRequired("consent is needed")
        return Step.CONSENT
    return Step.RESPOND


def _must_sign_in(request: AuthorizeRequest, progress: Progress, standing: Standing, now: datetime) -> bool:
    # A session that changed hands in another tab counts as no authentication in here.
    inside = progress.authenticated and progress.session_id == standing.session_id
    if not _is_expected(request, standing):
        if inside:
            # AZ21: the hint named somebody, and somebody else signed in.
            raise LoginRequired("another person was asked for")
        return True
    if inside:
        return False
    if request.prompt & {prompt.LOGIN, prompt.SELECT_ACCOUNT}:
        return True
    # OpenID Connect Core section 3.1.2.1: max_age=0 is the same wish as prompt=login.
    return request.max_age is not None and (
        request.max_age == 0 or now - standing.auth_time > timedelta(seconds=request.max_age)
    )


def _is_expected(request: AuthorizeRequest, standing: Standing) -> bool:
    """Say whether this person is one that the hint and the claims parameter allow (Core sections 3.1.2.1, 5.5.1)."""
    if request.subject is not None and request.subject != standing.account_id:
        return False
    return not request.claims.subjects() or standing.account_id in request.claims.subjects()


def _strengthen(at: Situation, standing: Standing, now: datetime) -> Step | None:
    wanted = wanted_acr(at.request, at.asker, at.policy)
    if wanted is None or acr.meets(standing.acr, wanted):
        return None
    if at.policy.has_factor:
        return Step.SECOND_FACTOR
    if not at.policy.may_enrol:
        raise UnmetAuthenticationRequirements("this person cannot sign in that strongly")
    password_at, here = at.progress.password_at, at.progress.session_id == standing.session_id
    fresh = password_at is not None and now - password_at <= PASSWORD_IS_FRESH
    return Step.ENROL if fresh and here else Step.LOGIN


def _link(at: Situation, standing: Standing) -> Step | None:
    """Ask whether to link, after a sign-in of this very moment with the second factor if there is one (FD12, LG16)."""
    progress = at.progress
    inside = progress.password_at is not None and progress.session_id == standing.session_id
    if not progress.link_waits or not inside:
        return None
    proven = not at.policy.has_factor or acr.meets(standing.acr, acr.AAL2)
    return Step.LINK if proven else Step.SECOND_FACTOR


def wanted_acr(request: AuthorizeRequest, asker: Asker, policy: Policy) -> str | None:
    """Give the strength that policy and request together demand."""
    essential, voluntary = _acr_wishes(request)
    listed = request.acr_values or voluntary or asker.default_acr_values
    if essential is not None and acr.least(essential) is None:
        # OpenID Connect Core section 5.5.1.1: an essential acr that cannot be met is an error, not a hint.
        raise UnmetAuthenticationRequirements("no requested strength is offered here")
    floors = [acr.AAL2 if policy.mfa_required else None, acr.least(listed), acr.least(essential or ())]
    return acr.strongest(floors)


def told_acr(request: AuthorizeRequest, actual: str) -> str:
    """Name the strength in the words of the asker, when one of them is true (Core section 5.5.1.1).

    Levels include each other: a sign-in at aal2 was one at aal1 as well.
    """
    essential, voluntary = _acr_wishes(request)
    met = [value for value in (essential or request.acr_values or voluntary) if acr.meets(actual, value)]
    return actual if actual in met else acr.strongest(met) or actual


def _acr_wishes(request: AuthorizeRequest) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Give what the claims parameter demands and what it merely wishes."""
    wish = request.claims.acr()
    values = tuple(str(value) for value in wish.values) if wish is not None else ()
    if wish is not None and wish.essential and values:
        return values, ()
    return None, values


def _must_consent(at: Situation) -> bool:
    asked_anew = prompt.CONSENT in at.request.prompt or (at.asker.impersonable and not _is_attended(at))
    if asked_anew and not at.progress.consented:
        return True
    # OpenID Connect Core section 11: offline_access too is covered by the memory, or by the operator who
    # said that this client needs no consent. What was allowed a moment ago is in the memory, and only that.
    return at.asker.require_consent and not scope.covers(at.policy.remembered, at.policy.scopes)


def _is_attended(at: Situation) -> bool:
    """Say whether the person saw in this sign-in which app asks.

    RFC 8252 section 8.6: another program on the device may ask in the app's name, so that a session and a
    remembered consent alone must not be enough. Whoever has just typed a password for it need not be asked twice.
    """
    return at.standing is not None and at.progress.authenticated and at.progress.session_id == at.standing.session_id
