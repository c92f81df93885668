"""The token that somebody brings to an exchange, and who acted with it before (RFC 8693 section 4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from idp.protocol.errors import InvalidRequest


def unusable(reason: str) -> InvalidRequest:
    """Refuse a subject token; whatever is wrong with it, the caller hears one text (RFC 8693 section 2.2.2)."""
    return InvalidRequest("the subject token cannot be exchanged", reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A token that another was exchanged from: while it is revoked, or its client closed, so is the other."""

    jti: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A good access token that somebody wants to exchange."""

    sub: str
    client_id: str
    jti: str
    audiences: frozenset[str]
    scopes: tuple[str, ...]
    expires_at: int
    roles: frozenset[str] = frozenset()
    acr: str | None = None
    act: Mapping[str, object] | None = None
    may_act: Mapping[str, object] | None = None
    cnf: Mapping[str, object] | None = None
    txn: str | None = None
    parents: tuple[Link, ...] = ()

    @classmethod
    def read(cls, claims: Mapping[str, object], audiences: Collection[str]) -> Subject:
        """Read the claims of a verified token of ours."""
        roles = claims.get("roles")
        return cls(
            sub=str(claims["sub"]),
            client_id=str(claims["client_id"]),
            jti=str(claims["jti"]),
            audiences=frozenset(audiences),
            scopes=tuple(str(claims.get("scope", "")).split()),
            expires_at=int(str(claims["exp"])),
            roles=frozenset(map(str, roles)) if isinstance(roles, list) else frozenset(),
            acr=_text(claims, "acr"),
            act=_object(claims, "act"),
            may_act=_object(claims, "may_act"),
            cnf=_object(claims, "cnf"),
            txn=_text(claims, "txn"),
            parents=links(claims),
        )


def links(claims: Mapping[str, object]) -> tuple[Link, ...]:
    """Read what a token was exchanged from, the latest first."""
    parents = claims.get("parents", [])
    if not isinstance(parents, list) or not all(isinstance(each, dict) for each in parents):
        raise unusable("parents is malformed")
    return tuple(Link(jti=str(each.get("jti")), client_id=str(each.get("client_id"))) for each in parents)


def actors(act: Mapping[str, object] | None) -> tuple[str, ...]:
    """List the actors of a chain, the present one first."""
    found: list[str] = []
    while act is not None:
        found.append(str(act.get("sub")))
        act = _object(act, "act")
    return tuple(found)


def _object(claims: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    """Read a claim that is an object, or is not there."""
    value = claims.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise unusable("a claim is no object")
    return value


def _text(claims: Mapping[str, object], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) else None
