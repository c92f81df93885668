"""Which API a token is for, and with which scopes: exactly one audience (RFC 8707, RFC 9068 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.protocol.errors import InvalidScope, InvalidTarget
from idp.protocol.scope import OPENID, flatten

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from idp.protocol.scope import Scopes


def choose(granted: Scopes, *, asked: Collection[str], preferred: Sequence[str] = (), issuer: str) -> str:
    """Return the audience: the one asked for now, else at authorize, else userinfo's, else the only one there is."""
    if len(asked) > 1:
        # RFC 8707 section 2.2: one token for two APIs could be replayed by each at the other.
        raise InvalidTarget("one resource at a time")
    for audience in asked:
        if audience not in granted:
            raise InvalidTarget("resource was not granted")
        return audience
    for audience in preferred:
        if audience in granted:
            return audience
    if OPENID in granted.get(issuer, ()):
        return issuer
    if len(granted) != 1:
        raise InvalidTarget("resource is missing: a token is for one API, and none was named")
    return next(iter(granted))


def narrow(granted: Scopes, audience: str, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the scopes of a token for `audience`: all granted there, or fewer when fewer are asked.

    RFC 6749 section 6: what is asked may name anything of the grant, but nothing beyond it.
    """
    if not set(asked) <= set(flatten(granted)):
        raise InvalidScope("scope is beyond what was granted")
    there = granted[audience]
    chosen = tuple(name for name in there if name in asked) if asked else tuple(there)
    if not chosen:
        raise InvalidScope("no scope is left for the resource")
    return chosen


def limit(granted: Scopes, allowed: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Return what of an earlier grant the client may still ask for."""
    kept = {aud: tuple(name for name in names if name in allowed.get(aud, ())) for aud, names in granted.items()}
    return {aud: names for aud, names in kept.items() if names}


def lead_with(granted: Scopes, audience: str) -> dict[str, list[str]]:
    """Put one audience first: a refresh that names none continues with that one."""
    rest = {aud: list(names) for aud, names in granted.items() if aud != audience}
    return {audience: list(granted[audience]), **rest}
