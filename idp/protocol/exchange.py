"""Token exchange (RFC 8693): who may swap which token for what, decided from facts alone.

An exchange only ever narrows: scopes, lifetime and strength come from the subject token, the target from an explicit
permission, and every earlier actor stays on record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from idp.protocol import acr
from idp.protocol.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
    UnmetAuthenticationRequirements,
)
from idp.protocol.subject import Link, Subject, actors, unusable

if TYPE_CHECKING:
    from idp.protocol.params import TokenRequest

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a token type
MAX_CHAIN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """What an exchange brings, its types checked. Never printed: it holds tokens."""

    subject_token: str = field(repr=False)
    actor_token: str | None = field(repr=False, default=None)
    scopes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, form: TokenRequest) -> ExchangeRequest:
        """Read the parameters of RFC 8693 section 2.1: access tokens in, an access token out."""
        subject_token = form.require("subject_token")
        if form.require("subject_token_type") != ACCESS_TOKEN:
            raise InvalidRequest("subject_token_type must be the one of access tokens")
        actor_token, actor_type = form.get("actor_token"), form.get("actor_token_type")
        if (actor_token is None) != (actor_type is None):
            raise InvalidRequest("actor_token and actor_token_type come together")
        if actor_type not in {None, ACCESS_TOKEN}:
            raise InvalidRequest("actor_token_type must be the one of access tokens")
        # A refresh token would outlive its subject; other kinds are not made here.
        if form.get("requested_token_type") not in {None, ACCESS_TOKEN}:
            raise InvalidRequest("requested_token_type must be the one of access tokens")
        return cls(subject_token=subject_token, actor_token=actor_token, scopes=form.scope())


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """The authenticated client that asks. `confirmation` is the key it has proved in this request, if any."""

    client_id: str
    issuer: str
    serves: frozenset[str] = frozenset()
    asymmetric: bool = False
    confirmation: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a client may get by exchange for one audience."""

    scopes: frozenset[str]
    impersonate: bool = False
    delegate: bool = False
    require_may_act: bool = False
    may_act: str | None = None  # who alone may act with the result
    require_acr: str | None = None
    narrow: bool = False  # give what may be given of what is asked, instead of refusing what may not
    lifetime: int  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What an exchange gives. `act` is None when the result names the subject alone."""

    scopes: tuple[str, ...]
    expires_at: int
    act: Mapping[str, object] | None
    may_act: Mapping[str, object] | None
    cnf: Mapping[str, object] | None
    parents: tuple[Link, ...]

    def claims(self) -> dict[str, object]:
        """Write what the exchange adds to the claims of its token (RFC 8693 section 4)."""
        parents = [{"jti": each.jti, "client_id": each.client_id} for each in self.parents]
        told = {"act": self.act, "may_act": self.may_act, "cnf": self.cnf, "parents": parents}
        return {name: value for name, value in told.items() if value is not None}


def target(asked: Collection[str], permitted: Sequence[str]) -> str:
    """Choose the one audience: the one that is named, else the only one this client has."""
    if len(asked) > 1:
        # RFC 8693 section 2.2.2: one token for two APIs could be replayed by each at the other.
        raise InvalidTarget("one target at a time")
    for audience in asked:
        if audience not in permitted:
            raise InvalidTarget("the target is not one this client may exchange for")
        return audience
    if len(permitted) != 1:
        raise InvalidTarget("the target is missing")
    return permitted[0]


def admit(subject: Subject, requester: Requester) -> None:
    """Refuse a token that was neither issued to the requester nor meant for an API it serves (RFC 8693 section 5)."""
    if subject.client_id != requester.client_id and subject.audiences.isdisjoint(requester.serves):
        raise unusable("the requester neither owns the token nor serves its audience")


def decide(
    subject: Subject,
    requester: Requester,
    permission: Permission,
    *,
    actor: str | None,
    asked: Sequence[str],
    available: Collection[str],
    now: int,
) -> Exchanged:
    """Say what the exchange gives, or refuse. `available`: what the subject could have at the target by itself."""
    admit(subject, requester)
    acting = _acting(permission, actor, requester)
    _obey_may_act(subject, permission, acting or requester.client_id, requester.issuer)
    act = subject.act if acting is None else _chain(subject, acting, requester.issuer)
    parents = (Link(jti=subject.jti, client_id=subject.client_id), *subject.parents)
    if len(parents) > MAX_CHAIN:
        raise InvalidRequest("the chain of exchanges is too long")
    if permission.require_acr is not None and not acr.meets(subject.acr, permission.require_acr):
        raise UnmetAuthenticationRequirements("the target asks for a stronger sign-in")
    expires_at = min(subject.expires_at, now + permission.lifetime)
    if expires_at <= now:
        raise unusable("the subject token ends now")
    return Exchanged(
        scopes=_narrow(subject.scopes, permission.scopes & frozenset(available), asked, drop=permission.narrow),
        expires_at=expires_at,
        act=act,
        may_act=_next(permission, requester.issuer),
        cnf=_binding(subject, requester),
        parents=parents,
    )


def _acting(permission: Permission, actor: str | None, requester: Requester) -> str | None:
    """Name the actor, or None for impersonation (RFC 8693 section 1.1): two permissions, neither implies the other.

    Without an actor token the requester impersonates if it may; if it may delegate alone, it is itself the actor.
    """
    if actor is not None and not permission.delegate:
        raise UnauthorizedClient("this client may not delegate to this target")
    if actor is not None:
        return actor
    if permission.impersonate:
        return None
    if not permission.delegate:
        raise UnauthorizedClient("this client may not impersonate at this target")
    return requester.client_id


def _obey_may_act(subject: Subject, permission: Permission, acting: str, issuer: str) -> None:
    """RFC 8693 section 4.4: every member of may_act identifies the one who may act."""
    if subject.may_act is None:
        if permission.require_may_act:
            raise InvalidRequest("the subject token names nobody who may act")
        return
    if subject.may_act.get("sub") != acting or not subject.may_act.items() <= {"sub": acting, "iss": issuer}.items():
        raise InvalidRequest("the subject token names somebody else who may act")


def _chain(subject: Subject, acting: str, issuer: str) -> Mapping[str, object]:
    """Put the actor outermost and keep every earlier one (RFC 8693 section 4.1)."""
    earlier = actors(subject.act)
    if earlier and earlier[0] == acting:
        return subject.act or {}  # twice in a row is once
    if acting == subject.sub or acting in earlier:
        raise InvalidRequest("the chain of actors goes in a circle")
    if len(earlier) >= MAX_CHAIN:
        raise InvalidRequest("the chain of actors is too long")
    outermost = {"sub": acting, "iss": issuer}
    return outermost if subject.act is None else {**outermost, "act": subject.act}


def _next(permission: Permission, issuer: str) -> Mapping[str, object] | None:
    return None if permission.may_act is None else {"sub": permission.may_act, "iss": issuer}


def _binding(subject: Subject, requester: Requester) -> Mapping[str, object] | None:
    """Keep a bound token bound: to the same key for its own client, to the requester's own key otherwise."""
    if subject.cnf is None:
        return requester.confirmation
    if subject.client_id == requester.client_id:
        if requester.confirmation != subject.cnf:
            raise unusable("the key of the subject token was not proved")
    elif not requester.asymmetric or requester.confirmation is None:
        # RFC 9700 section 4.10: a bearer token in exchange for a bound one would undo the binding.
        raise unusable("a bound token needs a requester with a key of its own")
    return requester.confirmation


def _narrow(held: Sequence[str], ceiling: Collection[str], asked: Sequence[str], *, drop: bool) -> tuple[str, ...]:
    """RFC 8693 section 2.1: subject AND permission AND target; what is asked may only be less.

    With `drop`, what is asked beyond that is left out (RFC 8693 section 2.2.1: the answer says what is given).
    """
    left = tuple(name for name in held if name in ceiling)
    if not drop and not set(asked) <= set(left):
        raise InvalidScope("scope is beyond what may be exchanged")
    chosen = tuple(name for name in left if name in asked) if asked else left
    if not chosen:
        raise InvalidScope("no scope is left for the target")
    return chosen
